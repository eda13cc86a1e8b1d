//! Minimal reader of MP4 files.

use bitstream::nal::{AnnexB, LengthPrefixed};

/// Parameter sets and the bytes of a unit's length, from a configuration record.
pub type Configuration = (Vec<Vec<u8>>, usize);

/// Access units, each as a list of NAL units.
pub type AccessUnits = Vec<Vec<Vec<u8>>>;

/// NAL units of each access unit of an MP4 file whose track has a configuration box `record`; a byte stream
/// is returned as one access unit. None for files with no such track and with movie fragments.
pub fn access_units(
    data: &[u8],
    record: &[u8; 4],
    parse: impl Fn(&[u8]) -> Option<Configuration>,
) -> Option<AccessUnits> {
    if data.get(4..8) != Some(b"ftyp") {
        return Some(vec![AnnexB::new(data)
            .map(|(_, nal)| nal.to_vec())
            .collect()]);
    }
    let path: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
    let stbl = find(data, &path, record)?;
    let at = stbl.windows(4).position(|w| w == record)?;
    let (parameter_sets, length_size) = parse(&stbl[at + 4..])?;
    let mut units = vec![parameter_sets];
    for sample in samples(data, stbl) {
        let nals = LengthPrefixed::new(sample, length_size);
        units.push(nals.map_while(|n| n.ok().map(<[u8]>::to_vec)).collect());
    }
    (units.len() > 1).then_some(units)
}

/// Boxes in `data`: type and content.
fn boxes(data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let head = data.get(at..at + 8)?;
        let mut size = be(head, 0, 4);
        let mut start = at + 8;
        if size == 1 {
            size = be(data.get(at..at + 16)?, 8, 8);
            start += 8;
        } else if size == 0 {
            size = data.len() - at;
        }
        let body = data.get(start..at + size)?;
        at += size;
        Some((&head[4..8], body))
    })
}

/// Content of the first box at `path` that contains a box `record`.
fn find<'a>(data: &'a [u8], path: &[&[u8; 4]], record: &[u8; 4]) -> Option<&'a [u8]> {
    let Some((first, rest)) = path.split_first() else {
        return data.windows(4).any(|w| w == record).then_some(data);
    };
    boxes(data)
        .filter(|(kind, _)| kind == *first)
        .find_map(|(_, body)| find(body, rest, record))
}

/// Big-endian number of `size` bytes.
fn be(data: &[u8], at: usize, size: usize) -> usize {
    data[at..at + size]
        .iter()
        .fold(0, |v, &b| v << 8 | b as usize)
}

/// Samples of a track, from its sample table.
fn samples<'a>(data: &'a [u8], stbl: &[u8]) -> Vec<&'a [u8]> {
    let table = |name: &[u8]| {
        boxes(stbl)
            .find(|(kind, _)| *kind == name)
            .map(|(_, body)| body)
    };
    let stsz = table(b"stsz").expect("stsz");
    let stsc = table(b"stsc").expect("stsc");
    let (chunks, width) = match table(b"stco") {
        Some(stco) => (stco, 4),
        None => (table(b"co64").expect("stco or co64"), 8),
    };
    let common_size = be(stsz, 4, 4);
    let count = be(stsz, 8, 4);
    let mut samples = Vec::new();
    for chunk in 0..be(chunks, 4, 4) {
        let mut at = be(chunks, 8 + chunk * width, width);
        let entries = be(stsc, 4, 4);
        let run = (0..entries)
            .rev()
            .find(|&i| be(stsc, 8 + i * 12, 4) <= chunk + 1)
            .expect("stsc");
        for _ in 0..be(stsc, 12 + run * 12, 4) {
            if samples.len() == count {
                return samples;
            }
            let size = if common_size > 0 {
                common_size
            } else {
                be(stsz, 12 + samples.len() * 4, 4)
            };
            samples.push(&data[at..at + size]);
            at += size;
        }
    }
    samples
}
