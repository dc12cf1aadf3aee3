//! What protects a database, and how the 32 bytes that open it are made.

mod argon2id;
#[cfg(feature = "keyring")]
mod keyring;

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::abi::{Argon2id, KeyDerivation, Keyring, RawKey, Unprotected, key_derivation::Derivation};
use crate::client::quoted;
use crate::entropy::random;
use crate::error::{Error, ErrorCode, Result};

/// What opens a vault: 32 bytes, wiped when dropped.
pub(crate) type HostKey = Zeroizing<[u8; 32]>;

/// What protects a database. There is no default: leaving it open is a decision.
#[derive(Clone, PartialEq, Eq)]
pub enum StorageKey {
    /// A text the user knows; any Unicode, not empty. As strong as it is hard to guess.
    Passphrase(String),
    /// 32 bytes of full entropy, kept by the application.
    Raw([u8; 32]),
    /// A random key kept by the operating system: Secret Service, Keychain, Credential Manager. Needs the feature `keyring`.
    Keyring {
        /// Names the application.
        service: String,
        /// Names the database within the application.
        account: String,
    },
    /// No protection: whoever can read the file reads keys and messages, and any SQLite tool shows the messages.
    Unprotected,
}

impl StorageKey {
    /// A text the user knows.
    pub fn passphrase(text: impl Into<String>) -> Self {
        Self::Passphrase(text.into())
    }

    /// An entry of the operating system's key store.
    pub fn keyring(service: impl Into<String>, account: impl Into<String>) -> Self {
        Self::Keyring { service: service.into(), account: account.into() }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Raw(_) => "raw",
            Self::Keyring { .. } => "keyring",
            Self::Unprotected => "unprotected",
        }
    }
}

/// Names the kind, and never the key.
impl fmt::Debug for StorageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StorageKey({})", self.name())
    }
}

impl Drop for StorageKey {
    fn drop(&mut self) {
        match self {
            Self::Passphrase(text) => text.zeroize(),
            Self::Raw(bytes) => bytes.zeroize(),
            Self::Keyring { .. } | Self::Unprotected => {}
        }
    }
}

/// How the key of a new database will be made: with a fresh salt for a passphrase; for a keyring, its entry gets a random key
/// if it has none. Blocks. Fails with `INVALID_ARGUMENT` for a malformed key, `KEYRING_UNAVAILABLE` if there is no keyring.
pub(crate) fn new_derivation(key: &StorageKey) -> Result<KeyDerivation> {
    check(key)?;
    let derivation = match key {
        StorageKey::Unprotected => Derivation::Unprotected(Unprotected {}),
        StorageKey::Raw(_) => Derivation::RawKey(RawKey {}),
        StorageKey::Passphrase(_) => {
            Derivation::Argon2id(Argon2id { salt: random::<16>()?.to_vec(), ..argon2id::RECOMMENDED })
        }
        StorageKey::Keyring { service, account } => {
            ensure_keyring_key(service, account)?;
            Derivation::Keyring(Keyring { service: service.clone(), account: account.clone() })
        }
    };
    Ok(KeyDerivation { derivation: Some(derivation) })
}

/// The 32 bytes that open a vault whose header names `derivation`; zeros if it is unprotected. Blocks.
///
/// Fails with:
/// - `INVALID_ARGUMENT`: `key` is malformed;
/// - `WRONG_KEY`: the database needs a key of another kind, which the message names, or the keyring has lost it;
/// - `KEYRING_UNAVAILABLE`: the system has no keyring, or it stays locked;
/// - `DATABASE_CORRUPT`, `STORAGE_FAILED`: the parameters are out of bounds, or there is not enough memory;
/// - `UNSUPPORTED_VERSION`: a kind this version does not know.
pub(crate) fn derive_key(key: &StorageKey, derivation: &KeyDerivation) -> Result<HostKey> {
    check(key)?;
    match (&derivation.derivation, key) {
        (Some(Derivation::Unprotected(_)), StorageKey::Unprotected) => Ok(HostKey::default()),
        (Some(Derivation::Unprotected(_)), _) => {
            Err(wrong_kind(key, "is not protected: open it with StorageKey::Unprotected"))
        }
        (Some(Derivation::RawKey(_)), StorageKey::Raw(bytes)) => Ok(HostKey::new(*bytes)),
        (Some(Derivation::RawKey(_)), _) => Err(wrong_kind(key, "needs a raw key: give StorageKey::Raw")),
        (Some(Derivation::Argon2id(parameters)), StorageKey::Passphrase(text)) => {
            // Keyboards write the same letter in different ways (RFC 8265 section 4.2 also demands NFC).
            let normalised: Zeroizing<String> = Zeroizing::new(text.nfc().collect());
            argon2id::derive(normalised.as_bytes(), parameters)
        }
        (Some(Derivation::Argon2id(_)), _) => Err(wrong_kind(key, "needs a passphrase: give StorageKey::Passphrase")),
        (Some(Derivation::Keyring(needed)), StorageKey::Keyring { service, account }) => {
            // The caller's names are read, not the file's: a foreign file must not choose the entry.
            if (service, account) != (&needed.service, &needed.account) {
                let message = format!(
                    "storage_key.keyring: {} is not the entry of this database, which is {}",
                    describe(service, account),
                    describe(&needed.service, &needed.account),
                );
                return Err(Error::new(ErrorCode::WrongKey, message));
            }
            read_keyring_key(service, account)?.ok_or_else(|| {
                let entry = describe(service, account);
                let remedy = "restore the entry, or open the database where it was made";
                Error::new(ErrorCode::WrongKey, format!("storage_key.keyring: the keyring has no {entry}; {remedy}"))
            })
        }
        (Some(Derivation::Keyring(needed)), _) => {
            let entry = describe(&needed.service, &needed.account);
            Err(wrong_kind(key, &format!("needs a key of the keyring: give StorageKey::Keyring with {entry}")))
        }
        (None, _) => Err(Error::new(
            ErrorCode::UnsupportedVersion,
            "derivation: the database uses a kind of key this version does not know; update the SDK",
        )),
    }
}

/// Messages never repeat what was given.
fn check(key: &StorageKey) -> Result<()> {
    match key {
        StorageKey::Passphrase(text) if text.is_empty() => Err(Error::new(
            ErrorCode::InvalidArgument,
            "storage_key.passphrase: must not be empty; for no protection give StorageKey::Unprotected",
        )),
        StorageKey::Keyring { service, account } if service.is_empty() || account.is_empty() => {
            Err(Error::new(ErrorCode::InvalidArgument, "storage_key.keyring: service and account must not be empty"))
        }
        _ => Ok(()),
    }
}

fn wrong_kind(given: &StorageKey, needed: &str) -> Error {
    Error::new(ErrorCode::WrongKey, format!("storage_key.{}: this database {needed}", given.name()))
}

fn describe(service: &str, account: &str) -> String {
    format!("service {}, account {}", quoted(service), quoted(account))
}

#[cfg(feature = "keyring")]
use self::keyring::{ensure_keyring_key, read_keyring_key};

#[cfg(not(feature = "keyring"))]
fn ensure_keyring_key(_: &str, _: &str) -> Result<()> {
    Err(without_keyring())
}

#[cfg(not(feature = "keyring"))]
fn read_keyring_key(_: &str, _: &str) -> Result<Option<HostKey>> {
    Err(without_keyring())
}

#[cfg(not(feature = "keyring"))]
fn without_keyring() -> Error {
    let message = "storage_key.keyring: this build has none; enable the feature \"keyring\", or give another key";
    Error::new(ErrorCode::KeyringUnavailable, message)
}

#[cfg(test)]
mod tests;
