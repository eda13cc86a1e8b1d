//! Errors: damaged syntax, lost references, unsupported features, exceeded limits.

use std::fmt;

use bitstream::Malformed;

/// Why a stream, a parameter set or a picture could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A syntax element holds no legal value, or ends beyond the data.
    Malformed {
        /// The syntax element, by the standard's name.
        element: &'static str,
        /// Picture in decoding order, if known.
        picture: Option<u64>,
        /// Macroblock address inside the picture, if known.
        macroblock: Option<u32>,
    },
    /// The data is intact, but motion depends on a picture that is lost or damaged.
    LostReference {
        /// The part that depends on it.
        what: &'static str,
        /// Picture in decoding order, if known.
        picture: Option<u64>,
        /// Macroblock address inside the picture, if known.
        macroblock: Option<u32>,
    },
    /// The stream uses a feature that this crate does not support.
    Unsupported {
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

/// Result of the functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn malformed(element: &'static str) -> Self {
        Error::Malformed {
            element,
            picture: None,
            macroblock: None,
        }
    }

    pub(crate) fn lost_reference(what: &'static str) -> Self {
        Error::LostReference {
            what,
            picture: None,
            macroblock: None,
        }
    }

    pub(crate) fn in_picture(mut self, index: u64) -> Self {
        if let Error::Malformed { picture, .. } | Error::LostReference { picture, .. } = &mut self {
            *picture = Some(index);
        }
        self
    }

    pub(crate) fn in_macroblock(mut self, address: u32) -> Self {
        if let Error::Malformed { macroblock, .. } | Error::LostReference { macroblock, .. } =
            &mut self
        {
            *macroblock = Some(address);
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
        let (picture, macroblock) = match self {
            Error::Malformed {
                element,
                picture,
                macroblock,
            } => {
                write!(f, "malformed stream: {element}")?;
                (picture, macroblock)
            }
            Error::LostReference {
                what,
                picture,
                macroblock,
            } => {
                write!(f, "lost or damaged reference: {what}")?;
                (picture, macroblock)
            }
            Error::Unsupported { feature } => {
                return write!(f, "unsupported H.264 feature: {feature}")
            }
            Error::Limit { what, value, limit } => {
                return write!(f, "{what} is {value}, more than the limit of {limit}")
            }
        };
        if let Some(index) = picture {
            write!(f, " of picture {index} (decoding order)")?;
        }
        if let Some(address) = macroblock {
            write!(f, ", macroblock {address}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
