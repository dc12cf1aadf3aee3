//! Words of texts and queries, as the FTS5 tokenizer of the schema sees them.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}\p{M}\p{Co}]+").expect("a constant pattern"));

/// Runs of letters, digits and marks. A run of Chinese or Japanese is one word, so it is found by its beginning only.
fn words(text: &str) -> impl Iterator<Item = &str> {
    WORD.find_iter(text).map(|found| found.as_str())
}

/// The words of a query, composed as keyboards compose them: in other than Latin letters FTS5 tells й from и + ̆.
pub(crate) fn query_words(query: &str) -> Vec<String> {
    let composed: String = query.nfc().collect();
    words(&composed).map(str::to_owned).collect()
}

/// True if every word of a query is in the text; the last may be the beginning of one. A query without a word matches
/// nothing.
pub(crate) fn matches_words(text: &str, query: &[String]) -> bool {
    let folded: Vec<_> = query.iter().map(|word| fold(word)).collect();
    let Some((start, whole)) = folded.split_last() else { return false };
    let present: HashSet<_> = words(text).map(fold).collect();
    whole.iter().all(|word| present.contains(word)) && present.iter().any(|word| word.starts_with(start.as_str()))
}

/// A word as FTS5's unicode61 compares it: in lower case, Latin letters without accents, and without loose accents.
fn fold(word: &str) -> String {
    let lower = word.to_lowercase().replace('ς', "σ");
    lower.chars().map(without_accent).filter(|letter| !('\u{300}'..='\u{331}').contains(letter)).collect()
}

fn without_accent(letter: char) -> char {
    let mut parts = std::iter::once(letter).nfd();
    match parts.next() {
        Some(base) if base.is_ascii_lowercase() && base != letter && parts.all(is_combining_mark) => base,
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, query: &str) -> bool {
        matches_words(text, &query_words(query))
    }

    #[test]
    fn f6_case_accents_and_punctuation_do_not_count() {
        assert!(found("Ça va, Élodie?", "elodie"));
        assert!(found("naïve café", "CAFE naive"));
        assert!(found("ὁ κόσμος", "κόσμοσ"));
        assert!(found("one two three", "one thr"));
        assert!(!found("one two three", "on three"));
        assert!(!found("anything", "?!"));
        assert!(!found("Ленинград", "Ленинградй"));
    }
}
