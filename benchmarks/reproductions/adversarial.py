"""A bijective encoder against a linear classifier: accuracy falls at constant information (Tschannen et al. 2020, Section 3.1).

A linear layer learns the labels from the code of the top half; the encoder learns to make its predictions uniform. The encoder
stays bijective, so it still maximises the mutual information of the halves; a freshly trained probe finds less and less.

As in the paper and its notebook: 1,000 steps of the classifier first, then ten for each step of the encoder, batches of 128,
couplings with shift and scale, Adam, the encoder's learning rate a hundredth of the classifier's. Ten couplings rather than 30,
1,500 encoder steps rather than 4,000, for which both rates are ten times the notebook's, 1e-2 and 1e-4; three seeds. Every
factor is above a tenth, so that float32 can hold the inverse; one run has their floor of 1e-7. A row says how far the inverse
is from the pixels.

    python benchmarks/reproductions/adversarial.py --test
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from protocol import BATCH, WIDTH, Table, arguments_of, images, judged, permutations, top
from sklearn.utils import Bunch
from torch import Tensor, nn

from skdim.nn.invertible import CouplingNetwork, Couplings
from skdim.training.device import local_seed

N_CLASSES, WARM_UP, CLASSIFIER_STEPS = 10, 1_000, 10
#: The ratio is theirs: an encoder that is faster only spoils the classifier of the moment, which recovers.
CLASSIFIER_RATE, ENCODER_RATE = 1e-2, 1e-4
N_COUPLINGS, SMALLEST_SCALE, THEIR_SCALE = 10, 0.1, 1e-7
AT = [0, 250, 500, 750, 1_000, 1_250, 1_500]
QUICK_AT = [0, 20]


class Game:
    """The encoder and its adversary."""

    def __init__(self, smallest_scale: float, seed: int) -> None:
        couplings = Couplings(N_COUPLINGS, scale=True, smallest_scale=smallest_scale)
        with local_seed(seed):
            self.encoder: CouplingNetwork = couplings((WIDTH,), WIDTH)
            self.classifier = nn.Linear(WIDTH, N_CLASSES)
        self.of_encoder = torch.optim.Adam(self.encoder.parameters(), lr=ENCODER_RATE, fused=True)
        self.of_classifier = torch.optim.Adam(self.classifier.parameters(), lr=CLASSIFIER_RATE, fused=True)

    def train_classifier(self, X: Tensor, y: Tensor) -> None:
        """Take a step for each batch of the rows, on codes that the encoder gives at once."""
        with torch.no_grad():
            codes = self.encoder(X)
        for code, label in zip(codes.split(BATCH), y.split(BATCH), strict=True):
            self._step(F.cross_entropy(self.classifier(code), label), self.of_classifier)

    def train_encoder(self, X: Tensor) -> None:
        """Take a step towards predictions that are uniform."""
        logits = self.classifier(self.encoder(X))
        self._step(-logits.log_softmax(1).mean(), self.of_encoder)

    @staticmethod
    def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def rows(smallest_scale: float, at: list[int], seed: int, data: Bunch) -> Iterator[dict[str, Any]]:
    X, X_eval = top(data.X), top(data.X_eval)
    X, X_eval = ((torch.from_numpy(part) - X.mean().item()) / X.std().item() for part in (X, X_eval))
    y = torch.from_numpy(data.y)
    game, order, done = Game(smallest_scale, seed), permutations(len(X), seed), 0

    def next_rows(n_batches: int) -> Tensor:
        return torch.from_numpy(np.fromiter(islice(order, n_batches * BATCH), dtype=np.int64))

    for _ in range(WARM_UP // CLASSIFIER_STEPS):
        batch = next_rows(CLASSIFIER_STEPS)
        game.train_classifier(X[batch], y[batch])
    for step in at:
        for _ in range(step - done):
            batch = next_rows(CLASSIFIER_STEPS)
            game.train_classifier(X[batch], y[batch])
            game.train_encoder(X[next_rows(1)])
        done = step
        with torch.no_grad():
            Z, Z_eval = (torch.cat([game.encoder(block) for block in part.split(1024)]) for part in (X, X_eval))
            error = (game.encoder.inverse(Z_eval) - X_eval).abs().max().item()
        yield {"step": step, **judged(Z.numpy(), data, Z_eval.numpy()), "inverse_error": f"{error:.2g}"}


def main() -> None:
    arguments = arguments_of(__doc__, n_seeds=3)
    data = images("mnist", arguments)
    table, at = Table("adversarial", arguments), QUICK_AT if arguments.quick else AT
    runs = [(SMALLEST_SCALE, seed) for seed in arguments.seeds] + [(THEIR_SCALE, arguments.seeds[0])]
    for smallest_scale, seed in runs:
        settings = {"couplings": N_COUPLINGS, "smallest_scale": smallest_scale}
        settings |= {"classifier_rate": CLASSIFIER_RATE, "encoder_rate": ENCODER_RATE}
        settings |= {"steps": at[-1], "seed": seed, "part": data.part, "rows": len(data.X)}
        table.run(settings, lambda scale=smallest_scale, seed=seed: rows(scale, at, seed, data))


if __name__ == "__main__":
    main()
