//! Offers as clients send them, and as nobody should.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const BASE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn answer(header: &str) -> Option<&'static str> {
    negotiate([header.as_bytes()]).unwrap().map(Agreement::answer)
}

fn window(header: &str) -> Option<u8> {
    negotiate([header.as_bytes()]).unwrap().map(|agreed| agreed.window().bits())
}

#[test]
fn what_browsers_offer_is_accepted_without_windows_of_the_client() {
    assert_eq!(answer("permessage-deflate; client_max_window_bits"), Some(BASE));
    assert_eq!(answer("permessage-deflate"), Some(BASE));
    assert_eq!(answer("permessage-deflate; client_max_window_bits=10"), Some(BASE));
    assert_eq!(answer("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), Some(BASE));
}

#[test]
fn a_window_that_is_asked_for_is_answered_with_one_that_is_not_larger() {
    for (asked, answered) in [(9, 9), (10, 9), (11, 9), (12, 12), (13, 12), (14, 12), (15, 15)] {
        let header = format!("permessage-deflate; server_max_window_bits={asked}");
        assert_eq!(answer(&header), Some(&*format!("{BASE}; server_max_window_bits={answered}")));
        assert_eq!(window(&header), Some(answered));
    }
}

#[test]
fn a_window_of_eight_bits_which_zlib_cannot_keep_is_declined_and_the_fallback_taken() {
    assert_eq!(answer("permessage-deflate; server_max_window_bits=8"), None);
    assert_eq!(answer("permessage-deflate; server_max_window_bits=8, permessage-deflate"), Some(BASE));
    assert_eq!(answer("permessage-deflate; client_max_window_bits=8"), Some(BASE), "its own window is its own affair");
}

#[test]
fn an_offer_with_a_wrong_parameter_is_declined_and_the_next_one_is_looked_at() {
    for wrong in [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=9a",
        "server_max_window_bits=100",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits=10",
        "unknown",
        "unknown=1",
        "Server_Max_Window_Bits=10",
    ] {
        assert_eq!(answer(&format!("permessage-deflate; {wrong}")), None, "{wrong}");
        let fallback = format!("permessage-deflate; {wrong}, permessage-deflate; server_max_window_bits=9");
        assert_eq!(window(&fallback), Some(9), "{wrong}");
    }
}

#[test]
fn the_first_offer_that_can_be_kept_wins_over_several_lines() {
    assert_eq!(
        window("permessage-deflate; server_max_window_bits=10, permessage-deflate; server_max_window_bits=15"),
        Some(9)
    );
    let lines = [&b"x-webkit-deflate-frame, permessage-deflate; what=1"[..], b"permessage-deflate", b"other; a=b"];
    assert_eq!(negotiate(lines).unwrap().map(Agreement::answer), Some(BASE));
}

#[test]
fn values_may_be_quoted_and_space_may_stand_between() {
    assert_eq!(window("permessage-deflate; server_max_window_bits=\"10\""), Some(9));
    assert_eq!(window("permessage-deflate;server_max_window_bits=\"1\\2\""), Some(12));
    assert_eq!(window(" permessage-deflate\t;  server_max_window_bits = 12 , foo"), Some(12));
    assert_eq!(window("foo; bar=\"permessage-deflate\""), None);
    assert_eq!(window(",, permessage-deflate ,,"), Some(15));
    assert_eq!(window(""), None);
}

#[test]
fn what_is_not_a_list_of_extensions_fails_wherever_it_is_wrong() {
    for malformed in [
        "permessage-deflate; ",
        "permessage-deflate;;",
        "permessage-deflate; =1",
        "permessage-deflate; a=",
        "permessage-deflate; a=\"",
        "permessage-deflate; a=\"\\",
        "permessage-deflate; a=\"\"",
        "permessage-deflate; a=\"b c\"",
        "permessage-deflate; a=\"b\"c",
        "permessage-deflate foo",
        "permessage-deflate, (comment)",
        "; permessage-deflate",
        "perm\u{e9}ssage",
    ] {
        assert_eq!(negotiate([malformed.as_bytes()]), Err(Malformed), "{malformed}");
        assert_eq!(negotiate([&b"permessage-deflate"[..], malformed.as_bytes()]), Err(Malformed), "{malformed}");
    }
}

/// One parameter as it may stand in an offer, and the same read.
fn parameter() -> impl Strategy<Value = String> {
    let bits = select(vec!["", "=8", "=9", "=10", "=12", "=15", "=16", "=\"11\"", "=\"1\\4\"", "=0"]);
    let named = (select(vec!["server_max_window_bits", "client_max_window_bits"]), bits)
        .prop_map(|(name, value)| format!("{name}{value}"));
    let flags = select(vec!["server_no_context_takeover", "client_no_context_takeover", "unknown", "a=b"]);
    prop_oneof![named, flags.prop_map(str::to_owned)]
}

/// Whether the answer is one that a client with this offer has to accept (RFC 7692 §7.1).
fn is_acceptable(offer: &[String], answer: &str) -> bool {
    let asked = offer.iter().find_map(|one| one.strip_prefix("server_max_window_bits="));
    let asked = asked.map(|bits| bits.replace(['"', '\\'], "").parse::<u8>().unwrap());
    let answered = answer.split("server_max_window_bits=").nth(1).map(|bits| bits.parse::<u8>().unwrap());
    match (asked, answered) {
        (Some(asked), Some(answered)) => (8..=asked).contains(&answered),
        (Some(_), None) => false,
        (None, Some(_)) | (None, None) => answered.is_none(),
    }
}

/// Whether a client may make this offer at all, read the slow way.
fn is_valid(offer: &[String]) -> bool {
    let names: Vec<&str> = offer.iter().map(|one| one.split('=').next().unwrap()).collect();
    let twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
    let all_known = offer.iter().all(|one| {
        let (name, value) = one.split_once('=').map_or((&**one, None), |(name, value)| (name, Some(value)));
        let bits = value.map(|value| value.replace(['"', '\\'], "").parse::<u8>().is_ok_and(|n| (8..=15).contains(&n)));
        match name {
            "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
            "server_max_window_bits" => bits == Some(true),
            "client_max_window_bits" => bits != Some(false),
            _ => false,
        }
    });
    all_known && !twice
}

proptest! {
    #[test]
    fn the_first_valid_offer_is_agreed_on_and_the_answer_is_acceptable_by_it(
        offers in vec(vec(parameter(), 0..4), 1..4),
    ) {
        let texts: Vec<String> =
            offers.iter().map(|offer| [vec!["permessage-deflate".to_owned()], offer.clone()].concat().join("; ")).collect();
        let agreed = negotiate([texts.join(", ").as_bytes()]).unwrap();
        let eight = "server_max_window_bits=8".to_owned();
        let first = offers.iter().find(|offer| is_valid(offer) && !offer.contains(&eight));
        prop_assert_eq!(agreed.is_some(), first.is_some());
        if let (Some(agreed), Some(first)) = (agreed, first) {
            prop_assert!(is_acceptable(first, agreed.answer()), "{:?} {}", first, agreed.answer());
        }
    }

    #[test]
    fn no_header_panics_and_garbage_is_never_agreed_to(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(Some(_)) = negotiate([&bytes[..]]) {
            prop_assert!(bytes.windows(18).any(|part| part == b"permessage-deflate"));
        }
    }
}
