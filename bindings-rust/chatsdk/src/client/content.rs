//! Content types (F5).

use prost::Message as _;

use super::model::Message;
use crate::abi::content;

pub use crate::abi::Content;
pub use crate::abi::content::{AttachmentReference, Reaction, ReadReceipt, Reply, Text};

/// Who defines the basic types.
const BASIC_DOMAIN: u32 = 0;

/// A content type (F5): one of the SDK's basic ones, or your own:
///
/// ```
/// use chatsdk::ContentType;
/// struct Move { from: String, to: String }
/// impl ContentType for Move {
///     const DOMAIN: u32 = 0x6368_6573;
///     const TAG: u32 = 1;
///     const VERSION: u32 = 1;
///     fn encode(&self) -> Vec<u8> {
///         format!("{}-{}", self.from, self.to).into_bytes()
///     }
///     fn decode(payload: &[u8], _version: u32) -> Option<Self> {
///         let (from, to) = std::str::from_utf8(payload).ok()?.split_once('-')?;
///         Some(Self { from: from.into(), to: to.into() })
///     }
/// }
/// let content = chatsdk::Content::from(Move { from: "e2".into(), to: "e4".into() });
/// assert_eq!(content.payload, b"e2-e4");
/// ```
///
/// Nothing is registered: a message of a type this program does not know is stored as it came and can be read by a later
/// version that knows it.
pub trait ContentType: Sized {
    /// Who defines the tag: 0 is this SDK; take a random number for your application.
    const DOMAIN: u32;
    /// Which type of that domain.
    const TAG: u32;
    /// Version of the encoding that `encode` writes, from 1.
    const VERSION: u32;

    /// The value as bytes.
    fn encode(&self) -> Vec<u8>;

    /// The inverse; `None` if it is not decodable. `version` is the one the bytes were written with, at most `VERSION`.
    fn decode(payload: &[u8], version: u32) -> Option<Self>;
}

macro_rules! basic_type {
    ($name:ident, $tag:literal) => {
        impl ContentType for content::$name {
            const DOMAIN: u32 = BASIC_DOMAIN;
            const TAG: u32 = $tag;
            const VERSION: u32 = 1;

            fn encode(&self) -> Vec<u8> {
                self.encode_to_vec()
            }

            fn decode(payload: &[u8], _version: u32) -> Option<Self> {
                <Self as prost::Message>::decode(payload).ok()
            }
        }
    };
}

basic_type!(Text, 1);
basic_type!(Reply, 2);
basic_type!(Reaction, 3);
basic_type!(ReadReceipt, 4);
basic_type!(AttachmentReference, 5);

impl<Value: ContentType> From<Value> for Content {
    fn from(value: Value) -> Self {
        Self { domain: Value::DOMAIN, tag: Value::TAG, version: Value::VERSION, payload: value.encode() }
    }
}

/// A plain text.
impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Text { text: text.to_owned() }.into()
    }
}

/// A plain text.
impl From<String> for Content {
    fn from(text: String) -> Self {
        Text { text }.into()
    }
}

impl Message {
    /// The value; `None` if the message is of another type, of a newer version, or not decodable.
    pub fn read<Value: ContentType>(&self) -> Option<Value> {
        let same = self.domain == Value::DOMAIN && self.tag == Value::TAG && self.version <= Value::VERSION;
        if same { Value::decode(&self.payload, self.version) } else { None }
    }
}
