//! Any text as a configuration file: refused with a mistake that has a place, or accepted; never a panic.
#![no_main]

use std::path::Path;

use fanfare::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::from_toml(text, Path::new("")) {
        Ok(config) => {
            let _ = config.memory_bound(4).total();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
