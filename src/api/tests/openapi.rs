//! The description for programs says what there is.
