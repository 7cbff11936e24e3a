//! Which publications a subscriber wants, by their tags.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::Decimal;
use super::field_reader::fields;
use super::json_field::{self, Object};

/// Which publications a subscriber wants: comparisons of tags under `and`, `or` and `not`.
///
/// Owned and checked: two that ask the same in the same words are equal, so subscribers can share one. At most
/// [`Filter::NODE_LIMIT`] nodes and [`Filter::TEXT_LIMIT_BYTES`] of text, and [`Filter::matches`] visits each once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Tag { key: Box<str>, test: Test },
}

/// What a tag has to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    In(Box<[Box<str>]>),
    NotIn(Box<[Box<str>]>),
    Exists,
    Missing,
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
    Less(Decimal<Box<str>>),
    LessOrEqual(Decimal<Box<str>>),
    Greater(Decimal<Box<str>>),
    GreaterOrEqual(Decimal<Box<str>>),
}

/// Why something is no filter. The subscription is answered by [`ErrorCode::BadRequest`](super::ErrorCode::BadRequest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadFilter {
    /// Not made of the fields of a filter.
    #[error("a filter is made of op, key, cmp, val, vals and nodes")]
    Shape,
    /// An operator that there is not.
    #[error("op is and, or, not, or left out for a comparison")]
    UnknownOperator,
    /// `and` and `or` need nodes, `not` exactly one.
    #[error("and and or need at least one node, not exactly one")]
    WrongNodes,
    /// A comparison that there is not.
    #[error("cmp is one of eq, neq, in, nin, ex, nex, sw, ew, ct, lt, lte, gt, gte")]
    UnknownComparison,
    /// A comparison that does not say of what.
    #[error("a comparison needs a key")]
    MissingKey,
    /// `in` and `nin` take `vals`, `ex` and `nex` nothing, all others `val`.
    #[error("in and nin need vals, ex and nex neither val nor vals, all others val")]
    WrongValues,
    /// A comparison of numbers with something else.
    #[error("lt, lte, gt and gte need a decimal number")]
    NotANumber,
    /// More than [`Filter::NODE_LIMIT`].
    #[error("more than {} nodes", Filter::NODE_LIMIT)]
    TooManyNodes,
    /// Deeper than [`Filter::DEPTH_LIMIT`].
    #[error("nodes nested deeper than {}", Filter::DEPTH_LIMIT)]
    TooDeep,
    /// More than [`Filter::TEXT_LIMIT_BYTES`].
    #[error("more than {} bytes of names and values", Filter::TEXT_LIMIT_BYTES)]
    TooLong,
}

impl Filter {
    /// Operators and comparisons at most.
    pub const NODE_LIMIT: usize = 64;
    /// Operators within operators at most, the comparison included.
    pub const DEPTH_LIMIT: usize = 16;
    /// Bytes of all names and values at most, and one more for each.
    pub const TEXT_LIMIT_BYTES: usize = 4096;

    /// Reads the JSON of a filter.
    ///
    /// # Errors
    /// If it is none, or over a limit. Unknown fields, and those of the other kind of node, are ignored.
    pub fn from_json(json: &str) -> Result<Self, BadFilter> {
        Reading::new().node(Source::Json(json), Self::DEPTH_LIMIT).map(Self)
    }

    /// Reads the Protobuf message of a filter.
    ///
    /// # Errors
    /// As [`Filter::from_json`].
    pub fn from_protobuf(message: &[u8]) -> Result<Self, BadFilter> {
        Reading::new().node(Source::Protobuf(message), Self::DEPTH_LIMIT).map(Self)
    }

    /// Whether a publication is wanted, of which `tag` says the value of a tag by its name.
    ///
    /// A tag that is not there is unequal to everything, in no list unless it has an empty value in it, and neither less
    /// nor greater than any number; so is one that is no number.
    pub fn matches<'t>(&self, tag: impl Fn(&str) -> Option<&'t str>) -> bool {
        self.0.matches(&tag)
    }
}

impl Node {
    fn matches<'t>(&self, tag: &impl Fn(&str) -> Option<&'t str>) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.matches(tag)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(tag)),
            Self::Not(node) => !node.matches(tag),
            Self::Tag { key, test } => test.passes(tag(key)),
        }
    }
}

impl Test {
    fn passes(&self, tag: Option<&str>) -> bool {
        let is = |predicate: &dyn Fn(&str) -> bool| tag.is_some_and(predicate);
        let is_in = |values: &[Box<str>]| values.iter().any(|value| **value == *tag.unwrap_or_default());
        let compares = |bound: &Decimal<Box<str>>, predicate: fn(Ordering) -> bool| {
            is(&|tag| Decimal::parse(tag).is_some_and(|tag| predicate(tag.compare(bound))))
        };
        match self {
            Self::Equal(value) => is(&|tag| tag == &**value),
            Self::NotEqual(value) => !is(&|tag| tag == &**value),
            Self::In(values) => is_in(values),
            Self::NotIn(values) => !is_in(values),
            Self::Exists => tag.is_some(),
            Self::Missing => tag.is_none(),
            Self::StartsWith(value) => is(&|tag| tag.starts_with(&**value)),
            Self::EndsWith(value) => is(&|tag| tag.ends_with(&**value)),
            Self::Contains(value) => is(&|tag| memchr::memmem::find(tag.as_bytes(), value.as_bytes()).is_some()),
            Self::Less(bound) => compares(bound, Ordering::is_lt),
            Self::LessOrEqual(bound) => compares(bound, Ordering::is_le),
            Self::Greater(bound) => compares(bound, Ordering::is_gt),
            Self::GreaterOrEqual(bound) => compares(bound, Ordering::is_ge),
        }
    }
}

/// Where a node stands, not yet read: a node is read only when the limits allow it.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Json(&'a str),
    Protobuf(&'a [u8]),
}

/// The fields of one node.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow, deserialize_with = "json_field::text")]
    op: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "json_field::text")]
    key: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "json_field::text")]
    cmp: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "json_field::text")]
    val: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "json_field::texts")]
    vals: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "sources")]
    nodes: Vec<Source<'a>>,
}

fn sources<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Source<'de>>, D::Error> {
    let values: Vec<&RawValue> = json_field::or_default(deserializer)?;
    Ok(values.into_iter().map(|value| Source::Json(value.get())).collect())
}

impl<'a> Fields<'a> {
    fn read(source: Source<'a>) -> Result<Self, BadFilter> {
        match source {
            Source::Json(json) => {
                let object: Object<Self> = serde_json::from_str(json).map_err(|_| BadFilter::Shape)?;
                Ok(object.0)
            }
            Source::Protobuf(message) => Self::from_protobuf(message),
        }
    }

    fn from_protobuf(message: &'a [u8]) -> Result<Self, BadFilter> {
        let mut node = Self::default();
        for field in fields(message) {
            let (number, field) = field.map_err(|_| BadFilter::Shape)?;
            let text = || field.text().map_err(|_| BadFilter::Shape);
            match number {
                1 => node.op = text()?,
                2 => node.key = text()?,
                3 => node.cmp = text()?,
                4 => node.val = text()?,
                5 => node.vals.push(text()?),
                6 => node.nodes.push(Source::Protobuf(field.bytes().map_err(|_| BadFilter::Shape)?)),
                _ => {}
            }
        }
        Ok(node)
    }
}

/// What a filter may still have.
struct Reading {
    nodes_left: usize,
    text_bytes_left: usize,
}

impl Reading {
    fn new() -> Self {
        Self { nodes_left: Filter::NODE_LIMIT, text_bytes_left: Filter::TEXT_LIMIT_BYTES }
    }

    /// The node at `source`, which may go `depth_left` deep.
    fn node(&mut self, source: Source<'_>, depth_left: usize) -> Result<Node, BadFilter> {
        let depth_left = depth_left.checked_sub(1).ok_or(BadFilter::TooDeep)?;
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(BadFilter::TooManyNodes)?;
        let fields = Fields::read(source)?;
        match &*fields.op {
            "" => self.comparison(&fields),
            "and" => Ok(Node::And(self.nodes(&fields, depth_left)?)),
            "or" => Ok(Node::Or(self.nodes(&fields, depth_left)?)),
            "not" => match *fields.nodes {
                [node] => Ok(Node::Not(Box::new(self.node(node, depth_left)?))),
                _ => Err(BadFilter::WrongNodes),
            },
            _ => Err(BadFilter::UnknownOperator),
        }
    }

    fn nodes(&mut self, fields: &Fields<'_>, depth_left: usize) -> Result<Box<[Node]>, BadFilter> {
        if fields.nodes.is_empty() {
            return Err(BadFilter::WrongNodes);
        }
        fields.nodes.iter().map(|node| self.node(*node, depth_left)).collect()
    }

    fn comparison(&mut self, fields: &Fields<'_>) -> Result<Node, BadFilter> {
        let test = self.test(fields)?;
        let may_lack_key = matches!(test, Test::Exists | Test::Missing);
        if fields.key.is_empty() && !may_lack_key {
            return Err(BadFilter::MissingKey);
        }
        Ok(Node::Tag { key: self.text(&fields.key)?, test })
    }

    fn test(&mut self, fields: &Fields<'_>) -> Result<Test, BadFilter> {
        Ok(match &*fields.cmp {
            "eq" => Test::Equal(self.value(fields)?),
            "neq" => Test::NotEqual(self.value(fields)?),
            "in" => Test::In(self.values(fields)?),
            "nin" => Test::NotIn(self.values(fields)?),
            "ex" => Self::no_value(fields, Test::Exists)?,
            "nex" => Self::no_value(fields, Test::Missing)?,
            "sw" => Test::StartsWith(self.value(fields)?),
            "ew" => Test::EndsWith(self.value(fields)?),
            "ct" => Test::Contains(self.value(fields)?),
            "lt" => Test::Less(self.number(fields)?),
            "lte" => Test::LessOrEqual(self.number(fields)?),
            "gt" => Test::Greater(self.number(fields)?),
            "gte" => Test::GreaterOrEqual(self.number(fields)?),
            _ => return Err(BadFilter::UnknownComparison),
        })
    }

    fn value(&mut self, fields: &Fields<'_>) -> Result<Box<str>, BadFilter> {
        if fields.val.is_empty() || !fields.vals.is_empty() {
            return Err(BadFilter::WrongValues);
        }
        self.text(&fields.val)
    }

    fn values(&mut self, fields: &Fields<'_>) -> Result<Box<[Box<str>]>, BadFilter> {
        if !fields.val.is_empty() || fields.vals.is_empty() {
            return Err(BadFilter::WrongValues);
        }
        fields.vals.iter().map(|value| self.text(value)).collect()
    }

    fn no_value(fields: &Fields<'_>, test: Test) -> Result<Test, BadFilter> {
        if fields.val.is_empty() && fields.vals.is_empty() { Ok(test) } else { Err(BadFilter::WrongValues) }
    }

    fn number(&mut self, fields: &Fields<'_>) -> Result<Decimal<Box<str>>, BadFilter> {
        let value = self.value(fields)?;
        Decimal::parse(&value).map(Decimal::into_owned).ok_or(BadFilter::NotANumber)
    }

    fn text(&mut self, text: &str) -> Result<Box<str>, BadFilter> {
        self.text_bytes_left = self.text_bytes_left.checked_sub(text.len() + 1).ok_or(BadFilter::TooLong)?;
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests;
