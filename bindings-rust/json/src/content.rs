//! Contents, there and back.

use chatsdk::{AttachmentReference, Content, Message, Reaction, ReadReceipt, Reply, Text};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::parameters::Parameters;

/// What is to be sent.
pub(crate) fn to_send(params: &Parameters) -> Outcome<Content> {
    let content = params.object("content")?;
    if let Some(text) = content.optional_text("text")? {
        return Ok(text.into());
    }
    if content.get("reply").is_some() {
        let reply = content.object("reply")?;
        return Ok(Reply { message_id: reply.text("messageId")?.into(), text: reply.text("text")?.into() }.into());
    }
    if content.get("reaction").is_some() {
        let reaction = content.object("reaction")?;
        let value =
            Reaction { message_id: reaction.text("messageId")?.into(), reaction: reaction.text("reaction")?.into() };
        return Ok(value.into());
    }
    if content.get("readReceipt").is_some() {
        return Ok(ReadReceipt { message_id: content.object("readReceipt")?.text("messageId")?.into() }.into());
    }
    if content.get("attachment").is_some() {
        return Ok(attachment(&content.object("attachment")?)?.into());
    }
    let number = |name: &str| content.small_number(name)?.ok_or_else(|| content.wrong(name, "missing"));
    Ok(Content {
        domain: number("domain")?,
        tag: number("tag")?,
        version: number("version")?,
        payload: content.bytes("payload")?,
    })
}

fn attachment(fields: &Parameters) -> Outcome<AttachmentReference> {
    Ok(AttachmentReference {
        url: fields.text("url")?.into(),
        media_type: fields.text("mediaType")?.into(),
        size: fields.decimal("size")?,
        digest: fields.bytes("digest")?,
        key: fields.bytes("key")?,
        nonce: fields.bytes("nonce")?,
        name: fields.text("name")?.into(),
    })
}

/// The content of a basic type.
pub(crate) fn read(message: &Message) -> Option<Value> {
    if let Some(Text { text }) = message.read() {
        return Some(json!({ "text": text }));
    }
    if let Some(Reply { message_id, text }) = message.read() {
        return Some(json!({ "reply": { "messageId": message_id, "text": text } }));
    }
    if let Some(Reaction { message_id, reaction }) = message.read() {
        return Some(json!({ "reaction": { "messageId": message_id, "reaction": reaction } }));
    }
    if let Some(ReadReceipt { message_id }) = message.read() {
        return Some(json!({ "readReceipt": { "messageId": message_id } }));
    }
    if let Some(file) = message.read::<AttachmentReference>() {
        return Some(json!({ "attachment": {
            "url": file.url, "mediaType": file.media_type, "size": file.size.to_string(),
            "digest": hex::encode(file.digest), "key": hex::encode(file.key), "nonce": hex::encode(file.nonce),
            "name": file.name,
        } }));
    }
    None
}
