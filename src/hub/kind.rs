//! Text or binary.

/// Whether a payload is text or binary; it stays what it was published as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
}
