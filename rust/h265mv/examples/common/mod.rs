pub fn sha256(data: &[u8]) -> [u8; 32] {
    let primes: Vec<u64> = (2u64..312)
        .filter(|&n| (2..n).all(|d| n % d != 0))
        .take(64)
        .collect();
    let root = |p: u64, cube: bool| {
        // The first 32 bits of the fraction of a square or cube root, by bisection in integers.
        let power = |x: u128| if cube { x * x * x } else { x * x };
        let target = (p as u128) << if cube { 96 } else { 64 };
        let (mut low, mut high) = (0u128, 1u128 << 40);
        while high - low > 1 {
            let mid = (low + high) / 2;
            if power(mid) <= target {
                low = mid
            } else {
                high = mid
            }
        }
        low as u32
    };
    let k: Vec<u32> = primes.iter().map(|&p| root(p, true)).collect();
    let mut h: Vec<u32> = primes[..8].iter().map(|&p| root(p, false)).collect();
    let mut tail = data[data.len() / 64 * 64..].to_vec();
    tail.push(0x80);
    while tail.len() % 64 != 56 {
        tail.push(0);
    }
    tail.extend((data.len() as u64 * 8).to_be_bytes());
    for chunk in data.chunks_exact(64).chain(tail.chunks_exact(64)) {
        let mut w = [0u32; 64];
        for (i, b) in chunk.chunks_exact(4).enumerate() {
            w[i] = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        }
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16]
                .wrapping_add(s0)
                .wrapping_add(w[i - 7])
                .wrapping_add(s1);
        }
        let mut v: [u32; 8] = [h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]];
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let ch = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7]
                .wrapping_add(s1)
                .wrapping_add(ch)
                .wrapping_add(k[i])
                .wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            let t2 = s0.wrapping_add(maj);
            v = [
                t1.wrapping_add(t2),
                v[0],
                v[1],
                v[2],
                v[3].wrapping_add(t1),
                v[4],
                v[5],
                v[6],
            ];
        }
        for (h, v) in h.iter_mut().zip(v) {
            *h = h.wrapping_add(v);
        }
    }
    let mut out = [0; 32];
    for (o, h) in out.chunks_exact_mut(4).zip(h) {
        o.copy_from_slice(&h.to_be_bytes());
    }
    out
}
pub fn short_sha(data: &[u8]) -> String {
    sha256(data)[..8]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
