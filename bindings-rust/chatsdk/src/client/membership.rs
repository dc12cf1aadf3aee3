//! The membership of a network with RLN.

use std::sync::Arc;

use crate::abi::RateLimit;
use crate::error::Result;
use crate::transport::{ProofRequest, RateLimitProver};

/// S1: the membership of a network with RLN, for the option [`rln`](super::Options::rln): it sets the client's rate limit and makes the
/// proofs that the network's nodes demand. It belongs to one client, which opens it and closes it.
///
/// `chatsdk-rln` has the one for groups of `waku-node rln-group`. Who gives the client a transport of his own gives it the same
/// membership as its prover: an [`Arc`] of a membership is one too.
pub trait RateLimitMembership: RateLimitProver {
    /// For the client's core; called once. Without credentials those in the database are used, and its number of messages where that is
    /// 0. The client wipes the credentials that it gets.
    fn rate_limit(&self) -> RateLimit;

    /// Makes the prover, for the credentials that the core has: those of `rate_limit`, or those kept before; never empty. Called once,
    /// before the transport starts, on a thread that may block.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `rln.credentials` if they are malformed or not those of a member. The client is not opened then, and
    /// nothing is kept or published.
    fn open(&self, credentials: &[u8]) -> Result<()>;

    /// Wipes the secret; proofs are made no more. Called when the client closes or cannot be opened, perhaps twice.
    fn close(&self);
}

impl<Membership: RateLimitProver + ?Sized> RateLimitProver for Arc<Membership> {
    fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>> {
        (**self).prove(request)
    }
}

impl<Membership: RateLimitMembership + ?Sized> RateLimitMembership for Arc<Membership> {
    fn rate_limit(&self) -> RateLimit {
        (**self).rate_limit()
    }

    fn open(&self, credentials: &[u8]) -> Result<()> {
        (**self).open(credentials)
    }

    fn close(&self) {
        (**self).close();
    }
}
