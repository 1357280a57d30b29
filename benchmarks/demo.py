"""The main job on real images: features learnt without labels, beside their controls, through one linear classifier.

Run ``make demo`` (the embedded digits) or ``make demo DATA=fashion-mnist`` (70,000 images). Writes two tables, two pictures
and the fitted pipeline to a folder.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import matplotlib as mpl
import numpy as np
from common import LOADERS, machine, random_axes
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skdim import DeepInfoMaxTransformer
from skdim.bounds import BOUNDS
from skdim.evaluation import linear_probe
from skdim.exceptions import OutlierWarning
from skdim.nn.critics import CRITICS
from skdim.plotting import EmbeddingDisplay, LossCurveDisplay

mpl.use("Agg")
import matplotlib.pyplot as plt

N_LABELS, N_DRAWS, WIDTH, SEED = 100, 5, 64, 0


@contextmanager
def step(title: str) -> Iterator[None]:
    print(f"\n{title}", flush=True)
    start = time.perf_counter()
    yield
    print(f"({time.perf_counter() - start:.0f} s)", flush=True)


def pipeline(dim: DeepInfoMaxTransformer) -> Pipeline:
    return Pipeline([("dim", dim), ("scale", StandardScaler()), ("clf", LogisticRegression(max_iter=300))])


def learn(data: Bunch) -> tuple[DeepInfoMaxTransformer, DeepInfoMaxTransformer]:
    """Return the transformer fitted on all training images, and the same network untrained."""
    trained = DeepInfoMaxTransformer(n_components=WIDTH, random_state=SEED).set_callbacks(ProgressBar())
    trained.fit(data.X_train).set_callbacks()
    untrained = clone(trained).set_params(max_iter=0).fit(data.X_train)
    scores = [dim.score(data.X_test) for dim in (untrained, trained)]
    print(f"{trained.n_iter_} epochs; score on test images: untrained {scores[0]:.2f}, trained {scores[1]:.2f} nats")
    return trained, untrained


def feature_sets(data: Bunch, trained: Any, untrained: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, training features, test features)."""
    pixels = [X.reshape(len(X), -1).astype(np.float32) for X in (data.X_train, data.X_test)]
    yield "raw pixels", *pixels
    n_varying = int((pixels[0].std(axis=0) > 0).sum())
    pca = PCA(n_components=min(WIDTH, n_varying), random_state=SEED).fit(pixels[0])
    components = [pca.transform(part) for part in pixels]
    yield "PCA", *components
    yield "PCA, axes turned", *(part @ random_axes(pca.n_components_) for part in components)
    for features in ("discriminant", "global", "local"):
        for name, dim in (("untrained network", untrained), ("Deep InfoMax", trained)):
            reader = dim.set_params(features=features)
            yield f"{name}, {features}", reader.transform(data.X_train), reader.transform(data.X_test)
            reader.set_params(features="auto")


def judge(data: Bunch, trained: Any, untrained: Any) -> str:
    """Return the table of test accuracies, with all labels and with few."""
    lines = [
        f"| features | width | {len(data.y_train):,} labels | {N_LABELS} labels ({N_DRAWS} draws, mean ± sd) |",
        "|---|---:|---:|---:|",
    ]
    for name, train, test in feature_sets(data, trained, untrained):
        budgets = {"n_labels": [None, N_LABELS], "n_draws": N_DRAWS, "random_state": SEED}
        probe = linear_probe(train, data.y_train, test, data.y_test, **budgets)
        (every, few), (_, sd) = probe.mean["accuracy"], probe.sd["accuracy"]
        lines.append(f"| {name} | {train.shape[1]} | {every:.3f} | {few:.3f} ± {sd:.3f} |")
    return "\n".join(lines)


def search(data: Bunch) -> str:
    """Return the table of a search over estimator x critic: short fits on 600 training images, two at a time."""
    X, _, y, _ = train_test_split(data.X_train, data.y_train, train_size=600, stratify=data.y_train, random_state=SEED)
    dim = DeepInfoMaxTransformer(n_components=WIDTH, max_iter=5, random_state=SEED)
    estimators, critics = list(BOUNDS), list(CRITICS)
    choices = {"dim__estimator": estimators, "dim__critic": critics}
    grid = GridSearchCV(pipeline(dim), choices, cv=2, n_jobs=2, refit=False)
    results = grid.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X, y).cv_results_
    pairs = zip(results["param_dim__estimator"], results["param_dim__critic"], strict=True)
    scores = dict(zip(pairs, results["mean_test_score"], strict=True))
    lines = ["| estimator | " + " | ".join(critics) + " |", "|---|" + "---:|" * len(critics)]
    lines += [f"| {e} | " + " | ".join(f"{scores[e, c]:.3f}" for c in critics) + " |" for e in estimators]
    return "\n".join(lines)


def save_and_load(dim: DeepInfoMaxTransformer, data: Bunch, path: Path) -> None:
    """Save the fitted pipeline, load it, and insist on the same predictions to the bit."""
    fitted = pipeline(dim)
    fitted[1:].fit(dim.transform(data.X_train), data.y_train)
    joblib.dump(fitted, path)
    loaded = joblib.load(path)
    if not np.array_equal(loaded.predict_proba(data.X_test), fitted.predict_proba(data.X_test)):
        raise AssertionError("the loaded pipeline predicts differently from the saved one")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; the loaded pipeline's predictions are bit-identical")


def draw(data: Bunch, trained: Any, untrained: Any, output: Path) -> None:
    """Write the loss curve and the embeddings of up to 2,000 test images."""
    LossCurveDisplay.from_estimator(trained).figure_.savefig(output / "loss_curve.png", dpi=120)
    figure, axes = plt.subplots(1, 2, figsize=(13, 6), layout="constrained")
    for name, dim, ax in zip(("untrained network", "Deep InfoMax"), (untrained, trained), axes, strict=True):
        EmbeddingDisplay.from_estimator(dim, data.X_test[:2000], data.y_test[:2000], ax=ax)
        ax.set_title(name)
    figure.savefig(output / "embedding.png", dpi=120)
    print(f"{output / 'loss_curve.png'}, {output / 'embedding.png'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=LOADERS, default="digits")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the results (default: demo)")
    args = parser.parse_args()
    warnings.simplefilter(
        "ignore", ConvergenceWarning
    )  # the search's classifier stops after 300 iterations, converged or not
    warnings.simplefilter("ignore", OutlierWarning)  # some local features are 0 for nearly all images
    output = args.output / args.data
    output.mkdir(parents=True, exist_ok=True)

    data = LOADERS[args.data]()
    print(f"{args.data}: {len(data.X_train):,} training and {len(data.X_test):,} test images")
    with step("Learning without labels"):
        trained, untrained = learn(data)
    with step("Accuracy of a linear classifier on the test images"):
        print(accuracies := judge(data, trained, untrained))
    with step("Searching estimator x critic: cross-validated accuracy on training images after 5 epochs"):
        print(choices := search(data))
    with step("Saving and loading the fitted pipeline"):
        save_and_load(trained, data, output / "pipeline.joblib")
    with step("Drawing"):
        draw(data, trained, untrained, output)

    setting = ", ".join(f"{name} {value}" for name, value in {"data": args.data, "seed": SEED, **machine()}.items())
    (output / "tables.md").write_text(f"{setting}\n\n{accuracies}\n\n{choices}\n", encoding="utf-8")
    print(f"\nWritten to {output}: tables.md, loss_curve.png, embedding.png, pipeline.joblib\n({setting})")


if __name__ == "__main__":
    main()
