//! Starts shards, waits for signals, drains.
