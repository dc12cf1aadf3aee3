use javy_plugin_api::{
    Config,
    javy::{
        BytecodeStripping, Runtime,
        quickjs::{Ctx, Object, Result, prelude::Func},
    },
};

use crate::{crypto, forbidden, guest, host, protobuf, surroundings::Stderr};

/// What the interpreter allocates before it looks for cycles. Its default is never.
const GC_THRESHOLD: usize = 8 * 1024 * 1024;
/// Below the 256 MiB a host allows an instance, so that JavaScript sees an error before the host refuses memory.
const MEMORY_LIMIT: usize = 192 * 1024 * 1024;
/// Deeper calls throw a RangeError. Larger and wasmtime's own default stack (512 KiB) overflows first, which is a trap.
const STACK_LIMIT: usize = 128 * 1024;

pub fn config() -> Config {
    let mut config = Config::default();
    config
        .date(false)
        .bytecode_stripping(BytecodeStripping::SourceAndDebug)
        .text_encoding(true)
        .log_stream(Box::new(Stderr))
        .err_stream(Box::new(Stderr))
        .gc_threshold(GC_THRESHOLD)
        .memory_limit(MEMORY_LIMIT)
        .max_stack_size(STACK_LIMIT);
    config
}

/// Gives the guest its door, `__chatsdk`, and keeps the context for the calls to come.
pub fn equip(runtime: Runtime) -> Runtime {
    runtime.context().with(|ctx| equip_context(&ctx)).expect("globals of a new context can be set");
    guest::set_context(runtime.context().clone());
    runtime
}

fn equip_context(ctx: &Ctx<'_>) -> Result<()> {
    let door = Object::new(ctx.clone())?;
    door.set("crypto", crypto::object(ctx)?)?;
    door.set("keccak256", Func::from(crypto::keccak256))?;
    door.set("protobuf", protobuf::object(ctx)?)?;
    door.set("hostCall", Func::from(host::call))?;
    door.set("register", Func::from(guest::register))?;
    ctx.globals().set("__chatsdk", door)?;
    forbidden::replace(ctx)
}
