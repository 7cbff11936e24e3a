//! Any origin and host: what is allowed beside the page's own host is on the list, and nothing else.
#![no_main]

use fanfare::accept::origin::Origins;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (origin, host) = input;
    let listed = Origins::new(&["https://example.com"]).expect("a good list");
    if listed.check(Some(origin), None).is_allowed() {
        let lower = origin.to_ascii_lowercase();
        assert!(lower == "https://example.com" || lower == "https://example.com:443", "{origin:?}");
    }
    let _ = listed.check(Some(origin), Some(host));
    let _ = Origins::new(&[origin]);
});
