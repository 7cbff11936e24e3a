//! Any bytes as a chunk of the history on disk: refused, or entries that are the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fanfare::store::fuzz(bytes));
