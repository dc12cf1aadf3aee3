//! S1: the option `rln`, with a membership of the test's own.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatsdk::abi::{Config, RateLimit};
use chatsdk::{
    Client, Error, ErrorCode, InviteOptions, Options, ProofRequest, RateLimitMembership, RateLimitProver, Result,
    SqliteOptions, SqliteStorage, StorageKey, WakuOptions,
};
use common::network::Network;
use common::{Person, Stage};

const SECRET: &str = "identitySecret of a member";

/// Takes one secret only, and notes what was asked of it.
struct Membership {
    given: Option<&'static str>,
    calls: Mutex<Vec<String>>,
    panics: bool,
}

impl Membership {
    fn new(given: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { given, calls: Mutex::default(), panics: false })
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
    fn rate_limit(&self) -> Result<RateLimit> {
        if !self.calls().is_empty() {
            self.note("refused");
            return Err(Error::new(ErrorCode::InvalidArgument, "rln: the membership is another client's"));
        }
        self.note("rate_limit");
        let credentials = self.given.unwrap_or_default();
        let messages_per_epoch = if credentials.is_empty() { 0 } else { 20 };
        Ok(RateLimit { epoch_seconds: 600, messages_per_epoch, credentials: credentials.into() })
    }

    fn open(&self, credentials: &[u8]) -> Result<()> {
        let credentials = String::from_utf8(credentials.to_vec()).unwrap();
        self.note(format!("open {credentials}"));
        assert!(!self.panics, "injected");
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
        assert_eq!(membership.calls(), ["rate_limit", "close"]);
    }
    assert!(!stage.path("alice").exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_membership_of_another_client_stays_that_clients() {
    let (stage, network) = (Stage::new(), Network::default());
    let membership = Membership::new(Some(SECRET));
    let alice = Person::open(options(&stage, &network, &membership)).await;
    for _ in 0..2 {
        let second = stage.options("bob", StorageKey::Raw([7; 32])).rln(Arc::clone(&membership));
        let error = Client::open(second).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.message().contains("another client's"), "{error}");
    }
    assert!(!stage.path("bob").exists(), "nothing was made");
    assert!(!membership.calls().contains(&"close".to_owned()), "{:?}", membership.calls());
    alice.close().await;
    assert_eq!(membership.calls().last().unwrap(), "close");
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_first_opening_that_fails_makes_no_database_or_binds_it_to_no_key() {
    let wrong_name = Config { app_name: "no such name".to_owned(), ..Config::default() };
    for (name, given, protocol, is_made) in [
        ("none", None, Config::default(), false),
        ("wrong", Some("credentials of another"), Config::default(), false),
        ("setting", Some(SECRET), wrong_name, true),
    ] {
        let (stage, network) = (Stage::new(), Network::default());
        let with_key = |key: u8, membership: &Arc<Membership>| {
            let options = stage.options(name, StorageKey::Raw([key; 32])).transport(network.transport());
            options.rln(Arc::clone(membership))
        };
        for interrupted in [false, true] {
            if interrupted {
                // As a crash leaves it, between making the file and the header.
                let options = SqliteOptions { create: true, ..SqliteOptions::default() };
                SqliteStorage::open(stage.path(name), options).unwrap().close();
            }
            let membership = Membership::new(given);
            let error = Client::open(with_key(1, &membership).protocol(protocol.clone())).await.err().unwrap();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{name}: {error}");
            assert_eq!(membership.calls().last().unwrap(), "close");
            assert_eq!(stage.path(name).exists(), is_made || interrupted, "{name}");
        }
        Person::open(with_key(2, &Membership::new(Some(SECRET)))).await.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_a_membership_that_panics_or_an_opening_given_up_leaves_no_lock_and_no_membership_open() {
    let (stage, network) = (Stage::new(), Network::default());
    Person::open(options(&stage, &network, &Membership::new(Some(SECRET)))).await.close().await;
    let panicking = Arc::new(Membership { given: None, calls: Mutex::default(), panics: true });
    let error = Client::open(options(&stage, &network, &panicking)).await.err().unwrap();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert_eq!(panicking.calls().last().unwrap(), "close");
    let given_up = Membership::new(None);
    let opening = Client::open(options(&stage, &network, &given_up));
    assert!(tokio::time::timeout(Duration::ZERO, opening).await.is_err(), "it takes longer");
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while given_up.calls().last().unwrap() != "close" {
        assert!(std::time::Instant::now() < deadline, "{:?}", given_up.calls());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The thread that opened the file may need a moment to close it.
    let mut opened = Client::open(options(&stage, &network, &Membership::new(None))).await;
    while opened.as_ref().is_err_and(|error| error.is_retryable()) {
        assert!(std::time::Instant::now() < deadline, "{:?}", opened.err());
        tokio::time::sleep(Duration::from_millis(10)).await;
        opened = Client::open(options(&stage, &network, &Membership::new(None))).await;
    }
    opened.unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_client_that_is_dropped_closes_its_membership() {
    let (stage, network) = (Stage::new(), Network::default());
    let membership = Membership::new(Some(SECRET));
    drop(Person::open(options(&stage, &network, &membership)).await);
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while membership.calls().last().unwrap() != "close" {
        assert!(std::time::Instant::now() < deadline, "{:?}", membership.calls());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn s3_debug_output_of_options_says_nothing_about_the_prover() {
    let options = WakuOptions { prover: Some(Membership::new(Some(SECRET))), ..WakuOptions::new(42, 8) };
    let shown = format!("{options:?}");
    assert!(shown.contains("prover: Some(RateLimitProver)"), "{shown}");
    assert!(!shown.contains("identitySecret"), "{shown}");
    let limit = Config { rate_limit: Some(Membership::new(Some(SECRET)).rate_limit().unwrap()), ..Config::default() };
    assert!(!format!("{limit:?}").contains("identitySecret"));
}
