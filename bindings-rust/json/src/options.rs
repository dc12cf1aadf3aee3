//! How a client is opened.

use chatsdk::abi::{Config, RateLimit};
use chatsdk::{Options, StorageKey, WakuOptions};

use crate::failure::{Failure, Outcome};
use crate::parameters::Parameters;

/// How a client is to be opened. `rln` is refused: programs that can make proofs take it out before, and give the options what
/// they made of it.
pub fn options(params: &Parameters) -> Outcome<Options> {
    if params.get("rln").is_some() {
        return Err(Failure::request("rln: this program is built without a prover; build it with the feature rln"));
    }
    let peers = match params.get("peers") {
        None => Vec::new(),
        Some(peers) => {
            // serde's own words quote what is there, perhaps a secret that slipped.
            serde_json::from_value(peers.clone()).map_err(|_| Failure::request("peers: must be a list of texts"))?
        }
    };
    let relay = match params.optional_text("transport")? {
        None | Some("light") => false,
        Some("relay") => true,
        Some(_) => return Err(Failure::request("transport: must be \"light\" or \"relay\"")),
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

fn rate_limit(fields: &Parameters) -> Outcome<RateLimit> {
    let mut limit = RateLimit::default();
    for name in fields.names() {
        let number = || fields.small_number(name).map(Option::unwrap_or_default);
        match name {
            "epochSeconds" => limit.epoch_seconds = number()?,
            "messagesPerEpoch" => limit.messages_per_epoch = number()?,
            _ => return Err(Failure::request(format!("protocol.rateLimit.{name}: unknown"))),
        }
    }
    Ok(limit)
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
            "rateLimit" => config.rate_limit = Some(rate_limit(&fields.object(name)?)?),
            _ => return Err(Failure::request(format!("protocol.{name}: unknown"))),
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: serde_json::Value) -> String {
        let params = serde_json::from_value(json).expect("an object");
        match options(&params) {
            Err(Failure::Request(message)) => message,
            Err(Failure::Sdk(error)) => error.to_string(),
            Ok(_) => "not refused".into(),
        }
    }

    #[test]
    fn s1_a_membership_that_nobody_took_out_is_refused() {
        let params = serde_json::json!({ "path": "x", "storageKey": { "unprotected": true }, "rln": {} });
        assert!(refused(params).starts_with("rln: this program is built without a prover"));
    }

    #[test]
    fn s1_a_rate_limit_without_a_membership_is_taken() {
        let params = |limit: serde_json::Value| -> Parameters {
            serde_json::from_value(serde_json::json!({ "protocol": { "rateLimit": limit } })).expect("an object")
        };
        let limit = serde_json::json!({ "epochSeconds": 30, "messagesPerEpoch": 5 });
        let expected = RateLimit { epoch_seconds: 30, messages_per_epoch: 5, ..RateLimit::default() };
        assert_eq!(protocol(&params(limit)).expect("settings").rate_limit, Some(expected));
        assert!(protocol(&params(serde_json::json!({ "credentials": "00" }))).is_err(), "they come with a membership");
    }
}
