//! Temporal motion vector prediction (clause 8.5.3.2.8 and 8.5.3.2.9) and scaling of vectors.

use super::derive::SliceMotion;
use super::field::Mv;
use super::neighbours::Rect;

/// A vector scaled by the ratio of two PicOrderCnt distances, `tb` to `td` (8-179 to 8-183).
pub(super) fn scale(mv: Mv, tb: i32, td: i32) -> Mv {
    let (tb, td) = (tb.clamp(-128, 127), td.clamp(-128, 127));
    if td == 0 {
        return mv; // only where a stream is damaged
    }
    let tx = (16384 + (td.abs() >> 1)) / td;
    let factor = ((tb * tx + 32) >> 6).clamp(-4096, 4095);
    mv.map(|component| {
        let product = factor * component as i32;
        let magnitude = (product.abs() + 127) >> 8;
        (product.signum() * magnitude).clamp(-32768, 32767) as i16
    })
}

impl SliceMotion<'_> {
    /// mvLXCol of a block for a reference picture of list `list`.
    pub(super) fn temporal(&self, block: Rect, list: usize, ref_idx: i8) -> Option<Mv> {
        let picture = self.collocated?;
        let (right, below) = (block.x + block.w, block.y + block.h);
        let same_row = block.y >> self.log2_ctb == below >> self.log2_ctb;
        let mut mv = None;
        if same_row && below < self.height && right < self.width {
            mv = self.collocated_mv(picture, (right, below), list, ref_idx);
        }
        mv.or_else(|| {
            let centre = (block.x + (block.w >> 1), block.y + (block.h >> 1));
            self.collocated_mv(picture, centre, list, ref_idx)
        })
    }

    /// Motion is stored by 16x16 blocks: the one that covers luma sample `(x, y)`.
    fn collocated_mv(
        &self,
        picture: super::derive::Collocated,
        (x, y): (i32, i32),
        list: usize,
        ref_idx: i8,
    ) -> Option<Mv> {
        let (x, y) = ((x >> 4 << 4) as usize, (y >> 4 << 4) as usize);
        let block = picture.motion.at(x, y);
        let from = match block.ref_idx {
            [-1, -1] => return None,
            [-1, _] => 1,
            [_, -1] => 0,
            _ if self.no_backward_pred => list,
            _ => self.header.collocated.from_l0 as usize,
        };
        let col_ref = picture.motion.reference(from, block.ref_idx[from], x, y)?;
        let target = self.refs[list].get(ref_idx as usize)?;
        if target.long_term != col_ref.long_term {
            return None;
        }
        let col_diff = picture.poc.wrapping_sub(col_ref.poc);
        let diff = self.poc.wrapping_sub(target.poc);
        let mv = block.mv[from];
        if target.long_term || col_diff == diff {
            return Some(mv);
        }
        Some(scale(mv, diff, col_diff))
    }
}

#[cfg(test)]
mod tests {
    use super::scale;

    #[test]
    fn scaling() {
        assert_eq!(scale([8, -8], 1, 2), [4, -4]);
        assert_eq!(scale([8, -8], -1, 1), [-8, 8]);
        assert_eq!(scale([32767, -32768], 127, 1), [32767, -32768]);
    }
}
