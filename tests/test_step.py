"""The rule of a step: one function of tensors, without a host read, a draw, or a shape that depends on values.

Every objective is caught where its estimator would train it. Its step runs eagerly under modes that refuse what the rule
forbids, and as one graph of torch.compile: on batches of both sizes of an epoch, and on other contents of the same tensors.
"""

import copy
import itertools
import random
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MultiViewInfoMaxTransformer
from skdim.bounds import METRIC_LOSSES, MI_BOUNDS
from skdim.evaluation import neural_dependency, reconstruction_similarity
from skdim.inputs.partitions import PARTITIONS
from skdim.nn.causal import CONTEXTS, PATCH_ENCODERS
from skdim.nn.critics import CRITICS
from skdim.nn.encoders import Conv, Conv1d, ResNet
from skdim.nn.invertible import Couplings, ResidualMLP
from skdim.nn.objectives import drawn
from skdim.nn.objectives.predictive import NEGATIVES
from skdim.nn.pretrained import Pretrained
from skdim.training.trainer import History, Trainer

pytestmark = pytest.mark.no_cover  # its lines are covered elsewhere, and tracing makes tracing slow
RNG = np.random.default_rng(0)
N = 23  # rows, which batch_size=8 makes into batches of 8, 8 and 7
TABLE, IMAGES, COLOURS = RNG.normal(size=(N, 6)), RNG.normal(size=(N, 16, 16)), RNG.normal(size=(N, 3, 8, 8))
SEQUENCES, LENGTHS, GROUPS = RNG.normal(size=(N, 2, 32)), RNG.integers(16, 33, N), np.arange(N) % 3
PAIRS = RNG.normal(size=(114, 2, 6))  # of which 87 train an estimator of information, or 74 in each fold
FEATURES = RNG.normal(size=(605, 9))
MISSING = np.where(np.arange(N)[:, None] % 3 == [0, 0, 1, 2, 2, 1], np.nan, TABLE)
SMALL = {"n_components": 4, "batch_size": 8, "random_state": 0}
CONV, CONV1D = Conv(channels=(4, 8)), Conv1d(channels=(4, 8))
#: Bounds that train codes, and those of a critic's scores.
CODE_BOUNDS = [
    bound() for bound in (MI_BOUNDS | METRIC_LOSSES).values() if bound.needs == "critic" and not bound.auxiliary
]
CRITIC_BOUNDS = [name for name, bound in MI_BOUNDS.items() if bound.needs == "critic"]


# ----------------------------------------------------------------------------------------------------------------- cases
def dim(X=TABLE, **params):
    mlp = {} if "encoder" in params else {"hidden_layer_sizes": (8,)}
    return lambda: DeepInfoMaxTransformer(**{**SMALL, **mlp, **params}).fit(X)


def views(X=TABLE, groups=None, **params):
    params = {"views": [("a", slice(0, 2)), ("b", [2, 5]), ("c", slice(3, 5))]} | params
    mlp = {} if "encoder" in params else {"hidden_layer_sizes": (8,)}
    return lambda: MultiViewInfoMaxTransformer(**{**SMALL, **mlp, **params}).fit(X, groups=groups)


def cpc(X=SEQUENCES, lengths=None, **params):
    return lambda: CPCTransformer(**{**SMALL, **params}, n_steps=2, n_anchors=3).fit(X, lengths=lengths)


def information(X=PAIRS[:, 0], y=PAIRS[:, 1], **params):
    options = {
        "estimator": "infonce",
        "batch_size": 25,
        "max_iter": 1,
        "n_refits": 0,
        "test_fraction": 0.09,
    }  # one split
    return lambda: MIEstimator(**{**options, **params}, random_state=0).fit(X, y)


def paired(bounds, critics):
    """Pair every bound with a critic, and every critic with a bound."""
    n = max(len(bounds), len(critics))
    return list(zip(itertools.islice(itertools.cycle(bounds), n), itertools.cycle(critics), strict=False))


TWO = [("a", slice(0, 2)), ("b", [2, 5])]
ENCODERS = {"table": (TABLE, None), "conv": (COLOURS, CONV), "conv1d": (SEQUENCES, CONV1D)}
ENCODERS |= {"resnet": (IMAGES, ResNet(channels=(4, 8)))}
NET = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 6, 3))
ENCODERS |= {"pretrained": (COLOURS, Pretrained(NET, freeze="1", local="1"))}
PARTITIONED = {name: COLOURS if "ch" in name.replace("shift", "") else IMAGES for name in PARTITIONS if name != "shift"}
CASES = {
    f"dim {bound.name} {critic}": dim(estimator=bound, critic=critic, augment=None)
    for bound, critic in paired(CODE_BOUNDS, CRITICS)
}
CASES |= {f"dim {name}": dim(X, encoder=encoder) for name, (X, encoder) in ENCODERS.items() if encoder is not None}
CASES |= {
    "dim group norm": dim(COLOURS, encoder=Conv(channels=(4, 8), norm="group"), augment="auto+flip"),
    "dim couplings": dim(encoder=Couplings(n_couplings=2, hidden_layer_sizes=(8,)), n_components=6),
    "dim residual": dim(encoder=ResidualMLP(n_hidden_layers=1), n_components=6),
    "dim uniform prior": dim(prior_weight=1.0),
    "dim normal prior": dim(prior_weight=1.0, prior="normal"),
    "dim noise": dim(prior="normal", prior_method="noise"),
    "dim posterior": dim(posterior="gaussian", total_correlation_weight=0.5),
    "dim posterior one view": dim(posterior="gaussian", augment=None),
    "dim all terms": dim(COLOURS, encoder=CONV, global_weight=1.0, code_weight=1.0, n_locations=2),
}
CASES |= {f"views {name}": views(views=TWO, estimator=name) for name in ("infonce", *METRIC_LOSSES)}
CASES |= {
    f"views {name}": views(X, views=name, encoder="mlp", hidden_layer_sizes=(8,)) for name, X in PARTITIONED.items()
}
CASES |= {
    "views shift": views(SEQUENCES, views="shift", encoder=CONV1D),
    "views core": views(graph="core"),
    "views shared": views(IMAGES, views="halves", encoder=CONV, shared_encoder=True),
    "views missing": views(MISSING),
    "views target": views(views=TWO, target_mi=0.5),
    "views target jsd": views(views=TWO, target_mi=0.5, estimator="jsd"),
    "views groups": views(groups=GROUPS, negatives="same_group"),
    "views semi hard": views(views=TWO, negatives="semi_hard"),
}
for i, (negatives, context) in enumerate(itertools.product(NEGATIVES, CONTEXTS)):  # with each, lengths in turn
    bound, lengths = CODE_BOUNDS[i % len(CODE_BOUNDS)], (None, LENGTHS)[(i + i // len(CONTEXTS)) % 2]
    kind = f"cpc {negatives} {context} {'alike' if lengths is None else 'lengths'}"
    CASES[kind] = cpc(estimator=bound, negatives=negatives, context=context, lengths=lengths)
CASES |= {f"cpc patches {name}": cpc(IMAGES, patch_size=8, encoder=name) for name in PATCH_ENCODERS}
CASES |= {
    f"information {name} {critic}": information(estimator=name, critic=critic)
    for name, critic in paired(CRITIC_BOUNDS, ["auto", *CRITICS])
}
CASES |= {
    "information narrow": information(PAIRS[:, 0, :1], PAIRS[:, 1, :1]),
    "information side by side": information(test_fraction=0.2),
    "information narrow side by side": information(PAIRS[:, 0, :1], PAIRS[:, 1, :1], test_fraction=0.2),
    "information ba": information(estimator="ba"),
    "information club": information(estimator="club"),
    "information labels": information(y=np.arange(len(PAIRS)) % 3),
    "dependency": lambda: neural_dependency(FEATURES, n_steps=2, hidden_layer_sizes=(8,), random_state=0),
    "reconstruction": lambda: reconstruction_similarity(
        FEATURES[2:], FEATURES[2:].reshape(-1, 3, 3), n_steps=2, hidden_layer_sizes=(8,), random_state=0
    ),
}
#: Cases whose draws have another structure in each batch, as lengths, groups and missing views ask for.
RAGGED = {"views missing", "views groups"} | {name for name in CASES if name.endswith("lengths")}


# ------------------------------------------------------------------------------------------------- what a step must not do
READS = {
    "_local_scalar_dense",
    "nonzero",
    "nonzero_numpy",
    "nonzero_static",
    "masked_select",
    "equal",
    "_unique",
    "_unique2",
}
READS |= {"unique_dim", "unique_consecutive", "unique_dim_consecutive"}
DRAWS = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "uniform",
    "bernoulli",
    "multinomial",
    "exponential",
    "random",
}
DRAWS |= {"native_dropout", "rand_like", "randn_like", "randint_like"}


class NoHostWork(TorchDispatchMode):
    """Refuses kernels that read values on the host, draw, or have a shape that depends on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__.rstrip("_")
        assert name not in READS | DRAWS, f"{func} in a step"
        if name in ("index", "index_put", "_index_put_impl"):
            assert all(index is None or index.dtype == torch.int64 for index in args[1]), f"{func} by a mask in a step"
        return func(*args, **(kwargs or {}))


class NoHostValues(TorchFunctionMode):
    """Refuses methods that take a tensor to the host without a kernel."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        refused = Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__
        assert func not in refused, f"{func} in a step"
        return func(*args, **(kwargs or {}))


FORBIDDEN = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.sum() > 0),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "mask": lambda x: x[x > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "assigned mask": lambda x: x.clone().index_put_((x > 0,), torch.tensor(0.0)),
    "one_hot": lambda x: torch.nn.functional.one_hot(x.long(), 3),
    "scalar index": lambda x: x[torch.tensor(1)],
    "randn": lambda x: torch.randn_like(x),
    "randperm": lambda x: torch.randperm(3),
    "dropout": lambda x: torch.nn.functional.dropout(x),
    "normal_": lambda x: x.clone().normal_(),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_a_step_must_not_do_is_refused(name):
    with pytest.raises(AssertionError, match="in a step"), NoHostWork(), NoHostValues():
        FORBIDDEN[name](torch.ones(3))


# ------------------------------------------------------------------------------------------------------------------ steps
def caught(fit, monkeypatch):
    """Return the objectives that an estimator would train, with (X, draws) of the first, the last and the next first batch."""
    found = []

    def train(trainer, objective, batches):
        epochs = []
        for epoch in (list(batches) for _ in range(2)):
            epochs.append(
                [
                    (batch.X, draws)
                    for batch, draws in zip(epoch, drawn(objective, epoch, trainer.generator), strict=True)
                ]
            )
        found.append((copy.deepcopy(objective).train(), epochs[0][0], epochs[0][-1], epochs[1][0]))
        return History([], {}, 0)

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(Trainer, "train", train)
        fit()
    assert found
    return found


def run(step, objective, X, draws):
    """Take a step, and return its loss, values and gradients."""
    objective.zero_grad()
    loss, values = step(X, draws)
    loss.backward()
    gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    return {"minimised": loss.detach(), **values, **gradients}


def run_refusing(objective, X, draws, monkeypatch):
    """Take a step under the modes that refuse, and without Python's and NumPy's random numbers."""
    global_states = random.getstate(), torch.get_rng_state().tolist()
    with monkeypatch.context() as patch, NoHostWork(), NoHostValues():
        patch.setattr(np, "random", None)
        result = run(objective, objective, X, draws)
    assert global_states == (random.getstate(), torch.get_rng_state().tolist())
    return result


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name].nan_to_num(), b[name].nan_to_num())] == []


def structure(inputs):
    leaves, tree = tree_flatten(inputs)
    return tree, [leaf.shape if isinstance(leaf, Tensor) else leaf for leaf in leaves]


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_one_graph_of_tensors_that_stays_on_the_device(name, monkeypatch):
    for objective, first, last, other in caught(CASES[name], monkeypatch):
        torch._dynamo.reset()
        assert structure(first) != structure(last)
        eager, traced = copy.deepcopy(objective), copy.deepcopy(objective)
        step = torch.compile(
            lambda X, draws, traced=traced: traced(X, draws), fullgraph=True, backend="eager", dynamic=False
        )
        with torch._dynamo.config.patch(allow_rnn=True):
            assert_same(run(step, traced, *first), run_refusing(eager, *first, monkeypatch))
            run_refusing(eager, *last, monkeypatch)
            if name in RAGGED:
                continue
            assert structure(first) == structure(other)  # a recorded step reads the same memory again
            tree_map(lambda to, part: to.copy_(part) if isinstance(to, Tensor) else to, first, other)
            traced.load_state_dict(eager.state_dict())
            assert_same(run(step, traced, *first), run_refusing(eager, *other, monkeypatch))


@pytest.mark.parametrize("place", range(len(CODE_BOUNDS)), ids=lambda place: CODE_BOUNDS[place].name)
def test_a_step_of_deep_infomax_stays_on_the_device(place, monkeypatch):
    bound, encoders = CODE_BOUNDS[place], list(ENCODERS.values())
    for k, critic in enumerate(CRITICS):  # every bound with every critic, and both with all encoders in turn
        X, network = encoders[(place + k) % len(encoders)]
        options = {} if network is None else {"encoder": network}
        for objective, *batches in caught(dim(X, estimator=bound, critic=critic, **options), monkeypatch):
            for batch in batches[:2]:
                run_refusing(objective, *batch, monkeypatch)


@pytest.mark.parametrize("bound", CODE_BOUNDS, ids=lambda bound: bound.name)
def test_a_step_of_views_and_sequences_stays_on_the_device(bound, monkeypatch):
    fits = [views(views=TWO, estimator=bound, critic=critic) for critic in CRITICS]
    fits += [cpc(estimator=bound, negatives=negatives, lengths=LENGTHS) for negatives in NEGATIVES]
    for objective, *batches in itertools.chain.from_iterable(caught(fit, monkeypatch) for fit in fits):
        for batch in batches[:2]:
            run_refusing(objective, *batch, monkeypatch)
