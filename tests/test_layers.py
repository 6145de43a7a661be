"""design: arrows point down only; ray and mlflow stay in their rooms; importing the core imports neither."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vsep_ray"
LAYERS = [
    {"config", "parallel", "transforms"},
    {"storage", "command_line", "bounds"},
    {"audio"},
    {"music"},
    {"datasets"},
    {"crops", "catalog"},
    {"batches", "survey"},
    {"nn"},
    {"mixing"},
    {"priors", "separators"},
    {"joint"},
    {"schedules", "dreaming", "meter"},
    {"inference"},
    {"methods"},
    {"objectives"},
    {"training"},
    {"checkpoint", "evaluation", "chunking"},
    {"presets", "tracking", "report", "streaming", "pretrained"},
    {"separation"},
    {"cluster", "pyfunc"},
]
MAY_IMPORT = {"ray": {"cluster"}, "mlflow": {"tracking"}}
LAZY = {"museval", "musdb", "stempeg", "av", "mido", "pyloudnorm", "fluidsynth", "pyworld"}
LAZY |= {"numpy_audio_limiter", "python_stretch"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def level(name):
    return next((i for i, layer in enumerate(LAYERS) if name in layer), None)


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "vsep_ray":
                yield from ((f"vsep_ray.{alias.name}", node) for alias in node.names)
            else:
                yield node.module, node


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    here = room(path)
    if here == "__init__":
        return
    assert level(here) is not None, f"{here} has no layer"
    for name, _ in imports(ast.parse(path.read_text())):
        top, *rest = name.split(".")
        if top in MAY_IMPORT:
            assert here in MAY_IMPORT[top], f"{path} imports {top}"
        if top == "vsep_ray" and rest and rest[0] != here:
            assert level(rest[0]) < level(here), f"{here} imports {rest[0]}"
            assert {here, rest[0]} != {"priors", "separators"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_optional_packages_are_imported_where_they_are_needed(path):
    top_level = {
        name.split(".")[0]
        for node in ast.parse(path.read_text()).body
        for name, _ in imports(node)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert not top_level & LAZY


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_ever_unpickled(path):
    tree = ast.parse(path.read_text())
    assert not {name.split(".")[0] for name, _ in imports(tree)} & {"pickle", "cloudpickle", "joblib", "dill"}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"torch.load", "np.load", "torch.jit.load", "pandas.read_pickle"}


def test_importing_the_core_imports_neither_ray_nor_mlflow():
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in modules() if room(p) != "cluster"]
    names = [n.removesuffix(".__init__") for n in names]
    code = f"import sys, importlib\nfor n in {names!r}: importlib.import_module(n)\n"
    code += f"print([m for m in {['ray', 'mlflow', *sorted(LAZY)]} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["crops.reading", "crops.writing", "datasets.registry"])
def test_processes_that_read_or_write_crops_do_not_wait_for_torch(module):
    code = f"import sys, vsep_ray.{module}; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"
