//! CABAC arithmetic decoding engine (clauses 9.3.1.2 and 9.3.3.2), the same in H.264 and HEVC.
//!
//! A context is one byte, pStateIdx * 2 + valMPS; codecs keep their own sets of contexts.

mod tables;

use tables::{RANGE_LPS, TRANS_IDX_LPS, TRANS_IDX_MPS};

/// By context: all that a decision needs. Bytes from bit 55 down: the four values of rangeTabLPS, so
/// that a left shift moves the selected one to where `Engine::range` is. Byte 0: the context after the
/// most probable symbol; byte 1: after the least probable symbol.
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

/// Initial state of a context from its table entry (m, n) and SliceQPY (clause 9.3.1.1).
pub fn initial_state(m: i32, n: i32, slice_qp: i32) -> u8 {
    let pre = (((m * slice_qp.clamp(0, 51)) >> 4) + n).clamp(1, 126);
    if pre <= 63 {
        (63 - pre) as u8 * 2
    } else {
        (pre - 64) as u8 * 2 + 1
    }
}

/// Arithmetic decoder. Loops over many decisions copy it to a local variable, which then stays in
/// registers: no function that is not inlined may take that variable by reference.
#[derive(Debug, Clone, Copy)]
pub struct Engine<'a> {
    /// codIOffset in the top 9 bits, followed by `ahead` bits loaded in advance.
    window: u64,
    /// codIRange in the top 9 bits.
    range: u64,
    ahead: i32,
    pos: usize,
    data: &'a [u8],
}

/// Position of the 9 bits of codIRange and codIOffset in their words.
const TOP_SHIFT: u32 = 55;

/// Bits loaded after [`Engine::refill`]: enough for two decisions of at most 6 bits and 4 bypasses.
const MIN_AHEAD: i32 = 16;

/// Bypass bins that are decoded at once.
const BYPASS_BINS: u32 = 16;

/// Exact for dividends below 2^25 and divisors below 2^9.
const RECIPROCAL_SHIFT: u32 = 34;

/// By codIRange - 256: 2^34 / codIRange, rounded up.
static RECIPROCAL: [u64; 256] = reciprocals();

const fn reciprocals() -> [u64; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = (1u64 << RECIPROCAL_SHIFT).div_ceil(i as u64 + 256);
        i += 1;
    }
    table
}

impl<'a> Engine<'a> {
    /// Starts at byte `pos` of the RBSP (clause 9.3.1.2).
    pub fn new(data: &'a [u8], pos: usize) -> Self {
        let mut engine = Engine {
            window: 0,
            range: 510 << TOP_SHIFT,
            ahead: -9,
            pos,
            data,
        };
        engine.refill();
        engine
    }

    /// Loads bits for two decisions and 4 bypasses.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.ahead < MIN_AHEAD {
            let bits = match self.data.get(self.pos..).and_then(|s| s.first_chunk::<4>()) {
                Some(chunk) => u32::from_be_bytes(*chunk),
                None => tail(self.data, self.pos),
            };
            self.pos += 4;
            self.window |= (bits as u64) << ((TOP_SHIFT as i32 - 32 - self.ahead) as u32 & 63);
            self.ahead += 32;
        }
    }

    /// Number of bits of the RBSP consumed so far.
    #[inline]
    pub fn position(&self) -> usize {
        (self.pos * 8).wrapping_add_signed(-(self.ahead as isize))
    }

    /// Whether bits beyond the end of the data were consumed.
    #[inline]
    pub fn overrun(&self) -> bool {
        self.position() > self.data.len() * 8
    }

    /// DecodeDecision.
    #[inline(always)]
    pub fn decision(&mut self, state: &mut u8) -> u32 {
        self.refill();
        self.decision_without_refill(state)
    }

    /// DecodeDecision on bits that an earlier refill loaded.
    #[inline(always)]
    pub fn decision_without_refill(&mut self, state: &mut u8) -> u32 {
        let old = *state;
        let step = STEP[old as usize];
        let range_lps = (step << (self.range >> 58 & 0x18)) & (0xff << TOP_SHIFT);
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
        self.bypass_without_refill()
    }

    /// DecodeBypass on bits that an earlier refill loaded.
    #[inline(always)]
    pub fn bypass_without_refill(&mut self) -> u32 {
        // Compared against half the range before the shift: the doubled offset needs 10 bits.
        let half = self.range >> 1;
        let one = self.window >= half;
        let rest = self.window.wrapping_sub(half);
        self.window = if one { rest } else { self.window } << 1;
        self.ahead -= 1;
        one as u32
    }

    /// The next 16 bypass bins, the first one in the highest bit; none is consumed.
    ///
    /// A bypass bin doubles codIOffset and compares it with codIRange: 16 of them in a row are the
    /// quotient of codIOffset * 2^16 and codIRange.
    #[inline(always)]
    pub fn peek_bypass(&mut self) -> u32 {
        self.refill();
        let offset = self.window >> (TOP_SHIFT - BYPASS_BINS);
        let range = (self.range >> TOP_SHIFT) as usize;
        ((offset * RECIPROCAL[range & 0xff]) >> RECIPROCAL_SHIFT) as u32
    }

    /// Consumes the first `count` (at most 16) of the bins that [`Self::peek_bypass`] gave.
    #[inline(always)]
    pub fn consume_bypass(&mut self, bins: u32, count: u32) {
        let taken = (bins >> (BYPASS_BINS - count)) as u64;
        self.window -= taken * (self.range >> count);
        self.window <<= count;
        self.ahead -= count as i32;
    }

    /// Consumes `count` (at most 16) bypass bins.
    #[inline(always)]
    pub fn skip_bypass(&mut self, count: u32) {
        let bins = self.peek_bypass();
        self.consume_bypass(bins, count);
    }

    /// Alignment prior to bypass bins: codIRange becomes 256 (H.265 clause 9.3.4.3.6).
    #[inline]
    pub fn align_bypass(&mut self) {
        self.range = 256 << TOP_SHIFT;
    }

    /// DecodeTerminate.
    #[inline]
    pub fn terminate(&mut self) -> bool {
        self.refill();
        self.range -= 2 << TOP_SHIFT;
        if self.window >= self.range {
            return true;
        }
        let shift = self.range.leading_zeros();
        self.range <<= shift & 63;
        self.window <<= shift & 63;
        self.ahead -= shift as i32;
        false
    }

    /// First byte after the arithmetic code word, once [`Self::terminate`] returned true: the encoder's
    /// flush ends with the nine bits of codIOffset (clause 9.3.4.5).
    pub fn byte_after_terminate(&self) -> usize {
        self.position().div_ceil(8)
    }
}

/// The last bytes of the data, padded with zeros.
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
    fn state_transitions() {
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
    fn initial_states() {
        // pre = (20 * 26 >> 4) - 15 = 17.
        assert_eq!(initial_state(20, -15, 26), (63 - 17) * 2);
        assert_eq!(initial_state(0, 127, -12), 62 * 2 + 1);
    }

    #[test]
    fn bypass_consumes_bits() {
        // codIOffset 0 and zeros after it: every bypass decodes 0.
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
