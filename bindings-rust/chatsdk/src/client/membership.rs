//! The membership of a network with RLN.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroize as _;

use crate::abi::RateLimit;
use crate::error::{Error, ErrorCode, Result};
use crate::transport::{ProofRequest, RateLimitProver};

/// S1: the membership of a network with RLN, for the option [`rln`](super::Options::rln): it sets the client's rate limit and makes the
/// proofs that the network's nodes demand. It belongs to the first client that it is given to, which opens it and closes it.
///
/// `chatsdk-rln` has the one for groups of `waku-node rln-group`. Who gives the client a transport of his own gives it the same
/// membership as its prover: an [`Arc`] of a membership is one too.
pub trait RateLimitMembership: RateLimitProver {
    /// Takes the membership over for a client, before anything is opened, and says what to tell its core. Without credentials those in the
    /// database are used, and its number of messages where that is 0. The client wipes the credentials that it gets.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if another client has the membership, `CLOSED` after `close`: that client leaves it alone.
    fn rate_limit(&self) -> Result<RateLimit>;

    /// Makes the prover, for the credentials of `rate_limit`, before a database is made; or, if there are none, for those kept in the
    /// database, before the transport starts; never empty. Called once, on a thread that may block.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `rln.credentials` if they are malformed or not those of a member. The client is not opened then, and
    /// nothing is kept or published.
    fn open(&self, credentials: &[u8]) -> Result<()>;

    /// Wipes the secret; proofs are made no more. Called when the client that took it closes or cannot be opened, perhaps twice.
    fn close(&self);
}

impl<Membership: RateLimitProver + ?Sized> RateLimitProver for Arc<Membership> {
    fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>> {
        (**self).prove(request)
    }
}

impl<Membership: RateLimitMembership + ?Sized> RateLimitMembership for Arc<Membership> {
    fn rate_limit(&self) -> Result<RateLimit> {
        (**self).rate_limit()
    }

    fn open(&self, credentials: &[u8]) -> Result<()> {
        (**self).open(credentials)
    }

    fn close(&self) {
        (**self).close();
    }
}

/// A membership that a client took over, while it opens. Dropping it closes it, also if opening is given up.
pub(super) struct Taken {
    membership: Arc<dyn RateLimitMembership>,
    limit: RateLimit,
    kept: AtomicBool,
}

impl Taken {
    pub(super) fn new(membership: Arc<dyn RateLimitMembership>) -> Result<Self> {
        let limit = membership.rate_limit()?;
        Ok(Self { membership, limit, kept: AtomicBool::new(false) })
    }

    pub(super) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// The client is open, and closes it.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Opens it with the credentials that were given, if any were. It comes before a database is made, which would be bound to its key.
    pub(super) fn open_given(&self, new_database: Option<&Path>) -> Result<()> {
        match (self.limit.credentials.as_slice(), new_database) {
            ([], Some(path)) => Err(no_credentials(&format!("there is no database at {} yet", path.display()))),
            ([], None) => Ok(()),
            (credentials, _) => self.membership.open(credentials),
        }
    }

    /// Opens it with those in the database, if none were given.
    pub(super) fn open_kept(&self, credentials: &[u8]) -> Result<()> {
        match (self.limit.credentials.is_empty(), credentials) {
            (true, []) => Err(no_credentials("the database has none")),
            (true, credentials) => self.membership.open(credentials),
            (false, _) => Ok(()),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.limit.credentials.zeroize();
        if !*self.kept.get_mut() {
            self.membership.close();
        }
    }
}

fn no_credentials(why: &str) -> Error {
    let message = format!("rln.credentials: missing, and {why}; give the content of member-N.json at the first start");
    Error::new(ErrorCode::InvalidArgument, message)
}
