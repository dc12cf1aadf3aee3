//! Hostile and broken modules: a typed error, and a host that goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CompiledModule, Instance, Limits, Reads};
use crate::abi::{
    CONTRACT_HASH, CoreModule as _, CoreModuleClient, DescribeRequest, ModuleCaller as _, ModuleDescription, Read,
    ReadAnswer, read,
};
use crate::error::{Error, ErrorCode, Result};

/// A module whose `chatsdk_call` has this body; `$m`, `$p` and `$n` are its parameters, and a request lies at 1,024.
fn module(call: &str) -> Arc<CompiledModule> {
    let text = format!(
        r#"(module
            (import "chatsdk" "host_call" (func $host_call (param i32 i32 i32) (result i64)))
            (memory (export "memory") 1)
            (data (i32.const 16) "\00\01\02\03")
            (data (i32.const 32) "\12\01x")
            (global $next (mut i32) (i32.const 1024))
            (func (export "chatsdk_alloc") (param i32) (result i32)
                global.get $next
                (global.set $next (i32.add (global.get $next) (local.get 0))))
            (func (export "chatsdk_free") (param i32 i32))
            (func (export "chatsdk_call") (param $m i32) (param $p i32) (param $n i32) (result i64) {call}))"#
    );
    compile(&text)
}

fn compile(text: &str) -> Arc<CompiledModule> {
    Arc::new(CompiledModule::compile(&wat::parse_str(text).unwrap()).unwrap())
}

fn limits() -> Limits {
    Limits { memory_bytes: 4 * 1024 * 1024, call_time: Duration::from_millis(300) }
}

fn reads() -> Reads {
    Arc::new(|_| Ok(ReadAnswer::default()))
}

fn instance(module: &Arc<CompiledModule>) -> Instance {
    Instance::new(module, limits(), reads()).unwrap()
}

fn packed(pointer: u32, length: u32) -> String {
    format!("i64.const {}", (u64::from(pointer) << 32 | u64::from(length)).cast_signed())
}

fn expect_broken(call: &str, about: &str) {
    let module = module(call);
    let mut broken = instance(&module);
    let error = broken.call_module(1, b"request").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal, "{error}");
    assert!(error.message().contains(about), "{error}");
    assert!(broken.is_broken());
    let again = broken.call_module(1, b"request").unwrap_err();
    assert!(again.message().contains("earlier call"), "{again}");
    // The host itself goes on.
    let good = self::module(&packed(16, 4));
    assert_eq!(instance(&good).call_module(1, b"request").unwrap(), [1, 2, 3]);
}

#[test]
fn s4_a_result_is_copied_out() {
    assert_eq!(instance(&module(&packed(16, 4))).call_module(1, b"request").unwrap(), [1, 2, 3]);
    // Without a byte of response.
    assert_eq!(instance(&module(&packed(16, 1))).call_module(1, b"").unwrap(), [0_u8; 0]);
}

#[test]
fn s4_pointers_outside_the_memory_are_refused() {
    for (pointer, length) in
        [(65_536, 1), (65_535, 2), (u32::MAX, 1), (0x8000_0000, 16), (16, 65_536), (u32::MAX, u32::MAX)]
    {
        let about = if length as usize > crate::abi::MAXIMUM_LENGTH { "a result of" } else { "outside the memory" };
        expect_broken(&packed(pointer, length), about);
    }
}

#[test]
fn s4_oversized_results_are_refused_before_they_are_read() {
    expect_broken(&packed(0, 64 * 1024 * 1024 + 1), "a result of 67108865 bytes");
}

#[test]
fn s4_a_wrong_status_and_an_empty_result_are_defects() {
    for (result, about) in [(packed(17, 3), "does not decode"), (packed(18, 2), "status 2"), (packed(16, 0), "empty")] {
        let module = module(&result);
        let mut broken = instance(&module);
        let error = broken.call_module(1, b"").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(error.message().contains(about), "{error}");
        assert!(broken.is_broken());
    }
}

#[test]
fn s4_a_trap_breaks_the_instance_and_nothing_else() {
    expect_broken("unreachable", "unreachable");
    expect_broken("i32.const 0 i32.const 0 i32.div_s drop i64.const 0", "divide by zero");
    expect_broken("i32.const -4 i32.load drop i64.const 0", "out of bounds");
}

#[test]
fn s4_endless_recursion_traps() {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "chatsdk_alloc") (param i32) (result i32) i32.const 1024)
        (func (export "chatsdk_free") (param i32 i32))
        (func $call (export "chatsdk_call") (param i32 i32 i32) (result i64)
            local.get 0 local.get 1 local.get 2 call $call))"#;
    let error = instance(&compile(text)).call_module(1, b"").unwrap_err();
    assert!(error.message().contains("stack"), "{error}");
}

#[test]
fn s4_an_endless_loop_ends_with_its_time() {
    let started = Instant::now();
    expect_broken("(loop $l br $l) i64.const 0", "out of time");
    assert!(started.elapsed() >= limits().call_time);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn s4_an_endless_start_is_no_way_around_the_limits() {
    let text = r#"(module (memory (export "memory") 100)
        (func (export "chatsdk_alloc") (param i32) (result i32) i32.const 1024))"#;
    let too_large = Instance::new(&compile(text), limits(), reads()).err().unwrap();
    assert_eq!(too_large.code(), ErrorCode::Internal, "a memory above the limit: {too_large}");
}

#[test]
fn s4_memory_is_bounded_and_reported() {
    let grows = module("(drop (memory.grow (i32.const 63))) i64.const 0");
    let mut instance = instance(&grows);
    assert_eq!(instance.memory_bytes(), 65_536);
    drop(instance.call_module(1, b""));
    assert_eq!(instance.memory_bytes(), 4 * 1024 * 1024);
    let refused = module(&format!(
        "(if (i32.ne (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable)) {}",
        packed(16, 4)
    ));
    assert!(self::instance(&refused).call_module(1, b"").is_ok(), "the module is told that it cannot grow");
}

#[test]
fn s4_a_module_without_memory_to_give_breaks_the_call() {
    let text = r#"(module (memory (export "memory") 1)
        (func (export "chatsdk_alloc") (param i32) (result i32) i32.const 0)
        (func (export "chatsdk_free") (param i32 i32))
        (func (export "chatsdk_call") (param i32 i32 i32) (result i64) i64.const 0))"#;
    let error = instance(&compile(text)).call_module(1, b"request").unwrap_err();
    assert!(error.message().contains("no memory"), "{error}");
    let text = text.replace("i32.const 0)", "i32.const -8)");
    let error = instance(&compile(&text)).call_module(1, b"request").unwrap_err();
    assert!(error.message().contains("out of bounds"), "{error}");
}

#[test]
fn s4_a_module_of_another_shape_is_refused() {
    for text in [
        "(module)",
        r#"(module (memory (export "memory") 1))"#,
        r#"(module (memory (export "memory") 1) (func (export "chatsdk_alloc") (param i64)))"#,
        r#"(module (import "env" "system" (func (param i32))))"#,
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#,
        r#"(module (memory (export "memory") 1) (func $f unreachable) (start $f))"#,
    ] {
        let made = CompiledModule::compile(&wat::parse_str(text).unwrap())
            .and_then(|module| Instance::new(&Arc::new(module), limits(), reads()));
        assert_eq!(made.err().map(|error| error.code()), Some(ErrorCode::Internal), "{text}");
    }
    assert!(CompiledModule::compile(b"\0asm").is_err());
}

#[test]
fn s4_a_malformed_description_is_a_defect() {
    for (call, about) in [(packed(16, 4), "does not decode"), (packed(31, 4), "")] {
        match describe(&mut instance(&module(&call))) {
            Ok(description) => assert_ne!(description.contract_hash, CONTRACT_HASH),
            Err(error) => assert!(error.message().contains(about) && !about.is_empty(), "{error}"),
        }
    }
}

#[test]
fn s4_the_host_answers_reads_and_survives_malformed_ones() {
    // The request of the call is handed on to the host, and the host's result back.
    let echo = module("i32.const 1 local.get $p local.get $n call $host_call");
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let reads: Reads = Arc::new(move |read: &Read| {
        log.lock().unwrap().push(read.clone());
        let record = crate::abi::Record { key: "k".into(), value: vec![7] };
        Ok(ReadAnswer { records: vec![record] })
    });
    let mut instance = Instance::new(&echo, limits(), reads).unwrap();
    let read = Read { read: Some(read::Read::Get("k".into())) };
    let answer = instance.call_module(1, &prost::Message::encode_to_vec(&read)).unwrap();
    assert_eq!(<ReadAnswer as prost::Message>::decode(&*answer).unwrap().records[0].value, [7]);
    assert_eq!(*asked.lock().unwrap(), [read]);
    let malformed = instance.call_module(1, &[0xff; 40]).unwrap_err();
    assert_eq!(malformed.code(), ErrorCode::InvalidArgument, "{malformed}");
    assert!(!instance.is_broken());

    for (call, about) in [
        ("i32.const 9 local.get $p local.get $n call $host_call", "no method 9"),
        ("i32.const 1 i32.const -1 i32.const 8 call $host_call", "outside its memory"),
        ("i32.const 1 i32.const 0 i32.const -1 call $host_call", "outside its memory"),
    ] {
        let error = self::instance(&module(call)).call_module(1, b"").unwrap_err();
        assert!(error.message().contains(about), "{error}");
    }
}

#[test]
fn s4_a_failed_read_comes_back_with_its_cause() {
    let echo = module("i32.const 1 local.get $p local.get $n call $host_call");
    let reads: Reads = Arc::new(|_| {
        let cause = std::io::Error::other("the disk is on fire");
        Err(Error::new(ErrorCode::StorageFailed, "path x: failed").retryable().caused_by(cause))
    });
    let mut instance = Instance::new(&echo, limits(), reads).unwrap();
    let error = instance.call_module(1, b"").unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::StorageFailed, true));
    assert!(std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("on fire")));
    assert!(!instance.is_broken());
}

#[test]
fn s4_wasi_gives_no_files_and_every_call_of_it_returns() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "chatsdk_alloc") (param i32) (result i32) i32.const 1024)
        (func (export "chatsdk_free") (param i32 i32))
        (func (export "chatsdk_call") (param i32 i32 i32) (result i64)
            (if (i32.eq (local.get 0) (i32.const 2)) (then (call $exit (i32.const 3))))
            (if (i32.ne (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)) (i32.const 52)) (then unreachable))
            (if (i32.ne (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)) (i32.const 8)) (then unreachable))
            (if (i32.ne (call $fd_write (i32.const 2) (i32.const -4) (i32.const 9) (i32.const 64)) (i32.const 21)) (then unreachable))
            (if (i32.ne (call $random_get (i32.const 65530) (i32.const 100)) (i32.const 21)) (then unreachable))
            (if (i32.ne (call $environ (i32.const 64) (i32.const -1)) (i32.const 21)) (then unreachable))
            (i64.const 0x1000000001)))"#;
    let module = compile(text);
    assert_eq!(instance(&module).call_module(1, b"").unwrap(), [0_u8; 0]);
    let error = instance(&module).call_module(2, b"").unwrap_err();
    assert!(error.message().contains("status 3"), "{error}");
}

/// The module that is shipped.
fn shipped() -> Instance {
    Instance::new(&CompiledModule::embedded().unwrap(), Limits::default(), reads()).unwrap()
}

fn describe(instance: &mut Instance) -> Result<ModuleDescription> {
    CoreModuleClient::new(instance).describe(&DescribeRequest {})
}

#[test]
fn s3_the_shipped_module_is_of_this_contract() {
    let ModuleDescription { contract_version, contract_hash, .. } = describe(&mut shipped()).unwrap();
    assert_eq!((contract_version, contract_hash.as_str()), (crate::abi::CONTRACT_VERSION, CONTRACT_HASH));
}

#[test]
fn s4_malformed_requests_fail_and_leave_the_instance_alive() {
    let mut core = shipped();
    let garbage: [&[u8]; 4] = [&[0xff; 40], &[0x0a, 0x7f], b"not a message", &[0x08]];
    for method in [0, 2, 3, 4, 5, 6, 7, 8, 9, 77, u32::MAX] {
        for request in garbage {
            let error: Result<Vec<u8>> = core.call_module(method, request);
            assert_eq!(error.err().map(|error| error.code()), Some(ErrorCode::InvalidArgument), "{method} {request:?}");
        }
    }
    assert!(describe(&mut core).is_ok());
}

#[test]
fn s4_a_call_out_of_order_changes_nothing() {
    let mut core = shipped();
    let early = CoreModuleClient::new(&mut core).step(&crate::abi::Input::default()).unwrap_err();
    assert_eq!(early.code(), ErrorCode::InvalidArgument, "{early}");
    assert!(describe(&mut core).is_ok());
}
