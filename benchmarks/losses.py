"""Losses under one roof: the same encoder, views, batch, schedule, CPU seconds and probe for each.

Deep InfoMax with the defaults learns for ``--epochs``. With two other estimators, and with projection heads in its critics, it
learns for as many. Each loss of a peer gets as many steps as fit into the CPU seconds that the defaults trained. All encoders
are the default one, all views the default ones; the optimizer and its schedule are those of :mod:`hand_written`, the learning
rate too, except where ``LEARNING_RATES`` says. Projection heads of peers have ``HEAD`` units and batch normalisation, and stand
on the code. The rows of "supervised" saw the labels.

Each row judges by the linear probe, with all labels and with few: "trained code", the 64 numbers that the loss learned; "code",
the discriminant code of the hidden layer, 64 numbers too, found in closed form for peers likewise; and the hidden layer.
Validation part by default; ``--test`` reads the test set. Rows that exist are skipped.

    python benchmarks/losses.py --data fashion-mnist --epochs 4 --seeds 0 1 2
    python benchmarks/losses.py --data cifar10-jpeg --epochs 20 --methods ours untrained PCA "raw pixels" --test
    python benchmarks/losses.py --report

References
----------
Chen et al., "A simple framework for contrastive learning of visual representations", ICML 2020 (SimCLR).
Zbontar et al., "Barlow Twins: self-supervised learning via redundancy reduction", ICML 2021.
Bardes, Ponce & LeCun, "VICReg: variance-invariance-covariance regularization", ICLR 2022.
Grill et al., "Bootstrap your own latent", NeurIPS 2020 (BYOL).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from common import LOADERS, PROBE, load, random_axes, read, record
from hand_written import LEARNING_RATE, adamw
from sklearn.decomposition import PCA
from torch import Tensor, nn

from skdim import DeepInfoMaxTransformer
from skdim.evaluation import linear_probe
from skdim.inputs import ImageAugmentation
from skdim.nn.critics import Separable
from skdim.nn.discriminant import Discriminant
from skdim.nn.encoders import Conv, build_encoder

TABLE = "losses"
WIDTH, BATCH, HEAD, LABELS, DRAWS = 64, 128, 512, 1000, 3
LEARNING_RATES: dict[str, float] = {}

#: Features of images by name, from a fit.
Transform: TypeAlias = Callable[[np.ndarray], dict[str, np.ndarray]]


def head(width_in: int = WIDTH, width_out: int = HEAD) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width_in, HEAD, bias=False), nn.BatchNorm1d(HEAD), nn.ReLU(inplace=True), nn.Linear(HEAD, width_out)
    )


class Peer(nn.Module):
    """The default encoder under a loss of standardised images X; a head on the code if ``head_width`` is positive."""

    head_width = 0

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = build_encoder(Conv(), shape, WIDTH)
        self.head = head(width_out=self.head_width) if self.head_width else nn.Identity()
        self.augment = ImageAugmentation()
        self.progress = 0.0

    def view(self, X: Tensor) -> Tensor:
        return self.augment(X, torch.rand(len(X), self.augment.n_draws(tuple(X.shape[1:]))))

    def codes(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of two views of the batch."""
        both = self.encoder(torch.cat([self.view(X), self.view(X)])).global_
        return both[: len(X)], both[len(X) :]

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError

    def after_step(self) -> None:
        """Do what follows the optimizer's step."""


class SimCLR(Peer):
    """NT-Xent (their Eq. 1) at temperature 0.5, theirs for CIFAR-10."""

    temperature, head_width = 0.5, 128

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        z = F.normalize(self.head(torch.cat(self.codes(X))), dim=1)
        scores = (z @ z.T / self.temperature).fill_diagonal_(-torch.inf)
        return F.cross_entropy(scores, torch.arange(2 * len(X)).roll(len(X)))


class BarlowTwins(Peer):
    """Their Eq. 1 with lambda = 0.005."""

    head_width = HEAD

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        a, b = (self.head(code) for code in self.codes(X))
        a, b = ((z - z.mean(0)) / z.std(0) for z in (a, b))
        squares = ((a.T @ b) / len(X) - torch.eye(HEAD)).square()
        on_diagonal = squares.diagonal().sum()
        return on_diagonal + 0.005 * (squares.sum() - on_diagonal)


class VICReg(Peer):
    """Their Eq. 6 with weights 25, 25 and 1."""

    head_width = HEAD

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        a, b = (self.head(code) for code in self.codes(X))
        loss = 25 * F.mse_loss(a, b)
        for z in (a - a.mean(0), b - b.mean(0)):
            covariance = z.T @ z / (len(z) - 1)
            variance = covariance.diagonal()
            loss = loss + 25 * F.relu(1 - (variance + 1e-4).sqrt()).mean() / 2
            loss = loss + (covariance.square().sum() - variance.square().sum()) / HEAD
        return loss


class BYOL(Peer):
    """Their Eq. 2 in both directions; the target's rate rises from 0.99 to 1."""

    head_width = 128

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.predictor = head(128, 128)
        self.target = copy.deepcopy(nn.ModuleList([self.encoder, self.head])).requires_grad_(False)

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        views = [self.view(X), self.view(X)]
        encoder, top = self.target
        with torch.no_grad():
            targets = [top(encoder(view).global_) for view in views]
        guesses = [self.predictor(self.head(self.encoder(view).global_)) for view in views]
        pairs = zip(guesses, reversed(targets), strict=True)
        return sum(2 - 2 * F.cosine_similarity(guess, target).mean() for guess, target in pairs)

    @torch.no_grad()
    def after_step(self) -> None:
        share = 0.01 * (math.cos(math.pi * self.progress) + 1) / 2
        online = nn.ModuleList([self.encoder, self.head])
        for target, source in zip(self.target.parameters(), online.parameters(), strict=True):
            target.lerp_(source, share)


class Autoencoder(Peer):
    """The squared error of standardised pixels, of a decoder that mirrors the encoder; it sees the images themselves."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        local, rest = self.encoder.local(torch.zeros(2, *shape)), WIDTH
        side, above = local.shape[-1], (local.shape[-1] + 1) // 2
        layers: list[nn.Module] = [nn.Linear(rest, 128 * above**2), nn.Unflatten(1, (128, above, above))]
        for size_in, size_out, smaller, larger in (
            (128, 64, above, side),
            (64, 32, side, 2 * side),
            (32, shape[0], 2 * side, 4 * side),
        ):
            up = nn.ConvTranspose2d(size_in, size_out, 3 if larger % 2 else 4, 2, 1)
            layers += [nn.BatchNorm2d(size_in), nn.ReLU(inplace=True), up]
            if (smaller - 1) * 2 - 2 + (3 if larger % 2 else 4) != larger:
                raise ValueError(f"No decoder for images of {shape}.")
        self.decoder = nn.Sequential(*layers)

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(self.decoder(self.encoder(X).global_), X)


class Supervised(Peer):
    """Cross-entropy of a linear layer on the code of a view."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.classes = nn.Linear(WIDTH, 10)

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.classes(self.encoder(self.view(X)).global_), y)


PEERS: dict[str, type[Peer]] = {
    "SimCLR": SimCLR,
    "Barlow Twins": BarlowTwins,
    "VICReg": VICReg,
    "BYOL": BYOL,
    "autoencoder": Autoencoder,
    "supervised": Supervised,
}
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, jsd": {"estimator": "jsd"},
    "ours, dv": {"estimator": "dv"},
    "ours, projection heads": {"critic": Separable(hidden_layer_sizes=(HEAD,), norm="batch")},
    "untrained": {"max_iter": 0},
}


def batches(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the rows of batches for ever; the last one of an epoch is left out if it is small."""
    while True:
        yield from (rows for rows in torch.randperm(n, generator=generator).split(BATCH) if len(rows) == BATCH)


def learn(name: str, data: Any, n_steps: int, seed: int) -> tuple[Peer, Callable[[Any], Tensor]]:
    """Return a peer after so many steps, and what turns images into its inputs."""
    X = torch.from_numpy(data.X)
    sd, mean = torch.std_mean(as_maps(X), (0, 2, 3), keepdim=True)

    def inputs(images: Any) -> Tensor:
        return (as_maps(torch.as_tensor(images)) - mean) / sd

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peer = PEERS[name](tuple(as_maps(X[:1]).shape[1:])).to(memory_format=torch.channels_last)
        rate = LEARNING_RATES.get(name, LEARNING_RATE)
        optimizer = adamw([p for p in peer.parameters() if p.requires_grad], rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, n_steps, pct_start=0.05, cycle_momentum=False)
        y, generator = torch.from_numpy(data.y), torch.Generator().manual_seed(seed)
        for step, rows in enumerate(itertools.islice(batches(len(X), generator), n_steps)):
            loss = peer(inputs(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            peer.progress = step / n_steps
            peer.after_step()
    return peer.eval(), inputs


def as_maps(images: Tensor) -> Tensor:
    return (images if images.ndim == 4 else images[:, None]).float()


def features_of(peer: Peer, inputs: Callable[[Any], Tensor], X: np.ndarray, seed: int) -> Transform:
    """Find the peer's discriminant code from random rows of X, and return its three features."""

    @torch.inference_mode()
    def encoded(images: np.ndarray, see: Callable[[Tensor], Tensor] = lambda X: X) -> tuple[Tensor, Tensor]:
        outputs = [peer.encoder(see(inputs(part))) for part in torch.from_numpy(images).split(512)]
        return torch.cat([output.hidden for output in outputs]), torch.cat([output.global_ for output in outputs])

    discriminant = Discriminant(peer.encoder.n_hidden, WIDTH)
    rows = X[np.random.default_rng(seed).permutation(len(X))[: discriminant.most_rows]]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        (hidden, code), first, second = encoded(rows), encoded(rows, peer.view)[0], encoded(rows, peer.view)[0]
    discriminant.find([(hidden, first - second, code)], len(rows))

    def transform(images: np.ndarray) -> dict[str, np.ndarray]:
        hidden, code = encoded(images)
        return {"trained code": code.numpy(), "code": discriminant(hidden).numpy(), "hidden": hidden.numpy()}

    return transform


def ours(name: str, data: Any, epochs: int, seed: int) -> Transform:
    dim = DeepInfoMaxTransformer(WIDTH, **{"max_iter": epochs, "random_state": seed} | OURS[name]).fit(data.X)

    def transform(X: np.ndarray) -> dict[str, np.ndarray]:
        names = {"trained code": "global", "code": "discriminant", "hidden": "hidden"}
        return {place: dim.set_params(features=part).transform(X) for place, part in names.items()}

    return transform


def controls(name: str, data: Any) -> Transform:
    flat = data.X.reshape(len(data.X), -1).astype(np.float32)
    if name == "raw pixels":
        return lambda X: {"pixels": X.reshape(len(X), -1).astype(np.float32)}
    axes = random_axes(WIDTH) if name == "PCA, axes turned" else np.eye(WIDTH, dtype=np.float32)
    model = PCA(WIDTH, random_state=0).fit(flat)
    return lambda X: {"code": model.transform(X.reshape(len(X), -1).astype(np.float32)) @ axes}


def seconds_a_step(name: str, data: Any) -> float:
    """Return the CPU seconds of a step, of the median of three stretches."""
    took = []
    for _ in range(3):
        start = time.process_time()
        learn(name, data, 10, 0)
        middle = time.process_time()
        learn(name, data, 70, 0)
        took.append((time.process_time() - 2 * middle + start) / 60)
    return float(np.median(took))


def judge(run: dict[str, Any], transform: Transform, data: Any, cpu: float, epochs: float) -> None:
    parts = [transform(X) for X in (data.X, data.X_eval)]
    few = min(LABELS, len(data.X) // 2)
    budgets = {"n_labels": [None, few], "n_draws": DRAWS, "random_state": 0}
    for place in parts[0]:
        probe = linear_probe(parts[0][place], data.y, parts[1][place], data.y_eval, **budgets)
        (every, less), (_, sd) = probe.mean["accuracy"], probe.sd["accuracy"]
        record(
            TABLE,
            {
                **run,
                "features": place,
                "width": parts[0][place].shape[1],
                "fit_cpu_s": round(cpu, 1),
                "passes": round(epochs, 2),
                "accuracy_all": round(every, 4),
                "n_labels_few": few,
                "accuracy_few": round(less, 4),
                "sd_few": round(sd, 4),
            },
        )


def report() -> None:
    """Print a table for each data set and budget: means over the seeds, and their standard deviations."""
    rows = read(TABLE)
    budgets = ("data", "part", "rows", "epochs")
    for budget in dict.fromkeys(tuple(row[name] for name in budgets) for row in rows):
        of_budget = [row for row in rows if tuple(row[name] for name in budgets) == budget]
        print("\n" + ", ".join(f"{name} {value}" for name, value in zip(budgets, budget, strict=True)) + "\n")
        few = of_budget[0]["n_labels_few"]
        print(
            f"| loss | features | width | seeds | all labels | {few} labels | CPU s |\n|---|---|---:|---:|---:|---:|---:|"
        )
        for method, place in dict.fromkeys((row["method"], row["features"]) for row in of_budget):
            same = [row for row in of_budget if (row["method"], row["features"]) == (method, place)]
            cells = [f"{method} | {place} | {same[0]['width']} | {len(same)}"]
            for column in ("accuracy_all", "accuracy_few"):
                values = np.array([float(row[column]) for row in same])
                cells.append(f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""))
            print("| " + " | ".join([*cells, f"{np.mean([float(row['fit_cpu_s']) for row in same]):.0f}"]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mnist", choices=LOADERS)
    parser.add_argument("--epochs", type=int, default=4, help="of Deep InfoMax")
    parser.add_argument("--methods", nargs="+", default=["raw pixels", "PCA", "PCA, axes turned", *OURS, *PEERS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, help="learn from the first rows only")
    parser.add_argument("--test", action="store_true", help="judge on the test set")
    parser.add_argument("--report", action="store_true", help="print the tables of the rows that are there")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    torch.set_num_threads(1)
    data = load(arguments.data, arguments.test)
    data.X, data.y = data.X[: arguments.rows], data.y[: arguments.rows]
    budget = {"data": arguments.data, "part": data.part, "rows": len(data.X), **PROBE, "epochs": arguments.epochs}
    for seed, method in itertools.product(arguments.seeds, arguments.methods):
        run = {**budget, "method": method, "seed": seed}
        done = [row for row in read(TABLE) if all(row[name] == str(value) for name, value in budget.items())]
        if any(row["method"] == method and row["seed"] == str(seed) for row in done):
            continue
        start, passes = time.process_time(), 0.0
        if method in PEERS:
            took = {row["method"]: float(row["fit_cpu_s"]) for row in reversed(done)}
            if not {"ours", "untrained"} <= set(took):
                raise SystemExit(
                    "The peers train for the CPU seconds of 'ours' less those of 'untrained': run them first."
                )
            n_steps = max(1, round((took["ours"] - took["untrained"]) / seconds_a_step(method, data)))
            start, passes = time.process_time(), n_steps * BATCH / len(data.X)
            transform = features_of(*learn(method, data, n_steps, seed), data.X, seed)
        elif method in OURS:
            transform = ours(method, data, arguments.epochs, seed)
            passes = OURS[method].get("max_iter", arguments.epochs)
        else:
            transform = controls(method, data)
        judge(run, transform, data, time.process_time() - start, passes)


if __name__ == "__main__":
    main()
