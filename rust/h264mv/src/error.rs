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
    /// Motion cannot be derived without that of a picture which is lost or damaged: the bits at hand
    /// are sound.
    LostReference {
        /// What depends on it.
        what: &'static str,
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter, picture: &Option<u64>, macroblock: &Option<u32>| {
            if let Some(index) = picture {
                write!(f, " of picture {index} (decoding order)")?;
            }
            if let Some(address) = macroblock {
                write!(f, ", macroblock {address}")?;
            }
            Ok(())
        };
        match self {
            Error::Malformed {
                element,
                picture,
                macroblock,
            } => {
                write!(f, "malformed stream: {element}")?;
                place(f, picture, macroblock)
            }
            Error::LostReference {
                what,
                picture,
                macroblock,
            } => {
                write!(f, "a lost or damaged picture is needed: {what}")?;
                place(f, picture, macroblock)
            }
            Error::Unsupported { feature } => write!(f, "unsupported H.264 feature: {feature}"),
            Error::Limit { what, value, limit } => {
                write!(f, "{what} is {value}, more than the limit of {limit}")
            }
        }
    }
}

impl std::error::Error for Error {}
