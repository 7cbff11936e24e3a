//! Any text as a position: refused, or read back as it was written.
#![no_main]

use fanfare::hub::Position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(position) = text.parse::<Position>() {
        let written = position.to_string();
        assert_eq!(written.parse(), Ok(position));
        assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'), "{text:?}");
        assert!(written.len() <= text.len(), "only leading zeros are lost");
    }
});
