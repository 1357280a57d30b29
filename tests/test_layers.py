"""The house has floors: a module imports lower floors only, and each floor only the libraries it is built on."""

import ast
import sys
from pathlib import Path

import pytest

import skdim

ROOT = Path(skdim.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

#: Where each module lives; a package stands for all its modules, which may build on each other.
LAYERS = {
    "_params": 0,
    "exceptions": 0,
    "bounds": 0,
    "synthetic": 0,
    "partitions": 0,
    "views": 0,
    "nn": 1,
    "training": 2,
    "base": 3,
    "layout": 3,
    "information": 3,
    "data": 4,
    "deep_infomax": 4,
    "evaluation": 4,
    "multiview": 4,
    "paper": 4,
    "predictive_coding": 4,
    "_versions": 5,
    "plotting": 5,
    "__init__": 6,
}
SHARED = {"_params", "exceptions"}  # imported by their own layer too
LIBRARIES = {
    0: {"numpy", "scipy", "torch"},
    1: {"numpy", "torch"},
    2: {"joblib", "numpy", "sklearn", "skorch", "torch"},
    3: {"joblib", "numpy", "scipy", "sklearn", "torch"},
}
OPTIONAL = {"matplotlib", "pandas", "polars", "rich", "skops", "torchmetrics"}


def dotted(path):
    """Return the name of a module below ``skdim``: ``nn.critics``, ``nn``, ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def layer(name):
    return LAYERS[name.split(".")[0]]


def imports(path):
    """Yield (full name of a module imported, whether inside a function); what is only for type checkers is left out."""

    def visit(node, inside):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "skdim" else {node.module}
            yield from ((name, inside) for name in sorted(names))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside or isinstance(node, ast.FunctionDef | ast.Lambda))

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), inside=False)


def own_imports(path):
    return [name.removeprefix("skdim.") for name, _ in imports(path) if name.split(".")[0] == "skdim"]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down_only(path):
    own = dotted(path)
    for target in own_imports(path):
        same_package = target.split(".")[0] == own.split(".")[0]
        assert same_package or target in SHARED or layer(target) < layer(own), (
            f"skdim.{own} (layer {layer(own)}) imports skdim.{target} (layer {layer(target)})"
        )


def test_no_import_cycle_within_a_package():
    graph = {dotted(path): own_imports(path) for path in MODULES}

    def visit(name, trail):
        assert name not in trail, " imports ".join([*trail, name])
        for target in graph.get(name, ()):
            visit(target, [*trail, name])

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_libraries_belong_to_the_layer(path):
    own = dotted(path)
    allowed = LIBRARIES[min(layer(own), 3)] | sys.stdlib_module_names | {"skdim"}
    for imported, inside in imports(path):
        library = imported.split(".")[0]
        assert library in allowed or (library in OPTIONAL and inside), (
            f"skdim.{own} (layer {layer(own)}) imports {library}; optional libraries are imported inside functions"
        )


def test_the_walk_sees_every_form_of_import(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import matplotlib.pyplot as plt\n"
        "from skdim import bounds, views\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "def f():\n    from skdim.nn.critics import Inner\n"
    )
    assert list(imports(path)) == [
        ("matplotlib.pyplot", False),
        ("skdim.bounds", False),
        ("skdim.inputs.augmentation", False),
        ("skdim.nn.critics", True),
    ]
