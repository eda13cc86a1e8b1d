//! The POC behind each reference index.

use crate::picture::{Motion, NO_POC, NO_SLICE};
use crate::refs::RefPic;

/// POC of the reference of each block.
#[derive(Debug, Clone, Default)]
pub struct RefPoc {
    /// [2, h4, w4]: [`NO_POC`] where the list is not used.
    values: Vec<i32>,
    /// List 1 holds nothing but "not used".
    pub(crate) list1_clear: bool,
}

/// POC by reference index: entries 0 to 31 as listed, 32 on for top field and 64 on for bottom field
/// macroblocks; negative indices find [`NO_POC`] in the upper half.
type Table = [i32; 256];

fn table(list: &[RefPic], mbaff: bool) -> Table {
    let mut table = [NO_POC; 256];
    for (i, entry) in list.iter().enumerate().take(32) {
        table[i] = entry.poc();
        if !mbaff || i >= 16 || entry.is_missing() {
            continue;
        }
        for own in [1u8, 2] {
            let base = 32 * own as usize + 2 * i;
            table[base] = entry.field(own).poc();
            table[base + 1] = entry.field(3 - own).poc();
        }
    }
    table
}

impl RefPoc {
    /// The values [2, h4, w4].
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Derives the values of a picture of which `lists` lists may be used.
    pub(crate) fn fill(&mut self, motion: &Motion, lists: usize) {
        let plane = motion.w4 * motion.h4;
        if self.values.len() != 2 * plane {
            self.values = vec![NO_POC; 2 * plane];
            self.list1_clear = true;
        }
        let clear = if self.list1_clear { 1 } else { 2 };
        self.values[lists.min(clear) * plane..clear * plane].fill(NO_POC);
        self.list1_clear = lists < 2;
        let mbaff = !motion.mb_field.is_empty();
        let alike = motion.slice_refs.len() == 1 && !mbaff;
        for list in 0..lists {
            let slices = motion.slice_refs.iter();
            let tables: Vec<Table> = slices.map(|refs| table(&refs[list], mbaff)).collect();
            let area = list * plane..(list + 1) * plane;
            // References are chosen per 8x8 block: every second row says it all.
            let refs = motion.ref_idx[area.clone()].chunks_exact(2 * motion.w4);
            let out = self.values[area].chunks_exact_mut(2 * motion.w4);
            for (y8, (refs, out)) in refs.zip(out).enumerate() {
                let (upper, lower) = out.split_at_mut(motion.w4);
                let refs = &refs[..motion.w4];
                if alike {
                    run_row(&tables[0], refs, upper, lower);
                } else {
                    mixed_row(&tables, motion, y8 / 2, refs, upper, lower);
                }
            }
        }
    }
}

/// Two rows of blocks of a picture with one slice; neighbours mostly have the same references.
fn run_row(table: &Table, refs: &[i8], upper: &mut [i32], lower: &mut [i32]) {
    const RUN: usize = 16;
    let mut last = [0i8; RUN];
    let mut values = [table[0]; RUN];
    let runs = refs.chunks_exact(RUN);
    let rest = runs.remainder();
    let (ups, lows) = (upper.chunks_exact_mut(RUN), lower.chunks_exact_mut(RUN));
    for ((refs, up), low) in runs.zip(ups).zip(lows) {
        if refs != last {
            last.copy_from_slice(refs);
            values = last.map(|r| table[r as u8 as usize]);
        }
        up.copy_from_slice(&values);
        low.copy_from_slice(&values);
    }
    let from = refs.len() - rest.len();
    for (i, &r) in rest.iter().enumerate() {
        upper[from + i] = table[r as u8 as usize];
        lower[from + i] = table[r as u8 as usize];
    }
}

/// The same with several slices or with field macroblocks.
fn mixed_row(
    tables: &[Table],
    motion: &Motion,
    mb_y: usize,
    refs: &[i8],
    upper: &mut [i32],
    lower: &mut [i32],
) {
    let first = mb_y * (motion.w4 / 4);
    for (i, &ref_idx) in refs.iter().enumerate() {
        let mb = first + i / 4;
        let field = motion.mb_field.get(mb).copied().unwrap_or(false);
        let base = if field { 32 + 32 * (mb_y & 1) } else { 0 };
        let slice = motion.mb_slice[mb];
        let value = match tables.get(slice as usize) {
            Some(table) if ref_idx >= 0 && slice != NO_SLICE => {
                table[(base + ref_idx as usize) & 127]
            }
            _ => NO_POC,
        };
        upper[i] = value;
        lower[i] = value;
    }
}
