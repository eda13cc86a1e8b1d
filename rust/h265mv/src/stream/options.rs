//! Options of decoders and indices.

/// How pictures are parsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that parse pictures; the result does not depend on it.
    pub threads: usize,
    /// Parse the slice data of pictures that hold I slices alone, which have no motion: needed to count
    /// their coding units and to find damage. The last picture is always parsed, since a stream is cut
    /// short there.
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
