//! ref_idx_lX and mvd_lX of a partition with their contexts (clauses 9.3.3.1.1.6 and 9.3.3.1.1.7).

use bitstream::Malformed;

use crate::entropy::EntropyDecoder;
use crate::motion::context::MbContext;
use crate::motion::macroblock_info::flag;

/// |mvd| as stored for context selection, which halving and doubling do not change beyond 66.
#[inline(always)]
fn clamp_mvd(v: i32) -> u8 {
    v.unsigned_abs().min(127) as u8
}

impl MbContext<'_> {
    /// ref_idx_lX of the partition at (`x`, `y`); 0 if only one reference is active.
    #[inline(always)]
    pub fn read_ref<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        list: usize,
        x: usize,
        y: usize,
    ) -> Result<i8, Malformed> {
        let count = self.num_refs(list);
        if count <= 1 {
            return Ok(0);
        }
        let inc = if E::CABAC {
            self.ref_increment::<MBAFF>(list, x, y)
        } else {
            0
        };
        entropy.ref_idx(inc, count - 1)
    }

    /// ctxIdxInc of ref_idx_lX: neighbours A and B with a reference index above 0, in frame or field units
    /// of this macroblock, that direct prediction did not derive (clause 9.3.3.1.1.6).
    #[inline(always)]
    fn ref_increment<const MBAFF: bool>(&self, list: usize, x: usize, y: usize) -> usize {
        let inside = |x: usize, y: usize| {
            let derived = self.cur.direct8 >> (y / 2 * 2 + x / 2) & 1 == 1;
            let i = list * self.plane + self.grid + y * self.w4 + x;
            (!derived && self.ref_idx[i] > 0) as usize
        };
        let outside = |mb: usize, x: usize, y: usize| {
            if mb == self.none() {
                return 0;
            }
            let info = &self.info[mb];
            if info.direct8 >> (y / 2 * 2 + x / 2) & 1 == 1 {
                return 0;
            }
            let base = if MBAFF {
                (mb / self.width * self.w4 + mb % self.width) * 4
            } else if mb == self.a {
                self.grid - 4
            } else {
                self.grid - 4 * self.w4
            };
            let ref_idx = self.ref_idx[list * self.plane + base + y * self.w4 + x];
            let halve = MBAFF && !self.field && info.has(flag::FIELD);
            (ref_idx > halve as i8) as usize
        };
        let a = if x > 0 {
            inside(x - 1, y)
        } else {
            let (mb, row) = self.left::<MBAFF>(y * 4, 16);
            outside(mb, 3, row / 4)
        };
        let b = if y > 0 {
            inside(x, y - 1)
        } else {
            outside(self.b, x, 3)
        };
        a + 2 * b
    }

    /// mvd_lX of a partition; stores its magnitude for later contexts.
    #[inline(always)]
    pub fn read_mvd<E: EntropyDecoder, const MBAFF: bool>(
        &mut self,
        entropy: &mut E,
        list: usize,
        [x, y, w, h]: [usize; 4],
    ) -> Result<[i32; 2], Malformed> {
        if !E::CABAC {
            return entropy.mvd([0; 2]);
        }
        let a = if x > 0 {
            self.mvd[list][y * 4 + x - 1].map(u32::from)
        } else {
            let (mb, row) = self.left::<MBAFF>(y * 4, 16);
            self.edge_mvd::<MBAFF>(mb, list, 4 + row / 4)
        };
        let b = if y > 0 {
            self.mvd[list][y * 4 + x - 4].map(u32::from)
        } else {
            self.edge_mvd::<MBAFF>(self.b, list, x)
        };
        let mvd = entropy.mvd([a[0] + b[0], a[1] + b[1]])?;
        let magnitude = mvd.map(clamp_mvd);
        for row in y..y + h {
            self.mvd[list][row * 4 + x..row * 4 + x + w].fill(magnitude);
        }
        let edges = &mut self.info[self.slot].mvd[list];
        if y + h == 4 {
            edges[x..x + w].fill(magnitude);
        }
        if x + w == 4 {
            edges[4 + y..4 + y + h].fill(magnitude);
        }
        Ok(mvd)
    }

    /// |mvd| at position `edge` of another macroblock, vertical in frame or field units of this one
    /// (clause 9.3.3.1.1.7).
    #[inline(always)]
    fn edge_mvd<const MBAFF: bool>(&self, mb: usize, list: usize, edge: usize) -> [u32; 2] {
        let info = &self.info[mb];
        let [x, y] = info.mvd[list][edge & 7].map(u32::from);
        if !MBAFF || mb == self.none() || info.has(flag::FIELD) == self.field {
            return [x, y];
        }
        [x, if self.field { y / 2 } else { y * 2 }]
    }
}
