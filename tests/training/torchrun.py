"""What test_distributed.py runs under torchrun and, in its own process, without: fits by name, and what comes of them.

torchrun --nproc-per-node 2 tests/training/torchrun.py FOLDER, with tests/ on the path; a script in FOLDER/script is run, too
"""

import contextlib
import gc
import os
import runpy
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from helpers import DropoutEncoder, arrays, images, noise, table, tiny, tiny_mi, tiny_table
from sklearn.base import clone

from skdim import Checkpoint, CPCTransformer, MultiViewInfoMaxTransformer
from skdim.evaluation import neural_dependency, probe_ladder
from skdim.inputs.batches import Batches
from skdim.training import distributed
from skdim.training.checkpoint import Journal
from skdim.training.distributed import join, write_once
from skdim.training.fitting import optimizer_of
from skdim.training.trainer import Trainer

RANK = int(os.environ.get("RANK", 0))
STEPS = 20


def one_batch(n, **params):
    """Return parameters that make every epoch one step, on all rows."""
    return {"batch_size": n, "max_iter": STEPS, **params}


def sequences(n=45):
    return np.cumsum(np.random.default_rng(0).normal(size=(n, 40)), axis=1)


def multiview(**params):
    defaults = {"n_components": 4, "hidden_layer_sizes": (8,), "max_iter": 4, "batch_size": 25, "random_state": 0}
    return MultiViewInfoMaxTransformer(**{**defaults, **params})


def cpc(**params):
    return CPCTransformer(4, n_steps=3, **{"max_iter": 4, "batch_size": 23, "random_state": 0, **params})


def resumed(make, X):
    """Return a fit that went on from the file of one that ended in its third epoch."""
    folder = Path(tempfile.gettempdir()) / f"checkpoints-{os.environ.get('TORCHELASTIC_RUN_ID')}-{os.getppid()}"
    estimator, offer, epochs = make().set_params(checkpoint=Checkpoint(folder, minutes=0)), Journal.offer, []

    def end_in_the_third(journal, net, n_batches):
        offer(journal, net, n_batches)
        epochs.append(len(net.history))
        if len(net.history) == 3:
            raise KeyboardInterrupt

    Journal.offer = end_in_the_third
    try:
        estimator.fit(X)
    except KeyboardInterrupt:
        Journal.offer = lambda journal, net, n_batches: epochs.append(len(net.history))
        fitted = clone(estimator).fit(X)
    finally:
        Journal.offer = offer
    assert epochs == sorted(epochs)  # none comes again
    assert {*epochs} == {1, 2, 3, 4}
    if RANK == 0:
        folder.rmdir()  # it is empty
    return fitted


#: Fits whose numbers must be those of one process. Shares of 51 rows in two, and batches of several sizes, are uneven.
CASES = {
    "mlp": lambda: tiny_table(**one_batch(51)).fit(table(51)),
    "mlp, one view, dv": lambda: tiny_table(augment=None, estimator="dv", global_weight=1.0).fit(table(81)),
    "conv with batch norm": lambda: tiny(**one_batch(51)).fit(images(51)),
    "conv, batches of 23 and 22": lambda: tiny(batch_size=23, global_weight=0.5).fit(images(90)),
    "uniform prior": lambda: tiny_table(prior_weight=0.1, max_iter=4).fit(table(81)),
    "resumed": lambda: resumed(lambda: tiny_table(prior_weight=0.1, max_iter=4), table(81)),
    "posterior": lambda: tiny_table(posterior="gaussian", total_correlation_weight=0.1, max_iter=4).fit(table(81)),
    "noise": lambda: tiny(prior="normal", prior_method="noise").fit(images(81)),
    "early stopping": lambda: tiny(early_stopping=True, n_iter_no_change=1, max_iter=6, tol=0.5).fit(images(120)),
    "partial fit": lambda: tiny().partial_fit(images(61)).partial_fit(images(61)),
    "multi-view": lambda: multiview(views="halves", encoder="mlp").fit(images(63)),
    "multi-view, shared encoder": lambda: multiview(views="halves", encoder="mlp", shared_encoder=True).fit(images(63)),
    "predictive coding": lambda: cpc().fit(sequences()),
    "predictive coding, lengths": lambda: cpc(negatives="all").fit(sequences(), lengths=np.arange(45) % 20 + 20),
}
#: Fits whose numbers are their own, but the same on all ranks.
AGREEING = {
    "no seed": lambda: tiny_table(random_state=None).fit(table(51)),
    "views that draw": lambda: tiny_table(augment=noise, prior_weight=0.1).fit(table(51)),
    "dropout": lambda: tiny_table(encoder=DropoutEncoder, hidden_layer_sizes="auto").fit(table(51)),
}


def with_missing(X):
    X[::5, :2] = np.nan
    return X


#: Calls that are refused where there are several processes, and the error on each.
REFUSED = {
    "other rows": (
        lambda: tiny_table().fit(table(51 + RANK)),
        r"the number of rows of X is \[51.0, 52.0\]",
    ),
    "other values": (lambda: tiny_table().fit(table(51, seed=RANK)), "the mean of X is"),
    "other parameters": (lambda: tiny_table(learning_rate=1e-3 * (1 + RANK)).fit(table(51)), "learning_rate is"),
    "missing views": (
        lambda: multiview(views=[("a", [0, 1]), ("b", [2, 3])]).fit(with_missing(table(51))),
        "ValueError: .*view",
    ),
    "MI": (
        lambda: tiny_mi(test_fraction=0.2).fit(table(100), table(100)[:, :1]),
        "RuntimeError: MIEstimator trains in one process",
    ),
    "ladder": (
        lambda: probe_ladder(table(100), np.arange(100) % 2),
        "RuntimeError: probe_ladder trains in one process",
    ),
    "dependency": (
        lambda: neural_dependency(table(100), random_state=0),
        "RuntimeError: neural_dependency trains in one process",
    ),
}


def float64_losses(estimator, X):
    """Return the losses of STEPS steps of an objective in float64."""
    samples = estimator._samples(X, torch.device("cpu"), reset=True)
    learner = estimator._new_learner(samples)
    objective, ranks = learner.objective.double(), join(learner.device)
    views = objective.views

    def in_float64(X, draws):
        made = views(X, draws)
        return [view.double() for view in made] if isinstance(made, list) else made.double()

    objective.views = in_float64
    trainer = Trainer(optimizer_of(estimator)(objective), STEPS, learner.generator, ranks=ranks)
    batches = Batches(samples, np.arange(len(X)), len(X), seed=0, n_draws=objective.n_draws, ranks=ranks)
    return np.array([row["loss"] for row in trainer.train(objective, batches).epochs])


#: Objectives in float64.
EXACT = {
    "mlp": lambda: float64_losses(tiny_table(prior_weight=0.1), table(51)),
    "conv": lambda: float64_losses(tiny(global_weight=0.5), images(51)),
    "multi-view": lambda: float64_losses(
        multiview(views="augment", encoder="conv", hidden_layer_sizes="auto"), images(51)
    ),
    "predictive coding": lambda: float64_losses(cpc(), sequences()),
}


def outcome(estimator):
    """Return what a fit came to, as arrays by name."""
    state = {name: np.asarray(array) for name, array in arrays(estimator).items() if name.startswith("objective")}
    return {"loss": np.array(estimator.loss_curve_), **state}


def error_of(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def killed(folder):
    """Fit until this rank, the second, dies in the midst of it."""
    from skdim.training import callbacks

    def die(guard, net, **kwargs):
        if RANK == 1 and len(net.history) == 2:
            os._exit(7)

    callbacks.DivergenceGuard.on_batch_end = die
    fitted = tiny_table(max_iter=1000).fit(table(51))
    write_once(folder / "model", lambda path: path.write_text(str(fitted)))


def outlived():
    """Return whether the group of processes is still there after it was left: its threads would outlive the interpreter."""
    # torch's objects know no weak references; nothing but this function and its argument may hold the group
    group = torch.distributed.group.WORLD
    distributed._leave()
    gc.collect()
    return sys.getrefcount(group) > 2


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["killed"]:
        killed(folder)
    for script in folder.glob("script/*.py"):
        with contextlib.chdir(script.parent):
            runpy.run_path(script.name)
    for kind, fits in {"cases": CASES, "agreeing": AGREEING}.items():
        for name, fit in fits.items():
            np.savez(folder / f"{kind}, {name}, {RANK}.npz", **outcome(fit()))
    for name, losses in EXACT.items():
        np.savez(folder / f"exact, {name}, {RANK}.npz", loss=losses())
    for name, (call, _) in REFUSED.items():
        (folder / f"refused, {name}, {RANK}.txt").write_text(error_of(call))
    write_once(folder / "written by", lambda path: path.write_text(str(RANK)))
    assert (folder / "written by").exists()
    (folder / f"left, {RANK}.txt").write_text(str(outlived()))


if __name__ == "__main__":
    main()
