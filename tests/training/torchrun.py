"""What test_distributed.py runs under torchrun and, in its own process, without: fits by name, and what comes of them.

torchrun --nproc-per-node 2 tests/torchrun.py FOLDER
"""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import torch
from helpers import DropoutEncoder, arrays, images, noise, table, tiny, tiny_mi, tiny_table
from skdim.training.batches import Batches
from skdim.training.net import InfoMaxNet

from skdim import CPCTransformer, MultiViewInfoMaxTransformer
from skdim.nn.objectives.multiview import ViewBatch
from skdim.training import distributed
from skdim.training.distributed import join, write_once

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


GROUPS = np.arange(60) % 12

#: Fits whose numbers must be those of one process. Shares of 51 rows in two, and batches of several sizes, are uneven.
CASES = {
    "mlp": lambda: tiny_table(**one_batch(51)).fit(table(51)),
    "mlp, one view, dv": lambda: tiny_table(augment=None, estimator="dv", global_weight=1.0).fit(table(81)),
    "conv with batch norm": lambda: tiny(**one_batch(51)).fit(images(51)),
    "conv, batches of 23 and 22": lambda: tiny(batch_size=23, global_weight=0.5).fit(images(90)),
    "uniform prior": lambda: tiny_table(prior_weight=0.1, max_iter=4).fit(table(81)),
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
#: Fits that are refused where there are several processes.
REFUSED = {
    "other rows": lambda: tiny_table().fit(table(51 + RANK)),
    "other values": lambda: tiny_table().fit(table(51, seed=RANK)),
    "other seeds": lambda: tiny_table(random_state=0).set_params(learning_rate=1e-3 * (1 + RANK)).fit(table(51)),
    "missing views": lambda: multiview(views=[("a", [0, 1]), ("b", [2, 3])]).fit(with_missing(table(51))),
    "MIEstimator": lambda: tiny_mi().fit(table(100), table(100)[:, :1]),
}


def with_missing(X):
    X[::5, :2] = np.nan
    return X


def in_float64(views):
    if isinstance(views, ViewBatch):
        return views._replace(views=in_float64(views.views))
    return [view.double() for view in views]


def float64_losses(estimator, X):
    """Return the losses of STEPS steps of an objective in float64."""
    X, extras = estimator._prepare(estimator._validate_X(X, reset=True), {}, reset=True)
    learner = estimator._new_learner(X, extras)
    objective = learner.objective.double()
    ranks = join(learner.device)
    batches = Batches(X, np.arange(len(X)), learner.standardize, len(X), 0, ranks=ranks)
    net = InfoMaxNet(
        objective,
        estimator._make_optimizer(objective),
        lambda batch, evaluation: in_float64(estimator._views(batch, learner, evaluation)),
        batches,
        None,
        STEPS,
        STEPS,
        learner.generator,
        ranks=ranks,
    ).run()
    return np.array(net.history[:, "train_loss"])


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


def error_of(fit):
    try:
        fit()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def killed(folder):
    """Fit until this rank, the second, dies in the midst of it."""
    from skorch.callbacks import Callback

    from skdim.training import callbacks

    class Dies(Callback):
        def on_batch_end(self, net, **kwargs):
            if RANK == 1 and len(net.history) == 2:
                os._exit(7)

    callbacks.DivergenceGuard.on_batch_end = Dies.on_batch_end
    fitted = tiny_table(max_iter=1000).fit(table(51))
    write_once(folder / "model", lambda path: path.write_text(str(fitted)))


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["killed"]:
        killed(folder)
    for kind, fits in {"cases": CASES, "agreeing": AGREEING}.items():
        for name, fit in fits.items():
            np.savez(folder / f"{kind}, {name}, {RANK}.npz", **outcome(fit()))
    for name, losses in EXACT.items():
        np.savez(folder / f"exact, {name}, {RANK}.npz", loss=losses())
    for name, fit in REFUSED.items():
        (folder / f"refused, {name}, {RANK}.txt").write_text(error_of(fit))
    write_once(folder / "written by", lambda path: path.write_text(str(RANK)))
    assert (folder / "written by").exists()
    (folder / f"left, {RANK}.txt").write_text(str(outlived()))


def outlived():
    """Return whether the group of processes is still there after it was left: its threads would outlive the interpreter."""
    # torch's objects know no weak references; nothing but this function and its argument may hold the group
    group = torch.distributed.group.WORLD
    distributed._leave()
    gc.collect()
    return sys.getrefcount(group) > 2


if __name__ == "__main__":
    main()
