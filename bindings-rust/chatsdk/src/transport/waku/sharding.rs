//! Which shard carries a content topic (51/WAKU2-RELAY-SHARDING, autosharding), and what names a message.

use sha2::{Digest as _, Sha256};

use super::wire::WakuMessage;
use crate::error::{Error, ErrorCode, Result};

/// The pubsub topic that carries a content topic. Fails with `INVALID_ARGUMENT` for what is no content topic.
pub(super) fn pubsub_topic(content_topic: &str, cluster_id: u32, shard_count: u32) -> Result<String> {
    let Some((application, version)) = application_of(content_topic) else {
        let message = format!("topic: {content_topic:?} is no content topic such as \"/app/1/name/proto\"");
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    };
    let digest = Sha256::new().chain_update(application).chain_update(version).finalize();
    let tail = digest[24..].iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    Ok(shard_topic(cluster_id, tail % u64::from(shard_count)))
}

pub(super) fn shard_topic(cluster_id: u32, shard: u64) -> String {
    format!("/waku/2/rs/{cluster_id}/{shard}")
}

/// Application and version of "/application/version/name/encoding", with or without generation 0 before it.
fn application_of(content_topic: &str) -> Option<(&str, &str)> {
    let fields: Vec<&str> = content_topic.strip_prefix('/')?.split('/').collect();
    let fields = match fields.as_slice() {
        ["0", rest @ ..] if rest.len() == 4 => rest,
        rest if rest.len() == 4 => rest,
        _ => return None,
    };
    fields.iter().all(|field| !field.is_empty()).then(|| (fields[0], fields[1]))
}

/// Deterministic message hash of 14/WAKU2-MESSAGE.
pub(super) type Hash = [u8; 32];

pub(super) fn message_hash(pubsub_topic: &str, message: &WakuMessage) -> Hash {
    let mut hash = Sha256::new();
    hash.update(pubsub_topic);
    hash.update(&message.payload);
    hash.update(&message.content_topic);
    hash.update(message.meta.as_deref().unwrap_or_default());
    if let Some(timestamp) = message.timestamp {
        hash.update(timestamp.to_be_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f3_the_shards_are_those_of_every_language() {
        // From 51/WAKU2-RELAY-SHARDING's reference implementations (nwaku, js-waku).
        for (topic, shards, shard) in [
            ("/toychat/2/huilong/proto", 8, 3),
            ("/0/toychat/2/huilong/proto", 8, 3),
            ("/myapp/1/latest/proto", 8, 0),
            ("/waku/2/content/test.js", 8, 1),
        ] {
            assert_eq!(pubsub_topic(topic, 1, shards).unwrap(), format!("/waku/2/rs/1/{shard}"), "{topic}");
        }
    }

    #[test]
    fn f3_the_message_hash_is_that_of_the_specification() {
        let message = WakuMessage {
            payload: hex::decode("010203045445535405060708").unwrap(),
            content_topic: "/waku/2/default-content/proto".into(),
            meta: Some(hex::decode("73757065722d736563726574").unwrap()),
            timestamp: Some(0x175789bfa23f8400),
            ..WakuMessage::default()
        };
        let hash = message_hash("/waku/2/default-waku/proto", &message);
        assert_eq!(hex::encode(hash), "64cce733fed134e83da02b02c6f689814872b1a0ac97ea56b76095c3c72bfe05");
    }

    #[test]
    fn f3_what_is_no_content_topic_is_refused() {
        for topic in
            ["", "/", "app/1/name/proto", "/app/1/name", "/1/app/1/name/proto", "/app//name/proto", "/a/b/c/d/e/f"]
        {
            assert_eq!(pubsub_topic(topic, 1, 8).unwrap_err().code(), ErrorCode::InvalidArgument, "{topic}");
        }
    }

    proptest! {
        #[test]
        fn f3_any_text_has_a_shard_or_an_error(topic in ".*", shards in 1_u32..2000) {
            if let Ok(topic) = pubsub_topic(&topic, 42, shards) {
                prop_assert!(topic.strip_prefix("/waku/2/rs/42/").unwrap().parse::<u32>().unwrap() < shards);
            }
        }
    }
}
