//! The motion of one picture, block by block.

use crate::Mismatch;

/// Structure of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// A frame.
    Frame,
    /// The top field of a frame.
    Top,
    /// The bottom field of a frame.
    Bottom,
}

/// Field macroblocks of an MBAFF frame (H.264).
#[derive(Debug, Clone, Copy)]
pub struct FieldBlocks<'a> {
    /// mb_field_decoding_flag of each macroblock, [rows / 4, columns / 4].
    pub macroblocks: &'a [bool],
    /// PicOrderCnt of the top and bottom field, where both are known.
    pub poc: Option<[i32; 2]>,
}

/// Motion of a picture as coded, on its grid of 4x4 luma blocks.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    /// Rows of the grid.
    pub rows: usize,
    /// Columns of the grid.
    pub columns: usize,
    /// [2, rows, columns]: from the block to its reference, in quarter samples; 0 where a list is not used.
    pub mv: &'a [[i16; 2]],
    /// [2, rows, columns]: -1 where a list is not used.
    pub ref_idx: &'a [i8],
    /// [2, rows, columns]: PicOrderCnt of the reference.
    pub ref_poc: &'a [i32],
    /// PicOrderCnt of the picture.
    pub poc: i32,
    /// PicOrderCnt units per frame interval; 0 counts as 2.
    pub poc_interval: i32,
    /// Structure of the picture.
    pub structure: Structure,
    /// Field macroblocks, if there are any.
    pub field_blocks: Option<FieldBlocks<'a>>,
    /// [2, rows, columns] of a field picture: whether the reference is a field of the other parity.
    pub other_parity: Option<&'a [bool]>,
}

/// Rows of blocks in a macroblock.
const MACROBLOCK: usize = 4;

impl<'a> Blocks<'a> {
    /// Checks that all arrays have the size of the grid.
    pub fn check(&self) -> Result<(), Mismatch> {
        let plane = self.rows * self.columns;
        let lists = [
            self.mv.len(),
            self.ref_idx.len(),
            self.ref_poc.len(),
            self.other_parity.map_or(2 * plane, <[bool]>::len),
        ];
        let macroblocks = (self.rows / MACROBLOCK) * (self.columns / MACROBLOCK);
        let fields = self.field_blocks.map(|f| f.macroblocks.len());
        let whole =
            self.rows.is_multiple_of(2 * MACROBLOCK) && self.columns.is_multiple_of(MACROBLOCK);
        if lists != [2 * plane; 4] || fields.is_some_and(|n| n != macroblocks || !whole) {
            return Err(Mismatch(format!(
                "the arrays of the picture do not have its {} x {} blocks",
                self.rows, self.columns
            )));
        }
        Ok(())
    }

    fn interval(&self) -> f32 {
        match self.poc_interval {
            0 => 2.0,
            interval => interval as f32,
        }
    }

    /// Whether blocks are those of frames, without fields.
    pub(crate) fn is_progressive(&self) -> bool {
        self.structure == Structure::Frame && self.field_blocks.is_none()
    }

    /// A row of both lists: (vectors, reference indices, PicOrderCnt) of list 0 and of list 1.
    fn lists(&self, row: usize) -> [Row<'a>; 2] {
        let start = row * self.columns;
        let area = |from: usize| from..from + self.columns;
        let (first, second) = (area(start), area(self.rows * self.columns + start));
        [first, second].map(|area| Row {
            mv: &self.mv[area.clone()],
            ref_idx: &self.ref_idx[area.clone()],
            ref_poc: &self.ref_poc[area],
        })
    }

    /// Flow of a row of blocks without fields, in pixels per frame interval, or of coded length.
    pub(crate) fn frame_row(&self, row: usize, normalize: bool, x: &mut [f32], y: &mut [f32]) {
        let [first, second] = self.lists(row);
        // Folds over the whole row, which unlike `any` and `all` are vectorised.
        if second.ref_idx.iter().fold(-1, |bits, index| bits & index) >= 0 {
            self.row_of_two_lists(&first, &second, normalize, x, y);
            return;
        }
        // Where no list is used the vector is 0, and the distance any number but 0.
        scaled(first.mv, x, y);
        let Some(&reference) = first.ref_poc.first() else {
            return;
        };
        let differs = |bits, poc: &i32| bits | (poc ^ reference);
        if first.ref_poc.iter().fold(0, differs) == 0 {
            let apart = self.apart(reference, 0.5, normalize);
            if apart != 1.0 {
                x.iter_mut().for_each(|x| *x /= apart);
                y.iter_mut().for_each(|y| *y /= apart);
            }
            return;
        }
        let interval = self.interval();
        for ((x, y), &reference) in x.iter_mut().zip(y).zip(first.ref_poc) {
            let apart = distance(self.poc.wrapping_sub(reference), interval, 0.5);
            let apart = if normalize { apart } else { sign(apart) };
            *x /= apart;
            *y /= apart;
        }
    }

    /// Frame intervals from a reference to this picture; `same` where they share a PicOrderCnt.
    fn apart(&self, reference: i32, same: f32, normalize: bool) -> f32 {
        let apart = distance(self.poc.wrapping_sub(reference), self.interval(), same);
        if normalize {
            apart
        } else {
            sign(apart)
        }
    }

    /// Flow of a row in which list 1 is used.
    fn row_of_two_lists(
        &self,
        first: &Row<'_>,
        second: &Row<'_>,
        normalize: bool,
        x: &mut [f32],
        y: &mut [f32],
    ) {
        let interval = self.interval();
        let columns = self.columns.min(x.len()).min(y.len());
        let (x, y) = (&mut x[..columns], &mut y[..columns]);
        let (mv0, mv1) = (&first.mv[..columns], &second.mv[..columns]);
        let (poc0, poc1) = (&first.ref_poc[..columns], &second.ref_poc[..columns]);
        let uses_first = &first.ref_idx[..columns];
        for i in 0..columns {
            let in_first = uses_first[i] >= 0;
            let (right, down) = if in_first {
                (mv0[i][0], mv0[i][1])
            } else {
                (mv1[i][0], mv1[i][1])
            };
            let reference = if in_first { poc0[i] } else { poc1[i] };
            let same = if in_first { 0.5 } else { -0.5 };
            let apart = distance(self.poc.wrapping_sub(reference), interval, same);
            let apart = if normalize { apart } else { sign(apart) };
            x[i] = f32::from(right) * -0.25 / apart;
            y[i] = f32::from(down) * -0.25 / apart;
        }
    }

    /// Flow of a row of blocks in the order of the frame, where fields are coded.
    pub(crate) fn field_row(&self, row: usize, normalize: bool, x: &mut [f32], y: &mut [f32]) {
        for (column, (x, y)) in x.iter_mut().zip(y).enumerate().take(self.columns) {
            let source = self.coded_row(row, column);
            [*x, *y] = self.field_block(source, column, normalize);
        }
    }

    /// Whether the blocks of a row are inter predicted (1) or not (0), in the order of the frame.
    pub(crate) fn inter_row(&self, row: usize, inter: &mut [f32]) {
        let plane = self.rows * self.columns;
        for (column, inter) in inter.iter_mut().enumerate().take(self.columns) {
            let block = self.coded_row(row, column) * self.columns + column;
            let used = self.ref_idx[block] >= 0 || self.ref_idx[plane + block] >= 0;
            *inter = f32::from(u8::from(used));
        }
    }

    /// Whether a block belongs to a field macroblock of an MBAFF frame.
    fn in_field(&self, row: usize, column: usize) -> bool {
        self.field_blocks.is_some_and(|field| {
            let width = self.columns / MACROBLOCK;
            field.macroblocks[(row / MACROBLOCK) * width + column / MACROBLOCK]
        })
    }

    /// The coded row of the block that is shown in a row. The two field macroblocks of a pair are interleaved:
    /// block row k of each covers lines 8k to 8k + 7.
    fn coded_row(&self, row: usize, column: usize) -> usize {
        if !self.in_field(row, column) {
            return row;
        }
        let (pair, row) = (row / (2 * MACROBLOCK), row % (2 * MACROBLOCK));
        pair * 2 * MACROBLOCK + row % 2 * MACROBLOCK + row / 2
    }

    /// Flow of a coded block, vertical motion in lines of the frame.
    fn field_block(&self, row: usize, column: usize, normalize: bool) -> [f32; 2] {
        let block = row * self.columns + column;
        let second = self.rows * self.columns + block;
        let in_first = self.ref_idx[block] >= 0;
        let used = in_first || self.ref_idx[second] >= 0;
        let chosen = if in_first { block } else { second };
        let mv = if used { self.mv[chosen] } else { [0; 2] };
        let in_field = self.in_field(row, column);
        let is_bottom = match self.structure {
            Structure::Frame => row / MACROBLOCK % 2 == 1,
            structure => structure == Structure::Bottom,
        };
        let (x, mut y) = (f32::from(mv[0]) * -0.25, f32::from(mv[1]) * -0.25);
        if in_field || self.structure != Structure::Frame {
            y *= 2.0;
        }
        let crosses = match self.other_parity {
            Some(other) => other[chosen],
            None => in_field && self.ref_idx[chosen] & 1 == 1, // H.264, 8.4.2.1
        };
        if self.other_parity.is_some() || self.field_blocks.is_some() {
            y += match (crosses && used, is_bottom) {
                (false, _) => 0.0,
                (true, true) => 1.0,
                (true, false) => -1.0,
            };
        }
        let field_poc = self.field_blocks.and_then(|field| field.poc);
        let delta = match field_poc {
            Some(poc) => {
                let own = if in_field {
                    poc[usize::from(is_bottom)]
                } else {
                    self.poc
                };
                i64::from(own) - i64::from(self.ref_poc[chosen])
            }
            None => i64::from(self.poc.wrapping_sub(self.ref_poc[chosen])),
        };
        let apart = match (delta, in_first) {
            (0, true) => 0.5, // fields of one frame
            (0, false) => -0.5,
            _ => delta as f32 / self.interval(),
        };
        let apart = if normalize { apart } else { sign(apart) };
        [x / apart, y / apart]
    }
}

/// A row of one list.
struct Row<'a> {
    mv: &'a [[i16; 2]],
    ref_idx: &'a [i8],
    ref_poc: &'a [i32],
}

/// Vectors in quarter samples from the block to its reference, as pixels from the reference to the block.
fn scaled(mv: &[[i16; 2]], x: &mut [f32], y: &mut [f32]) {
    for ((x, y), mv) in x.iter_mut().zip(y).zip(mv) {
        *x = f32::from(mv[0]) * -0.25;
        *y = f32::from(mv[1]) * -0.25;
    }
}

/// Frame intervals that a difference in PicOrderCnt makes; `same` for none.
#[inline(always)]
fn distance(delta: i32, interval: f32, same: f32) -> f32 {
    let apart = delta as f32 / interval;
    if delta == 0 {
        same
    } else {
        apart
    }
}

/// -1, 0 or 1.
#[inline(always)]
fn sign(value: f32) -> f32 {
    f32::from(i8::from(value > 0.0) - i8::from(value < 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_POC: i32 = i32::MIN;

    fn blocks<'a>(mv: &'a [[i16; 2]], ref_idx: &'a [i8], ref_poc: &'a [i32]) -> Blocks<'a> {
        Blocks {
            rows: 1,
            columns: ref_idx.len() / 2,
            mv,
            ref_idx,
            ref_poc,
            poc: 8,
            poc_interval: 2,
            structure: Structure::Frame,
            field_blocks: None,
            other_parity: None,
        }
    }

    fn row(blocks: &Blocks<'_>, normalize: bool) -> [Vec<f32>; 2] {
        let mut flow = [vec![9.0; blocks.columns], vec![9.0; blocks.columns]];
        let [x, y] = &mut flow;
        if blocks.is_progressive() {
            blocks.frame_row(0, normalize, x, y);
        } else {
            blocks.field_row(0, normalize, x, y);
        }
        flow
    }

    #[test]
    fn a_block_takes_list_0_before_list_1_and_intra_has_none() {
        // List 0, two frames back; list 1, one frame on; both; none.
        let mv = [
            [8, 4],
            [0, 0],
            [8, 0],
            [0, 0],
            [0, 0],
            [4, 4],
            [40, 40],
            [0, 0],
        ];
        let (ref_idx, ref_poc) = (
            [0, -1, 0, -1, -1, 0, 0, -1],
            [4, NO_POC, 6, NO_POC, NO_POC, 10, 10, NO_POC],
        );
        let field = blocks(&mv, &ref_idx, &ref_poc);
        assert_eq!(
            row(&field, true),
            [vec![-1.0, 1.0, -2.0, 0.0], vec![-0.5, 1.0, 0.0, 0.0]]
        );
        assert_eq!(
            row(&field, false),
            [vec![-2.0, 1.0, -2.0, 0.0], vec![-1.0, 1.0, 0.0, 0.0]]
        );
    }

    #[test]
    fn fields_of_one_frame_are_half_an_interval_apart() {
        let (mv, ref_idx, ref_poc) = ([[-4, 0], [0, 0]], [0, -1], [8, NO_POC]);
        assert_eq!(row(&blocks(&mv, &ref_idx, &ref_poc), true)[0], [2.0]);
    }

    #[test]
    fn a_field_counts_lines_of_the_frame() {
        let (mv, ref_idx, ref_poc) = ([[0, -4], [0, 0]], [0, -1], [6, NO_POC]);
        for (structure, crosses, lines) in [
            (Structure::Top, false, 2.0),
            (Structure::Top, true, 1.0),
            (Structure::Bottom, true, 3.0),
        ] {
            let mut field = blocks(&mv, &ref_idx, &ref_poc);
            let other = [crosses, false];
            field.structure = structure;
            field.other_parity = Some(&other);
            assert_eq!(row(&field, true)[1], [lines]);
        }
    }

    #[test]
    fn arrays_of_another_size_are_refused() {
        let (mv, ref_idx, ref_poc) = ([[0, 0]; 2], [0, -1], [6, NO_POC]);
        let mut field = blocks(&mv, &ref_idx, &ref_poc);
        assert!(field.check().is_ok());
        field.rows = 2;
        assert!(field.check().is_err());
        field.rows = 1;
        field.other_parity = Some(&[true]);
        assert!(field.check().is_err());
        field.other_parity = None;
        field.field_blocks = Some(FieldBlocks {
            macroblocks: &[],
            poc: None,
        });
        assert!(field.check().is_err());
    }
}
