use prost::Message;
use thiserror::Error;

use crate::files::OF_MEMBER;
use crate::message::epoch_bytes;
use crate::{
    Credentials, FileError, GroupFile, ProofRequest, RateLimitProof, RlnError, epoch_of, external_nullifier, load_circuit, prove,
    signal,
};

/// Why a prover could not be opened, or a proof not be made.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ProveError {
    /// The credentials are not those of a member of the group.
    #[error(transparent)]
    Credentials(FileError),
    /// The epoch is not that of the timestamp.
    #[error("the epoch is {given}, but the timestamp is in epoch {of_timestamp}")]
    Epoch {
        /// The epoch asked for.
        given: u64,
        /// The one to ask for.
        of_timestamp: u64,
    },
    /// The circuit's library refused.
    #[error(transparent)]
    Rln(#[from] RlnError),
}

/// What to prove.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The Waku message's payload.
    pub payload: &'a [u8],
    /// The content topic.
    pub content_topic: &'a str,
    /// The timestamp, in nanoseconds since 1970.
    pub timestamp_ns: i64,
    /// That of the timestamp: [`epoch_of`].
    pub epoch: u64,
    /// From 0, below the member's message limit.
    pub message_id: u64,
}

/// Makes a member's proofs: some 0.15 s each on all of the machine's cores, so call it where it may block.
///
/// It does not count message ids. Whoever calls it must use none for two messages of one epoch, ever, or the member's secret is public.
#[derive(Debug)]
pub struct Prover {
    file: GroupFile,
    credentials: Credentials,
}

impl Prover {
    /// Checks that the credentials are those of a member, and loads the circuit.
    pub fn new(file: GroupFile, credentials: Credentials) -> Result<Self, ProveError> {
        check(&file, &credentials)
            .map_err(|(field, problem)| ProveError::Credentials(FileError::new(format!("credentials.{field}"), problem)))?;
        load_circuit();
        Ok(Self { file, credentials })
    }

    /// The encoded [`RateLimitProof`] of a message, 335 bytes.
    pub fn prove(&self, statement: &Statement<'_>) -> Result<Vec<u8>, ProveError> {
        let of_timestamp = epoch_of(statement.timestamp_ns, self.file.epoch_seconds);
        if statement.epoch != of_timestamp {
            return Err(ProveError::Epoch { given: statement.epoch, of_timestamp });
        }
        let epoch = epoch_bytes(statement.epoch);
        let request = ProofRequest {
            identity: &self.credentials.identity,
            leaf: self.credentials.leaf,
            message_id: statement.message_id,
            external_nullifier: &external_nullifier(&epoch, &self.file.rln_identifier),
            signal: &signal(statement.payload, statement.content_topic, statement.timestamp_ns),
        };
        let proof = prove(&self.file.group, &request)?;
        let (snark, values) = proof.split_at(128);
        let value = |position: usize| values[32 * position..32 * (position + 1)].to_vec();
        let message = RateLimitProof {
            proof: snark.to_vec(),
            merkle_root: value(0),
            epoch: epoch.to_vec(),
            share_x: value(2),
            share_y: value(3),
            nullifier: value(4),
            rln_identifier: self.file.rln_identifier.to_vec(),
        };
        Ok(message.encode_to_vec())
    }
}

/// Gives what is wrong with which field.
fn check(file: &GroupFile, credentials: &Credentials) -> Result<(), (&'static str, String)> {
    if credentials.rln_identifier != file.rln_identifier {
        return Err(("rlnIdentifier", format!("is not the group's; {OF_MEMBER}")));
    }
    let (leaf, members) = (credentials.leaf, file.group.members());
    let Some(member) = usize::try_from(leaf).ok().and_then(|leaf| members.get(leaf)) else {
        return Err(("leafIndex", format!("is {leaf} in a group of {}; {OF_MEMBER}", members.len())));
    };
    if !credentials.identity.is(member) {
        return Err(("identitySecret", format!("is not that of the group's member {leaf}; {OF_MEMBER}")));
    }
    let (limit, in_group) = (credentials.message_limit, member.message_limit);
    if limit != in_group {
        let remedy = "if the group's limit was changed, give the member's file again, with that number";
        return Err(("userMessageLimit", format!("is {limit}, in the group {in_group}; {remedy}")));
    }
    Ok(())
}
