"""Makes the folders and golden files of tests/integration/transformers.rs.

    pip install torch==2.15.0 transformers==5.24.0 safetensors 'pillow<13'
    python make_transformers.py                 # ../data/transformers/*
    python make_transformers.py real FOLDER     # the real sizes, of which nothing is kept in the repository

Small networks with random numbers, written by save_pretrained, look at the sixty images of make_golden.py,
prepared by the image processors that work with Pillow; what they give is kept in golden.safetensors, a
tensor (image, feature) for each network and pooling.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers as T
from PIL import Image
from safetensors.torch import save_file

import make_golden

DATA = Path(__file__).resolve().parent.parent / "data"
OUT = DATA / "transformers"


def pictures():
    drawn = [Image.fromarray(make_golden.scene(seed, *size)) for seed, size in make_golden.LOSSLESS]
    folder = DATA / "parity"
    return drawn + [Image.open(folder / f"{seed}.jpg").convert("RGB") for seed, _ in make_golden.JPEGS]


def processor(kind, **options):
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    kinds = {
        "bit": BitImageProcessorPil,
        "clip": CLIPImageProcessorPil,
        "siglip": SiglipImageProcessorPil,
        "vit": ViTImageProcessorPil,
    }
    return kinds[kind](**options)


TEXT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=50,
            max_position_embeddings=8, bos_token_id=1, eos_token_id=2)
TINY = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=2)


def small():
    """Name, network, processor, dtype of the file, shard size."""
    vision = dict(TINY, image_size=32, patch_size=8, intermediate_size=40)
    imagenet = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    yield ("dinov2", T.Dinov2Model(T.Dinov2Config(**TINY, mlp_ratio=2, image_size=70, patch_size=7)),
           processor("bit", size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42}, **imagenet),
           torch.float32, None)
    yield ("dinov2_registers",
           T.Dinov2WithRegistersModel(T.Dinov2WithRegistersConfig(
               **TINY, mlp_ratio=2, image_size=70, patch_size=7, num_register_tokens=3, qkv_bias=False)),
           processor("bit", size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42}, **imagenet),
           torch.float16, None)
    yield ("clip", T.CLIPModel(T.CLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=20)),
           processor("clip", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
           torch.float32, "30KB")
    yield ("clip_vision", T.CLIPVisionModelWithProjection(T.CLIPVisionConfig(
               **vision, projection_dim=20, hidden_act="gelu")),
           processor("clip", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
           torch.bfloat16, None)
    yield ("siglip", T.SiglipVisionModel(T.SiglipVisionConfig(**vision)),
           processor("siglip", size={"height": 32, "width": 32}), torch.float32, None)
    yield ("vit", T.ViTModel(T.ViTConfig(**vision)),
           processor("vit", size={"height": 32, "width": 32}), torch.float32, None)


def real():
    imagenet = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
    yield ("dinov2_small", T.Dinov2Model(T.Dinov2Config(
               hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14)),
           processor("bit", size={"shortest_edge": 256}, **imagenet), torch.float32, None)
    yield ("clip_vit_b32", T.CLIPVisionModelWithProjection(T.CLIPVisionConfig()),
           processor("clip"), torch.float32, None)


def randomise(model, seed):
    """Everything far from zero and from one, so that nothing left out goes unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1 and not any(part in name for part in ("position", "token", "probe")):
                parameter.copy_(noise * (1.5 / parameter[0].numel()) ** 0.5)
            elif name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "lambda1", "layernorm_before.weight",
                                "layernorm_after.weight")):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(0.3 * noise)


def poolings(name, model, pixels, prefix, **options):
    """What each pooling gives, by the reference's own names for it."""
    with torch.no_grad():
        out = (model.vision_model if isinstance(model, T.CLIPModel) else model)(pixel_values=pixels, **options)
        tokens = out.last_hidden_state
        given = {"avg": tokens[:, prefix:].mean(1), "max": tokens[:, prefix:].amax(1)}
        if isinstance(model, T.CLIPModel):
            given["projection"] = model.visual_projection(out.pooler_output)
            given["cls"] = out.pooler_output
        elif isinstance(model, T.CLIPVisionModelWithProjection):
            given["projection"] = out.image_embeds
        elif isinstance(model, T.SiglipVisionModel):
            given["projection"] = out.pooler_output
        else:
            given["cls"] = tokens[:, 0]
        given["none"] = tokens.flatten(1)
        return given


def make(networks, folder, keep_all):
    golden = {}
    images = pictures()
    for seed, (name, model, prepare, dtype, shard) in enumerate(networks):
        randomise(model, seed)
        model = model.to(dtype)
        here = folder / name
        shutil.rmtree(here, ignore_errors=True)
        model.save_pretrained(here, **({"max_shard_size": shard} if shard else {}))
        prepare.save_pretrained(here)
        model = model.float().eval()
        config = json.loads((here / "config.json").read_text())
        prefix = 0 if name == "siglip" else 1 + config.get("num_register_tokens", 0)
        pixels = torch.from_numpy(np.stack([prepare(image)["pixel_values"][0] for image in images]))
        if keep_all:
            golden[f"{name}.pixels"] = pixels[3:4].permute(0, 2, 3, 1).contiguous()
        for pooling, values in poolings(name, model, pixels, prefix).items():
            # All tokens of all images would be too many.
            golden[f"{name}.{pooling}"] = values[:4 if pooling == "none" else None].clone()
        side = pixels.shape[-1]
        if keep_all:
            # Another size than the positions were made for.
            wide = dict(size={k: v * 3 // 2 for k, v in dict(prepare.size).items() if v})
            if prepare.do_center_crop:
                wide["crop_size"] = {"height": side * 3 // 2, "width": side * 3 // 2}
            pixels = torch.from_numpy(np.stack([prepare(image, **wide)["pixel_values"][0] for image in images[:6]]))
            options = {} if name.startswith("dinov2") else {"interpolate_pos_encoding": True}
            given = poolings(name, model, pixels, prefix, **options)
            golden[f"{name}.wide"] = given.get("projection", given.get("cls")).clone()
    save_file(golden, folder / "golden.safetensors")
    print({name: tuple(values.shape) for name, values in golden.items()})


if __name__ == "__main__":
    torch.set_num_threads(2)
    if sys.argv[1:2] == ["real"]:
        make(real(), Path(sys.argv[2]), False)
    else:
        make(small(), OUT, True)
