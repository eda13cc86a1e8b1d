//! Entries of reference picture lists.

/// A picture as an entry of a reference list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefPic {
    /// Identity of the frame (or complementary field pair) in this stream.
    pub frame: u32,
    /// 1 top field, 2 bottom field, 3 frame.
    pub parity: u8,
    /// "used for long-term reference".
    pub long_term: bool,
    /// The stream does not contain the frame (a gap in frame_num); its POC may be a guess.
    pub lost: bool,
    /// TopFieldOrderCnt and BottomFieldOrderCnt (`i32::MAX` without that field).
    pub field_poc: [i32; 2],
}

impl RefPic {
    /// "no reference picture"; a block that refers to it is damaged.
    pub const MISSING: RefPic = RefPic {
        frame: u32::MAX,
        parity: 3,
        long_term: false,
        lost: true,
        field_poc: [i32::MIN; 2],
    };

    /// PicOrderCnt() of the entry.
    pub fn poc(&self) -> i32 {
        match self.parity {
            1 => self.field_poc[0],
            2 => self.field_poc[1],
            _ => self.field_poc[0].min(self.field_poc[1]),
        }
    }

    /// The field with the given parity (1 or 2) of this frame.
    pub fn field(self, parity: u8) -> Self {
        RefPic { parity, ..self }
    }

    /// Entry `ref_idx` of `list` (RefPicList0 or 1) as a macroblock sees it whose field parity is `field`
    /// (1 or 2) in MBAFF frames, None for frame macroblocks (clause 8.4.2.1); `MISSING` beyond the list.
    pub fn select(list: &[RefPic], ref_idx: i8, field: Option<u8>) -> RefPic {
        let index = ref_idx as usize >> field.is_some() as u32;
        match (list.get(index), field) {
            (Some(&entry), Some(same)) if !entry.is_missing() => {
                entry.field(if ref_idx & 1 == 0 { same } else { 3 - same })
            }
            (entry, _) => entry.copied().unwrap_or(RefPic::MISSING),
        }
    }

    /// Whether the entry is "no reference picture".
    pub fn is_missing(&self) -> bool {
        self.frame == u32::MAX
    }
}
