//! All pictures of a stream.

use bitstream::codec::{Headers, PictureQueue};
use bitstream::nal::AnnexB;
use bitstream::{Decoder, Error, Output};

type Picture<H> = <<H as Headers>::Queue as PictureQueue>::Picture;

/// Pictures of a byte stream up to a unit that is not supported; deferred ones are parsed at the end, in another order
/// than that of decoding.
pub fn pictures<H: Headers>(mut decoder: Decoder<H>, data: &[u8]) -> Vec<Picture<H>> {
    let mut outputs = Vec::new();
    for (offset, nal) in AnnexB::new(data) {
        if let Err(Error::Unsupported { .. }) = decoder.push(nal, offset as u64) {
            break;
        }
        outputs.extend(std::iter::from_fn(|| decoder.next_output()));
    }
    decoder.finish();
    outputs.extend(std::iter::from_fn(|| decoder.next_output()));
    let parsed = outputs.into_iter().rev().map(|output| match output {
        Output::Parsed(picture) => picture,
        Output::Deferred(deferred) => deferred.parse(),
    });
    let mut pictures: Vec<_> = parsed.collect();
    pictures.reverse();
    pictures
}
