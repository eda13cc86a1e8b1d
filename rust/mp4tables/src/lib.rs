//! Sample tables of MP4, QuickTime, M4V and 3GP files (ISO/IEC 14496-12): where each picture's data lie, and
//! when they are decoded and shown.
//!
//! [`Movie::read`] reads the tables of the first video track, from the movie box or from movie fragments, and
//! applies edit lists as libavformat does. It is strict: what libavformat repairs, guesses or treats by rules
//! of its own is [`Error::Unfit`], and the caller reads such a file with libavformat. The input is untrusted:
//! sizes and counts are compared with the file before memory is reserved for them.
//!
//! | module | content |
//! |---|---|
//! | source | [`ReadAt`]: random access to the bytes of a file |
//! | boxes | boxes and the integers in them |
//! | movie | boxes of a file, choice of the track |
//! | other_tracks | what has to hold of the tracks that are not read |
//! | track | headers of a track: timescale, edit list, codec, display |
//! | tables | the sample tables of a movie box |
//! | fragments | movie fragments |
//! | edits | edit lists |
//! | samples | the result |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod boxes;
mod edits;
mod error;
mod fragments;
mod movie;
mod other_tracks;
mod samples;
mod source;
mod tables;
mod track;

pub use error::{Error, Result};
pub use movie::Movie;
pub use samples::Samples;
pub use source::{FileBytes, ReadAt};
pub use track::{Codec, Track};
