//! Argon2id (RFC 9106), version 0x13.

use argon2::{Algorithm, Argon2, Block, Params, Version};

use zeroize::Zeroizing;

use super::HostKey;
use crate::abi::Argon2id;
use crate::error::{Error, ErrorCode, Result};

const SALT_LENGTH: u64 = 16;

/// RFC 9106, section 4, second recommended option: 64 MiB, three passes, four lanes.
pub(super) const RECOMMENDED: Argon2id = Argon2id { salt: Vec::new(), memory_kib: 65_536, passes: 3, lanes: 4 };

/// What a file may ask for: beyond it a hostile one could hang or kill the program.
const LARGEST_MEMORY_KIB: u32 = 1_048_576;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// 32 bytes; the recommended parameters take about a quarter of a second. Fails with `DATABASE_CORRUPT` for parameters out of
/// bounds, `STORAGE_FAILED` if there is not enough memory.
pub(super) fn derive(passphrase: &[u8], parameters: &Argon2id) -> Result<HostKey> {
    let &Argon2id { ref salt, memory_kib, passes, lanes } = parameters;
    require_between("salt", salt.len() as u64, SALT_LENGTH, SALT_LENGTH, " bytes")?;
    require_between("lanes", lanes.into(), 1, MOST_LANES.into(), "")?;
    require_between("passes", passes.into(), 1, MOST_PASSES.into(), "")?;
    // RFC 9106 section 3.1: at least eight blocks a lane.
    require_between("memory_kib", memory_kib.into(), u64::from(8 * lanes), LARGEST_MEMORY_KIB.into(), " KiB")?;
    let unusable = || {
        Error::new(
            ErrorCode::StorageFailed,
            format!("derivation.argon2id: {memory_kib} KiB of memory could not be used; free memory and try again"),
        )
        .retryable()
    };
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|error| unusable().caused_by(error))?;
    // Reserved here rather than by the crate, which would end the process where memory is short.
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(params.block_count()).map_err(|error| unusable().caused_by(error))?;
    memory.resize(params.block_count(), Block::new());
    let mut key = HostKey::default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, &mut *key, &mut memory)
        .map_err(|error| unusable().caused_by(error))?;
    Ok(key)
}

fn require_between(name: &str, value: u64, smallest: u64, largest: u64, unit: &str) -> Result<()> {
    if (smallest..=largest).contains(&value) {
        return Ok(());
    }
    let range = if smallest == largest { smallest.to_string() } else { format!("{smallest} to {largest}") };
    let message = format!("derivation.argon2id.{name}: {value}, must be {range}{unit}; restore a backup");
    Err(Error::new(ErrorCode::DatabaseCorrupt, message))
}
