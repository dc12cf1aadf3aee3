use zeroize::Zeroize as _;

use crate::abi::Config;

/// What a core is told at its opening. The rate limit's credentials in it are wiped when it is dropped.
pub(crate) struct Settings(Config);

impl Settings {
    pub(crate) fn new(config: Config) -> Self {
        Self(config)
    }

    pub(super) fn config(&self) -> &Config {
        &self.0
    }

    pub(super) fn forget_credentials(&mut self) {
        forget_credentials(&mut self.0);
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.forget_credentials();
    }
}

pub(super) fn forget_credentials(config: &mut Config) {
    if let Some(limit) = &mut config.rate_limit {
        limit.credentials.zeroize();
    }
}
