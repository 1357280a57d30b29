"""Call every class and function with generated data and options, and report what breaks a promise.

Data are numbers, integers, labels, words, frames, images, series, tensors, sparse, masked, empty, constant, with missing and
infinite cells, and of every shape. Options come from each class's own constraints, now and then a value that no option has. A
case is one estimator with a few methods, or one function. Promises: only ValueError, TypeError, NotFittedError and the errors
of this package, raised by skdim or by scikit-learn's checks; finite numbers; data, parameters, fitted state after an error,
generators, threads and default dtype as they were.

    python benchmarks/reliability/calls.py --calls 20000 --seed 0 --jobs 2
    python benchmarks/reliability/calls.py --case 1234
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import decimal
import inspect
import multiprocessing
import numbers
import pickle
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils._param_validation import Interval, StrOptions

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

import skdim
import skdim.evaluation
import skdim.exceptions
from skdim import bounds
from skdim.inputs import partitions
from skdim.inputs.augmentation import ImageAugmentation
from skdim.nn import causal, critics, encoders

Rng = np.random.Generator
OWN_ERRORS = tuple(e for e in vars(skdim.exceptions).values() if isinstance(e, type) and issubclass(e, Exception))
ALLOWED = (ValueError, TypeError, NotFittedError, *OWN_ERRORS)
#: RuntimeWarning of numpy and torch is a fault: nobody can act on "divide by zero".
ALLOWED_WARNINGS = (UserWarning, FutureWarning)
MEANINGLESS = [
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    "nonsense",
    [],
    (),
    {},
    object(),
    True,
    None,
    "1",
    b"x",
    -0.5,
    1e-320,
    ("a",),
    [None],
]


def one_of(rng: Rng, pool: Any) -> Any:
    return pool[rng.integers(len(pool))]


# --- data ---


def numbers_of(rng: Rng, n: int, d: int) -> np.ndarray:
    X = rng.normal(size=(n, d)) + rng.normal(size=(n, 1))
    kind = rng.integers(24)
    if kind == 0:
        X = np.round(X)
    elif kind == 1:
        X *= 10.0 ** rng.uniform(-300, 300)
    elif kind == 2:
        X[:, 0] = 1.0
    elif kind == 3:
        X = np.abs(X) ** rng.integers(2, 12)
    elif kind == 4:
        X[rng.integers(n), rng.integers(d)] = 10.0 ** rng.integers(3, 300)
    elif kind == 5:
        X = np.repeat(X[: max(1, n // 4)], 5, axis=0)[:n]
    elif kind == 6:
        X[:] = 0
    elif kind == 7:
        X = X[:, :1] + 0 * X
    return X


def spoiled(rng: Rng, X: np.ndarray) -> Any:
    """Return the same values in one of the forms that people have."""
    n = len(X)
    forms: list[Callable[[], Any]] = [
        lambda: X,
        lambda: X,
        lambda: X.astype(np.float32),
        lambda: X.astype(np.float16),
        lambda: np.asfortranarray(X),
        lambda: X[::-1],
        lambda: X.astype(object),
        lambda: np.clip(X, -100, 100).astype(int),
        lambda: X > 0,
        lambda: pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])]),
        lambda: pd.DataFrame(X > 0).astype("category"),
        lambda: pd.DataFrame(np.where(X > 0, "yes", "no")),
        lambda: X.tolist(),
        lambda: torch.as_tensor(X.copy()),
        lambda: torch.as_tensor(X.copy(), dtype=torch.float32).requires_grad_(),
        lambda: scipy.sparse.csr_matrix(X),
        lambda: np.ma.masked_array(X, X > 1),
        lambda: X[:, 0],
        lambda: X[:0],
        lambda: X[:1],
        lambda: X[:3],
        lambda: X[..., None],
        lambda: X + 1j,
        lambda: np.where(X > 1, np.nan, X),
        lambda: np.where(X > 1, None, X.astype(object)),
        lambda: np.where(X > 2, np.inf, X),
        lambda: np.where(X > 0, "a", "b"),
        lambda: np.array([decimal.Decimal(repr(float(v))) for v in X[:, 0]], object)[:, None],
        lambda: pd.DataFrame(X).convert_dtypes().mask(X > 1),
        lambda: pd.date_range("2020", periods=n).to_numpy(),
        lambda: [X, X],
        lambda: one_of(rng, [None, 3, "rows", {}, [], [[]], object(), np.float64(2.0), [np.arange(3), np.arange(4)]]),
    ]
    return X if rng.random() < 0.8 else one_of(rng, forms)()


def rows(rng: Rng) -> int:
    return int(one_of(rng, [2, 5, 9, 30, 60, 60, 60, 60, 60, 60, 60, 120]))


def table(rng: Rng, n: int) -> Any:
    return spoiled(rng, numbers_of(rng, n, int(one_of(rng, [1, 2, 4, 4, 6, 16]))))


def images(rng: Rng, n: int) -> Any:
    shape = one_of(rng, [(1, 8, 8), (3, 8, 8), (1, 16, 12), (8, 8), (8, 8, 3), (64,), (1, 5, 5), (3, 32, 32)])
    X = rng.random((n, *shape))
    return one_of(
        rng,
        [X, X, X, (255 * X).astype(np.uint8), X.astype(np.float32), np.zeros_like(X), torch.as_tensor(X), X.tolist()],
    )


def series(rng: Rng, n: int) -> Any:
    shape = one_of(rng, [(40,), (2, 40), (40, 2), (3, 64), (1, 12), (128,)])
    X = rng.normal(size=(n, *shape)).cumsum(-1)
    return one_of(rng, [X, X, X, X.astype(np.float32), np.where(X > 12, np.nan, X), list(X), torch.as_tensor(X)])


def data(rng: Rng, n: int) -> Any:
    return one_of(rng, [table, table, images, series])(rng, n)


def target(rng: Rng, n: int) -> Any:
    labels = rng.integers(one_of(rng, [2, 2, 3, 10]), size=n)
    if rng.random() < 0.7:
        return one_of(rng, [labels, labels, rng.normal(size=n)])
    forms = [
        *(
            labels.astype(str),
            labels > 0,
            labels.astype(float),
            labels.tolist(),
            labels[:, None],
            torch.as_tensor(labels),
        ),
        *(pd.Series(labels).astype("category"), pd.Series(labels.astype(str)), np.zeros(n), np.arange(n)),
        *(rng.normal(size=(n, 2)), rng.normal(size=max(1, n - 1)), spoiled(rng, numbers_of(rng, n, 2))),
        *(np.where(labels > 0, None, labels), np.where(labels > 0, np.nan, labels), None, "y", 4),
    ]
    return one_of(rng, forms)


# --- options ---

BOUNDS = [
    getattr(bounds, name)
    for name in bounds.__all__
    if inspect.isclass(getattr(bounds, name)) and name not in ("Bound", "Criterion")
]


def instance(rng: Rng, cls: type) -> Any:
    try:
        return cls()
    except TypeError:
        return cls(float(rng.random()))


#: Options that are small enough to run, in place of what the constraint allows.
SMALL: dict[str, list[Any]] = {
    "n_components": [1, 2, 5, 8],
    "max_iter": [1, 1, 2],
    "batch_size": [2, 3, 16, 64, 500],
    "hidden_layer_sizes": [(8,), [4, 4], (), "auto", (0,), (8.5,)],
    "input_shape": [None, (1, 8, 8), (3, 8, 8), (2, 40), (64,), [8, 8], (-1, 8), (2, 2, 2, 2)],
    "n_locations": [None, 1, 4, 500],
    "n_steps": [1, 2, 3, 12],
    "patch_size": [None, 2, 4, (4, 4), (4,), (100, 100)],
    "patch_overlap": ["auto", 0, 1, (1, 1), 0.5],
    "views": ["auto", "halves", "channels", "columns", [[0, 1], [2, 3]], [[0], [0]], [], partitions.Shift(1), lambda X: (X, X)],
    "device": ["auto", "cpu", "cuda", "meta", "cpu:0", "nonsense"],
    "compile": [False],
    "checkpoint": [None],
    "verbose": [0],
    "random_state": [0, 1, None, np.random.RandomState(0)],
    "encoder": [
        "auto",
        "mlp",
        "conv",
        encoders.MLP(),
        lambda shape, out: torch.nn.Linear(3, 2),
        torch.nn.Linear(4, 2),
        causal.StridedConv(width=4, stride=1),
    ],
    "critic": [
        "separable",
        "bilinear",
        "concat",
        critics.Separable(),
        critics.Bilinear(),
        lambda *a: None,
        ("separable", "bilinear"),
        torch.nn.Linear,
    ],
    "augment": ["auto", None, lambda X: X, lambda X: X[:2], lambda X: X.double(), ImageAugmentation(), lambda X: None],
    "optimizer": ["adamw", "adam", "sgd", torch.optim.SGD, lambda p: None, lambda p: torch.optim.Adam(p)],
    "conditional": [None, lambda *a: None],
    "n_refits": [0, 1],
    "output": ["concat", "mean", "0", "left", "nonsense"],
    "discrete_X": ["auto", True, False, [True, False], [0], ["c0"], []],
    "discrete_y": ["auto", True, False, [True]],
    "discrete_Z": ["auto", True, False, [0]],
    "n_iter_no_change": [1, 2],
    "learning_rate": [1e-3, 1e-3, 1.0, 1e6],
}  # fmt: skip


def option(rng: Rng, name: str, constraints: Any) -> Any:
    if rng.random() < 0.05:
        return one_of(rng, MEANINGLESS)
    if name in SMALL:
        return one_of(rng, SMALL[name])
    constraint = one_of(rng, constraints)
    if isinstance(constraint, StrOptions):
        return one_of(rng, sorted(constraint.options))
    if isinstance(constraint, Interval):
        low = -5.0 if constraint.left is None else float(constraint.left)
        high = low + 5 if constraint.right is None else float(constraint.right)
        value = one_of(rng, [low, high, rng.uniform(low, high), rng.uniform(low, high)])
        return round(value) if issubclass(constraint.type, numbers.Integral) else float(value)
    if inspect.isclass(constraint) and issubclass(constraint, bounds.Bound):
        return instance(rng, one_of(rng, BOUNDS))
    return one_of(rng, [True, False, None])


def options(rng: Rng, cls: Any, fewest: int = 0) -> dict[str, Any]:
    pools = cls._parameter_constraints
    chosen = {name: option(rng, name, pools[name]) for name in rng.permutation(list(pools))[: rng.integers(fewest, 4)]}
    if "max_iter" in pools and cls is not skdim.MIEstimator:
        chosen = {"n_components": 3, "max_iter": 1} | chosen
    elif cls is skdim.MIEstimator:
        chosen = {"max_iter": 1, "n_refits": 0, "estimator": one_of(rng, ["auto", "ksg", "gaussian", "nwj"])} | chosen
    return {"random_state": 0} | chosen if "random_state" in pools else chosen


# --- promises ---


#: How often each message came, without its numbers.
MESSAGES: collections.Counter[str] = collections.Counter()
#: Fields that are documented to be infinite: an estimator without a cap.
INFINITE = {"cap"}


class Fault(Exception):  # noqa: N818 - it is what is looked for
    """A promise that a call broke."""


def surroundings(seeded: bool) -> tuple[Any, ...]:
    """random_state=None draws from numpy's generator, as everywhere in scikit-learn."""
    return (
        torch.get_rng_state().numpy().tobytes(),
        pickle.dumps(np.random.get_state()) if seeded else None,  # noqa: NPY002
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )


def bits(value: Any) -> Any:
    """Return what may not change: the bytes of arrays, the text of the rest."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().tobytes(), value.requires_grad
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.tobytes(), value.shape
    if isinstance(value, (list, tuple)):
        return [bits(v) for v in value]
    if isinstance(value, dict):
        return {k: bits(v) for k, v in value.items()}
    return str(value)


def check_finite(value: Any, where: str) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
        raise Fault(f"{where} is not finite")
    if isinstance(value, torch.Tensor):
        check_finite(value.detach().numpy(), where)
    elif isinstance(value, float) and not np.isfinite(value):
        raise Fault(f"{where} is {value}")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        check_finite({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, type(value).__name__)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key not in INFINITE:
                check_finite(entry, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            check_finite(entry, where)
    elif isinstance(value, (pd.DataFrame, pd.Series)):
        check_finite(value.to_numpy(), where)


def raiser(error: BaseException) -> str:
    """Return the package that raised an error, "sklearn" also if it asked numpy or pandas."""
    frames = traceback.extract_tb(error.__traceback__)
    parts = [part for frame in frames[-2:] for part in Path(frame.filename).parts]  # or that called numpy or pandas
    return next((p for p in ("skdim", "sklearn") if p in parts), Path(frames[-1].filename).stem)


def call(function: Callable[..., Any], subject: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Any]:
    """Return "value", "warning" or "error", and what came; raise a Fault if a promise is broken."""
    seeded = (kwargs if subject is None else subject.get_params(deep=False)).get("random_state", 0) is not None
    before, given = surroundings(seeded), bits((args, kwargs))
    method = function.__name__  # fit_transform may fit, and then find no features
    state = None if subject is None else (bits(subject.get_params(deep=False)), dict(vars(subject)))
    error: Exception | None = None
    result = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as raised:
            error = raised
    if surroundings(seeded) != before:
        raise Fault("generators, threads, dtype or modes of torch or numpy changed") from error
    if bits((args, kwargs)) != given:
        raise Fault("data or options changed") from error
    if state is not None:
        if bits(subject.get_params(deep=False)) != state[0]:
            raise Fault("parameters changed") from error
        now = dict(vars(subject))
        if (
            error is not None
            and method != "fit_transform"
            and (now.keys() != state[1].keys() or any(now[k] is not state[1][k] for k in now))
        ):
            raise Fault("a failed call changed the estimator") from error
    for warning in caught:
        is_checks = "sklearn" in Path(warning.filename).parts  # of scikit-learn itself, where it looks for infinity
        if not (is_checks or issubclass(warning.category, ALLOWED_WARNINGS)):
            raise Fault(f"warning {warning.category.__name__}: {warning.message}") from error
    if error is not None:
        if not isinstance(error, ALLOWED):
            raise Fault(f"error {type(error).__name__}: {error}") from error
        if raiser(error) not in ("skdim", "sklearn") or len(str(error)) < 15:
            raise Fault(f"error of {raiser(error)}, {type(error).__name__}: {error}") from error
        MESSAGES[f"{type(error).__name__}: {re.sub(r'[0-9][0-9.e+-]*', '#', str(error))[:300]}"] += 1
        return "error", error
    if function is skdim.mutual_information_matrix:  # whose diagonal is documented to be NaN
        result = np.asarray(result)[~np.eye(len(result), dtype=bool)]
    if not any(issubclass(w.category, skdim.exceptions.InfiniteLossWarning) for w in caught):
        check_finite(result, f"the result of {function.__qualname__}")
    return ("warning" if caught else "value"), result


# --- cases ---

Tally = collections.Counter[tuple[str, str]]
CLASSES = (
    skdim.DeepInfoMaxTransformer,
    skdim.MultiViewInfoMaxTransformer,
    skdim.CPCTransformer,
    skdim.MIEstimator,
    skdim.MRMRSelector,
)
CALLABLE = {
    skdim.MIEstimator: ("pointwise", "score", "estimate"),
    skdim.MRMRSelector: ("transform", "get_feature_names_out", "inverse_transform"),
}
METHODS = (
    "transform",
    "score",
    "evaluate",
    "feature_map",
    "partial_fit",
    "fit",
    "standardized",
    "get_feature_names_out",
    "fit_transform",
)


def estimator_case(rng: Rng, cls: Any, tally: Tally) -> None:
    estimator = cls(**options(rng, cls))
    n = rows(rng)
    X, y = data(rng, n) if cls in CLASSES[:3] else table(rng, n), target(rng, n)
    paired = cls in CLASSES[3:]

    def counted(method: str, *args: Any) -> str:
        tally[cls.__name__, "calls"] += 1
        outcome = call(getattr(estimator, method), estimator, args, {})[0]
        tally[cls.__name__, outcome] += 1
        return outcome

    if rng.random() < 0.1:
        counted(
            one_of(rng, CALLABLE.get(cls, METHODS[:2])), *((X, y) if paired else (X,))[: 1 if cls is CLASSES[4] else 2]
        )
    if counted("fit", *((X, y) if paired else (X,))) == "error":
        return
    for method in rng.permutation(CALLABLE.get(cls, METHODS))[:3]:
        if not hasattr(estimator, method):
            continue
        other = X if rng.random() < 0.6 else (data if cls in CLASSES[:3] else table)(rng, rows(rng))
        other_y = (
            y
            if other is X
            else target(rng, max(1, other.shape[0]) if np.ndim(getattr(other, "shape", 0)) and other.shape else 5)
        )
        wants = list(inspect.signature(getattr(estimator, method)).parameters)
        arguments = {"X": other, "y": other_y, "input_features": None}
        counted(str(method), *(arguments[name] for name in wants[:2] if name in arguments and (name != "y" or paired)))
    if rng.random() < 0.3 and not any(
        getattr(v, "__name__", "") == "<lambda>" for v in estimator.get_params().values()
    ):
        estimator = pickle.loads(pickle.dumps(estimator))
        counted("score", *((X, y) if paired else (X,))) if hasattr(estimator, "score") else None


BY_NAME: dict[str, Callable[[Rng, int], Any]] = {
    "groups": lambda rng, n: one_of(rng, [None, None, np.arange(n) // 3, np.arange(n), np.zeros(n), "g"]),
    "lags": lambda rng, n: one_of(rng, [[0], [1, 2], range(-2, 3), [n], 1, "a", [0.5]]),
    "lag": lambda rng, n: one_of(rng, [1, 2, n, 0]),
    "history": lambda rng, n: one_of(rng, [1, 2, n]),
    "block_size": lambda rng, n: one_of(rng, ["auto", 1, 5, n, 10 * n]),
    "n_permutations": lambda rng, n: one_of(rng, [19, 39]),
    "missing": lambda rng, n: one_of(rng, ["raise", "drop", "indicator"]),
    "max_bins": lambda rng, n: one_of(rng, [2, 16, 128]),
    "method": lambda rng, n: one_of(rng, ["fast", "full", "full"]),
    "n_jobs": lambda rng, n: one_of(rng, [None, 1]),
    "alpha": lambda rng, n: one_of(rng, [2.0, 1, 0.5]),
    "t": lambda rng, n: one_of(rng, [2.0, 1, 100]),
    "center": lambda rng, n: bool(rng.integers(2)),
    "C": lambda rng, n: one_of(rng, ["auto", 1.0, 1e-4]),
    "n_labels": lambda rng, n: one_of(rng, [None, 5, 10, [5, 10], 10 * n]),
    "n_draws": lambda rng, n: one_of(rng, [1, 2]),
    "test_fraction": lambda rng, n: one_of(rng, [0.25, 0.5, 0.99]),
    "confidence_level": lambda rng, n: one_of(rng, [0.95, 0.5]),
    "n_steps": lambda rng, n: one_of(rng, [1, 2]),
    "hidden_layer_sizes": lambda rng, n: one_of(rng, [(8,), (4, 4)]),
    "reference": lambda rng, n: one_of(rng, ["gaussian", None]),
    "cv": lambda rng, n: one_of(rng, [2, 2, 2, 3, n]),
    "series": lambda rng, n: one_of(rng, [numbers_of(rng, n, 1)[:, 0], table(rng, n), target(rng, n)]),
    "classifier": lambda rng, n: one_of(
        rng, [None, None, LogisticRegression(), LinearRegression(), LogisticRegression]
    ),
    "rungs": lambda rng, n: None,
    "max_iter": lambda rng, n: one_of(rng, [10, 1000]),
    "x": lambda rng, n: numbers_of(rng, n, 1)[:, 0],
    "source": lambda rng, n: numbers_of(rng, n, 1)[:, 0],
    "target": lambda rng, n: numbers_of(rng, n, 1)[:, 0],
    "discrete": lambda rng, n: one_of(rng, SMALL["discrete_X"]),
    "discrete_source": lambda rng, n: one_of(rng, ["auto", True, False]),
    "discrete_target": lambda rng, n: one_of(rng, ["auto", True, False]),
}
FUNCTIONS = [
    function
    for module in (skdim, skdim.evaluation)
    for name in module.__all__
    if inspect.isfunction(function := getattr(module, name)) and name not in ("show_versions", "condition_number")
]
#: Functions that train networks however small the data are: called less often.
SLOW = {
    "reconstruction_similarity",
    "conditional_mutual_information",
    "interaction_information",
    "transfer_entropy",
    "probe_ladder",
}


def argument(rng: Rng, name: str, n: int) -> Any:
    if rng.random() < 0.03:
        return one_of(rng, MEANINGLESS)
    if name in BY_NAME:
        return BY_NAME[name](rng, n)
    if name in SMALL:
        return one_of(rng, SMALL[name])
    return target(rng, n) if name.startswith(("y", "target")) else table(rng, n)


def function_case(rng: Rng, function: Callable[..., Any], tally: Tally) -> None:
    n = rows(rng)
    kwargs: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= options(rng, skdim.MIEstimator)
            if kwargs.get("method", "fast") == "fast" and function is skdim.mutual_information_matrix:
                kwargs = {name: kwargs[name] for name in ("X", "method", "discrete") if name in kwargs}
            if "Z" in kwargs and rng.random() < 0.9:
                kwargs["estimator"] = one_of(rng, ["auto", "gaussian"])
        elif parameter.default is parameter.empty or name == "n_permutations" or rng.random() < 0.3:
            kwargs[name] = argument(rng, name, n)
    if function is skdim.evaluation.reconstruction_similarity and rng.random() < 0.8:
        kwargs["X"] = rng.random((n, 1, 16, 16))
    if "n_steps" in inspect.signature(function).parameters:
        kwargs = {"n_steps": 1} | kwargs
    if (held_out := {"Z_test", "X_test", "y_test"} & kwargs.keys()) and rng.random() < 0.7:
        kwargs |= {name: argument(rng, name, n) if rng.random() < 0.1 else kwargs[name[0]] for name in held_out}
    kwargs = kwargs if rng.random() < 0.1 else {k: v for k, v in kwargs.items() if not k.endswith("_test")}
    if "random_state" in inspect.signature(function).parameters:
        kwargs = {"random_state": 0} | kwargs
    tally[function.__name__, "calls"] += 1
    tally[function.__name__, call(function, None, (), kwargs)[0]] += 1


def case(seed: int, index: int, tally: Tally) -> None:
    rng = np.random.default_rng([seed, index])
    subject: Any = one_of(rng, CLASSES if rng.random() < 0.45 else FUNCTIONS)
    if subject.__name__ in SLOW and rng.random() < 0.6:
        subject = skdim.mutual_info_features
    try:
        (estimator_case if subject in CLASSES else function_case)(rng, subject, tally)
    except Fault:
        tally[subject.__name__, "fault"] += 1
        raise


def work(seed: int, first: int, step: int, calls: int) -> tuple[Tally, collections.Counter[str]]:
    torch.set_num_threads(1)
    tally: Tally = collections.Counter()
    index = first
    while sum(count for (_, kind), count in tally.items() if kind == "calls") < calls:
        start = time.perf_counter()
        try:
            case(seed, index, tally)
        except Fault as fault:
            cause = fault.__cause__
            place = "" if cause is None else "".join(traceback.format_tb(cause.__traceback__)[-1:]).strip()
            print(f"case {index}: {str(fault)[:300]}\n    {place}", flush=True)
        if (seconds := time.perf_counter() - start) > 20:
            print(f"case {index} takes {seconds:.0f} s", flush=True)
        index += step
    return tally, MESSAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this case alone, and raise what it finds")
    args = parser.parse_args()
    if args.case is not None:
        torch.set_num_threads(1)
        case(args.seed, args.case, collections.Counter())
        return
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        parts = pool.starmap(work, [(args.seed, k, args.jobs, args.calls // args.jobs) for k in range(args.jobs)])
    tally = sum((part for part, _ in parts), collections.Counter())
    for message, count in sum((messages for _, messages in parts), collections.Counter()).most_common():
        print(count, message)
    for subject in sorted({subject for subject, _ in tally}):
        calls, faults = tally[subject, "calls"], tally[subject, "fault"]
        detail = ", ".join(f"{kind} {tally[subject, kind]}" for kind in ("value", "warning", "error"))
        row = {"subject": subject, "tries": calls, "right": calls - faults, "detail": detail, "seed": args.seed}
        record("reliability", {"script": "calls", **row})


if __name__ == "__main__":
    main()
