//! Contents, there and back.

use chatsdk::abi::MAXIMUM_LENGTH;
use chatsdk::{AttachmentReference, Content, Error, ErrorCode, Message, Reaction, ReadReceipt, Reply, Text};
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::parameters::Parameters;

/// Of a basic type, each under its name.
const KINDS: [&str; 5] = ["text", "reply", "reaction", "attachment", "readReceipt"];
const OF_REPLY: &[&str] = &["messageId", "text"];
const OF_REACTION: &[&str] = &["messageId", "reaction"];
const OF_ATTACHMENT: &[&str] = &["url", "mediaType", "size", "digest", "key", "nonce", "name"];
const OF_RAW: &[&str] = &["domain", "tag", "version", "payload"];

/// What is to be sent: of one kind.
pub(crate) fn to_send(params: &Parameters) -> Outcome<Content> {
    let size = params.get("content").map_or(0, size_of);
    if size > MAXIMUM_LENGTH {
        let message = format!("content: {size} bytes; send an attachment reference");
        return Err(Error::new(ErrorCode::ContentTooLarge, message).into());
    }
    let content = params.object("content")?;
    let mut given = KINDS.into_iter().filter(|kind| content.get(kind).is_some());
    let kind = given.next();
    if let (Some(one), Some(other)) = (kind, given.next()) {
        return Err(params.wrong("content", &format!("must have one kind, not {one} and {other}")));
    }
    content.refuse_others(kind.as_ref().map_or(OF_RAW, std::slice::from_ref))?;
    let fields = |name, known| content.object(name).and_then(|fields| fields.refuse_others(known).map(|()| fields));
    Ok(match kind {
        Some("text") => content.text("text")?.into(),
        Some("reply") => {
            let reply = fields("reply", OF_REPLY)?;
            Reply { message_id: reply.text("messageId")?.into(), text: reply.text("text")?.into() }.into()
        }
        Some("reaction") => {
            let reaction = fields("reaction", OF_REACTION)?;
            let (message_id, reaction) = (reaction.text("messageId")?.into(), reaction.text("reaction")?.into());
            Reaction { message_id, reaction }.into()
        }
        Some("attachment") => attachment(&fields("attachment", OF_ATTACHMENT)?)?.into(),
        Some(_) => ReadReceipt { message_id: fields("readReceipt", &["messageId"])?.text("messageId")?.into() }.into(),
        None => {
            let number = |name: &str| content.small_number(name)?.ok_or_else(|| content.wrong(name, "missing"));
            let (domain, tag, version) = (number("domain")?, number("tag")?, number("version")?);
            Content { domain, tag, version, payload: content.bytes("payload")? }
        }
    })
}

/// Before anything is copied: of all texts in it, where those of a payload are hexadecimal.
fn size_of(content: &Value) -> usize {
    match content {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(size_of).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| if name == "payload" { size_of(value) / 2 } else { size_of(value) }).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    fn sent(content: Value) -> Result<Content, String> {
        let params: Parameters = serde_json::from_value(json!({ "content": content })).expect("an object");
        to_send(&params).map_err(|failure| match failure {
            Failure::Request(message) => message,
            Failure::Sdk(error) => error.to_string(),
        })
    }

    #[test]
    fn f5_a_content_above_what_can_be_sent_is_too_large_before_it_is_copied() {
        let many = "0".repeat(MAXIMUM_LENGTH + 2);
        for content in [json!({ "text": &many }), json!({ "reply": { "messageId": "x", "text": &many } })] {
            let said = sent(content).expect_err("refused");
            assert!(said.starts_with("CONTENT_TOO_LARGE: content: 671088"), "{said}");
        }
        let raw = |payload: &str| json!({ "domain": 7, "tag": 8, "version": 1, "payload": payload });
        assert_eq!(size_of(&raw(&many)), MAXIMUM_LENGTH / 2 + 1);
        assert!(sent(raw(&many.repeat(2))).expect_err("refused").starts_with("CONTENT_TOO_LARGE: "));
    }

    #[test]
    fn f5_a_content_has_one_kind_and_only_its_fields() {
        let reply = json!({ "messageId": "x", "text": "y" });
        for (content, says) in [
            (json!({ "text": "x", "reply": reply }), "content: must have one kind, not text and reply"),
            (json!({ "text": "x", "tag": 1 }), "content.tag: unknown; known: text"),
            (json!({ "texts": "x" }), "content.texts: unknown; known: domain, tag, version, payload"),
            (json!({ "reply": { "messageId": "x", "text": "y", "txt": "z" } }), "content.reply.txt: unknown; known"),
            (json!({ "reply": { "messageId": "x" } }), "content.reply.text: missing"),
            (json!({ "domain": 7, "tag": 8, "version": 1, "payload": "0" }), "content.payload: must be hexadecimal"),
            (json!({}), "content.domain: missing"),
        ] {
            let message = sent(content.clone()).expect_err("refused");
            assert!(message.starts_with(says), "{content}: {message}");
        }
        assert_eq!(sent(json!({ "text": "x", "reply": null })), Ok("x".into()));
        let raw = Content { domain: 7, tag: 8, version: 1, payload: vec![9] };
        assert_eq!(sent(json!({ "domain": 7, "tag": 8, "version": 1, "payload": "09" })), Ok(raw));
    }
}
