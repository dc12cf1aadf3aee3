//! The minimal example: how short it is, and that it chats.

use chatsdk_test_support::{Program, ServiceNode};

/// Why a source is not minimal; `None` if it is.
fn too_long(source: &str) -> Option<String> {
    let lines: Vec<&str> = source.trim_end().lines().collect();
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    (lines.len() > 25 || longest > 120).then(|| format!("{} lines, the longest has {longest} characters", lines.len()))
}

#[test]
fn u3_the_minimal_example_has_at_most_25_lines() {
    assert_eq!(too_long(include_str!("../minimal.rs")), None);
}

#[test]
fn u3_the_count_notices_a_longer_example() {
    assert!(too_long(&"x\n".repeat(26)).is_some());
    assert!(too_long(&"x".repeat(121)).is_some());
    assert!(too_long(&"x\n".repeat(25)).is_none());
}

#[test]
#[ignore = "needs WAKU_NODE_BIN: the service node"]
fn u3_the_minimal_example_chats_and_goes_on_after_a_restart() {
    let node = ServiceNode::start();
    let folder = tempfile::tempdir().unwrap();
    let person = |name: &str, link: &[&str]| {
        let path = folder.path().join(name);
        let mut arguments = vec![path.to_str().unwrap()];
        arguments.extend(link);
        let state = folder.path().to_str().unwrap();
        Program::start(
            env!("CARGO_BIN_EXE_minimal"),
            &arguments,
            &[("WAKU_NODE", &node.websocket), ("XDG_STATE_HOME", state)],
        )
    };
    let mut alice = person("alice", &[]);
    let link = alice.until(r"link: (\S+)\n");
    let mut bob = person("bob", &[&link]);
    alice.until("< Hello!\n");
    bob.until("✓ Sent\n");
    bob.until("✓ Delivered\n");
    alice.write_line("Hello Bob");
    bob.until("< Hello Bob\n");
    alice.until("✓ Delivered\n");
    bob.write_line("How are you?");
    alice.until(r"< How are you\?\n");

    assert!(bob.end().success());
    alice.write_line("Are you there?");
    alice.until("✓ Sent\n");
    let mut again = person("bob", &[]);
    again.until(r"< Are you there\?\n");
    again.write_line("I am");
    alice.until("✓ Delivered\n");
    alice.until("< I am\n");
    assert!(again.end().success());
    assert!(alice.end().success());
}
