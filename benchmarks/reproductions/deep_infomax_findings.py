"""Deep InfoMax's findings that fit small images (Hjelm et al., ICLR 2019), on Fashion-MNIST.

- ``local``: the local objective gives better features than the global one, at every layer; a linear probe beside one of 200
  units, on the code, the hidden layer below it and the local map.
- ``negatives``: InfoNCE needs many negatives, JSD is nearly insensitive, DV is hurt most. The batch stays 128; it is scored in
  blocks of 2 to 128 samples, so that encoder, critic and order are the same; once more with the library's views of images.
- ``prior``: matching the uniform prior lowers the dependence of the code's components, and costs little. The paper's
  dependency measure is 0.18 on the sigmoid of the code and 9.18 on the code, but total correlation does not change under the
  sigmoid: what differs is how well its discriminator was trained. Ours works on ranks, so that one value stands for both.
- ``occlusion``: codes of images with a random square hidden, scored with local features of another such view of the image.

    python benchmarks/reproductions/deep_infomax_findings.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from protocol import Table, arguments_of, images, judged
from scipy.special import expit
from scipy.stats import kstest
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from torch import Tensor

from skdim import DeepInfoMaxTransformer
from skdim._params import Configured
from skdim.bounds import BOUNDS, Bound, InfoNCE
from skdim.evaluation import neural_dependency
from skdim.nn.encoders import Conv

AS_THEIRS = "64 components, and no augmentation but where it says so"
OTHER = (
    "20,000 rows of Fashion-MNIST and 10 epochs; the paper has CIFAR-10, and 1,000 epochs.",
    "A small convolutional encoder, 16-32-64, without fully connected layers.",
    "Encode-and-dot critics at the library's defaults, a cosine of linear embeddings, for the global "
    "objective too; eight random "
    "locations a step, each with the same location of other images as negatives.",
    "AdamW with a schedule, at 2e-3 in batches of 128, rather than Adam at a constant 1e-4 in batches of 64.",
    "The occlusion hides squares of half the side in both views, where the paper hides part of the global one's. Relative and "
    "absolute coordinates are left out.",
)
ROWS, EPOCHS, QUICK_EPOCHS = 20_000, 10, 1
#: Rows that both probes of each layer learn from.
PROBE_ROWS = 5_000
#: Rows that total correlation is taken on.
DEPENDENCY_ROWS = 5_000
LAYERS = ("global", "hidden", "local")


def transformer(seed: int, epochs: int, **options: Any) -> DeepInfoMaxTransformer:
    settings = {"augment": None, "encoder": Conv(channels=(16, 32, 64)), "max_iter": epochs, "random_state": seed}
    return DeepInfoMaxTransformer(64, **{**settings, **options})


def stages(dim: DeepInfoMaxTransformer, data: Bunch, epochs: int) -> Iterator[dict[str, Any]]:
    """Fit with no epoch and with all, and yield each stage's step and held-out InfoNCE."""
    for n in (0, epochs):
        dim.set_params(max_iter=n).fit(data.X)
        yield {"step": n * -(-len(data.X) // dim.batch_size), "i_est": round(dim.score(data.X_eval), 4)}


def codes_judged(dim: DeepInfoMaxTransformer, data: Bunch) -> dict[str, float]:
    return judged(dim.transform(data.X), data, dim.transform(data.X_eval))


# ------------------------------------------------------------------------------------------- local and global, layer by layer
def local_or_global(seed: int, epochs: int, data: Bunch) -> Iterator[tuple[dict[str, Any], Any]]:
    for objective, weights in {"local": (1.0, 0.0), "global": (0.0, 1.0)}.items():
        for estimator in ("infonce", "jsd"):
            options = {"local_weight": weights[0], "global_weight": weights[1], "estimator": estimator}
            dim = transformer(seed, epochs, **options)
            layers = LAYERS if estimator == "infonce" else LAYERS[:1]
            yield (
                {"objective": objective, "estimator": estimator},
                lambda d=dim, k=layers: layer_rows(d, k, data, epochs),
            )


def layer_rows(dim: DeepInfoMaxTransformer, layers: tuple[str, ...], data: Bunch, epochs: int) -> Iterator[Any]:
    few = Bunch(X=data.X[:PROBE_ROWS], y=data.y[:PROBE_ROWS], X_eval=data.X_eval, y_eval=data.y_eval)
    for stage in stages(dim, data, epochs):
        for layer in layers:
            dim.set_params(features=layer)
            Z, Z_eval = dim.transform(few.X), dim.transform(few.X_eval)
            units = MLPClassifier((200,), early_stopping=True, random_state=0)
            accuracy = make_pipeline(StandardScaler(), units).fit(Z, few.y).score(Z_eval, few.y_eval)
            yield {
                **stage,
                "layer": layer,
                "width": Z.shape[1],
                **judged(Z, few, Z_eval),
                "units_200": round(accuracy, 4),
            }


# ------------------------------------------------------------------------------------------------------- number of negatives
@dataclass
class Blocks(Bound):
    """A bound on square blocks of the batch's scores, so that each sample has ``size`` - 1 negatives."""

    bound: Bound = field(default_factory=InfoNCE)
    size: int = 128

    def __post_init__(self) -> None:
        for attribute in ("name", "kind", "offset", "symmetric", "loss_is_value"):
            setattr(self, attribute, getattr(self.bound, attribute))

    def blocks(self, scores: Tensor) -> Tensor:
        """Return (size, size, ..., number of blocks): a block is one more location; a rest is left out."""
        starts = range(0, len(scores) - self.size + 1, self.size)
        return torch.stack([scores[i : i + self.size, i : i + self.size] for i in starts], dim=-1)

    def value(self, scores: Tensor) -> Tensor:
        return self.bound.value(self.blocks(scores))

    def loss(self, scores: Tensor, log_average: Tensor | None = None) -> Tensor:
        return self.bound.loss(self.blocks(scores), log_average)


#: Views, estimators and samples in a block.
NEGATIVES: list[tuple[str | None, tuple[str, ...], tuple[int, ...]]] = [
    (None, ("infonce", "jsd", "dv"), (2, 8, 128)),
    ("auto", ("infonce", "jsd"), (2, 128)),
]


def number_of_negatives(seed: int, epochs: int, data: Bunch) -> Iterator[tuple[dict[str, Any], Any]]:
    n = len(data.X) // 128 * 128  # whole batches
    part = Bunch(X=data.X[:n], y=data.y[:n], X_eval=data.X_eval, y_eval=data.y_eval)
    for augment, estimators, sizes in NEGATIVES:
        for estimator, size in product(estimators, sizes):
            dim = transformer(seed, epochs, augment=augment, estimator=Blocks(BOUNDS[estimator](), size))
            yield (
                {"augment": str(augment), "estimator": estimator, "negatives": size - 1},
                lambda d=dim: ({**stage, **codes_judged(d, part)} for stage in stages(d, part, epochs)),
            )


# ------------------------------------------------------------------------------------------------------------ prior matching
def prior_matching(seed: int, epochs: int, data: Bunch) -> Iterator[tuple[dict[str, Any], Any]]:
    for weight in (0.0, 0.1, 1.0):
        dim = transformer(seed, epochs, prior_weight=weight)
        yield {"prior_weight": weight}, lambda d=dim: prior_rows(d, data, epochs)


def prior_rows(dim: DeepInfoMaxTransformer, data: Bunch, epochs: int) -> Iterator[dict[str, Any]]:
    for stage in stages(dim, data, epochs):
        codes = dim.transform(data.X_eval)
        distances = [kstest(column, "uniform").statistic for column in expit(codes.astype(float)).T]
        dependence = neural_dependency(codes[:DEPENDENCY_ROWS], random_state=0).value
        yield {
            **stage,
            **codes_judged(dim, data),
            "ndm": round(float(dependence), 4),
            "ks": round(float(np.mean(distances)), 4),
        }


# ----------------------------------------------------------------------------------------------------------------- occlusion
@dataclass
class Occlusion(Configured):
    """A view of standardised images in which a random square is their mean.

    Parameters
    ----------
    share : float
        The square's side over the image's; 0 hides nothing.
    """

    share: float = 0.5

    def n_draws(self, shape: tuple[int, ...]) -> int:
        return 2

    def __call__(self, X: Tensor, draws: Tensor) -> Tensor:
        hidden = torch.ones((), dtype=torch.bool, device=X.device)
        for axis, side in enumerate(X.shape[2:]):
            length = round(self.share * side)
            start = (draws[:, axis] * (side - length + 1)).floor()[:, None]
            place = torch.arange(side, device=X.device)
            within = (place >= start) & (place < start + length)
            hidden = hidden & (within[:, None, :, None] if axis == 0 else within[:, None, None, :])
        return X.masked_fill(hidden, 0.0)


def occlusion(seed: int, epochs: int, data: Bunch) -> Iterator[tuple[dict[str, Any], Any]]:
    for share in (0.0, 0.5):
        dim = transformer(seed, epochs, augment=Occlusion(share), code_weight=0.0)
        yield (
            {"hidden_side": share},
            lambda d=dim: ({**stage, **codes_judged(d, data)} for stage in stages(d, data, epochs)),
        )


FINDINGS = {
    "local": local_or_global,
    "negatives": number_of_negatives,
    "prior": prior_matching,
    "occlusion": occlusion,
}


def main() -> None:
    arguments = arguments_of(__doc__)
    data = images("fashion-mnist", arguments, ROWS)
    epochs = QUICK_EPOCHS if arguments.quick else EPOCHS
    for name, runs in FINDINGS.items():
        table = Table(f"deep_infomax_{name}", arguments)
        for seed in arguments.seeds:
            for settings, rows in runs(seed, epochs, data):
                table.run({**settings, "epochs": epochs, "seed": seed, "part": data.part, "rows": len(data.X)}, rows)


if __name__ == "__main__":
    main()
