//! `config/fanfare.toml` and `docs/configuration.md` say what the code does.

use std::collections::BTreeSet;

use crate::config::{Config, TopicRules, exemplar};

const FILE: &str = include_str!("../../../config/fanfare.toml");
const DOCS: &str = include_str!("../../../docs/configuration.md");

/// The file with its example keys: lines of `#` and no space.
fn with_examples() -> String {
    let live = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    FILE.lines().map(|line| live(line) + "\n").collect()
}

/// The keys of `value`, list entries taken together, as `exemplar::keys` names them.
fn keys(value: &toml::Table, prefix: &str, into: &mut BTreeSet<String>) {
    for (key, value) in value {
        let path = format!("{prefix}{key}");
        let tables: Vec<&toml::Table> = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(entries) => entries.iter().filter_map(toml::Value::as_table).collect(),
            _ => Vec::new(),
        };
        if tables.is_empty() {
            into.insert(path);
        } else {
            tables.iter().for_each(|table| keys(table, &format!("{path}."), into));
        }
    }
}

#[test]
fn the_file_as_it_stands_is_the_default() {
    assert_eq!(super::config(FILE), Config::default());
}

#[test]
fn the_file_lists_every_key_there_is_and_no_other() {
    let mut listed = BTreeSet::new();
    keys(&with_examples().parse().unwrap(), "", &mut listed);
    assert_eq!(listed, exemplar::keys().into_iter().collect());
}

#[test]
fn the_rules_of_topics_shown_in_the_file_are_the_built_in_ones() {
    let shown: toml::Table = with_examples().parse().unwrap();
    let rules: TopicRules = shown["topics"][0].clone().try_into().unwrap();
    assert_eq!(rules, TopicRules::default());
}

#[test]
fn every_key_in_the_file_has_a_reason_above_it() {
    let lines: Vec<&str> = FILE.lines().collect();
    let is_key = |line: &str| {
        let bare = line.strip_prefix('#').unwrap_or(line);
        bare.starts_with(|c: char| c.is_ascii_lowercase()) && bare.contains(" = ")
    };
    let without: Vec<&str> = (1..lines.len())
        .filter(|&at| is_key(lines[at]) && !lines[at - 1].starts_with("# ") && !lines[at].contains("path = "))
        .map(|at| lines[at])
        .collect();
    assert_eq!(without, Vec::<&str>::new());
}

#[test]
fn the_documentation_has_a_row_for_every_key_with_its_default() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    for key in exemplar::keys() {
        let name = key.rsplit('.').next().unwrap();
        let section = key.split('.').next().unwrap();
        let rows: Vec<&str> = DOCS.lines().filter(|line| line.starts_with(&format!("| `{name}`"))).collect();
        assert!(!rows.is_empty(), "{key} has no row");
        if let Some(default) = defaults.get(section).and_then(|table| table.get(name)) {
            let cell = format!("| `{default}` |");
            assert!(rows.iter().any(|row| row.contains(&cell)), "{key}: no row with {cell} in {rows:?}");
        }
    }
}
