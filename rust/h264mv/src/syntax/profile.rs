//! Profile and level of a sequence parameter set (annex A).

use crate::syntax::sps::Sps;

impl Sps {
    /// Name of the profile (annex A); None for numbers that this edition does not list.
    pub fn profile(&self) -> Option<&'static str> {
        let set = |n: u32| self.constraint_flags >> (7 - n) & 1 == 1;
        Some(match self.profile_idc {
            66 if set(1) => "Constrained Baseline",
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 if set(4) && set(5) => "Constrained High",
            100 if set(4) => "Progressive High",
            100 => "High",
            110 if set(3) => "High 10 Intra",
            110 if set(4) => "Progressive High 10",
            110 => "High 10",
            122 if set(3) => "High 4:2:2 Intra",
            122 => "High 4:2:2",
            244 if set(3) => "High 4:4:4 Intra",
            244 => "High 4:4:4 Predictive",
            44 => "CAVLC 4:4:4 Intra",
            83 => "Scalable Baseline",
            86 => "Scalable High",
            118 => "Multiview High",
            128 => "Stereo High",
            134 => "MFC High",
            135 => "MFC Depth High",
            138 => "Multiview Depth High",
            139 => "Enhanced Multiview Depth High",
            _ => return None,
        })
    }

    /// Level as in table A-1: "1b", "3.1", "4".
    pub fn level(&self) -> String {
        let basic = matches!(self.profile_idc, 66 | 77 | 88);
        if self.level_idc == 9 || (basic && self.level_idc == 11 && self.constraint_flags & 16 != 0)
        {
            return String::from("1b");
        }
        match (self.level_idc / 10, self.level_idc % 10) {
            (major, 0) => major.to_string(),
            (major, minor) => format!("{major}.{minor}"),
        }
    }

    /// Whether data partitioning, SP and SI slices are allowed: in the Extended profile only.
    pub(crate) fn is_extended(&self) -> bool {
        self.profile_idc == 88
    }

    /// Whether slice groups are allowed: in the Baseline and Extended profiles. The constraint flags,
    /// which may declare another profile as well, are not taken into account.
    pub(crate) fn allows_slice_groups(&self) -> bool {
        matches!(self.profile_idc, 66 | 88)
    }

    /// Whether the profile has several views (annexes H to J).
    pub(crate) fn has_views(&self) -> bool {
        matches!(self.profile_idc, 118 | 128 | 134 | 135 | 138 | 139)
    }
}
