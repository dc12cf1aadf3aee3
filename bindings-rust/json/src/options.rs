//! How a client is opened.

use chatsdk::abi::{Config, RateLimit};
use chatsdk::{Error, ErrorCode, Options, StorageKey, WakuOptions};

use crate::failure::{Failure, Outcome};
use crate::parameters::Parameters;

const NAMES: &[&str] =
    &["path", "storageKey", "peers", "clusterId", "shardCount", "transport", "acceptRollback", "protocol", "rln"];

/// Refuses options that there are not, such as misspelt ones.
pub fn refuse_unknown_options(params: &Parameters) -> Outcome<()> {
    params.refuse_others(NAMES)
}

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

/// Exactly one kind. Anything else is `INVALID_ARGUMENT` of the SDK, as a key that it refuses itself.
pub(crate) fn storage_key(params: &Parameters, name: &str) -> Outcome<StorageKey> {
    read_key(params, name).map_err(|failure| match failure {
        Failure::Request(message) => Error::new(ErrorCode::InvalidArgument, message).into(),
        Failure::Sdk(error) => error.into(),
    })
}

fn read_key(params: &Parameters, name: &str) -> Outcome<StorageKey> {
    let fields = params.object(name)?;
    let mut kinds = fields.names().filter(|name| fields.get(name).is_some());
    match (kinds.next(), kinds.next()) {
        (Some("passphrase"), None) => match fields.text("passphrase")? {
            "" => Err(fields.wrong("passphrase", "must not be empty; for no protection give \"unprotected\": true")),
            text => Ok(StorageKey::passphrase(text)),
        },
        (Some("rawKey"), None) => {
            let key = fields.bytes("rawKey").ok().and_then(|bytes| bytes.try_into().ok());
            key.map(StorageKey::Raw).ok_or_else(|| fields.wrong("rawKey", "must be 64 hexadecimal digits"))
        }
        (Some("unprotected"), None) => match fields.flag("unprotected")? {
            Some(true) => Ok(StorageKey::Unprotected),
            _ => Err(fields.wrong("unprotected", "must be true; for protection give a passphrase or a rawKey instead")),
        },
        // A name may be a secret in the wrong place.
        _ => Err(params.wrong(name, "must have exactly one of passphrase, rawKey, unprotected")),
    }
}

fn rate_limit(fields: &Parameters) -> Outcome<RateLimit> {
    let mut limit = RateLimit::default();
    for name in fields.names() {
        let number = || fields.small_number(name).map(Option::unwrap_or_default);
        match name {
            "epochSeconds" => limit.epoch_seconds = number()?,
            "messagesPerEpoch" => limit.messages_per_epoch = number()?,
            _ => return Err(fields.wrong(name, "unknown")),
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
            _ => return Err(fields.wrong(name, "unknown")),
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let params = json!({ "path": "x", "storageKey": { "unprotected": true }, "rln": {} });
        assert!(refused(params).starts_with("rln: this program is built without a prover"));
    }

    #[test]
    fn s4_an_option_that_there_is_not_is_refused_with_those_that_there_are() {
        let checked = |params: serde_json::Value| match refuse_unknown_options(
            &serde_json::from_value(params).expect("an object"),
        ) {
            Err(Failure::Request(message)) => message,
            other => format!("{other:?}"),
        };
        let said =
            checked(json!({ "path": "x", "storageKey": { "unprotected": true }, "peer": ["/ip4/127.0.0.1/tcp/1"] }));
        assert!(said.starts_with("peer: unknown; known: path, storageKey, peers, "), "{said}");
        let all: serde_json::Map<_, _> = NAMES.iter().map(|&name| (name.to_owned(), json!(1))).collect();
        assert_eq!(checked(all.into()), "Ok(())");
    }

    #[test]
    fn s3_a_malformed_storage_key_is_named_as_in_json_with_a_remedy_and_never_quoted() {
        let one = "storageKey: must have exactly one of passphrase, rawKey, unprotected";
        let digits = "storageKey.rawKey: must be 64 hexadecimal digits";
        for (key, says) in [
            (json!({ "rawKey": "00" }), digits),
            (json!({ "rawKey": "secret" }), digits),
            (json!({ "rawKey": "0".repeat(63) }), digits),
            (json!({ "rawKey": ["secret"] }), digits),
            (json!({}), one),
            (json!({ "secret": true }), one),
            (json!({ "passphrase": "secret", "rawKey": "secret" }), one),
            (json!({ "passphrase": "secret", "unprotected": false }), one),
            (json!({ "unprotected": false }), "storageKey.unprotected: must be true"),
            (json!({ "unprotected": "secret" }), "storageKey.unprotected: must be true or false"),
            (json!({ "passphrase": "" }), "storageKey.passphrase: must not be empty; for no protection give"),
            (json!({ "passphrase": 7 }), "storageKey.passphrase: must be a text"),
            (json!("secret"), "storageKey: must be an object"),
            (json!(null), "storageKey: missing"),
        ] {
            let params = json!({ "path": "x", "storageKey": key });
            let error = match options(&serde_json::from_value(params).expect("an object")) {
                Err(Failure::Sdk(error)) => error,
                _ => panic!("no error of the SDK: {key}"),
            };
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert!(error.message().starts_with(says) && !error.message().contains("secret"), "{key}: {error}");
        }
        let whole = json!({ "path": "x", "storageKey": { "passphrase": "x", "rawKey": null } });
        assert!(options(&serde_json::from_value(whole).expect("an object")).is_ok());
    }

    #[test]
    fn s1_a_rate_limit_without_a_membership_is_taken() {
        let params = |limit: serde_json::Value| -> Parameters {
            serde_json::from_value(json!({ "protocol": { "rateLimit": limit } })).expect("an object")
        };
        let limit = json!({ "epochSeconds": 30, "messagesPerEpoch": 5 });
        let expected = RateLimit { epoch_seconds: 30, messages_per_epoch: 5, ..RateLimit::default() };
        assert_eq!(protocol(&params(limit)).expect("settings").rate_limit, Some(expected));
        assert!(protocol(&params(json!({ "credentials": "00" }))).is_err(), "they come with a membership");
    }
}
