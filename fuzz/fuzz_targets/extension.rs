//! Any lines of Sec-WebSocket-Extensions: never a panic, and what is agreed on was offered.
#![no_main]

use fanfare::ws::negotiate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: Vec<&[u8]>| {
    let agreed = negotiate(lines.iter().copied());
    if let Ok(Some(agreed)) = agreed {
        let offered = |word: &[u8]| lines.iter().any(|line| line.windows(word.len()).any(|part| part == word));
        assert!(offered(b"permessage-deflate"));
        let bits = agreed.answer().split("server_max_window_bits=").nth(1);
        if let Some(bits) = bits {
            assert!(offered(b"server_max_window_bits"));
            assert_eq!(bits.parse(), Ok(agreed.window().bits()));
        }
        // The answer is a list of one extension, which would be accepted if it were an offer.
        assert_eq!(negotiate([agreed.answer().as_bytes()]).unwrap().map(|again| again.window()), Some(agreed.window()));
    }
    if agreed.is_ok() {
        // A malformed line anywhere makes all of it malformed.
        assert!(negotiate(lines.iter().copied().chain([&b";"[..]])).is_err());
    }
});
