//! Opens a database, or makes a new one, and connects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt as _, StreamExt as _};
use zeroize::Zeroizing;

use super::acknowledger::Acknowledger;
use super::event_feed::EventFeed;
use super::membership::{RateLimitMembership, Taken};
use super::naming::renamed;
use super::options::Anchor;
use super::{Client, Event, Inner, Options};
use crate::abi::Entropy;
use crate::abi::Storage;
use crate::abi::Transport;
use crate::abi::{Chat, Clock, Config, Start, TransportEvent, VaultHeader, input, transport_event};
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
    /// `STORAGE_FULL`, `STORAGE_FAILED`, `INVALID_ARGUMENT`, `TRANSPORT_FAILED`. The database is as it was then; where there was none, an
    /// empty file may be left, which is bound to no key. `CLOSED` if the membership was that of a client that is closed.
    pub async fn open(options: Options) -> Result<Self> {
        let taken = options.rln.clone().map(Taken::new).transpose()?.map(Arc::new);
        let client = Self::open_with(options, taken.clone()).await?;
        if let Some(taken) = taken {
            taken.keep();
        }
        Ok(client)
    }

    async fn open_with(options: Options, taken: Option<Arc<Taken>>) -> Result<Self> {
        let Options {
            path,
            storage_key,
            mut waku,
            network: _,
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
        if let (Some(membership), Some(taken)) = (&membership, &taken) {
            refuse_twice_given(&config, &waku)?;
            config.rate_limit = Some(taken.limit().clone());
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
        let (of_core, of_membership) = (Arc::clone(&entropy), taken.clone());
        // The disk, the password hash and the compiler block.
        let opening = tokio::task::spawn_blocking(move || {
            if let Some(taken) = of_membership {
                let of_file = storage.is_none() && !path.as_os_str().is_empty();
                let is_new = of_file && path.try_exists().is_ok_and(|exists| !exists);
                taken.open_given(is_new.then_some(&*path))?;
            }
            let storage = match storage {
                Some(storage) => storage,
                None => Arc::new(SqliteStorage::open(path, SqliteOptions { create: true, maximum_bytes: None })?),
            };
            open_core(Arc::clone(&storage), &storage_key, settings, &*of_core).inspect_err(|_| close_storage(&*storage))
        });
        let opened = opening.await.map_err(|error| {
            Error::new(ErrorCode::Internal, "opening ended unexpectedly; report this").caused_by(error)
        })??;
        let Opened { core, credentials, new_header } = opened;
        let client = Self::assemble(core, EngineArguments { transport, clock, entropy, anchor, membership })?;
        let starting = Starting { accept_rollback, taken, credentials, new_header };
        match client.start(starting).await {
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

    async fn start(&self, starting: Starting) -> Result<()> {
        let Starting { accept_rollback, taken, credentials, new_header } = starting;
        let inner = &self.inner;
        if let Some(taken) = taken {
            blocking("rln: opening", move || taken.open_kept(&credentials)).await?;
        }
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
        let mut reports = inner.transport.start();
        // Unusable settings are told at once.
        let first = reports.next().now_or_never().flatten().transpose()?;
        let mut reports = futures::stream::iter(first.map(Ok)).chain(reports);
        // Not before all that may fail: the header binds the database to its key.
        if let Some(header) = new_header {
            let storage = Arc::clone(&inner.storage);
            blocking("writing the header", move || storage.put_header(header)).await?;
        }
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

struct Opened {
    core: Core,
    credentials: Credentials,
    /// Of a new database; not stored yet.
    new_header: Option<VaultHeader>,
}

struct Starting {
    accept_rollback: bool,
    taken: Option<Arc<Taken>>,
    credentials: Credentials,
    new_header: Option<VaultHeader>,
}

/// Runs what writes to the disk or computes for long.
async fn blocking(what: &str, work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorCode::Internal, format!("{what} ended unexpectedly; report this")).caused_by(error)
    })?
}

fn refuse_twice_given(config: &Config, waku: &WakuOptions) -> Result<()> {
    let given_twice = [
        (config.rate_limit.is_some(), "protocol.rate_limit: rln sets it; leave it out"),
        (waku.prover.is_some(), "waku.prover: rln makes the proofs; leave it out"),
    ];
    match given_twice.into_iter().find(|(given, _)| *given) {
        Some((_, message)) => Err(Error::new(ErrorCode::InvalidArgument, message)),
        None => Ok(()),
    }
}

fn open_core(storage: Arc<dyn Storage>, key: &StorageKey, settings: Settings, entropy: &dyn Entropy) -> Result<Opened> {
    let module = CompiledModule::embedded()?;
    let limits = Limits::default();
    let (header, is_new) = match storage.get_header()?.header {
        Some(header) => (header, false),
        None => (create_vault(&*storage, &module, key, entropy)?, true),
    };
    let new_header = is_new.then(|| header.clone());
    let derivation = header.derivation.clone().unwrap_or_default();
    let host_key = derive_key(key, &derivation)?;
    let opened = Core::open(CoreParts { module, limits, storage, settings, header, host_key });
    let (core, credentials) = opened.map_err(in_terms_of_options)?;
    Ok(Opened { core, credentials, new_header })
}

/// The core's settings come from two options.
fn in_terms_of_options(error: Error) -> Error {
    let names = [
        ("key", "storage_key"),
        ("config.cluster_id", "cluster_id"),
        ("config.shard_count", "shard_count"),
        ("config", "protocol"),
    ];
    names.into_iter().fold(error, |error, (name, own)| renamed(error, name, own))
}

/// The header of a new database.
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
    Core::create_vault(module, Limits::default(), derivation, &host_key, entropy.draw()?.bytes)
}

pub(super) fn close_storage(storage: &dyn Storage) {
    if let Err(error) = storage.close() {
        tracing::warn!("closing the storage: {error}");
    }
}
