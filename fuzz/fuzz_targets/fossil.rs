//! Any two payloads as a delta: it brings one from the other, and is text if they are. Any bytes as a delta: applied or not.
#![no_main]

use fanfare::protocol::centrifuge::fossil::{apply, delta};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&[u8], &[u8])| {
    let (base, target) = data;
    // The second half of what comes is often far from the first; a base that is made of both has much of it.
    let both = [target, base, target].concat();
    for base in [base, &both] {
        for (base, target) in [(base, target), (target, base)] {
            let Some(told) = delta(base, target) else { continue };
            assert_eq!(apply(base, &told).as_deref(), Ok(target));
            assert!(told.len() < target.len());
            if std::str::from_utf8(target).is_ok() {
                assert!(std::str::from_utf8(&told).is_ok());
            }
        }
    }
    let _ = apply(base, target);
});
