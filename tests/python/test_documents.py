"""What is told of the package is true: README, stubs, docstrings and the notebook."""

import ast
import pathlib
import re

import datafusion_featurize
import nbformat
from nbclient import NotebookClient


def test_six_lines_of_the_readme_make_a_matrix_a_model_and_a_file(root, tmp_path, monkeypatch):
    block = re.search(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL).group(1)
    assert len([line for line in block.splitlines() if line]) == 6
    (tmp_path / "examples").symlink_to(root / "examples")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(block, names)
    assert names["matrix"].shape == (48, 1280) and names["matrix"].dtype == "float32"
    scores = names["con"].sql("SELECT * FROM 'target/fruits/pca.parquet'")
    assert len(scores) == 48 and scores.columns == ["path", "pca"]


def test_stubs_are_complete():
    stubs = pathlib.Path(datafusion_featurize.__file__).with_suffix(".pyi")
    stubs = ast.parse(stubs.read_text())
    classes = {node.name: node for node in stubs.body if isinstance(node, ast.ClassDef)}
    functions = [node.name for node in stubs.body if isinstance(node, ast.FunctionDef)]
    assert sorted([*classes, *functions]) == sorted([*datafusion_featurize.__all__, "ArrowStream"])
    for name in ("Connection", "Result", "Report"):
        stubbed = {
            node.name if isinstance(node, ast.FunctionDef) else node.target.id for node in classes[name].body
        }
        there = {
            key
            for key, value in vars(getattr(datafusion_featurize, name)).items()
            if not key.startswith("__") or key in stubbed
        }
        assert stubbed == there, name


def test_everything_is_explained():
    for name in datafusion_featurize.__all__:
        public = getattr(datafusion_featurize, name)
        assert public.__doc__, name
        assert public.__module__ == "datafusion_featurize", name
        members = vars(public).items() if isinstance(public, type) else []
        for member, value in members:
            assert member.startswith("_") or value.__doc__, f"{name}.{member}"


def test_the_notebook_runs_and_its_outputs_are_those_that_it_keeps(root, tmp_path):
    kept = nbformat.read(root / "examples/fruits.ipynb", as_version=4)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/fruits").symlink_to(root / "examples/fruits")
    ran = nbformat.from_dict(kept)
    NotebookClient(ran, timeout=600, resources={"metadata": {"path": tmp_path / "examples"}}).execute()

    def kinds(notebook):
        # A slow machine shows bars, on stderr.
        outputs = [cell.get("outputs", []) for cell in notebook.cells]
        return [[sorted(output["data"]) for output in cell if "data" in output] for cell in outputs]

    assert kinds(ran) == kinds(kept)
    assert (root / "examples/fruits.ipynb").stat().st_size < 150_000
