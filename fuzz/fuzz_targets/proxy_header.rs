//! Any first bytes of a connection as a PROXY header: an answer that more bytes never change, within the limit.
#![no_main]

use fanfare::accept::proxy_header::{LIMIT_BYTES, Parsed, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Parsed::NeedsMore => assert!(bytes.len() < LIMIT_BYTES),
        Parsed::Header { length, source } => {
            assert!(length <= bytes.len().min(LIMIT_BYTES));
            assert!(source.is_none_or(|source| source.ip() == source.ip().to_canonical()));
            assert_eq!(parse(&bytes[..length]), whole);
            assert_eq!(parse(&bytes[..length - 1]), Parsed::NeedsMore);
        }
        Parsed::Bad(bad) => assert!(!bad.to_string().is_empty()),
    }
    for split in 0..bytes.len().min(300) {
        let part = parse(&bytes[..split]);
        assert!(part == Parsed::NeedsMore || part == whole, "{split}: {part:?}, then {whole:?}");
    }
});
