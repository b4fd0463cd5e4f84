//! Every format and colour mode against Pillow, pixel for pixel.

use std::path::Path;

use datafusion_functions_image::decode::{DecodeError, Limits, decode, inspect};

// The files in tests/data/decode were written by Pillow 12.3 and pypng 0.20230, 29 by 22 pixels
// each; the numbers are the FNV-1a hashes of what Pillow makes of them.
//
// import io, struct
// import numpy as np, png
// from PIL import Image
// W,H=29,22
// y,x=np.mgrid[0:H,0:W]
// rgb=np.stack([(x*8+y*3)%256,(255-x*5+y*2)%256,((x-14)**2+(y-10)**2)*2%256],-1).astype(np.uint8)
// soft=np.stack([128+100*np.sin(x/6+y/9),128+90*np.cos(x/9),128+80*np.sin(y/5)],-1).astype(np.uint8)
// grey=rgb[...,0]; alpha=((x*9+y*7)%256).astype(np.uint8)
// im=Image.fromarray(rgb); photo=Image.fromarray(soft)
// files={}
// def pil(name,image,fmt,**kw):
//     b=io.BytesIO(); image.save(b,fmt,**kw); files[name]=b.getvalue()
// for sub,n in ((0,"444"),(1,"422"),(2,"420")): pil(f"baseline_{n}.jpg",photo,"JPEG",quality=85,subsampling=sub)
// pil("progressive.jpg",photo,"JPEG",quality=80,progressive=True)
// pil("grey.jpg",photo.convert("L"),"JPEG",quality=85)
// pil("restart.jpg",photo,"JPEG",quality=85,restart_marker_blocks=1)
// pil("rgb.jpg",photo,"JPEG",quality=90,keep_rgb=True)
// pil("cmyk.jpg",photo.convert("CMYK"),"JPEG",quality=90)
// b=bytearray(files["cmyk.jpg"]); i=b.index(b"Adobe"); b[i+11]=2; files["ycck.jpg"]=bytes(b)
// def pg(name,rows,**kw):
//     b=io.BytesIO(); png.Writer(width=W,height=H,**kw).write(b,rows); files[name]=b.getvalue()
// for d in (1,2,4,8): pg(f"grey{d}.png",(grey>>(8-d)).tolist(),greyscale=True,bitdepth=d)
// g16=(grey.astype(np.uint16)*257+np.arange(W,dtype=np.uint16))
// r16=(rgb.astype(np.uint32)*251+3).astype(np.uint16)
// pg("grey16.png",g16.tolist(),greyscale=True,bitdepth=16)
// pg("grey_alpha8.png",np.stack([grey,alpha],-1).reshape(H,-1).tolist(),greyscale=True,alpha=True,bitdepth=8)
// pg("grey_alpha16.png",np.stack([g16,alpha.astype(np.uint16)*257],-1).reshape(H,-1).tolist(),greyscale=True,alpha=True,bitdepth=16)
// pg("rgb8.png",rgb.reshape(H,-1).tolist(),greyscale=False,bitdepth=8)
// pg("rgb8_interlaced.png",rgb.reshape(H,-1).tolist(),greyscale=False,bitdepth=8,interlace=True)
// pg("rgb16.png",r16.reshape(H,-1).tolist(),greyscale=False,bitdepth=16)
// pg("rgba8.png",np.dstack([rgb,alpha]).reshape(H,-1).tolist(),greyscale=False,alpha=True,bitdepth=8)
// pg("rgba16.png",np.dstack([r16,alpha.astype(np.uint16)*257]).reshape(H,-1).tolist(),greyscale=False,alpha=True,bitdepth=16)
// pg("rgb8_transparent.png",rgb.reshape(H,-1).tolist(),greyscale=False,bitdepth=8,transparent=tuple(int(v) for v in rgb[3,4]))
// for d in (1,2,4,8):
//     pal=[(i*37%256,i*91%256,255-i*53%256) for i in range(min(2**d,200))]
//     pg(f"palette{d}.png",(grey.astype(int)*len(pal)//256).tolist(),palette=pal,bitdepth=d)
// pal=[(i*37%256,i*91%256,255-i*53%256,255 if i%3 else 0) for i in range(16)]
// pg("palette4_transparent.png",(grey>>4).tolist(),palette=pal,bitdepth=4,interlace=True)
// pil("lossy.webp",photo,"WEBP",quality=80); pil("lossless.webp",im,"WEBP",lossless=True)
// pil("lossless_alpha.webp",Image.fromarray(np.dstack([rgb,alpha])),"WEBP",lossless=True,exact=True)
// pil("lossy_alpha.webp",Image.fromarray(np.dstack([soft,alpha])),"WEBP",quality=80,exact=True)
// pil("rgb24.bmp",im,"BMP"); pil("grey8.bmp",Image.fromarray(grey),"BMP"); pil("palette8.bmp",im.quantize(100),"BMP")
// pil("bits1.bmp",im.convert("1"),"BMP"); pil("rgba32.bmp",Image.fromarray(np.dstack([rgb,alpha])),"BMP")
// q=im.quantize(64)
// pil("plain.gif",q,"GIF"); pil("interlaced.gif",q,"GIF",interlace=1); pil("transparent.gif",q,"GIF",transparency=5)
// pil("animated.gif",q,"GIF",save_all=True,append_images=[photo.quantize(32)],duration=100)
// for n,c in (("raw",None),("lzw","tiff_lzw"),("deflate","tiff_adobe_deflate"),("packbits","packbits")): pil(f"rgb_{n}.tiff",im,"TIFF",**({"compression":c} if c else {}))
// pil("grey8.tiff",Image.fromarray(grey),"TIFF"); pil("bits1.tiff",im.convert("1"),"TIFF")
// pil("grey16.tiff",Image.fromarray(g16),"TIFF"); pil("rgba8.tiff",Image.fromarray(np.dstack([rgb,alpha])),"TIFF")
// pil("palette8.tiff",im.quantize(100),"TIFF"); pil("palette8_lzw.tiff",im.quantize(100),"TIFF",compression="tiff_lzw")
// def tiff(bits):  # big-endian, rows packed from the highest bit
//     n=1<<bits; ix=(grey.astype(int)*n//256).astype(np.uint8); order=np.arange(bits-1,-1,-1)
//     rows=b"".join(np.packbits(((ix[r][:,None]>>order)&1).ravel()).tobytes() for r in range(H))
//     cmap=[(i*9473+c*21013)%65536 for c in range(3) for i in range(n)]; k=10; data=14+12*k
//     tags=[(256,3,1,W<<16),(257,3,1,H<<16),(258,3,1,bits<<16),(259,3,1,1<<16),(262,3,1,3<<16),(273,4,1,data+6*n),
//           (277,3,1,1<<16),(278,3,1,H<<16),(279,4,1,len(rows)),(320,3,3*n,data)]
//     return struct.pack(">2sHIH",b"MM",42,8,k)+b"".join(struct.pack(">HHII",*t) for t in tags)+bytes(4)+struct.pack(">%dH"%(3*n),*cmap)+rows
// for bits in (1,2,4): files[f"palette{bits}.tiff"]=tiff(bits)
// def fnv(data):
//     h=0x811C9DC5
//     for byte in data: h=(h^byte)*0x01000193&0xFFFFFFFF
//     return h
// for name, data in sorted(files.items()):
//     i = Image.open(io.BytesIO(data))
//     if i.mode.startswith("I"):  # Pillow would clip 16 bits at 255
//         ref = np.repeat((np.asarray(i).astype(np.uint16) >> 8).astype(np.uint8)[..., None], 3, -1)
//     else:
//         ref = np.asarray(i.convert("RGB"))
//     print(f'("{name}", 0x{fnv(ref.tobytes()):08X}),')
#[rustfmt::skip]
const PILLOW: [(&str, u32); 54] = [
    ("animated.gif", 0x14F932B0),
    ("baseline_420.jpg", 0x68285885),
    ("baseline_422.jpg", 0xC5E6F25C),
    ("baseline_444.jpg", 0xC633EE46),
    ("bits1.bmp", 0x804B962B),
    ("bits1.tiff", 0x804B962B),
    ("cmyk.jpg", 0x2F64DCAF),
    ("cmyk.tiff", 0x5372806E),
    ("grey.jpg", 0x9B31EA25),
    ("grey1.png", 0xE64E216A),
    ("grey16.png", 0x0D5D0DC5),
    ("grey16.tiff", 0x0D5D0DC5),
    ("grey2.png", 0xFC9DF0CA),
    ("grey4.png", 0xBEEB6D6C),
    ("grey8.bmp", 0xE2217296),
    ("grey8.png", 0xE2217296),
    ("grey8.tiff", 0xE2217296),
    ("grey_alpha16.png", 0x0D5D0DC5),
    ("grey_alpha8.png", 0xE2217296),
    ("interlaced.gif", 0x14F932B0),
    ("lossless.webp", 0x5372806E),
    ("lossless_alpha.webp", 0x5372806E),
    ("lossy.webp", 0x9D1FB199),
    ("lossy_alpha.webp", 0x20BDFBDE),
    ("palette1.png", 0x42BBDA20),
    ("palette2.png", 0x284B4C1A),
    ("palette1.tiff", 0x208B6BF0),
    ("palette2.tiff", 0x76E64D76),
    ("palette4.png", 0x874D4DFC),
    ("palette4.tiff", 0x1F0FDB30),
    ("palette4_transparent.png", 0x874D4DFC),
    ("palette8.bmp", 0xDBE565AA),
    ("palette8.png", 0x8DD947B5),
    ("palette8.tiff", 0xDBE565AA),
    ("palette8_lzw.tiff", 0xDBE565AA),
    ("plain.gif", 0x14F932B0),
    ("progressive.jpg", 0xFAA8E059),
    ("restart.jpg", 0x68285885),
    ("rgb.jpg", 0x2F64DCAF),
    ("rgb16.png", 0x1D3385E3),
    ("rgb24.bmp", 0x5372806E),
    ("rgb8.png", 0x5372806E),
    ("rgb8_interlaced.png", 0x5372806E),
    ("rgb8_transparent.png", 0x5372806E),
    ("rgb_deflate.tiff", 0x5372806E),
    ("rgb_lzw.tiff", 0x5372806E),
    ("rgb_packbits.tiff", 0x5372806E),
    ("rgb_raw.tiff", 0x5372806E),
    ("rgba16.png", 0x1D3385E3),
    ("rgba32.bmp", 0x5372806E),
    ("rgba8.png", 0x5372806E),
    ("rgba8.tiff", 0x5372806E),
    ("transparent.gif", 0x14F932B0),
    ("ycck.jpg", 0x4EB458DF),
];

// Odd pictures, by tests/parity/make_pictures.py, which prints these lines: width, height and the
// FNV-1a hash of what Pillow 12.3 makes of each.
#[rustfmt::skip]
const ODD: [(&str, u32, u32, u32); 72] = [
    ("rgb_ids.jpg", 29, 22, 0x04A476B5),
    ("rgb_ids_jfif.jpg", 29, 22, 0xAAC3A96F),
    ("rgb_ids_ycc.jpg", 29, 22, 0xAAC3A96F),
    ("rgb_jfif_adobe.jpg", 29, 22, 0xAAC3A96F),
    ("rgb_422.jpg", 29, 22, 0x4033577D),
    ("rgb_420.jpg", 29, 22, 0xB41973A9),
    ("rgb_green_fine.jpg", 29, 22, 0xEBD4E41F),
    ("cmyk_420.jpg", 29, 22, 0x9E322B1F),
    ("cmyk_422_black_coarse.jpg", 29, 22, 0xD716BAB7),
    ("ycck_420.jpg", 29, 22, 0xBD42DFB4),
    ("ycck_440.jpg", 29, 22, 0x4228322E),
    ("ycck_all_coarse.jpg", 29, 22, 0x237051CC),
    ("ycc_440.jpg", 29, 22, 0xFE294A39),
    ("ycc_411.jpg", 29, 22, 0xBDD408A8),
    ("ycc_410.jpg", 29, 22, 0x77EF9AD3),
    ("ycc_441.jpg", 29, 22, 0x1BC5590D),
    ("ycc_311.jpg", 29, 22, 0x039B6D32),
    ("ycc_22_21_11.jpg", 29, 22, 0x679C29E5),
    ("ycc_22_12_21.jpg", 29, 22, 0x162E35E8),
    ("ycc_chroma_finer.jpg", 29, 22, 0x2A7F8D22),
    ("ycc_chroma_finest.jpg", 29, 22, 0xE8DCD999),
    ("ycc_21_21_21.jpg", 29, 22, 0xAAC3A96F),
    ("two_and_one.jpg", 29, 22, 0x5887168D),
    ("one_and_two.jpg", 29, 22, 0x5887168D),
    ("one_and_two_restart.jpg", 29, 22, 0xEDFE8AD0),
    ("cmyk_two_and_two.jpg", 29, 22, 0xE258D9E6),
    ("apart.jpg", 29, 22, 0x5887168D),
    ("apart_odd.jpg", 29, 22, 0xC266117A),
    ("progressive_cmyk_420.jpg", 29, 22, 0xBD42DFB4),
    ("progressive_finer.jpg", 29, 22, 0x2A7F8D22),
    ("grey_22.jpg", 29, 22, 0x6A0E53AC),
    ("same_ids.jpg", 29, 22, 0x5887168D),
    ("zeros_for_end.jpg", 29, 22, 0x5887168D),
    ("zeros_after_end.jpg", 29, 22, 0x5887168D),
    ("restart_at_end.jpg", 29, 22, 0x5887168D),
    ("420_1x1.jpg", 1, 1, 0x8305B276),
    ("422_1x1.jpg", 1, 1, 0xA2FB8ED1),
    ("440_1x1.jpg", 1, 1, 0xA2FB8ED1),
    ("420_2x3.jpg", 2, 3, 0x4A935DEE),
    ("422_2x3.jpg", 2, 3, 0x5A37F808),
    ("440_2x3.jpg", 2, 3, 0xA488442B),
    ("420_3x5.jpg", 3, 5, 0x1ACA01D4),
    ("422_3x5.jpg", 3, 5, 0xC73453EB),
    ("440_3x5.jpg", 3, 5, 0x2FE42D2B),
    ("420_4x4.jpg", 4, 4, 0xA0AEFAC2),
    ("422_4x4.jpg", 4, 4, 0x4BDCEEC4),
    ("440_4x4.jpg", 4, 4, 0xC38EDC4F),
    ("420_5x2.jpg", 5, 2, 0xFBAA53FE),
    ("422_5x2.jpg", 5, 2, 0x43BFFDC8),
    ("440_5x2.jpg", 5, 2, 0xE9DC1807),
    ("420_6x7.jpg", 6, 7, 0x53CE6917),
    ("422_6x7.jpg", 6, 7, 0x0C8B1C56),
    ("440_6x7.jpg", 6, 7, 0x18324FC1),
    ("junk_between.jpg", 29, 22, 0x5887168D),
    ("bad_exif.jpg", 29, 22, 0x5887168D),
    ("short_adobe.jpg", 29, 22, 0x5887168D),
    ("bad_unused_table.jpg", 29, 22, 0x5887168D),
    ("small_frame.gif", 29, 22, 0x7AE9CA31),
    ("small_transparent.gif", 29, 22, 0x0F157E23),
    ("beyond_screen.gif", 29, 22, 0x0D4191FD),
    ("beyond_across.gif", 29, 22, 0x071882A6),
    ("no_screen.gif", 29, 22, 0x0F49EAF6),
    ("own_palette.gif", 29, 22, 0x69412818),
    ("own_palette_only.gif", 29, 22, 0x69412818),
    ("no_palette.gif", 29, 22, 0xABF9DC5D),
    ("short_palette.gif", 29, 22, 0x46B5F4CC),
    ("blended.webp", 29, 22, 0xC733D690),
    ("blended_background.webp", 29, 22, 0xC733D690),
    ("unblended.webp", 29, 22, 0xC733D690),
    ("blended_lossy.webp", 29, 22, 0x93BBB774),
    ("partial.webp", 29, 22, 0x86AAC7E0),
    ("partial_lossy.webp", 29, 22, 0xDB341613),
];

fn fnv(data: &[u8]) -> u32 {
    data.iter().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[test]
fn equals_pillow() {
    let usual = PILLOW.map(|(name, hash)| (name, 29, 22, hash));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decode");
    let limits = Limits { max_pixels: 1000 };
    let mut different = Vec::new();
    for (name, width, height, expected) in usual.into_iter().chain(ODD) {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let inspection = inspect(&bytes, limits);
        assert_eq!(inspection.error, None, "{name}");
        let header = inspection.header.unwrap();
        assert_eq!((header.width, header.height), (width, height), "{name}");
        let image = decode(&bytes, limits).unwrap();
        assert_eq!(
            (image.width, image.height),
            (width as usize, height as usize),
            "{name}"
        );
        if fnv(&image.data) != expected {
            different.push(name);
        }
    }
    assert!(different.is_empty(), "{different:?}");
}

/// The decoder makes up the last bytes of a lossy WebP; libwebp, and so Pillow, refuses the file.
#[test]
fn a_webp_shorter_than_it_says_is_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/decode");
    for (name, ..) in PILLOW.iter().filter(|(name, _)| name.ends_with(".webp")) {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        for missing in 1..=3 {
            let cut = &bytes[..bytes.len() - missing];
            let error = decode(cut, Limits { max_pixels: 1000 }).unwrap_err();
            assert!(
                matches!(error, DecodeError::Truncated { .. }),
                "{name}: {error}"
            );
        }
    }
}
