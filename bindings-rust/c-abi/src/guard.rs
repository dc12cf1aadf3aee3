//! No panic crosses into C.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sdk::{Error, ErrorCode, Result};

/// A panic is a defect, told as `INTERNAL`. What it leaves behind is guarded by locks that survive it.
pub(crate) fn without_panic<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "a defect of the SDK; report this")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_panic_becomes_an_error() {
        let error = without_panic::<()>(|| panic!("on purpose")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        assert!(!error.message().contains("purpose"));
    }
}
