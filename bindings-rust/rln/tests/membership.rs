//! The membership over the vectors that all languages share.

use std::fmt::Write as _;

use chatsdk::abi::RateLimit;
use chatsdk::{ErrorCode, ProofRequest, RateLimitMembership as _, RateLimitProver as _};
use chatsdk_rln::RlnMembership;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../waku-node/rln/testdata/vectors.json");
const PAYLOAD: &[u8] = b"payload";

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn group() -> String {
    let v = vectors();
    json!({ "version": 1, "rlnIdentifier": v["rlnIdentifier"], "epochSeconds": v["epochSeconds"], "members": v["members"] })
        .to_string()
}

fn credentials() -> Value {
    let v = vectors();
    json!({
        "version": 1, "rlnIdentifier": v["rlnIdentifier"], "leafIndex": 1, "userMessageLimit": 100,
        "identityCommitment": v["identityCommitment"], "identitySecret": v["identitySecret"],
    })
}

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

fn request() -> ProofRequest<'static> {
    let timestamp_ns = vectors()["timestampNs"].as_str().unwrap().parse().unwrap();
    ProofRequest { topic: "/test/1/rln/proto", payload: PAYLOAD, timestamp_ns, epoch: 2_941_234, message_id: 99 }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn s1_the_rate_limit_is_that_of_the_group_and_of_the_credentials() {
    let membership = RlnMembership::new(&group()).unwrap();
    assert_eq!(membership.rate_limit().unwrap(), RateLimit { epoch_seconds: 600, ..RateLimit::default() });
    let given = bytes(&credentials());
    let membership = RlnMembership::new(&group()).unwrap().credentials(given.clone()).unwrap();
    let limit = RateLimit { epoch_seconds: 600, messages_per_epoch: 100, credentials: given };
    assert_eq!(membership.rate_limit().unwrap(), limit);
    membership.open(&limit.credentials).unwrap();
}

#[test]
fn s1_a_proof_has_the_public_values_of_the_vectors() {
    let membership = RlnMembership::new(&group()).unwrap();
    membership.open(&bytes(&credentials())).unwrap();
    let proof = hex(&membership.prove(&request()).unwrap());
    let expected = vectors()["proof"].as_str().unwrap()[256..].to_owned();
    for (name, value) in [("root", 0), ("share x", 2), ("share y", 3), ("nullifier", 4)] {
        assert!(proof.contains(&expected[value * 64..(value + 1) * 64]), "{name}");
    }
}

#[test]
fn s1_a_stale_epoch_fails_before_a_proof_is_made() {
    let membership = RlnMembership::new(&group()).unwrap();
    membership.open(&bytes(&credentials())).unwrap();
    membership.prove(&request()).unwrap();
    let start = std::time::Instant::now();
    for _ in 0..1_000 {
        let error = membership.prove(&ProofRequest { epoch: 2_941_233, ..request() }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with("epoch: "), "{error}");
    }
    assert!(start.elapsed().as_millis() < 1_000, "a thousand proofs take minutes");
}

#[test]
fn s1_wrong_credentials_open_nothing_and_are_not_in_the_error() {
    let secret = vectors()["identitySecret"].as_str().unwrap().to_owned();
    let spoilt = |name: &str, value: Value| {
        let mut credentials = credentials();
        credentials[name] = value;
        bytes(&credentials)
    };
    for (wrong, says) in [
        (spoilt("leafIndex", json!(0)), ".identitySecret: is not that of the group's member 0; give"),
        (spoilt("leafIndex", json!(3)), ".leafIndex: is 3 in a group of 3; give"),
        (spoilt("userMessageLimit", json!(99)), ".userMessageLimit: is 99, in the group 100; if the group's limit"),
        (spoilt("userMessageLimit", json!(65_536)), ".userMessageLimit: must be from 1 to 65535, not 65536; give"),
        (spoilt("rlnIdentifier", json!("00".repeat(32))), ".rlnIdentifier: is not the group's; give"),
        (spoilt("identitySecret", json!(format!("00{}", &secret[2..]))), ".identityCommitment: does not belong"),
        (spoilt("identitySecret", json!([secret])), ".identitySecret: must be 64 hex digits: see line 1, column "),
        (spoilt(&secret, json!(1)), ": has a field that does not belong there: see line 1, column "),
        (
            bytes(&credentials())[..300].to_vec(),
            ": is no JSON: see line 1, column 300; give the content of a member-N.json",
        ),
        (vec![0xff, 0xfe], ": no UTF-8; give"),
        (Vec::new(), ": is no JSON: see line 1, column 0; give"),
    ] {
        let membership = RlnMembership::new(&group()).unwrap();
        let error = membership.open(&wrong).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with(&format!("rln.credentials{says}")), "{error}");
        assert!(!error.message().contains("anew"), "{error}");
        assert!(!format!("{error:?}").contains(&secret[8..16]), "{error:?}");
        assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::Closed);
    }
    for malformed in [b"{}".as_slice(), b""] {
        let error = RlnMembership::new(&group()).unwrap().credentials(malformed.to_vec()).unwrap_err();
        assert!(error.message().starts_with("rln.credentials"), "{error}");
    }
}

#[test]
fn s1_wrong_groups_are_named_by_field_and_not_quoted() {
    let secret = vectors()["identitySecret"].as_str().unwrap().to_owned();
    let credentials = credentials().to_string();
    let epoch = |seconds: u32| group().replace("\"epochSeconds\":600", &format!("\"epochSeconds\":{seconds}"));
    for (wrong, says) in [
        (epoch(100_000), ".epochSeconds: must be from 1 to 86400, not 100000; give"),
        (epoch(0), ".epochSeconds: must be from 1 to 86400, not 0; give"),
        ("{}".to_owned(), ".version: is missing; give"),
        ("member-0.json".to_owned(), ": is no JSON: see line 1, column 1; give the content of group.json"),
        (json!(credentials).to_string(), ": must be a JSON object: see line 1, column 1; give"),
        (credentials, ".epochSeconds: is missing; give"),
    ] {
        let error = RlnMembership::new(&wrong).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with(&format!("rln.group{says}")), "{error}");
        assert!(!format!("{error:?}").contains(&secret[8..16]), "{error:?}");
    }
    assert_eq!(RlnMembership::new(&epoch(86_400)).unwrap().rate_limit().unwrap().epoch_seconds, 86_400);
}

#[test]
fn s1_a_membership_is_of_one_client_and_proves_between_opening_and_closing() {
    let membership = RlnMembership::new(&group()).unwrap();
    assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::InvalidArgument);
    membership.rate_limit().unwrap();
    let twice = membership.rate_limit().unwrap_err();
    assert_eq!(twice.code(), ErrorCode::InvalidArgument);
    assert!(twice.message().contains("another client's"), "{twice}");
    membership.open(&bytes(&credentials())).unwrap();
    assert_eq!(membership.rate_limit().unwrap_err().code(), ErrorCode::InvalidArgument);
    assert_eq!(membership.open(&bytes(&credentials())).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert!(membership.prove(&request()).is_ok(), "still the first one's");
    membership.close();
    membership.close();
    assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(membership.open(&bytes(&credentials())).unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(membership.rate_limit().unwrap_err().code(), ErrorCode::Closed);
}

#[test]
fn s3_debug_output_holds_no_secret() {
    let secret = vectors()["identitySecret"].as_str().unwrap().to_owned();
    let membership = RlnMembership::new(&group()).unwrap().credentials(bytes(&credentials())).unwrap();
    let mut shown = format!("{membership:?} {:?}", membership.rate_limit());
    membership.open(&bytes(&credentials())).unwrap();
    shown += &format!("{membership:?}");
    assert!(!shown.contains(&secret[..8]) && !shown.contains("identitySecret"), "{shown}");
}
