"""Makes the ONNX files of tests/onnx.rs, and what comes of them.

    pip install onnx==1.23.2 numpy pillow
    python make_onnx.py                        # ../data/onnx/*

    pip install torch==2.15.0 torchvision==0.29.2 onnxscript safetensors
    python make_onnx.py torchvision FOLDER     # the real sizes, of which nothing is kept in the repository

The network is a convolution, ReLU, a global mean and a matrix. What comes of four JPEGs of ../data/parity,
prepared by Pillow, is computed here by NumPy in 64-bit floats, without any runtime of ONNX.
"""

import json
import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
OUT = DATA / "onnx"
IMAGES = [28, 31, 40, 59]
# As beside the files; and as in a setting, for the network that is fed blue first.
BESIDE = dict(size={"shortest_edge": 40}, resample=2, crop_size=32, rescale_factor=1 / 255,
              image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
SETTING = dict(size={"height": 32, "width": 32}, resample=3, do_rescale=False, do_flip_channel_order=True,
               image_mean=[103.939, 116.779, 123.68], image_std=[58.0, 57.0, 57.5])

random = np.random.default_rng(22)
KERNEL = random.normal(0, 0.4, (8, 3, 3, 3)).astype(np.float32)
BIAS = random.normal(0, 0.2, 8).astype(np.float32)
MATRIX = random.normal(0, 0.6, (8, 5)).astype(np.float32)
SHIFT = random.normal(0, 0.2, 5).astype(np.float32)


def prepared(image, how, side=None):
    """(height, width, 3), as the image processors of transformers do it with Pillow."""
    resample = how["resample"]
    if "shortest_edge" in how["size"]:
        edge, crop = how["size"]["shortest_edge"], how["crop_size"]
        if side:
            edge, crop = (edge * side + crop // 2) // crop, side
        short = min(image.size)
        size = tuple(edge if s == short else edge * s // short for s in image.size)
        left, top = (size[0] - crop) // 2, (size[1] - crop) // 2
        image = image.resize(size, resample).crop((left, top, left + crop, top + crop))
    else:
        image = image.resize((how["size"]["width"], how["size"]["height"]), resample)
    x = np.asarray(image).astype(np.float64)
    if how.get("do_rescale", True):
        x = x * how["rescale_factor"]
    if how.get("do_flip_channel_order"):
        x = x[..., ::-1]
    return (x - how["image_mean"]) / how["image_std"]


def network(x):
    """The map (8, height, width) and the features of (height, width, 3)."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((8, (height + 1) // 2, (width + 1) // 2)) + BIAS[:, None, None].astype(np.float64)
    for dy in range(3):
        for dx in range(3):
            part = padded[dy:dy + height:2, dx:dx + width:2]
            out += np.einsum("hwc,oc->ohw", part, KERNEL[:, :, dy, dx].astype(np.float64))
    out = np.maximum(out, 0)
    return out, out.mean((1, 2)) @ MATRIX.astype(np.float64) + SHIFT


def model(shape, outputs=("features",), pixels=False, of=None, extra=()):
    """A graph whose input is of this shape; `outputs` are some of 'map', 'features' and 'logits'."""
    from onnx import TensorProto as T, helper as h, numpy_helper
    of = of or T.FLOAT
    image = "images"
    nodes = []
    if of != T.FLOAT:
        nodes.append(h.make_node("Cast", [image], ["cast"], to=T.FLOAT))
        image = "cast"
    if pixels:
        nodes.append(h.make_node("Transpose", [image], ["planes"], perm=[0, 3, 1, 2]))
        image = "planes"
    nodes += [
        h.make_node("Conv", [image, "kernel", "bias"], ["sums"], strides=[2, 2], pads=[1, 1, 1, 1]),
        h.make_node("Relu", ["sums"], ["map"]),
        h.make_node("GlobalAveragePool", ["map"], ["mean"]),
        h.make_node("Flatten", ["mean"], ["flat"]),
        h.make_node("Gemm", ["flat", "matrix", "shift"], ["features"]),
    ]
    known = {
        "map": (T.FLOAT, ["batch", 8, "h", "w"]),
        "features": (T.FLOAT, ["batch", 5]),
        "logits": (T.FLOAT, ["batch", 5]),
        "half": (T.FLOAT16, ["batch", 5]),
    }
    if "logits" in outputs:
        nodes.append(h.make_node("Relu", ["features"], ["logits"]))
    if "half" in outputs:
        nodes.append(h.make_node("Cast", ["features"], ["half"], to=T.FLOAT16))
    inputs = [h.make_tensor_value_info("images", of, shape)]
    for name in extra:
        inputs.append(h.make_tensor_value_info(name, T.INT64, [1]))
        nodes.append(h.make_node("Identity", [name], [name + "_again"]))
    graph = h.make_graph(
        nodes, "tiny", inputs,
        [h.make_tensor_value_info(name, *known[name]) for name in outputs],
        [numpy_helper.from_array(a, n) for a, n in
         [(KERNEL, "kernel"), (BIAS, "bias"), (MATRIX, "matrix"), (SHIFT, "shift")]],
    )
    # What onnxruntime 1.18 knows.
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8, producer_name="make_onnx.py")


def tiny():
    import onnx
    from onnx import TensorProto as T
    from PIL import Image

    OUT.mkdir(exist_ok=True)
    (OUT / "refused").mkdir(exist_ok=True)
    (OUT / "preprocessor_config.json").write_text(json.dumps(BESIDE, indent=2) + "\n")
    (OUT / "setting.json").write_text(json.dumps(SETTING) + "\n")
    free = ["batch", 3, "height", "width"]
    onnx.save(model(free, ("map", "features")), OUT / "free.onnx")
    onnx.save(model([1, 32, 32, 3], pixels=True), OUT / "pixels.onnx")
    onnx.save_model(model(free), OUT / "beside.onnx", save_as_external_data=True, location="beside.onnx.data",
                    size_threshold=0)
    refused = OUT / "refused"
    onnx.save(model([8, 3, 32, 32]), refused / "eight.onnx")
    onnx.save(model([1, 3, 32, 16]), refused / "oblong.onnx")
    onnx.save(model([1, 3, 32, 32], of=T.UINT8), refused / "bytes.onnx")
    onnx.save(model(free, extra=("ids",)), refused / "two_inputs.onnx")
    onnx.save(model(free, ("features", "logits")), refused / "two_outputs.onnx")
    onnx.save(model(free, ("half",)), refused / "half.onnx")
    unknown = model(free)
    unknown.graph.node[0].op_type = "Convolve"
    onnx.save(unknown, refused / "unknown.onnx")

    images = [Image.open(DATA / "parity" / f"{n}.jpg").convert("RGB") for n in IMAGES]
    golden = {
        "beside": [network(prepared(i, BESIDE))[1].tolist() for i in images],
        "map_at_24": [network(prepared(i, BESIDE, 24))[0].reshape(-1).tolist() for i in images[:1]],
        "setting": [network(prepared(i, SETTING))[1].tolist() for i in images],
    }
    rounded = {name: [[float(f"{v:.9g}") for v in vector] for vector in vectors] for name, vectors in golden.items()}
    (OUT / "golden.json").write_text(json.dumps(rounded) + "\n")


def torchvision(folder):
    """Networks of torchvision with random numbers, each as ONNX and as safetensors, without the classifier."""
    import torch
    import torchvision as tv
    from safetensors.torch import save_file

    class Features(torch.nn.Module):
        def __init__(self, network, forward):
            super().__init__()
            self.network, self.of = network, forward

        def forward(self, images):
            return self.of(self.network, images)

    def resnet(m, x):
        x = m.maxpool(m.relu(m.bn1(m.conv1(x))))
        return m.layer4(m.layer3(m.layer2(m.layer1(x)))).mean((2, 3))

    torch.manual_seed(22)
    for name, forward in [
        ("mobilenet_v2", lambda m, x: m.features(x).mean((2, 3))),
        ("resnet50", resnet),
        # In the order height, width, channel.
        ("vgg16", lambda m, x: m.features(x).permute(0, 2, 3, 1).flatten(1)),
    ]:
        network = getattr(tv.models, name)(weights=None).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.1)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / f"{name}.safetensors")
        images = torch.randn(2, 3, 224, 224)
        # As by default: the numbers are in a file beside it.
        torch.onnx.export(Features(network, forward).eval(), (images,), folder / f"{name}.onnx", verbose=False,
                          dynamic_shapes={"images": {0: torch.export.Dim("batch")}})


if sys.argv[1:2] == ["torchvision"]:
    torchvision(Path(sys.argv[2]))
else:
    tiny()
