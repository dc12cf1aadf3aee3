//! Transports over Waku.

mod waku;

pub use waku::{WakuOptions, WakuTransport};
