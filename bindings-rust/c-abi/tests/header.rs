//! The header is what the sources say.

use std::path::Path;

fn generated() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let sources = ["client", "error", "json", "text"];
    let builder = sources.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| {
        builder.with_src(folder.join("src").join(format!("{name}.rs")))
    });
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

/// With `CHATSDK_WRITE_HEADER` set, writes it.
#[test]
fn s4_the_header_is_generated_from_the_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("chatsdk.h");
    let generated = generated();
    if std::env::var_os("CHATSDK_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let header = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(header == generated, "chatsdk.h is out of date: run the test with CHATSDK_WRITE_HEADER=1");
}
