//! Errors of failed calls.

use std::ffi::{CString, c_char};
use std::ptr;

use chatsdk_json::Failure;
use sdk::{Error, ErrorCode};

/// Why a call failed.
pub struct ChatSdkError {
    code: ErrorCode,
    name: CString,
    message: CString,
    retryable: bool,
}

impl ChatSdkError {
    fn new(error: &Error) -> Self {
        let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
        Self {
            code: error.code(),
            name: text(error.code().as_str_name()),
            message: text(error.message()),
            retryable: error.is_retryable(),
        }
    }
}

/// A wrong request is a wrong argument here. `see` names where the right ones are described.
pub(crate) fn of_failure(failure: Failure, see: &str) -> Error {
    match failure {
        Failure::Sdk(error) => error,
        Failure::Request(message) => Error::new(ErrorCode::InvalidArgument, format!("{message}; see {see}")),
    }
}

/// The code that a function returns: 0, or that of the error, which goes to `target` unless that is NULL.
///
/// # Safety
/// `target` is NULL, or points to where a pointer may be written.
pub(crate) unsafe fn finish(result: Result<(), Error>, target: *mut *mut ChatSdkError) -> i32 {
    let (code, error) = match result {
        Ok(()) => (0, ptr::null_mut()),
        Err(error) => (error.code().into(), Box::into_raw(Box::new(ChatSdkError::new(&error)))),
    };
    if target.is_null() {
        // SAFETY: NULL or just made, and nobody else has it.
        unsafe { chatsdk_error_free(error) };
    } else {
        // SAFETY: not NULL; the rest is what the caller promises.
        unsafe { target.write(error) };
    }
    code
}

/// The number of an error, the same in every language: see docs/errors.md. 0 for NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_error_code(error: *const ChatSdkError) -> i32 {
    // SAFETY: the caller promises a valid error or NULL.
    unsafe { error.as_ref() }.map_or(0, |error| error.code.into())
}

/// The name of an error's code, such as "WRONG_KEY". It lives as long as the error. NULL for NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_error_name(error: *const ChatSdkError) -> *const c_char {
    // SAFETY: the caller promises a valid error or NULL.
    unsafe { error.as_ref() }.map_or(ptr::null(), |error| error.name.as_ptr())
}

/// For a developer: names the field and the remedy, and never holds a secret. It lives as long as the error. NULL for NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_error_message(error: *const ChatSdkError) -> *const c_char {
    // SAFETY: the caller promises a valid error or NULL.
    unsafe { error.as_ref() }.map_or(ptr::null(), |error| error.message.as_ptr())
}

/// True if the same call may succeed later. False for NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_error_retryable(error: *const ChatSdkError) -> bool {
    // SAFETY: the caller promises a valid error or NULL.
    unsafe { error.as_ref() }.is_some_and(|error| error.retryable)
}

/// Frees an error. NULL is allowed.
///
/// # Safety
/// `error` is NULL, or came from this library and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_error_free(error: *mut ChatSdkError) {
    if !error.is_null() {
        // SAFETY: `finish` made it by `into_raw`, and the caller promises that nobody has freed it.
        drop(unsafe { Box::from_raw(error) });
    }
}
