//! Standard output: one JSON object a line.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// Shared by the answers and the events.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<()>>);

impl Output {
    pub fn write(&self, line: &Value) -> io::Result<()> {
        let _one_at_a_time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }
}
