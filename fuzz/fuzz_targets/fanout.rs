//! Any operations on the fan-out and on a queue per subscriber: every byte, loss and count is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fanfare::fanout::fuzz(bytes));
