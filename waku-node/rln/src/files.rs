//! The files that `waku-node rln-group` writes.

use std::collections::HashMap;

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::strict::Object;
use crate::{Group, Identity, MAX_MESSAGE_LIMIT, Member, RlnError, field};

/// The longest epoch that clients count: a day.
pub const MAX_EPOCH_SECONDS: u64 = 24 * 3600;

const FILE_VERSION: u64 = 1;
const HEX_DIGITS: &str = "64 hex digits";
const WHOLE_NUMBER: &str = "a whole number";
const OF_GROUP: &str = "give the content of group.json, as the network's nodes have it";
/// What to do about credentials that do not serve.
pub(crate) const OF_MEMBER: &str = "give the content of a member-N.json that was made with this group";

/// Why a file was refused: its field, or the file itself. It never quotes the file, which may hold a secret.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct FileError {
    /// Such as `group.members[2].userMessageLimit`, or `credentials`.
    pub field: String,
    /// With the remedy.
    pub problem: String,
}

impl FileError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    fn with_remedy(mut self, remedy: &str) -> Self {
        self.problem = format!("{}; {remedy}", self.problem);
        self
    }
}

/// `group.json`, with its tree.
#[derive(Debug)]
pub struct GroupFile {
    /// Sets applications apart.
    pub rln_identifier: [u8; 32],
    /// The length of an epoch.
    pub epoch_seconds: u64,
    /// The members.
    pub group: Group,
}

impl GroupFile {
    /// Reads a group's file and builds its tree.
    pub fn parse(json: &str) -> Result<Self, FileError> {
        Self::read(json).map_err(|error| error.with_remedy(OF_GROUP))
    }

    fn read(json: &str) -> Result<Self, FileError> {
        let mut file = Object::parse(json, "group")?;
        check_version(&mut file)?;
        let rln_identifier = take_bytes(&mut file, "rlnIdentifier")?;
        let epoch_seconds: u64 = file.take("epochSeconds", WHOLE_NUMBER)?;
        if !(1..=MAX_EPOCH_SECONDS).contains(&epoch_seconds) {
            let problem = format!("must be from 1 to {MAX_EPOCH_SECONDS}, not {epoch_seconds}");
            return Err(FileError::new("group.epochSeconds", problem));
        }
        let members = file.take_objects("members")?.into_iter().map(read_member).collect::<Result<Vec<_>, _>>()?;
        file.finish()?;
        check_distinct(&members)?;
        let group = Group::new(members).map_err(|error| FileError::new("group.members", error.to_string()))?;
        Ok(Self { rln_identifier, epoch_seconds, group })
    }
}

fn read_member(mut object: Object<'_>) -> Result<Member, FileError> {
    let commitment = take_bytes(&mut object, "identityCommitment")?;
    if let Err(error) = field::decode(&commitment, "it") {
        return Err(FileError::new(object.path("identityCommitment"), error.to_string()));
    }
    let message_limit = take_limit(&mut object)?;
    object.finish()?;
    Ok(Member { commitment, message_limit })
}

fn check_distinct(members: &[Member]) -> Result<(), FileError> {
    let mut seen = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        if let Some(other) = seen.insert(member.commitment, index) {
            let field = format!("group.members[{index}].identityCommitment");
            return Err(FileError::new(field, format!("is that of member {other}")));
        }
    }
    Ok(())
}

/// A member's file. Its `Debug` output is empty of the secret.
#[derive(Debug)]
pub struct Credentials {
    /// That of the group.
    pub rln_identifier: [u8; 32],
    /// The member's leaf.
    pub leaf: u64,
    /// That of the group.
    pub message_limit: u64,
    /// The member.
    pub identity: Identity,
}

impl Credentials {
    /// Reads a credentials file.
    pub fn parse(json: &str) -> Result<Self, FileError> {
        Self::read(json).map_err(|error| error.with_remedy(OF_MEMBER))
    }

    fn read(json: &str) -> Result<Self, FileError> {
        let mut file = Object::parse(json, "credentials")?;
        check_version(&mut file)?;
        let rln_identifier = take_bytes(&mut file, "rlnIdentifier")?;
        let leaf = file.take("leafIndex", WHOLE_NUMBER)?;
        let message_limit = take_limit(&mut file)?;
        let commitment = take_bytes(&mut file, "identityCommitment")?;
        let secret = Zeroizing::new(take_bytes(&mut file, "identitySecret")?);
        file.finish()?;
        let identity = Identity::from_secret(&secret)
            .map_err(|error: RlnError| FileError::new("credentials.identitySecret", error.to_string()))?;
        if identity.commitment() != commitment {
            return Err(FileError::new("credentials.identityCommitment", "does not belong to the identitySecret"));
        }
        Ok(Self { rln_identifier, leaf, message_limit, identity })
    }
}

fn check_version(file: &mut Object<'_>) -> Result<(), FileError> {
    match file.take("version", WHOLE_NUMBER)? {
        FILE_VERSION => Ok(()),
        version => Err(FileError::new(file.path("version"), format!("must be {FILE_VERSION}, not {version}"))),
    }
}

fn take_bytes(object: &mut Object<'_>, field: &str) -> Result<[u8; 32], FileError> {
    #[derive(Deserialize)]
    struct Hex(#[serde(with = "hex::serde")] [u8; 32]);

    object.take(field, HEX_DIGITS).map(|Hex(bytes)| bytes)
}

fn take_limit(object: &mut Object<'_>) -> Result<u64, FileError> {
    let limit = object.take("userMessageLimit", WHOLE_NUMBER)?;
    if (1..=MAX_MESSAGE_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let problem = format!("must be from 1 to {MAX_MESSAGE_LIMIT}, not {limit}");
    Err(FileError::new(object.path("userMessageLimit"), problem))
}
