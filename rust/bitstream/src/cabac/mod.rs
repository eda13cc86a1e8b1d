//! CABAC arithmetic decoding engine (clauses 9.3.1.2 and 9.3.3.2), the same in H.264 and HEVC. Codecs keep
//! their own sets of contexts.

mod context;
mod tables;

use std::hint::select_unpredictable;

pub use context::{initial_state, Context};

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
    pub fn decision(&mut self, context: &mut Context) -> u32 {
        self.refill();
        self.decision_without_refill(context)
    }

    /// DecodeDecision on bits that an earlier refill loaded.
    ///
    /// It has no branches, because bins are hard to predict. Both successors of the context are read before
    /// it is known which one follows: the next bin often needs the same context.
    #[inline(always)]
    pub fn decision_without_refill(&mut self, context: &mut Context) -> u32 {
        let step = context.0;
        let [after_mps, after_lps] = [context.after_mps(), context.after_lps()];
        let column = self.range >> (TOP_SHIFT + 6) & 3;
        let range_lps = (step << (8 * column)) & (0xff << TOP_SHIFT);
        let shift_lps = step >> (18 + 3 * column) & 7;
        let range_mps = self.range - range_lps;
        let shift_mps = !range_mps >> 63;
        let lps = self.window >= range_mps;
        let rest = self.window.wrapping_sub(range_mps);
        let shift = select_unpredictable(lps, shift_lps, shift_mps) as u32 & 63;
        *context = select_unpredictable(lps, after_lps, after_mps);
        self.range = select_unpredictable(lps, range_lps, range_mps) << shift;
        self.window = select_unpredictable(lps, rest, self.window) << shift;
        self.ahead -= shift as i32;
        step as u32 & 1 ^ lps as u32
    }

    /// DecodeDecision on bits that an earlier refill loaded, where the bin is `coded`: where it is not, the
    /// result has no meaning and nothing changes. Without branches.
    #[inline(always)]
    pub fn decision_if(&mut self, coded: bool, context: &mut Context) -> u32 {
        let mut after = *self;
        let mut next = *context;
        let bin = after.decision_without_refill(&mut next);
        self.window = select_unpredictable(coded, after.window, self.window);
        self.range = select_unpredictable(coded, after.range, self.range);
        self.ahead = select_unpredictable(coded, after.ahead, self.ahead);
        *context = select_unpredictable(coded, next, *context);
        bin
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
