//! How errors name what the caller gave.

use crate::error::Error;

/// Longer arguments are cut where an error quotes them.
const QUOTED_LENGTH: usize = 64;

/// The error, whose message begins with the field's name; `own` is the caller's name for a field that is named `name` further down.
pub(super) fn renamed(error: Error, name: &str, own: &str) -> Error {
    let rest = error.message().strip_prefix(name).filter(|rest| rest.starts_with([':', '.']));
    let Some(message) = rest.map(|rest| format!("{own}{rest}")) else { return error };
    let named = Error::new(error.code(), message);
    let named = if error.is_retryable() { named.retryable() } else { named };
    named.caused_by(error)
}

/// An argument in quotes, and its beginning only if it is long.
pub(crate) fn quoted(argument: &str) -> String {
    let beginning = &argument[..argument.floor_char_boundary(QUOTED_LENGTH)];
    format!("{beginning:?}{}", if beginning.len() < argument.len() { "..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn s4_a_field_gets_the_callers_name_and_the_rest_of_the_error_stays() {
        let error = || Error::new(ErrorCode::WrongKey, "key: it does not open this database").retryable();
        let named = renamed(error(), "key", "old");
        assert_eq!(named.message(), "old: it does not open this database");
        assert_eq!((named.code(), named.is_retryable()), (ErrorCode::WrongKey, true));
        let inner = Error::new(ErrorCode::InvalidArgument, "storage_key.keyring: no");
        assert_eq!(renamed(inner, "storage_key", "new").message(), "new.keyring: no");
        assert_eq!(renamed(error(), "ke", "old").message(), error().message());
        assert_eq!(renamed(error(), "y", "old").message(), error().message());
    }

    #[test]
    fn s4_a_quoted_argument_is_cut_between_two_characters() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        assert_eq!(quoted(&"x".repeat(64)), format!("{:?}", "x".repeat(64)));
        assert_eq!(quoted(&"ü".repeat(1 << 20)), format!("{:?}...", "ü".repeat(32)));
        assert_eq!(quoted(&format!("x{}", "ü".repeat(40))), format!("{:?}...", format!("x{}", "ü".repeat(31))));
    }
}
