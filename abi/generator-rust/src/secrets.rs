//! Which messages have secret fields. The option that marks them, `debug_redact`, is younger than the descriptors of prost-types.

use prost::{DecodeError, Message};

/// Full names in prost-build's notation.
pub struct Secret {
    pub message: String,
    pub oneofs: Vec<String>,
}

pub fn messages_with_secrets(encoded: &[u8]) -> Result<Vec<Secret>, DecodeError> {
    let mut found = Vec::new();
    for file in FileSet::decode(encoded)?.file {
        for message in file.message_type {
            if message.field.iter().any(is_secret) {
                let name = format!(".{}.{}", file.package, message.name);
                let oneofs = message.oneof_decl.iter();
                found.push(Secret {
                    oneofs: oneofs
                        .map(|oneof| format!("{name}.{}", oneof.name))
                        .collect(),
                    message: name,
                });
            }
        }
    }
    Ok(found)
}

fn is_secret(field: &Field) -> bool {
    field
        .options
        .as_ref()
        .is_some_and(FieldOptions::debug_redact)
}

#[derive(prost::Message)]
struct FileSet {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(prost::Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<MessageType>,
}

#[derive(prost::Message)]
struct MessageType {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    field: Vec<Field>,
    #[prost(message, repeated, tag = "8")]
    oneof_decl: Vec<Oneof>,
}

#[derive(prost::Message)]
struct Oneof {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(prost::Message)]
struct Field {
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(prost::Message)]
struct FieldOptions {
    #[prost(bool, optional, tag = "16")]
    debug_redact: Option<bool>,
}
