//! The prover of a client, over the files of a group.

use chat_rln::{Credentials, GroupFile, ProveError, Prover, RateLimitProof, RlnError, Statement, epoch_of, signal};
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
    for (name, value, field) in [
        ("leafIndex", json!(0), "identitySecret: is not that of the group's member 0"),
        ("leafIndex", json!(3), "leafIndex: is 3 in a group of 3"),
        ("userMessageLimit", json!(99), "userMessageLimit: is 99, in the group 100; if the group's limit was changed"),
        ("rlnIdentifier", json!("00".repeat(32)), "rlnIdentifier: is not the group's"),
    ] {
        let mut credentials = credentials_json();
        credentials[name] = value;
        let error = open(&credentials).expect_err("no member's").to_string();
        assert!(error.starts_with(&format!("credentials.{field}")) && error.contains("; "), "{error}");
        assert!(!error.contains("anew"), "{error}");
    }
}

#[test]
fn s1_bad_group_files_are_refused_by_field() {
    let twin = vectors()["members"][0].clone();
    let no_element = json!({ "identityCommitment": "ff".repeat(32), "userMessageLimit": 1 });
    let too_many = json!({ "identityCommitment": "01".repeat(32), "userMessageLimit": 65_536 });
    for (name, value, error) in [
        ("version", json!(2), "group.version: must be 1, not 2"),
        ("epochSeconds", json!(0), "group.epochSeconds: must be from 1 to 86400, not 0"),
        ("epochSeconds", json!(86_401), "group.epochSeconds: must be from 1 to 86400, not 86401"),
        ("epochSeconds", json!(null), "group.epochSeconds: must be a whole number: see line 1, column "),
        ("members", json!([]), "group.members: a group has 1 to 1048576 members, not 0"),
        ("members", json!([twin, twin]), "group.members[1].identityCommitment: is that of member 0"),
        ("members", json!([no_element]), "group.members[0].identityCommitment: it is no field element"),
        ("members", json!([twin, too_many]), "group.members[1].userMessageLimit: must be from 1 to 65535, not 65536"),
        ("members", json!([7]), "group.members[0]: must be a JSON object: see line 1, column "),
        ("members", json!({}), "group.members: must be a list: see line 1, column "),
        ("rlnIdentifier", json!("00"), "group.rlnIdentifier: must be 64 hex digits: see line 1, column "),
        ("unknown", json!(1), "group: has a field that does not belong there: see line 1, column "),
    ] {
        let mut group = group_json();
        group[name] = value;
        let refused = GroupFile::parse(&group.to_string()).expect_err("refused").to_string();
        assert!(refused.starts_with(error), "{refused}");
        assert!(refused.ends_with("; give the content of group.json, as the network's nodes have it"), "{refused}");
    }
    for (text, error) in [
        ("", "group: is no JSON: see line 1, column 0"),
        ("[]", "group: must be a JSON object: see line 1, column 1"),
        ("{\n  \"version\": 1,\n  \"version\": 1\n}", "group.version: is there twice: see line 3, column 14"),
        ("{\n  \"version\": 1\n}", "group.rlnIdentifier: is missing"),
        ("{\n  \"version\": 1.5\n}", "group.version: must be a whole number: see line 2, column 14"),
    ] {
        let refused = GroupFile::parse(text).expect_err("refused").to_string();
        assert!(refused.starts_with(error), "{refused}");
    }
    let longest = group_json().to_string().replace("\"epochSeconds\":600", "\"epochSeconds\":86400");
    assert_eq!(GroupFile::parse(&longest).expect("a day").epoch_seconds, 86_400);
}

/// Also where one file is given for another, encoded once more, or where the secret became a field's name.
#[test]
fn s3_errors_about_any_file_do_not_quote_it() {
    let secret = vectors()["identitySecret"].as_str().expect("text").to_owned();
    let credentials = credentials_json().to_string();
    let twice = json!(credentials).to_string();
    let as_name = credentials.replace("identitySecret", &secret);
    let in_group = group_json().to_string().replacen("userMessageLimit", &secret, 1);
    let as_number = credentials.replace("\"leafIndex\":1", &format!("\"leafIndex\":\"{secret}\""));
    for text in [&credentials, &twice, &as_name, &in_group, &as_number, &secret, &credentials[..credentials.len() - 2]] {
        let of_group = GroupFile::parse(text).err();
        let of_member = Credentials::parse(text).err();
        assert!(of_group.is_some() && (of_member.is_some() || text == credentials), "opened");
        let shown = format!("{of_group:?} {of_member:?}");
        assert!(!shown.contains(&secret[..8]), "{shown}");
        for error in of_group.into_iter().chain(of_member) {
            let named = error.field.starts_with("group") || error.field.starts_with("credentials");
            assert!(named && error.problem.contains("; give the content of "), "{error}");
        }
    }
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
