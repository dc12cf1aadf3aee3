//! What the libraries below ask of an operating system that a host need not be.

use std::io::{self, Write};

/// Instead of the C library's, which ends the module if the host has no environment to give.
#[unsafe(no_mangle)]
extern "C" fn getenv(_: *const std::ffi::c_char) -> *mut std::ffi::c_char {
    std::ptr::null_mut()
}

/// Standard error, if the host has one: a line that nobody hears is no error.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(bytes).or(Ok(())).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
