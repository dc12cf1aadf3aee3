//! JSON for callers that have no library for it.

use std::ffi::c_char;
use std::ptr;

use sdk::{Error, ErrorCode};
use serde_json::Value;

use crate::guard::without_panic;
use crate::text::{give, read};

/// The value at a JSON pointer (RFC 6901) such as "/message/text": a string as it is, anything else as JSON. NULL if there is no
/// such value, or if it is null. Free it with `chatsdk_string_free`.
///
/// # Safety
/// `json` and `pointer` are strings that end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_json_get(json: *const c_char, pointer: *const c_char) -> *mut c_char {
    let found = without_panic(|| {
        // SAFETY: the caller promises strings.
        let (json, pointer) = unsafe { (read("json", json)?, read("pointer", pointer)?) };
        let value: Value = serde_json::from_str(json)
            .map_err(|error| Error::new(ErrorCode::InvalidArgument, format!("json: {error}")))?;
        Ok(match value.pointer(pointer) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        })
    });
    found.ok().flatten().map_or(ptr::null_mut(), |text| give(&text))
}

/// A text as a JSON string, with its quotes, to be put into parameters. NULL if it is no UTF-8. Free it with
/// `chatsdk_string_free`.
///
/// # Safety
/// `text` is a string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_json_quote(text: *const c_char) -> *mut c_char {
    // SAFETY: the caller promises a string.
    let quoted = without_panic(|| Ok(Value::from(unsafe { read("text", text)? }).to_string()));
    quoted.map_or(ptr::null_mut(), |text| give(&text))
}
