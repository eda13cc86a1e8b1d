//! Short-term reference picture sets (clauses 7.3.7 and 7.4.8).

use bitstream::BitReader;

use bitstream::{Error, Result};

/// Most pictures of a set: sps_max_dec_pic_buffering_minus1 is at most 15.
pub(crate) const MAX_PICTURES: usize = 16;

/// A picture of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShortTermPic {
    /// DeltaPocS0 or DeltaPocS1.
    pub delta_poc: i32,
    /// UsedByCurrPicS0 or UsedByCurrPicS1.
    pub used_by_curr_pic: bool,
}

/// st_ref_pic_set(): pictures before the current one in output order, and after it, nearest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShortTermRefPicSet {
    pub negative: Vec<ShortTermPic>,
    pub positive: Vec<ShortTermPic>,
}

impl ShortTermRefPicSet {
    /// NumDeltaPocs.
    fn len(&self) -> usize {
        self.negative.len() + self.positive.len()
    }

    /// Pictures that the current picture may refer to.
    pub fn used_by_curr_pic(&self) -> usize {
        let pictures = self.negative.iter().chain(&self.positive);
        pictures.filter(|p| p.used_by_curr_pic).count()
    }

    /// Parses set number `index` after the sets of the sequence parameter set, `before` (all of them
    /// where the set is in a slice segment header: then `index` is their number).
    pub fn parse(r: &mut BitReader, index: usize, before: &[Self], in_slice: bool) -> Result<Self> {
        if index > 0 && r.flag("inter_ref_pic_set_prediction_flag")? {
            return Self::predict(r, index, before, in_slice);
        }
        let negative = r.ue_max(MAX_PICTURES as u32, "num_negative_pics")?;
        let most = MAX_PICTURES as u32 - negative;
        let positive = r.ue_max(most, "num_positive_pics")?;
        Ok(ShortTermRefPicSet {
            negative: Self::explicit(r, negative, -1)?,
            positive: Self::explicit(r, positive, 1)?,
        })
    }

    fn explicit(r: &mut BitReader, count: u32, sign: i32) -> Result<Vec<ShortTermPic>> {
        let mut delta_poc = 0;
        let mut pictures = Vec::new();
        for _ in 0..count {
            delta_poc += sign * (r.ue_max((1 << 15) - 1, "delta_poc_s0_minus1")? as i32 + 1);
            let used_by_curr_pic = r.flag("used_by_curr_pic_s0_flag")?;
            pictures.push(ShortTermPic {
                delta_poc,
                used_by_curr_pic,
            });
        }
        Ok(pictures)
    }

    /// Equations (7-61) and (7-62).
    fn predict(r: &mut BitReader, index: usize, before: &[Self], in_slice: bool) -> Result<Self> {
        let mut delta_idx = 1;
        if in_slice {
            delta_idx += r.ue_max(index as u32 - 1, "delta_idx_minus1")? as usize;
        }
        let reference = before
            .get(index - delta_idx)
            .ok_or(Error::malformed("delta_idx_minus1"))?;
        let negative_sign = r.flag("delta_rps_sign")?;
        let magnitude = r.ue_max((1 << 15) - 1, "abs_delta_rps_minus1")? as i32 + 1;
        let delta_rps = if negative_sign { -magnitude } else { magnitude };
        let mut flags = Vec::new();
        for _ in 0..=reference.len() {
            let used = r.flag("used_by_curr_pic_flag")?;
            flags.push((used, used || r.flag("use_delta_flag")?));
        }
        let (split, all) = (reference.negative.len(), reference.len());
        // Candidates in the order of the two equations: (position in the reference set, delta).
        let shifted = |j: usize| {
            let picture = match reference.negative.get(j) {
                Some(picture) => picture,
                None => &reference.positive[j - split],
            };
            (j, picture.delta_poc + delta_rps)
        };
        let take = |order: &mut dyn Iterator<Item = (usize, i32)>, sign: i32| {
            order
                .filter(|&(j, delta)| delta * sign > 0 && flags[j].1)
                .map(|(j, delta_poc)| ShortTermPic {
                    delta_poc,
                    used_by_curr_pic: flags[j].0,
                })
                .collect::<Vec<_>>()
        };
        let own = std::iter::once((all, delta_rps));
        let set = ShortTermRefPicSet {
            negative: take(
                &mut (split..all)
                    .rev()
                    .map(shifted)
                    .chain(own.clone())
                    .chain((0..split).map(shifted)),
                -1,
            ),
            positive: take(
                &mut (0..split)
                    .rev()
                    .map(shifted)
                    .chain(own)
                    .chain((split..all).map(shifted)),
                1,
            ),
        };
        if set.len() > MAX_PICTURES {
            return Err(Error::malformed("st_ref_pic_set"));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prediction_of_a_set() {
        // Reference {-1 used, -3 used | +2 used}; delta_rps -1; all used.
        let pic = |delta_poc| ShortTermPic {
            delta_poc,
            used_by_curr_pic: true,
        };
        let reference = ShortTermRefPicSet {
            negative: vec![pic(-1), pic(-3)],
            positive: vec![pic(2)],
        };
        // inter 1, sign 1, abs_delta_rps_minus1 0 ("1"), four used flags, stop bit.
        let data = [0b1111_1111, 0b1000_0000];
        let mut r = BitReader::new(&data);
        let set = ShortTermRefPicSet::parse(&mut r, 1, &[reference], false).unwrap();
        let deltas = |v: &[ShortTermPic]| v.iter().map(|p| p.delta_poc).collect::<Vec<_>>();
        assert_eq!(deltas(&set.negative), [-1, -2, -4]);
        assert_eq!(deltas(&set.positive), [1]);
    }
}
