use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const LOREM: &str = "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor";

fn text(delta: Vec<u8>) -> String {
    String::from_utf8(delta).unwrap()
}

#[test]
fn the_same_deltas_as_were_captured_from_centrifugo() {
    let payload = |number| format!("{{\"text\":\"{}\",\"n\":{number}}}", "lorem ipsum dolor sit amet ".repeat(6));
    let told = |from, to| text(written(payload(from).as_bytes(), payload(to).as_bytes()));
    assert_eq!(told(1, 2), "2o\n2m@0,2:2}3486F9;");
    assert_eq!(told(2, 3), "2o\n2m@0,2:3}348MF9;");
}

#[test]
fn only_what_changed_is_told() {
    let (base, target) = (format!("{{\"text\":\"{LOREM}\",\"n\":1}}"), format!("{{\"text\":\"{LOREM}\",\"n\":2}}"));
    let told = text(written(base.as_bytes(), target.as_bytes()));
    // The length, a copy of all but the end, and the end.
    assert!(told.starts_with("1V\n1T@0,2:2}"), "{told:?}");
    let moved = text(written(base.as_bytes(), format!("!{base}?").as_bytes()));
    assert!(moved.starts_with("1X\n1:!1V@0,1:?"), "{moved:?}");
}

#[test]
fn a_delta_that_is_not_less_is_none() {
    let base = LOREM.as_bytes();
    assert_eq!(delta(base, base), Some(written(base, base)));
    assert_eq!(delta(b"", b""), None);
    assert_eq!(delta(base, b"something else of some length"), None);
    // One block and a bit of the base between two insertions cost 17 bytes.
    let around = |end| format!("!{}!", &LOREM[16..end]).into_bytes();
    assert_eq!(written(base, &around(33)).len(), around(33).len());
    assert_eq!(delta(base, &around(33)), None);
    assert_eq!(delta(base, &around(34)), Some(written(base, &around(34))));
}

#[test]
fn nothing_in_common_is_one_insertion() {
    assert_eq!(text(written(b"", b"")), "0\n0;");
    assert_eq!(text(written(b"abc", b"")), "0\n0;");
    assert_eq!(text(written(b"", b"abcd")), "4\n4:abcd1XXHqZ;".replace("1XXHqZ", &text(number_text(0x6162_6364))));
    assert_eq!(text(written(b"abcd", b"a")), format!("1\n1:a{};", text(number_text(0x6100_0000))));
}

fn number_text(number: u32) -> Vec<u8> {
    let mut text = Vec::new();
    push_number(&mut text, number);
    text
}

#[test]
fn numbers_are_in_base_64_with_the_highest_digit_first() {
    for (number, expected) in
        [(0, "0"), (9, "9"), (10, "A"), (36, "_"), (37, "a"), (63, "~"), (64, "10"), (179, "2o"), (177, "2m")]
    {
        assert_eq!(text(number_text(number)), expected);
    }
    assert_eq!(text(number_text(u32::MAX)), "3~~~~~");
}

#[test]
fn the_checksum_is_the_sum_of_big_endian_words() {
    assert_eq!(checksum(b""), 0);
    assert_eq!(checksum(b"\x01"), 0x0100_0000);
    assert_eq!(checksum(b"\x01\x02\x03\x04\x05"), 0x0602_0304);
    assert_eq!(checksum(&[0xff; 8]), u32::MAX - 1);
}

#[test]
fn a_delta_that_is_none_says_why() {
    let base = b"0123456789";
    let whole = written(base, b"xyz");
    assert_eq!(apply(base, &whole), Ok(b"xyz".to_vec()));
    for at in 0..whole.len() {
        assert_eq!(apply(base, &whole[..at]), Err(BadDelta::Format), "cut at {at}");
    }
    for (delta, expected) in [
        (&b"\n0;"[..], BadDelta::Format),
        (b"0;0;", BadDelta::Format),
        (b"0\n0;x", BadDelta::Format),
        (b"0\n:0;", BadDelta::Format),
        (b"0\n1!0;", BadDelta::Format),
        (b"1\n5:a0;", BadDelta::Format),
        (b"2\n2@0;0;", BadDelta::Format),
        (b"0\n40000000;", BadDelta::Format),
        (b"4\n4@7,0;", BadDelta::OutsideBase),
        (b"4\n1@B,0;", BadDelta::OutsideBase),
        (b"4\n3~~~~~@3~~~~~,0;", BadDelta::OutsideBase),
        (b"1\n2:ab0;", BadDelta::Length),
        (b"3\n2:ab0;", BadDelta::Length),
        (b"2\n2:ab0;", BadDelta::Checksum),
    ] {
        assert_eq!(apply(base, delta), Err(expected), "{}", delta.escape_ascii());
    }
}

#[test]
fn characters_are_never_cut() {
    // Two characters of which only the last byte, or only the first, is another.
    for (left, right) in [("ä", "ö"), ("ä", "Ĥ"), ("€", "₭"), ("🦀", "🦁"), ("🦀", "𝄀")] {
        for around in [LOREM, "äöü€🦀äöü€🦀äöü€🦀äöü€🦀"] {
            let (base, target) = (format!("{around}{left}{around}"), format!("{around}{right}{around}"));
            let told = written(base.as_bytes(), target.as_bytes());
            assert_eq!(apply(base.as_bytes(), &told), Ok(target.into()));
            assert!(text(told).len() < around.len(), "{left} {right}");
        }
    }
}

/// What hostile, or unlucky, publishers may give: the same blocks over and over, and nothing else.
#[test]
fn payloads_that_repeat_themselves_take_time_in_proportion_to_their_length() {
    let length = 1 << 18;
    let mut almost = vec![b'a'; length];
    for at in (0..length).step_by(17) {
        almost[at] = b'b';
    }
    let colliding: Vec<u8> = (0..length).map(|at| if at % 32 < 16 { 0x80 } else { b'a' }).collect();
    let payloads = [vec![b'a'; length], vec![0x80; length], almost, colliding];
    let started = std::time::Instant::now();
    for base in &payloads {
        for target in &payloads {
            assert_eq!(apply(base, &written(base, target)).as_ref(), Ok(target));
        }
    }
    // Two seconds in a debug build; without a limit on chains, over four minutes.
    assert!(started.elapsed().as_secs() < 100);
}

/// A text and what became of it by a few edits.
fn edited() -> impl Strategy<Value = (String, String)> {
    let word = prop_oneof!["[a-c]{1,5}", "[äö€🦀]{1,5}", Just(LOREM.to_owned())];
    let words = vec(word.clone(), 0..12);
    (words, vec((any::<Index>(), 0..3_usize, vec(word, 0..3)), 0..4)).prop_map(|(words, edits)| {
        let mut edited = words.clone();
        for (at, removed, inserted) in edits {
            let at = at.index(edited.len() + 1);
            let end = (at + removed).min(edited.len());
            edited.splice(at..end, inserted);
        }
        (words.concat(), edited.concat())
    })
}

proptest! {
    #[test]
    fn any_edited_text_comes_back_and_its_delta_is_text((base, target) in edited()) {
        let told = written(base.as_bytes(), target.as_bytes());
        prop_assert_eq!(apply(base.as_bytes(), &told), Ok(target.clone().into_bytes()));
        prop_assert!(String::from_utf8(told).is_ok());
    }

    #[test]
    fn any_bytes_come_back(
        base in vec(0..3_u8, 0..300).prop_map(|bytes| bytes.into_iter().map(|byte| byte * 0x7f).collect::<Vec<_>>()),
        from in any::<Index>(),
        inserted in vec(any::<u8>(), 0..40),
    ) {
        let from = from.index(base.len() + 1);
        let target = [&base[from..], &inserted, &base[..from]].concat();
        let told = written(&base, &target);
        prop_assert_eq!(apply(&base, &told), Ok(target.clone()));
        prop_assert!(told.len() <= target.len() + 2 * 7 + INSERTION_HEAD_BYTES);
    }

    #[test]
    fn any_bytes_are_a_delta_or_not(base in vec(any::<u8>(), 0..40), delta in "[0-9A-Z@,:;\n]{0,30}") {
        let _ = apply(&base, delta.as_bytes());
    }
}
