//! The C ABI. `chat_rln.h` describes it; every function returns a [`Status`].
//!
//! Pointers are valid for the stated number of bytes, or the behaviour is undefined. No call keeps one. All calls are thread-safe.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::{Group, Identity, Member, PROOF_SIZE, ProofRequest, RlnError};

/// How a call ended.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done; for a verification: the proof is valid.
    Ok = 0,
    /// The proof is not valid.
    Invalid = 1,
    /// [`RlnError::NotAFieldElement`].
    NotAFieldElement = -1,
    /// [`RlnError::GroupSize`].
    GroupSize = -2,
    /// [`RlnError::MessageLimit`].
    MessageLimit = -3,
    /// [`RlnError::NoSuchMember`].
    NoSuchMember = -4,
    /// [`RlnError::NotThatMember`].
    NotThatMember = -5,
    /// [`RlnError::MessageId`].
    MessageId = -6,
    /// [`RlnError::SameShare`].
    SameShare = -7,
    /// [`RlnError::Proving`].
    Proving = -8,
    /// A defect: the library panicked.
    Panic = -9,
}

impl From<RlnError> for Status {
    fn from(error: RlnError) -> Self {
        match error {
            RlnError::NotAFieldElement(_) => Self::NotAFieldElement,
            RlnError::GroupSize(_) => Self::GroupSize,
            RlnError::MessageLimit(_) => Self::MessageLimit,
            RlnError::NoSuchMember(_) => Self::NoSuchMember,
            RlnError::NotThatMember(_) => Self::NotThatMember,
            RlnError::MessageId { .. } => Self::MessageId,
            RlnError::SameShare => Self::SameShare,
            RlnError::Proving => Self::Proving,
        }
    }
}

fn guarded(body: impl FnOnce() -> Result<Status, RlnError>) -> Status {
    catch_unwind(AssertUnwindSafe(body)).map_or(Status::Panic, |result| result.unwrap_or_else(Status::from))
}

/// Reads the circuit's keys.
#[unsafe(no_mangle)]
pub extern "C" fn chat_rln_load_circuit() -> Status {
    guarded(|| {
        crate::load_circuit();
        Ok(Status::Ok)
    })
}

/// The identity of a seed: its secret and its commitment, 32 bytes each.
///
/// # Safety
/// `seed` has `seed_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_identity(
    seed: *const u8,
    seed_size: usize,
    secret: &mut [u8; 32],
    commitment: &mut [u8; 32],
) -> Status {
    // SAFETY: as the caller promises.
    let seed = unsafe { bytes(seed, seed_size) };
    guarded(|| {
        let identity = Identity::from_seed(seed);
        secret.copy_from_slice(identity.secret().as_slice());
        *commitment = identity.commitment();
        Ok(Status::Ok)
    })
}

/// The commitment of a secret.
#[unsafe(no_mangle)]
pub extern "C" fn chat_rln_commitment(secret: &[u8; 32], commitment: &mut [u8; 32]) -> Status {
    guarded(|| {
        *commitment = Identity::from_secret(secret)?.commitment();
        Ok(Status::Ok)
    })
}

/// Builds a group, to be freed with [`chat_rln_group_free`].
///
/// # Safety
/// `commitments` has `size` times 32 bytes, `message_limits` `size` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_group_new(
    commitments: *const [u8; 32],
    message_limits: *const u64,
    size: usize,
    group: &mut *mut Group,
) -> Status {
    guarded(|| {
        if size == 0 {
            return Err(RlnError::GroupSize(size));
        }
        // SAFETY: as the caller promises, and not empty.
        let (commitments, limits) =
            unsafe { (slice::from_raw_parts(commitments, size), slice::from_raw_parts(message_limits, size)) };
        let members = commitments
            .iter()
            .zip(limits)
            .map(|(commitment, limit)| Member { commitment: *commitment, message_limit: *limit })
            .collect();
        *group = Box::into_raw(Box::new(Group::new(members)?));
        Ok(Status::Ok)
    })
}

/// Frees a group.
///
/// # Safety
/// `group` is one of [`chat_rln_group_new`], not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_group_free(group: *mut Group) {
    // SAFETY: as the caller promises.
    drop(unsafe { Box::from_raw(group) });
}

/// The group's root.
#[unsafe(no_mangle)]
pub extern "C" fn chat_rln_group_root(group: &Group, root: &mut [u8; 32]) {
    *root = group.root();
}

/// The external nullifier of an epoch.
///
/// # Safety
/// `rln_identifier` has `rln_identifier_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_external_nullifier(
    epoch: &[u8; 32],
    rln_identifier: *const u8,
    rln_identifier_size: usize,
    external_nullifier: &mut [u8; 32],
) -> Status {
    // SAFETY: as the caller promises.
    let identifier = unsafe { bytes(rln_identifier, rln_identifier_size) };
    guarded(|| {
        *external_nullifier = crate::external_nullifier(epoch, identifier);
        Ok(Status::Ok)
    })
}

/// Proves.
///
/// # Safety
/// `signal` has `signal_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_prove(
    group: &Group,
    secret: &[u8; 32],
    leaf: u64,
    message_id: u64,
    external_nullifier: &[u8; 32],
    signal: *const u8,
    signal_size: usize,
    proof: &mut [u8; PROOF_SIZE],
) -> Status {
    // SAFETY: as the caller promises.
    let signal = unsafe { bytes(signal, signal_size) };
    guarded(|| {
        let identity = Identity::from_secret(secret)?;
        let request = ProofRequest { identity: &identity, leaf, message_id, external_nullifier, signal };
        *proof = crate::prove(group, &request)?;
        Ok(Status::Ok)
    })
}

/// Verifies.
///
/// # Safety
/// `signal` has `signal_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chat_rln_verify(
    proof: &[u8; PROOF_SIZE],
    root: &[u8; 32],
    external_nullifier: &[u8; 32],
    signal: *const u8,
    signal_size: usize,
) -> Status {
    // SAFETY: as the caller promises.
    let signal = unsafe { bytes(signal, signal_size) };
    guarded(|| match crate::verify(proof, root, external_nullifier, signal) {
        true => Ok(Status::Ok),
        false => Ok(Status::Invalid),
    })
}

/// The commitment of whoever made two shares. The secret itself stays in here.
#[unsafe(no_mangle)]
pub extern "C" fn chat_rln_recover_commitment(
    first_x: &[u8; 32],
    first_y: &[u8; 32],
    second_x: &[u8; 32],
    second_y: &[u8; 32],
    commitment: &mut [u8; 32],
) -> Status {
    guarded(|| {
        *commitment = crate::recover_secret((first_x, first_y), (second_x, second_y))?.commitment();
        Ok(Status::Ok)
    })
}

/// # Safety
/// `start` has `size` bytes, or `size` is 0.
unsafe fn bytes<'a>(start: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { slice::from_raw_parts(start, size) }
}
