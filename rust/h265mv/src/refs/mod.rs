//! Picture order count, the decoded picture buffer and reference picture lists (clauses 8.3.1 to 8.3.4).

mod dpb;
mod lists;
mod poc;

pub(crate) use dpb::{Dpb, ReferencePictureSet};
pub(crate) use lists::build_lists;
pub(crate) use poc::PocState;

/// An entry of a reference picture list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefPic {
    /// Identity of the picture: its position in decoding order.
    pub picture: Option<u64>,
    /// PicOrderCntVal.
    pub poc: i32,
    /// Marked as "used for long-term reference".
    pub long_term: bool,
}
