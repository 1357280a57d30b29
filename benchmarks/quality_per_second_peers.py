"""Features of CEBRA and UMAP for ``quality_per_second.py``, each from an environment of its own, without skdim.

    python -m venv cebra && cebra/bin/pip install torch==2.13.0 cebra==0.6.1
    python -m venv umap && umap/bin/pip install torch==2.13.0 umap-learn==0.5.12

It is started by ``quality_per_second.py --peers cebra=cebra/bin/python umap=umap/bin/python``, reads ``arrays.npz`` in a folder
and writes ``features_<peer>_<budget>_<seed>.npz`` with the seconds that the fit took; files that exist are skipped.

CEBRA: time contrastive, our convolutional network, its own temperature and learning rate, batches of 128; the budget is steps.
Its positives are neighbours in time, and rows of Fashion-MNIST have no time: their order is that of the file, so this says what
the method gives without labels or time, no more. UMAP: 64 components of standardised pixels, else its defaults; the budget is
the rows it was fitted on, and the other features come from its ``transform``. Its compilation is in the time of the first fit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

WIDTH, BATCH = 64, 128

#: Features of flat samples, from a fit of (X, budget, seed).
Transform = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, int, int], Transform]


def _cebra() -> Fit:
    import torch
    from cebra import CEBRA
    from peer_networks import register_with_cebra

    register_with_cebra()

    def fit(X: np.ndarray, steps: int, seed: int) -> Transform:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        model = CEBRA(
            "skdim-conv", max_iterations=steps, batch_size=BATCH, output_dimension=WIDTH, time_offsets=1, device="cpu"
        ).fit(X)
        return partial(model.transform, batch_size=1024)

    return fit


def _umap() -> Fit:
    from umap import UMAP

    def fit(X: np.ndarray, rows: int, seed: int) -> Transform:
        return UMAP(n_components=WIDTH, random_state=seed, n_jobs=1).fit(X[:rows]).transform

    return fit


#: Package, its import, what the budget counts, and budgets.
PEERS: dict[str, tuple[str, Callable[[], Fit], str, tuple[int, ...]]] = {
    "cebra": ("cebra", _cebra, "steps", (400, 1_600, 6_400)),
    "umap": ("umap-learn", _umap, "rows", (5_000, 20_000, 50_000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--peers", nargs="+", default=[], choices=PEERS)
    parser.add_argument("--budgets", type=int, nargs="+", help="instead of the peer's own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    arrays = np.load(arguments.folder / "arrays.npz")
    X, X_eval = (arrays[name].reshape(len(arrays[name]), -1).astype(np.float32) for name in ("X", "X_eval"))
    mean, scale = X.mean(), X.std()
    X, X_eval = (X - mean) / scale, (X_eval - mean) / scale
    for peer in arguments.peers:
        package, make, unit, budgets = PEERS[peer]
        fit = make()
        for seed in arguments.seeds:
            for budget in arguments.budgets or budgets:
                path = arguments.folder / f"features_{peer}_{budget}_{seed}.npz"
                if path.exists():
                    continue
                cpu, wall = time.process_time(), time.perf_counter()
                transform = fit(X, budget, seed)
                took = {"fit_cpu_s": time.process_time() - cpu, "fit_wall_s": time.perf_counter() - wall}
                about = {"method": peer, "budget": budget, "unit": unit, "seed": seed}
                versions = f"{package}=={importlib.metadata.version(package)}"
                np.savez(path, Z=transform(X), Z_eval=transform(X_eval), versions=versions, **about, **took)
                print(path.name, *(f"{name}={seconds:.1f}" for name, seconds in took.items()), flush=True)


if __name__ == "__main__":
    main()
