//! The resize against Pillow, bit for bit.

use datafusion_functions_image::resize::resize_rgb;

// FNV-1a hashes of what Pillow 12.3 makes of 200 images, up and down, landscape and portrait:
// noise, gradients and checkerboards, whose hard edges overshoot.
//
// import numpy as np
// from PIL import Image
//
// def mix(seed, n):
//     x = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
//     x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
//     x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
//     return x ^ (x >> np.uint64(31))
//
// def fnv(data):
//     h = 0x811C9DC5
//     for byte in data:
//         h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
//     return h
//
// def case(n):
//     w, h, tw, th = (int(v % 400) + 1 for v in mix(n, 4))
//     if n % 2:
//         tw, th = 224, 224
//     noise = (mix(n, w * h * 3) >> np.uint64(40)).astype(np.uint8).reshape(h, w, 3)
//     y, x, c = np.mgrid[0:h, 0:w, 0:3]
//     smooth = ((x * 255 // w + y * 255 // h * (c + 1)) // 2 % 256).astype(np.uint8)
//     rgb = [noise, smooth, np.where((x // 8 + y // 8) % 2 == 0, 255, 0).astype(np.uint8)][n % 3]
//     return rgb, (tw, th)
//
//     out = []
//     for n in range(200):
//         rgb, target = case(n)
//         out.append(fnv(Image.fromarray(rgb).resize(target).tobytes()))
//     print(",\n".join(", ".join(f"0x{v:08X}" for v in out[i:i+8]) for i in range(0, 200, 8)))
#[rustfmt::skip]
const PILLOW: [u32; 200] = [
    0x7B30B397, 0x5C70DA37, 0x309F54A2, 0x878909EC, 0x8F181940, 0x88DBCF7B, 0x59D48444, 0x8652D79B,
    0x47B93E1B, 0x844B24D0, 0xD2DFFC52, 0x167DEC05, 0x52A909AC, 0x412291C1, 0x8313A3B7, 0x40CE8DC8,
    0xEFCF9E23, 0x7EDC59F1, 0xAE2A082D, 0xFBD59F8C, 0x6834C0EC, 0x706E6069, 0xD4C89D57, 0x58FE00D1,
    0x08F9BAA1, 0xEE3249E8, 0x67AB0DE4, 0x809833E9, 0x529BDE81, 0xAAF24D85, 0x2CB2E67C, 0xD96A144D,
    0x86909E2B, 0x947C097A, 0xC988A67F, 0xC514BFBD, 0x039A64E0, 0xE868452E, 0x6EC24F17, 0x64E03696,
    0x961CFD53, 0x69476247, 0xFD8FE13D, 0xCB1EB922, 0x96F193B4, 0x1C135394, 0xC8509A5B, 0xDBC62035,
    0x26244DEB, 0x6E5B3C08, 0xA3C3EB90, 0x36421CAE, 0xA1767572, 0x0B9B7170, 0x8388EA0D, 0x1BEBDC1E,
    0xB60740FD, 0x205023C1, 0xC9D51462, 0x8E929CB0, 0xC0CB94A5, 0xB4DE2A47, 0x22D6D313, 0x2F2B3E84,
    0x7A4AA851, 0xECF5BA44, 0xF228C743, 0x1F0D09F8, 0xE49F1D6E, 0x8FDAA244, 0xDE2189E8, 0x9A041B0D,
    0x46D8FBFC, 0xAB80F024, 0x2291AFE5, 0x3E2E3340, 0x095AA9C3, 0x65B6C0E1, 0xF68046F9, 0xE6407F01,
    0xD8D0169C, 0x0D02B406, 0x138CF09A, 0x12556C9D, 0xBE601B7E, 0x5C40D630, 0xF8592648, 0xF9E353E3,
    0x62D853BA, 0x14575822, 0x9AF32FB7, 0x72E21B4A, 0x180B0E91, 0x1778D0FF, 0x4FBE8291, 0x46CA8C5E,
    0xC357A2F5, 0x6F87C3A6, 0x08A3B639, 0x64572F3D, 0x3A5A624F, 0x1C4BE5EF, 0xBB64986A, 0x5F83DF11,
    0xB544EC26, 0x11BA65C6, 0xE3FC85F5, 0xD21044C3, 0x13E89B01, 0x8EB123B3, 0xAD31CE44, 0xE31B0C6D,
    0x00B4EC1F, 0x72650B23, 0x932693E4, 0xD4D7DF14, 0x11D1EA8C, 0x01D75966, 0x709FADE0, 0x654B1875,
    0x3A8E1D05, 0x1C5D271F, 0x06177B9E, 0xF293E34B, 0xE09C6CE8, 0x0F68DA5D, 0xFBB13A25, 0xAD713534,
    0x7CCAD244, 0xFAE40F8A, 0xC4329391, 0x5FA35BB0, 0x68373609, 0x8840B2C8, 0xD43E3722, 0xD7B00F26,
    0x2400B12D, 0x5C11E2D9, 0x3A5DAC46, 0xE4A3FE06, 0x2E423BE0, 0x005F0A5F, 0xCD535DFB, 0xAFC4A873,
    0x0541AC24, 0xB6999B2B, 0x8027E7AF, 0x5D0256EE, 0x048C74B1, 0xF0149F91, 0x33149513, 0x239E4FBD,
    0x0802F721, 0x40200B41, 0xD0313DB9, 0xBCA93754, 0x6036C655, 0xB738F626, 0xBF5A7E75, 0xB8562748,
    0x4F80F595, 0x43D4C2D3, 0x6BC1E066, 0x7E1D89E8, 0x17BD53E4, 0x8DEFDD0A, 0xB74AF139, 0x41241B24,
    0x6F496EC2, 0x929ABBCA, 0x7918B4AA, 0x67367EB7, 0xABADF6C9, 0x95061DC9, 0x57011342, 0x79A7D76A,
    0x86EAB6A6, 0xBAC7C7B1, 0x312F485A, 0x5BF2D785, 0x9380E440, 0x0C858CB5, 0x60C535E6, 0x64A75D15,
    0x5D84E6FD, 0x49DBD5A4, 0x2191D8C4, 0xEB724C63, 0xAC2B9E42, 0x767E3840, 0x51C988A1, 0x48FC6773,
    0xD9187520, 0xAC522912, 0x4D71AB1C, 0x6AA9687E, 0x82D953F8, 0xD67F2698, 0xF2BDE929, 0x4DB5F0AF,
];

fn mix(seed: u64, index: u64) -> u64 {
    let x = (index + 1)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(seed);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn fnv(data: &[u8]) -> u32 {
    data.iter().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn case(n: u64) -> (Vec<u8>, (usize, usize), (usize, usize)) {
    let size = |index| (mix(n, index) % 400) as usize + 1;
    let (width, height) = (size(0), size(1));
    let target = if n % 2 == 1 {
        (224, 224)
    } else {
        (size(2), size(3))
    };
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                rgb.push(match n % 3 {
                    0 => (mix(n, rgb.len() as u64) >> 40) as u8,
                    1 => ((x * 255 / width + y * 255 / height * (c + 1)) / 2 % 256) as u8,
                    _ => [255, 0][(x / 8 + y / 8) % 2],
                });
            }
        }
    }
    (rgb, (width, height), target)
}

#[test]
fn equals_pillow() {
    for (n, expected) in (0..).zip(PILLOW) {
        let (rgb, size, target) = case(n);
        let out = resize_rgb(rgb, size, target);
        assert_eq!(out.len(), target.0 * target.1 * 3);
        assert_eq!(fnv(&out), expected, "case {n}: {size:?} to {target:?}");
    }
}

/// Panoramas and scrolls, whose windows are hundreds of pixels long. The script is the same, with
/// `rgb = ((x // 50 + y // 50 + c * 40) % 256).astype(np.uint8)`.
#[test]
fn very_wide_and_very_tall_equal_pillow() {
    for (width, height, expected) in [(70_001, 3, 0x4A14_D3C5), (3, 70_001, 0x7D01_CA85)] {
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                rgb.extend([0, 40, 80].map(|c| ((x / 50 + y / 50 + c) % 256) as u8));
            }
        }
        let out = resize_rgb(rgb, (width, height), (224, 224));
        assert_eq!(fnv(&out), expected, "{width}×{height}");
    }
}
