//! Strings on their way in and out.

use std::ffi::{CStr, CString, c_char};

use sdk::{Error, ErrorCode, Result};

/// A string of the caller. Fails with `INVALID_ARGUMENT` if it is NULL or no UTF-8.
///
/// # Safety
/// `text` is NULL, or points to a string that ends in NUL and stays as it is for the lifetime the caller picks.
pub(crate) unsafe fn read<'a>(name: &str, text: *const c_char) -> Result<&'a str> {
    if text.is_null() {
        return Err(Error::new(ErrorCode::InvalidArgument, format!("{name}: is NULL; give a string")));
    }
    // SAFETY: not NULL; the rest is what the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|error| {
        Error::new(ErrorCode::InvalidArgument, format!("{name}: is no UTF-8; encode it as such")).caused_by(error)
    })
}

/// A string that the caller frees with `chatsdk_string_free`. JSON writes a NUL as `\u0000`, so only other texts can hold one:
/// it is left out.
pub(crate) fn give(text: &str) -> *mut c_char {
    let without_nul: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    CString::new(without_nul).unwrap_or_default().into_raw()
}

/// Frees a string that this library gave. NULL is allowed.
///
/// # Safety
/// `text` is NULL, or came from this library and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: `give` made it by `into_raw`, and the caller promises that nobody has freed it.
        drop(unsafe { CString::from_raw(text) });
    }
}
