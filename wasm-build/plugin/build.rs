//! What the linker needs beside Rust's own: a start file for modules that are called, not run (without it the linker wraps
//! every export in constructors and destructors), and the C compiler's runtime library.
fn main() {
    println!("cargo:rerun-if-env-changed=WASI_SELF_CONTAINED");
    let folder = std::env::var("WASI_SELF_CONTAINED").expect("WASI_SELF_CONTAINED: set by build.mjs");
    println!("cargo:rustc-cdylib-link-arg={folder}/crt1-reactor.o");
    println!("cargo:rustc-cdylib-link-arg={folder}/libzigrt.a");
    println!("cargo:rustc-cdylib-link-arg=--export=_initialize");
}
