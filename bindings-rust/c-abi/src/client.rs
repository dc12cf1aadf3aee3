//! A client, behind a pointer.

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

#[cfg(feature = "rln")]
use chatsdk_json::Failure;
use chatsdk_json::{
    GIVEN_TWICE, Outcome, Parameters, call, in_terms_of_json, no_own_types, options, refuse_unknown_options,
    refuse_unknown_parameters, shapes,
};
#[cfg(feature = "rln")]
use chatsdk_rln::RlnMembership;
use futures::StreamExt as _;
use sdk::{Client, Error, ErrorCode, Events, Options, Result};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::error::{ChatSdkError, finish, of_failure};
use crate::guard::without_panic;
use crate::text::{give, read};

/// A chat client. Any thread may use it, several at a time.
pub struct ChatSdkClient {
    runtime: Runtime,
    client: Client,
    /// One caller at a time waits for an event.
    events: Mutex<Events>,
}

/// Opens a client. `options` is JSON:
///
/// `{"path": "alice.db", "storageKey": {"passphrase": "..."}, "peers": ["/ip4/127.0.0.1/tcp/60000"]}`
///
/// `path`: the database file, made if there is none. `storageKey`: `{"passphrase": text}`, `{"rawKey": 64 hexadecimal digits}` or
/// `{"unprotected": true}`. `peers`: multiaddrs of service nodes, over TCP or websockets. Optional: `clusterId` (42), `shardCount`
/// (8), `transport` ("light" or "relay"), `acceptRollback` (false), `protocol`, and `rln`, in a library that is built with the feature
/// rln: `{"group": text, "credentials": text}`, the contents, not the paths, of group.json and member-N.json of a network with RLN. The
/// credentials are needed once, the database keeps them: leave them out later. Never give the same to two databases. Other names are
/// refused, and so are names given twice.
///
/// Returns 0, and the client in `client`; or the code of the error, and the error in `error`.
///
/// # Safety
/// `options` is a string that ends in NUL. `client` points to where a pointer may be written, `error` too, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_open(
    options: *const c_char,
    client: *mut *mut ChatSdkClient,
    error: *mut *mut ChatSdkError,
) -> i32 {
    let opened = without_panic(|| {
        if client.is_null() {
            return Err(Error::new(ErrorCode::InvalidArgument, "client: is NULL; give a place for the pointer"));
        }
        // SAFETY: not NULL, and the caller promises that it may be written.
        unsafe { client.write(ptr::null_mut()) };
        // SAFETY: the caller promises a string.
        let opened = open(unsafe { read("options", options)? })?;
        // SAFETY: as above.
        unsafe { client.write(Box::into_raw(Box::new(opened))) };
        Ok(())
    });
    // SAFETY: the caller promises that it is NULL or may be written.
    unsafe { finish(opened, error) }
}

fn open(json: &str) -> Result<ChatSdkClient> {
    let params = parameters("options", json)?;
    let options = refuse_unknown_options(&params).and_then(|()| open_options(params));
    let options = options.map_err(|failure| of_failure(failure, "chatsdk_open"))?;
    let runtime = Runtime::new().map_err(|error| {
        Error::new(ErrorCode::Internal, "no thread can be started; free resources").caused_by(error)
    })?;
    let client = runtime.block_on(Client::open(options)).map_err(in_terms_of_json)?;
    let events = Mutex::new(client.events());
    Ok(ChatSdkClient { runtime, client, events })
}

#[cfg(feature = "rln")]
fn open_options(mut params: Parameters) -> Outcome<Options> {
    let Some(rln) = params.take_object("rln")? else { return options(&params) };
    if rln.names().any(|name| !["group", "credentials"].contains(&name)) {
        // A name may be a secret in the wrong place.
        return Err(Failure::request("rln: must have group, credentials at the first start, and nothing else"));
    }
    let mut membership = RlnMembership::new(rln.text("group").map_err(content_of_rln)?)?;
    if let Some(credentials) = rln.optional_text("credentials").map_err(content_of_rln)? {
        membership = membership.credentials(credentials.into())?;
    }
    Ok(options(&params)?.rln(membership))
}

#[cfg(feature = "rln")]
fn content_of_rln(failure: Failure) -> Failure {
    match failure {
        Failure::Request(problem) => Failure::Request(format!("{problem}; give the content of the file as a string")),
        other => other,
    }
}

/// Which refuse `rln`.
#[cfg(not(feature = "rln"))]
fn open_options(params: Parameters) -> Outcome<Options> {
    options(&params)
}

/// Calls a method of the client, such as "send" with `{"conversationId": "...", "content": {"text": "Hello"}}`. Methods, parameters and
/// results are those of conformance/agent/PROTOCOL.md; `params` may be NULL where a method needs none. Names that it does not have are
/// refused.
///
/// Returns 0, and the result as JSON in `result`, to be freed with `chatsdk_string_free`; or the code of the error, and the error in
/// `error`. Blocks until what the method changes is durable.
///
/// # Safety
/// `client` is open and not freed. `method` and `params` are strings that end in NUL; `params` may be NULL. `result` and `error` point
/// to where pointers may be written, or are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_call(
    client: *const ChatSdkClient,
    method: *const c_char,
    params: *const c_char,
    result: *mut *mut c_char,
    error: *mut *mut ChatSdkError,
) -> i32 {
    let called = without_panic(|| {
        // SAFETY: the caller promises that it may be written, or is NULL.
        unsafe { put(result, ptr::null_mut()) };
        // SAFETY: the caller promises a client that was not freed.
        let client = unsafe { open_client(client)? };
        // SAFETY: the caller promises a string.
        let method = unsafe { read("method", method)? };
        let params = if params.is_null() {
            Parameters::default()
        } else {
            // SAFETY: the caller promises a string.
            parameters("params", unsafe { read("params", params)? })?
        };
        let answer = refuse_unknown_parameters(method, &params)
            .and_then(|()| client.runtime.block_on(call(&client.client, method, &params, no_own_types)));
        let answer = answer.map_err(|failure| of_failure(failure, "the methods"))?;
        // SAFETY: as above.
        unsafe { put(result, give(&answer.to_string())) };
        Ok(())
    });
    // SAFETY: the caller promises that it is NULL or may be written.
    unsafe { finish(called, error) }
}

/// Waits for the next event, at most `timeout_ms` milliseconds. Events, as JSON, are those of conformance/agent/PROTOCOL.md. An event is
/// stored until the next one is asked for: one that was not dealt with comes again after a restart.
///
/// Returns 0, and the event in `event`, to be freed with `chatsdk_string_free`, or NULL if none came in time; or the code of the error,
/// which is that of CLOSED once the client is closed.
///
/// # Safety
/// `client` is open and not freed. `event` points to where a pointer may be written, `error` too, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_next_event(
    client: *const ChatSdkClient,
    timeout_ms: u32,
    event: *mut *mut c_char,
    error: *mut *mut ChatSdkError,
) -> i32 {
    let waited = without_panic(|| {
        if event.is_null() {
            return Err(Error::new(ErrorCode::InvalidArgument, "event: is NULL; give a place for the pointer"));
        }
        // SAFETY: not NULL, and the caller promises that it may be written.
        unsafe { event.write(ptr::null_mut()) };
        // SAFETY: the caller promises a client that was not freed.
        let client = unsafe { open_client(client)? };
        let limit = Duration::from_millis(timeout_ms.into());
        let next = client.runtime.block_on(async { tokio::time::timeout(limit, next_event(client)).await });
        if let Ok(json) = next {
            // SAFETY: as above.
            unsafe { event.write(give(&json?)) };
        }
        Ok(())
    });
    // SAFETY: the caller promises that it is NULL or may be written.
    unsafe { finish(waited, error) }
}

async fn next_event(client: &ChatSdkClient) -> Result<String> {
    let mut events = client.events.lock().await;
    while let Some(event) = events.next().await {
        if let Some(json) = shapes::event(&event, no_own_types) {
            return Ok(json.to_string());
        }
    }
    Err(Error::new(ErrorCode::Closed, "the client is closed; open a new one"))
}

/// Finishes what is under way (at most three seconds for messages on their way to a node), disconnects and closes the database. Other
/// calls then fail with CLOSED. A second call does nothing. The client must still be freed.
///
/// # Safety
/// `client` is not freed. `error` points to where a pointer may be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_close(client: *const ChatSdkClient, error: *mut *mut ChatSdkError) -> i32 {
    let closed = without_panic(|| {
        // SAFETY: the caller promises a client that was not freed.
        let client = unsafe { open_client(client)? };
        client.runtime.block_on(client.client.close())
    });
    // SAFETY: the caller promises that it is NULL or may be written.
    unsafe { finish(closed, error) }
}

/// Frees a client; one that is not closed is closed. NULL is allowed.
///
/// # Safety
/// `client` is NULL, or came from `chatsdk_open`, was not freed before, and no other thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_free(client: *mut ChatSdkClient) {
    if client.is_null() {
        return;
    }
    // SAFETY: `chatsdk_open` made it by `into_raw`, and the caller promises that nobody else has it.
    let client = unsafe { Box::from_raw(client) };
    // A failure to close cannot be told here: `chatsdk_close` tells it.
    drop(without_panic(|| client.runtime.block_on(client.client.close())));
    drop(without_panic(|| {
        drop(client);
        Ok(())
    }));
}

/// # Safety
/// `client` is NULL, or a client that lives as long as the result is used.
unsafe fn open_client<'a>(client: *const ChatSdkClient) -> Result<&'a ChatSdkClient> {
    // SAFETY: what the caller promises.
    unsafe { client.as_ref() }.ok_or_else(|| Error::new(ErrorCode::InvalidArgument, "client: is NULL; open one"))
}

/// # Safety
/// `target` is NULL or may be written.
unsafe fn put(target: *mut *mut c_char, text: *mut c_char) {
    if target.is_null() {
        // SAFETY: NULL or just made, and nobody else has it.
        unsafe { crate::text::chatsdk_string_free(text) };
    } else {
        // SAFETY: not NULL, and the caller promises that it may be written.
        unsafe { target.write(text) };
    }
}

fn parameters(name: &str, json: &str) -> Result<Parameters> {
    serde_json::from_str(json).map_err(|error| {
        // The error's own words may quote a secret.
        let place = format!("line {}, column {}", error.line(), error.column());
        let problem = if error.to_string().starts_with(GIVEN_TWICE) { GIVEN_TWICE } else { "no JSON object" };
        Error::new(ErrorCode::InvalidArgument, format!("{name}: {problem}: see {place}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery staple";

    fn refused(json: &str) -> Error {
        open(json).err().unwrap_or_else(|| panic!("opened: {json}"))
    }

    #[test]
    fn s4_a_name_that_is_given_twice_is_refused_at_any_depth() {
        for json in [
            r#"{"path": "a.db", "path": "b.db", "storageKey": {"unprotected": true}}"#,
            r#"{"path": "a.db", "storageKey": {"passphrase": "x", "passphrase": "y"}}"#,
            r#"{"path": "a.db", "storageKey": {"unprotected": true}, "protocol": {"rateLimit": [{"a": 1, "a": null}]}}"#,
        ] {
            let error = refused(json);
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert!(error.message().starts_with("options: a name is given twice: see line 1, column "), "{error}");
        }
        let params =
            parameters("params", r#"{"a": {"x": [1, -2, 0.5, "t", true, null]}, "b": {"x": 18446744073709551615}}"#);
        let params = params.unwrap();
        assert_eq!(params.get("a").unwrap(), &serde_json::json!({ "x": [1, -2, 0.5, "t", true, null] }));
        assert_eq!(params.get("b").unwrap(), &serde_json::json!({ "x": u64::MAX }));
    }

    #[test]
    fn s3_errors_about_options_do_not_quote_their_values() {
        for json in [
            format!("{SECRET:?}"),
            format!("[{SECRET:?}]"),
            format!("{{\"storageKey\": {SECRET:?} {SECRET:?}"),
            format!("{{\"storageKey\": {SECRET:?}}}"),
            format!("{{\"path\": \"/tmp/x\", \"storageKey\": {{\"passphrase\": [{SECRET:?}]}}}}"),
            format!("{{\"peers\": {SECRET:?}}}"),
            format!("{{\"peers\": [{{\"{SECRET}\": 1}}]}}"),
            format!("{{\"transport\": {SECRET:?}}}"),
            format!("{{\"clusterId\": {SECRET:?}}}"),
            format!("{{\"rln\": {SECRET:?}}}"),
            format!("{{\"rln\": {{\"group\": {SECRET:?}, \"credentials\": {SECRET:?}}}}}"),
            format!("{{\"protocol\": {{\"ackDelayMs\": {SECRET:?}}}}}"),
        ] {
            let error = refused(&json);
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{json}: {error}");
            assert!(!format!("{error:?}").contains("horse"), "{json}: {error:?}");
        }
    }

    #[test]
    fn s4_errors_name_what_was_given_in_json_and_quote_little_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let options = |key: serde_json::Value| serde_json::json!({ "path": path, "storageKey": key }).to_string();
        let raw = |digit: &str| serde_json::json!({ "rawKey": digit.repeat(64) });
        let opened = open(&options(raw("1"))).unwrap();
        let long = "x".repeat(1 << 20);
        let failed = |method: &str, params: serde_json::Value| {
            let params = parameters("params", &params.to_string()).unwrap();
            let called = refuse_unknown_parameters(method, &params)
                .and_then(|()| opened.runtime.block_on(call(&opened.client, method, &params, no_own_types)));
            of_failure(called.unwrap_err(), "the methods")
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let account = opened.runtime.block_on(opened.client.create_account()).unwrap().id;
        for (error, begins) in [
            (
                failed("conversation", serde_json::json!({ "conversationId": long })),
                "conversationId: no conversation \"xxx",
            ),
            (failed("revokeInvite", serde_json::json!({ "inviteId": long })), "inviteId: no invite \"xxx"),
            (failed(&long, json("{}")), "xxx"),
            (failed("accounts", serde_json::json!({ long.as_str(): 1 })), "xxx"),
            (
                failed("createInvite", serde_json::json!({ "accountId": account, "validForMs": 0 })),
                "validForMs: give at least",
            ),
            (failed("messages", json(r#"{ "conversationId": "x", "limit": 0 }"#)), "limit: 0, must be"),
            (
                failed("messages", json(r#"{ "conversationId": "x", "before": { "id": "y" } }"#)),
                "before.lamport: missing",
            ),
            (
                failed("changeStorageKey", serde_json::json!({ "oldKey": raw("2"), "newKey": raw("3") })),
                "oldKey: it does",
            ),
            (
                failed(
                    "changeStorageKey",
                    serde_json::json!({ "oldKey": raw("1"), "newKey": { "unprotected": true } }),
                ),
                "newKey: ",
            ),
            (
                failed("changeStorageKey", serde_json::json!({ "oldKey": { "passphrase": "x" }, "newKey": raw("3") })),
                "oldKey.passphrase: this database needs a raw key: give rawKey",
            ),
        ] {
            assert!(error.message().starts_with(begins) && error.message().len() < 300, "{begins}: {error}");
        }
        opened.runtime.block_on(opened.client.close()).unwrap();
        assert!(refused(&options(raw("2"))).message().starts_with("storageKey: it does not open this database"));
    }

    /// The contents of a group.json and of a member-1.json.
    #[cfg(feature = "rln")]
    fn group_and_credentials() -> (String, String) {
        use serde_json::{Value, json};
        let mut vectors: Value =
            serde_json::from_str(include_str!("../../../waku-node/rln/testdata/vectors.json")).unwrap();
        let mut take = |name: &str| vectors[name].take();
        let identifier = take("rlnIdentifier");
        let group = json!({
            "version": 1, "rlnIdentifier": identifier, "epochSeconds": take("epochSeconds"), "members": take("members"),
        });
        let credentials = json!({
            "version": 1, "rlnIdentifier": identifier, "leafIndex": 1, "userMessageLimit": 100,
            "identityCommitment": take("identityCommitment"), "identitySecret": take("identitySecret"),
        });
        (group.to_string(), credentials.to_string())
    }

    #[cfg(feature = "rln")]
    fn with_rln(folder: &std::path::Path, rln: serde_json::Value) -> String {
        let key = serde_json::json!({ "rawKey": "07".repeat(32) });
        serde_json::json!({ "path": folder.join("a.db"), "storageKey": key, "rln": rln }).to_string()
    }

    /// A database has them after one opening.
    #[cfg(feature = "rln")]
    #[test]
    fn s1_a_member_opens_with_credentials_once_and_without_them_later() {
        let (group, credentials) = group_and_credentials();
        let folder = tempfile::tempdir().unwrap();
        let without = with_rln(folder.path(), serde_json::json!({ "group": group }));
        assert!(refused(&without).message().starts_with("rln.credentials: missing"));
        assert!(!folder.path().join("a.db").exists(), "nothing was made");
        let with = with_rln(folder.path(), serde_json::json!({ "group": group, "credentials": credentials }));
        for options in [with, without] {
            let opened = open(&options).unwrap();
            let quota = opened.runtime.block_on(opened.client.quota()).unwrap();
            assert_eq!((quota.limited, quota.limit), (true, 100));
            opened.runtime.block_on(opened.client.close()).unwrap();
        }
    }

    #[cfg(feature = "rln")]
    #[test]
    fn s3_wrong_contents_are_named_by_field_with_a_remedy_and_not_quoted() {
        use serde_json::{Value, json};
        let (group, credentials) = group_and_credentials();
        let secret =
            serde_json::from_str::<Value>(&credentials).unwrap()["identitySecret"].as_str().unwrap().to_owned();
        let as_name = credentials.replace("identitySecret", &secret);
        let folder = tempfile::tempdir().unwrap();
        for (rln, says) in [
            (json!({}), "rln.group: missing; give the content"),
            (json!({ "group": { "version": 1 } }), "rln.group: must be a text; give the content"),
            (json!({ "group": "club/group.json" }), "rln.group: is no JSON: see line 1, column 1; give the content"),
            (json!({ "group": credentials }), "rln.group.epochSeconds: is missing; give the content"),
            (json!({ "group": json!(credentials).to_string() }), "rln.group: must be a JSON object: see line 1"),
            (json!({ "group": group, "credentials": 7 }), "rln.credentials: must be a text; give the content"),
            (json!({ "group": group, "credentials": "" }), "rln.credentials: is no JSON"),
            (json!({ "group": group, "credentials": as_name }), "rln.credentials.identitySecret: is missing; give"),
            (json!({ "group": group, "credential": credentials }), "rln: must have group, credentials"),
            (json!({ "group": group, secret.clone(): 1 }), "rln: must have group, credentials"),
        ] {
            let error = refused(&with_rln(folder.path(), rln));
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert!(error.message().starts_with(says), "{error}");
            assert!(!format!("{error:?}").contains(&secret[..8]), "{error:?}");
        }
        assert!(!folder.path().join("a.db").exists(), "nothing was made");
    }
}
