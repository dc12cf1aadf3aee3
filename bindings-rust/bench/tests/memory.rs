//! The memory of an instance is bounded, however many messages have passed.

use std::process::Command;

const FEW: u32 = 500;
const MANY: u32 = 2500;
/// A result that is not given back grows it by 1.3 KiB a message.
const ALLOWED_BYTES: u64 = 1024 * 1024;

#[test]
fn s4_memory_of_an_instance_does_not_grow_with_its_messages() {
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../chatsdk/module/chatsdk.wasm");
    let run = Command::new(env!("CARGO_BIN_EXE_chatsdk-bench"))
        .args([module, &FEW.to_string(), &MANY.to_string()])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let printed = String::from_utf8(run.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let after = |index: usize, messages: u32| {
        assert_eq!(result["memory"][index][0], messages);
        result["memory"][index][1].as_u64().unwrap()
    };
    let (few, many) = (after(0, FEW), after(1, MANY));
    assert!(few > 0, "{printed}");
    assert!(many <= few + ALLOWED_BYTES, "{few} bytes after {FEW} messages, {many} after {MANY}");
}
