//! Pictures: header information and read-only views of their motion.

use h264mv::{Pool, SliceType, Structure};
use numpy::ndarray::IntoDimension;
use numpy::{Element, PyArray, PyArray1, PyArray2, PyArray3, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays;

/// Header information of a picture.
#[pyclass(frozen, get_all, module = "mv_tools._h264mv")]
pub(crate) struct PictureInfo {
    decode_index: u64,
    sample: u64,
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
    nal_bits: u64,
    coded_width: u32,
    coded_height: u32,
    profile_idc: u8,
    profile: Option<&'static str>,
    level: String,
    num_ref_frames: u8,
    pub(crate) num_reorder_frames: Option<u32>,
    pub(crate) max_dec_frame_buffering: Option<u32>,
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
                SliceType::I => "I",
                SliceType::P => "P",
                SliceType::B => "B",
            },
            structure: match info.structure {
                Structure::Frame => "frame",
                Structure::Top => "top",
                Structure::Bottom => "bottom",
            },
            mbaff: info.mbaff,
            slices: info.slices,
            idr: info.idr,
            keyframe: info.keyframe,
            recovery_frame_cnt: info.recovery_frame_cnt,
            frame_num: info.frame_num,
            gap: info.gap,
            x264_build: info.x264_build,
            reference: info.reference,
            cabac: info.cabac,
            nal_bits: info.nal_bits,
            coded_width: info.width_mbs * 16,
            coded_height: info.height_mbs * 16,
            profile_idc: sps.profile_idc,
            profile: sps.profile(),
            level: sps.level(),
            num_ref_frames: sps.max_num_ref_frames,
            num_reorder_frames: restriction.map(|(reorder, _)| reorder),
            max_dec_frame_buffering: restriction.map(|(_, buffering)| buffering),
            frame_mbs_only: sps.frame_mbs_only_flag,
            gaps_allowed: sps.gaps_in_frame_num_value_allowed_flag,
            sar: sps.vui.sar,
            frame_cropping: sps.crop_rectangle().into(),
        }
    }
}

/// A parsed picture. Its arrays are read-only views that keep it alive.
#[pyclass(frozen, module = "mv_tools._h264mv")]
pub(crate) struct Picture {
    inner: h264mv::Picture,
    pool: Pool,
}

impl Picture {
    pub(crate) fn new(inner: h264mv::Picture, pool: Pool) -> Self {
        Picture { inner, pool }
    }

    /// Height and width in 4x4 blocks.
    fn grid(&self) -> (usize, usize) {
        (self.inner.motion.h4(), self.inner.motion.w4())
    }

    /// A read-only array over `data` of the picture.
    fn view<'py, T: Element, S: IntoDimension>(
        slf: &Bound<'py, Self>,
        data: fn(&h264mv::Picture) -> &[T],
        shape: S,
    ) -> PyResult<Bound<'py, PyArray<T, S::Dim>>> {
        // SAFETY: the picture owns its arrays and shares them only for reading.
        unsafe { arrays::view(slf.clone().into_any(), data(&slf.get().inner), shape) }
    }
}

impl Drop for Picture {
    /// Returns the arrays for reuse.
    fn drop(&mut self) {
        let picture = &mut self.inner;
        let (motion, ref_poc) = (&mut picture.motion, &mut picture.ref_poc);
        self.pool
            .recycle(std::mem::take(motion), std::mem::take(ref_poc));
    }
}

#[pymethods]
impl Picture {
    #[getter]
    fn info(&self) -> PictureInfo {
        PictureInfo::from(&self.inner.info)
    }

    #[getter]
    fn damage(&self) -> Option<String> {
        self.inner.damage.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn lost_reference(&self) -> bool {
        self.inner.lost_reference
    }

    #[getter]
    fn mv<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, |p| p.motion.mv().as_flattened(), (2, h, w, 2))
    }

    #[getter]
    fn ref_idx<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i8>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, |p| p.motion.ref_idx(), (2, h, w))
    }

    #[getter]
    fn ref_poc<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i32>>> {
        let (h, w) = slf.get().grid();
        Self::view(slf, |p| p.ref_poc.values(), (2, h, w))
    }

    #[getter]
    fn field_mask<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyArray2<bool>>>> {
        let (h, w) = slf.get().grid();
        if slf.get().inner.motion.field_macroblocks().is_none() {
            return Ok(None);
        }
        let shape = (h / 4, w / 4);
        Self::view(slf, |p| p.motion.field_macroblocks().unwrap_or(&[]), shape).map(Some)
    }

    #[getter]
    fn other_parity<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray3<bool>>>> {
        let structure = self.inner.info.structure;
        if structure == Structure::Frame {
            return Ok(None);
        }
        let (h, w) = self.grid();
        let mask = self.inner.motion.other_parity(structure.parity());
        let array = PyArray1::from_vec(py, mask).reshape([2, h, w])?;
        array.readwrite().make_nonwriteable();
        Ok(Some(array))
    }

    /// Counts of macroblocks, partitions and 4x4 blocks by kind.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.inner.motion.stats();
        let info = &self.inner.info;
        let macroblocks = info.width_mbs * info.height_mbs;
        let inter = macroblocks.saturating_sub(stats.intra + stats.skipped);
        let [direct_8x8, sub_8x8, sub_8x4, sub_4x8, sub_4x4] = stats.sub;
        let [no_list, list0, list1, both_lists] = self.inner.motion.list_use();
        let counts = PyDict::new(py);
        for (name, count) in [
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
            ("blocks_without_motion", no_list),
            ("blocks_list0", list0),
            ("blocks_list1", list1),
            ("blocks_bipredicted", both_lists),
        ] {
            counts.set_item(name, count)?;
        }
        Ok(counts)
    }
}
