//! What holds for any data; the fuzz target checks it too.

use mpeg4mv::{Kind, Reader};

/// A layer of 80 x 48 samples, 25 ticks a second, without resync markers (`markers` false), in half samples.
pub fn layer(markers: bool) -> Vec<u8> {
    let mut bits = String::new();
    let mut put = |value: u32, count: usize| bits.push_str(&format!("{value:0count$b}"));
    for (value, count) in [
        (0, 1),
        (1, 8),
        (0, 1),
        (1, 4),
        (0, 1),
        (0, 2),
        (1, 1),
        (25, 16),
        (1, 1),
        (0, 1),
    ] {
        put(value, count);
    }
    for (value, count) in [
        (1, 1),
        (80, 13),
        (1, 1),
        (48, 13),
        (1, 1),
        (0, 1),
        (1, 1),
        (0, 1),
        (0, 1),
        (0, 1),
    ] {
        put(value, count);
    }
    put(1, 1); // complexity_estimation_disable
    put(u32::from(!markers), 1);
    put(0, 1); // data_partitioned
    put(0, 1); // scalability
    put(1, 1);
    let bytes = bits.as_bytes().chunks(8).map(|byte| {
        byte.iter()
            .enumerate()
            .fold(0, |value, (i, &bit)| value | (bit - b'0') << (7 - i))
    });
    [0, 0, 1, 0x20].into_iter().chain(bytes).collect()
}

/// The start of a picture: its kind, time and quantiser, up to the macroblocks, not filled up to a byte.
pub fn plane(kind: u32, increment: u32, payload: &[u8]) -> Vec<u8> {
    let mut data = vec![0, 0, 1, 0xb6];
    // vop_coding_type, modulo_time_base 0, marker, increment (5), marker, vop_coded
    let head = kind << 9 | 1 << 7 | increment << 2 | 1 << 1 | 1;
    data.extend([
        (head >> 3) as u8,
        ((head & 7) << 5) as u8 | payload.first().map_or(0, |byte| byte & 31),
    ]);
    data.extend(payload.iter().skip(1));
    data
}

/// Reads data as packets, each up to the byte 0xa5, and checks what is read.
pub fn stream(data: &[u8]) {
    let markers = data.first().is_some_and(|byte| byte & 1 == 1);
    let mut reader = Reader::new(&layer(markers));
    for packet in data.split(|&byte| byte == 0xa5) {
        for picture in reader.push(packet, markers) {
            let Ok(field) = picture.field() else { continue };
            assert_eq!(field.is_none(), picture.kind() == Kind::I);
            let Some(field) = field else { continue };
            assert_eq!(field.predictions.len(), field.columns() * field.rows());
            for (list, vectors) in field.vectors.iter().enumerate() {
                assert_eq!(vectors.len(), 4 * field.predictions.len());
                let used = |at: usize| {
                    let (row, column) = (at / (2 * field.columns()), at % (2 * field.columns()));
                    field.predictions[row / 2 * field.columns() + column / 2].lists()[list]
                };
                assert!((0..vectors.len()).all(|at| used(at) || vectors[at] == [0, 0]));
            }
        }
    }
}
