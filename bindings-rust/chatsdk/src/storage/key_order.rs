//! Keys in the order of their UTF-8 bytes.

/// The first string after all that start with `prefix`; `None`: there is none.
pub(crate) fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // A range of characters leaves the surrogates out.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn f7_the_end_of_a_prefix_steps_over_surrogates_and_carries() {
        assert_eq!(prefix_end("a/").as_deref(), Some("a0"));
        assert_eq!(prefix_end("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{10ffff}"), None);
        assert_eq!(prefix_end(""), None);
    }

    proptest! {
        #[test]
        fn f7_a_key_is_in_the_range_of_a_prefix_exactly_if_it_starts_with_it(prefix in "\\PC{0,4}", key in "\\PC{0,6}") {
            let inside = key >= prefix && prefix_end(&prefix).is_none_or(|end| key < end);
            prop_assert_eq!(inside, key.starts_with(&prefix));
            let longer = format!("{prefix}{key}");
            prop_assert!(longer >= prefix && prefix_end(&prefix).is_none_or(|end| longer < end));
        }
    }
}
