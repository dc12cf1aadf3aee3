//! Storage of one database, and the default one.

mod delivery_status;
mod key_order;
mod rollback_anchor;
pub(crate) mod search_words;
mod service;
mod sqlite;
mod validation;

pub use rollback_anchor::{FileRollbackAnchor, RollbackAnchor};
pub(crate) use service::has_records;
pub use sqlite::{SqliteOptions, SqliteStorage};
pub(crate) use validation::check_limit;
