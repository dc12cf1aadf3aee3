use rln::hashers::poseidon_hash;
use rln::protocol::{compute_id_secret, extended_seeded_keygen};
use rln::utils::IdSecret;
use zeroize::Zeroizing;

use crate::field::{self, Fr};
use crate::{Member, RlnError};

/// A member's secret. Its `Debug` output is empty of it.
pub struct Identity {
    pub(crate) secret: IdSecret,
}

impl Identity {
    /// The identity that zerokit's `seeded_extended_key_gen` makes of a seed of at least 32 random bytes: a Semaphore identity.
    pub fn from_seed(seed: &[u8]) -> Self {
        let (_, _, mut secret, _) = extended_seeded_keygen(seed);
        Self { secret: IdSecret::from(&mut secret) }
    }

    /// The identity of a stored secret, Semaphore's identity secret hash.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, RlnError> {
        let mut secret = field::decode(secret, "identity secret")?;
        Ok(Self { secret: IdSecret::from(&mut secret) })
    }

    /// The secret, to store it.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(field::encode(&self.secret))
    }

    /// What the group's file says about the member: the hash of the secret.
    pub fn commitment(&self) -> [u8; 32] {
        field::encode(&self.commitment_element())
    }

    pub(crate) fn commitment_element(&self) -> Fr {
        poseidon_hash(&[*self.secret])
    }

    /// Whether the identity is that of a member.
    pub fn is(&self, member: &Member) -> bool {
        self.commitment() == member.commitment
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The identity of whoever published two messages with one message id in one epoch, from the shares `(x, y)` of two proofs with the
/// same nullifier, both verified.
pub fn recover_secret(first: (&[u8; 32], &[u8; 32]), second: (&[u8; 32], &[u8; 32])) -> Result<Identity, RlnError> {
    let point = |(x, y): (&[u8; 32], &[u8; 32])| Ok((field::decode(x, "share x")?, field::decode(y, "share y")?));
    let secret = compute_id_secret(point(first)?, point(second)?).map_err(|_| RlnError::SameShare)?;
    Ok(Identity { secret })
}
