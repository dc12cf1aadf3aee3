//! What a module may import: `chatsdk.host_call`, and the part of WASI that Rust's standard library links.
//!
//! The core uses nothing of WASI. A guest gets no files, no arguments and no environment; `fd_write` to standard error carries
//! the last words of a panic.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::{Caller, ExternType, Linker, Memory, Module, Result, StoreLimits, Val, ValType, bail};

use super::instance::{Host, answer_host_call};

const WASI: &str = "wasi_snapshot_preview1";

/// Error numbers of WASI.
const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const INVALID: i32 = 28;
const NOT_SUPPORTED: i32 = 52;

const STDERR: i32 = 2;
const LONGEST_LINE: usize = 4096;
const MOST_PIECES: usize = 64;

/// The state of one instance's host side.
pub(crate) struct Guest {
    pub(super) limits: StoreLimits,
    /// When the call under way must end; `None` between calls.
    pub(super) deadline: Option<Instant>,
    /// What answers the module's reads.
    pub(super) host: Option<Host>,
}

/// Defines what the module imports. Fails for an import that this contract does not know.
pub(super) fn define(linker: &mut Linker<Guest>, module: &Module) -> Result<()> {
    linker.func_wrap("chatsdk", "host_call", answer_host_call)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    linker.func_wrap(WASI, "random_get", random_get)?;
    linker.func_wrap(WASI, "clock_time_get", clock_time_get)?;
    linker.func_wrap(WASI, "environ_sizes_get", no_strings)?;
    linker.func_wrap(WASI, "environ_get", |_: Caller<'_, Guest>, _: i32, _: i32| SUCCESS)?;
    linker.func_wrap(WASI, "args_sizes_get", no_strings)?;
    linker.func_wrap(WASI, "args_get", |_: Caller<'_, Guest>, _: i32, _: i32| SUCCESS)?;
    linker.func_wrap(WASI, "sched_yield", |_: Caller<'_, Guest>| SUCCESS)?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: Caller<'_, Guest>, _: i32, _: i32| BAD_DESCRIPTOR)?;
    linker.func_wrap(WASI, "proc_exit", |_: Caller<'_, Guest>, status: i32| -> Result<()> {
        bail!("the module ended itself with status {status}")
    })?;
    // The rest of WASI has no meaning without files: each call is told that it is not supported.
    for import in module.imports().filter(|import| import.module() == WASI) {
        let ExternType::Func(kind) = import.ty() else { continue };
        let known = linker.get_by_import(&mut wasmtime::Store::new(linker.engine(), no_guest()), &import).is_some();
        if !known && kind.results().len() == 1 && kind.result(0).is_some_and(|result| matches!(result, ValType::I32)) {
            linker.func_new(WASI, import.name(), kind, |_, _, results| {
                results[0] = Val::I32(NOT_SUPPORTED);
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn no_guest() -> Guest {
    Guest { limits: StoreLimits::default(), deadline: None, host: None }
}

pub(super) fn memory_of(caller: &mut Caller<'_, Guest>) -> Result<Memory> {
    match caller.get_export("memory").and_then(wasmtime::Extern::into_memory) {
        Some(memory) => Ok(memory),
        None => bail!("the module exports no memory"),
    }
}

fn fd_write(mut caller: Caller<'_, Guest>, descriptor: i32, pieces: u32, count: u32, written: u32) -> Result<i32> {
    if descriptor != STDERR {
        return Ok(BAD_DESCRIPTOR);
    }
    let memory = memory_of(&mut caller)?;
    let mut line = Vec::new();
    let mut total: u32 = 0;
    for index in 0..count.min(MOST_PIECES as u32) {
        let Some(piece) = u32::checked_add(pieces, 8 * index).and_then(|at| range(memory.data(&caller), at, 8)) else {
            return Ok(FAULT);
        };
        let number = |at: usize| u32::from_le_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]]);
        let (start, length) = (number(0), number(4));
        let Some(text) = range(memory.data(&caller), start, length) else { return Ok(FAULT) };
        line.extend_from_slice(&text[..text.len().min(LONGEST_LINE.saturating_sub(line.len()))]);
        total = total.saturating_add(length);
    }
    tracing::warn!("module: {}", String::from_utf8_lossy(&line).trim_end());
    store(&mut caller, memory, written, &total.to_le_bytes())
}

fn random_get(mut caller: Caller<'_, Guest>, start: u32, length: u32) -> Result<i32> {
    let memory = memory_of(&mut caller)?;
    let bytes = start as usize..(start as usize).saturating_add(length as usize);
    let Some(target) = memory.data_mut(&mut caller).get_mut(bytes) else { return Ok(FAULT) };
    Ok(if getrandom::fill(target).is_ok() { SUCCESS } else { NOT_SUPPORTED })
}

fn clock_time_get(mut caller: Caller<'_, Guest>, clock: i32, _precision: i64, result: u32) -> Result<i32> {
    if !(0..=1).contains(&clock) {
        return Ok(INVALID);
    }
    let memory = memory_of(&mut caller)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    store(&mut caller, memory, result, &nanoseconds.to_le_bytes())
}

/// No arguments, no environment.
fn no_strings(mut caller: Caller<'_, Guest>, count: u32, size: u32) -> Result<i32> {
    let memory = memory_of(&mut caller)?;
    match store(&mut caller, memory, count, &[0; 4])? {
        SUCCESS => store(&mut caller, memory, size, &[0; 4]),
        error => Ok(error),
    }
}

fn store(caller: &mut Caller<'_, Guest>, memory: Memory, at: u32, bytes: &[u8]) -> Result<i32> {
    Ok(if memory.write(caller, at as usize, bytes).is_ok() { SUCCESS } else { FAULT })
}

/// `length` bytes of a memory, if it has them.
pub(super) fn range(memory: &[u8], start: u32, length: u32) -> Option<&[u8]> {
    memory.get(start as usize..(start as usize).checked_add(length as usize)?)
}
