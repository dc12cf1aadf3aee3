//! One client, and what it is told.

use std::time::Duration;

use chatsdk::abi::Config;
use chatsdk::{Client, InviteOptions, Options, Page, Position, StorageKey, WakuOptions};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::content;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::parameters::Parameters;
use crate::shapes;
use crate::store::Store;

pub struct Agent {
    output: Output,
    client: Option<Client>,
    /// Writes the events.
    events: Option<tokio::task::JoinHandle<()>>,
    closed: bool,
    store: Store,
}

impl Agent {
    pub fn new(output: Output) -> Self {
        Self { output, client: None, events: None, closed: false, store: Store::default() }
    }

    pub async fn serve(&mut self, method: &str, params: &Parameters) -> Outcome {
        match method {
            "open" => self.open(params).await,
            "close" => self.close().await,
            "storeOpen" => self.store.open(params),
            "store" => self.store.call(params),
            _ => call(self.client()?, method, params).await,
        }
    }

    /// Closes what is open.
    pub async fn end(&mut self) -> chatsdk::Result<()> {
        let closed = match &self.client {
            Some(client) => client.close().await,
            None => Ok(()),
        };
        self.end_events().await;
        closed.and(self.store.end())
    }

    fn client(&self) -> Outcome<&Client> {
        self.client.as_ref().ok_or_else(|| Failure::agent("open: no client was opened"))
    }

    async fn open(&mut self, params: &Parameters) -> Outcome {
        if self.client.is_some() && !self.closed {
            return Err(Failure::agent("open: a client is open"));
        }
        let client = Client::open(options(params)?).await?;
        if params.flag("events")?.unwrap_or(true) {
            let (mut events, output) = (client.events(), self.output.clone());
            self.events = Some(tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let Some(line) = shapes::event(&event) else { continue };
                    if let Err(error) = output.write(&json!({ "event": line })) {
                        return tracing::error!("standard output: {error}");
                    }
                }
            }));
        }
        self.client = Some(client);
        self.closed = false;
        Ok(Value::Null)
    }

    async fn close(&mut self) -> Outcome {
        let Some(client) = &self.client else { return Ok(Value::Null) };
        let closed = client.close().await;
        self.closed = true;
        self.end_events().await;
        closed?;
        Ok(Value::Null)
    }

    /// The client is closed: the loop comes to its end.
    async fn end_events(&mut self) {
        if let Some(events) = self.events.take()
            && let Err(error) = events.await
        {
            tracing::error!("events: {error}");
        }
    }
}

async fn call(client: &Client, method: &str, params: &Parameters) -> Outcome {
    let conversation_id = || params.text("conversationId");
    let account_id = || params.text("accountId");
    Ok(match method {
        "defaultAccount" => shapes::account(&client.default_account().await?),
        "createAccount" => shapes::account(&client.create_account().await?),
        "accounts" => client.accounts().await?.iter().map(shapes::account).collect(),
        "deleteAccount" => client.delete_account(account_id()?).await?.into(),
        "createInvite" => {
            let options = InviteOptions {
                valid_for: params.number("validForMs")?.map(Duration::from_millis),
                reusable: params.flag("reusable")?.unwrap_or(false),
            };
            shapes::invite(&client.create_invite(account_id()?, options).await?)
        }
        "invites" => client.invites(account_id()?).await?.iter().map(shapes::invite).collect(),
        "revokeInvite" => client.revoke_invite(params.text("inviteId")?).await?.into(),
        "inspectInvite" => shapes::invite_details(&client.inspect_invite(params.text("link")?).await?),
        "acceptInvite" => {
            let first = content::to_send(params)?;
            shapes::conversation(&client.accept_invite(account_id()?, params.text("link")?, first).await?)
        }
        "conversations" => {
            let found = match params.optional_text("accountId")? {
                Some(account_id) => client.conversations_of(account_id).await?,
                None => client.conversations().await?,
            };
            found.iter().map(shapes::conversation).collect()
        }
        "conversation" => shapes::conversation(&client.conversation(conversation_id()?).await?),
        "deleteConversation" => client.delete_conversation(conversation_id()?).await?.into(),
        "safetyNumber" => client.safety_number(conversation_id()?).await?.into(),
        "setVerified" => {
            let verified = params.flag("verified")?.ok_or_else(|| Failure::agent("verified: missing"))?;
            client.set_verified(conversation_id()?, verified).await?.into()
        }
        "repairConversation" => client.repair_conversation(conversation_id()?).await?.into(),
        "acceptRepair" => client.accept_repair(conversation_id()?).await?.into(),
        "send" => shapes::message(&client.send(conversation_id()?, content::to_send(params)?).await?),
        "cancel" => client.cancel(conversation_id()?, params.text("messageId")?).await?.into(),
        "markRead" => {
            let (conversation, message) = (conversation_id()?, params.text("messageId")?);
            match params.flag("sendReceipt")?.unwrap_or(true) {
                true => client.mark_read(conversation, message).await?.into(),
                false => client.mark_read_silently(conversation, message).await?.into(),
            }
        }
        "messages" => client.messages(conversation_id()?, page(params)?).await?.iter().map(shapes::message).collect(),
        "message" => shapes::message(&client.message(conversation_id()?, params.text("messageId")?).await?),
        "unreadCount" => client.unread_count(conversation_id()?).await?.into(),
        "search" => {
            let (query, page) = (params.text("query")?, page(params)?);
            let found = match params.optional_text("conversationId")? {
                Some(conversation) => client.search_in(conversation, query, page).await?,
                None => client.search(query, page).await?,
            };
            found.iter().map(shapes::message).collect()
        }
        "changeStorageKey" => {
            client.change_storage_key(storage_key(params, "oldKey")?, storage_key(params, "newKey")?).await?.into()
        }
        "quota" => {
            let quota = client.quota().await?;
            if quota.limited { shapes::quota(&quota) } else { Value::Null }
        }
        "stats" => {
            let stats = client.stats().await?;
            json!({ "online": stats.online, "residentBytes": resident_bytes()?, "moduleBytes": stats.module_bytes })
        }
        _ => return Err(Failure::agent(format!("{method}: no such method"))),
    })
}

fn options(params: &Parameters) -> Outcome<Options> {
    let peers = match params.get("peers") {
        None => Vec::new(),
        Some(peers) => {
            serde_json::from_value(peers.clone()).map_err(|error| Failure::agent(format!("peers: {error}")))?
        }
    };
    let relay = match params.optional_text("transport")? {
        None | Some("light") => false,
        Some("relay") => true,
        Some(other) => return Err(Failure::agent(format!("transport: {other} is none of this agent's"))),
    };
    let network = WakuOptions::new(
        params.small_number("clusterId")?.unwrap_or(42),
        params.small_number("shardCount")?.unwrap_or(8),
    );
    Ok(Options::new(params.text("path")?, storage_key(params, "storageKey")?)
        .waku(WakuOptions { peers, relay, ..network })
        .protocol(protocol(params)?)
        .accept_rollback(params.flag("acceptRollback")?.unwrap_or(false)))
}

/// What the language cannot express is one that the SDK refuses.
fn storage_key(params: &Parameters, name: &str) -> Outcome<StorageKey> {
    let fields = params.object(name)?;
    let only = fields.0.len() == 1;
    Ok(match (only, fields.optional_text("passphrase")?, fields.get("rawKey"), fields.flag("unprotected")?) {
        (true, Some(passphrase), None, None) => StorageKey::passphrase(passphrase),
        (true, None, Some(_), None) => match fields.bytes("rawKey")?.try_into() {
            Ok(key) => StorageKey::Raw(key),
            Err(_) => StorageKey::passphrase(""),
        },
        (true, None, None, Some(true)) => StorageKey::Unprotected,
        _ => StorageKey::passphrase(""),
    })
}

fn protocol(params: &Parameters) -> Outcome<Config> {
    let mut config = Config::default();
    if params.get("protocol").is_none() {
        return Ok(config);
    }
    let fields = params.object("protocol")?;
    for name in fields.0.keys() {
        let small = || fields.small_number(name).map(Option::unwrap_or_default);
        let large = || fields.number(name).map(Option::unwrap_or_default);
        match name.as_str() {
            "appName" => config.app_name = fields.text(name)?.into(),
            "appVersion" => config.app_version = fields.text(name)?.into(),
            "bucketCount" => config.bucket_count = small()?,
            "minimumSuite" => config.minimum_suite = small()?,
            "maximumSuite" => config.maximum_suite = small()?,
            "ackDelayMs" => config.ack_delay_ms = small()?,
            "ackIntervalMs" => config.ack_interval_ms = small()?,
            "resendAfterMs" => config.resend_after_ms = small()?,
            "messageTtlMs" => config.message_ttl_ms = large()?,
            "gapDelayMs" => config.gap_delay_ms = small()?,
            "repairAttempts" => config.repair_attempts = small()?,
            "historyIntervalMs" => config.history_interval_ms = small()?,
            "repairIntervalMs" => config.repair_interval_ms = large()?,
            _ => return Err(Failure::agent(format!("protocol.{name}: unknown"))),
        }
    }
    Ok(config)
}

fn page(params: &Parameters) -> Outcome<Page> {
    let before = match params.get("before") {
        None => None,
        Some(_) => {
            let before = params.object("before")?;
            Some(Position { lamport: before.decimal("lamport")?, message_id: before.text("id")?.into() })
        }
    };
    Ok(Page { before, limit: params.small_number("limit")?.unwrap_or(50) })
}

/// Resident memory of this process, as Linux tells it.
fn resident_bytes() -> Outcome<u64> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|error| Failure::agent(format!("stats: {error}")))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Failure::agent("stats: VmRSS is missing"))
}
