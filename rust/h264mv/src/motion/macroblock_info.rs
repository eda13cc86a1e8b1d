//! Flags and counts of a macroblock that contexts of later macroblocks depend on.

/// Bits of [`MbHead::flags`].
pub(crate) mod flag {
    pub const INTRA: u8 = 1;
    /// mb_type is I_NxN.
    pub const I_NXN: u8 = 2;
    pub const PCM: u8 = 4;
    pub const SKIP: u8 = 8;
    /// B_Skip or B_Direct_16x16.
    pub const DIRECT: u8 = 16;
    /// transform_size_8x8_flag.
    pub const T8X8: u8 = 32;
    /// intra_chroma_pred_mode is not 0.
    pub const CHROMA_MODE: u8 = 64;
    /// A field macroblock of an MBAFF frame.
    pub const FIELD: u8 = 128;
}

/// Flags and coded blocks of a macroblock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MbHead {
    pub flags: u8,
    /// CodedBlockPatternLuma, and CodedBlockPatternChroma shifted left by 4.
    pub cbp: u8,
    /// Bit per 8x8 block whose motion is derived (direct or skipped).
    pub direct8: u8,
    /// coded_block_flag of the DC blocks of Y, Cb and Cr.
    pub dc: u8,
    /// coded_block_flag per 4x4 block of Y, Cb and Cr, bit y * 4 + x.
    pub cbf: [u16; 3],
}

impl MbHead {
    pub const BLANK: MbHead = MbHead {
        flags: 0,
        cbp: 0,
        direct8: 0,
        dc: 0,
        cbf: [0; 3],
    };

    #[inline(always)]
    pub fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }
}

/// State of a macroblock while its picture is parsed. The alignment allows copying and clearing in
/// whole SIMD registers; odd sizes cost a store-forwarding stall per macroblock.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct MbInfo {
    /// Clamped |mvd| per list along the bottom row (0 to 3) and the right column (4 to 7).
    pub mvd: [[[u8; 2]; 8]; 2],
    pub head: MbHead,
}

impl std::ops::Deref for MbInfo {
    type Target = MbHead;

    #[inline(always)]
    fn deref(&self) -> &MbHead {
        &self.head
    }
}

const fn with_flags(flags: u8, cbp: u8, direct8: u8) -> MbInfo {
    let head = MbHead {
        flags,
        cbp,
        direct8,
        ..MbHead::BLANK
    };
    MbInfo {
        mvd: [[[0; 2]; 8]; 2],
        head,
    }
}

impl MbInfo {
    pub const BLANK: MbInfo = with_flags(0, 0, 0);

    /// An unavailable macroblock: each flag has the value that makes condTermFlagN 0.
    pub const UNAVAILABLE: MbInfo = with_flags(flag::SKIP | flag::I_NXN | flag::DIRECT, 0x0f, 0);
}

/// P_Skip and B_Skip as frame and as field macroblocks: index B * 2 + field.
pub(crate) static SKIPPED: [MbInfo; 4] = [
    with_flags(flag::SKIP, 0, 15),
    with_flags(flag::SKIP | flag::FIELD, 0, 15),
    with_flags(flag::SKIP | flag::DIRECT, 0, 15),
    with_flags(flag::SKIP | flag::DIRECT | flag::FIELD, 0, 15),
];
