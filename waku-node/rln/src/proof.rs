use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rln::circuit::{graph_from_folder, zkey_from_folder};
use rln::hashers::{hash_to_field_le, poseidon_hash};
use rln::protocol::{
    RLNProofValues, generate_proof, proof_values_from_witness, rln_witness_from_values, serialize_proof_values, verify_proof,
};

use crate::field::{self, Fr};
use crate::{Group, Identity, RlnError};

/// A proof with its public values, as zerokit lays them out:
/// `proof (128) | root (32) | external nullifier (32) | share x (32) | share y (32) | nullifier (32)`.
pub const PROOF_SIZE: usize = 288;

const SNARK_SIZE: usize = 128;

/// Reads the circuit's keys, which otherwise happens at the first proof or verification.
pub fn load_circuit() {
    zkey_from_folder();
}

/// What binds a proof to an epoch of an application: Poseidon of the hashes of the epoch's 32 bytes and of the RLN identifier.
pub fn external_nullifier(epoch: &[u8; 32], rln_identifier: &[u8]) -> [u8; 32] {
    field::encode(&poseidon_hash(&[hash_to_field_le(epoch), hash_to_field_le(rln_identifier)]))
}

/// What to prove.
#[derive(Debug)]
pub struct ProofRequest<'a> {
    /// The author.
    pub identity: &'a Identity,
    /// His leaf in the group.
    pub leaf: u64,
    /// An id below his message limit that he has not used in this epoch: a second use gives his secret away.
    pub message_id: u64,
    /// [`external_nullifier`].
    pub external_nullifier: &'a [u8; 32],
    /// The message.
    pub signal: &'a [u8],
}

/// Proves. Two proofs for one request differ in their first 128 bytes, and reveal no more than one does.
pub fn prove(group: &Group, request: &ProofRequest<'_>) -> Result<[u8; PROOF_SIZE], RlnError> {
    let index = usize::try_from(request.leaf).map_err(|_| RlnError::NoSuchMember(request.leaf))?;
    let member = group.members().get(index).ok_or(RlnError::NoSuchMember(request.leaf))?;
    if !request.identity.is(member) {
        return Err(RlnError::NotThatMember(request.leaf));
    }
    // zerokit lets the limit itself through, and then makes a proof that does not verify.
    if request.message_id >= member.message_limit {
        return Err(RlnError::MessageId { id: request.message_id, limit: member.message_limit });
    }
    let (siblings, sides) = group.path(index);
    let witness = rln_witness_from_values(
        request.identity.secret.clone(),
        siblings,
        sides,
        hash_to_field_le(request.signal),
        field::decode(request.external_nullifier, "external nullifier")?,
        Fr::from(member.message_limit),
        Fr::from(request.message_id),
    )
    .map_err(|_| RlnError::Proving)?;
    let values = proof_values_from_witness(&witness).map_err(|_| RlnError::Proving)?;
    let proof = generate_proof(zkey_from_folder(), &witness, graph_from_folder()).map_err(|_| RlnError::Proving)?;

    let mut bytes = [0; PROOF_SIZE];
    proof.serialize_compressed(&mut bytes[..SNARK_SIZE]).map_err(|_| RlnError::Proving)?;
    bytes[SNARK_SIZE..].copy_from_slice(&serialize_proof_values(&values));
    Ok(bytes)
}

/// Whether a proof is one of a member of the group with this root, for this external nullifier and this signal.
///
/// Bytes that are no curve points or no field elements are an invalid proof like any other.
pub fn verify(proof: &[u8; PROOF_SIZE], root: &[u8; 32], external_nullifier: &[u8; 32], signal: &[u8]) -> bool {
    check(proof, root, external_nullifier, signal).unwrap_or(false)
}

fn check(proof: &[u8; PROOF_SIZE], root: &[u8; 32], external_nullifier: &[u8; 32], signal: &[u8]) -> Option<bool> {
    let (snark, values) = proof.split_at(SNARK_SIZE);
    let (values, _) = values.as_chunks::<{ field::SIZE }>();
    let [claimed_root, claimed_nullifier, x, y, nullifier] = values else {
        return None;
    };
    if claimed_root != root || claimed_nullifier != external_nullifier {
        return Some(false);
    }
    let element = |bytes: &[u8; field::SIZE]| field::decode(bytes, "public value").ok();
    let values = RLNProofValues {
        y: element(y)?,
        nullifier: element(nullifier)?,
        root: element(root)?,
        x: element(x)?,
        external_nullifier: element(external_nullifier)?,
    };
    if values.x != hash_to_field_le(signal) {
        return Some(false);
    }
    let snark = CanonicalDeserialize::deserialize_compressed(snark).ok()?;
    verify_proof(&zkey_from_folder().0.vk, &snark, &values).ok()
}
