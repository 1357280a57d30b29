"""Damage saved models at random, load each in a process of its own, and count what comes of it.

Files of joblib, compressed joblib and skops get flipped bits, zeroed ranges, swapped, doubled or lost bytes, or are cut. In the
state that ``__getstate__`` returns, an array or a plain value is changed, or a key is lost or renamed. A process may take two
gigabytes beside what the imports take, and a minute. "equal" counts models whose outputs, parameters and state have all bits of
the undamaged one: the damage hit bytes without meaning, such as the date of a zip entry. "no model" is an object without any
attributes. "different", "other error", which is one from the code of skdim, "crash" and "hang" must be 0.

    python benchmarks/reliability/damage.py --n 1000 --seed 0
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skops.io
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import record

import skdim
from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MRMRSelector, MultiViewInfoMaxTransformer
from skdim.bounds import Alpha
from skdim.nn.critics import Separable

MOST_SECONDS, MOST_BYTES = 60, 2 * 2**30
CONTAINERS = ("joblib", "joblib compressed", "skops", "state")
OUTCOMES = (
    "refused by skdim",
    "refused by the loader",
    "no model",
    "equal",
    "different",
    "other error",
    "crash",
    "hang",
)
MUST_BE_0 = OUTCOMES[4:]


def models() -> list[tuple[Any, list[Any]]]:
    """Return fitted estimators and new rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8)) + 0.3 * rng.normal(size=(300, 8))
    x, y, z, labels = X[:, :2], X[:, 2:3], X[:, 4:5] + rng.normal(size=(300, 1)), np.where(X[:, 5] > 0, "up", "down")
    trained = {"max_iter": 2, "batch_size": 64, "random_state": 0}
    table = {"encoder": "mlp", "hidden_layer_sizes": (64, 64), **trained}
    network = {"hidden_layer_sizes": (32,), "n_refits": 0, "max_iter": 5, "test_fraction": 0.5, "random_state": 0}
    of_table = DeepInfoMaxTransformer(4, estimator=Alpha(0.5), critic=Separable(width=8), warm_start=True, **table)
    return [
        (of_table.fit(X), [X]),
        (MultiViewInfoMaxTransformer(4, **table).fit(X), [X]),
        (CPCTransformer(4, **trained).fit(X.cumsum(1)), [X.cumsum(1)]),
        (MIEstimator(**network).fit(x, y), [x, y]),
        (MIEstimator(estimator="ba", **network).fit(x, y), [x, y]),
        (MIEstimator(**network).fit(x, labels), [x, labels]),
        (MIEstimator(estimator="gaussian", random_state=0).fit(x, y, z), [x, y, z]),
        (MRMRSelector(2).fit(X, labels), [X]),
    ]


def said(fitted: Any, new: list[Any]) -> bytes:
    """Return all that an estimator says of new rows and of itself, in bits."""
    state = fitted.__getstate__()
    if isinstance(fitted, MIEstimator):
        parts = [fitted.pointwise(*new).tobytes(), fitted.score(*new), fitted.estimate(*new).value]
    elif isinstance(fitted, MRMRSelector):
        parts = [fitted.transform(*new).tobytes()]
    else:
        parts = [fitted.transform(*new).tobytes(), fitted.score(*new), sorted(fitted.evaluate(*new).items())]
        parts.append(fitted.partial_fit(*new).transform(*new).tobytes())
    return repr([type(fitted), repr(fitted), *parts, state]).encode() + joblib.hash(state).encode()


# ------------------------------------------------------------------------------------------------------------------ damage
def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes of a file with one kind of damage."""
    data, n = bytearray(content), len(content)
    start, length = int(rng.integers(n)), int(2 ** rng.uniform(0, 10))
    end = min(start + length, n)
    match rng.integers(7):
        case 0 | 1:
            data[start] ^= 1 << int(rng.integers(8))
        case 2:
            data[start:end] = bytes(end - start)
        case 3:
            other = int(rng.integers(n))
            data[start], data[other] = data[other], data[start]
        case 4:
            del data[start:]
        case 5:
            del data[start:end]
        case 6:
            data[start:start] = data[start:end]
    return bytes(data)


def damaged_state(state: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return a state with another value, type or shape of one part, or without it."""
    state = pickle.loads(pickle.dumps(state))
    places = list(_places(state))
    holder, key = places[rng.integers(len(places))]
    match rng.integers(4):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}."] = holder.pop(key)
        case 2:
            others = places[rng.integers(len(places))]
            holder[key] = others[0][others[1]]
        case _:
            holder[key] = _changed(holder[key], rng)
    return state


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(part)


def _changed(value: Any, rng: np.random.Generator) -> Any:
    if not isinstance(value, np.ndarray) or not value.size:
        return [None, "x", 0, -1, 2**40, float("nan"), [value], {}, np.zeros(3)][rng.integers(9)]
    flat = value.reshape(-1).copy()
    match rng.integers(4):
        case 0:
            return flat[:-1]
        case 1:
            return value[None]
        case 2:
            return value.astype(object)
        case _:
            raw = flat.view(np.uint8)
            raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
            return flat.reshape(value.shape)


# ----------------------------------------------------------------------------------------------------------------- loading
def save(estimator: Any, path: Path, container: str) -> None:
    if container == "state":
        path.write_bytes(pickle.dumps(estimator.__getstate__()))
    elif container == "skops":
        skops.io.dump(estimator, path)
    else:
        joblib.dump(estimator, path, compress=3 if container == "joblib compressed" else 0)


def load(path: Path, container: str, kind: type) -> Any:
    if container == "skops":
        return skops.io.load(path, trusted=[f"{of.__module__}.{of.__name__}" for of in (kind, Alpha, Separable)])
    if container != "state":
        return joblib.load(path)
    loaded = kind.__new__(kind)
    loaded.__setstate__(pickle.loads(path.read_bytes()))
    return loaded


def outcome(path: Path, container: str, kind: type, new: list[Any], expected: bytes) -> str:
    try:
        loaded = load(path, container, kind)
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith("This model "):
            return "refused by skdim"
        ours = [
            frame.filename.startswith(str(Path(skdim.__file__).parent))
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        return "other error" if any(ours) else "refused by the loader"
    if type(loaded) is not kind:
        return "no model"
    try:
        return "equal" if said(loaded, new) == expected else "different"
    except Exception:
        return "different" if vars(loaded) else "no model"


def tried(path: Path, container: str, kind: type, new: list[Any], expected: bytes) -> str:
    """Return what comes of loading a file in a forked process."""
    child = os.fork()
    if child == 0:
        signal.alarm(MOST_SECONDS)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_BYTES, taken + MOST_BYTES))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        found = "crash"
        try:
            found = outcome(path, container, kind, new, expected)
        finally:
            os._exit(OUTCOMES.index(found))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return OUTCOMES[code] if code >= 0 else "hang" if code == -signal.SIGALRM else "crash"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # networks are small, and soon stopped
    rng, counts, fitted = np.random.default_rng(args.seed), {name: Counter[str]() for name in CONTAINERS}, models()
    with tempfile.TemporaryDirectory() as folder:
        path, expected = Path(folder) / "model", []
        for estimator, new in fitted:
            expected.append(said(pickle.loads(pickle.dumps(estimator)), new))
            for container in CONTAINERS:
                save(estimator, path, container)
                assert tried(path, container, type(estimator), new, expected[-1]) == "equal"
        for k in range(args.n):
            container, place = CONTAINERS[k % len(CONTAINERS)], k // len(CONTAINERS) % len(fitted)
            estimator, new = fitted[place]
            kind = type(estimator)
            if container == "state":
                path.write_bytes(pickle.dumps(damaged_state(estimator.__getstate__(), rng)))
            else:
                save(estimator, path, container)
                path.write_bytes(damaged(path.read_bytes(), rng))
            found = tried(path, container, kind, new, expected[place])
            counts[container][found] += 1
            if found in MUST_BE_0:
                path.rename(f"{tempfile.gettempdir()}/damage-{args.seed}-{k}")
                print(f"{found}: {container} of {kind.__name__}, kept as damage-{args.seed}-{k}", flush=True)
    print(f"{'':>22}" + "".join(f"{name:>19}" for name in CONTAINERS))
    for name in OUTCOMES:
        print(f"{name:>22}" + "".join(f"{counts[container][name]:>19}" for container in CONTAINERS))
    for container, found in counts.items():
        tries = {"tries": found.total(), "right": found.total() - sum(found[name] for name in MUST_BE_0)}
        detail = ", ".join(f"{name} {found[name]}" for name in OUTCOMES)
        record("reliability", {"script": "damage", "subject": container, **tries, "detail": detail, "seed": args.seed})
    sys.exit(any(counts[container][name] for container in CONTAINERS for name in MUST_BE_0))


if __name__ == "__main__":
    main()
