//! POC of the reference of each block.

use crate::motion::field::{MotionField, NO_POC};
use crate::refs::ref_pic::RefPic;

/// POC of the reference of each block.
#[derive(Debug, Clone, Default)]
pub struct RefPoc {
    /// [2, h4, w4]: [`NO_POC`] where the list is not used.
    values: Vec<i32>,
    /// List 1 is "not used" everywhere.
    pub(crate) list1_clear: bool,
}

/// POC by reference index: entries 0 to 31 for frame macroblocks and field pictures, 32 to 63 for top
/// and 64 to 95 for bottom field macroblocks. Negative indices select [`NO_POC`] in the upper half.
type Table = [i32; 256];

fn table(list: &[RefPic], mbaff: bool) -> Table {
    let mut table = [NO_POC; 256];
    for (i, entry) in list.iter().enumerate().take(32) {
        table[i] = entry.poc();
        if !mbaff || i >= 16 || entry.is_missing() {
            continue;
        }
        for parity in [1u8, 2] {
            let same = 32 * parity as usize + 2 * i;
            table[same] = entry.field(parity).poc();
            table[same + 1] = entry.field(3 - parity).poc();
        }
    }
    table
}

impl RefPoc {
    /// The values [2, h4, w4].
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// Derives the values of a picture that uses `lists` lists.
    pub(crate) fn fill(&mut self, motion: &MotionField, lists: usize) {
        let plane = motion.w4 * motion.h4;
        if self.values.len() != 2 * plane {
            self.values = vec![NO_POC; 2 * plane];
            self.list1_clear = true;
        }
        let clear = if self.list1_clear { 1 } else { 2 };
        self.values[lists.min(clear) * plane..clear * plane].fill(NO_POC);
        self.list1_clear = lists < 2;
        let mbaff = !motion.mb_field.is_empty();
        let is_uniform = motion.slice_refs.len() == 1 && !mbaff;
        for list in 0..lists {
            let slices = motion.slice_refs.iter();
            let tables: Vec<Table> = slices.map(|refs| table(&refs[list], mbaff)).collect();
            let area = list * plane..(list + 1) * plane;
            // Reference indices are coded per 8x8 block: every second row is enough.
            let refs = motion.ref_idx[area.clone()].chunks_exact(2 * motion.w4);
            let out = self.values[area].chunks_exact_mut(2 * motion.w4);
            for (y8, (refs, out)) in refs.zip(out).enumerate() {
                let rows = out.split_at_mut(motion.w4);
                let refs = &refs[..motion.w4];
                if is_uniform {
                    let table = &tables[0];
                    fill_rows(refs, rows, |_, r| table[r as u8 as usize]);
                } else {
                    let mixed = MixedRow::new(&tables, motion, y8 / 2);
                    fill_rows(refs, rows, |mb_x, r| mixed.poc(mb_x, r));
                }
            }
        }
    }
}

/// Fills two rows of blocks with reference indices `refs`; `poc` gives the POC by macroblock column and
/// reference index.
#[inline(always)]
fn fill_rows(
    refs: &[i8],
    (upper, lower): (&mut [i32], &mut [i32]),
    poc: impl Fn(usize, i8) -> i32,
) {
    let rows = upper.chunks_exact_mut(4).zip(lower.chunks_exact_mut(4));
    for (mb_x, (refs, (upper, lower))) in refs.chunks_exact(4).zip(rows).enumerate() {
        let (left, right) = (poc(mb_x, refs[0]), poc(mb_x, refs[2]));
        let row = [left, left, right, right];
        upper.copy_from_slice(&row);
        lower.copy_from_slice(&row);
    }
}

/// A row of macroblocks of several slices, or of frame and field macroblocks.
struct MixedRow<'a> {
    tables: &'a [Table],
    slices: &'a [u16],
    fields: &'a [bool],
    /// First table entry for field macroblocks of this row.
    field_base: usize,
}

impl<'a> MixedRow<'a> {
    fn new(tables: &'a [Table], motion: &'a MotionField, mb_y: usize) -> Self {
        let width = motion.w4 / 4;
        let row = mb_y * width..(mb_y + 1) * width;
        MixedRow {
            tables,
            slices: &motion.mb_slice[row.clone()],
            fields: motion.mb_field.get(row).unwrap_or_default(),
            field_base: 32 + 32 * (mb_y & 1),
        }
    }

    #[inline(always)]
    fn poc(&self, mb_x: usize, ref_idx: i8) -> i32 {
        // A macroblock that no slice contains has no table.
        let table = self.tables.get(self.slices[mb_x] as usize);
        let field = self.fields.get(mb_x).copied().unwrap_or(false);
        match table {
            Some(table) if ref_idx >= 0 => {
                table[(ref_idx as usize + if field { self.field_base } else { 0 }) & 127]
            }
            _ => NO_POC,
        }
    }
}
