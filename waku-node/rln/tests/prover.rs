//! The prover of a client, over the files of a group.

use chat_rln::{Credentials, FileError, GroupFile, ProveError, Prover, RateLimitProof, RlnError, Statement, epoch_of, signal};
use prost::Message;
use serde_json::{Value, json};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../testdata/vectors.json")).expect("JSON")
}

fn group_json() -> Value {
    let v = vectors();
    json!({ "version": 1, "rlnIdentifier": v["rlnIdentifier"], "epochSeconds": v["epochSeconds"], "members": v["members"] })
}

fn credentials_json() -> Value {
    let v = vectors();
    json!({
        "version": 1, "rlnIdentifier": v["rlnIdentifier"], "leafIndex": 1, "userMessageLimit": 100,
        "identityCommitment": v["identityCommitment"], "identitySecret": v["identitySecret"],
    })
}

fn open(credentials: &Value) -> Result<Prover, ProveError> {
    let file = GroupFile::parse(&group_json().to_string()).expect("a group");
    Prover::new(file, Credentials::parse(&credentials.to_string()).expect("credentials"))
}

const TIMESTAMP_NS: i64 = 600_000_000_000 * 2_941_234 + 123_456_789;
const STATEMENT: Statement<'_> = Statement {
    payload: b"payload",
    content_topic: "/test/1/rln/proto",
    timestamp_ns: TIMESTAMP_NS,
    epoch: 2_941_234,
    message_id: 99,
};

#[test]
fn s1_proof_has_the_public_values_of_the_vectors() {
    let encoded = open(&credentials_json()).expect("a prover").prove(&STATEMENT).expect("a proof");
    assert_eq!(encoded.len(), 335);
    let proof = RateLimitProof::decode(encoded.as_slice()).expect("a proof");
    let expected = hex::decode(vectors()["proof"].as_str().expect("text")).expect("hex");
    assert_eq!(proof.merkle_root, expected[128..160]);
    assert_eq!([proof.share_x, proof.share_y, proof.nullifier].concat(), expected[192..]);
    assert_eq!(hex::encode(proof.epoch), vectors()["epoch"].as_str().expect("text"));
}

#[test]
fn s1_signal_and_epoch_are_those_of_the_vectors() {
    let signed = signal(STATEMENT.payload, STATEMENT.content_topic, TIMESTAMP_NS);
    assert_eq!(hex::encode(signed), vectors()["signal"].as_str().expect("text"));
    for (offset, epoch) in [(-1, 3), (0, 4), (600_000_000_000 - 1, 4), (600_000_000_000, 5)] {
        assert_eq!(epoch_of(4 * 600_000_000_000 + offset, 600), epoch);
    }
    assert_eq!(epoch_of(-5, 600), 0);
}

#[test]
fn s1_wrong_epoch_and_message_id_are_refused() {
    let prover = open(&credentials_json()).expect("a prover");
    let wrong = Statement { epoch: 1, ..STATEMENT };
    assert_eq!(prover.prove(&wrong), Err(ProveError::Epoch { given: 1, of_timestamp: STATEMENT.epoch }));
    let over = Statement { message_id: 100, ..STATEMENT };
    assert_eq!(prover.prove(&over), Err(ProveError::Rln(RlnError::MessageId { id: 100, limit: 100 })));
}

#[test]
fn s1_credentials_of_another_group_open_no_prover() {
    for (name, value) in [
        ("leafIndex", json!(0)),
        ("leafIndex", json!(3)),
        ("userMessageLimit", json!(99)),
        ("rlnIdentifier", json!("00".repeat(32))),
    ] {
        let mut credentials = credentials_json();
        credentials[name] = value;
        assert_eq!(open(&credentials).err(), Some(ProveError::AnotherGroup), "{name}");
    }
}

#[test]
fn s1_bad_group_files_are_refused() {
    let spoilt = |name: &str, value: Value| {
        let mut group = group_json();
        group[name] = value;
        GroupFile::parse(&group.to_string())
    };
    assert!(matches!(spoilt("version", json!(2)), Err(FileError::Version(2))));
    assert!(matches!(spoilt("epochSeconds", json!(0)), Err(FileError::EpochSeconds(0))));
    assert!(matches!(spoilt("members", json!([])), Err(FileError::Members(RlnError::GroupSize(0)))));
    assert!(matches!(spoilt("rlnIdentifier", json!("00")), Err(FileError::Group(_))));
    assert!(matches!(spoilt("unknown", json!(1)), Err(FileError::Group(_))));
    assert!(GroupFile::parse("").is_err());
}

#[test]
fn s3_errors_about_credentials_hold_no_part_of_them() {
    let mut other = credentials_json();
    other["identitySecret"] = json!(format!("{}zz", "ab".repeat(31)));
    let mut foreign = credentials_json();
    foreign["identitySecret"] = json!("ab".repeat(32).replace("abab", "0000"));
    for text in [other.to_string(), foreign.to_string(), "abab".to_owned()] {
        let error = Credentials::parse(&text).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains('z') && !format!("{error} {error:?}").contains("abab"), "{error:?}");
    }
    assert!(!format!("{:?}", Credentials::parse(&credentials_json().to_string())).contains("01361f"));
}
