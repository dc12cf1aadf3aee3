//! The exports of abi/ABI.md.

use std::alloc::{Layout, alloc, dealloc};

use crate::guest;

/// Of a request and of a result.
pub const MAXIMUM_LENGTH: usize = 64 * 1024 * 1024;
/// Of an allocation of no bytes: not null, never read.
const NOWHERE: *mut u8 = std::ptr::dangling_mut();

#[unsafe(no_mangle)]
pub extern "C" fn chatsdk_alloc(length: usize) -> *mut u8 {
    match layout(length) {
        // The allocator traps at the largest sizes, for which there is no use.
        Some(_) if length > MAXIMUM_LENGTH => std::ptr::null_mut(),
        // SAFETY: the layout's size is not zero.
        Some(layout) if length > 0 => unsafe { alloc(layout) },
        Some(_) => NOWHERE,
        None => std::ptr::null_mut(),
    }
}

/// # Safety
/// `pointer` came from `chatsdk_alloc` or `chatsdk_call` with this `length`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_free(pointer: *mut u8, length: usize) {
    if let Some(layout) = layout(length).filter(|_| length > 0) {
        // SAFETY: as the caller promises. Wiped, since requests may hold keys and results plaintext.
        unsafe {
            pointer.write_bytes(0, length);
            dealloc(pointer, layout)
        }
    }
}

/// # Safety
/// The host does not write to the request while the call runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn chatsdk_call(method: u32, pointer: usize, length: usize) -> u64 {
    if length > MAXIMUM_LENGTH {
        return give(&guest::request_too_large());
    }
    if !is_in_memory(pointer, length) {
        core::arch::wasm32::unreachable();
    }
    let pointer = if length == 0 { NOWHERE } else { pointer as *mut u8 };
    // SAFETY: in bounds as just checked.
    let request = unsafe { std::slice::from_raw_parts(pointer, length) };
    give(&guest::call(method, request))
}

/// The host frees it.
fn give(result: &[u8]) -> u64 {
    let pointer = chatsdk_alloc(result.len());
    if pointer.is_null() {
        core::arch::wasm32::unreachable();
    }
    // SAFETY: freshly allocated, of this length.
    unsafe { std::ptr::copy_nonoverlapping(result.as_ptr(), pointer, result.len()) };
    (pointer as u64) << 32 | result.len() as u64
}

/// Pointer and length of a result.
pub fn unpack(result: u64) -> (usize, usize) {
    ((result >> 32) as usize, result as u32 as usize)
}

pub fn is_in_memory(pointer: usize, length: usize) -> bool {
    const PAGE: u64 = 65_536;
    pointer as u64 + length as u64 <= core::arch::wasm32::memory_size(0) as u64 * PAGE
}

fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length, 1).ok()
}
