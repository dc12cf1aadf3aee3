//! How a client is opened.

use chatsdk::abi::Config;
use chatsdk::{Options, StorageKey, WakuOptions};

use crate::failure::{Failure, Outcome};
use crate::parameters::Parameters;

/// How a client is to be opened.
pub fn options(params: &Parameters) -> Outcome<Options> {
    let peers = match params.get("peers") {
        None => Vec::new(),
        Some(peers) => {
            serde_json::from_value(peers.clone()).map_err(|error| Failure::request(format!("peers: {error}")))?
        }
    };
    let relay = match params.optional_text("transport")? {
        None | Some("light") => false,
        Some("relay") => true,
        Some(other) => return Err(Failure::request(format!("transport: {other} must be \"light\" or \"relay\""))),
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
pub(crate) fn storage_key(params: &Parameters, name: &str) -> Outcome<StorageKey> {
    let fields = params.object(name)?;
    let only = fields.names().count() == 1;
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
    for name in fields.names() {
        let small = || fields.small_number(name).map(Option::unwrap_or_default);
        let large = || fields.number(name).map(Option::unwrap_or_default);
        match name {
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
            _ => return Err(Failure::request(format!("protocol.{name}: unknown"))),
        }
    }
    Ok(config)
}
