"""The house has floors and rooms of a size: what a module may import, and how large modules, classes and calls may be."""

import ast
import functools
import sys
from pathlib import Path

import pytest

import skdim
from skdim import bounds

ROOT = Path(skdim.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

#: The floor of each module; a package stands for its modules, which may build on each other, unless one has a floor of its own.
LAYERS = {
    "_params": 0,
    "_random": 0,
    "_versions": 0,
    "exceptions": 0,
    "bounds": 0,
    "inputs": 0,  # augmentation, partitions, layout, arrays, batches
    "nn.layers": 0,
    "synthetic": 0,
    "nn": 1,
    "_docs": 0,
    "_sklearn": 2,
    "inputs.samples": 2,
    "inputs.sequences": 2,
    "inputs.validation": 2,
    "inputs.views": 2,
    "training": 3,
    "base": 4,
    "information": 4,
    "datasets": 5,
    "deep_infomax": 5,
    "evaluation": 5,
    "multiview": 5,
    "paper": 5,
    "predictive_coding": 5,
    "export": 6,
    "plotting": 6,
    "__init__": 7,
}
SHARED = {"_params", "_random", "_sklearn", "exceptions", "nn.layers"}  # imported by their own floor too
LIBRARIES = {
    0: {"numpy", "scipy", "torch"},
    1: {"numpy", "scipy", "torch"},
    2: {"numpy", "sklearn", "torch"},
    3: {"joblib", "numpy", "skorch", "torch"},
    4: {"numpy", "scipy", "sklearn", "torch"},
}
OPTIONAL = {"PIL", "matplotlib", "pandas", "polars", "rich", "skops", "torchmetrics"}
MOST_LINES, MOST_METHODS, MOST_PARAMETERS = 400, 15, 8


def dotted(path):
    """Return the name of a module below ``skdim``: ``nn.critics``, ``nn``, ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def layer(name):
    above = name
    while above not in LAYERS:
        above = above.rpartition(".")[0]
        assert above, f"give skdim.{name} a layer in LAYERS"
    return LAYERS[above]


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


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

    yield from visit(tree(path), inside=False)


def own_imports(path):
    return [name.removeprefix("skdim.") for name, _ in imports(path) if name.split(".")[0] == "skdim"]


# ------------------------------------------------------------------------------------------------------------------ floors
@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_down_only(path):
    own = dotted(path)
    for target in own_imports(path):
        same_package = target.split(".")[0] == own.split(".")[0] and layer(target) <= layer(own)
        assert (
            same_package
            or target in SHARED & {name for name in LAYERS if layer(name) <= layer(own)}
            or (layer(target) < layer(own))
        ), f"skdim.{own} (floor {layer(own)}) imports skdim.{target} (floor {layer(target)})"


def test_no_import_cycle_within_a_package():
    graph, done = {dotted(path): own_imports(path) for path in MODULES}, set()

    def visit(name, trail):
        assert name not in trail, " imports ".join([*trail, name])
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_libraries_belong_to_the_floor(path):
    own = dotted(path)
    allowed = LIBRARIES[min(layer(own), max(LIBRARIES))] | sys.stdlib_module_names | {"skdim"}
    for imported, inside in imports(path):
        library = imported.split(".")[0]
        assert library in allowed or (library in OPTIONAL and inside), (
            f"skdim.{own} (floor {layer(own)}) imports {library}; optional libraries are imported inside functions"
        )


def test_the_walk_sees_every_form_of_import(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import matplotlib.pyplot as plt\n"
        "from skdim import bounds, inputs\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "def f():\n    from skdim.nn.critics import Inner\n"
    )
    assert list(imports(path)) == [
        ("matplotlib.pyplot", False),
        ("skdim.bounds", False),
        ("skdim.inputs", False),
        ("skdim.nn.critics", True),
    ]


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path) != "_sklearn"], ids=dotted)
def test_private_names_of_scikit_learn_are_imported_in_one_place(path):
    froms = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
    names = [f"{node.module}.{alias.name}" for node in froms for alias in node.names]
    assert not [name for name in names if name.startswith("sklearn.") and "._" in name]


# ------------------------------------------------------------------------------------------------------------------- sizes
@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_classes_and_calls_are_of_a_size_that_can_be_read(path):
    n_lines = path.read_text(encoding="utf-8").count("\n")
    assert n_lines <= MOST_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            assert len(methods) <= MOST_METHODS, f"{node.name} has {len(methods)} methods"
        elif isinstance(node, ast.FunctionDef) and node.name[0] == "_" and node.name != "__init__":
            of_call = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = {argument.arg for argument in of_call} - {"self", "cls"}
            assert len(names) <= MOST_PARAMETERS, f"{node.name} has {len(names)} parameters"


# ------------------------------------------------------------------------------------------------------------------ bounds
NAMES_OF_BOUNDS = {*bounds.MI_BOUNDS, *bounds.METRIC_LOSSES}


@pytest.mark.parametrize("path", [path for path in MODULES if dotted(path).split(".")[0] != "bounds"], ids=dotted)
def test_no_bound_is_told_by_its_name(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):
            # x == "dv" and x in ("dv", "nwj"); "tnce" in terms looks up a term
            sides = node.comparators if isinstance(node.ops[0], ast.In | ast.NotIn) else [node.left, *node.comparators]
            compared = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
            assert not compared & NAMES_OF_BOUNDS, f"line {node.lineno}: {ast.unparse(node)}"
