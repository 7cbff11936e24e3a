//! What operators look at: counters, Prometheus text, health.

pub mod counters;
pub mod health;
pub mod metrics;
pub mod process;
