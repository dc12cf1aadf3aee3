//! Opens a database, or makes a new one, and connects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt as _, StreamExt as _};
use zeroize::Zeroizing;

use super::acknowledger::Acknowledger;
use super::event_feed::EventFeed;
use super::membership::RateLimitMembership;
use super::options::Anchor;
use super::{Client, Event, Inner, Options};
use crate::abi::Entropy;
use crate::abi::Storage;
use crate::abi::Transport;
use crate::abi::{Chat, Clock, Config, RateLimit, Start, TransportEvent, VaultHeader, input, transport_event};
use crate::engine::{Core, CoreParts, Engine, EngineParts, Settings};
use crate::error::{Error, ErrorCode, Result};
use crate::keys::{StorageKey, derive_key, new_derivation};
use crate::module::{CompiledModule, Limits};
use crate::storage::{FileRollbackAnchor, RollbackAnchor, SqliteOptions, SqliteStorage, has_records};
use crate::transport::{WakuOptions, WakuTransport};

impl Client {
    /// Opens a database, or makes a new one, and connects in the background. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `WRONG_KEY`, `KEYRING_UNAVAILABLE`, `STATE_ROLLED_BACK`, `UNSUPPORTED_VERSION`, `DATABASE_CORRUPT`, `DATABASE_LOCKED`,
    /// `STORAGE_FULL`, `STORAGE_FAILED`, `INVALID_ARGUMENT`, `TRANSPORT_FAILED`. Nothing was changed.
    pub async fn open(options: Options) -> Result<Self> {
        let membership = options.rln.clone();
        let opened = Self::open_with(options).await;
        if let (Err(_), Some(membership)) = (&opened, membership) {
            membership.close();
        }
        opened
    }

    async fn open_with(options: Options) -> Result<Self> {
        let Options {
            path,
            storage_key,
            mut waku,
            protocol,
            rln: membership,
            accept_rollback,
            storage,
            transport,
            clock,
            entropy,
            anchor,
        } = options;
        let mut config = Config { cluster_id: waku.cluster_id, shard_count: waku.shard_count, ..protocol };
        if let Some(membership) = &membership {
            config.rate_limit = Some(rate_limit_of(&**membership, &config, &waku)?);
            waku.prover = Some(Arc::clone(membership) as _);
        }
        let settings = Settings::new(config);
        let anchor: Option<Arc<dyn RollbackAnchor>> = match anchor {
            Anchor::None => None,
            Anchor::Given(anchor) => Some(anchor),
            Anchor::OfUser => Some(Arc::new(FileRollbackAnchor::of_user()?)),
        };
        let transport: Arc<dyn Transport> = match transport {
            Some(transport) => transport,
            None => Arc::new(WakuTransport::new(waku)?),
        };
        let of_core = Arc::clone(&entropy);
        // The disk, the password hash and the compiler block.
        let opening = tokio::task::spawn_blocking(move || {
            let storage = match storage {
                Some(storage) => storage,
                None => Arc::new(SqliteStorage::open(path, SqliteOptions { create: true, maximum_bytes: None })?),
            };
            open_core(Arc::clone(&storage), &storage_key, settings, &*of_core).inspect_err(|_| close_storage(&*storage))
        });
        let (core, credentials) = opening.await.map_err(|error| {
            Error::new(ErrorCode::Internal, "opening ended unexpectedly; report this").caused_by(error)
        })??;
        let client = Self::assemble(core, EngineArguments { transport, clock, entropy, anchor, membership })?;
        match client.start(accept_rollback, credentials).await {
            Ok(()) => Ok(client),
            Err(error) => {
                if let Err(failure) = client.close().await {
                    tracing::warn!("closing: {failure}");
                }
                Err(error)
            }
        }
    }

    fn assemble(core: Core, arguments: EngineArguments) -> Result<Self> {
        let EngineArguments { transport, clock, entropy, anchor, membership } = arguments;
        let acknowledger = Acknowledger::new(Arc::clone(&clock));
        let to_acknowledger = Arc::clone(&acknowledger);
        let feed = Arc::new(EventFeed::new(move |number| to_acknowledger.acknowledge_soon(number)));
        let to_feed = Arc::clone(&feed);
        let (storage, database_id, generation) =
            (Arc::clone(core.storage()), core.database_id().to_owned(), core.generation());
        let engine = Engine::new(
            core,
            EngineParts {
                transport: Arc::clone(&transport),
                clock,
                entropy: Arc::clone(&entropy),
                anchor: anchor.clone(),
                on_event: Box::new(move |data| {
                    if let Some(event) = Event::from_data(data) {
                        to_feed.push(event);
                    }
                }),
            },
        )?;
        let engine = Arc::new(engine);
        acknowledger.attach(&engine);
        Ok(Self {
            inner: Arc::new(Inner {
                chat: Chat::new(Arc::clone(&engine)),
                engine,
                feed,
                acknowledger,
                storage,
                transport,
                entropy,
                anchor,
                membership,
                database_id,
                opened_at: generation,
                online: Arc::new(AtomicBool::new(false)),
                first_account: tokio::sync::Mutex::new(()),
                closed: tokio::sync::Mutex::new(false),
                runtime: tokio::runtime::Handle::current(),
            }),
        })
    }

    async fn start(&self, accept_rollback: bool, credentials: Credentials) -> Result<()> {
        let inner = &self.inner;
        let generation = inner.opened_at;
        let seen_generation = match &inner.anchor {
            Some(anchor) => {
                anchor.lock(&inner.database_id)?;
                anchor.read(&inner.database_id)?.unwrap_or_default()
            }
            None => 0,
        };
        let rolled_back = seen_generation > generation;
        if rolled_back && !accept_rollback {
            let message = format!(
                "database: an old copy (commit {generation}, this machine has seen {seen_generation}); open the newest, or accept the rollback and repair the conversations"
            );
            return Err(Error::new(ErrorCode::StateRolledBack, message));
        }
        if let Some(membership) = inner.membership.clone() {
            // It blocks.
            let opening = tokio::task::spawn_blocking(move || open_membership(&*membership, &credentials));
            opening.await.map_err(|error| {
                Error::new(ErrorCode::Internal, "rln: opening ended unexpectedly; report this").caused_by(error)
            })??;
        }
        let mut reports = inner.transport.start();
        // Unusable settings are told at once.
        let first = reports.next().now_or_never().flatten().transpose()?;
        let mut reports = futures::stream::iter(first.map(Ok)).chain(reports);
        let (engine, feed, online) =
            (Arc::downgrade(&inner.engine), Arc::clone(&inner.feed), Arc::clone(&inner.online));
        inner.engine.follow(async move {
            while let Some(report) = reports.next().await {
                let Some(engine) = engine.upgrade() else { return };
                let event = report.map(|TransportEvent { event }| event).unwrap_or_else(|error| {
                    tracing::warn!("transport: {error}");
                    None
                });
                match event {
                    Some(transport_event::Event::Envelope(envelope)) => engine.take_in(envelope).await,
                    Some(transport_event::Event::Connection(change)) => {
                        online.store(change.online, Ordering::Relaxed);
                        engine.feed(input::Input::ConnectionChanged(change));
                        feed.push(Event::ConnectionChanged { online: change.online });
                    }
                    None => {}
                }
            }
        });
        inner.engine.start(Start { rolled_back, seen_generation }).await
    }
}

struct EngineArguments {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    anchor: Option<Arc<dyn RollbackAnchor>>,
    membership: Option<Arc<dyn RateLimitMembership>>,
}

/// Of a rate limit; empty if there are none.
type Credentials = Zeroizing<Vec<u8>>;

fn rate_limit_of(membership: &dyn RateLimitMembership, config: &Config, waku: &WakuOptions) -> Result<RateLimit> {
    let given_twice = [
        (config.rate_limit.is_some(), "protocol.rate_limit: rln sets it; leave it out"),
        (waku.prover.is_some(), "waku.prover: rln makes the proofs; leave it out"),
    ];
    match given_twice.into_iter().find(|(given, _)| *given) {
        Some((_, message)) => Err(Error::new(ErrorCode::InvalidArgument, message)),
        None => Ok(membership.rate_limit()),
    }
}

fn open_membership(membership: &dyn RateLimitMembership, credentials: &[u8]) -> Result<()> {
    if credentials.is_empty() {
        let message = "rln.credentials: missing, and the database has none; give the content of member-N.json once";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    membership.open(credentials)
}

fn open_core(
    storage: Arc<dyn Storage>,
    key: &StorageKey,
    settings: Settings,
    entropy: &dyn Entropy,
) -> Result<(Core, Credentials)> {
    let module = CompiledModule::embedded()?;
    let limits = Limits::default();
    let header = match storage.get_header()?.header {
        Some(header) => header,
        None => create_vault(&*storage, &module, key, entropy)?,
    };
    let derivation = header.derivation.clone().unwrap_or_default();
    let host_key = derive_key(key, &derivation)?;
    Core::open(CoreParts { module, limits, storage, settings, header, host_key })
}

fn create_vault(
    storage: &dyn Storage,
    module: &Arc<CompiledModule>,
    key: &StorageKey,
    entropy: &dyn Entropy,
) -> Result<VaultHeader> {
    if has_records(storage)? {
        let message = "database: it has records but no header; restore a backup";
        return Err(Error::new(ErrorCode::DatabaseCorrupt, message));
    }
    let derivation = new_derivation(key)?;
    let host_key = derive_key(key, &derivation)?;
    let header = Core::create_vault(module, Limits::default(), derivation, &host_key, entropy.draw()?.bytes)?;
    storage.put_header(header.clone())?;
    Ok(header)
}

pub(super) fn close_storage(storage: &dyn Storage) {
    if let Err(error) = storage.close() {
        tracing::warn!("closing the storage: {error}");
    }
}
