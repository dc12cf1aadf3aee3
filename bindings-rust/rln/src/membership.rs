use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chat_rln::{Credentials, FileError, GroupFile, ProveError, Prover, Statement};
use chatsdk::abi::RateLimit;
use chatsdk::{Error, ErrorCode, ProofRequest, RateLimitMembership, RateLimitProver, Result};
use zeroize::Zeroizing;

/// A member of a group that `waku-node rln-group` made. It belongs to the first client that it is given to.
///
/// ```no_run
/// # async fn open(first_time: bool) -> Result<(), Box<dyn std::error::Error>> {
/// use chatsdk::{Client, Options, StorageKey};
/// use chatsdk_rln::RlnMembership;
///
/// let mut rln = RlnMembership::new(&std::fs::read_to_string("group.json")?)?;
/// if first_time {
///     rln = rln.credentials(std::fs::read("member-0.json")?)?;
/// }
/// let options = Options::new("alice.db", StorageKey::passphrase("correct horse battery staple"))
///     .peers(["/ip4/127.0.0.1/tcp/60000"])
///     .rln(rln);
/// let chat = Client::open(options).await?;
/// # Ok(chat.close().await?) }
/// ```
///
/// Never give the same credentials to two databases, nor to one that was copied: together they would use message ids twice, and
/// whoever sees two proofs with one id can compute the member's secret.
pub struct RlnMembership {
    epoch_seconds: u32,
    state: Mutex<State>,
}

enum State {
    New { group: Box<GroupFile>, given: Option<Given>, taken: bool },
    Open(Arc<Prover>),
    Closed,
}

/// Credentials that are not in the database yet.
struct Given {
    json: Zeroizing<Vec<u8>>,
    message_limit: u32,
}

impl RlnMembership {
    /// Of the group in the content of group.json, which is that of the network's nodes. It computes the group's
    /// tree, with two hashes for each member.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `rln.group` and the field, such as an epoch that is not 1 to 86,400 seconds. It never quotes the text.
    pub fn new(group: &str) -> Result<Self> {
        let group = GroupFile::parse(group).map_err(of_file)?;
        let epoch_seconds =
            u32::try_from(group.epoch_seconds).map_err(|_| invalid("rln.group.epochSeconds: must be 1 to 86400"))?;
        let state = State::New { group: Box::new(group), given: None, taken: false };
        Ok(Self { epoch_seconds, state: Mutex::new(state) })
    }

    /// The content of the member's file, member-N.json, as it is. Needed once: the database keeps it, sealed with its key, and
    /// gives it back at later starts. Others take the place of those in the database.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming `rln.credentials` and the field if they are empty or malformed; it never quotes them. Whether they are those of a member is found out when the client
    /// opens.
    pub fn credentials(self, json: Vec<u8>) -> Result<Self> {
        let json = Zeroizing::new(json);
        let message_limit = parse(&json)?.message_limit;
        let message_limit =
            u32::try_from(message_limit).map_err(|_| invalid("rln.credentials: userMessageLimit is above 65535"))?;
        if let State::New { given, .. } = &mut *self.lock() {
            *given = Some(Given { json, message_limit });
        }
        Ok(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateLimitMembership for RlnMembership {
    fn rate_limit(&self) -> Result<RateLimit> {
        let limit = RateLimit { epoch_seconds: self.epoch_seconds, ..RateLimit::default() };
        match &mut *self.lock() {
            State::New { taken: true, .. } | State::Open(_) => Err(another_clients()),
            State::Closed => Err(closed()),
            State::New { given, taken, .. } => {
                *taken = true;
                Ok(match given {
                    Some(Given { json, message_limit }) => {
                        RateLimit { messages_per_epoch: *message_limit, credentials: json.to_vec(), ..limit }
                    }
                    None => limit,
                })
            }
        }
    }

    fn open(&self, credentials: &[u8]) -> Result<()> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Closed) {
            State::New { group, .. } => {
                let prover = Prover::new(*group, parse(credentials)?).map_err(|error| match error {
                    ProveError::Credentials(error) => of_file(error),
                    error => Error::new(ErrorCode::Internal, format!("rln: {error}; report this")),
                })?;
                *state = State::Open(Arc::new(prover));
                Ok(())
            }
            State::Open(prover) => {
                *state = State::Open(prover);
                Err(another_clients())
            }
            State::Closed => Err(closed()),
        }
    }

    fn close(&self) {
        *self.lock() = State::Closed;
    }
}

impl RateLimitProver for RlnMembership {
    fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>> {
        let prover = match &*self.lock() {
            State::Open(prover) => Arc::clone(prover),
            State::New { .. } => {
                return Err(invalid("rln: the membership belongs to no client; give it to one as rln"));
            }
            State::Closed => return Err(closed()),
        };
        let statement = Statement {
            payload: request.payload,
            content_topic: request.topic,
            timestamp_ns: request.timestamp_ns,
            epoch: request.epoch,
            message_id: request.message_id.into(),
        };
        prover.prove(&statement).map_err(|error| match error {
            ProveError::Epoch { .. } => invalid(&format!("epoch: {error}; publish with a slot of the present epoch")),
            error => Error::new(ErrorCode::Internal, format!("rln: {error}; report this")),
        })
    }
}

impl fmt::Debug for RlnMembership {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RlnMembership").field("epoch_seconds", &self.epoch_seconds).finish_non_exhaustive()
    }
}

fn parse(credentials: &[u8]) -> Result<Credentials> {
    let text = std::str::from_utf8(credentials);
    let text = text.map_err(|_| invalid("rln.credentials: no UTF-8; give the content of member-N.json"))?;
    Credentials::parse(text).map_err(of_file)
}

/// Names the field, and quotes nothing.
fn of_file(error: FileError) -> Error {
    invalid(&format!("rln.{error}"))
}

fn another_clients() -> Error {
    invalid("rln: the membership is another client's; make a new one for each client")
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

fn closed() -> Error {
    Error::new(ErrorCode::Closed, "rln: the membership is closed; make a new one for each client")
}
