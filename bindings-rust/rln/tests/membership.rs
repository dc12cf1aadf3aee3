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
    assert_eq!(membership.rate_limit(), RateLimit { epoch_seconds: 600, ..RateLimit::default() });
    let given = bytes(&credentials());
    let membership = membership.credentials(given.clone()).unwrap();
    let limit = RateLimit { epoch_seconds: 600, messages_per_epoch: 100, credentials: given };
    assert_eq!(membership.rate_limit(), limit);
    membership.open(&limit.credentials).unwrap();
    assert_eq!(membership.rate_limit(), RateLimit { epoch_seconds: 600, ..RateLimit::default() }, "wiped once open");
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
    for wrong in [
        spoilt("leafIndex", json!(0)),
        spoilt("userMessageLimit", json!(99)),
        spoilt("rlnIdentifier", json!("00".repeat(32))),
        spoilt("identitySecret", json!(format!("00{}", &secret[2..]))),
        spoilt("identitySecret", json!([secret])),
        vec![0xff, 0xfe],
        Vec::new(),
    ] {
        let membership = RlnMembership::new(&group()).unwrap();
        let error = membership.open(&wrong).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with("rln.credentials: "), "{error}");
        assert!(!format!("{error:?}").contains(&secret[8..16]), "{error:?}");
        assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::Closed);
    }
    let malformed = RlnMembership::new(&group()).unwrap().credentials(b"{}".to_vec()).unwrap_err();
    assert!(malformed.message().starts_with("rln.credentials: "), "{malformed}");
    let error = RlnMembership::new("{}").unwrap_err();
    assert!(error.message().starts_with("rln.group: "), "{error}");
}

#[test]
fn s1_a_membership_is_of_one_client_and_proves_between_opening_and_closing() {
    let membership = RlnMembership::new(&group()).unwrap();
    assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::InvalidArgument);
    membership.open(&bytes(&credentials())).unwrap();
    assert_eq!(membership.open(&bytes(&credentials())).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert!(membership.prove(&request()).is_ok(), "still the first one's");
    membership.close();
    membership.close();
    assert_eq!(membership.prove(&request()).unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(membership.open(&bytes(&credentials())).unwrap_err().code(), ErrorCode::Closed);
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
