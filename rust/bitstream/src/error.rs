//! Errors of parsers: damaged syntax, lost references, unsupported features, exceeded limits.

use std::fmt;

/// A syntax element, by the standard's name, that holds no legal value or ends beyond the data.
///
/// It is small, for the functions that read single elements; [`Error`] adds the picture and the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed stream: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A block of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Name of such blocks: "macroblock" or "coding tree unit".
    pub kind: &'static str,
    /// Address of the block in its picture.
    pub address: u32,
}

/// Part of a stream that an error concerns, as far as it is known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Picture in decoding order.
    pub picture: Option<u64>,
    /// Block inside the picture.
    pub block: Option<Block>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.picture {
            write!(f, " of picture {index} (decoding order)")?;
        }
        if let Some(Block { kind, address }) = self.block {
            write!(f, ", {kind} {address}")?;
        }
        Ok(())
    }
}

/// Why a stream, a parameter set or a picture could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A syntax element holds no legal value, or ends beyond the data.
    Malformed {
        /// The syntax element, by the standard's name.
        element: &'static str,
        /// Where it is.
        place: Place,
    },
    /// The data is intact, but motion depends on a picture that is lost or damaged.
    LostReference {
        /// The part that depends on it.
        what: &'static str,
        /// Where it is.
        place: Place,
    },
    /// The stream uses a feature that the parser does not support.
    Unsupported {
        /// Name of the codec.
        codec: &'static str,
        /// Name of the feature.
        feature: &'static str,
    },
    /// A value exceeds what the levels of the standard allow.
    Limit {
        /// Name of the value.
        what: &'static str,
        /// The value.
        value: u64,
        /// The largest accepted value.
        limit: u64,
    },
}

/// Result of the functions of a parser.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An illegal value of syntax element `element`.
    pub fn malformed(element: &'static str) -> Self {
        let place = Place::default();
        Error::Malformed { element, place }
    }

    /// `what` depends on a picture that is lost or damaged.
    pub fn lost_reference(what: &'static str) -> Self {
        let place = Place::default();
        Error::LostReference { what, place }
    }

    /// The error with the picture, in decoding order.
    pub fn in_picture(mut self, index: u64) -> Self {
        if let Error::Malformed { place, .. } | Error::LostReference { place, .. } = &mut self {
            place.picture = Some(index);
        }
        self
    }

    /// The error with the block, of `kind` "macroblock" or "coding tree unit".
    pub fn in_block(mut self, kind: &'static str, address: u32) -> Self {
        if let Error::Malformed { place, .. } | Error::LostReference { place, .. } = &mut self {
            place.block = Some(Block { kind, address });
        }
        self
    }
}

impl From<Malformed> for Error {
    #[inline]
    fn from(Malformed(element): Malformed) -> Self {
        Error::malformed(element)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed { element, place } => write!(f, "malformed stream: {element}{place}"),
            Error::LostReference { what, place } => {
                write!(f, "lost or damaged reference: {what}{place}")
            }
            Error::Unsupported { codec, feature } => {
                write!(f, "unsupported {codec} feature: {feature}")
            }
            Error::Limit { what, value, limit } => {
                write!(f, "{what} is {value}, more than the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_element_and_its_place() {
        let error = Error::malformed("mb_type").in_block("macroblock", 7);
        assert_eq!(
            error.in_picture(3).to_string(),
            "malformed stream: mb_type of picture 3 (decoding order), macroblock 7"
        );
    }
}
