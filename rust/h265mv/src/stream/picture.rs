//! What parsing a picture gives.

use std::sync::Arc;

use super::plan::PictureInfo;
use crate::motion::field::Motion;
use bitstream::Error;

/// A parsed picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What the headers say.
    pub info: PictureInfo,
    /// Its motion.
    pub motion: Arc<Motion>,
    /// Why the motion is not to be trusted as a whole; blocks that could not be parsed are left
    /// without motion.
    pub damage: Option<Error>,
}
