//! Reference picture lists: initialisation and modification (clause 8.2.4).

use crate::refs::dpb::{curr_pic_num, frame_num_wrap, Dpb, StoredFrame};
use crate::refs::ref_pic::RefPic;
use crate::syntax::ref_pic::Modification;
use crate::syntax::slice_header::{SliceHeader, SliceType, Structure};

/// RefPicList0 and RefPicList1 of a slice, each num_ref_idx_active entries long.
///
/// Positions without a picture hold `RefPic::MISSING`: blocks that refer to them are reported.
pub(crate) fn build(
    dpb: &Dpb,
    h: &SliceHeader,
    curr_poc: i32,
    max_frame_num: u32,
) -> [Vec<RefPic>; 2] {
    let mut lists = match h.slice_type {
        SliceType::I => return [Vec::new(), Vec::new()],
        SliceType::P => [initial_p(dpb, h, max_frame_num), Vec::new()],
        SliceType::B => initial_b(dpb, h, curr_poc),
    };
    for (x, list) in lists.iter_mut().enumerate().take(h.lists()) {
        let active = h.num_ref_idx_active[x] as usize;
        list.resize(active, RefPic::MISSING);
        modify(dpb, h, &h.modifications[x], list, max_frame_num);
    }
    lists
}

/// Replaces missing entries, after pictures were lost, with the first present one, marked as lost.
pub(crate) fn replace_missing(list: &mut [RefPic]) {
    if let Some(&first) = list.iter().find(|entry| !entry.is_missing()) {
        let lost = RefPic {
            lost: true,
            ..first
        };
        let missing = list.iter_mut().filter(|entry| entry.is_missing());
        missing.for_each(|entry| *entry = lost);
    }
}

/// The frames of which all fields (for fields: any) are marked by `mask`.
fn marked<'a>(dpb: &'a Dpb, h: &SliceHeader, mask: fn(&StoredFrame) -> u8) -> Vec<&'a StoredFrame> {
    let is_frame = h.structure == Structure::Frame;
    let usable = |f: &&StoredFrame| match is_frame {
        true => mask(f) == 3,
        false => mask(f) != 0,
    };
    dpb.frames.iter().filter(usable).collect()
}

fn long_term<'a>(dpb: &'a Dpb, h: &SliceHeader) -> Vec<&'a StoredFrame> {
    let mut long = marked(dpb, h, |f| f.long);
    long.sort_by_key(|f| f.long_term_frame_idx);
    long
}

/// Clauses 8.2.4.2.1 and 8.2.4.2.2.
fn initial_p(dpb: &Dpb, h: &SliceHeader, max_frame_num: u32) -> Vec<RefPic> {
    let mut short = marked(dpb, h, |f| f.short);
    short.sort_by_key(|f| -frame_num_wrap(f.frame_num, h.frame_num, max_frame_num));
    let mut list = Vec::with_capacity(33);
    extend(&mut list, &short, h.structure, false);
    extend(&mut list, &long_term(dpb, h), h.structure, true);
    list
}

/// Clauses 8.2.4.2.3 and 8.2.4.2.4.
fn initial_b(dpb: &Dpb, h: &SliceHeader, curr_poc: i32) -> [Vec<RefPic>; 2] {
    let is_field = h.structure != Structure::Frame;
    // For a field, the first field of its own frame, of equal or lower POC, is before it.
    let is_before = |f: &&StoredFrame| f.poc() < curr_poc || (is_field && f.poc() == curr_poc);
    let (mut before, mut after): (Vec<_>, Vec<_>) =
        marked(dpb, h, |f| f.short).into_iter().partition(is_before);
    before.sort_by_key(|f| std::cmp::Reverse(f.poc()));
    after.sort_by_key(|f| f.poc());
    let long = long_term(dpb, h);
    let concatenate = |first: &[&StoredFrame], second: &[&StoredFrame]| {
        let mut list = Vec::with_capacity(33);
        extend(&mut list, &[first, second].concat(), h.structure, false);
        extend(&mut list, &long, h.structure, true);
        list
    };
    let list0 = concatenate(&before, &after);
    let mut list1 = concatenate(&after, &before);
    if list1.len() > 1 && list0 == list1 {
        list1.swap(0, 1);
    }
    [list0, list1]
}

/// Appends frames, or the fields of frames in alternating parity (clause 8.2.4.2.5).
fn extend(list: &mut Vec<RefPic>, frames: &[&StoredFrame], structure: Structure, long_term: bool) {
    if structure == Structure::Frame {
        list.extend(frames.iter().map(|f| f.entry(3, long_term)));
        return;
    }
    let mut parity = structure.parity();
    let fields = |parity: u8| {
        frames.iter().filter_map(move |f| {
            let mask = if long_term { f.long } else { f.short };
            (mask & parity != 0).then(|| f.entry(parity, long_term))
        })
    };
    let (mut same, mut other) = (fields(parity), fields(3 - parity));
    loop {
        let next = if parity == structure.parity() {
            same.next()
        } else {
            other.next()
        };
        match next {
            Some(entry) => list.push(entry),
            None => break,
        }
        parity = 3 - parity;
    }
    list.extend(same);
    list.extend(other);
}

/// ref_pic_list_modification() (clause 8.2.4.3).
fn modify(
    dpb: &Dpb,
    h: &SliceHeader,
    modifications: &[Modification],
    list: &mut Vec<RefPic>,
    max_frame_num: u32,
) {
    let (curr, field) = curr_pic_num(h);
    let max_pic_num = max_frame_num as i64 * (1 + field as i64);
    let mut pic_num_pred = curr as i64;
    let active = list.len();
    for (ref_idx, m) in modifications.iter().enumerate() {
        if ref_idx >= active {
            break;
        }
        let picture = if m.idc == 2 {
            dpb.find_long(h.structure, m.value)
        } else {
            let diff = (m.value as i64 + 1) % max_pic_num;
            pic_num_pred += if m.idc == 0 { -diff } else { diff };
            pic_num_pred = pic_num_pred.rem_euclid(max_pic_num);
            let pic_num = if pic_num_pred > curr as i64 {
                pic_num_pred - max_pic_num
            } else {
                pic_num_pred
            };
            dpb.by_pic_num(pic_num, field, h, max_frame_num)
        };
        let entry = match picture {
            Some((index, parity)) => dpb.frames[index].entry(parity, m.idc == 2),
            None => RefPic::MISSING,
        };
        list.insert(ref_idx, entry);
        let duplicate = (ref_idx + 1..list.len()).find(|&i| list[i] == entry);
        list.remove(duplicate.unwrap_or(active));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(slice_type: SliceType, frame_num: u32, active: u8) -> SliceHeader {
        SliceHeader {
            nal_ref_idc: 1,
            slice_type,
            frame_num,
            direct_spatial_mv_pred_flag: true,
            num_ref_idx_active: [active; 2],
            slice_qp: 26,
            ..SliceHeader::default()
        }
    }

    fn dpb(frames: &[(u32, i32)]) -> Dpb {
        let mut dpb = Dpb::default();
        for &(frame_num, poc) in frames {
            let h = header(SliceType::P, frame_num, 1);
            dpb.mark(&h, frame_num, [poc, poc + 1], 4, 16);
        }
        dpb
    }

    fn ids(list: &[RefPic]) -> Vec<u32> {
        list.iter().map(|e| e.frame).collect()
    }

    #[test]
    fn p_list_descends_in_frame_num_wrap() {
        let dpb = dpb(&[(14, 0), (15, 2), (0, 4)]);
        let lists = build(&dpb, &header(SliceType::P, 1, 3), 6, 16);
        assert_eq!(ids(&lists[0]), [0, 15, 14]);
    }

    #[test]
    fn b_lists_ascend_in_poc_distance() {
        let dpb = dpb(&[(0, 0), (1, 8), (2, 4)]);
        let lists = build(&dpb, &header(SliceType::B, 3, 3), 6, 16);
        assert_eq!(ids(&lists[0]), [2, 0, 1]);
        assert_eq!(ids(&lists[1]), [1, 2, 0]);
    }

    #[test]
    fn equal_b_lists_are_swapped() {
        let lists = build(&dpb(&[(0, 0), (1, 2)]), &header(SliceType::B, 2, 2), 6, 16);
        assert_eq!(ids(&lists[0]), [1, 0]);
        assert_eq!(ids(&lists[1]), [0, 1]);
    }

    #[test]
    fn modification_moves_an_entry_or_marks_it_missing() {
        let mut h = header(SliceType::P, 3, 3);
        h.modifications[0] = vec![Modification { idc: 0, value: 2 }];
        let d = dpb(&[(0, 0), (1, 2), (2, 4)]);
        assert_eq!(ids(&build(&d, &h, 6, 16)[0]), [0, 2, 1]);
        h.modifications[0] = vec![Modification { idc: 0, value: 7 }];
        assert!(build(&d, &h, 6, 16)[0][0].is_missing());
    }

    #[test]
    fn sliding_window_keeps_the_newest() {
        let d = dpb(&[(0, 0), (1, 2), (2, 4), (3, 6), (4, 8)]);
        let mut ids: Vec<u32> = d.frames.iter().map(|f| f.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4]);
    }
}
