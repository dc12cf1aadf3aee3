//! The handler that the bundle registers, and calls to it.

use std::cell::RefCell;

use javy_plugin_api::javy::quickjs::{Context, Ctx, Function, Object, Persistent, Result};

use crate::bytes::{self, Bytes};

/// Results for what JavaScript does not see or can no longer answer, encoded by the bundle.
struct LastWords {
    /// The request is longer than the limit.
    too_large: Vec<u8>,
    /// A call during a call.
    busy: Vec<u8>,
    /// The handler itself failed: no memory was left even to say so.
    exhausted: Vec<u8>,
}

struct Guest {
    handle: Persistent<Function<'static>>,
    last_words: LastWords,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
    static GUEST: RefCell<Option<Guest>> = const { RefCell::new(None) };
    static BUSY: RefCell<()> = const { RefCell::new(()) };
}

pub fn set_context(context: Context) {
    CONTEXT.set(Some(context));
}

/// `register(handle, { tooLarge, busy, exhausted })`, called once by the bundle. `handle(method, request)` returns a result.
pub fn register<'js>(ctx: Ctx<'js>, handle: Function<'js>, last_words: Object<'js>) -> Result<()> {
    let words = |name: &str| -> Result<Vec<u8>> { Ok(bytes::view(&last_words.get::<_, Bytes>(name)?)?.to_vec()) };
    let last_words = LastWords { too_large: words("tooLarge")?, busy: words("busy")?, exhausted: words("exhausted")? };
    GUEST.set(Some(Guest { handle: Persistent::save(&ctx, handle), last_words }));
    Ok(())
}

/// After the bundle has been evaluated: checks that it registered, and collects its garbage.
pub fn settle() {
    with_guest(|_| ());
    with_context(|ctx| ctx.run_gc());
}

pub fn request_too_large() -> Vec<u8> {
    with_guest(|guest| guest.last_words.too_large.clone())
}

pub fn call(method: u32, request: &[u8]) -> Vec<u8> {
    BUSY.with(|busy| match busy.try_borrow_mut() {
        Ok(_calling) => with_context(|ctx| {
            run(ctx, method, request).unwrap_or_else(|_| {
                // Taken out of the interpreter, or it would come back with the next call.
                drop(ctx.catch());
                with_guest(|guest| guest.last_words.exhausted.clone())
            })
        }),
        Err(_) => with_guest(|guest| guest.last_words.busy.clone()),
    })
}

fn run(ctx: &Ctx<'_>, method: u32, request: &[u8]) -> Result<Vec<u8>> {
    let handle = with_guest(|guest| guest.handle.clone()).restore(ctx)?;
    let request = bytes::copy(ctx, request)?;
    let result = handle.call::<_, Bytes>((method, request.clone()));
    // It may hold keys, and the decoder has copied what it needs.
    bytes::wipe(&request)?;
    Ok(bytes::view(&result?)?.to_vec())
}

fn with_guest<Answer>(ask: impl FnOnce(&Guest) -> Answer) -> Answer {
    GUEST.with_borrow(|guest| ask(guest.as_ref().expect("registered before the snapshot")))
}

fn with_context<Answer>(ask: impl FnOnce(&Ctx<'_>) -> Answer) -> Answer {
    CONTEXT.with_borrow(|context| context.as_ref().expect("made before the snapshot").with(|ctx| ask(&ctx)))
}
