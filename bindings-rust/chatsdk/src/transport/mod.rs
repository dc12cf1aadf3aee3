//! Transports over Waku.

mod prover;
mod waku;

pub use prover::{ProofRequest, RateLimitProver};
pub use waku::{WakuOptions, WakuTransport};
