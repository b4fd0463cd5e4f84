"""Makes the odd pictures of tests/integration/decode.rs and prints what Pillow makes of them.

    pip install 'pillow<13' numpy
    python make_pictures.py [FOLDER]    # ../data/decode

No encoder writes most of these, but cameras, scanners and scripts of the last thirty years did. So
the bytes are put together here: JPEGs from random coefficients, GIFs from uncompressed codes.
"""

import io
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "data" / "decode"
W, H = 29, 22


def segment(code, content):
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + bytes(content)


class Bits:
    def __init__(self):
        self.bits = []

    def put(self, value, count):
        self.bits += [value >> place & 1 for place in reversed(range(count))]

    def bytes(self):
        bits = self.bits + [1] * (-len(self.bits) % 8)
        packed = np.packbits(np.array(bits, np.uint8)).tobytes() if bits else b""
        return packed.replace(b"\xff", b"\xff\x00")


# Codes of equal length: 4 bits for DC, 8 bits for AC, each its index.
DC = list(range(12))
AC = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]


def tables(complete):
    # All 16 codes of 4 bits are in use: one of ones only, against ITU T.81.
    dc = DC + [0] * 4 if complete else DC
    return segment(0xC4, [0x00, 0, 0, 0, len(dc)] + [0] * 12 + dc) + segment(
        0xC4, [0x10] + [0] * 7 + [len(AC)] + [0] * 8 + AC
    )


def magnitude(bits, value):
    size = abs(value).bit_length()
    bits.put(value if value >= 0 else value + (1 << size) - 1, size)


def code_block(bits, block, before, dc, ac):
    if dc:
        difference = int(block[0]) - before
        bits.put(DC.index(abs(difference).bit_length()), 4)
        magnitude(bits, difference)
    if ac:
        run = 0
        for value in map(int, block[1:]):
            if value == 0:
                run += 1
                continue
            while run > 15:
                bits.put(AC.index(0xF0), 8)
                run -= 16
            bits.put(AC.index(run << 4 | abs(value).bit_length()), 8)
            magnitude(bits, value)
            run = 0
        if run:
            bits.put(AC.index(0), 8)


def jpeg(parts, size=(W, H), scans=None, markers=b"", restart=0, progressive=False, seed=1,
         complete=False):
    """A JPEG of (id, samples across, samples down) for each component."""
    width, height = size
    across = max(part[1] for part in parts)
    down = max(part[2] for part in parts)
    groups = (-(-width // (8 * across)), -(-height // (8 * down)))
    random = np.random.default_rng(seed)
    blocks = []
    for _, h, v in parts:
        grid = np.zeros((groups[1] * v, groups[0] * h, 64), int)
        grid[..., 0] = random.integers(-40, 40, grid.shape[:2])
        grid[..., 1:9] = random.integers(-12, 12, (*grid.shape[:2], 8))
        grid[..., 40] = random.integers(-1, 2, grid.shape[:2])
        blocks.append(grid)
    out = b"\xff\xd8" + markers
    for index in range(len(parts)):
        out += segment(0xDB, [index] + [8 + index] * 8 + [20] * 56)
    frame = struct.pack(">BHHB", 8, height, width, len(parts))
    for index, (id, h, v) in enumerate(parts):
        frame += bytes([id, h << 4 | v, index])
    out += segment(0xC2 if progressive else 0xC0, frame) + tables(complete)
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    if progressive:
        jobs = [(list(range(len(parts))), True, False)] + [([i], False, True) for i in range(len(parts))]
    else:
        jobs = [(scan, True, True) for scan in scans or [list(range(len(parts)))]]
    for scan, dc, ac in jobs:
        out += segment(0xDA, [len(scan)] + [b for i in scan for b in (parts[i][0], 0)]
                       + [0 if dc else 1, 63 if ac else 0, 0])
        if len(scan) == 1:
            _, h, v = parts[scan[0]]
            rows = -(-(-(-height * v // down)) // 8)
            columns = -(-(-(-width * h // across)) // 8)
            order = [[(scan[0], y, x)] for y in range(rows) for x in range(columns)]
        else:
            order = [[(i, y * parts[i][2] + b, x * parts[i][1] + a) for i in scan
                      for b in range(parts[i][2]) for a in range(parts[i][1])]
                     for y in range(groups[1]) for x in range(groups[0])]
        bits, before = Bits(), {}
        for count, group in enumerate(order):
            if restart and count and count % restart == 0:
                out += bits.bytes() + bytes([0xFF, 0xD0 + (count // restart - 1) % 8])
                bits, before = Bits(), {}
            for i, y, x in group:
                code_block(bits, blocks[i][y, x], before.get(i, 0), dc, ac)
                before[i] = int(blocks[i][y, x, 0])
        out += bits.bytes()
    return out + b"\xff\xd9"


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def yuv(*factors):
    return [(i + 1, *factor) for i, factor in enumerate(factors)]


def jpegs():
    rgb = [(ord(letter), 1, 1) for letter in "RGB"]
    full, double, tall, quad = (1, 1), (2, 1), (1, 2), (2, 2)
    yield "rgb_ids", jpeg(rgb)
    yield "rgb_ids_jfif", jpeg(rgb, markers=JFIF)
    yield "rgb_ids_ycc", jpeg(rgb, markers=adobe(1))
    yield "rgb_jfif_adobe", jpeg(yuv(full, full, full), markers=JFIF + adobe(0))
    yield "rgb_422", jpeg(yuv(double, full, full), markers=adobe(0))
    yield "rgb_420", jpeg(yuv(quad, full, full), markers=adobe(0))
    yield "rgb_green_fine", jpeg([(82, 1, 1), (71, 2, 2), (66, 1, 1)])
    yield "cmyk_420", jpeg(yuv(quad, full, full, quad), markers=adobe(0))
    yield "cmyk_422_black_coarse", jpeg(yuv(double, double, double, full))
    yield "ycck_420", jpeg(yuv(quad, full, full, quad), markers=adobe(2))
    yield "ycck_440", jpeg(yuv(tall, full, full, tall), markers=adobe(2))
    yield "ycck_all_coarse", jpeg(yuv(quad, full, full, full), markers=adobe(2))
    yield "ycc_440", jpeg(yuv(tall, full, full))
    yield "ycc_411", jpeg(yuv((4, 1), full, full))
    yield "ycc_410", jpeg(yuv((4, 2), full, full))
    yield "ycc_441", jpeg(yuv((1, 4), full, full))
    yield "ycc_311", jpeg(yuv((3, 1), full, full))
    yield "ycc_22_21_11", jpeg(yuv(quad, double, full))
    yield "ycc_22_12_21", jpeg(yuv(quad, tall, double))
    yield "ycc_chroma_finer", jpeg(yuv(full, double, double))
    yield "ycc_chroma_finest", jpeg(yuv(full, quad, full))
    yield "ycc_21_21_21", jpeg(yuv(double, double, double))
    yield "two_and_one", jpeg(yuv(quad, full, full), scans=[[0, 1], [2]])
    yield "one_and_two", jpeg(yuv(quad, full, full), scans=[[0], [1, 2]])
    yield "one_and_two_restart", jpeg(yuv(double, full, full), scans=[[0], [1, 2]], restart=2)
    yield "cmyk_two_and_two", jpeg(yuv(full, full, full, full), scans=[[0, 3], [1, 2]])
    yield "apart", jpeg(yuv(quad, full, full), scans=[[0], [1], [2]])
    yield "apart_odd", jpeg(yuv(full, quad, double), scans=[[2], [0], [1]])
    yield "progressive_cmyk_420", jpeg(yuv(quad, full, full, quad), markers=adobe(2), progressive=True)
    yield "progressive_finer", jpeg(yuv(full, double, double), progressive=True)
    yield "grey_22", jpeg(yuv(quad))
    yield "same_ids", jpeg([(1, 2, 2), (1, 1, 1), (1, 1, 1)])
    yield "zeros_for_end", jpeg(yuv(quad, full, full))[:-2] + bytes(64)
    yield "zeros_after_end", jpeg(yuv(quad, full, full)) + bytes(64)
    restarts = jpeg(yuv(quad, full, full), restart=1)
    yield "restart_at_end", restarts[:-2] + b"\xff\xd3\xff\xd9"
    for width, height in ((1, 1), (2, 3), (3, 5), (4, 4), (5, 2), (6, 7)):
        for name, factor in (("420", quad), ("422", double), ("440", tall)):
            yield f"{name}_{width}x{height}", jpeg(yuv(factor, full, full), size=(width, height))
    # What libjpeg skips.
    plain = jpeg(yuv(quad, full, full))
    tables_at = plain.index(b"\xff\xdb")
    yield "junk_between", plain[:tables_at] + b"\xff\x00\x12junk" + plain[tables_at:]
    yield "bad_exif", plain[:2] + segment(0xE1, b"Exif\0\0MM\0\x2a\xff\xff\xff\xff") + plain[2:]
    yield "short_adobe", plain[:2] + segment(0xEE, b"Ado") + segment(0xE0, b"JF") + plain[2:]
    unused = segment(0xC4, [0x13] + [9] + [0] * 15 + [1] * 9)
    yield "bad_unused_table", plain[:tables_at] + unused + plain[tables_at:]


def gif(frame, screen=(W, H), palette=64, local=0, transparent=None, background=3, indices=64):
    """A GIF with one frame of (left, top, width, height), its codes uncompressed."""
    def table(count, seed):
        return np.random.default_rng(seed).integers(0, 256, 3 * count, np.uint8).tobytes()

    def flags(count):
        return 0x80 | count.bit_length() - 2 if count else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *screen, flags(palette), background, 0) + table(palette, 5)
    if transparent is not None:
        out += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
    out += b"," + struct.pack("<HHHHB", *frame, flags(local)) + table(local, 6) + bytes([8])
    pixels = np.random.default_rng(7).integers(0, indices, frame[2] * frame[3])
    codes = [code for i, pixel in enumerate(pixels) for code in ([256] if i % 100 == 0 else []) + [pixel]]
    bits = "".join(f"{code:09b}" for code in reversed(codes + [257]))
    data = int(bits, 2).to_bytes(-(-len(bits) // 8), "little")
    for start in range(0, len(data), 255):
        out += bytes([len(data[start:start + 255])]) + data[start:start + 255]
    return out + b"\0;"


def gifs():
    yield "small_frame", gif((5, 3, 12, 9))
    yield "small_transparent", gif((5, 3, 12, 9), transparent=9)
    yield "beyond_screen", gif((20, 10, 9, 12), screen=(16, 12))
    yield "beyond_across", gif((4, 2, 25, 9), screen=(16, 22))
    yield "no_screen", gif((0, 0, W, H), screen=(0, 0))
    yield "own_palette", gif((1, 2, 12, 9), local=16, indices=16)
    yield "own_palette_only", gif((1, 2, 12, 9), palette=0, local=16, indices=16)
    yield "no_palette", gif((5, 3, 12, 9), palette=0)
    yield "short_palette", gif((5, 3, 12, 9), palette=16, indices=200)


def webps():
    y, x = np.mgrid[0:H, 0:W]
    picture = np.stack([x * 8, 255 - x * 5, y * 9, (x * 9 + y * 7) % 256], -1).astype(np.uint8)

    def chunk(name, content):
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    def three(number):
        return struct.pack("<I", number)[:3]

    def animation(size, place, flags, background, **options):
        still = io.BytesIO()
        Image.fromarray(picture[:size[1], :size[0]]).save(still, "WEBP", exact=True, **options)
        image = still.getvalue()[12:]
        if image[:4] == b"VP8X":
            image = image[18:]
        frame = (three(place[0] // 2) + three(place[1] // 2) + three(size[0] - 1)
                 + three(size[1] - 1) + three(100) + bytes([flags]) + image)
        content = (chunk(b"VP8X", bytes([0x12, 0, 0, 0]) + three(W - 1) + three(H - 1))
                   + chunk(b"ANIM", bytes(background) + b"\0\0") + chunk(b"ANMF", frame))
        return chunk(b"RIFF", b"WEBP" + content)

    lossless, lossy = {"lossless": True}, {"quality": 80}
    yield "blended", animation((W, H), (0, 0), 0, (0, 0, 0, 0), **lossless)
    yield "blended_background", animation((W, H), (0, 0), 0, (9, 200, 90, 255), **lossless)
    yield "unblended", animation((W, H), (0, 0), 2, (9, 200, 90, 255), **lossless)
    yield "blended_lossy", animation((W, H), (0, 0), 0, (9, 200, 90, 128), **lossy)
    yield "partial", animation((13, 9), (6, 4), 0, (9, 200, 90, 255), **lossless)
    yield "partial_lossy", animation((13, 9), (6, 4), 1, (9, 200, 90, 255), **lossy)


def fnv(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    pictures = [(f"{name}.jpg", data) for name, data in jpegs()]
    pictures += [(f"{name}.gif", data) for name, data in gifs()]
    pictures += [(f"{name}.webp", data) for name, data in webps()]
    for name, data in pictures:
        (folder / name).write_bytes(data)
        try:
            image = Image.open(io.BytesIO(data)).convert("RGB")
        except Exception as error:
            print(f"// {name}: {error}")
            continue
        print(f'    ("{name}", {image.width}, {image.height}, 0x{fnv(image.tobytes()):08X}),')
