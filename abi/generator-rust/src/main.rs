//! Rust types of the contract, made by prost-build.
//!
//! Reads an encoded `FileDescriptorSet` from standard input. After the output folder come `PACKAGE=FILE` for each package to
//! write and `.PACKAGE=PATH` for each that another crate has. Messages with secret fields get no `Debug`: protoc-gen-chatsdk
//! writes one that does not show them.

mod secrets;

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::{env, fs, io};

use prost::Message;
use prost_build::Module;
use prost_types::FileDescriptorSet;

const USAGE: &str = "usage: chatsdk-abi-generator FOLDER {PACKAGE=FILE | .PACKAGE=PATH}...";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or(USAGE)?;
    let pairs = arguments
        .map(|argument| {
            argument
                .split_once('=')
                .map(|(left, right)| (left.to_owned(), right.to_owned()))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(USAGE)?;
    let (elsewhere, written): (Vec<_>, Vec<_>) = pairs
        .into_iter()
        .partition(|(package, _)| package.starts_with('.'));
    let mut encoded = Vec::new();
    io::stdin().read_to_end(&mut encoded)?;
    let mut config = prost_build::Config::new();
    let secrets = secrets::messages_with_secrets(&encoded)?;
    config.skip_debug(secrets.iter().map(|secret| &secret.message));
    // prost-build leaves `Debug` out for all that is in such a message; a oneof has no secret of its own.
    for oneof in secrets.iter().flat_map(|secret| &secret.oneofs) {
        config.enum_attribute(oneof, "#[derive(Debug)]");
    }
    for (package, path) in elsewhere {
        config.extern_path(package, path);
    }
    let files = FileDescriptorSet::decode(encoded.as_slice())?
        .file
        .into_iter();
    let requests = files
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let mut types = config.generate(requests)?;
    for (package, name) in written {
        let text = types.remove(&Module::from_protobuf_package_name(&package));
        let path = Path::new(&folder).join(name);
        fs::create_dir_all(path.parent().ok_or(USAGE)?)?;
        fs::write(
            path,
            text.ok_or_else(|| format!("package {package} has no types"))?,
        )?;
    }
    Ok(())
}
