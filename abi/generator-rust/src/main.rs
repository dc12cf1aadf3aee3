//! Rust types of the contract, made by prost-build.
//!
//! Reads an encoded `FileDescriptorSet` from standard input and writes one file for each `package=file` argument after the
//! output folder. Other packages are read but not written.

use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::{env, fs, io};

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("usage: chatsdk-abi-generator FOLDER PACKAGE=FILE...")?;
    let mut encoded = Vec::new();
    io::stdin().read_to_end(&mut encoded)?;
    for argument in arguments {
        let (package, name) = argument.split_once('=').ok_or("expected PACKAGE=FILE")?;
        fs::write(Path::new(&folder).join(name), types(package, &encoded)?)?;
    }
    Ok(())
}

/// The types of one package.
fn types(package: &str, encoded: &[u8]) -> Result<String, Box<dyn Error>> {
    let files = FileDescriptorSet::decode(encoded)?.file;
    let module = prost_build::Module::from_protobuf_package_name(package);
    let requests = files
        .into_iter()
        .filter(|file| file.package() == package)
        .map(|file| (module.clone(), file))
        .collect();
    let types = prost_build::Config::new()
        .generate(requests)?
        .remove(&module)
        .ok_or_else(|| format!("package {package} has no types"))?;
    Ok(types)
}
