//! S1: the option `rln`, with a membership of the test's own.

mod common;

use std::sync::{Arc, Mutex};

use chatsdk::abi::{Config, RateLimit};
use chatsdk::{
    Client, Error, ErrorCode, InviteOptions, Options, ProofRequest, RateLimitMembership, RateLimitProver, Result,
    StorageKey, WakuOptions,
};
use common::network::Network;
use common::{Person, Stage};

const SECRET: &str = "identitySecret of a member";

/// Takes one secret only, and notes what was asked of it.
struct Membership {
    given: Option<&'static str>,
    calls: Mutex<Vec<String>>,
}

impl Membership {
    fn new(given: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { given, calls: Mutex::default() })
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl RateLimitProver for Membership {
    fn prove(&self, request: &ProofRequest<'_>) -> Result<Vec<u8>> {
        Ok(request.payload.to_vec())
    }
}

impl RateLimitMembership for Membership {
    fn rate_limit(&self) -> RateLimit {
        self.note("rate_limit");
        let credentials = self.given.unwrap_or_default();
        let messages_per_epoch = if credentials.is_empty() { 0 } else { 20 };
        RateLimit { epoch_seconds: 600, messages_per_epoch, credentials: credentials.into() }
    }

    fn open(&self, credentials: &[u8]) -> Result<()> {
        let credentials = String::from_utf8(credentials.to_vec()).unwrap();
        self.note(format!("open {credentials}"));
        if credentials == SECRET {
            return Ok(());
        }
        Err(Error::new(ErrorCode::InvalidArgument, "rln.credentials: of another group; give those of this one"))
    }

    fn close(&self) {
        self.note("close");
    }
}

fn options(stage: &Stage, network: &Network, membership: &Arc<Membership>) -> Options {
    let key = StorageKey::Raw([7; 32]);
    stage.options("alice", key).transport(network.transport()).rln(Arc::clone(membership))
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_credentials_are_given_once_and_then_come_from_the_database_sealed() {
    let (stage, network) = (Stage::new(), Network::default());
    for given in [Some(SECRET), None, None] {
        let membership = Membership::new(given);
        let alice = Person::open(options(&stage, &network, &membership)).await;
        let quota = alice.chat.quota().await.unwrap();
        assert_eq!((quota.limited, quota.limit), (true, 20));
        assert_eq!(membership.calls(), ["rate_limit", &format!("open {SECRET}")], "one opening, before all else");
        let account = alice.chat.default_account().await.unwrap();
        alice.chat.create_invite(&account.id, InviteOptions::default()).await.unwrap();
        alice.close().await;
        assert_eq!(membership.calls().last().unwrap(), "close");
        for file in std::fs::read_dir(stage.folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            let plain = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!plain, "in the clear in {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_without_credentials_and_with_wrong_ones_nothing_opens_is_kept_or_published() {
    let (stage, network) = (Stage::new(), Network::default());
    // An account that would subscribe and look for history.
    let open = || stage.options("alice", StorageKey::Raw([7; 32])).transport(network.transport());
    let alice = Person::open(open()).await;
    alice.chat.default_account().await.unwrap();
    alice.close().await;
    let (published, members) = (network.kept(), network.members());
    for (given, opened) in [(None, false), (Some("credentials of another"), true), (None, false)] {
        let membership = Membership::new(given);
        let error = Client::open(options(&stage, &network, &membership)).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with("rln.credentials: "), "{error}");
        assert!(!format!("{error:?}").contains("another\""), "{error:?}");
        let calls = membership.calls();
        assert_eq!(calls.iter().any(|call| call.starts_with("open")), opened, "{calls:?}");
        assert_eq!(calls.last().unwrap(), "close");
        assert_eq!((network.kept(), network.members()), (published.clone(), members), "the transport did not start");
    }
    // The file is free, and as it was.
    Person::open(open()).await.close().await;
    Person::open(options(&stage, &network, &Membership::new(Some(SECRET)))).await.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_what_the_membership_sets_must_not_be_given_as_well() {
    let (stage, network) = (Stage::new(), Network::default());
    let protocol = Config { rate_limit: Some(RateLimit::default()), ..Config::default() };
    let prover = WakuOptions { prover: Some(Membership::new(None)), ..WakuOptions::new(42, 8) };
    let [one, two] = [(); 2].map(|()| Membership::new(Some(SECRET)));
    for (field, membership, options) in [
        ("protocol.rate_limit: ", &one, options(&stage, &network, &one).protocol(protocol)),
        ("waku.prover: ", &two, options(&stage, &network, &two).waku(prover)),
    ] {
        let error = Client::open(options).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().starts_with(field), "{error}");
        assert_eq!(membership.calls(), ["close"]);
    }
    assert!(!stage.path("alice").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_client_that_is_dropped_closes_its_membership() {
    let (stage, network) = (Stage::new(), Network::default());
    let membership = Membership::new(Some(SECRET));
    drop(Person::open(options(&stage, &network, &membership)).await);
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while membership.calls().last().unwrap() != "close" {
        assert!(std::time::Instant::now() < deadline, "{:?}", membership.calls());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn s3_debug_output_of_options_says_nothing_about_the_prover() {
    let options = WakuOptions { prover: Some(Membership::new(Some(SECRET))), ..WakuOptions::new(42, 8) };
    let shown = format!("{options:?}");
    assert!(shown.contains("prover: Some(RateLimitProver)"), "{shown}");
    assert!(!shown.contains("identitySecret"), "{shown}");
    let limit = Config { rate_limit: Some(Membership::new(Some(SECRET)).rate_limit()), ..Config::default() };
    assert!(!format!("{limit:?}").contains("identitySecret"));
}
