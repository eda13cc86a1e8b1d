//! Pictures and what their headers say.

use h264mv::{Pool, SliceType, Structure};
use numpy::{PyArray1, PyArray2, PyArray3, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays;

/// What the headers say of a picture.
#[pyclass(frozen, module = "mv_tools._h264mv")]
#[derive(Clone)]
pub(crate) struct PictureInfo(pub(crate) h264mv::PictureInfo);

#[pymethods]
impl PictureInfo {
    #[getter]
    fn decode_index(&self) -> u64 {
        self.0.decode_index
    }
    #[getter]
    fn sample(&self) -> u64 {
        self.0.sample
    }
    #[getter]
    fn frame(&self) -> u32 {
        self.0.frame
    }
    #[getter]
    fn second_field(&self) -> bool {
        self.0.second_field
    }
    #[getter]
    fn poc(&self) -> i32 {
        self.0.poc
    }
    #[getter]
    fn period(&self) -> u32 {
        self.0.period
    }
    #[getter]
    fn order_poc(&self) -> i32 {
        self.0.order_poc
    }
    #[getter]
    fn pict_type(&self) -> &'static str {
        match self.0.slice_type {
            SliceType::I => "I",
            SliceType::P => "P",
            SliceType::B => "B",
        }
    }
    #[getter]
    fn structure(&self) -> &'static str {
        match self.0.structure {
            Structure::Frame => "frame",
            Structure::Top => "top",
            Structure::Bottom => "bottom",
        }
    }
    #[getter]
    fn mbaff(&self) -> bool {
        self.0.mbaff
    }
    #[getter]
    fn slices(&self) -> u32 {
        self.0.slices
    }
    #[getter]
    fn idr(&self) -> bool {
        self.0.idr
    }
    #[getter]
    fn keyframe(&self) -> bool {
        self.0.keyframe
    }
    #[getter]
    fn reference(&self) -> bool {
        self.0.reference
    }
    #[getter]
    fn cabac(&self) -> bool {
        self.0.cabac
    }
    #[getter]
    fn nal_bits(&self) -> u64 {
        self.0.nal_bits
    }
    #[getter]
    fn coded_width(&self) -> u32 {
        self.0.width_mbs * 16
    }
    #[getter]
    fn coded_height(&self) -> u32 {
        self.0.height_mbs * 16
    }
    #[getter]
    fn profile_idc(&self) -> u8 {
        self.0.sps.profile_idc
    }
    #[getter]
    fn profile(&self) -> Option<&'static str> {
        self.0.sps.profile()
    }
    #[getter]
    fn level(&self) -> String {
        self.0.sps.level()
    }
    #[getter]
    fn num_ref_frames(&self) -> u8 {
        self.0.sps.max_num_ref_frames
    }
    #[getter]
    fn field_poc(&self) -> (Option<i32>, Option<i32>) {
        let [top, bottom] = self.0.field_poc.map(|p| (p != i32::MAX).then_some(p));
        (top, bottom)
    }
    #[getter]
    fn frame_num(&self) -> u32 {
        self.0.frame_num
    }
    #[getter]
    fn recovery_frame_cnt(&self) -> Option<u32> {
        self.0.recovery_frame_cnt
    }
    #[getter]
    fn gap(&self) -> bool {
        self.0.gap
    }
    #[getter]
    fn x264_build(&self) -> Option<u32> {
        self.0.x264_build
    }
    #[getter]
    pub(crate) fn num_reorder_frames(&self) -> Option<u32> {
        let restriction = self.0.sps.vui.bitstream_restriction;
        restriction.map(|(reorder, _)| reorder)
    }
    #[getter]
    pub(crate) fn max_dec_frame_buffering(&self) -> Option<u32> {
        let restriction = self.0.sps.vui.bitstream_restriction;
        restriction.map(|(_, buffering)| buffering)
    }
    #[getter]
    pub(crate) fn frame_mbs_only(&self) -> bool {
        self.0.sps.frame_mbs_only_flag
    }
    #[getter]
    pub(crate) fn gaps_allowed(&self) -> bool {
        self.0.sps.gaps_in_frame_num_value_allowed_flag
    }
    #[getter]
    pub(crate) fn sar(&self) -> Option<(u16, u16)> {
        self.0.sps.vui.sar
    }
    #[getter]
    pub(crate) fn frame_cropping(&self) -> (u32, u32, u32, u32) {
        self.0.sps.crop_rectangle().into()
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

    fn grid(&self) -> (usize, usize) {
        (self.inner.motion.h4(), self.inner.motion.w4())
    }
}

impl Drop for Picture {
    /// Gives the arrays back for the next picture.
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
        PictureInfo(self.inner.info.clone())
    }

    /// What is damaged, or None.
    #[getter]
    fn damage(&self) -> Option<String> {
        self.inner.damage.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn lost_reference(&self) -> bool {
        self.inner.lost_reference
    }

    #[getter]
    fn mv<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let this = slf.get();
        let (h, w) = this.grid();
        // SAFETY: the picture holds its motion, and nobody changes motion that is shared.
        unsafe {
            arrays::view(
                slf.clone().into_any(),
                this.inner.motion.mv().as_flattened(),
                (2, h, w, 2),
            )
        }
    }

    #[getter]
    fn ref_idx<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i8>>> {
        let this = slf.get();
        let (h, w) = this.grid();
        // SAFETY: as for `mv`.
        unsafe {
            arrays::view(
                slf.clone().into_any(),
                this.inner.motion.ref_idx(),
                (2, h, w),
            )
        }
    }

    #[getter]
    fn ref_poc<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyArray3<i32>>> {
        let this = slf.get();
        let (h, w) = this.grid();
        // SAFETY: as for `mv`.
        unsafe {
            arrays::view(
                slf.clone().into_any(),
                this.inner.ref_poc.values(),
                (2, h, w),
            )
        }
    }

    /// mb_field_decoding_flag of each macroblock, where any is set.
    #[getter]
    fn field_mask<'py>(slf: Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyArray2<bool>>>> {
        let this = slf.get();
        let (h, w) = this.grid();
        let Some(mask) = this.inner.motion.field_macroblocks() else {
            return Ok(None);
        };
        // SAFETY: as for `mv`.
        let view = unsafe { arrays::view(slf.clone().into_any(), mask, (h / 4, w / 4)) };
        view.map(Some)
    }

    /// Of a field picture: which blocks [2, H4, W4] refer to a field of the other parity.
    #[getter]
    fn other_parity<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray3<bool>>>> {
        let structure = self.inner.info.structure;
        if structure == Structure::Frame {
            return Ok(None);
        }
        let (h, w) = self.grid();
        let crosses = self.inner.motion.other_parity(structure.parity());
        let array = PyArray1::from_vec(py, crosses).reshape([2, h, w])?;
        array.readwrite().make_nonwriteable();
        Ok(Some(array))
    }

    /// Counts of macroblocks, partitions and 4x4 blocks by kind.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let s = self.inner.motion.stats();
        let info = &self.inner.info;
        let macroblocks = info.width_mbs * info.height_mbs;
        let [direct_8x8, sub_8x8, sub_8x4, sub_4x8, sub_4x4] = s.sub;
        let lists = self.inner.motion.list_use();
        let counts = [
            ("macroblocks", macroblocks),
            ("intra", s.intra),
            ("pcm", s.pcm),
            ("skipped", s.skipped),
            ("inter", macroblocks.saturating_sub(s.intra + s.skipped)),
            ("direct_16x16", s.direct),
            ("direct_8x8", direct_8x8),
            ("partitions_16x16", s.inter_16x16),
            ("partitions_16x8", 2 * s.inter_16x8),
            ("partitions_8x16", 2 * s.inter_8x16),
            ("partitions_8x8", sub_8x8),
            ("partitions_8x4", 2 * sub_8x4),
            ("partitions_4x8", 2 * sub_4x8),
            ("partitions_4x4", 4 * sub_4x4),
            ("blocks_without_motion", lists[0]),
            ("blocks_list0", lists[1]),
            ("blocks_list1", lists[2]),
            ("blocks_bipredicted", lists[3]),
        ];
        let out = PyDict::new(py);
        for (name, value) in counts {
            out.set_item(name, value)?;
        }
        Ok(out)
    }
}
