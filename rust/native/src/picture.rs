//! Pictures: header information and read-only views of their motion.

use std::sync::OnceLock;

use h264mv::Structure;
use numpy::ndarray::IntoDimension;
use numpy::{Element, PyArray, PyArray1, PyArray2, PyArray3, PyArray4, PyArrayMethods};
use pooling::{Blocks, FieldBlocks};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{arrays, codec, MalformedError};

/// Header information of a picture.
#[pyclass(frozen, get_all, module = "mv_tools._native")]
pub(crate) struct PictureInfo {
    decode_index: u64,
    pub(crate) sample: u64,
    frame: u32,
    second_field: bool,
    poc: i32,
    field_poc: (Option<i32>, Option<i32>),
    period: u32,
    order_poc: i32,
    pict_type: &'static str,
    structure: &'static str,
    mbaff: bool,
    slices: u32,
    idr: bool,
    keyframe: bool,
    recovery_frame_cnt: Option<u32>,
    frame_num: u32,
    gap: bool,
    x264_build: Option<u32>,
    reference: bool,
    cabac: bool,
    output: bool,
    no_output_of_prior_pics: bool,
    field_seq: bool,
    nal_bits: u64,
    coded_width: u32,
    coded_height: u32,
    profile_idc: u8,
    profile: Option<&'static str>,
    level: String,
    num_ref_frames: u8,
    pub(crate) num_reorder_frames: Option<u32>,
    pub(crate) max_dec_frame_buffering: Option<u32>,
    max_reorder: u32,
    pub(crate) frame_mbs_only: bool,
    pub(crate) gaps_allowed: bool,
    pub(crate) sar: Option<(u16, u16)>,
    pub(crate) frame_cropping: (u32, u32, u32, u32),
}

impl From<&h264mv::PictureInfo> for PictureInfo {
    fn from(info: &h264mv::PictureInfo) -> Self {
        let sps = &info.sps;
        let restriction = sps.vui.bitstream_restriction;
        PictureInfo {
            decode_index: info.decode_index,
            sample: info.sample,
            frame: info.frame,
            second_field: info.second_field,
            poc: info.poc,
            field_poc: info.field_poc.map(|p| (p != i32::MAX).then_some(p)).into(),
            period: info.period,
            order_poc: info.order_poc,
            pict_type: match info.slice_type {
                h264mv::SliceType::I => "I",
                h264mv::SliceType::P => "P",
                h264mv::SliceType::B => "B",
            },
            structure: match info.structure {
                Structure::Frame => "frame",
                Structure::Top => "top",
                Structure::Bottom => "bottom",
            },
            mbaff: info.mbaff,
            slices: info.slices,
            idr: info.idr,
            keyframe: info.is_keyframe(),
            recovery_frame_cnt: info.recovery_frame_cnt,
            frame_num: info.frame_num,
            gap: info.gap,
            x264_build: info.x264_build,
            reference: info.reference,
            cabac: info.cabac,
            output: true,
            no_output_of_prior_pics: false,
            field_seq: false,
            nal_bits: info.nal_bits,
            coded_width: info.width_mbs * 16,
            coded_height: info.height_mbs * 16,
            profile_idc: sps.profile_idc,
            profile: sps.profile(),
            level: sps.level(),
            num_ref_frames: sps.max_num_ref_frames,
            num_reorder_frames: restriction.map(|(reorder, _)| reorder),
            max_dec_frame_buffering: restriction.map(|(_, buffering)| buffering),
            max_reorder: sps.max_reorder_frames(),
            frame_mbs_only: sps.frame_mbs_only_flag,
            gaps_allowed: sps.gaps_in_frame_num_value_allowed_flag,
            sar: sps.vui.sar,
            frame_cropping: sps.crop_rectangle().into(),
        }
    }
}

impl From<&h265mv::PictureInfo> for PictureInfo {
    fn from(info: &h265mv::PictureInfo) -> Self {
        let sps = &info.sps;
        PictureInfo {
            decode_index: info.decode_index,
            sample: info.sample,
            frame: info.decode_index as u32,
            second_field: false,
            poc: info.poc,
            field_poc: (None, None),
            period: info.period,
            order_poc: info.poc,
            pict_type: match info.slice_type {
                h265mv::SliceType::I => "I",
                h265mv::SliceType::P => "P",
                h265mv::SliceType::B => "B",
            },
            structure: "frame",
            mbaff: false,
            slices: info.slices,
            idr: info.irap,
            keyframe: info.irap,
            recovery_frame_cnt: info.irap.then_some(0),
            frame_num: 0,
            gap: info.incomplete_references,
            x264_build: None,
            reference: info.reference,
            cabac: true,
            output: info.output,
            no_output_of_prior_pics: info.no_output_of_prior_pics,
            field_seq: sps.vui.field_seq_flag,
            nal_bits: info.nal_bits,
            coded_width: sps.width,
            coded_height: sps.height,
            profile_idc: sps.profile_idc as u8,
            profile: sps.profile(),
            level: sps.level(),
            num_ref_frames: sps.max_dec_pic_buffering as u8,
            num_reorder_frames: Some(sps.max_num_reorder_pics),
            max_dec_frame_buffering: Some(sps.max_dec_pic_buffering),
            max_reorder: sps.max_num_reorder_pics,
            frame_mbs_only: true,
            gaps_allowed: false,
            sar: sps.vui.sar,
            frame_cropping: sps.conformance_rectangle(),
        }
    }
}

impl PictureInfo {
    /// Header information of the picture at `position` of an index.
    pub(crate) fn of_index(index: &codec::StreamIndex, position: usize) -> Option<Self> {
        match index {
            codec::StreamIndex::H264(index) => index.info(position).map(Self::from),
            codec::StreamIndex::Hevc(index) => index.info(position).map(Self::from),
        }
    }
}

/// A column and its value for a picture.
type Column<T> = (&'static str, fn(&PictureInfo) -> T);

/// What numbering needs of pictures, as arrays; -1 stands for None.
pub(crate) fn columns<'py>(py: Python<'py>, infos: &[PictureInfo]) -> PyResult<Bound<'py, PyDict>> {
    let columns = PyDict::new(py);
    let integers: [Column<i64>; 8] = [
        ("sample", |info| info.sample as i64),
        ("frame", |info| i64::from(info.frame)),
        ("period", |info| i64::from(info.period)),
        ("order_poc", |info| i64::from(info.order_poc)),
        ("recovery_frame_cnt", |info| {
            info.recovery_frame_cnt.map_or(-1, i64::from)
        }),
        ("x264_build", |info| info.x264_build.map_or(-1, i64::from)),
        ("coded_width", |info| i64::from(info.coded_width)),
        ("coded_height", |info| i64::from(info.coded_height)),
    ];
    for (name, value) in integers {
        columns.set_item(name, PyArray1::from_iter(py, infos.iter().map(value)))?;
    }
    let flags: [Column<bool>; 7] = [
        ("is_frame", |info| info.structure == "frame"),
        ("is_intra", |info| info.pict_type == "I"),
        ("idr", |info| info.idr),
        ("keyframe", |info| info.keyframe),
        ("gap", |info| info.gap),
        ("output", |info| info.output),
        ("no_output_of_prior_pics", |info| {
            info.no_output_of_prior_pics
        }),
    ];
    for (name, value) in flags {
        columns.set_item(name, PyArray1::from_iter(py, infos.iter().map(value)))?;
    }
    Ok(columns)
}

/// A picture. Its arrays are read-only views that keep it alive; those of a deferred one are parsed when they are
/// first asked for, which fails if its slice data are damaged.
#[pyclass(frozen, module = "mv_tools._native")]
pub(crate) struct Picture {
    parsed: OnceLock<codec::Picture>,
    deferred: Option<h264mv::Deferred>,
}

impl From<codec::Picture> for Picture {
    fn from(picture: codec::Picture) -> Self {
        Picture {
            parsed: picture.into(),
            deferred: None,
        }
    }
}

impl From<codec::Output> for Picture {
    fn from(output: codec::Output) -> Self {
        match output {
            codec::Output::Parsed(picture) => (*picture).into(),
            codec::Output::Deferred(deferred) => Picture {
                parsed: OnceLock::new(),
                deferred: Some(deferred),
            },
        }
    }
}

impl Picture {
    /// The parsed picture, damaged or not.
    fn inner(&self) -> &codec::Picture {
        self.parsed.get_or_init(|| match &self.deferred {
            Some(deferred) => codec::Picture::H264(deferred.parse(), deferred.pool()),
            None => unreachable!("a picture is parsed or deferred"),
        })
    }

    /// The parsed picture, to read motion from.
    ///
    /// # Errors
    ///
    /// `MalformedError` if it was given out before it was parsed, and is damaged.
    pub(crate) fn sound(&self) -> PyResult<&codec::Picture> {
        match (&self.deferred, self.inner()) {
            (Some(_), codec::Picture::H264(picture, _)) if picture.damage.is_some() => {
                let damage = picture.damage.as_ref().map(ToString::to_string);
                Err(MalformedError::new_err(damage))
            }
            (_, picture) => Ok(picture),
        }
    }

    /// Height and width in 4x4 blocks.
    fn grid(&self) -> (usize, usize) {
        if let Some(deferred) = &self.deferred {
            let info = deferred.info();
            return (4 * info.height_mbs as usize, 4 * info.width_mbs as usize);
        }
        match self.inner() {
            codec::Picture::H264(picture, _) => (picture.motion.h4(), picture.motion.w4()),
            codec::Picture::Hevc(picture, _) => (picture.motion.h4(), picture.motion.w4()),
        }
    }

    /// What is pooled of the picture, given its fields of the other parity.
    pub(crate) fn blocks<'a>(
        &'a self,
        poc_interval: i32,
        other_parity: Option<&'a [bool]>,
    ) -> Blocks<'a> {
        let picture = self.inner();
        let (rows, columns) = self.grid();
        let (poc, structure, field_poc) = match picture {
            codec::Picture::H264(picture, _) => {
                let info = &picture.info;
                (info.poc, info.structure, info.field_poc)
            }
            codec::Picture::Hevc(picture, _) => (picture.info.poc, Structure::Frame, [i32::MAX; 2]),
        };
        let macroblocks = field_macroblocks(picture);
        Blocks {
            rows,
            columns,
            mv: vectors(picture),
            ref_idx: ref_idx(picture),
            ref_poc: ref_poc(picture),
            poc,
            poc_interval,
            structure: match structure {
                Structure::Frame => pooling::Structure::Frame,
                Structure::Top => pooling::Structure::Top,
                Structure::Bottom => pooling::Structure::Bottom,
            },
            field_blocks: (!macroblocks.is_empty()).then_some(FieldBlocks {
                macroblocks,
                poc: (!field_poc.contains(&i32::MAX)).then_some(field_poc),
            }),
            other_parity,
        }
    }

    /// Which blocks [2, h4, w4] of a field picture refer to a field of the other parity.
    pub(crate) fn parity(&self) -> Option<Vec<bool>> {
        let codec::Picture::H264(picture, _) = self.inner() else {
            return None;
        };
        let structure = picture.info.structure;
        (structure != Structure::Frame).then(|| picture.motion.other_parity(structure.parity()))
    }

    /// A read-only array over `data` of the picture.
    fn view<'py, T: Element, S: IntoDimension>(
        slf: &Bound<'py, Self>,
        data: fn(&codec::Picture) -> &[T],
        shape: S,
    ) -> PyResult<Bound<'py, PyArray<T, S::Dim>>> {
        // SAFETY: the picture owns its arrays and shares them only for reading.
        unsafe { arrays::view(slf.clone().into_any(), data(slf.get().sound()?), shape) }
    }
}

#[pymethods]
impl Picture {
    #[getter]
    fn info(&self) -> PictureInfo {
        if let Some(deferred) = &self.deferred {
            return PictureInfo::from(deferred.info());
        }
        match self.inner() {
            codec::Picture::H264(picture, _) => PictureInfo::from(&picture.info),
            codec::Picture::Hevc(picture, _) => PictureInfo::from(&picture.info),
        }
    }

    /// Whether its slice data are parsed when its motion is asked for.
    #[getter]
    fn deferred(&self) -> bool {
        self.deferred.is_some()
    }

    /// Parses slice data that are not parsed yet.
    fn parse(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.sound().map(drop))
    }

    #[getter]
    fn damage(&self) -> Option<String> {
        match self.inner() {
            codec::Picture::H264(picture, _) => picture.damage.as_ref().map(ToString::to_string),
            codec::Picture::Hevc(picture, _) => picture.damage.as_ref().map(ToString::to_string),
        }
    }

    #[getter]
    fn lost_reference(&self) -> bool {
        // In HEVC the PicOrderCnt of a lost reference is coded.
        matches!(self.inner(), codec::Picture::H264(picture, _) if picture.lost_reference)
    }

    #[getter]
    fn grid_shape(&self) -> (usize, usize) {
        self.grid()
    }

    #[getter]
    fn mv<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, mv, (2, h, w, 2))
    }

    #[getter]
    fn ref_idx<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i8>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, ref_idx, (2, h, w))
    }

    #[getter]
    fn ref_poc<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i32>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, ref_poc, (2, h, w))
    }

    #[getter]
    fn field_mask<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyArray2<bool>>>> {
        let (h, w) = slf.get().grid();
        if field_macroblocks(slf.get().sound()?).is_empty() {
            return Ok(None);
        }
        Self::view(slf, field_macroblocks, (h / 4, w / 4)).map(Some)
    }

    #[getter]
    fn other_parity<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray3<bool>>>> {
        self.sound()?;
        let Some(mask) = self.parity() else {
            return Ok(None);
        };
        let (h, w) = self.grid();
        let array = PyArray1::from_vec(py, mask).reshape([2, h, w])?;
        array.readwrite().make_nonwriteable();
        Ok(Some(array))
    }

    /// Counts of blocks by kind.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        let (blocks, list_use) = match self.sound()? {
            codec::Picture::H264(picture, _) => (macroblocks(picture), picture.motion.list_use()),
            codec::Picture::Hevc(picture, _) => (coding_units(picture), picture.motion.list_use()),
        };
        for (name, count) in blocks {
            counts.set_item(name, count)?;
        }
        let names = [
            "blocks_without_motion",
            "blocks_list0",
            "blocks_list1",
            "blocks_bipredicted",
        ];
        for (name, count) in names.into_iter().zip(list_use) {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }
}

fn mv(picture: &codec::Picture) -> &[i16] {
    vectors(picture).as_flattened()
}

fn vectors(picture: &codec::Picture) -> &[[i16; 2]] {
    match picture {
        codec::Picture::H264(picture, _) => picture.motion.mv(),
        codec::Picture::Hevc(picture, _) => picture.motion.mv(),
    }
}

fn ref_idx(picture: &codec::Picture) -> &[i8] {
    match picture {
        codec::Picture::H264(picture, _) => picture.motion.ref_idx(),
        codec::Picture::Hevc(picture, _) => picture.motion.ref_idx(),
    }
}

fn ref_poc(picture: &codec::Picture) -> &[i32] {
    match picture {
        codec::Picture::H264(picture, _) => picture.ref_poc.values(),
        codec::Picture::Hevc(picture, _) => picture.motion.ref_poc(),
    }
}

/// mb_field_decoding_flag of each macroblock, where any is set.
fn field_macroblocks(picture: &codec::Picture) -> &[bool] {
    match picture {
        codec::Picture::H264(picture, _) => picture.motion.field_macroblocks().unwrap_or(&[]),
        codec::Picture::Hevc(..) => &[],
    }
}

fn macroblocks(picture: &h264mv::Picture) -> Vec<(&'static str, u32)> {
    let (stats, info) = (picture.motion.stats(), &picture.info);
    let macroblocks = info.width_mbs * info.height_mbs;
    let inter = macroblocks.saturating_sub(stats.intra + stats.skipped);
    let [direct_8x8, sub_8x8, sub_8x4, sub_4x8, sub_4x4] = stats.sub;
    vec![
        ("macroblocks", macroblocks),
        ("intra", stats.intra),
        ("pcm", stats.pcm),
        ("skipped", stats.skipped),
        ("inter", inter),
        ("direct_16x16", stats.direct),
        ("direct_8x8", direct_8x8),
        ("partitions_16x16", stats.inter_16x16),
        ("partitions_16x8", 2 * stats.inter_16x8),
        ("partitions_8x16", 2 * stats.inter_8x16),
        ("partitions_8x8", sub_8x8),
        ("partitions_8x4", 2 * sub_8x4),
        ("partitions_4x8", 2 * sub_4x8),
        ("partitions_4x4", 4 * sub_4x4),
    ]
}

fn coding_units(picture: &h265mv::Picture) -> Vec<(&'static str, u32)> {
    let stats = picture.motion.stats();
    let parts = [
        "part_2Nx2N",
        "part_2NxN",
        "part_Nx2N",
        "part_NxN",
        "part_2NxnU",
        "part_2NxnD",
        "part_nLx2N",
        "part_nRx2N",
    ];
    let mut counts = vec![
        ("coding_units", stats.coding_units),
        ("intra", stats.intra),
        ("pcm", stats.pcm),
        ("skipped", stats.skipped),
        ("merged", stats.merged),
        ("predicted", stats.amvp),
    ];
    counts.extend(parts.into_iter().zip(stats.partitions));
    counts
}
