//! Availability of neighbouring prediction blocks (clauses 6.4.1 and 6.4.2).

use super::field::{BlockMotion, Motion};
use crate::slice_data::PredictionUnit;

/// z-scan order inside a coding tree block, by 4x4 block.
static Z_ORDER: [u8; 256] = z_order();

const fn z_order() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (x, y) = (i & 15, i >> 4);
        let (mut z, mut bit) = (0, 0);
        while bit < 4 {
            z |= (x >> bit & 1) << (2 * bit) | (y >> bit & 1) << (2 * bit + 1);
            bit += 1;
        }
        table[i] = z as u8;
        i += 1;
    }
    table
}

/// A prediction block: position and size in luma samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
}

impl Rect {
    /// The five spatial neighbours A0, A1, B0, B1, B2 (figure 8-3).
    pub fn a0(self) -> (i32, i32) {
        (self.x - 1, self.y + self.h)
    }
    pub fn a1(self) -> (i32, i32) {
        (self.x - 1, self.y + self.h - 1)
    }
    pub fn b0(self) -> (i32, i32) {
        (self.x + self.w, self.y - 1)
    }
    pub fn b1(self) -> (i32, i32) {
        (self.x + self.w - 1, self.y - 1)
    }
    pub fn b2(self) -> (i32, i32) {
        (self.x - 1, self.y - 1)
    }
}

/// Which coding tree blocks around the current one are in its slice and tile and already decoded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CtbNeighbours {
    pub left: bool,
    pub above: bool,
    pub above_left: bool,
    pub above_right: bool,
}

/// The current coding block and what is decoded around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub motion: &'a Motion,
    pub width: i32,
    pub height: i32,
    pub log2_ctb: u32,
    pub ctbs: CtbNeighbours,
}

impl Surroundings<'_> {
    /// Whether luma sample `(nx, ny)` is decoded before the block at `(x, y)` (clause 6.4.1).
    fn is_decoded(&self, (x, y): (i32, i32), (nx, ny): (i32, i32)) -> bool {
        if nx < 0 || ny < 0 || nx >= self.width || ny >= self.height {
            return false;
        }
        let ctb = |v: i32| v >> self.log2_ctb;
        match (ctb(nx) - ctb(x), ctb(ny) - ctb(y)) {
            (0, 0) => {
                let z = |x: i32, y: i32| Z_ORDER[((y >> 2 & 15) << 4 | (x >> 2 & 15)) as usize];
                let mask = (1 << self.log2_ctb) - 1;
                z(nx & mask, ny & mask) <= z(x & mask, y & mask)
            }
            (-1, 0) => self.ctbs.left,
            (0, -1) => self.ctbs.above,
            (-1, -1) => self.ctbs.above_left,
            (1, -1) => self.ctbs.above_right,
            _ => false,
        }
    }

    /// Motion of the prediction block at `neighbour`, where it is available to `block`, a part of the
    /// coding unit of `unit` (clause 6.4.2).
    pub fn motion(
        &self,
        unit: &PredictionUnit,
        block: Rect,
        neighbour: (i32, i32),
    ) -> Option<BlockMotion> {
        let size = 1 << unit.log2_cb;
        let (cb_x, cb_y) = (unit.x as i32 & -size, unit.y as i32 & -size);
        let (nx, ny) = neighbour;
        let same_cb = (cb_x..cb_x + size).contains(&nx) && (cb_y..cb_y + size).contains(&ny);
        if same_cb {
            // The second of four parts is decoded before the third one.
            let quarter = block.w << 1 == size && block.h << 1 == size;
            if quarter && unit.part_idx == 1 && cb_y + block.h <= ny && cb_x + block.w > nx {
                return None;
            }
        } else if !self.is_decoded((block.x, block.y), neighbour) {
            return None;
        }
        let motion = self.motion.at(nx as usize, ny as usize);
        motion.is_inter().then_some(motion)
    }
}
