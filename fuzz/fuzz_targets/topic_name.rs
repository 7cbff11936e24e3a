//! Any path segment as a topic name: refused, or within the rules, and the same again when it is encoded anew.
#![no_main]

use fanfare::hub::TopicName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|segment: &str| {
    if let Ok(name) = TopicName::from_path_segment(segment) {
        let text = name.as_str();
        assert!((1..=TopicName::LIMIT_BYTES).contains(&text.len()));
        assert!(!text.chars().any(char::is_control));
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(TopicName::from_path_segment(&encoded).as_ref(), Ok(&name));
        assert_eq!(TopicName::new(text), Ok(name));
    }
});
