//! Plain HTTP: publishing, history, the server API, pages, metrics and health. Everything but upgrades and streams.

mod surface;

pub use surface::{Body, Surface};
