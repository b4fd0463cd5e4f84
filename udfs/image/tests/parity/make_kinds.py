"""Makes the small pictures of tests/integration/kinds.rs and prints what Pillow makes of them.

    pip install 'pillow>=13' numpy
    python make_kinds.py [FOLDER]    # ../data/kinds

TIFF and BMP of every kind that people have, most put together here from bytes; JPEGs that end early;
EXIF that turns. The third column says with which setting Pillow's own way is ours, too.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

DATA = Path(__file__).resolve().parent.parent / "data" / "kinds"
W, H = 13, 10
RANDOM = np.random.RandomState(20)
RGBA = RANDOM.randint(0, 256, (H, W, 4)).astype(np.uint8)
RGB = np.ascontiguousarray(RGBA[..., :3])
GREY = np.ascontiguousarray(RGBA[..., 3])
BLACK_WHITE = Image.fromarray(np.repeat(GREY[:, ::3], 3, 1)[:, :W] > 127)
SMOOTH = Image.fromarray(RGB[:4, :4]).resize((W, H), Image.Resampling.BICUBIC)


def tiff(tags, chunks, order="<", big=False, tiled=False, again=False):
    """A TIFF of these chunks; tags are (number, kind, values)."""
    kinds = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
    head = 16 if big else 8
    data, places = b"", []
    for chunk in chunks:
        places.append(head + len(data))
        data += chunk + b"\0" * (len(chunk) % 2)
    place, length = (324, 325) if tiled else (273, 279)
    if chunks:
        tags = tags + [(place, 4, places), (length, 4, [len(chunk) for chunk in chunks])]
    entries = b""
    for tag, kind, values in sorted(tags):
        packed = struct.pack(order + str(len(values)) + kinds[kind], *values)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, len(values))
        room = 8 if big else 4
        if len(packed) > room:
            at = head + len(data)
            data += packed + b"\0" * (len(packed) % 2)
            packed = struct.pack(order + ("Q" if big else "I"), at)
        entries += packed.ljust(room, b"\0")
    at = head + len(data)
    letters = b"II" if order == "<" else b"MM"
    if big:
        header = letters + struct.pack(order + "HHHQ", 43, 8, 0, at)
        return header + data + struct.pack(order + "Q", len(tags)) + entries + bytes(8)
    header = letters + struct.pack(order + "HI", 42, at)
    following = at if again else 0
    return header + data + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", following)


def plain(bits, photometric, width=W, height=H, **more):
    """The tags of a picture; more by name."""
    names = dict(compression=259, fill=266, orientation=274, samples=277, rows=278, planar=284,
                 options=292, predictor=317, wide=322, high=323, extra=338, kind=339, sub=530)
    bits = bits if isinstance(bits, list) else [bits]
    tags = [(256, 3, [width]), (257, 3, [height]), (258, 3, bits)]
    if photometric is not None:
        tags.append((262, 3, [photometric]))
    for name, value in more.items():
        tags.append((names[name], 3, value if isinstance(value, list) else [value]))
    return tags


def packed(values, bits):
    """Rows of so many bits a value, each from a whole byte on."""
    rows = []
    for row in values:
        text = "".join(f"{int(value):0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8)))
    return b"".join(rows)


def reversed_bits(data):
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def tiles(array, side=16):
    height, width = array.shape[:2]
    padding = [(0, -height % side), (0, -width % side)] + [(0, 0)] * (array.ndim - 2)
    array = np.pad(array, padding)
    return [array[y : y + side, x : x + side].tobytes()
            for y in range(0, array.shape[0], side) for x in range(0, array.shape[1], side)]


def jpeg(array, mode, **options):
    return saved(Image.fromarray(array, mode), format="JPEG", quality=90, **options)


def tiff_grey():
    for bits in (2, 4):
        values = GREY >> (8 - bits)
        yield f"grey{bits}", tiff(plain(bits, 1), [packed(values, bits)])
        yield f"grey{bits}_white_zero", tiff(plain(bits, 0), [packed(values, bits)])
        yield f"grey{bits}_fill", tiff(plain(bits, 1, fill=2), [reversed_bits(packed(values, bits))])
    yield "grey8_white_zero", tiff(plain(8, 0), [GREY.tobytes()])
    yield "grey8_signed", tiff(plain(8, 1, kind=2), [GREY.tobytes()])
    yield "grey_no_photometric", tiff(plain(8, None), [GREY.tobytes()])
    alpha = np.dstack([GREY, RGB[..., 0]])
    yield "grey_alpha", tiff(plain([8, 8], 1, samples=2, extra=2), [alpha.tobytes()])
    planes = [GREY.tobytes(), RGB[..., 0].tobytes()]
    yield "grey_planes_extra", tiff(plain([8, 8], 1, samples=2, extra=0, planar=2, compression=8),
                                    [zlib.compress(plane) for plane in planes])
    yield "cycle", tiff(plain(8, 1), [GREY.tobytes()], again=True)
    yield "big", tiff(plain(8, 1), [GREY.tobytes()], big=True)
    yield "strips", tiff(plain(8, 1, rows=3), [GREY[y : y + 3].tobytes() for y in range(0, H, 3)])
    yield "no_rows_per_strip_lzw", saved(Image.fromarray(GREY), format="TIFF", compression="tiff_lzw")


def tiff_deep():
    deep = GREY.astype(np.int64) * 16 + 5
    yield "grey12", tiff(plain(12, 1), [packed(deep, 12)])
    small = GREY.astype(np.int32) * 4 - 300
    yield "grey16_signed", tiff(plain(16, 1, kind=2), [small.astype("<i2").tobytes()])
    yield "grey32_signed", tiff(plain(32, 1, kind=2), [small.astype("<i4").tobytes()])
    yield "grey32", tiff(plain(32, 1, kind=1), [np.abs(small).astype("<u4").tobytes()])
    floats = (small / 3.7).astype("<f4")
    yield "float", tiff(plain(32, 1, kind=3), [floats.tobytes()])
    yield "float_motorola", tiff(plain(32, 1, kind=3), [floats.astype(">f4").tobytes()], order=">")
    yield "grey16_fill", tiff(plain(16, 1, fill=2), [reversed_bits((GREY.astype("<u2") * 257).tobytes())])


def tiff_colour():
    four = dict(samples=4)
    yield "rgba_unsaid", tiff(plain([8] * 4, 2, **four), [RGBA.tobytes()])
    yield "premultiplied", tiff(plain([8] * 4, 2, extra=1, **four), [RGBA.tobytes()])
    wide = RGBA.astype("<u2") * 251
    yield "premultiplied16", tiff(plain([16] * 4, 2, extra=1, **four), [wide.tobytes()])
    yield "five_samples", tiff(plain([8] * 5, 2, samples=5, extra=[2, 0]),
                               [np.dstack([RGBA, GREY]).tobytes()])
    for tiled in (False, True):
        place = dict(wide=16, high=16) if tiled else {}
        name = "tiles" if tiled else "strips"
        cut = (lambda plane: tiles(plane)) if tiled else (lambda plane: [plane.tobytes()])
        planes = [zlib.compress(chunk) for band in range(4) for chunk in cut(RGBA[..., band])]
        yield f"planes_{name}", tiff(plain([8] * 4, 2, extra=2, planar=2, compression=8, **four, **place),
                                     planes, tiled=tiled)
        yield f"planes_premultiplied_{name}", tiff(
            plain([8] * 4, 2, extra=1, planar=2, compression=8, **four, **place), planes, tiled=tiled)
        planes = [zlib.compress(chunk) for band in range(3) for chunk in cut(wide[..., band])]
        yield f"planes16_{name}", tiff(plain([16] * 3, 2, samples=3, planar=2, compression=8, **place),
                                       planes, tiled=tiled)
    four = Image.fromarray(RGBA)
    for name in ("tiff_lzw", "tiff_adobe_deflate"):
        yield f"predictor_{name}", saved(four, format="TIFF", compression=name, tiffinfo={317: 2})
    differences = np.diff(wide.astype(np.int64), axis=1, prepend=0).astype("<u2")
    yield "predictor16", tiff(plain([16] * 4, 2, samples=4, extra=2, predictor=2, compression=8),
                              [zlib.compress(differences.tobytes())])
    yield "predictor16_motorola", tiff(plain([16] * 4, 2, samples=4, extra=2, predictor=2, compression=8),
                                       [zlib.compress(differences.astype(">u2").tobytes())], order=">")
    yield "cmyk", tiff(plain([8] * 4, 5, samples=4), [RGBA.tobytes()])
    yield "cmyk16", tiff(plain([16] * 4, 5, samples=4), [wide.tobytes()])
    yield "bits_said_once", tiff(plain([8], 2, samples=4, extra=2), [RGBA.tobytes()])
    yield "bits_too_many", tiff(plain([8, 8, 8, 1], 2, samples=3), [RGB.tobytes()])
    colours = RANDOM.randint(0, 65536, 768).tolist()
    indices = np.dstack([GREY, RGB[..., 0]])
    for extra, name in ((0, "more"), (2, "alpha")):
        tags = plain([8, 8], 3, samples=2, extra=extra) + [(320, 3, colours)]
        yield f"palette_{name}", tiff(tags, [indices.tobytes()])
    for number in range(2, 9):
        yield f"orientation{number}", tiff(plain([8] * 3, 2, samples=3, orientation=number), [RGB.tobytes()])


def tiff_jpeg():
    smooth = np.asarray(SMOOTH)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        strip = jpeg(smooth, "RGB", subsampling=subsampling)
        sub = [1 + (subsampling > 0), 1 + (subsampling > 1)]
        tags = plain([8] * 3, 6, samples=3, compression=7, sub=sub)
        yield f"jpeg_{name}", tiff(tags, [strip])
    strips = [jpeg(smooth[y : y + 8], "RGB", subsampling=0) for y in (0, 8)]
    yield "jpeg_strips", tiff(plain([8] * 3, 6, samples=3, compression=7, rows=8, sub=[1, 1]), strips)
    padded = np.pad(smooth, ((0, 6), (0, 3), (0, 0)), mode="edge")
    tags = plain([8] * 3, 6, samples=3, compression=7, wide=16, high=16, sub=[2, 2])
    yield "jpeg_tiles", tiff(tags, [jpeg(padded, "RGB", subsampling=2)], tiled=True)
    yield "jpeg_rgb", saved(SMOOTH, format="TIFF", compression="jpeg")
    yield "jpeg_grey", saved(SMOOTH.convert("L"), format="TIFF", compression="jpeg")
    inks = np.dstack([smooth, smooth[..., :1] // 3])
    strip = jpeg(inks, "CMYK")
    yield "jpeg_cmyk", tiff(plain([8] * 4, 5, samples=4, compression=7), [strip])
    whole = jpeg(smooth, "RGB", subsampling=2)
    tags = plain([8] * 3, 6, samples=3, compression=6, sub=[2, 2])
    yield "jpeg_old", tiff(tags + [(513, 4, [8]), (514, 4, [len(whole)])], [whole])


def tiff_fax():
    for name in ("group3", "group4", "tiff_ccitt", "packbits"):
        yield name, saved(BLACK_WHITE, format="TIFF", compression=name)
    whole = Image.open(io.BytesIO(saved(BLACK_WHITE, format="TIFF", compression="group4")))
    strip = whole.tag_v2[273][0], whole.tag_v2[279][0]
    data = whole.fp.getvalue()[strip[0] : sum(strip)]
    yield "group4_fill", tiff(plain(1, whole.tag_v2[262], compression=4, fill=2), [reversed_bits(data)])


def bmp(bits, pixels, size=40, height=H, width=W, compression=0, planes=1, palette=b"", masks=b""):
    if size == 12:
        header = struct.pack("<IHHHH", 12, width, height, planes, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", size, width, height, planes, bits, compression,
                             len(pixels), 0, 0, 0, 0)
        header += masks if size > 40 else b""
        header = header.ljust(size, b"\0") + (masks if size == 40 else b"")
    at = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + header + palette + pixels


def bmp_rows(rows, bits):
    return b"".join(row.ljust((W * bits + 31) // 32 * 4, b"\0") for row in rows)


def bmps():
    palette = RANDOM.randint(0, 256, 1024).astype(np.uint8).tobytes()
    deep = RANDOM.randint(0, 65536, (H, W)).astype("<u2")
    rows = bmp_rows([row.tobytes() for row in deep], 16)
    yield "rgb555", bmp(16, rows)
    yield "rgb565", bmp(16, rows, compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    yield "rgb555_masks", bmp(16, rows, compression=3, masks=struct.pack("<III", 0x7C00, 0x3E0, 0x1F))
    whole = bmp_rows([row.tobytes() for row in RGBA], 32)
    yield "rgb32", bmp(32, whole)
    masks = struct.pack("<IIII", 0xFF000000, 0xFF0000, 0xFF00, 0)
    yield "rgb32_masks", bmp(32, whole, compression=3, size=108, masks=masks)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "rgba32_masks", bmp(32, whole, compression=3, size=124, masks=masks)
    yield "rgba32_v3", bmp(32, whole, compression=3, size=56, masks=masks)
    yield "rgb24_top_down", bmp(24, bmp_rows([row.tobytes() for row in RGB], 24), height=-H)
    indices = bmp_rows([row.tobytes() for row in GREY], 8)
    yield "os2", bmp(8, indices, size=12, palette=palette[:768])
    yield "os2_long", bmp(8, indices, size=64, palette=palette)
    yield "planes", bmp(8, indices, planes=7, palette=palette)
    yield "palette4", bmp(4, bmp_rows([packed([row >> 4], 4) for row in GREY], 4), palette=palette[:64])
    bytes8 = b""
    for y, row in enumerate(GREY):
        if y == 2:
            bytes8 += b"\x05\x07\x00\x00"  # A row that ends early.
        elif y == 4:
            bytes8 += b"\x03\x09\x00\x02\x04\x01\x02\x08"  # A jump, over the end of a row.
            bytes8 += b"\x00\x00"
        elif y == 5:
            continue
        elif y == 6:
            bytes8 += b"\x00\x0d" + row.tobytes() + b"\0" + b"\x00\x00"
        else:
            bytes8 += b"".join(bytes([1, value]) for value in row) + b"\x00\x00"
    bytes8 += b"\x00\x01"
    yield "rle8", bmp(8, bytes8, compression=1, palette=palette)
    yield "rle8_top_down", bmp(8, bytes8, compression=1, palette=palette, height=-H)
    halves = b"\x0d\x12\x00\x00" * 3 + b"\x20\x45\x00\x00"  # A run beyond the row.
    halves += b"\x00\x0d" + packed([list(GREY[0] >> 4) + [0, 0, 0]], 4) + b"\x00\x00"
    halves += b"\x02\x33\x00\x02\x03\x02\x04\x56\x00\x00" + b"\x0d\x9a\x00\x00" * 3 + b"\x00\x01"
    yield "rle4", bmp(4, halves, compression=2, palette=palette[:64])


def others():
    smooth = SMOOTH.resize((20, 20))
    exif = Image.Exif()
    exif[274] = 6
    yield "exif6.jpg", "apply", saved(smooth, format="JPEG", exif=exif)
    yield "exif6.jpg", "", saved(smooth, format="JPEG", exif=exif)
    yield "exif6.png", "apply", saved(smooth.crop((0, 0, 20, 7)), format="PNG", exif=exif)
    exif[274] = 5
    yield "exif5.webp", "apply", saved(smooth.crop((0, 0, 20, 7)), format="WEBP", lossless=True, exif=exif)
    grey = Image.fromarray((GREY.astype(np.uint16) * 3))
    yield "grey16_clip.png", "clip", saved(grey, format="PNG")
    yield "grey16_transparent.png", "clip", saved(grey, format="PNG", transparency=int(GREY[0, 0]) * 3)
    for name, options in (("420", dict(subsampling=2)), ("444", dict(subsampling=0))):
        whole = saved(smooth, format="JPEG", quality=95, **options)
        yield f"cut_{name}.jpg", "load", whole[: len(whole) - 150]
    inks = saved(smooth.convert("CMYK"), format="JPEG", quality=95)
    yield "cut_cmyk.jpg", "load", inks[: len(inks) - 200]


def fnv(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def pictures():
    for maker in (tiff_grey, tiff_colour, tiff_jpeg, tiff_fax):
        for name, data in maker():
            if data is not None:
                yield f"{name}.tiff", "", data
    for name, data in tiff_deep():
        yield f"{name}.tiff", "clip", data
    for name, data in bmps():
        yield f"{name}.bmp", "", data
    yield from others()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    folder.mkdir(parents=True, exist_ok=True)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    for name, setting, data in pictures():
        (folder / name).write_bytes(data)
        ImageFile.LOAD_TRUNCATED_IMAGES = setting == "load"
        try:
            image = Image.open(io.BytesIO(data))
            image = ImageOps.exif_transpose(image) if setting == "apply" else image
            image = image.convert("RGB")
        except Exception as error:
            print(f"// {name}: {error!r}")
            continue
        print(f'    ("{name}", "{setting}", {image.width}, {image.height}, 0x{fnv(image.tobytes()):08X}),')
