//! The parsers behind one interface.

use bitstream::codec::Recycle;
use bitstream::nal::{AnnexB, Framing};
use bitstream::{Malformed, Options, Result};
use pyo3::exceptions::PyValueError;
use pyo3::PyResult;

/// A codec with a parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    Hevc,
}

impl Codec {
    /// The codec with FFmpeg's name `name`.
    pub fn from_name(name: &str) -> PyResult<Self> {
        match name {
            "h264" => Ok(Codec::H264),
            "hevc" => Ok(Codec::Hevc),
            other => Err(PyValueError::new_err(format!(
                "codec is {other:?}; it must be \"h264\" or \"hevc\""
            ))),
        }
    }

    /// Framing and parameter sets from `extradata`: an avcC or hvcC record, or Annex B units.
    pub fn configuration(
        self,
        declared: Framing,
        extradata: &[u8],
    ) -> Result<(Framing, Vec<Vec<u8>>)> {
        match self {
            Codec::H264 if extradata.first() == Some(&1) => {
                let record = h264mv::AvcConfig::parse(extradata)?;
                let framing = Framing::Lengths(record.length_size);
                Ok((framing, record.parameter_sets))
            }
            // Early writers left configurationVersion at 0.
            Codec::Hevc if h265mv::HevcConfig::is_record(extradata) => {
                let record = h265mv::HevcConfig::parse(extradata)?;
                Ok((Framing::Lengths(record.length_size), record.units))
            }
            _ => {
                let units = AnnexB::new(extradata).map(|(_, nal)| nal.to_vec());
                Ok((declared, units.collect()))
            }
        }
    }

    /// Whether a NAL unit is a slice or another part of a picture, by its header.
    pub fn is_picture_data(self, first: u8) -> bool {
        match self {
            Codec::H264 => matches!(first & 31, 1..=5 | 19..=21),
            Codec::Hevc => first >> 1 & 63 < 32,
        }
    }

    /// Whether a NAL unit is a parameter set, by its header.
    pub fn is_parameter_set(self, first: u8) -> bool {
        match self {
            Codec::H264 => matches!(first & 31, 7 | 8 | 13 | 15),
            Codec::Hevc => matches!(first >> 1 & 63, 32..=34),
        }
    }

    /// Framing of a sample, which may contradict what the stream declares.
    pub fn framing_of(self, declared: Framing, sample: &[u8]) -> Framing {
        let is_plausible = match self {
            Codec::H264 => h264mv::is_plausible,
            Codec::Hevc => h265mv::is_plausible,
        };
        declared.detect(sample, is_plausible)
    }
}

/// A parsed picture of either codec, with the arrays to reuse.
#[derive(Debug)]
pub(crate) enum Picture {
    H264(h264mv::Picture, h264mv::Pool),
    Hevc(h265mv::Picture, h265mv::Pool),
}

impl Drop for Picture {
    /// Returns the arrays for reuse.
    fn drop(&mut self) {
        match self {
            Picture::H264(picture, pool) => pool.recycle(picture),
            Picture::Hevc(picture, pool) => pool.recycle(picture),
        }
    }
}

/// A picture that a decoder gives out.
#[derive(Debug)]
pub(crate) enum Output {
    Parsed(Box<Picture>),
    /// Of H.264: its slice data are parsed on demand.
    Deferred(h264mv::Deferred),
}

/// Decoder of either codec.
#[derive(Debug)]
pub(crate) enum Decoder {
    H264(Box<h264mv::Decoder>),
    Hevc(Box<h265mv::Decoder>),
}

impl Decoder {
    pub fn new(codec: Codec, options: &Options) -> Self {
        match codec {
            Codec::H264 => Decoder::H264(Box::new(h264mv::Decoder::new(options))),
            Codec::Hevc => Decoder::Hevc(Box::new(h265mv::Decoder::new(options))),
        }
    }

    /// A decoder whose pictures may be parsed on demand; those of HEVC are not, because almost all derive motion from
    /// others.
    pub fn deferring(codec: Codec, options: &Options) -> Self {
        match codec {
            Codec::H264 => Decoder::H264(Box::new(h264mv::Decoder::deferring(options))),
            Codec::Hevc => Self::new(codec, options),
        }
    }

    pub fn finish(&mut self) {
        match self {
            Decoder::H264(decoder) => decoder.finish(),
            Decoder::Hevc(decoder) => decoder.finish(),
        }
    }

    /// Gives out a picture of I slices that waits for the next picture.
    pub fn release(&mut self) {
        match self {
            Decoder::H264(decoder) => decoder.release(),
            Decoder::Hevc(decoder) => decoder.release(),
        }
    }

    /// The pictures that are ready.
    pub fn take(&mut self) -> Vec<Output> {
        match self {
            Decoder::H264(decoder) => {
                let pool = decoder.pool();
                std::iter::from_fn(|| decoder.next_output())
                    .map(|output| match output {
                        bitstream::Output::Parsed(picture) => {
                            Output::Parsed(Box::new(Picture::H264(picture, pool.clone())))
                        }
                        bitstream::Output::Deferred(deferred) => Output::Deferred(deferred),
                    })
                    .collect()
            }
            Decoder::Hevc(decoder) => {
                let pool = decoder.pool();
                std::iter::from_fn(|| decoder.next_picture())
                    .map(|p| Output::Parsed(Box::new(Picture::Hevc(p, pool.clone()))))
                    .collect()
            }
        }
    }
}

/// Index of either codec.
#[derive(Debug)]
pub(crate) enum StreamIndex {
    H264(h264mv::StreamIndex),
    Hevc(h265mv::StreamIndex),
}

/// Evaluates an expression on the index of either codec.
macro_rules! on_index {
    ($index:expr, $inner:ident => $body:expr) => {
        match $index {
            StreamIndex::H264($inner) => $body,
            StreamIndex::Hevc($inner) => $body,
        }
    };
}

impl StreamIndex {
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::H264 => StreamIndex::H264(h264mv::StreamIndex::new()),
            Codec::Hevc => StreamIndex::Hevc(h265mv::StreamIndex::new()),
        }
    }

    pub fn from_log(codec: Codec, log: &[u8]) -> Result<Self> {
        Ok(match codec {
            Codec::H264 => StreamIndex::H264(h264mv::StreamIndex::from_log(log)?),
            Codec::Hevc => StreamIndex::Hevc(h265mv::StreamIndex::from_log(log)?),
        })
    }

    pub fn log(&self) -> &[u8] {
        on_index!(self, index => index.log())
    }

    pub fn errors(&self) -> Vec<(u64, String)> {
        on_index!(self, index => {
            let errors = index.errors().iter();
            errors.map(|(sample, e)| (*sample, e.to_string())).collect()
        })
    }

    /// Samples of pictures that are not decoded, since pictures that they refer to are not in the stream.
    pub fn skipped_leading(&self) -> Vec<u64> {
        match self {
            StreamIndex::H264(_) => Vec::new(),
            StreamIndex::Hevc(index) => index.headers().skipped_rasl().to_vec(),
        }
    }

    /// Whether layers above the base layer are left out.
    pub fn has_layers(&self) -> bool {
        matches!(self, StreamIndex::Hevc(index) if index.headers().has_layers())
    }

    /// Adds a unit of `size` bytes of which `start` holds the first ones.
    pub fn push_start(&mut self, start: &[u8], size: usize, sample: u64) -> Result<()> {
        on_index!(self, index => index.push_start(start, size, sample))
    }

    pub fn poc_interval(&self) -> i64 {
        on_index!(self, index => index.poc_interval())
    }

    pub fn len(&self) -> usize {
        on_index!(self, index => index.len())
    }

    pub fn presentation_order(&self) -> Vec<usize> {
        on_index!(self, index => index.presentation_order())
    }

    pub fn needed(&self, positions: &[usize]) -> Vec<usize> {
        on_index!(self, index => index.needed(positions))
    }

    pub fn samples(&self, needed: &[usize], options: &Options) -> Vec<u64> {
        on_index!(self, index => index.samples(needed, options))
    }

    pub fn parse<'a>(
        &self,
        positions: &[usize],
        options: &Options,
        units: impl Fn(u64, u32) -> Option<&'a [u8]>,
    ) -> Result<Vec<Picture>> {
        Ok(match self {
            StreamIndex::H264(index) => {
                let pool = h264mv::Pool::default();
                let pictures = index.parse(positions, options, units)?;
                let wrap = |p| Picture::H264(p, pool.clone());
                pictures.into_iter().map(wrap).collect()
            }
            StreamIndex::Hevc(index) => {
                let pool = h265mv::Pool::default();
                let pictures = index.parse(positions, options, units)?;
                let wrap = |p| Picture::Hevc(p, pool.clone());
                pictures.into_iter().map(wrap).collect()
            }
        })
    }
}

/// A consumer of NAL units.
pub(crate) trait Sink {
    fn unit(&mut self, nal: &[u8], sample: u64) -> Result<()>;
    /// Called for a sample with broken framing.
    fn broken_sample(&mut self, sample: u64, error: Malformed);
    fn end_of_access_unit(&mut self);
}

impl Sink for Decoder {
    fn unit(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        match self {
            Decoder::H264(decoder) => decoder.push(nal, sample)?,
            Decoder::Hevc(decoder) => decoder.push(nal, sample)?,
        }
        Ok(())
    }

    fn broken_sample(&mut self, _sample: u64, _error: Malformed) {}

    fn end_of_access_unit(&mut self) {
        match self {
            Decoder::H264(decoder) => decoder.end_of_access_unit(),
            Decoder::Hevc(decoder) => decoder.end_of_access_unit(),
        }
    }
}

impl Sink for StreamIndex {
    fn unit(&mut self, nal: &[u8], sample: u64) -> Result<()> {
        match self {
            StreamIndex::H264(index) => index.push(nal, sample)?,
            StreamIndex::Hevc(index) => index.push(nal, sample)?,
        }
        Ok(())
    }

    fn broken_sample(&mut self, sample: u64, error: Malformed) {
        on_index!(self, index => index.record_error(sample, error.into()));
    }

    fn end_of_access_unit(&mut self) {
        on_index!(self, index => index.end_of_access_unit());
    }
}
