use rln::hashers::poseidon_hash;

use crate::field::{self, Fr};
use crate::{Identity, RlnError};

/// Levels of the membership tree that the circuit was made for.
pub const TREE_DEPTH: usize = 20;
/// Leaves of the tree.
pub const MAX_MEMBERS: usize = 1 << TREE_DEPTH;
/// The circuit compares message ids and limits as 16 bits.
pub const MAX_MESSAGE_LIMIT: u64 = u16::MAX as u64;

/// One leaf of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// [`Identity::commitment`].
    pub commitment: [u8; 32],
    /// Messages that the member may publish in an epoch.
    pub message_limit: u64,
}

/// The membership tree of a list of members: Poseidon, member `n` at leaf `n`, absent leaves 0.
#[derive(Debug)]
pub struct Group {
    members: Vec<Member>,
    /// `layers[0]` holds the leaves, `layers[TREE_DEPTH]` the root. Nodes right of a layer's end are those of an empty tree.
    layers: Vec<Vec<Fr>>,
    empty: Vec<Fr>,
}

impl Group {
    /// Builds the tree, with a hash for each node.
    pub fn new(members: Vec<Member>) -> Result<Self, RlnError> {
        if members.is_empty() || members.len() > MAX_MEMBERS {
            return Err(RlnError::GroupSize(members.len()));
        }
        let leaves = members.iter().enumerate().map(|(index, member)| leaf(index, member)).collect::<Result<_, _>>()?;
        let mut empty = vec![Fr::from(0)];
        let mut layers: Vec<Vec<Fr>> = vec![leaves];
        for level in 0..TREE_DEPTH {
            let parents =
                layers[level].chunks(2).map(|pair| poseidon_hash(&[pair[0], *pair.get(1).unwrap_or(&empty[level])])).collect();
            layers.push(parents);
            empty.push(poseidon_hash(&[empty[level], empty[level]]));
        }
        Ok(Self { members, layers, empty })
    }

    /// The tree's root, which every proof names.
    pub fn root(&self) -> [u8; 32] {
        field::encode(&self.layers[TREE_DEPTH][0])
    }

    /// The members, by leaf.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The leaf of an identity.
    pub fn position(&self, identity: &Identity) -> Option<usize> {
        self.members.iter().position(|member| identity.is(member))
    }

    /// The siblings from a leaf to the root, and for each level whether the path's node is the right one.
    pub(crate) fn path(&self, leaf: usize) -> (Vec<Fr>, Vec<u8>) {
        (0..TREE_DEPTH)
            .map(|level| {
                let node = leaf >> level;
                let sibling = self.layers[level].get(node ^ 1).unwrap_or(&self.empty[level]);
                (*sibling, (node & 1) as u8)
            })
            .unzip()
    }
}

fn leaf(index: usize, member: &Member) -> Result<Fr, RlnError> {
    if !(1..=MAX_MESSAGE_LIMIT).contains(&member.message_limit) {
        return Err(RlnError::MessageLimit(index));
    }
    let commitment = field::decode(&member.commitment, "identity commitment")?;
    Ok(poseidon_hash(&[commitment, Fr::from(member.message_limit)]))
}
