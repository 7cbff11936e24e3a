use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::centrifuge::Format;
use crate::protocol::centrifuge::message_writer::{MessageWriter, push_message};

fn read(filter: &Value) -> Result<Filter, BadFilter> {
    Filter::from_json(&filter.to_string())
}

/// Whether a filter wants a publication with these tags.
fn wants(filter: &Value, tags: &[(&str, &str)]) -> bool {
    read(filter).unwrap().matches(|key| tags.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
}

fn leaf(cmp: &str, val: &str) -> Value {
    json!({ "key": "k", "cmp": cmp, "val": val })
}

#[test]
fn every_comparison() {
    for (cmp, val, passing, failing) in [
        ("eq", "a", &["a"][..], &["b", "", "aa"][..]),
        ("neq", "a", &["b", ""], &["a"]),
        ("sw", "ab", &["ab", "abc"], &["a", "cab"]),
        ("ew", "ab", &["ab", "cab"], &["b", "abc"]),
        ("ct", "ab", &["ab", "xaby"], &["a b", ""]),
        ("lt", "10", &["9", "-11", "9.99"], &["10", "10.0", "11", "a", ""]),
        ("lte", "10", &["9", "10.0"], &["10.01", "a"]),
        ("gt", "10", &["11", "10.000000000000000000000001"], &["10", "9", "a", "-20"]),
        ("gte", "10", &["010", "11"], &["9.9", "a"]),
    ] {
        let filter = leaf(cmp, val);
        for tag in passing {
            assert!(wants(&filter, &[("k", tag)]), "{tag} {cmp} {val}");
        }
        for tag in failing {
            assert!(!wants(&filter, &[("k", tag)]), "{tag} {cmp} {val}");
        }
        assert_eq!(wants(&filter, &[("other", val)]), cmp == "neq", "{cmp} without the tag");
    }
    let (any, none) =
        (json!({"key": "k", "cmp": "in", "vals": ["a", "b"]}), json!({"key": "k", "cmp": "nin", "vals": ["a", "b"]}));
    for (tags, is_in) in [(&[("k", "b")][..], true), (&[("k", "c")], false), (&[], false)] {
        assert_eq!((wants(&any, tags), wants(&none, tags)), (is_in, !is_in));
    }
    assert!(wants(&json!({"key": "k", "cmp": "ex"}), &[("k", "")]));
    assert!(!wants(&json!({"key": "k", "cmp": "ex"}), &[]));
    assert!(wants(&json!({"key": "k", "cmp": "nex"}), &[]));
    assert!(!wants(&json!({"key": "k", "cmp": "nex"}), &[("k", "")]));
}

#[test]
fn operators_combine_comparisons() {
    let (a, b) = (leaf("sw", "a"), leaf("ew", "z"));
    let all = json!({ "op": "and", "nodes": [a, b] });
    let any = json!({ "op": "or", "nodes": [a, b] });
    let none = json!({ "op": "not", "nodes": [any] });
    for (tag, expected) in [("az", [true, true, false]), ("ay", [false, true, false]), ("by", [false, false, true])] {
        assert_eq!([&all, &any, &none].map(|filter| wants(filter, &[("k", tag)])), expected, "{tag}");
    }
}

#[test]
fn what_is_no_filter_says_why() {
    for (filter, expected) in [
        (json!(5), BadFilter::Shape),
        (json!([]), BadFilter::Shape),
        (json!({ "key": 1 }), BadFilter::Shape),
        (json!({ "op": "and", "nodes": [1] }), BadFilter::Shape),
        (json!({ "op": "and", "nodes": {} }), BadFilter::Shape),
        (json!({ "op": "AND", "nodes": [leaf("eq", "a")] }), BadFilter::UnknownOperator),
        (json!({ "op": "and" }), BadFilter::WrongNodes),
        (json!({ "op": "or", "nodes": [] }), BadFilter::WrongNodes),
        (json!({ "op": "not", "nodes": [leaf("eq", "a"), leaf("eq", "a")] }), BadFilter::WrongNodes),
        (json!({ "op": "not" }), BadFilter::WrongNodes),
        (json!({}), BadFilter::UnknownComparison),
        (leaf("starts", "a"), BadFilter::UnknownComparison),
        (json!({ "cmp": "eq", "val": "a" }), BadFilter::MissingKey),
        (leaf("eq", ""), BadFilter::WrongValues),
        (json!({ "key": "k", "cmp": "eq", "val": "a", "vals": ["b"] }), BadFilter::WrongValues),
        (json!({ "key": "k", "cmp": "in", "vals": [] }), BadFilter::WrongValues),
        (json!({ "key": "k", "cmp": "nin", "val": "a", "vals": ["b"] }), BadFilter::WrongValues),
        (leaf("ex", "a"), BadFilter::WrongValues),
        (leaf("gt", "ten"), BadFilter::NotANumber),
        (leaf("lte", "1e3"), BadFilter::NotANumber),
        (json!({ "op": "and", "nodes": [leaf("eq", "a"), leaf("eq", "")] }), BadFilter::WrongValues),
    ] {
        assert_eq!(read(&filter), Err(expected), "{filter}");
    }
    for message in [b"\x08\x01".as_slice(), b"\x0a\x05", b"\x12\x01\xff", b"\x32\x02\x08\x01", b"\x30\x01"] {
        let wrapped = [b"\x0a\x03and", message].concat();
        assert_eq!(Filter::from_protobuf(&wrapped), Err(BadFilter::Shape), "{message:x?}");
    }
}

#[test]
fn so_many_nodes_so_deep_and_so_long_and_no_more() {
    let nodes = |count: usize| json!({ "op": "and", "nodes": vec![leaf("eq", "a"); count - 1] });
    assert!(read(&nodes(Filter::NODE_LIMIT)).is_ok());
    assert_eq!(read(&nodes(Filter::NODE_LIMIT + 1)), Err(BadFilter::TooManyNodes));

    let deep = |depth| (1..depth).fold(leaf("eq", "a"), |node, _| json!({ "op": "not", "nodes": [node] }));
    assert!(read(&deep(Filter::DEPTH_LIMIT)).is_ok());
    assert_eq!(read(&deep(Filter::DEPTH_LIMIT + 1)), Err(BadFilter::TooDeep));

    // The key takes two bytes.
    let long = |bytes| leaf("eq", &"a".repeat(bytes));
    assert!(read(&long(Filter::TEXT_LIMIT_BYTES - 3)).is_ok());
    assert_eq!(read(&long(Filter::TEXT_LIMIT_BYTES - 2)), Err(BadFilter::TooLong));
    let many = |count| json!({ "key": "k", "cmp": "in", "vals": vec![""; count] });
    assert!(read(&many(Filter::TEXT_LIMIT_BYTES - 2)).is_ok());
    assert_eq!(read(&many(Filter::TEXT_LIMIT_BYTES - 1)), Err(BadFilter::TooLong));
}

#[test]
fn nesting_far_over_the_limit_is_refused_before_it_is_read() {
    let json = [r#"{"op":"not","nodes":["#.repeat(10_000), "]}".repeat(10_000)].concat();
    assert_eq!(Filter::from_json(&json), Err(BadFilter::TooDeep));
}

#[test]
fn filters_that_ask_the_same_are_equal() {
    assert_eq!(read(&leaf("gt", "1.50")), read(&json!({ "val": "+1.5", "cmp": "gt", "key": "k", "x": 1 })));
    assert_ne!(read(&leaf("gt", "1.5")), read(&leaf("gte", "1.5")));
}

/// Any filter, as JSON; keys, values and tags are few, so that they meet.
fn filter() -> impl Strategy<Value = Value> {
    let word = || prop_oneof!["[ab]{1,3}", "-?[0-9]{1,2}(\\.[0-9])?"];
    let key = "[xy]";
    let one = prop::sample::select(vec!["eq", "neq", "sw", "ew", "ct"]);
    let leaf = prop_oneof![
        (key, one, word()).prop_map(|(key, cmp, val)| json!({ "key": key, "cmp": cmp, "val": val })),
        (key, prop::sample::select(vec!["lt", "lte", "gt", "gte"]), -99..99_i32)
            .prop_map(|(key, cmp, val)| json!({ "key": key, "cmp": cmp, "val": val.to_string() })),
        (key, prop::sample::select(vec!["in", "nin"]), vec(prop_oneof![Just(String::new()), word()], 1..4))
            .prop_map(|(key, cmp, vals)| json!({ "key": key, "cmp": cmp, "vals": vals })),
        (key, prop::sample::select(vec!["ex", "nex"])).prop_map(|(key, cmp)| json!({ "key": key, "cmp": cmp })),
    ];
    leaf.prop_recursive(4, 24, 3, |node| {
        prop_oneof![
            vec(node.clone(), 1..4).prop_map(|nodes| json!({ "op": "and", "nodes": nodes })),
            vec(node.clone(), 1..4).prop_map(|nodes| json!({ "op": "or", "nodes": nodes })),
            node.prop_map(|node| json!({ "op": "not", "nodes": [node] })),
        ]
    })
}

/// What Centrifugo makes of a filter, from its JSON and with floats, which are exact for the numbers here.
fn naive(filter: &Value, tags: &BTreeMap<String, String>) -> bool {
    let text = |name: &str| filter[name].as_str().unwrap_or_default();
    let nodes = || filter["nodes"].as_array().unwrap().iter().map(|node| naive(node, tags));
    let tag = tags.get(text("key")).map(String::as_str);
    let number = |value: &str| value.parse::<f64>().ok();
    let compare = || number(tag?)?.partial_cmp(&number(text("val"))?);
    let is_in = || filter["vals"].as_array().unwrap().iter().any(|value| value == tag.unwrap_or_default());
    match (text("op"), text("cmp")) {
        ("and", _) => nodes().all(|node| node),
        ("or", _) => nodes().any(|node| node),
        ("not", _) => !nodes().next().unwrap(),
        (_, "eq") => tag == Some(text("val")),
        (_, "neq") => tag != Some(text("val")),
        (_, "in") => is_in(),
        (_, "nin") => !is_in(),
        (_, "ex") => tag.is_some(),
        (_, "nex") => tag.is_none(),
        (_, "sw") => tag.is_some_and(|tag| tag.starts_with(text("val"))),
        (_, "ew") => tag.is_some_and(|tag| tag.ends_with(text("val"))),
        (_, "ct") => tag.is_some_and(|tag| tag.contains(text("val"))),
        (_, "lt") => compare().is_some_and(Ordering::is_lt),
        (_, "lte") => compare().is_some_and(Ordering::is_le),
        (_, "gt") => compare().is_some_and(Ordering::is_gt),
        (_, "gte") => compare().is_some_and(Ordering::is_ge),
        other => panic!("{other:?}"),
    }
}

fn write(filter: &Value, fields: &mut MessageWriter<'_>) {
    for (name, number) in [("op", 1), ("key", 2), ("cmp", 3), ("val", 4)] {
        fields.text(name, number, filter[name].as_str().unwrap_or_default());
    }
    for value in filter["vals"].as_array().into_iter().flatten() {
        fields.keep_text("vals", 5, value.as_str().unwrap());
    }
    for node in filter["nodes"].as_array().into_iter().flatten() {
        fields.message("nodes", 6, |fields| write(node, fields));
    }
}

proptest! {
    #[test]
    fn any_filter_wants_what_the_naive_reading_of_it_wants(
        filter in filter(),
        tags in btree_map("[xy]".prop_map(String::from), prop_oneof!["[ab]{0,3}", "-?[0-9]{1,2}(\\.[0-9])?"], 0..3),
    ) {
        let wanted = read(&filter).unwrap().matches(|key| tags.get(key).map(String::as_str));
        prop_assert_eq!(wanted, naive(&filter, &tags));
    }

    #[test]
    fn json_and_protobuf_are_read_as_the_same_filter(filter in filter()) {
        let mut protobuf = Vec::new();
        push_message(&mut protobuf, Format::Protobuf, |fields| write(&filter, fields));
        let message = super::super::field_reader::next_message(&mut &*protobuf).unwrap().to_vec();
        prop_assert_eq!(Filter::from_protobuf(&message), read(&filter));
    }

    #[test]
    fn any_bytes_are_a_filter_or_not(bytes in vec(any::<u8>(), 0..60), json in "[\\{\\}\\[\\]\"a-z:,]{0,60}") {
        let _ = Filter::from_protobuf(&bytes);
        let _ = Filter::from_json(&json);
    }
}
