//! Random bytes.

use crate::abi::{Entropy, Seed};
use crate::error::{Error, ErrorCode, Result};

/// The generator of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&self) -> Result<Seed> {
        Ok(Seed { bytes: random::<32>()?.to_vec() })
    }
}

/// `N` fresh random bytes. Fails with `INTERNAL` where the system has no generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorCode::Internal, "entropy: the system gives no random bytes; report this").caused_by(error)
    })?;
    Ok(bytes)
}
