//! Errors of the SDK in terms of JSON: they name fields and remedies of Rust.

use chatsdk::Error;

/// What is called something else than its name in Rust in camel case.
const NAMES: [(&str, &str); 7] = [
    ("old", "oldKey"),
    ("new", "newKey"),
    ("validFor", "validForMs"),
    ("storageKey.raw", "storageKey.rawKey"),
    ("oldKey.raw", "oldKey.rawKey"),
    ("newKey.raw", "newKey.rawKey"),
    ("content.payload", "content"),
];

/// In what such errors advise.
const REMEDIES: [(&str, &str); 4] = [
    ("give StorageKey::Passphrase", "give passphrase"),
    ("give StorageKey::Raw", "give rawKey"),
    ("give StorageKey::Keyring with", "open it with a program in Rust that gives"),
    ("StorageKey::Unprotected", "\"unprotected\": true"),
];

/// The same error for a caller who gave JSON.
pub fn in_terms_of_json(error: Error) -> Error {
    let Some((field, rest)) = error.message().split_once(": ") else { return error };
    // No field's name.
    if field.contains(' ') && !field.contains(", ") {
        return error;
    }
    let field = NAMES.iter().fold(camel_case(field), |field, (name, own)| renamed(field, name, own));
    let rest = REMEDIES.iter().fold(rest.to_owned(), |rest, (words, own)| rest.replace(words, own));
    let message = format!("{field}: {rest}");
    let named = Error::new(error.code(), message);
    let named = if error.is_retryable() { named.retryable() } else { named };
    named.caused_by(error)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| match word.char_indices().nth(1) {
        Some((second, _)) => all + &word[..second].to_ascii_uppercase() + &word[second..],
        None => all + &word.to_ascii_uppercase(),
    })
}

fn renamed(field: String, name: &str, own: &str) -> String {
    match field.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('.')) {
        Some(rest) => format!("{own}{rest}"),
        None => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_errors_name_fields_and_remedies_as_in_json() {
        use chatsdk::ErrorCode::WrongKey;
        for (message, expected) in [
            ("conversation_id: no conversation \"a_b\"; list", "conversationId: no conversation \"a_b\"; list"),
            ("valid_for: more than a year", "validForMs: more than a year"),
            ("protocol.rate_limit.epoch_seconds: give", "protocol.rateLimit.epochSeconds: give"),
            ("protocol.minimum_suite, maximum_suite: give", "protocol.minimumSuite, maximumSuite: give"),
            ("rln.group.epochSeconds: is missing", "rln.group.epochSeconds: is missing"),
            ("storage_key: it does not open", "storageKey: it does not open"),
            ("old: it does not open", "oldKey: it does not open"),
            ("content.payload: 7 bytes; send", "content: 7 bytes; send"),
            ("limit: 0, must be", "limit: 0, must be"),
            ("peers[0]: no multiaddr", "peers[0]: no multiaddr"),
            (
                "old.raw: this database needs a passphrase: give StorageKey::Passphrase",
                "oldKey.rawKey: this database needs a passphrase: give passphrase",
            ),
            (
                "storage_key.passphrase: this database is not protected: open it with StorageKey::Unprotected",
                "storageKey.passphrase: this database is not protected: open it with \"unprotected\": true",
            ),
            ("the core took_in: nothing", "the core took_in: nothing"),
            ("the client is closed; open a new one", "the client is closed; open a new one"),
        ] {
            let error = in_terms_of_json(Error::new(WrongKey, message).retryable());
            assert_eq!((error.message(), error.code(), error.is_retryable()), (expected, WrongKey, true));
        }
    }
}
