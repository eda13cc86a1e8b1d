//! SEI messages that parsing and seeking depend on (annex D).

use bitstream::BitReader;

/// payloadType values (clause D.1.1).
const USER_DATA_UNREGISTERED: usize = 5;
const RECOVERY_POINT: usize = 6;

/// Largest recovery_frame_cnt: MaxFrameNum - 1.
const MAX_RECOVERY_FRAME_CNT: u32 = (1 << 16) - 1;

/// Length of the start of a user data message that holds its UUID and the build of x264.
const USER_DATA_BYTES: usize = 64;

/// Content of the messages of one SEI NAL unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sei {
    /// Frames to decode from a recovery point until pictures are exact.
    pub recovery_frame_cnt: Option<u32>,
    /// Build number of the x264 that encoded the stream.
    pub x264_build: Option<u32>,
    /// End of the last message above, in bytes of the RBSP; 0 without one.
    pub end: usize,
}

impl Sei {
    /// Reads the messages of an RBSP; a truncated one ends them.
    pub fn parse(rbsp: &[u8]) -> Self {
        let mut sei = Sei::default();
        let mut at = 0;
        while at + 2 < rbsp.len() {
            let (Some(payload_type), Some(size)) =
                (ff_coded(rbsp, &mut at), ff_coded(rbsp, &mut at))
            else {
                break;
            };
            let end = at.saturating_add(size).min(rbsp.len());
            let message = &rbsp[at..end];
            match payload_type {
                RECOVERY_POINT => {
                    let count = BitReader::new(message)
                        .ue_max(MAX_RECOVERY_FRAME_CNT, "recovery_frame_cnt");
                    if let Ok(count) = count {
                        sei.recovery_frame_cnt = Some(count);
                        sei.end = end;
                    }
                }
                USER_DATA_UNREGISTERED => {
                    let message = &message[..message.len().min(USER_DATA_BYTES)];
                    if let Some(build) = x264_build(message) {
                        sei.x264_build = Some(build);
                        sei.end = at + message.len();
                    }
                }
                _ => {}
            }
            at = end;
        }
        sei
    }
}

/// Reads a payloadType or payloadSize, coded as a sum of bytes that ends below 255.
fn ff_coded(rbsp: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0usize;
    loop {
        let byte = *rbsp.get(*at)?;
        *at += 1;
        value += byte as usize;
        if byte != 255 {
            return Some(value);
        }
    }
}

/// Build number in "x264 - core N", which follows the 16 bytes of the UUID.
fn x264_build(message: &[u8]) -> Option<u32> {
    let number = message.get(16..)?.strip_prefix(b"x264 - core ")?;
    let digits = number.iter().take_while(|b| b.is_ascii_digit());
    let build = digits.fold(0u32, |n, &b| {
        n.saturating_mul(10).saturating_add((b - b'0') as u32)
    });
    (build > 0).then_some(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_data(text: &[u8]) -> Vec<u8> {
        let mut message = vec![5, 16 + text.len() as u8];
        message.extend([0xdc; 16]);
        message.extend(text);
        message
    }

    #[test]
    fn recovery_points() {
        // Payload of type 1, then recovery_frame_cnt 4 (00101), exact, not broken.
        let rbsp = [1, 2, 9, 9, 6, 1, 0b0010_1100, 0x80];
        let sei = Sei::parse(&rbsp);
        assert_eq!((sei.recovery_frame_cnt, sei.end), (Some(4), 7));
        assert_eq!(Sei::parse(&rbsp[..4]), Sei::default());
        // Beyond MaxFrameNum.
        assert_eq!(Sei::parse(&[6, 5, 0, 0, 0, 1, 1, 0x80]), Sei::default());
        assert_eq!(Sei::parse(&[0xff; 40]), Sei::default());
    }

    #[test]
    fn x264_build_numbers() {
        let mut rbsp = user_data(b"x264 - core 148 r2748 97eaef2 - H.264/MPEG-4 AVC codec");
        rbsp.extend([6, 1, 0x84, 0x80]);
        let sei = Sei::parse(&rbsp);
        assert_eq!(
            (sei.x264_build, sei.recovery_frame_cnt),
            (Some(148), Some(0))
        );
        assert_eq!(sei.end, rbsp.len() - 1);
        // Cut after the number, as in a saved index.
        assert_eq!(Sei::parse(&rbsp[..34]).x264_build, Some(148));
        for other in [
            &b"x264 - core"[..],
            b"x264 - core r12",
            b"x265 - core 148",
            b"",
        ] {
            assert_eq!(Sei::parse(&user_data(other)).x264_build, None);
        }
    }
}
