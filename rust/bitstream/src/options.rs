//! Options of a decoder and of an index.

/// How pictures are parsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of threads that parse pictures; it does not change the result.
    pub threads: usize,
    /// Whether slice data of pictures that are known to hold I slices only are parsed. They have no motion;
    /// parsing them counts their blocks and finds damage that changes no vector. The last picture is always
    /// parsed, to detect a truncated stream.
    pub intra: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 1,
            intra: true,
        }
    }
}
