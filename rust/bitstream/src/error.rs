//! Error of syntax elements that cannot be read.

use std::fmt;

/// A syntax element, by the standard's name, that holds no legal value or ends beyond the data.
///
/// Parsers convert it to their own errors, which add the picture and the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed stream: {}", self.0)
    }
}

impl std::error::Error for Malformed {}
