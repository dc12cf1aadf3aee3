//! The examples in C and in Python, built and run against the library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use chatsdk_test_support::{Program, ServiceNode};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The folder of the shared library. Cargo builds none for tests: they could not link with it. `CHATSDK_LIBRARY_FOLDER` names one that
/// has been built, from these sources.
fn library_folder() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(folder) = std::env::var_os("CHATSDK_LIBRARY_FOLDER") {
            return folder.into();
        }
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(status.success());
        target.join("debug")
    });
    &BUILT
}

fn compile(source: &Path, program: &Path) {
    let library = library_folder();
    let compiler = std::env::var_os("CC").unwrap_or("cc".into());
    let status = Command::new(compiler)
        .args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"])
        .arg(source)
        .arg(concat!("-I", env!("CARGO_MANIFEST_DIR")))
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-lchatsdk", "-lpthread", "-o"])
        .arg(program)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn s4_the_library_refuses_what_is_wrong_without_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("wrong-calls");
    compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong-calls.c"), &program);
    let output =
        Command::new(&program).arg(folder.path().join("a.db")).env("XDG_STATE_HOME", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs WAKU_NODE_BIN: the service node, and python3"]
fn s4_a_program_in_c_and_one_in_python_chat() {
    let node = ServiceNode::start();
    let folder = tempfile::tempdir().unwrap();
    let in_c = folder.path().join("chat");
    compile(&Path::new(ROOT).join("examples/c/chat.c"), &in_c);
    let library = library_folder().join("libchatsdk.so");
    let environment = [
        ("WAKU_NODE", node.websocket.as_str()),
        ("XDG_STATE_HOME", folder.path().to_str().unwrap()),
        ("CHATSDK_LIBRARY", library.to_str().unwrap()),
    ];
    let alices = folder.path().join("alice");
    let mut alice = Program::start(in_c.to_str().unwrap(), &[alices.to_str().unwrap()], &environment);
    let link = alice.until(r"link: (\S+)\n");
    let bobs = folder.path().join("bob");
    let script = Path::new(ROOT).join("examples/python/chat.py");
    let mut bob = Program::start("python3", &[script.to_str().unwrap(), bobs.to_str().unwrap(), &link], &environment);
    alice.until("< Hello!\n");
    bob.until("✓ delivered\n");
    alice.write_line("Hello \"Bob\" \\ of Python ✓");
    bob.until("< Hello \"Bob\" \\\\ of Python ✓\n");
    alice.until("✓ delivered\n");
    bob.write_line("Hello, Alice of C");
    alice.until("< Hello, Alice of C\n");
    assert!(bob.end().success());
    assert!(alice.end().success());
}
