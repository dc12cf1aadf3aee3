//! Real proofs, and each way of cheating with them.

use std::sync::LazyLock;

use chat_rln::{
    Group, Identity, MAX_MESSAGE_LIMIT, Member, PROOF_SIZE, ProofRequest, RlnError, external_nullifier, prove, recover_secret,
    verify,
};

const LIMIT: u64 = 20;
const EPOCH: [u8; 32] = [7; 32];
const MODULUS: [u8; 32] = [
    0x01, 0x00, 0x00, 0xf0, 0x93, 0xf5, 0xe1, 0x43, 0x91, 0x70, 0xb9, 0x79, 0x48, 0xe8, 0x33, 0x28, 0x5d, 0x58, 0x81, 0x81, 0xb6,
    0x45, 0x50, 0xb8, 0x29, 0xa0, 0x31, 0xe1, 0x72, 0x4e, 0x64, 0x30,
];

fn identity(number: usize) -> Identity {
    Identity::from_seed(format!("member {number} of the test's group, 32 bytes").as_bytes())
}

fn group(size: usize) -> Group {
    let member = |number| Member { commitment: identity(number).commitment(), message_limit: LIMIT };
    Group::new((0..size).map(member).collect()).expect("a group")
}

fn nullifier() -> [u8; 32] {
    external_nullifier(&EPOCH, b"rln.test")
}

fn proof_of(group: &Group, leaf: u64, message_id: u64, signal: &[u8]) -> Result<[u8; PROOF_SIZE], RlnError> {
    let identity = identity(usize::try_from(leaf).expect("small"));
    prove(group, &ProofRequest { identity: &identity, leaf, message_id, external_nullifier: &nullifier(), signal })
}

fn field(proof: &[u8; PROOF_SIZE], position: usize) -> [u8; 32] {
    let start = 128 + 32 * position;
    proof[start..start + 32].try_into().expect("32 bytes")
}

static GROUP: LazyLock<Group> = LazyLock::new(|| group(3));
static PROOF: LazyLock<[u8; PROOF_SIZE]> = LazyLock::new(|| proof_of(&GROUP, 1, 5, b"signal").expect("a proof"));

#[test]
fn s1_members_proof_verifies_for_its_signal_epoch_and_group_only() {
    assert!(verify(&PROOF, &GROUP.root(), &nullifier(), b"signal"));
    assert!(!verify(&PROOF, &GROUP.root(), &nullifier(), b"signaL"));
    assert!(!verify(&PROOF, &GROUP.root(), &external_nullifier(&[8; 32], b"rln.test"), b"signal"));
    assert!(!verify(&PROOF, &GROUP.root(), &external_nullifier(&EPOCH, b"rln.other"), b"signal"));
    assert!(!verify(&PROOF, &group(2).root(), &nullifier(), b"signal"));
}

#[test]
fn s1_every_leaf_of_a_ragged_tree_proves() {
    for leaf in 0..3 {
        let proof = proof_of(&GROUP, leaf, 0, b"x").expect("a proof");
        assert!(verify(&proof, &GROUP.root(), &nullifier(), b"x"), "leaf {leaf}");
    }
}

#[test]
fn s1_message_id_at_the_limit_is_refused() {
    assert!(proof_of(&GROUP, 1, LIMIT - 1, b"x").is_ok());
    for id in [LIMIT, LIMIT + 1, (1 << 16) + 3, u64::MAX] {
        assert_eq!(proof_of(&GROUP, 1, id, b"x"), Err(RlnError::MessageId { id, limit: LIMIT }));
    }
}

#[test]
fn s1_foreign_identity_cannot_prove() {
    let identity = identity(9);
    let request = ProofRequest { identity: &identity, leaf: 1, message_id: 0, external_nullifier: &nullifier(), signal: b"x" };
    assert_eq!(prove(&GROUP, &request), Err(RlnError::NotThatMember(1)));
    assert_eq!(proof_of(&GROUP, 3, 0, b"x"), Err(RlnError::NoSuchMember(3)));
}

#[test]
fn s1_second_use_of_a_message_id_names_its_author() {
    let again = proof_of(&GROUP, 1, 5, b"other").expect("a proof");
    assert_eq!(field(&PROOF, 4), field(&again, 4), "one nullifier for one message id");
    let author =
        recover_secret((&field(&PROOF, 2), &field(&PROOF, 3)), (&field(&again, 2), &field(&again, 3))).expect("an identity");
    assert_eq!(author.secret(), identity(1).secret());
    assert_eq!(GROUP.position(&author), Some(1));
}

#[test]
fn s1_honest_messages_do_not_name_their_author() {
    let next = proof_of(&GROUP, 1, 6, b"other").expect("a proof");
    assert_ne!(field(&PROOF, 4), field(&next, 4));
    let guess = recover_secret((&field(&PROOF, 2), &field(&PROOF, 3)), (&field(&next, 2), &field(&next, 3))).expect("a guess");
    assert_eq!(GROUP.position(&guess), None);
}

#[test]
fn s1_proof_made_anew_for_the_same_message_reveals_no_more() {
    let again = proof_of(&GROUP, 1, 5, b"signal").expect("a proof");
    assert_ne!(PROOF[..128], again[..128]);
    assert_eq!(PROOF[128..], again[128..]);
    let share = (&field(&again, 2), &field(&again, 3));
    assert_eq!(recover_secret((&field(&PROOF, 2), &field(&PROOF, 3)), share).err(), Some(RlnError::SameShare));
}

#[test]
fn s1_second_encoding_of_a_nullifier_is_refused() {
    for position in 0..5 {
        let mut proof = *PROOF;
        let start = 128 + 32 * position;
        let mut carry = 0u16;
        for (byte, modulus) in proof[start..start + 32].iter_mut().zip(MODULUS) {
            carry += u16::from(*byte) + u16::from(modulus);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(carry == 0, "the sum fits 32 bytes");
        assert!(!verify(&proof, &GROUP.root(), &nullifier(), b"signal"), "value {position}");
    }
}

#[test]
fn s1_group_refuses_bad_members() {
    let good = Member { commitment: identity(0).commitment(), message_limit: LIMIT };
    assert_eq!(Group::new(vec![]).err(), Some(RlnError::GroupSize(0)));
    for message_limit in [0, MAX_MESSAGE_LIMIT + 1] {
        assert_eq!(Group::new(vec![good, Member { message_limit, ..good }]).err(), Some(RlnError::MessageLimit(1)));
    }
    let commitment = MODULUS;
    assert!(matches!(Group::new(vec![Member { commitment, ..good }]), Err(RlnError::NotAFieldElement(_))));
    assert!(Identity::from_secret(&MODULUS).is_err());
}

#[test]
fn s3_debug_output_holds_no_secret() {
    assert_eq!(format!("{:?}", identity(0)), "Identity { .. }");
}

/// The file that the other languages check themselves against; `cargo run --release --example vectors` makes it.
#[test]
fn s1_vectors_of_all_languages_hold() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../testdata/vectors.json")).expect("JSON");
    let bytes = |name: &str| -> Vec<u8> {
        let hex = vectors[name].as_str().expect("text");
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    };
    let array = |name: &str| -> [u8; 32] { bytes(name).try_into().expect("32 bytes") };
    let author = Identity::from_secret(&array("identitySecret")).expect("a secret");
    assert_eq!(*author.secret(), *Identity::from_seed(&bytes("seed")).secret());
    assert_eq!(author.commitment(), array("identityCommitment"));
    assert_eq!(external_nullifier(&array("epoch"), &array("rlnIdentifier")), array("externalNullifier"));
    let proof = bytes("proof").try_into().expect("288 bytes");
    assert!(verify(&proof, &array("merkleRoot"), &array("externalNullifier"), &bytes("signal")));
}

#[test]
fn s1_any_changed_bit_makes_a_proof_invalid() {
    for bit in 0..PROOF_SIZE * 8 {
        let mut proof = *PROOF;
        proof[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify(&proof, &GROUP.root(), &nullifier(), b"signal"), "bit {bit}");
    }
}
