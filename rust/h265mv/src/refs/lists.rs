//! Construction of reference picture lists (clause 8.3.4).

use super::{RefPic, ReferencePictureSet};
use crate::syntax::slice::SliceHeader;
use bitstream::{Error, Result};

/// RefPicList0 and RefPicList1 of a slice.
pub(crate) fn build_lists(
    header: &SliceHeader,
    set: &ReferencePictureSet,
) -> Result<[Vec<RefPic>; 2]> {
    let mut lists = [Vec::new(), Vec::new()];
    let orders = [
        [&set.before, &set.after, &set.long_term],
        [&set.after, &set.before, &set.long_term],
    ];
    for (list, order) in orders.into_iter().enumerate() {
        let active = header.num_ref_idx_active[list] as usize;
        if active == 0 {
            continue;
        }
        let candidates: Vec<RefPic> = order.into_iter().flatten().copied().collect();
        if candidates.is_empty() {
            return Err(Error::malformed("NumPicTotalCurr"));
        }
        let place = |i: usize| match &header.list_entries[list] {
            Some(entries) => entries[i] as usize,
            None => i,
        };
        lists[list] = (0..active)
            .map(|i| candidates[place(i) % candidates.len()])
            .collect();
    }
    Ok(lists)
}
