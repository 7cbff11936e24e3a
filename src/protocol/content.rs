//! What is encoded.

use crate::hub::{Kind, Member, Position};

/// What is encoded: a publication, or who came or went.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Where it stands there. Of what has no number of its own: the publication before.
    pub position: Position,
    /// What it is.
    pub about: About<'a>,
    /// Names and values, in the order of names.
    pub tags: &'a [(Box<str>, Box<str>)],
    /// The wildcard that it is subscribed to by, if it is not by its topic.
    pub wildcard: Option<&'a str>,
}

/// What a [`Content`] is.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// A publication.
    Publication {
        /// Text or binary.
        kind: Kind,
        /// The application bytes.
        payload: &'a [u8],
        /// Those of the publication before, if a difference to them is wanted.
        previous: Option<&'a [u8]>,
        /// Who published it.
        publisher: Option<&'a Member>,
        /// Whether the offset is its own: what is not kept has none.
        is_numbered: bool,
    },
    /// A subscriber came.
    Joined(&'a Member),
    /// A subscriber went.
    Left(&'a Member),
}

impl<'a> Content<'a> {
    /// A publication that has nothing but its payload.
    pub fn plain(topic: &'a str, position: Position, kind: Kind, payload: &'a [u8]) -> Self {
        let about = About::Publication { kind, payload, previous: None, publisher: None, is_numbered: true };
        Self { topic, position, about, tags: &[], wildcard: None }
    }
}
