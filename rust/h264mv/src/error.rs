//! What can go wrong: damaged syntax, features left out on purpose, and limits.

use std::fmt;

/// Why a stream, a parameter set or a picture could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bits break the syntax, or end inside a syntax element.
    Malformed {
        /// The syntax element, by the standard's name.
        element: &'static str,
        /// Picture in decoding order, where one is known.
        picture: Option<u64>,
        /// Macroblock address inside the picture, where one is known.
        macroblock: Option<u32>,
    },
    /// The stream uses a feature that this crate does not parse.
    Unsupported {
        /// Name of the feature.
        feature: &'static str,
    },
    /// A declared size goes beyond what the standard's levels allow.
    Limit {
        /// What was declared.
        what: &'static str,
        /// The declared value.
        value: u64,
        /// The largest accepted value.
        limit: u64,
    },
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn malformed(element: &'static str) -> Self {
        Error::Malformed {
            element,
            picture: None,
            macroblock: None,
        }
    }

    pub(crate) fn in_picture(self, index: u64) -> Self {
        match self {
            Error::Malformed {
                element,
                macroblock,
                ..
            } => Error::Malformed {
                element,
                picture: Some(index),
                macroblock,
            },
            other => other,
        }
    }

    pub(crate) fn in_macroblock(self, address: u32) -> Self {
        match self {
            Error::Malformed {
                element, picture, ..
            } => Error::Malformed {
                element,
                picture,
                macroblock: Some(address),
            },
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed {
                element,
                picture,
                macroblock,
            } => {
                write!(f, "malformed stream: {element}")?;
                if let Some(index) = picture {
                    write!(f, " of picture {index} (decoding order)")?;
                }
                if let Some(address) = macroblock {
                    write!(f, ", macroblock {address}")?;
                }
                Ok(())
            }
            Error::Unsupported { feature } => write!(f, "unsupported H.264 feature: {feature}"),
            Error::Limit { what, value, limit } => {
                write!(f, "{what} is {value}, more than the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}
