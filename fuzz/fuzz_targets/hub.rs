//! Any steps on a hub and on a list of what was accepted: both give the same answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fanfare::hub::fuzz(bytes));
