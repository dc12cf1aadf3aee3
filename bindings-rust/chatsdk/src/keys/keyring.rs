//! Keys kept by the operating system, as 64 hexadecimal digits: keyrings hold texts in every language.

use keyring::v1::{Entry, Error as KeyringError};
use zeroize::Zeroizing;

use super::{HostKey, describe};
use crate::entropy::random;
use crate::error::{Error, ErrorCode, Result};

/// The key of an entry; `None` if there is none. Fails with `KEYRING_UNAVAILABLE` if the system has no keyring or it stays
/// locked, `WRONG_KEY` if the entry holds something else.
pub(super) fn read_keyring_key(service: &str, account: &str) -> Result<Option<HostKey>> {
    let Some(text) = read(service, account)? else { return Ok(None) };
    let mut key = HostKey::default();
    let is_ours =
        text.bytes().all(|byte| !byte.is_ascii_uppercase()) && hex::decode_to_slice(&*text, &mut *key).is_ok();
    if !is_ours {
        let entry = describe(service, account);
        let message =
            format!("storage_key.keyring: {entry} holds something other than a key of this SDK; name another entry");
        return Err(Error::new(ErrorCode::WrongKey, message));
    }
    Ok(Some(key))
}

/// Makes a random key in the keyring, unless the entry has one: another database may depend on it. Fails as
/// `read_keyring_key`.
pub(super) fn ensure_keyring_key(service: &str, account: &str) -> Result<()> {
    if read_keyring_key(service, account)?.is_some() {
        return Ok(());
    }
    let bytes = Zeroizing::new(random::<32>()?);
    let key = Zeroizing::new(hex::encode(bytes.as_slice()));
    Entry::new(service, account).and_then(|entry| entry.set_password(&key)).map_err(unavailable)?;
    if read(service, account)?.is_none_or(|kept| kept != key) {
        return Err(unavailable(format!("{}: the key was not kept as written", describe(service, account))));
    }
    Ok(())
}

fn read(service: &str, account: &str) -> Result<Option<Zeroizing<String>>> {
    match Entry::new(service, account).and_then(|entry| entry.get_password()) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(KeyringError::NoEntry) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = "storage_key.keyring: the system has no usable keyring; unlock it, or give a passphrase or a raw key";
    Error::new(ErrorCode::KeyringUnavailable, message).caused_by(cause)
}
