//! Reading the starts of the NAL units of samples, which hold the headers of pictures.

use bitstream::nal::Framing;
use bitstream::Error;
use mp4tables::ReadAt;
use pyo3::PyErr;

use crate::codec::{Codec, Sink, StreamIndex};
use crate::mp4::{self, ByteSource};

/// Bytes of a slice that are read, more than all but unusual slice headers.
const START: usize = 512;

/// Bytes of other units that are read.
const MAX_UNIT: usize = 1 << 16;

/// Why headers were not read.
pub(crate) enum Failure {
    /// As for whole samples.
    Stream(Error),
    /// The sample has to be read completely, or the file can't be read.
    Source(mp4tables::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Source(error.into())
    }
}

/// The Python exception of a failure.
pub(crate) fn to_python(failure: Failure) -> PyErr {
    match failure {
        Failure::Stream(error) => crate::to_python(error),
        Failure::Source(error) => mp4::to_python(error),
    }
}

fn unfit(reason: &'static str) -> Failure {
    Failure::Source(mp4tables::Error::Unfit(reason))
}

/// Reads the starts of units, and adds them to an index.
pub(crate) struct StartReader<'a> {
    source: &'a ByteSource,
    stream: (Codec, Framing),
    configuration: &'a [Vec<u8>],
    /// Bytes of the source from `begin` on.
    window: Vec<u8>,
    begin: u64,
    unit: Vec<u8>,
    pub first_error: Option<Error>,
    /// Whether there are parameter sets that the configuration record does not hold.
    pub new_parameter_sets: bool,
}

impl<'a> StartReader<'a> {
    pub fn new(
        source: &'a ByteSource,
        stream: (Codec, Framing),
        configuration: &'a [Vec<u8>],
    ) -> Self {
        StartReader {
            source,
            stream,
            configuration,
            window: Vec::new(),
            begin: 0,
            unit: Vec::new(),
            first_error: None,
            new_parameter_sets: false,
        }
    }

    /// Adds a sample.
    pub fn push(
        &mut self,
        index: &mut StreamIndex,
        number: u64,
        position: u64,
        size: u64,
    ) -> Result<(), Failure> {
        let (codec, Framing::Lengths(length_size)) = self.stream else {
            return Err(unfit("units are not delimited by lengths"));
        };
        let end = position
            .checked_add(size)
            .filter(|&end| end <= self.source.size());
        let end = end.ok_or_else(|| unfit("a sample is beyond the end of the file"))?;
        let mut at = position;
        while at < end {
            let body = at + length_size as u64;
            if body > end {
                return Err(unfit("lengths of units are broken"));
            }
            let prefix = self.bytes(at, length_size)?;
            if at == position && prefix == [0, 0, 0, 1] {
                return Err(unfit("a sample begins with a start code"));
            }
            let length = prefix
                .iter()
                .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
            if length > end - body {
                return Err(unfit("lengths of units are broken"));
            }
            self.add_unit(index, codec, number, body, length as usize)?;
            at = body + length;
        }
        index.end_of_access_unit();
        Ok(())
    }

    fn add_unit(
        &mut self,
        index: &mut StreamIndex,
        codec: Codec,
        number: u64,
        at: u64,
        size: usize,
    ) -> Result<(), Failure> {
        let header = match size {
            0 => 0,
            _ => self.bytes(at, 1)?[0],
        };
        let limit = if codec.is_picture_data(header) {
            START
        } else {
            MAX_UNIT
        };
        let mut unit = std::mem::take(&mut self.unit);
        unit.clear();
        unit.extend_from_slice(self.bytes(at, size.min(limit))?);
        if codec.is_parameter_set(header) && !self.configuration.contains(&unit) {
            self.new_parameter_sets = true;
        }
        let cut = unit.len() < size;
        if cut {
            unit.push(0x80); // a stop bit
        }
        let pushed = index.push_start(&unit, size, number);
        self.unit = unit;
        match pushed {
            Err(error @ Error::Unsupported { .. }) => Err(Failure::Stream(error)),
            Err(_) if cut => Err(unfit("a header is damaged or unusually long")),
            Err(error) => {
                self.first_error.get_or_insert(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// `size` bytes at `at`, which is within the source.
    fn bytes(&mut self, at: u64, size: usize) -> Result<&[u8], Failure> {
        let inside = |begin: u64, length: usize| {
            at >= begin && at - begin <= length as u64 && size <= length - (at - begin) as usize
        };
        if !inside(self.begin, self.window.len()) {
            let available = self.source.size().saturating_sub(at);
            let count = (size.max(START) as u64).min(available) as usize;
            self.window.resize(count, 0);
            self.begin = at;
            if let Err(error) = self.source.read_exact_at(at, &mut self.window) {
                self.window.clear();
                return Err(error.into());
            }
            if count < size {
                return Err(unfit("a sample is beyond the end of the file"));
            }
        }
        let start = (at - self.begin) as usize;
        Ok(&self.window[start..start + size])
    }
}
