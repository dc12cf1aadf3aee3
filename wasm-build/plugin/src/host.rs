use javy_plugin_api::javy::quickjs::{Ctx, Exception, Result};

use crate::boundary::{self, MAXIMUM_LENGTH};
use crate::bytes::{self, Bytes};

#[link(wasm_import_module = "chatsdk")]
unsafe extern "C" {
    fn host_call(method: u32, request: *const u8, length: usize) -> u64;
}

/// A method of `ModuleHost`: the host's result, status byte and all.
pub fn call<'js>(ctx: Ctx<'js>, method: u32, request: Bytes<'js>) -> Result<Bytes<'js>> {
    let request = bytes::view(&request)?;
    // SAFETY: the request outlives the call; the host only reads it.
    let (pointer, length) = boundary::unpack(unsafe { host_call(method, request.as_ptr(), request.len()) });
    if pointer == 0 || length == 0 || length > MAXIMUM_LENGTH || !boundary::is_in_memory(pointer, length) {
        return Err(Exception::throw_message(&ctx, "the host's result is no buffer of this module"));
    }
    // SAFETY: in bounds as just checked; the host took it from `chatsdk_alloc` and does not touch it again.
    let result = bytes::copy(&ctx, unsafe { std::slice::from_raw_parts(pointer as *const u8, length) });
    unsafe { boundary::chatsdk_free(pointer as *mut u8, length) };
    result
}
