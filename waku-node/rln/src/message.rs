//! What a proof says about a Waku message, as nwaku has it; `message.go` beside this crate names the sources.

use prost::Message;

/// What a proof signs of a message: payload, content topic and timestamp (8 bytes, little-endian).
pub fn signal(payload: &[u8], content_topic: &str, timestamp_ns: i64) -> Vec<u8> {
    [payload, content_topic.as_bytes(), &timestamp_ns.to_le_bytes()].concat()
}

/// The number of the epoch of a message's timestamp; times before 1970 are in epoch 0.
pub fn epoch_of(timestamp_ns: i64, epoch_seconds: u64) -> u64 {
    u64::try_from(timestamp_ns).unwrap_or(0) / 1_000_000_000 / epoch_seconds
}

pub(crate) fn epoch_bytes(epoch: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&epoch.to_le_bytes());
    bytes
}

/// The value of a Waku message's `rate_limit_proof` (field 21), as `proto/chatsdk/rln/v1/rate_limit_proof.proto` has it.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitProof {
    /// 128 bytes: Groth16, compressed.
    #[prost(bytes = "vec", tag = "1")]
    pub proof: Vec<u8>,
    /// 32 bytes, as are all that follow.
    #[prost(bytes = "vec", tag = "2")]
    pub merkle_root: Vec<u8>,
    /// The number of the epoch, little-endian.
    #[prost(bytes = "vec", tag = "3")]
    pub epoch: Vec<u8>,
    /// One coordinate of a point on the line that leads to the author's secret.
    #[prost(bytes = "vec", tag = "4")]
    pub share_x: Vec<u8>,
    /// The other one.
    #[prost(bytes = "vec", tag = "5")]
    pub share_y: Vec<u8>,
    /// The same for two messages with one message id in one epoch.
    #[prost(bytes = "vec", tag = "6")]
    pub nullifier: Vec<u8>,
    /// That of the group.
    #[prost(bytes = "vec", tag = "7")]
    pub rln_identifier: Vec<u8>,
}
