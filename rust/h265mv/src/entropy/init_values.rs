//! initValue of every context variable (clause 9.3.2.2, tables 9-5 to 9-37), by initType.

/// Number of context variables of a slice.
pub(crate) const COUNT: usize = 177;

/// ctxIdxOffset of each syntax element in [`INIT_VALUES`].
pub(crate) mod offset {
    pub const SAO_MERGE_FLAG: usize = 0;
    pub const SAO_TYPE_IDX: usize = 1;
    pub const SPLIT_CU_FLAG: usize = 2;
    pub const CU_TRANSQUANT_BYPASS_FLAG: usize = 5;
    pub const CU_SKIP_FLAG: usize = 6;
    pub const CU_QP_DELTA_ABS: usize = 9;
    pub const PRED_MODE_FLAG: usize = 12;
    pub const PART_MODE: usize = 13;
    pub const PREV_INTRA_LUMA_PRED_FLAG: usize = 17;
    pub const INTRA_CHROMA_PRED_MODE: usize = 18;
    pub const MERGE_FLAG: usize = 20;
    pub const MERGE_IDX: usize = 21;
    pub const INTER_PRED_IDC: usize = 22;
    pub const REF_IDX: usize = 27;
    pub const ABS_MVD_GREATER0_FLAG: usize = 29;
    pub const ABS_MVD_GREATER1_FLAG: usize = 31;
    pub const MVP_FLAG: usize = 33;
    pub const RQT_ROOT_CBF: usize = 34;
    pub const SPLIT_TRANSFORM_FLAG: usize = 35;
    pub const CBF_LUMA: usize = 38;
    pub const CBF_CHROMA: usize = 40;
    pub const TRANSFORM_SKIP_FLAG: usize = 45;
    pub const EXPLICIT_RDPCM_FLAG: usize = 47;
    pub const EXPLICIT_RDPCM_DIR_FLAG: usize = 49;
    pub const LAST_SIG_COEFF_X_PREFIX: usize = 51;
    pub const LAST_SIG_COEFF_Y_PREFIX: usize = 69;
    pub const CODED_SUB_BLOCK_FLAG: usize = 87;
    pub const SIG_COEFF_FLAG: usize = 91;
    pub const COEFF_ABS_LEVEL_GREATER1_FLAG: usize = 135;
    pub const COEFF_ABS_LEVEL_GREATER2_FLAG: usize = 159;
    pub const LOG2_RES_SCALE_ABS_PLUS1: usize = 165;
    pub const RES_SCALE_SIGN_FLAG: usize = 173;
    pub const CU_CHROMA_QP_OFFSET_FLAG: usize = 175;
    pub const CU_CHROMA_QP_OFFSET_IDX: usize = 176;
}

#[rustfmt::skip]
pub(crate) static INIT_VALUES: [[u8; COUNT]; 3] = [
    [
        153,
        200,
        139, 141, 157,
        154,
        154, 154, 154,
        154, 154, 154,
        154,
        184, 154, 154, 154,
        184,
         63, 139,
        154,
        154,
        154, 154, 154, 154, 154,
        154, 154,
        154, 154,
        154, 154,
        154,
        154,
        153, 138, 138,
        111, 141,
         94, 138, 182, 154, 154,
        139, 139,
        139, 139,
        139, 139,
        110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111,  79, 108, 123,  63,
        110, 110, 124, 125, 140, 153, 125, 127, 140, 109, 111, 143, 127, 111,  79, 108, 123,  63,
         91, 171, 134, 141,
        111, 111, 125, 110, 110,  94, 124, 108, 124, 107, 125, 141, 179, 153, 125, 107, 125, 141,
        179, 153, 125, 107, 125, 141, 179, 153, 125, 140, 139, 182, 182, 152, 136, 152, 136, 153,
        136, 139, 111, 136, 139, 111, 141, 111,
        140,  92, 137, 138, 140, 152, 138, 139, 153,  74, 149,  92, 139, 107, 122, 152, 140, 179,
        166, 182, 140, 227, 122, 197,
        138, 153, 136, 167, 152, 152,
        154, 154, 154, 154, 154, 154, 154, 154,
        154, 154,
        154,
        154,
    ],
    [
        153,
        185,
        107, 139, 126,
        154,
        197, 185, 201,
        154, 154, 154,
        149,
        154, 139, 154, 154,
        154,
        152, 139,
        110,
        122,
         95,  79,  63,  31,  31,
        153, 153,
        140, 198,
        140, 198,
        168,
         79,
        124, 138,  94,
        153, 111,
        149, 107, 167, 154, 154,
        139, 139,
        139, 139,
        139, 139,
        125, 110,  94, 110,  95,  79, 125, 111, 110,  78, 110, 111, 111,  95,  94, 108, 123, 108,
        125, 110,  94, 110,  95,  79, 125, 111, 110,  78, 110, 111, 111,  95,  94, 108, 123, 108,
        121, 140,  61, 154,
        155, 154, 139, 153, 139, 123, 123,  63, 153, 166, 183, 140, 136, 153, 154, 166, 183, 140,
        136, 153, 154, 166, 183, 140, 136, 153, 154, 170, 153, 123, 123, 107, 121, 107, 121, 167,
        151, 183, 140, 151, 183, 140, 140, 140,
        154, 196, 196, 167, 154, 152, 167, 182, 182, 134, 149, 136, 153, 121, 136, 137, 169, 194,
        166, 167, 154, 167, 137, 182,
        107, 167,  91, 122, 107, 167,
        154, 154, 154, 154, 154, 154, 154, 154,
        154, 154,
        154,
        154,
    ],
    [
        153,
        160,
        107, 139, 126,
        154,
        197, 185, 201,
        154, 154, 154,
        134,
        154, 139, 154, 154,
        183,
        152, 139,
        154,
        137,
         95,  79,  63,  31,  31,
        153, 153,
        169, 198,
        169, 198,
        168,
         79,
        224, 167, 122,
        153, 111,
        149,  92, 167, 154, 154,
        139, 139,
        139, 139,
        139, 139,
        125, 110, 124, 110,  95,  94, 125, 111, 111,  79, 125, 126, 111, 111,  79, 108, 123,  93,
        125, 110, 124, 110,  95,  94, 125, 111, 111,  79, 125, 126, 111, 111,  79, 108, 123,  93,
        121, 140,  61, 154,
        170, 154, 139, 153, 139, 123, 123,  63, 124, 166, 183, 140, 136, 153, 154, 166, 183, 140,
        136, 153, 154, 166, 183, 140, 136, 153, 154, 170, 153, 138, 138, 122, 121, 122, 121, 167,
        151, 183, 140, 151, 183, 140, 140, 140,
        154, 196, 167, 167, 154, 152, 167, 182, 182, 134, 149, 136, 153, 121, 136, 122, 169, 208,
        166, 167, 154, 152, 167, 182,
        107, 167,  91, 107, 107, 167,
        154, 154, 154, 154, 154, 154, 154, 154,
        154, 154,
        154,
        154,
    ],
];
