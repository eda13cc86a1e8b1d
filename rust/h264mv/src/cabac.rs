//! The arithmetic decoding engine and its contexts (clauses 9.3.1 and 9.3.3.2).

use crate::tables::cabac::{CABAC_INIT, RANGE_LPS, TRANS_IDX_LPS, TRANS_IDX_MPS};

/// Per context state (pStateIdx * 2 + valMPS) all that a decision needs: four bytes of
/// rangeTabLPS, the next state after an MPS in byte 4, after an LPS in byte 5.
static STEP: [u64; 128] = step_table();

const fn step_table() -> [u64; 128] {
    let mut table = [0u64; 128];
    let mut state = 0;
    while state < 64 {
        let lps = RANGE_LPS[state];
        let ranges =
            lps[0] as u64 | (lps[1] as u64) << 8 | (lps[2] as u64) << 16 | (lps[3] as u64) << 24;
        let mut mps = 0;
        while mps < 2 {
            let flipped = if state == 0 { 1 - mps } else { mps };
            let after_mps = TRANS_IDX_MPS[state] as u64 * 2 + mps;
            let after_lps = TRANS_IDX_LPS[state] as u64 * 2 + flipped;
            table[state * 2 + mps as usize] = ranges | after_mps << 32 | after_lps << 40;
            mps += 1;
        }
        state += 1;
    }
    table
}

/// The state variables of all contexts of a slice.
pub(crate) type Contexts = [u8; 1024];

/// Clause 9.3.1.1: `table` is 0 for I slices, else cabac_init_idc + 1.
pub(crate) fn init_contexts(contexts: &mut Contexts, table: usize, slice_qp: i32) {
    let qp = slice_qp.clamp(0, 51);
    for (state, &[m, n]) in contexts.iter_mut().zip(&CABAC_INIT[table & 3]) {
        let pre = (((m as i32 * qp) >> 4) + n as i32).clamp(1, 126);
        *state = if pre <= 63 {
            (63 - pre) as u8 * 2
        } else {
            (pre - 64) as u8 * 2 + 1
        };
    }
}

/// codIOffset stands in the top 9 bits of `window`; `ahead` bits below it are already loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine<'a> {
    window: u64,
    range: u32,
    ahead: i32,
    pos: usize,
    data: &'a [u8],
}

const TOP: u32 = 55;

impl<'a> Engine<'a> {
    /// Clause 9.3.1.2, from byte `pos` of the RBSP.
    pub fn new(data: &'a [u8], pos: usize) -> Self {
        let mut engine = Engine {
            window: 0,
            range: 510,
            ahead: -9,
            pos,
            data,
        };
        engine.refill();
        engine
    }

    /// Loads 48 bits below those that are left; called with -9 <= ahead <= 0.
    #[inline(always)]
    fn refill(&mut self) {
        let bits = match self.data.get(self.pos..).and_then(|s| s.first_chunk::<8>()) {
            Some(chunk) => u64::from_be_bytes(*chunk) >> 16,
            None => self.tail(),
        };
        self.pos += 6;
        self.window |= bits << ((7 - self.ahead) as u32 & 63);
        self.ahead += 48;
    }

    #[cold]
    #[inline(never)]
    fn tail(&self) -> u64 {
        let mut chunk = [0u8; 8];
        if let Some(rest) = self.data.get(self.pos..) {
            let n = rest.len().min(6);
            chunk[2..2 + n].copy_from_slice(&rest[..n]);
        }
        u64::from_be_bytes(chunk)
    }

    /// Bits of the RBSP that the decisions so far depend on.
    #[inline]
    pub fn position(&self) -> usize {
        (self.pos * 8).wrapping_add_signed(-(self.ahead as isize))
    }

    /// Whether decisions depended on bits beyond the end of the data.
    #[inline]
    pub fn overrun(&self) -> bool {
        self.position() > self.data.len() * 8
    }

    /// DecodeDecision.
    #[inline(always)]
    pub fn decision(&mut self, contexts: &mut Contexts, ctx: usize) -> u32 {
        let state = &mut contexts[ctx & 1023];
        let old = *state;
        let step = STEP[(old & 127) as usize];
        let range_lps = (step >> ((self.range >> 3) & 0x18)) as u32 & 0xff;
        let range_mps = self.range - range_lps;
        let scaled = (range_mps as u64) << TOP;
        if self.window < scaled {
            *state = (step >> 32) as u8;
            let shift = (range_mps < 256) as u32;
            self.range = range_mps << shift;
            self.window <<= shift;
            self.ahead -= shift as i32;
            if self.ahead <= 0 {
                self.refill();
            }
            return old as u32 & 1;
        }
        self.window -= scaled;
        *state = (step >> 40) as u8;
        let shift = (range_lps | 1).leading_zeros() - 23;
        self.range = range_lps << shift;
        self.window <<= shift;
        self.ahead -= shift as i32;
        if self.ahead <= 0 {
            self.refill();
        }
        (old as u32 & 1) ^ 1
    }

    /// DecodeBypass.
    #[inline(always)]
    pub fn bypass(&mut self) -> u32 {
        // Compared against half the range before the shift: the doubled offset needs 10 bits.
        let scaled = (self.range as u64) << (TOP - 1);
        let one = self.window >= scaled;
        self.window -= scaled & (one as u64).wrapping_neg();
        self.window <<= 1;
        self.ahead -= 1;
        if self.ahead <= 0 {
            self.refill();
        }
        one as u32
    }

    /// DecodeTerminate.
    #[inline]
    pub fn terminate(&mut self) -> bool {
        self.range -= 2;
        if self.window >= (self.range as u64) << TOP {
            return true;
        }
        let shift = (self.range | 1).leading_zeros() - 23;
        self.range <<= shift;
        self.window <<= shift;
        self.ahead -= shift as i32;
        if self.ahead <= 0 {
            self.refill();
        }
        false
    }

    /// After a terminating decision with result 1: first byte behind the arithmetic code word.
    ///
    /// The encoder's flush writes as many bits as the nine of codIOffset reach (clause 9.3.4.5).
    pub fn byte_after_terminate(&self) -> usize {
        self.position().div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sane() {
        for state in 0..62usize {
            assert_eq!(
                STEP[state * 2 + 1] >> 32 & 0xff,
                (state as u64 + 1).min(62) * 2 + 1
            );
            assert!(RANGE_LPS[state][0] <= RANGE_LPS[state][3]);
            assert!(TRANS_IDX_LPS[state] as usize <= state);
        }
        assert_eq!(STEP[0] >> 40 & 0xff, 1, "an LPS in state 0 flips valMPS");
    }

    #[test]
    fn context_initialisation() {
        let mut contexts = [0; 1024];
        init_contexts(&mut contexts, 0, 26);
        // ctxIdx 0: m 20, n -15: pre = (20 * 26 >> 4) - 15 = 17.
        assert_eq!(contexts[0], (63 - 17) * 2);
        init_contexts(&mut contexts, 1, -12);
        assert!(contexts.iter().all(|&s| s < 126));
    }

    #[test]
    fn bypass_reads_bits_and_ends() {
        // Offset 0 and zeros behind it: all decisions are most probable, bypasses 0.
        let data = [0u8; 4];
        let mut engine = Engine::new(&data, 0);
        assert_eq!(engine.position(), 9);
        for _ in 0..23 {
            assert_eq!(engine.bypass(), 0);
        }
        assert!(!engine.overrun());
        engine.bypass();
        assert!(engine.overrun());
    }
}
