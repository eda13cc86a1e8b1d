//! Errors: damaged syntax, unsupported features, and limits.

use std::fmt;

use bitstream::Malformed;

/// Why a stream, a parameter set or a picture could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bits break the syntax, or end inside a syntax element.
    Malformed {
        /// The syntax element, by the standard's name.
        element: &'static str,
        /// Picture in decoding order, where known.
        picture: Option<u64>,
        /// Raster address of the coding tree unit inside the picture, where known.
        ctu: Option<u32>,
    },
    /// Motion depends on a picture that is lost or damaged; the bits of this picture are sound.
    LostReference {
        /// What depends on it.
        what: &'static str,
        /// Picture in decoding order, where known.
        picture: Option<u64>,
    },
    /// The stream uses a feature that this crate does not parse.
    Unsupported {
        /// Name of the feature.
        feature: &'static str,
    },
    /// A declared size exceeds what the standard's levels allow.
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
            ctu: None,
        }
    }

    pub(crate) fn lost_reference(what: &'static str) -> Self {
        Error::LostReference {
            what,
            picture: None,
        }
    }

    pub(crate) fn in_picture(mut self, index: u64) -> Self {
        if let Error::Malformed { picture, .. } | Error::LostReference { picture, .. } = &mut self {
            *picture = Some(index);
        }
        self
    }

    pub(crate) fn in_ctu(mut self, address: u32) -> Self {
        if let Error::Malformed { ctu, .. } = &mut self {
            *ctu = Some(address);
        }
        self
    }
}

impl From<Malformed> for Error {
    fn from(error: Malformed) -> Self {
        Error::malformed(error.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_picture = |f: &mut fmt::Formatter, picture: &Option<u64>| match picture {
            Some(index) => write!(f, " of picture {index} (decoding order)"),
            None => Ok(()),
        };
        match self {
            Error::Malformed {
                element,
                picture,
                ctu,
            } => {
                write!(f, "malformed stream: {element}")?;
                in_picture(f, picture)?;
                match ctu {
                    Some(address) => write!(f, ", coding tree unit {address}"),
                    None => Ok(()),
                }
            }
            Error::LostReference { what, picture } => {
                write!(f, "a lost or damaged picture is needed: {what}")?;
                in_picture(f, picture)
            }
            Error::Unsupported { feature } => write!(f, "unsupported HEVC feature: {feature}"),
            Error::Limit { what, value, limit } => {
                write!(f, "{what} is {value}, more than the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}
