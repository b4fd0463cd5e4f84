"""Makes the small JPEG 2000 and AVIF pictures of tests/integration/codecs.rs, and prints what Pillow
makes of them.

    pip install pillow==13.0.0 imagecodecs==2026.3.6 numpy
    python make_codecs.py [FOLDER]    # ../data/codecs

Pillow's wheel has OpenJPEG, libavif, dav1d and libyuv. What it cannot write, imagecodecs does (other
bits, matrices), or bytes are put in here (palettes, inks, the range of levels).
"""

import io
import struct
import sys
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from make_kinds import fnv

DATA = Path(__file__).resolve().parent.parent / "data" / "codecs"
W, H = 31, 21
RANDOM = np.random.RandomState(20)
RGB = RANDOM.randint(0, 256, (H, W, 3)).astype(np.uint8)
ALPHA = RANDOM.randint(0, 256, (H, W)).astype(np.uint8)
GREY = RGB[..., 0].copy()
SMOOTH = np.asarray(Image.fromarray(RGB[:4, :5]).resize((W, H), Image.Resampling.BICUBIC))


def saved(array, form, **options):
    out = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(out, form, **options)
    return out.getvalue()


def box(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_boxes(jp2, header):
    """The file with other boxes in its header."""
    at = jp2.index(b"jp2h") - 4
    length = struct.unpack(">I", jp2[at : at + 4])[0]
    image_header = jp2[at + 8 : at + 30]
    return jp2[:at] + box(b"jp2h", image_header + header) + jp2[at + length :]


def jpeg2000():
    def jp2(array, **options):
        return saved(array, "JPEG2000", **{"num_resolutions": 3, **options})

    yield "rgb.jp2", jp2(RGB)
    yield "rgb.j2k", jp2(RGB, no_jp2=True)
    yield "tiles.jp2", jp2(RGB, tile_size=(16, 16))
    yield "layers.jp2", jp2(RGB, quality_layers=[4, 2, 0], quality_mode="rates")
    yield "no_transform.jp2", jp2(RGB, mct=0)
    yield "rgba.jp2", jp2(np.dstack([RGB, ALPHA]))
    yield "grey.jp2", jp2(GREY)
    yield "grey_alpha.jp2", jp2(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"))
    yield "signed.jp2", jp2(RGB, signed=True)
    yield "grey16.jp2", jp2(GREY.astype(np.uint16) * 257 + 7)
    for bits in (4, 12):
        # Pillow rounds the brightest levels of more than eight bits up to 256, which it stores as 0.
        levels = np.minimum((RGB.astype(np.uint16) * 257) >> (16 - bits), 4080)
        yield f"rgb{bits}.jp2", imagecodecs.jpeg2k_encode(
            levels.astype(np.uint8 if bits < 8 else np.uint16), bitspersample=bits, reversible=True)
    # An enumerated colour space: method, precedence, approximation, and CMYK's number.
    inks = jp2(np.dstack([RGB, ALPHA]))
    yield "cmyk.jp2", with_boxes(inks, box(b"colr", bytes([1, 0, 0, 0, 0, 0, 12])))
    # Entries, columns and their bits; then each channel is component 0 through a column.
    palette = struct.pack(">HB", 256, 3) + bytes([7, 7, 7]) + RANDOM.bytes(768)
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(3))
    yield "palette.jp2", with_boxes(
        jp2(GREY), box(b"colr", bytes([1, 0, 0, 0, 0, 0, 16])) + box(b"pclr", palette) + box(b"cmap", mapping))
    yield "flat_rgba.jp2", saved(Image.new("RGBA", (2000, 2000), (10, 200, 30, 99)), "JPEG2000")
    yield "real.jp2", jp2(SMOOTH, irreversible=True, quality_layers=[30], quality_mode="rates")


def avif():
    def avif(array, **options):
        return saved(array, "AVIF", **{"quality": 90, "speed": 9, "subsampling": "4:4:4", **options})

    yield "rgb.avif", avif(RGB)
    yield "rgba.avif", avif(np.dstack([RGB, ALPHA]))
    for name in ("4:2:2", "4:2:0", "4:0:0"):
        yield f"rgb_{name.replace(':', '')}.avif", avif(RGB, subsampling=name)
    for name in ("4:4:4", "4:2:0", "4:0:0"):
        yield f"limited_{name.replace(':', '')}.avif", avif(RGB, subsampling=name, range="limited")
    for width in (1, 2, 3):
        yield f"narrow{width}.avif", avif(np.ascontiguousarray(RGB[:3, :width]), subsampling="4:2:0")
    for number in range(2, 9):
        exif = Image.Exif()
        exif[274] = number
        yield f"orientation{number}.avif", avif(np.ascontiguousarray(RGB[:9, :7]), exif=exif)
    for bits, layout, matrix in ((8, "444", 1), (8, "420", 9), (8, "444", 0), (10, "420", 1), (12, "422", 9),
                                 (12, "400", 6), (10, "444", 0)):
        levels = RGB.astype(np.uint16) << (bits - 8) if bits > 8 else RGB
        data = imagecodecs.avif_encode(
            levels, level=90, speed=9, bitspersample=bits, pixelformat=layout, matrix=matrix)
        yield f"bits{bits}_{layout}_{matrix}.avif", data
        if (bits, matrix) in ((8, 1), (8, 9)):
            # The box goes before the frame: primaries, transfer and matrix in two bytes each, the range.
            at = data.index(b"nclx") + 10
            yield f"limited_{layout}_{matrix}.avif", data[:at] + b"\0" + data[at + 1 :]


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    folder.mkdir(exist_ok=True)
    for files, title in ((jpeg2000(), "JPEG_2000"), (avif(), "AVIF")):
        print(title)
        for name, data in files:
            (folder / name).write_bytes(data)
            image = Image.open(io.BytesIO(data))
            if image.mode == "I;16":  # Pillow would clip at 255.
                grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
                pixels = np.repeat(grey[..., None], 3, -1)
            else:
                pixels = np.asarray(image.convert("RGB"))
            if name == "real.jp2":
                Image.fromarray(pixels).save(folder / "real.png", optimize=True)
                continue
            height, width = pixels.shape[:2]
            print(f'    ("{name}", {width}, {height}, 0x{fnv(pixels.tobytes()):08X}),')


if __name__ == "__main__":
    main()
