//! Reference picture set (clause 8.3.2).

use super::RefPic;
use crate::syntax::slice::SliceHeader;

/// A picture that later pictures may refer to.
#[derive(Debug, Clone, Copy)]
struct Stored {
    picture: u64,
    poc: i32,
}

/// Reference pictures by PicOrderCntVal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dpb {
    pictures: Vec<Stored>,
}

/// RefPicSetStCurrBefore, StCurrAfter and LtCurr.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReferencePictureSet {
    pub before: Vec<RefPic>,
    pub after: Vec<RefPic>,
    pub long_term: Vec<RefPic>,
}

impl ReferencePictureSet {
    /// Whether a picture of the set is not in the buffer.
    pub fn is_incomplete(&self) -> bool {
        let all = self.before.iter().chain(&self.after).chain(&self.long_term);
        all.into_iter().any(|p| p.picture.is_none())
    }
}

impl Dpb {
    /// Forgets all pictures.
    pub fn clear(&mut self) {
        self.pictures.clear();
    }

    /// Adds a decoded picture.
    pub fn insert(&mut self, picture: u64, poc: i32) {
        self.pictures.retain(|p| p.poc != poc);
        self.pictures.push(Stored { picture, poc });
    }

    /// Identities of the pictures in the buffer.
    pub fn pictures(&self) -> Vec<u64> {
        self.pictures.iter().map(|p| p.picture).collect()
    }

    /// Derives the set of the picture with count `poc`, and drops the pictures that are in none of its
    /// lists.
    pub fn apply(
        &mut self,
        header: &SliceHeader,
        poc: i32,
        log2_max_lsb: u32,
    ) -> ReferencePictureSet {
        let mut set = ReferencePictureSet::default();
        let mut stays = Vec::new();
        let mask = (1i32 << log2_max_lsb) - 1;
        for entry in &header.long_term_pics {
            let lsb = entry.poc_lsb as i32;
            let found = match entry.delta_poc_msb_cycle {
                // Equation (8-5).
                Some(cycle) => {
                    let full = lsb
                        .wrapping_add(poc)
                        .wrapping_sub((cycle << log2_max_lsb) as i32)
                        .wrapping_sub(poc & mask);
                    let stored = self.pictures.iter().find(|p| p.poc == full);
                    (stored.map(|p| p.picture), full)
                }
                None => {
                    let stored = self.pictures.iter().find(|p| p.poc & mask == lsb);
                    (stored.map(|p| p.picture), stored.map_or(lsb, |p| p.poc))
                }
            };
            stays.extend(found.0);
            if entry.used_by_curr_pic {
                set.long_term.push(RefPic {
                    picture: found.0,
                    poc: found.1,
                    long_term: true,
                });
            }
        }
        let short_term = &header.short_term_set;
        for (pictures, list) in [
            (&short_term.negative, &mut set.before),
            (&short_term.positive, &mut set.after),
        ] {
            for entry in pictures {
                let wanted = poc.wrapping_add(entry.delta_poc);
                let stored = self.pictures.iter().find(|p| p.poc == wanted);
                stays.extend(stored.map(|p| p.picture));
                if entry.used_by_curr_pic {
                    list.push(RefPic {
                        picture: stored.map(|p| p.picture),
                        poc: wanted,
                        long_term: false,
                    });
                }
            }
        }
        self.pictures.retain(|p| stays.contains(&p.picture));
        set
    }
}
