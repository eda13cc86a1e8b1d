//! Damaged tables: an error or tables that fit the file, never a panic, a long time or much memory.

mod common;

use mp4tables::{Error, Movie};
use testkit::mutation::{self, Random};

/// A box of parts.
fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

const IDENTITY: [u32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];

struct File {
    edits: Vec<u32>,
    ctts: Vec<u32>,
    fragments: bool,
}

impl File {
    /// A file of four samples of 5 bytes, shown 10 ticks each, of which the first and third are sync samples.
    fn bytes(&self) -> Vec<u8> {
        let ftyp = boxed(b"ftyp", &[b"isom", &[0; 4]]);
        let moov = self.moov(0);
        let offset = (ftyp.len() + moov.len() + 8) as u32;
        let mut file = [ftyp, self.moov(offset)].concat();
        if self.fragments {
            file.extend(self.moof());
        }
        file.extend(boxed(b"mdat", &[&[7; 20]]));
        file
    }

    fn moov(&self, offset: u32) -> Vec<u8> {
        let mvhd = [
            &words(&[0, 0, 0, 1000, 40])[..],
            &[0; 16],
            &words(&IDENTITY),
            &[0; 28],
        ]
        .concat();
        let trex = words(&[0, 1, 1, 10, 5, 0]);
        let mvex = boxed(b"mvex", &[&boxed(b"trex", &[&trex])]);
        let extra = if self.fragments { mvex } else { Vec::new() };
        boxed(
            b"moov",
            &[&boxed(b"mvhd", &[&mvhd]), &self.trak(offset), &extra],
        )
    }

    fn trak(&self, offset: u32) -> Vec<u8> {
        let size = words(&[320 << 16, 240 << 16]);
        let tkhd = [
            &words(&[3, 0, 0, 1, 0, 40])[..],
            &[0; 16],
            &words(&IDENTITY),
            &size,
        ]
        .concat();
        let mut elst = words(&[0, self.edits.len() as u32 / 3]);
        elst.extend(words(&self.edits));
        let edts = boxed(b"edts", &[&boxed(b"elst", &[&elst])]);
        let mdhd = words(&[0, 0, 0, 1000, 40, 0]);
        let hdlr = [&[0; 8][..], b"vide", &[0; 13]].concat();
        let dref = boxed(
            b"dref",
            &[&words(&[0, 1]), &boxed(b"url ", &[&words(&[1])])],
        );
        let minf = boxed(b"minf", &[&boxed(b"dinf", &[&dref]), &self.stbl(offset)]);
        let mdia = [boxed(b"mdhd", &[&mdhd]), boxed(b"hdlr", &[&hdlr]), minf].concat();
        boxed(
            b"trak",
            &[&boxed(b"tkhd", &[&tkhd]), &edts, &boxed(b"mdia", &[&mdia])],
        )
    }

    fn stbl(&self, offset: u32) -> Vec<u8> {
        let mut entry = vec![0; 78];
        entry[7] = 1;
        entry[24..28].copy_from_slice(&[1, 64, 0, 240]);
        let avc1 = boxed(
            b"avc1",
            &[&entry, &boxed(b"avcC", &[&[1, 100, 0, 30, 255, 224, 0]])],
        );
        let mut ctts = words(&[0, self.ctts.len() as u32 / 2]);
        ctts.extend(words(&self.ctts));
        let tables = match self.fragments {
            true => vec![
                boxed(b"stts", &[&words(&[0, 0])]),
                boxed(b"stsc", &[&words(&[0, 0])]),
                boxed(b"stsz", &[&words(&[0, 0, 0])]),
                boxed(b"stco", &[&words(&[0, 0])]),
            ],
            false => vec![
                boxed(b"stts", &[&words(&[0, 1, 4, 10])]),
                boxed(b"ctts", &[&ctts]),
                boxed(b"stss", &[&words(&[0, 2, 1, 3])]),
                boxed(b"stsc", &[&words(&[0, 1, 1, 2, 1])]),
                boxed(b"stsz", &[&words(&[0, 0, 4, 5, 5, 5, 5])]),
                boxed(b"stco", &[&words(&[0, 2, offset, offset + 10])]),
            ],
        };
        let stsd = boxed(b"stsd", &[&words(&[0, 1]), &avc1]);
        boxed(b"stbl", &[&stsd, &tables.concat()])
    }

    fn moof(&self) -> Vec<u8> {
        let make = |offset: u32| {
            let tfhd = boxed(b"tfhd", &[&words(&[0x2_0000, 1])]);
            let tfdt = boxed(b"tfdt", &[&words(&[0, 100])]);
            let trun = boxed(b"trun", &[&words(&[0x205, 4, offset, 0, 5, 5, 5, 5])]);
            boxed(
                b"moof",
                &[
                    &boxed(b"mfhd", &[&words(&[0, 1])]),
                    &boxed(b"traf", &[&tfhd, &tfdt, &trun]),
                ],
            )
        };
        make(make(0).len() as u32 + 8)
    }
}

fn plain() -> File {
    File {
        edits: vec![40, 0, 1 << 16],
        ctts: vec![4, 0],
        fragments: false,
    }
}

#[test]
fn tables_are_read() {
    let bytes = plain().bytes();
    let track = Movie::read(bytes.as_slice()).unwrap().track;
    assert_eq!(
        (track.width, track.height, track.time_scale),
        (320, 240, 1000)
    );
    let samples = track.samples;
    assert_eq!(samples.pts, [0, 10, 20, 30]);
    assert_eq!(samples.key, [true, false, true, false]);
    let data = bytes.len() as i64 - 20;
    assert_eq!(samples.position, [data, data + 5, data + 10, data + 15]);
}

#[test]
fn edits_hide_pictures_and_move_times() {
    let bytes = File {
        edits: vec![15, u32::MAX, 1 << 16, 20, 10, 1 << 16],
        ..plain()
    };
    let samples = Movie::read(bytes.bytes().as_slice()).unwrap().track.samples;
    assert_eq!(samples.shown, [false, true, true, false]);
    assert_eq!(samples.pts[1..3], [15, 25]);
}

#[test]
fn negative_offsets_move_times_of_decoding() {
    let bytes = File {
        ctts: vec![1, 0, 1, 10, 1, -10i32 as u32, 1, 0],
        ..plain()
    };
    let samples = Movie::read(bytes.bytes().as_slice()).unwrap().track.samples;
    assert_eq!(samples.pts, [0, 20, 10, 30]);
}

#[test]
fn fragments_are_read() {
    let bytes = File {
        fragments: true,
        edits: vec![0, 100, 1 << 16],
        ..plain()
    };
    let bytes = bytes.bytes();
    let movie = Movie::read(bytes.as_slice()).unwrap();
    assert!(movie.fragmented);
    assert_eq!(movie.track.samples.pts, [0, 10, 20, 30]);
    assert_eq!(movie.track.samples.position[0], bytes.len() as i64 - 20);
}

#[test]
fn a_cut_file_is_unfit() {
    let bytes = plain().bytes();
    for end in 0..bytes.len() {
        assert!(
            matches!(Movie::read(&bytes[..end]), Err(Error::Unfit(_))),
            "{end}"
        );
    }
}

#[test]
fn damaged_tables_fit_the_file_or_are_refused() {
    let edited = File {
        edits: vec![15, u32::MAX, 1 << 16, 20, 10, 1 << 16],
        ctts: vec![1, 0, 1, 10, 1, -10i32 as u32, 1, 0],
        fragments: false,
    };
    let fragmented = File {
        fragments: true,
        ..plain()
    };
    let files = [
        ("plain", plain()),
        ("edited", edited),
        ("fragmented", fragmented),
    ];
    let streams: Vec<_> = files
        .map(|(name, file)| (name.to_string(), file.bytes()))
        .into();
    mutation::run(&streams, 20_000, |original, _, cut, random| {
        common::tables(cut);
        common::tables(&large_numbers(original, random));
    });
}

/// Numbers replaced by others of unusual size, at the places where tables have them.
fn large_numbers(data: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = data.to_vec();
    for _ in 0..1 + random.next(3) {
        let at = random.next(out.len() / 4) * 4;
        let value = [0, 1, 2, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX][random.next(8)];
        out[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    out
}
