//! The files that `waku-node rln-group` writes.

use serde::Deserialize;
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

use crate::{Group, Identity, Member, RlnError};

const FILE_VERSION: u32 = 1;
const MAX_EPOCH_SECONDS: u64 = 365 * 24 * 3600;

/// Why a file was refused.
#[derive(Debug, Error)]
pub enum FileError {
    /// The group's file is no JSON, or a field is missing, unknown or of the wrong form.
    #[error("the group's file: {0}")]
    Group(serde_json::Error),
    /// The same of a credentials file. The cause stays out, since it may quote the secret.
    #[error("the credentials file is malformed; make the group's files anew")]
    Credentials,
    /// A file of another format.
    #[error("version {0} of the file format, where 1 is known")]
    Version(u32),
    /// Not from 1 to 31,536,000.
    #[error("epochSeconds is {0}, and must be from 1 to 31536000")]
    EpochSeconds(u64),
    /// The members make no group.
    #[error(transparent)]
    Members(#[from] RlnError),
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GroupJson {
    version: u32,
    #[serde(with = "hex::serde")]
    rln_identifier: [u8; 32],
    epoch_seconds: u64,
    members: Vec<MemberJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberJson {
    #[serde(with = "hex::serde")]
    identity_commitment: [u8; 32],
    user_message_limit: u64,
}

impl GroupFile {
    /// Reads a group's file and builds its tree.
    pub fn parse(json: &str) -> Result<Self, FileError> {
        let file: GroupJson = serde_json::from_str(json).map_err(FileError::Group)?;
        if file.version != FILE_VERSION {
            return Err(FileError::Version(file.version));
        }
        if !(1..=MAX_EPOCH_SECONDS).contains(&file.epoch_seconds) {
            return Err(FileError::EpochSeconds(file.epoch_seconds));
        }
        let members = file
            .members
            .into_iter()
            .map(|member| Member { commitment: member.identity_commitment, message_limit: member.user_message_limit })
            .collect();
        Ok(Self { rln_identifier: file.rln_identifier, epoch_seconds: file.epoch_seconds, group: Group::new(members)? })
    }
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

#[derive(Deserialize, ZeroizeOnDrop)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CredentialsJson {
    version: u32,
    #[serde(with = "hex::serde")]
    rln_identifier: [u8; 32],
    leaf_index: u64,
    user_message_limit: u64,
    #[serde(with = "hex::serde")]
    identity_commitment: [u8; 32],
    #[serde(with = "hex::serde")]
    identity_secret: [u8; 32],
}

impl Credentials {
    /// Reads a credentials file.
    pub fn parse(json: &str) -> Result<Self, FileError> {
        let file: CredentialsJson = serde_json::from_str(json).map_err(|_| FileError::Credentials)?;
        if file.version != FILE_VERSION {
            return Err(FileError::Version(file.version));
        }
        let identity = Identity::from_secret(&file.identity_secret)?;
        if identity.commitment() != file.identity_commitment {
            return Err(FileError::Credentials);
        }
        Ok(Self { rln_identifier: file.rln_identifier, leaf: file.leaf_index, message_limit: file.user_message_limit, identity })
    }
}
