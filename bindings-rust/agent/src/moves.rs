//! A content type of the tests' own, declared as applications do it.

use chatsdk::{Content, ContentType, Message};
use chatsdk_json::{Outcome, Parameters};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct Move {
    from: String,
    to: String,
}

impl ContentType for Move {
    const DOMAIN: u32 = 1_667_786_099;
    const TAG: u32 = 1;
    const VERSION: u32 = 1;

    fn encode(&self) -> Vec<u8> {
        json!({ "from": self.from, "to": self.to }).to_string().into_bytes()
    }

    fn decode(payload: &[u8], _version: u32) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// The parameters with a move as the raw content it is.
pub fn to_raw(params: &Parameters) -> Outcome<Parameters> {
    let mut params = params.clone();
    if params.get("content").and_then(|content| content.get("move")).is_some() {
        let fields = params.object("content")?.object("move")?;
        let moved = Move { from: fields.text("from")?.into(), to: fields.text("to")?.into() };
        let Content { domain, tag, version, payload } = moved.into();
        let raw = json!({ "domain": domain, "tag": tag, "version": version, "payload": hex::encode(payload) });
        params.set("content", raw);
    }
    Ok(params)
}

/// The content of a message that is a move.
pub fn read(message: &Message) -> Option<Value> {
    message.read::<Move>().map(|Move { from, to }| json!({ "move": { "from": from, "to": to } }))
}
