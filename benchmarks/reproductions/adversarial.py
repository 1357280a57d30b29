"""A bijective encoder against a linear classifier: accuracy falls at constant information (Tschannen et al. 2020, Section 3.1).

A linear classifier learns the labels from the code of the top half; the encoder learns to make its predictions uniform. The
encoder stays bijective, so it still maximises the mutual information of the halves; a freshly trained probe finds less and
less. The classifier plays in one of two ways:

- "descent", the paper's: 1,000 steps of gradient descent on batches of 128 first, then ten for each step of the encoder.
- "optimum", ours: at each step of the encoder the best linear classifier, by least squares on the codes of the last steps.

    python benchmarks/reproductions/adversarial.py --test
    python benchmarks/reproductions/adversarial.py --test --full --seeds 0 1 2 3 4    # the paper's size: a GPU, or hours
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

from skdim._random import LocalSeed
from skdim.nn.invertible import CouplingNetwork, Couplings

AS_THEIRS = (
    "the game by descent, couplings with shift and scale, Adam, the encoder's learning rate a hundredth "
    "of the classifier's, as the "
    "notebook has it"
)
OTHER = (
    "The pixels are standardised, not from 0 to 1.",
    "Ten couplings rather than 30; 1,500 encoder steps rather than 4,000, for which both rates are ten "
    "times the notebook's, 1e-2 and 1e-4. Rows with 30 couplings (``--full``) have their couplings, steps and rates.",
    "Up to five seeds; the column n says how many.",
    "Every factor is above a tenth, so that float32 can hold the inverse; one run has their floor of 1e-7.",
    "The game against the optimum is ours: additive couplings, batches of 512, the rate 1e-4, 4,000 "
    "steps. The encoder minimises the "
    "share of the labels' variance that the classifier explains. A small penalty keeps its codes within "
    "the variance of its inputs, "
    "without which they grow a thousandfold.",
    "A row says how far the inverse is from the pixels; the paper has no such check.",
)
N_CLASSES, WARM_UP, CLASSIFIER_STEPS = 10, 1_000, 10
#: The ratio is theirs: an encoder that is faster only spoils the classifier of the moment, which recovers.
RATIO, ENCODER_RATE, THEIR_RATE = 100, 1e-4, 1e-5
N_COUPLINGS, THEIR_COUPLINGS, SMALLEST_SCALE, THEIR_SCALE = 10, 30, 0.1, 1e-7
#: Batches of a step against the optimum, the weight of what the moments held before, the ridge, and the penalty on growth.
BATCHES, MEMORY, RIDGE, GROWTH = 4, 0.9, 1e-3, 0.01
AT = {"descent": [0, 250, 500, 750, 1_000, 1_250, 1_500], "optimum": [0, 1_000, 2_000, 3_000, 4_000]}
FULL_AT = AT["optimum"]
QUICK_AT = [0, 20]


class Descent:
    """The linear layer that the paper's encoder plays against, ten batches for each of the encoder's."""

    def __init__(self, rate: float, device: torch.device) -> None:
        self.layer = nn.Linear(WIDTH, N_CLASSES).to(device)
        self.optimizer = torch.optim.Adam(self.layer.parameters(), lr=rate, fused=True)

    def learn(self, codes: Tensor, labels: Tensor) -> None:
        """Take a step for each batch of the codes."""
        for code, label in zip(codes.split(BATCH), labels.split(BATCH), strict=True):
            self.optimizer.zero_grad()
            F.cross_entropy(self.layer(code), label).backward()
            self.optimizer.step()

    def loss_of_encoder(self, codes: Tensor) -> Tensor:
        """Return the cross-entropy of the uniform distribution and the predictions."""
        return -self.layer(codes).log_softmax(1).mean()


class Optimum:
    """W = (M + r I)^-1 C for the second moments M of the codes, and C of codes and labels, fading averages over the steps."""

    def __init__(self) -> None:
        self.M, self.C = torch.zeros(WIDTH + 1, WIDTH + 1), torch.zeros(WIDTH + 1, N_CLASSES)
        self.weight = 0.0

    def learn(self, codes: Tensor, labels: Tensor) -> None:
        """Move the moments, and W with them."""
        codes, targets = F.pad(codes, (0, 1), value=1.0), F.one_hot(labels, N_CLASSES) - 1 / N_CLASSES
        self.M.lerp_(codes.T @ codes / len(codes), 1 - MEMORY)
        self.C.lerp_(codes.T @ targets / len(codes), 1 - MEMORY)
        self.weight += (1 - MEMORY) * (1 - self.weight)
        self.W = torch.linalg.solve(self.M / self.weight + RIDGE * torch.eye(WIDTH + 1), self.C / self.weight)

    def loss_of_encoder(self, codes: Tensor) -> Tensor:
        """Return the share of the labels' variance that the predictions have, with the penalty on the codes' growth."""
        explained = (F.pad(codes, (0, 1), value=1.0) @ self.W).square().sum(1).mean() / (1 - 1 / N_CLASSES)
        return explained + GROWTH * (codes.square().mean(0) - 1).relu().mean()


class Game:
    """The encoder and its adversary on rows X with labels y."""

    def __init__(self, adversary: str, couplings: Couplings, rate: float, seed: int, X: Tensor, y: Tensor) -> None:
        with LocalSeed(seed):
            self.encoder: CouplingNetwork = couplings((WIDTH,), WIDTH).to(X.device)
            self.classifier = Descent(RATIO * rate, X.device) if adversary == "descent" else Optimum()
        self.optimizer = torch.optim.Adam(self.encoder.parameters(), lr=rate, fused=True)
        self.X, self.y, self.order = X, y, permutations(len(X), seed)
        if isinstance(self.classifier, Descent):
            for _ in range(WARM_UP // CLASSIFIER_STEPS):
                self.train_classifier()

    def next_rows(self, n_batches: int) -> Tensor:
        return torch.from_numpy(np.fromiter(islice(self.order, n_batches * BATCH), dtype=np.int64)).to(self.X.device)

    def train_classifier(self) -> None:
        """Take ten steps, on codes that the encoder gives at once."""
        rows = self.next_rows(CLASSIFIER_STEPS)
        with torch.no_grad():
            codes = self.encoder(self.X[rows])
        self.classifier.learn(codes, self.y[rows])

    def step(self) -> None:
        """Take a step of the encoder."""
        if isinstance(self.classifier, Descent):
            self.train_classifier()
            codes = self.encoder(self.X[self.next_rows(1)])
        else:
            rows = self.next_rows(BATCHES)
            codes = self.encoder(self.X[rows])
            self.classifier.learn(codes.detach(), self.y[rows])
        self.optimizer.zero_grad()
        self.classifier.loss_of_encoder(codes).backward()
        self.optimizer.step()


def codes(
    adversary: str, couplings: Couplings, rate: float, at: list[int], seed: int, data: Bunch
) -> Iterator[tuple[int, np.ndarray, np.ndarray, float]]:
    """Yield each of the steps ``at``, the codes of both parts, and the largest error of the inverse."""
    X, X_eval = top(data.X), top(data.X_eval)
    device = torch.device("cuda" if torch.cuda.is_available() and adversary == "descent" else "cpu")
    X, X_eval = ((torch.from_numpy(part) - X.mean().item()) / X.std().item() for part in (X, X_eval))
    X, X_eval, y = X.to(device), X_eval.to(device), torch.from_numpy(data.y).to(device)
    game, done = Game(adversary, couplings, rate, seed, X, y), 0
    for step in at:
        for _ in range(step - done):
            game.step()
        done = step
        with torch.no_grad():
            Z, Z_eval = (torch.cat([game.encoder(block) for block in part.split(1024)]) for part in (X, X_eval))
            error = (game.encoder.inverse(Z_eval) - X_eval).abs().max().item()
        yield step, Z.cpu().numpy(), Z_eval.cpu().numpy(), error


def rows(data: Bunch, *settings: Any) -> Iterator[dict[str, Any]]:
    for step, Z, Z_eval, error in codes(*settings, data):
        yield {"step": step, **judged(Z, data, Z_eval), "inverse_error": f"{error:.2g}"}


def main() -> None:
    arguments = arguments_of(__doc__, n_seeds=3, full="the paper's game alone, at its size")
    data = images("mnist", arguments)
    table = Table("adversarial", arguments)
    runs: list[tuple[str, float | None, int]] = [("descent", SMALLEST_SCALE, seed) for seed in arguments.seeds]
    n_couplings, rate = (THEIR_COUPLINGS, THEIR_RATE) if arguments.full else (N_COUPLINGS, ENCODER_RATE)
    if not arguments.full:
        runs = [("optimum", None, seed) for seed in arguments.seeds] + runs
        runs += [("descent", THEIR_SCALE, arguments.seeds[0])]
    for adversary, floor, seed in runs:
        couplings = (
            Couplings(n_couplings) if floor is None else Couplings(n_couplings, scale=True, smallest_scale=floor)
        )
        at = QUICK_AT if arguments.quick else FULL_AT if arguments.full else AT[adversary]
        settings = {
            "adversary": adversary,
            "couplings": n_couplings,
            "smallest_scale": "no factors" if floor is None else floor,
            "encoder_rate": rate,
            "steps": at[-1],
            "seed": seed,
            "part": data.part,
            "rows": len(data.X),
        }
        table.run(settings, lambda run=(adversary, couplings, rate, at, seed): rows(data, *run))


if __name__ == "__main__":
    main()
