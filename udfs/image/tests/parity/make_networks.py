"""Makes the golden file of tests/integration/networks.rs, beside make_golden.py (which see).

    pip install keras==3.15.1 safetensors 'pillow<13' torch==2.15.0 torchvision==0.29.2
    KERAS_BACKEND=torch python make_networks.py

Networks at sizes of images, each in Keras and in torchvision with the same seeded weights: sketches
and norms of the features of every twentieth of the sixty images, computed in 64 bits. The names that torchvision gives
its layers go into torchvision_layers.txt, in the order in which Keras makes the same layers.
"""

import keras
import numpy as np
import torch
import torchvision
from make_golden import DATA, JPEGS, LOSSLESS, scene, seeded, sketch
from PIL import Image
from safetensors.numpy import save_file

A = keras.applications
SHAPES = [("resnet50", 75), ("inception_v3", 100)]


EVERY = 20  # of the sixty images: EVERY=1 makes all


def originals():
    drawn = [(seed, size) for seed, size in LOSSLESS if seed % EVERY == 0]
    yield from (Image.fromarray(scene(seed, *size)) for seed, size in drawn)
    for seed, _ in JPEGS:
        if seed % EVERY == 0:
            yield Image.open(DATA / f"{seed}.jpg").convert("RGB")


def width(network):
    return int(network[-3:]) / 100 if network[-1].isdigit() and "mobilenet" in network[:-4] else 1.0


def keras_model(network, side):
    keras.backend.clear_session()
    keras.config.set_dtype_policy("float64")
    options = dict(weights=None, include_top=False, input_shape=(side, side, 3))
    if network.startswith("mobilenet"):
        return A.MobileNetV2(alpha=width(network), **options)
    return {"resnet50": A.ResNet50, "inception_v3": A.InceptionV3, "vgg16": A.VGG16}[network](**options)


def variables(layer):
    names = [v.name for v in layer.weights]
    if "depthwise" in layer.name:
        names = ["depthwise_kernel" if name == "kernel" else name for name in names]
    return {n: seeded(f"{layer.name}.{n}", tuple(v.shape)) for n, v in zip(names, layer.weights)}


def made(model):
    """Pairs of a convolution and its normalisation, in the order in which Keras made them."""
    layers = [layer for layer in model.layers if layer.weights]
    convs = [layer for layer in layers if "Conv" in type(layer).__name__]
    norms = [layer for layer in layers if "Batch" in type(layer).__name__]
    if model.name.startswith("inception"):
        number = lambda layer: int(("_0" + layer.name).rsplit("_", 1)[1]) if layer.name[-1].isdigit() and "_" in layer.name.replace("batch_n", "") else 0
        convs, norms = sorted(convs, key=number), sorted(norms, key=number)
    return convs, norms


def torch_model(network):
    if network.startswith("mobilenet"):
        return torchvision.models.mobilenet_v2(weights=None, width_mult=width(network))
    if network == "inception_v3":
        return torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=True)
    return getattr(torchvision.models, network)(weights=None)


def torch_layers(network, model):
    """Modules as the convolutions of Keras, and their normalisations."""
    named = [(n, m) for n, m in model.named_modules() if not n.startswith(("AuxLogits", "classifier"))]
    convs = [(n, m) for n, m in named if isinstance(m, torch.nn.Conv2d)]
    norms = [(n, m) for n, m in named if isinstance(m, torch.nn.BatchNorm2d)]
    if network == "resnet50":  # Keras makes the shortcut after the second convolution
        def order(pair):
            name = pair[0].replace("downsample.0", "conv2z").replace("downsample.1", "bn2z")
            return (name.startswith("layer"), name)
        convs, norms = sorted(convs, key=order), sorted(norms, key=order)
    return convs, norms


def copy(place, value):
    place.data.copy_(torch.from_numpy(np.ascontiguousarray(value)).to(place.dtype))


def fill_torch(network, keras_layers, model, lines):
    kc, kn = keras_layers
    tc, tn = torch_layers(network, model)
    assert len(kc) == len(tc) and len(kn) == len(tn), (len(kc), len(tc), len(kn), len(tn))
    for layer, (name, module) in zip(kc, tc):
        v = variables(layer)
        axes = (2, 3, 0, 1) if "depthwise" in layer.name else (3, 2, 0, 1)
        value = next(v[k] for k in v if k.endswith("kernel")).transpose(axes)
        copy(module.weight, value)
        if module.bias is not None:
            copy(module.bias, v["bias"])
        lines.append(f"{network} {layer.name} {name} {'x'.join(map(str, value.shape))}")
    for layer, (name, module) in zip(kn, tn):
        v = variables(layer)
        # What Keras has none of is one here too, in the seeded recipe.
        gamma = v.get("gamma", seeded(f"{layer.name}.gamma", v["beta"].shape))
        for place, value in ((module.weight, gamma), (module.bias, v["beta"]),
                             (module.running_mean, v["moving_mean"]), (module.running_var, v["moving_variance"])):
            copy(place, value)
        lines.append(f"{network} {layer.name} {name} {module.weight.shape[0]}")


def torch_features(network, model, x):
    if network == "inception_v3":
        x = model._transform_input(x)
        for name, part in model.named_children():
            if name == "AuxLogits":
                continue
            if name == "avgpool":
                return x
            x = part(x)
    if network == "resnet50":
        for name, part in model.named_children():
            if name == "avgpool":
                return x
            x = part(x)
    return model.features(x)


def features(map_, network):
    return map_.reshape(-1) if network == "vgg16" else map_.mean((0, 1))


def main():
    mean = np.array([0.485, 0.456, 0.406])
    deviation = np.array([0.229, 0.224, 0.225])
    tensors, lines, pictures = {}, [], list(originals())
    for network, side in SHAPES:
        pixels = [np.asarray(image.resize((side, side)), np.float64) for image in pictures]
        model = keras_model(network, side)
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(list(variables(layer).values()))
        rows = []
        for rgb in pixels:
            if network in ("vgg16", "resnet50"):
                x = rgb[..., ::-1] - np.array([103.939, 116.779, 123.68])
            else:
                x = rgb / 127.5 - 1
            with torch.no_grad():
                out = model(np.ascontiguousarray(x[None]), training=False)
            rows.append(features(out.detach().cpu().numpy()[0], network))
        other = torch_model(network)
        new = []
        fill_torch(network, made(model), other, new)
        lines += [line for line in new if line not in lines]
        other = other.eval().to(torch.float64)
        theirs = []
        for rgb in pixels:
            x = torch.from_numpy((rgb / 255 - mean) / deviation).permute(2, 0, 1)[None]
            with torch.no_grad():
                map_ = torch_features(network, other, x)[0].permute(1, 2, 0).numpy()
            theirs.append(features(map_, network))
        for library, vectors in (("keras", rows), ("torchvision", theirs)):
            vectors = np.array(vectors, np.float64)
            tensors[f"{library}.{network}.{side}.sketch"] = sketch(vectors)
            tensors[f"{library}.{network}.{side}.norm"] = np.linalg.norm(vectors, axis=1)
            print(library, network, side, vectors.shape, flush=True)
        save_file(tensors, DATA / "networks.safetensors")
        (DATA / "torchvision_layers.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
