//! Proofs that a message is one of those its author may publish (RLN).

use std::fmt;

use crate::error::Result;

/// What a proof is made for: a message, and the slot that it uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofRequest<'a> {
    /// Content topic.
    pub topic: &'a str,
    /// Payload of the WakuMessage.
    pub payload: &'a [u8],
    /// Of the WakuMessage, Unix time in nanoseconds.
    pub timestamp_ns: i64,
    /// The slot's epoch.
    pub epoch: u64,
    /// The slot's number in its epoch, from 0.
    pub message_id: u32,
}

/// S1: makes the proofs that the nodes of a network with RLN demand.
pub trait RateLimitProver: Send + Sync {
    /// An encoded RateLimitProof, as it travels in field 21 of a WakuMessage. It may block: it is called on a thread for that, and
    /// once at a time.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the epoch is not that of the timestamp: nodes refuse such a proof, so that none is made. The publication
    /// fails, and is made again later with another slot.
    fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>>;
}

/// A prover knows a secret.
impl fmt::Debug for dyn RateLimitProver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RateLimitProver")
    }
}
