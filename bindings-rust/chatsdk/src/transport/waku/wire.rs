//! The Waku protocols of a client, each one request and one answer on a stream of its own.

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::{PeerId, Stream, StreamProtocol};
use prost::Message as _;

use super::sharding::Hash;

pub(super) const FILTER_SUBSCRIBE: StreamProtocol = StreamProtocol::new("/vac/waku/filter-subscribe/2.0.0-beta1");
pub(super) const FILTER_PUSH: StreamProtocol = StreamProtocol::new("/vac/waku/filter-push/2.0.0-beta1");
pub(super) const LIGHT_PUSH: StreamProtocol = StreamProtocol::new("/vac/waku/lightpush/3.0.0");
pub(super) const STORE: StreamProtocol = StreamProtocol::new("/vac/waku/store-query/3.0.0");
pub(super) const METADATA: StreamProtocol = StreamProtocol::new("/vac/waku/metadata/1.0.0");
pub(super) const RELAY: &str = "/vac/waku/relay/2.0.0";

// A page of 100 messages of the network's largest size (150 KB) must fit; everything else is far smaller.
const MAX_FRAME: usize = 32 * 1024 * 1024;
pub(super) const MAX_SMALL_FRAME: usize = 1024 * 1024;
/// The largest message that nodes relay (go-waku, nwaku: 150 KiB, encoded), and what surrounds it in a push.
const MAX_PUSH_FRAME: usize = 200 * 1024;
/// A node's question for our cluster, with all shards of its own.
const MAX_QUESTION: usize = 16 * 1024;
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// A node may never end its stream.
const DRAIN: Duration = Duration::from_secs(2);
/// Of a node's explanation.
const LONGEST_DESCRIPTION: usize = 200;

/// Why a request had no success.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum WireError {
    /// The node answered, and the answer is no. Codes as in HTTP, and Waku's own 42x and 50x.
    #[error("{what}: the node answered {code} {description}")]
    Status { what: &'static str, code: u32, description: String },
    /// The call took longer than it may.
    #[error("{what}: no answer within {} ms", after.as_millis())]
    Deadline { what: &'static str, after: Duration },
    /// The stream or the connection broke.
    #[error("{0}")]
    Broken(String),
}

impl WireError {
    /// The node asks for patience: 429 too many requests, 503 no capacity now.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Status { code: 429 | 503, .. })
    }

    /// No node will take this message as it is: malformed, too large, invalid.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Status { code: 400 | 413 | 420, .. })
    }

    pub(super) fn is_status(&self) -> bool {
        matches!(self, Self::Status { .. })
    }

    pub(super) fn code(&self) -> Option<u32> {
        if let Self::Status { code, .. } = self { Some(*code) } else { None }
    }

    fn broken(error: impl std::fmt::Display) -> Self {
        Self::Broken(error.to_string())
    }
}

type Result<T> = std::result::Result<T, WireError>;

/// 14/WAKU2-MESSAGE.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct WakuMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) payload: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) content_topic: String,
    #[prost(uint32, optional, tag = "3")]
    pub(super) version: Option<u32>,
    /// Unix time in nanoseconds.
    #[prost(sint64, optional, tag = "10")]
    pub(super) timestamp: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "11")]
    pub(super) meta: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "21")]
    pub(super) rate_limit_proof: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "31")]
    pub(super) ephemeral: Option<bool>,
}

/// 66/WAKU2-METADATA: request and answer alike. js-waku writes shards in field 2, go-waku and nwaku in field 3.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Metadata {
    #[prost(uint32, optional, tag = "1")]
    cluster_id: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "2")]
    shards_unpacked: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    shards: Vec<u32>,
}

/// 19/WAKU2-LIGHTPUSH, version 3.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct LightPushRequest {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(string, optional, tag = "20")]
    pubsub_topic: Option<String>,
    #[prost(message, optional, tag = "21")]
    message: Option<WakuMessage>,
}

/// The answer of light push and of filter.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct StatusAnswer {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, tag = "10")]
    status_code: u32,
    #[prost(string, optional, tag = "11")]
    description: Option<String>,
}

/// 12/WAKU2-FILTER.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct FilterRequest {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(enumeration = "FilterAction", tag = "2")]
    action: i32,
    #[prost(string, optional, tag = "10")]
    pubsub_topic: Option<String>,
    #[prost(string, repeated, tag = "11")]
    content_topics: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum FilterAction {
    Ping = 0,
    Subscribe = 1,
    Unsubscribe = 2,
    UnsubscribeAll = 3,
}

/// What a node pushes to a filter client.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct MessagePush {
    #[prost(message, optional, tag = "1")]
    pub(super) message: Option<WakuMessage>,
    #[prost(string, optional, tag = "2")]
    pub(super) pubsub_topic: Option<String>,
}

/// 13/WAKU2-STORE, version 3.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct StoreRequest {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(bool, tag = "2")]
    include_data: bool,
    #[prost(string, optional, tag = "10")]
    pubsub_topic: Option<String>,
    #[prost(string, repeated, tag = "11")]
    content_topics: Vec<String>,
    #[prost(sint64, optional, tag = "12")]
    time_start: Option<i64>,
    #[prost(sint64, optional, tag = "13")]
    time_end: Option<i64>,
    #[prost(bytes = "vec", repeated, tag = "20")]
    message_hashes: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "51")]
    cursor: Option<Vec<u8>>,
    #[prost(bool, tag = "52")]
    forward: bool,
    #[prost(uint64, optional, tag = "53")]
    limit: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct StoreAnswer {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(uint32, optional, tag = "10")]
    status_code: Option<u32>,
    #[prost(string, optional, tag = "11")]
    description: Option<String>,
    #[prost(message, repeated, tag = "20")]
    messages: Vec<StoredMessage>,
    #[prost(bytes = "vec", optional, tag = "51")]
    cursor: Option<Vec<u8>>,
}

/// Without its message in answer to a question for hashes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct StoredMessage {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) hash: Option<Vec<u8>>,
    #[prost(message, optional, tag = "2")]
    pub(super) message: Option<WakuMessage>,
}

/// A page asked of a store node. Times are Unix time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreQuery {
    pub(super) pubsub_topic: String,
    pub(super) topics: Vec<String>,
    pub(super) start_ns: i64,
    pub(super) end_ns: i64,
    pub(super) limit: u64,
    pub(super) cursor: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StorePage {
    pub(super) entries: Vec<StoredMessage>,
    /// Absent on the last page.
    pub(super) cursor: Option<Vec<u8>>,
}

/// Streams to one node.
#[derive(Clone)]
pub(super) struct Wire {
    control: libp2p_stream::Control,
    peer: PeerId,
}

impl Wire {
    pub(super) fn new(control: libp2p_stream::Control, peer: PeerId) -> Self {
        Self { control, peer }
    }

    /// Hands the message to the node's relay.
    pub(super) async fn light_push(&self, pubsub_topic: &str, message: WakuMessage) -> Result<()> {
        let request = LightPushRequest {
            request_id: request_id(),
            pubsub_topic: Some(pubsub_topic.to_owned()),
            message: Some(message),
        };
        let answer: StatusAnswer = self.ask(LIGHT_PUSH, &request, MAX_SMALL_FRAME).await?;
        expect_success("publish", answer.status_code, answer.description)
    }

    /// The topics belong to `Subscribe` and `Unsubscribe` only.
    pub(super) async fn filter(
        &self,
        action: FilterAction,
        pubsub_topic: Option<&str>,
        content_topics: &[String],
    ) -> Result<()> {
        let request = FilterRequest {
            request_id: request_id(),
            action: action.into(),
            pubsub_topic: pubsub_topic.map(str::to_owned),
            content_topics: content_topics.to_vec(),
        };
        let answer: StatusAnswer = self.ask(FILTER_SUBSCRIBE, &request, MAX_SMALL_FRAME).await?;
        expect_success("filter", answer.status_code, answer.description)
    }

    /// A page of messages, or with `include_data` false of their hashes.
    pub(super) async fn query(&self, query: &StoreQuery, include_data: bool) -> Result<StorePage> {
        let request = StoreRequest {
            include_data,
            pubsub_topic: Some(query.pubsub_topic.clone()),
            content_topics: query.topics.clone(),
            time_start: Some(query.start_ns),
            time_end: Some(query.end_ns),
            cursor: query.cursor.clone(),
            limit: Some(query.limit),
            ..StoreRequest::default()
        };
        self.ask_store(request).await
    }

    /// Messages by their hashes: as many as go into one answer, in any order.
    pub(super) async fn messages(&self, hashes: &[Hash]) -> Result<StorePage> {
        let request = StoreRequest {
            include_data: true,
            message_hashes: hashes.iter().map(|hash| hash.to_vec()).collect(),
            limit: Some(hashes.len() as u64),
            ..StoreRequest::default()
        };
        self.ask_store(request).await
    }

    async fn ask_store(&self, request: StoreRequest) -> Result<StorePage> {
        let max_answer = if request.include_data { MAX_FRAME } else { MAX_SMALL_FRAME };
        let request = StoreRequest { request_id: request_id(), forward: true, ..request };
        let answer: StoreAnswer = self.ask(STORE, &request, max_answer).await?;
        expect_success("store query", answer.status_code.unwrap_or(0), answer.description)?;
        Ok(StorePage { entries: answer.messages, cursor: answer.cursor.filter(|cursor| !cursor.is_empty()) })
    }

    /// The cluster a node says it serves.
    pub(super) async fn ask_cluster(&self, own_cluster: u32) -> Result<Option<u32>> {
        let request = Metadata { cluster_id: Some(own_cluster), ..Metadata::default() };
        let answer: Metadata = self.ask(METADATA, &request, MAX_SMALL_FRAME).await?;
        Ok(answer.cluster_id)
    }

    async fn ask<Answer: prost::Message + Default>(
        &self,
        protocol: StreamProtocol,
        request: &impl prost::Message,
        max_answer: usize,
    ) -> Result<Answer> {
        let mut stream = self.control.clone().open_stream(self.peer, protocol).await.map_err(WireError::broken)?;
        write_frame(&mut stream, request).await?;
        stream.close().await.map_err(WireError::broken)?;
        let Some(answer) = read_frame(&mut stream, max_answer).await? else {
            return Err(WireError::Broken("the node closed the stream without an answer".into()));
        };
        let answer = Answer::decode(&*answer).map_err(WireError::broken)?;
        // To its end, so that the stream closes in order on both sides.
        tokio::spawn(async move {
            let mut nowhere = futures::io::sink();
            drop(tokio::time::timeout(DRAIN, futures::io::copy(&mut stream, &mut nowhere)).await);
        });
        Ok(answer)
    }
}

/// Answers a node's question for our cluster.
pub(super) async fn answer_cluster(mut stream: Stream, cluster_id: u32, shards: Vec<u32>) -> Result<()> {
    let answering = async {
        read_frame(&mut stream, MAX_QUESTION).await?;
        let answer = Metadata { cluster_id: Some(cluster_id), shards_unpacked: shards.clone(), shards };
        write_frame(&mut stream, &answer).await?;
        stream.close().await.map_err(WireError::broken)
    };
    let late = |_| WireError::Deadline { what: "metadata", after: QUESTION_TIMEOUT };
    tokio::time::timeout(QUESTION_TIMEOUT, answering).await.map_err(late)?
}

/// The first byte of the next message that a node pushes on a stream; `None` at its end.
pub(super) async fn begin_push(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<u8>> {
    let mut first = [0];
    let read = stream.read(&mut first).await.map_err(WireError::broken)?;
    Ok((read > 0).then_some(first[0]))
}

/// The length of the message whose first byte was read.
pub(super) async fn push_length(stream: &mut (impl AsyncRead + Unpin), first: u8) -> Result<usize> {
    Ok(read_length(&mut [first].as_slice().chain(stream), MAX_PUSH_FRAME).await?.unwrap_or_default())
}

/// The message whose length was read.
pub(super) async fn read_push(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Result<MessagePush> {
    let frame = read_body(stream, length).await?;
    MessagePush::decode(&*frame).map_err(WireError::broken)
}

async fn write_frame(stream: &mut Stream, message: &impl prost::Message) -> Result<()> {
    stream.write_all(&message.encode_length_delimited_to_vec()).await.map_err(WireError::broken)?;
    stream.flush().await.map_err(WireError::broken)
}

/// A length-prefixed frame; `None` if the stream ends before it. Fails for one above `max`, or cut short.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin), max: usize) -> Result<Option<Vec<u8>>> {
    match read_length(stream, max).await? {
        Some(length) => read_body(stream, length).await.map(Some),
        None => Ok(None),
    }
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin), max: usize) -> Result<Option<usize>> {
    let mut length = 0;
    for place in 0.. {
        let mut byte = [0];
        if stream.read(&mut byte).await.map_err(WireError::broken)? == 0 {
            return if place == 0 {
                Ok(None)
            } else {
                Err(WireError::Broken("the stream ended inside a length".into()))
            };
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * place);
        if length > max || place == 4 {
            return Err(WireError::Broken(format!("a message of more than {max} bytes")));
        }
        if byte[0] < 0x80 {
            break;
        }
    }
    Ok(Some(length))
}

/// Grows as bytes come: a length alone must not take memory.
async fn read_body(stream: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Vec<u8>> {
    let mut frame = Vec::new();
    let read = stream.take(length as u64).read_to_end(&mut frame).await.map_err(WireError::broken)?;
    if read < length {
        return Err(WireError::Broken("the stream ended inside a message".into()));
    }
    Ok(frame)
}

fn expect_success(what: &'static str, code: u32, description: Option<String>) -> Result<()> {
    if (200..300).contains(&code) {
        return Ok(());
    }
    let description = description.unwrap_or_default().chars().take(LONGEST_DESCRIPTION).collect();
    Err(WireError::Status { what, code, description })
}

/// Answers are matched by stream, so the id need not be hard to guess; it is sent twice with each message.
fn request_id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use proptest::prelude::*;

    fn read(bytes: &[u8], max: usize) -> Result<Option<Vec<u8>>> {
        read_frame(&mut futures::io::Cursor::new(bytes), max).now_or_never().expect("a cursor never waits")
    }

    #[test]
    fn f3_a_frame_is_read_whole_or_refused() {
        assert_eq!(read(b"", 10).unwrap(), None);
        assert_eq!(read(b"\x03abc", 10).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(read(b"\x00", 10).unwrap(), Some(Vec::new()));
        for cut in [&b"\x80"[..], b"\x03ab", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0babcdefghijk"] {
            assert!(read(cut, 10).is_err(), "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn f3_any_bytes_of_a_node_give_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some(frame)) = read(&bytes, 256) {
                prop_assert!(frame.len() <= 256);
            }
            drop(MessagePush::decode(&*bytes));
            drop(StoreAnswer::decode(&*bytes));
            drop(StatusAnswer::decode(&*bytes));
            drop(Metadata::decode(&*bytes));
        }

        #[test]
        fn f3_what_is_written_is_read(payload in proptest::collection::vec(any::<u8>(), 0..600), topic in "\\PC{0,30}") {
            let message = WakuMessage { payload, content_topic: topic, timestamp: Some(-1), ..WakuMessage::default() };
            let framed = message.encode_length_delimited_to_vec();
            let frame = read(&framed, MAX_SMALL_FRAME).unwrap().unwrap();
            prop_assert_eq!(WakuMessage::decode(&*frame).unwrap(), message);
        }
    }
}
