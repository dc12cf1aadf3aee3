//! The default storage: what every storage must do, and what a file must survive.

mod changes;
mod model;
mod opening;
mod suite;
