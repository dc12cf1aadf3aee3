//! What runs at build time alone, beside Javy's own `compile-src`. These exports are cut off when the snapshot is taken.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use javy_plugin_api::invoke;

use crate::{guest, runtime};

/// Makes the interpreter.
#[unsafe(export_name = "initialize-runtime")]
pub extern "C" fn initialize_runtime() {
    javy_plugin_api::initialize_runtime(runtime::config, runtime::equip).expect("a new interpreter");
}

/// Evaluates the bundle, given as bytecode: an instance that compiled it keeps a second copy.
///
/// # Safety
/// The bytecode came from `chatsdk_alloc`, and belongs to this function from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn start_guest(bytecode: *mut u8, length: usize) {
    let bytecode = unsafe { Vec::from_raw_parts(bytecode, length, length) };
    invoke(&bytecode, None).expect("the bundle runs");
    drop(bytecode);
    guest::settle();
    clear_free_memory();
}

/// Zeros are not stored in the snapshot; what the start left behind in freed memory would be. Takes all that is free, in ever smaller
/// blocks, until the allocator has to ask for more, and gives it back.
fn clear_free_memory() {
    take_blocks(1 << 20);
}

fn take_blocks(size: usize) {
    const SMALLEST: usize = 16;
    let layout = Layout::from_size_align(size, 8).expect("a valid layout");
    let pages = core::arch::wasm32::memory_size(0);
    // A list of the blocks within themselves: each holds the address of the one before.
    let mut last = 0;
    while core::arch::wasm32::memory_size(0) == pages {
        // SAFETY: an address fits into a block.
        unsafe {
            let block = alloc_zeroed(layout).cast::<usize>();
            *block = last;
            last = block as usize;
        }
    }
    if size > SMALLEST {
        take_blocks(size / 2);
    }
    while last != 0 {
        let block = last as *mut usize;
        // SAFETY: one of the blocks taken above.
        unsafe {
            last = *block;
            *block = 0;
            dealloc(block.cast(), layout);
        }
    }
}
