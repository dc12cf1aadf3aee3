//! Field elements at the boundary: canonical bytes only.

use ark_serialize::CanonicalDeserialize;
pub(crate) use rln::circuit::Fr;
use rln::utils::fr_to_bytes_le;

use crate::RlnError;

/// A field element's size in bytes.
pub(crate) const SIZE: usize = 32;

pub(crate) fn decode(bytes: &[u8; SIZE], name: &'static str) -> Result<Fr, RlnError> {
    Fr::deserialize_compressed(bytes.as_slice()).map_err(|_| RlnError::NotAFieldElement(name))
}

pub(crate) fn encode(element: &Fr) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes.copy_from_slice(&fr_to_bytes_le(element));
    bytes
}
