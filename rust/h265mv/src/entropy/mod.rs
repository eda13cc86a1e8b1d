//! CABAC of HEVC (clause 9.3): context variables, their synchronisation, and residual data.

mod init_values;
pub(crate) mod residual;
mod scan;

use bitstream::cabac::{Context, Engine};

use self::init_values::{COUNT, INIT_VALUES};
use crate::syntax::slice::{SliceHeader, SliceType};

pub(crate) use self::init_values::offset;

/// What is saved and restored between coding tree units (clause 9.3.2.4): the context variables and
/// StatCoeff.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contexts {
    states: [Context; COUNT],
    stat_coeff: [u8; 4],
}

impl Contexts {
    /// Clause 9.3.2.2.
    pub fn initial(header: &SliceHeader) -> Self {
        let init_type = match (header.slice_type, header.cabac_init_flag) {
            (SliceType::I, _) => 0,
            (SliceType::P, false) | (SliceType::B, true) => 1,
            (SliceType::P, true) | (SliceType::B, false) => 2,
        };
        let state = |&value: &u8| {
            let (slope, offset) = (value as i32 >> 4, value as i32 & 15);
            Context::initial(slope * 5 - 45, (offset << 3) - 16, header.slice_qp)
        };
        Contexts {
            states: INIT_VALUES[init_type].each_ref().map(state),
            stat_coeff: [0; 4],
        }
    }
}

/// Decodes the bins of one slice segment.
#[derive(Debug, Clone)]
pub(crate) struct Cabac<'a> {
    pub engine: Engine<'a>,
    pub contexts: Contexts,
    data: &'a [u8],
}

impl<'a> Cabac<'a> {
    pub fn new(data: &'a [u8], byte: usize, contexts: Contexts) -> Self {
        Cabac {
            engine: Engine::new(data, byte),
            contexts,
            data,
        }
    }

    /// A bin of context `ctx`.
    #[inline(always)]
    pub fn bin(&mut self, ctx: usize) -> u32 {
        self.engine.decision(&mut self.contexts.states[ctx])
    }

    /// A flag of context `ctx`.
    #[inline(always)]
    pub fn flag(&mut self, ctx: usize) -> bool {
        self.bin(ctx) != 0
    }

    /// `count` bypass bins, the first one in the highest bit.
    #[inline]
    pub fn bypass_bits(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | self.engine.bypass())
    }

    /// A k-th order Exp-Golomb code of bypass bins (clause 9.3.3.5); saturates on damage.
    pub fn exp_golomb(&mut self, mut k: u32) -> u32 {
        let mut value = 0u32;
        while self.engine.bypass() != 0 {
            value = value.saturating_add(1 << k);
            k += 1;
            if k >= 31 {
                return u32::MAX;
            }
        }
        value.saturating_add(self.bypass_bits(k))
    }

    /// Whether only cabac_zero_words follow, once the end of the slice segment is decoded.
    pub fn is_at_end(&self) -> bool {
        let end = self.engine.byte_after_terminate();
        self.data.iter().skip(end).all(|&byte| byte == 0)
    }

    /// Starts a new arithmetic code word at byte `at`.
    pub fn restart(&mut self, at: usize) {
        self.engine = Engine::new(self.data, at);
    }
}
