"""Makes the golden files of tests/integration/parity.rs.

    pip install tensorflow-cpu==2.21.0 keras==3.15.1 h5py safetensors 'pillow<13'
    pip install torch==2.15.0 torchvision==0.29.2
    python make_golden.py images                            # ../data/parity/*.jpg
    KERAS_BACKEND=torch python make_golden.py save FOLDER   # the weights files, and their hashes
    python make_golden.py keras FOLDER                      # ../data/parity/keras.safetensors
    KERAS_BACKEND=torch python make_golden.py torchvision   # ../data/parity/torchvision.safetensors

Sixty images go through VGG16 and MobileNetV2 with the same random weights on both sides, the seeded
ones (src/weights/seeded.rs). Keras saves them in both of its layouts, as Keras 2 and Keras 3 do, and
loads them again before it is asked. Vectors of 25,088 numbers are too long to be kept, so 64 random
projections are (Alon, Matias and Szegedy, "The space complexity of approximating the frequency
moments", STOC 1996): projection j adds the numbers up with the signs in bit j of a hash of their
index. The mean of the squared differences between the projections of two vectors is an unbiased
estimate of the squared distance of the vectors, with a relative deviation of sqrt(2 / 64) = 18 %,
which is 9 % of the distance; with the norms it gives the cosine too.
"""

import hashlib
import io
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "data" / "parity"
U = np.uint64


def mix(x):
    """The finaliser of SplitMix64."""
    x = np.atleast_1d(np.asarray(x, U)) * U(0x9E3779B97F4A7C15)
    x = (x ^ (x >> U(30))) * U(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U(27))) * U(0x94D049BB133111EB)
    return x ^ (x >> U(31))


def hashed(seed, layer, a, b):
    key = U(seed) << U(48) | U(layer) << U(40) | np.asarray(a, U) << U(20) | np.asarray(b, U)
    return mix(key)


def noise(seed, layer, size, y, x):
    """Value noise from 0 to 255: random values on a lattice, interpolated between."""
    def corner(dy, dx):
        return (hashed(seed, layer, y // size + dy, x // size + dx) & U(255)).astype(np.int64)

    fy, fx = y % size, x % size
    top = corner(0, 0) * (size - fx) + corner(0, 1) * fx
    bottom = corner(1, 0) * (size - fx) + corner(1, 1) * fx
    return (top * (size - fy) + bottom * fy) // (size * size)


def scene(seed, width, height):
    """A picture with the spectrum of a photograph: clouds at four scales, colours that change
    slowly, a few objects with edges, the noise of a sensor. Integers only."""
    y, x = np.mgrid[0:height, 0:width]
    light = sum(noise(seed, o, 64 >> o, y, x) * (8 >> o) for o in range(4)) // 15
    out = []
    for c in range(3):
        value = (2 * light + noise(seed, 8 + c, 96, y, x)) // 3
        value = np.clip((value - 128) * 3 // 2 + 128, 0, 255)
        for i in range(6):
            h = int(hashed(seed, 200, i, 0)[0])
            least = min(width, height)
            cx, cy = h % width, (h >> 16) % height
            r = least // 10 + (h >> 32) % (least // 4)
            colour = (h >> (40 + 8 * c)) & 255
            dx, dy = np.abs(x - cx), np.abs(y - cy)
            inside = dx * dx + dy * dy < r * r if i % 2 else (dx < r) & (2 * dy < r)
            value = np.where(inside, (value + 3 * colour) // 4, value)
        grain = (hashed(seed, 16 + c, y, x) & U(7)).astype(np.int64) - 4
        out.append(np.clip(value + grain, 0, 255))
    return np.stack(out, -1).astype(np.uint8)


SIZES = [(224, 224), (320, 240), (180, 240), (97, 131), (300, 169), (48, 64), (256, 256),
         (211, 317), (400, 100), (150, 267), (333, 250), (65, 301)]
LOSSLESS = [(seed, SIZES[seed % 12]) for seed in range(28)]
JPEGS = [(seed, SIZES[(5 * seed + 1) % 12]) for seed in range(28, 60)]


def jpeg(seed, size):
    image = Image.fromarray(scene(seed, *size))
    options = {"quality": 50 + seed * 13 % 46, "subsampling": seed % 3}
    if seed % 4 == 1:
        options["progressive"] = True
    if seed % 5 == 2:
        options["optimize"] = True
    if seed % 7 == 3:
        options["restart_marker_rows"] = 2
    if seed % 16 == 5:
        image = image.convert("L")
        del options["subsampling"]
    if seed == 40:
        image = image.convert("CMYK")
        del options["subsampling"]
    data = io.BytesIO()
    image.save(data, "JPEG", **options)
    return data.getvalue()


def images():
    """What a network is shown: 224 by 224 pixels, by Pillow's decoder and bicubic filter."""
    for seed, size in LOSSLESS:
        yield np.asarray(Image.fromarray(scene(seed, *size)).resize((224, 224)))
    for seed, _ in JPEGS:
        image = Image.open(DATA / f"{seed}.jpg").convert("RGB")
        yield np.asarray(image.resize((224, 224)))


def seeded(name, shape):
    """The recipe of src/weights/seeded.rs."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    x = np.arange(1, 3 * np.prod(shape) + 1, dtype=U) * U(0x9E3779B97F4A7C15) + U(seed)
    x = (x ^ (x >> U(30))) * U(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U(27))) * U(0x94D049BB133111EB)
    x ^= x >> U(31)
    z = x.astype("<u8").view("<u2").reshape(-1, 12).sum(axis=1, dtype=np.int64) - 393210
    kind = name.split(".")[-1]
    fan_in = {"kernel": shape[:-1], "depthwise_kernel": shape[:-2]}.get(kind)
    mean = 1.0 if kind in ("gamma", "moving_variance") else 0.0
    deviation = np.sqrt(2.0 / np.prod(fan_in)) if fan_in else 0.1
    return (mean + z * (deviation / 65536.0)).astype("<f4").reshape(shape)


def sketch(vectors):
    """64 projections of each row on random signs."""
    length = vectors.shape[1]
    bits = mix(np.arange(1, length + 1, dtype=U))[:, None] >> np.arange(64, dtype=U) & U(1)
    signs = 1.0 - 2.0 * bits.astype(np.float64)
    return vectors.astype(np.float64) @ signs


def features(map_, pooled):
    return map_.mean((0, 1)) if pooled else map_.reshape(-1)


def save(name, tensors, full):
    from safetensors.numpy import save_file

    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, DATA / name)
    if "FULL" in os.environ:  # whole vectors, to check the sketch by
        save_file(full, os.environ["FULL"] + name)


def summarise(reference, network, single, double, tensors, full):
    single, double = np.array(single, np.float64), np.array(double, np.float64)
    norms = np.linalg.norm(double, axis=1)
    own = np.linalg.norm(single - double, axis=1) / norms
    print(reference, network, "f32 against f64: median %.1e max %.1e" % (np.median(own), own.max()))
    tensors[f"{network}.sketch"] = sketch(single)
    tensors[f"{network}.norm"] = np.linalg.norm(single, axis=1)
    full[f"{network}"] = single
    full[f"{network}.exact"] = double


def weights_of(layer):
    names = [v.name for v in layer.weights]
    if "depthwise" in layer.name:
        names = ["depthwise_kernel" if name == "kernel" else name for name in names]
    return [seeded(f"{layer.name}.{n}", tuple(v.shape)) for n, v in zip(names, layer.weights)]


def keras_model(network, policy):
    import keras

    keras.config.set_dtype_policy(policy)
    build = {"vgg16": keras.applications.VGG16, "mobilenet_v2": keras.applications.MobileNetV2}
    return build[network](weights=None, include_top=False, input_shape=(224, 224, 3))


def save_keras(folder):
    """The same weights in both layouts, as ../integration/keras.rs explains."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    for network in ("vgg16", "mobilenet_v2"):
        model = keras_model(network, "float32")
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(weights_of(layer))
        model.save_weights(f"{folder}/{network}_keras3.weights.h5")
        with h5py.File(f"{folder}/{network}_keras2.h5", "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        for name in (f"{network}_keras3.weights.h5", f"{network}_keras2.h5"):
            print(name, hashlib.sha256(open(f"{folder}/{name}", "rb").read()).hexdigest())


def keras_golden(folder):
    import keras

    print("Keras", keras.__version__, "on", keras.backend.backend())
    pixels = [image.astype(np.float32) for image in images()]
    tensors, full = {}, {}
    for network in ("vgg16", "mobilenet_v2"):
        outputs = {}
        for policy in ("float32", "float64"):
            for name in ("keras2.h5", "keras3.weights.h5"):
                model = keras_model(network, policy)
                model.load_weights(f"{folder}/{network}_{name}")
                if policy == "float32":
                    rows = outputs.setdefault(name, [])
                elif name == "keras2.h5":
                    rows = outputs.setdefault(policy, [])
                else:
                    continue
                for rgb in pixels:
                    if network == "vgg16":
                        x = rgb[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
                    else:
                        x = rgb / np.float32(127.5) - np.float32(1)
                    map_ = np.asarray(model(x[None].astype(policy), training=False))[0]
                    rows.append(features(map_, network != "vgg16"))
        # The layouts hold the same numbers, so the features are the same to the bit.
        assert np.array_equal(outputs["keras2.h5"], outputs["keras3.weights.h5"])
        summarise("keras", network, outputs["keras2.h5"], outputs["float64"], tensors, full)
    save("keras.safetensors", tensors, full)


def torchvision_golden(folder):
    import torch
    import torchvision

    print("torchvision", torchvision.__version__)
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    pixels = [(image.astype(np.float32) / np.float32(255) - mean) / deviation for image in images()]
    tensors, full = {}, {}
    for network in ("vgg16", "mobilenet_v2"):
        model = getattr(torchvision.models, network)(weights=None).eval()
        kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d)
        modules = [module for module in model.features.modules() if isinstance(module, kinds)]
        layers = [layer for layer in keras_model(network, "float32").layers if layer.weights]
        assert len(modules) == len(layers)
        with torch.no_grad():
            for module, layer in zip(modules, layers):
                values = [torch.from_numpy(value.copy()) for value in weights_of(layer)]
                if isinstance(module, torch.nn.Conv2d):
                    axes = (2, 3, 0, 1) if "depthwise" in layer.name else (3, 2, 0, 1)
                    values[0] = values[0].permute(axes)
                    places = (module.weight, module.bias)
                else:
                    places = (module.weight, module.bias, module.running_mean, module.running_var)
                for place, value in zip(places, values):
                    place.copy_(value)
            outputs = {}
            for dtype in (torch.float32, torch.float64):
                model = model.to(dtype)
                rows = outputs.setdefault(dtype, [])
                for x in pixels:
                    x = torch.from_numpy(x).permute(2, 0, 1)[None].to(dtype)
                    map_ = model.features(x)[0].permute(1, 2, 0).numpy()
                    rows.append(features(map_, network != "vgg16"))
        single, double = outputs[torch.float32], outputs[torch.float64]
        summarise("torchvision", network, single, double, tensors, full)
    save("torchvision.safetensors", tensors, full)


def fnv(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


if __name__ == "__main__":
    stage = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else "/tmp"
    if stage == "images":
        DATA.mkdir(parents=True, exist_ok=True)
        total = 0
        for seed, size in JPEGS:
            data = jpeg(seed, size)
            total += (DATA / f"{seed}.jpg").write_bytes(data)
        print("JPEG bytes", total)
        print("scenes", hex(fnv(b"".join(scene(seed, *size).tobytes() for seed, size in LOSSLESS[:4]))))
    elif stage == "save":
        save_keras(folder)
    elif stage == "keras":
        keras_golden(folder)
    elif stage == "torchvision":
        torchvision_golden(folder)
