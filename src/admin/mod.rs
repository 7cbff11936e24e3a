//! What operators look at: counters, Prometheus text, health.

pub mod counters;
