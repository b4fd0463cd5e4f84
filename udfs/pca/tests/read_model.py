"""Reads a stored PCA model in Python and applies it: pip install safetensors numpy

python udfs/pca/tests/read_model.py udfs/pca/tests/data/tall.safetensors
"""

import hashlib
import sys

import numpy as np
from safetensors import safe_open

path = sys.argv[1]
with safe_open(path, framework="numpy") as f:
    metadata = f.metadata()
    model = {name: f.get_tensor(name) for name in f.keys()}

assert metadata["format"] == "datafusion-featurize.pca", metadata
assert metadata["version"] in ["1", "2"], metadata

# The checksum covers the metadata and the tensors.
digest = hashlib.sha256()
added = [key for key in ["with_mean", "n_requested"] if key in metadata]
for key in ["format", "version", "n_samples", "n_null_rows", "convention", "scaled"] + added:
    digest.update(f"{key}={metadata[key]}\n".encode())
for name in sorted(model):
    digest.update(f"{name}={model[name].size}\n".encode())
    digest.update(model[name].astype("<f8").tobytes())
assert digest.hexdigest() == metadata["sha256"], "the checksum does not match"

k, d = model["components"].shape
assert np.allclose(model["components"] @ model["components"].T, np.eye(k), atol=1e-12)


centred = metadata.get("with_mean", str(metadata["convention"] == "scikit-learn").lower()) == "true"


def transform(x):
    z = x - model["mean"] if centred else x
    # A scale of 0 stands for a column that becomes 0.
    scaled = np.divide(z, model["scale"], out=np.zeros_like(z), where=model["scale"] != 0)
    return scaled @ model["components"].T


assert not centred or np.allclose(transform(model["mean"]), 0)
print(f"{d} columns, {k} components of {metadata['n_samples']} rows, ratio", model["explained_variance_ratio"])

if path.endswith("tall.safetensors"):
    # The rows that the model was fitted on, see tests/pca/golden.rs.
    i, j = np.ogrid[:40, :4]
    x = ((i * 37 + j * 11 + i * i * j * 7) % 29) / 8.0 - (j % 3)
    assert np.allclose(transform(x).var(axis=0, ddof=1), model["explained_variance"])
