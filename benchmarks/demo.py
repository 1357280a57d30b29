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

import joblib
import matplotlib as mpl
import numpy as np
import sklearn
import torch
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

import skdim
from skdim import DeepInfoMaxTransformer
from skdim.bounds import BOUNDS
from skdim.data import load_fashion_mnist, load_mnist
from skdim.nn.critics import CRITICS
from skdim.plotting import EmbeddingDisplay, LossCurveDisplay

N_LABELS, N_DRAWS, WIDTH = 100, 5, 64


def load_split_digits() -> Bunch:
    """Return the embedded digits, a quarter of them set aside as the test set."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    X_train, X_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    return Bunch(X_train=X_train, X_test=X_test, y_train=y_train, y_test=y_test, source="embedded in scikit-learn")


DATA = {"digits": load_split_digits, "fashion-mnist": load_fashion_mnist, "mnist": load_mnist}


@contextmanager
def step(title: str) -> Iterator[None]:
    print(f"\n{title}", flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.0f} s", flush=True)


def probe() -> Pipeline:
    """Return the classifier that every set of features is judged by."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


def judge(train: np.ndarray, test: np.ndarray, data: Bunch) -> tuple[float, np.ndarray]:
    """Return the test accuracy with all labels, and with 100 labels for each of the draws."""
    draws = StratifiedShuffleSplit(N_DRAWS, train_size=N_LABELS, random_state=0).split(train, data.y_train)
    few = [probe().fit(train[rows], data.y_train[rows]).score(test, data.y_test) for rows, _ in draws]
    return probe().fit(train, data.y_train).score(test, data.y_test), np.array(few)


def flat(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), -1).astype(np.float32)


def feature_sets(data: Bunch, trained: DeepInfoMaxTransformer, untrained: DeepInfoMaxTransformer) -> Iterator[tuple]:
    """Yield (name, training features, test features)."""
    pixels = flat(data.X_train), flat(data.X_test)
    yield "raw pixels", *pixels
    pca = PCA(n_components=min(WIDTH, int((pixels[0].std(axis=0) > 0).sum())), random_state=0).fit(pixels[0])
    yield f"PCA-{pca.n_components_}", *map(pca.transform, pixels)
    for features, label in (("global", f"{WIDTH} components"), ("local", "local map")):
        for name, dim in (("untrained network", untrained), ("Deep InfoMax", trained)):
            reader = dim.set_params(features=features)
            yield f"{name}, {label}", reader.transform(data.X_train), reader.transform(data.X_test)
            reader.set_params(features="global")


def table(data: Bunch, rows: list[tuple[str, int, float, np.ndarray]]) -> str:
    lines = [
        f"| features | width | all {len(data.y_train):,} labels | {N_LABELS} labels, {N_DRAWS} draws: mean ± sd |",
        "|---|---:|---:|---:|",
    ]
    for name, width, every, few in rows:
        lines.append(f"| {name} | {width} | {every:.3f} | {few.mean():.3f} ± {few.std(ddof=1):.3f} |")
    return "\n".join(lines)


def search_choices(data: Bunch) -> GridSearchCV:
    """Search estimator x critic in short fits on 1,000 labelled training rows, two at a time."""
    X, _, y, _ = train_test_split(data.X_train, data.y_train, train_size=1000, stratify=data.y_train, random_state=0)
    dim = DeepInfoMaxTransformer(n_components=WIDTH, max_iter=10, random_state=0)
    pipe = Pipeline([("dim", dim), ("clf", probe())])
    choices = {"dim__estimator": sorted(BOUNDS), "dim__critic": sorted(CRITICS)}
    search = GridSearchCV(pipe, choices, cv=2, n_jobs=2, refit=False)
    return search.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X, y)


def search_table(search: GridSearchCV) -> str:
    results = search.cv_results_
    choices = zip(results["param_dim__estimator"], results["param_dim__critic"], strict=True)
    scores = dict(zip(choices, results["mean_test_score"], strict=True))
    critics = sorted(CRITICS)
    lines = [f"| estimator | {' | '.join(critics)} |", "|---|" + "---:|" * len(critics)]
    for estimator in sorted(BOUNDS):
        lines.append(f"| {estimator} | " + " | ".join(f"{scores[estimator, critic]:.3f}" for critic in critics) + " |")
    return "\n".join(lines)


def save_and_load(dim: DeepInfoMaxTransformer, data: Bunch, path: Path) -> None:
    """Save the fitted pipeline, load it, and insist on the same predictions to the bit."""
    features = dim.transform(data.X_train)
    fitted = Pipeline([("dim", dim), ("clf", probe().fit(features, data.y_train))])
    joblib.dump(fitted, path)
    loaded = joblib.load(path)
    if not np.array_equal(loaded.predict_proba(data.X_test), fitted.predict_proba(data.X_test)):
        raise AssertionError("the loaded pipeline predicts differently from the saved one")
    print(f"  {path}: {path.stat().st_size / 1e6:.1f} MB, predictions bit-identical after loading")


def draw(trained: DeepInfoMaxTransformer, untrained: DeepInfoMaxTransformer, data: Bunch, output: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    LossCurveDisplay.from_estimator(trained).figure_.savefig(output / "loss_curve.png", dpi=120)
    figure, axes = plt.subplots(1, 2, figsize=(13, 6), layout="constrained")
    shown = slice(2000)
    for name, dim, ax in zip(("untrained network", "Deep InfoMax"), (untrained, trained), axes, strict=True):
        EmbeddingDisplay.from_estimator(dim, data.X_test[shown], data.y_test[shown], ax=ax)
        ax.set_title(name)
    figure.savefig(output / "embedding.png", dpi=120)
    print(f"  {output / 'loss_curve.png'}, {output / 'embedding.png'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the results (default: demo)")
    args = parser.parse_args()
    output = args.output / args.data
    output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the probe stops after 200 iterations, for every row alike

    data = DATA[args.data]()
    print(f"{args.data} ({data.source}): {len(data.X_train):,} training and {len(data.X_test):,} test images")

    with step("Learning without labels"):
        trained = DeepInfoMaxTransformer(n_components=WIDTH, random_state=0).set_callbacks(ProgressBar())
        trained.fit(data.X_train)
        trained.set_callbacks()
        untrained = clone(trained).set_params(max_iter=0).fit(data.X_train)
        print(
            f"  {trained.n_iter_} epochs; held-out score: untrained {untrained.score(data.X_test):.2f} nats, ", end=""
        )
        print(f"trained {trained.score(data.X_test):.2f} nats")

    with step("Judging features by a linear classifier on the test images"):
        rows = [
            (name, train.shape[1], *judge(train, test, data))
            for name, train, test in feature_sets(data, trained, untrained)
        ]
        features = table(data, rows)
        print(features)

    with step("Searching estimator x critic: cross-validated accuracy of short fits on training images"):
        choices = search_table(search_choices(data))
        print(choices)

    with step("Saving and loading the fitted pipeline"):
        save_and_load(trained, data, output / "pipeline.joblib")

    with step("Drawing"):
        draw(trained, untrained, data, output)

    versions = f"skdim {skdim.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__}"
    setting = f"{args.data}, seed 0, {versions}, {torch.get_num_threads()} threads"
    (output / "tables.md").write_text(f"{setting}\n\n{features}\n\n{choices}\n", encoding="utf-8")
    print(f"\nWritten to {output}: tables.md, loss_curve.png, embedding.png, pipeline.joblib ({setting})")


if __name__ == "__main__":
    main()
