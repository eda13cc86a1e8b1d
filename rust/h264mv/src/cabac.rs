//! The arithmetic decoding engine and its contexts (clauses 9.3.1 and 9.3.3.2).

use crate::tables::cabac::{CABAC_INIT, RANGE_LPS, TRANS_IDX_LPS, TRANS_IDX_MPS};

/// Per context state (pStateIdx * 2 + valMPS) all that a decision needs: the four bytes of
/// rangeTabLPS, the first at bit 55, each next one 8 bits lower, so that a left shift brings the
/// chosen one to where `Engine::range` stands; the next state after an MPS in byte 0, after an LPS in
/// byte 1.
static STEP: [u64; 256] = step_table();

const fn step_table() -> [u64; 256] {
    let mut table = [0u64; 256];
    let mut state = 0;
    while state < 64 {
        let lps = RANGE_LPS[state];
        let ranges = (lps[0] as u64) << 55
            | (lps[1] as u64) << 47
            | (lps[2] as u64) << 39
            | (lps[3] as u64) << 31;
        let mut mps = 0;
        while mps < 2 {
            let flipped = if state == 0 { 1 - mps } else { mps };
            let after_mps = TRANS_IDX_MPS[state] as u64 * 2 + mps;
            let after_lps = TRANS_IDX_LPS[state] as u64 * 2 + flipped;
            table[state * 2 + mps as usize] = ranges | after_mps | after_lps << 8;
            mps += 1;
        }
        state += 1;
    }
    table
}

/// The state variables of all contexts of a slice.
pub(crate) type Contexts = [u8; 1024];

/// Clause 9.3.1.1: `table` is 0 for I slices, else cabac_init_idc + 1.
pub(crate) fn initial_contexts(table: usize, slice_qp: i32) -> Contexts {
    let qp = slice_qp.clamp(0, 51);
    let mut contexts = [0; 1024];
    for (state, &[m, n]) in contexts.iter_mut().zip(&CABAC_INIT[table & 3]) {
        let pre = (((m as i32 * qp) >> 4) + n as i32).clamp(1, 126);
        *state = if pre <= 63 {
            (63 - pre) as u8 * 2
        } else {
            (pre - 64) as u8 * 2 + 1
        };
    }
    contexts
}

/// The arithmetic decoder. It is copied into a local where many decisions follow one another, so
/// that it lives in registers: no function that stays a call may take it by reference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine<'a> {
    /// codIOffset in the top 9 bits, below it `ahead` bits that are already loaded.
    window: u64,
    /// codIRange in the top 9 bits.
    range: u64,
    ahead: i32,
    pos: usize,
    data: &'a [u8],
}

const TOP: u32 = 55;

/// A decision takes 6 bits at most: after [`Engine::refill`] two of them and a few bypasses can go
/// without another one.
const LOW: i32 = 16;

impl<'a> Engine<'a> {
    /// Clause 9.3.1.2, from byte `pos` of the RBSP.
    pub fn new(data: &'a [u8], pos: usize) -> Self {
        let mut engine = Engine {
            window: 0,
            range: 510 << TOP,
            ahead: -9,
            pos,
            data,
        };
        engine.refill();
        engine
    }

    /// Sees to it that at least [`LOW`] bits are loaded.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.ahead < LOW {
            let bits = match self.data.get(self.pos..).and_then(|s| s.first_chunk::<4>()) {
                Some(chunk) => u32::from_be_bytes(*chunk),
                None => tail(self.data, self.pos),
            };
            self.pos += 4;
            self.window |= (bits as u64) << ((TOP as i32 - 32 - self.ahead) as u32 & 63);
            self.ahead += 32;
        }
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
    pub fn decision(&mut self, state: &mut u8) -> u32 {
        self.refill();
        self.loaded_decision(state)
    }

    /// DecodeDecision where a refill is not far back.
    #[inline(always)]
    pub fn loaded_decision(&mut self, state: &mut u8) -> u32 {
        let old = *state;
        let step = STEP[old as usize];
        let range_lps = (step << (self.range >> 58 & 0x18)) & (0xff << TOP);
        let range_mps = self.range - range_lps;
        if self.window < range_mps {
            *state = step as u8;
            let short = (range_mps as i64) >= 0;
            self.range = if short { range_mps << 1 } else { range_mps };
            self.window = if short { self.window << 1 } else { self.window };
            self.ahead -= short as i32;
            return old as u32 & 1;
        }
        *state = (step >> 8) as u8;
        let shift = range_lps.leading_zeros();
        self.window = (self.window - range_mps) << (shift & 63);
        self.range = range_lps << (shift & 63);
        self.ahead -= shift as i32;
        (old as u32 & 1) ^ 1
    }

    /// DecodeBypass.
    #[inline(always)]
    pub fn bypass(&mut self) -> u32 {
        self.refill();
        self.loaded_bypass()
    }

    /// DecodeBypass where a refill is not far back.
    #[inline(always)]
    pub fn loaded_bypass(&mut self) -> u32 {
        // Compared against half the range before the shift: the doubled offset needs 10 bits.
        let half = self.range >> 1;
        let one = self.window >= half;
        let rest = self.window.wrapping_sub(half);
        self.window = if one { rest } else { self.window } << 1;
        self.ahead -= 1;
        one as u32
    }

    /// DecodeTerminate.
    #[inline]
    pub fn terminate(&mut self) -> bool {
        self.refill();
        self.range -= 2 << TOP;
        if self.window >= self.range {
            return true;
        }
        let shift = self.range.leading_zeros();
        self.range <<= shift & 63;
        self.window <<= shift & 63;
        self.ahead -= shift as i32;
        false
    }

    /// After a terminating decision with result 1: first byte behind the arithmetic code word.
    ///
    /// The encoder's flush writes as many bits as the nine of codIOffset reach (clause 9.3.4.5).
    pub fn byte_after_terminate(&self) -> usize {
        self.position().div_ceil(8)
    }
}

/// The last bytes, then zeros.
#[cold]
#[inline(never)]
fn tail(data: &[u8], pos: usize) -> u32 {
    let mut chunk = [0u8; 4];
    if let Some(rest) = data.get(pos..) {
        chunk[..rest.len()].copy_from_slice(rest);
    }
    u32::from_be_bytes(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sane() {
        for state in 0..62usize {
            assert_eq!(
                STEP[state * 2 + 1] & 0xff,
                (state as u64 + 1).min(62) * 2 + 1
            );
            assert!(RANGE_LPS[state][0] <= RANGE_LPS[state][3]);
            assert!(TRANS_IDX_LPS[state] as usize <= state);
        }
        assert_eq!(STEP[0] >> 8 & 0xff, 1, "an LPS in state 0 flips valMPS");
    }

    #[test]
    fn context_initialisation() {
        let contexts = initial_contexts(0, 26);
        // ctxIdx 0: m 20, n -15: pre = (20 * 26 >> 4) - 15 = 17.
        assert_eq!(contexts[0], (63 - 17) * 2);
        assert!(initial_contexts(1, -12).iter().all(|&s| s < 126));
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
