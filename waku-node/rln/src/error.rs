use thiserror::Error;

/// Why an operation was refused. No variant carries a secret.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum RlnError {
    /// 32 bytes that are no field element: not below the modulus.
    #[error("{0} is no field element: 32 bytes little-endian, below the modulus")]
    NotAFieldElement(&'static str),
    /// The group has no or too many members.
    #[error("a group has 1 to 1048576 members, not {0}")]
    GroupSize(usize),
    /// A member's limit is not one that the circuit can compare.
    #[error("the message limit of member {0} is not from 1 to 65535")]
    MessageLimit(usize),
    /// There is no such leaf.
    #[error("the group has no member {0}")]
    NoSuchMember(u64),
    /// The secret is not that of the member at the leaf.
    #[error("the identity secret does not belong to member {0} of the group")]
    NotThatMember(u64),
    /// The circuit makes proofs for such an id that no one accepts.
    #[error("message id {id} is not below the member's message limit {limit}")]
    MessageId {
        /// The id asked for.
        id: u64,
        /// The member's limit.
        limit: u64,
    },
    /// The two shares are of one message, so that they are one point.
    #[error("the two shares are the same point")]
    SameShare,
    /// The prover failed.
    #[error("the circuit could not make the proof")]
    Proving,
}
