"""Deep InfoMax as a scikit-learn transformer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from skdim.base import InfoMaxTransformer
from skdim.bounds import BOUNDS, Bound, infonce
from skdim.nn.critics import CRITICS, Concat, Separable, build_critic, shared_critic
from skdim.nn.encoders import ENCODERS, Conv, Conv1d, build_encoder
from skdim.nn.objectives import (
    PRIORS,
    CodeInfoMax,
    DeepInfoMax,
    GlobalInfoMax,
    LocalInfoMax,
    Prior,
    PriorMatching,
    Term,
    UniformPrior,
)
from skdim.training.augment import choose_augmentation, two_views
from skdim.training.batches import Batch
from skdim.training.learner import Learner

__all__ = ["PAPER", "DeepInfoMaxTransformer"]


class DeepInfoMaxTransformer(InfoMaxTransformer):
    r"""Learn representations by maximising mutual information between an input and parts of itself.

    An encoder gives a map of local features :math:`C_p` and a global code Y of each input. Training maximises, over the
    encoder, the critics f and with a discriminator for the prior [1]_ (Eq. 8),

    .. math::

        \alpha\, I(C; Y) + \frac{\beta}{M^2} \sum_p I(C_p; Y) - \gamma\, D(\text{prior} \,\|\, Y)

    where each I is a bound on mutual information in nats. With ``augment`` two random views a and b of each input are made,
    the local features of one are predicted from the code of the other in both directions, and :math:`I(Y^a; Y^b)` is added
    [2]_. ``augment=None`` is plain Deep InfoMax; :data:`PAPER` holds the paper's settings.

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    n_components : int, default=64
        Width of the global code Y.
    global_weight : float, default=0.0
        Weight alpha of the global bound I(C; Y), between the flattened map and the code.
    local_weight : float, default=1.0
        Weight beta of the local bound, the mean over locations of I(C_p; Y).
    prior_weight : float, default=0.0
        Weight gamma of prior matching, which makes the codes' distribution the ``prior``.
    code_weight : float or "auto", default="auto"
        Weight of I(Y^a; Y^b) between the codes of the two views. "auto" is 1 with ``augment`` where the global or the local
        weight is positive, else 0.
    estimator : {"infonce", "jsd", "dv", "nwj", "alpha"} or Bound, default="infonce"
        The MI estimator, by name or configured, such as ``Alpha(alpha=0.1)``; see :mod:`skdim.bounds`.
    critic : {"inner", "cosine", "bilinear", "separable", "concat"}, object, callable or pair of them, default="separable"
        The critic that scores (Y, C_p) pairs: a name, a configured object such as ``Separable(width=64)``, or a class or
        function ``(x_features, y_features) -> nn.Module``; see :mod:`skdim.nn.critics`. A pair is (global, local); the
        code-to-code term takes the global one.
    prior : {"uniform", "normal"} or Prior, default="uniform"
        What the codes are matched to where ``prior_weight`` is positive: sigmoid(Y) to U[0, 1], or Y to N(0, 1), in each
        component independently; by name or configured, such as ``UniformPrior(penalty=1.0)``.
    encoder : {"auto", "conv", "conv1d", "resnet", "mlp"}, object or callable, default="auto"
        The encoder: a name, a configured object such as ``Conv(channels=(16, 32, 64))``, or a class or function
        ``(input_shape, n_components) -> nn.Module``; see :mod:`skdim.nn.encoders`. "auto" is "conv" for images and "mlp" for
        tables.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Fully connected layers of a named encoder below the code: "auto" is (256, 256) for "mlp" and none for the others.
    input_shape : tuple of int, default=None
        Shape of one sample where X is flat: (H, W), (C, H, W), or (C, L) with ``encoder="conv1d"``. None takes it from X; a
        2-D X is then a table.
    augment : {"auto", "auto+flip"}, object, callable or None, default="auto"
        The two views. "auto" crops, stretches and changes contrast and brightness of images, crops and scales sequences, and
        masks columns of tables; "auto+flip" also mirrors images. An object such as ``ImageAugmentation(scale=(0.6, 1.0))`` of
        :mod:`skdim.views` configures it. A function takes a standardised batch (n, ...) and a torch.Generator, or the batch
        alone, and returns a view. None trains on the input itself.
    n_locations : int or None, default=8
        How many random locations of the map the local bound scores per step; None for all.
    features : {"global", "hidden", "local"}, default="global"
        What ``transform`` returns, read at transform time: the code Y, the layer below it, or the flattened map.
    batch_size : int, default=128
        Largest batch, at least 2; the other samples of a batch are the negatives.
    max_iter : int or "auto", default="auto"
        Epochs. "auto" makes about 8,000 steps, in 1 to 100 epochs. 0 leaves the network untrained.
    learning_rate : float, default=2e-3
        Highest learning rate; in ``fit`` it rises over the first 5 % of the steps and falls along a cosine.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        Optimizer, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    weight_decay : float, default=1e-2
        Weight decay of weight matrices; biases, norms and scales are not decayed.
    early_stopping : bool, default=False
        Whether to hold rows out, stop when the objective on them no longer improves, and keep the best epoch's weights.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    n_iter_no_change : int, default=10
        Epochs without improvement that early stopping waits for.
    tol : float, default=1e-4
        Smallest improvement that counts, in nats.
    warm_start : bool, default=False
        Whether ``fit`` continues from the last fit, optimizer included.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        An int gives the same bits again on one CPU, at the same number of threads and the same versions.
    verbose : int, default=0
        Above 0, a line per epoch is printed.

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoder, a copy in eval mode: standardised tensors -> :class:`~skdim.nn.encoders.Code`.
    lower_bound_ : float
        Sum of the global, local and code bounds in nats, as the estimator reports them, unweighted: the mean over the last
        epoch's training batches, or over the held-out rows in the best epoch. -inf without training.
    loss_curve_ : list of float
        The training objective's loss after each epoch.
    history_ : list of dict
        Per epoch: "epoch", "loss", each bound in nats ("local", "global", "code"), with a prior "prior" and "discriminator"
        losses, and held-out values with prefix ``"valid_"``.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Product of ``input_shape_``.
    feature_names_in_ : ndarray of str
        Column names, where X had them.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : str
        Where the network is.

    Raises
    ------
    ValueError, TypeError
        From ``fit``, before training, if a parameter or X is not what it may be, or an option has no effect together with
        others.

    Notes
    -----
    ``score`` is the InfoNCE lower bound in nats at K = min(n_samples, 256), in eval mode, on unaugmented input: the mean over
    locations p of (C_p, Y) with only location p of the other samples as negatives, plus (map, Y) where the global weight is
    positive; terms without weight have no trained critic and are left out. Where code-to-code is the only term, its two views
    come from a fixed evaluation seed. Values compare over ``estimator`` and ``critic``. The codes of a deterministic encoder
    of continuous data carry infinite information, and more information is not better features [3]_: to choose parameters,
    search over a ``Pipeline`` with a classifier.

    In a search over ``Pipeline`` steps the parameter is ``dim__estimator``; ``search.set_params(estimator=...)`` would replace
    the search's own.

    References
    ----------
    .. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
    .. [2] Bachman, Hjelm & Buchwalter, "Learning representations by maximizing mutual information across views",
       NeurIPS 2019.
    .. [3] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> X = load_digits().images
    >>> dim = DeepInfoMaxTransformer(n_components=16, max_iter=2, random_state=0).fit(X)
    >>> dim.transform(X).shape
    (1797, 16)
    >>> bool(dim.score(X) > DeepInfoMaxTransformer(n_components=16, max_iter=0, random_state=0).fit(X).score(X))
    True
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        global_weight: float = 0.0,
        local_weight: float = 1.0,
        prior_weight: float = 0.0,
        code_weight: float | str = "auto",
        estimator: str | Bound = "infonce",
        critic: Any = "separable",
        prior: str = "uniform",
        encoder: Any = "auto",
        hidden_layer_sizes: Any = "auto",
        input_shape: tuple[int, ...] | None = None,
        augment: str | Callable[..., torch.Tensor] | None = "auto",
        n_locations: int | None = 8,
        features: str = "global",
        batch_size: int = 128,
        max_iter: int | str = "auto",
        learning_rate: float = 2e-3,
        optimizer: Any = "adamw",
        weight_decay: float = 1e-2,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.global_weight = global_weight
        self.local_weight = local_weight
        self.prior_weight = prior_weight
        self.code_weight = code_weight
        self.estimator = estimator
        self.critic = critic
        self.prior = prior
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.augment = augment
        self.n_locations = n_locations
        self.features = features
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    _parameter_constraints = {
        **InfoMaxTransformer._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "global_weight": [Interval(Real, 0, None, closed="left")],
        "local_weight": [Interval(Real, 0, None, closed="left")],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "code_weight": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "estimator": [StrOptions(set(BOUNDS)), Bound],
        "critic": [StrOptions(set(CRITICS)), callable, tuple, list],
        "prior": [StrOptions(set(PRIORS)), Prior],
        "encoder": [StrOptions({"auto", *ENCODERS}), callable],
        "hidden_layer_sizes": [StrOptions({"auto"}), tuple, list],
        "augment": [StrOptions({"auto", "auto+flip"}), callable, None],
        "n_locations": [Interval(Integral, 1, None, closed="left"), None],
        "features": [StrOptions({"global", "hidden", "local"})],
    }

    # ------------------------------------------------------------------------------------------------- what is trained
    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.global_weight == self.local_weight == self.prior_weight == 0 and self.code_weight in ("auto", 0):
            raise ValueError(
                "At least one of global_weight, local_weight, prior_weight and code_weight must be positive."
            )
        if self.augment is None and self.code_weight not in ("auto", 0):
            raise ValueError(f"code_weight={self.code_weight!r} relates two augmented views; augment=None makes one.")
        if isinstance(self.critic, (tuple, list)) and len(self.critic) != 2:
            raise ValueError(f"A pair of critics is (global, local), got {len(self.critic)} of them: {self.critic!r}.")
        if not isinstance(self.encoder, str) and not isinstance(self.hidden_layer_sizes, str):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} configures a named encoder and would have no effect on "
                f"encoder={self.encoder!r}."
            )
        self._bound().check()

    def _bound(self) -> Bound:
        return BOUNDS[self.estimator]() if isinstance(self.estimator, str) else self.estimator

    def _critics(self) -> list[Any]:
        pair = self.critic if isinstance(self.critic, (tuple, list)) else (self.critic, self.critic)
        for critic in pair:
            if not callable(critic) and critic not in CRITICS:
                raise ValueError(f"Unknown critic {critic!r}. Allowed values are: {sorted(CRITICS)}.")
        return [CRITICS[critic]() if isinstance(critic, str) else critic for critic in pair]

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one input as networks take it: (C, H, W), (C, L) or (n_columns,)."""
        is_sequence = self.encoder == "conv1d" or isinstance(self.encoder, Conv1d)
        if is_sequence:
            return (1, *input_shape) if len(input_shape) == 1 else input_shape
        return (1, *input_shape) if len(input_shape) == 2 else input_shape

    def _encoder_factory(self, shape: tuple[int, ...]) -> Any:
        if not isinstance(self.encoder, str):
            return self.encoder
        name = self.encoder if self.encoder != "auto" else "mlp" if len(shape) == 1 else "conv"
        if name in ("conv", "resnet") and len(shape) == 1:
            raise ValueError(
                f"encoder={name!r} takes images: give X as (n, H, W) or (n, C, H, W), or flat with input_shape; got flat "
                f"samples of {shape[0]} features and input_shape=None."
            )
        sizes = (
            {} if isinstance(self.hidden_layer_sizes, str) else {"hidden_layer_sizes": tuple(self.hidden_layer_sizes)}
        )
        return ENCODERS[name](**sizes)

    def _build(self, shape: tuple[int, ...], training: bool) -> nn.Module:
        if self.augment is not None:
            choose_augmentation(self.augment, shape)  # what does not fit the shape is refused here, before training
        encoder = build_encoder(self._encoder_factory(shape), shape, self.n_components)
        bound, (global_critic, local_critic) = self._bound(), self._critics()
        n_channels, n_locations = encoder.local_shape
        weights = {"local": self.local_weight, "global": self.global_weight, "code": self._code_weight()}
        if not any(weights.values()):
            weights["local"] = self.local_weight
        kinds = {
            "local": (LocalInfoMax, local_critic, n_channels),
            "global": (GlobalInfoMax, global_critic, n_channels * n_locations),
            "code": (CodeInfoMax, shared_critic(global_critic), self.n_components),
        }
        terms: dict[str, Term] = {}
        for name, (kind, factory, width) in kinds.items():
            if weights[name] > 0 or (name == "local" and not any(weights.values())):
                critic = build_critic(factory, self.n_components, width, bound.offset)
                terms[name] = kind(bound, critic, weights[name])
        prior = PRIORS[self.prior]() if isinstance(self.prior, str) else self.prior
        matching = PriorMatching(prior, self.n_components) if training and self.prior_weight > 0 else None
        return DeepInfoMax(encoder, terms, matching, self.prior_weight, self.n_locations)

    def _code_weight(self) -> float:
        if self.code_weight != "auto":
            return float(self.code_weight)
        return 1.0 if self.augment is not None and self.global_weight + self.local_weight > 0 else 0.0

    # ----------------------------------------------------------------------------------------------------------- views
    def _views(self, batch: Batch, learner: Learner, evaluation: bool) -> list[torch.Tensor]:
        X = batch.X.to(learner.device)
        return [X] if self.augment is None else two_views(self.augment, X, batch, learner, evaluation)

    # ----------------------------------------------------------------------------------------------------------- score
    def _score_block(self, batch: Batch) -> float:
        learner = self._learner
        encoder, terms = learner.objective.encoder, learner.objective.terms
        code = encoder(batch.X.to(learner.device))
        pairs = {name: (code, code) for name in terms if name != "code"}
        if not pairs:  # two views are all there is to relate
            first, second = (encoder(view) for view in self._built_with._views(batch, learner, evaluation=True))
            pairs["code"] = (first, second)
        return float(sum(terms[name].evaluate(infonce, *pair).item() for name, pair in pairs.items()))


_PAPER = {
    "n_components": 64,
    "augment": None,
    "prior": UniformPrior(penalty=1.0),
    "encoder": Conv(channels=(64, 128), kernel_size=5, hidden_layer_sizes=(1024,), norm="batch", top=False),
    "batch_size": 64,
    "learning_rate": 1e-4,
    "optimizer": functools.partial(torch.optim.Adam, betas=(0.5, 0.999)),
    "weight_decay": 0.0,
    "n_locations": 4,  # a random subset, as the paper's code offers: the gradient of all in expectation, at a fifth of the cost
    "max_iter": 1000,
}
_ENCODE_AND_DOT = Separable(width=2048, hidden_layer_sizes=(2048,), temperature=None, normalize=True)

#: Constructor arguments of the paper's settings. They are meant for hundreds of epochs; set ``max_iter``, and
#: ``n_locations=None`` to score every location in every step.
PAPER = {
    "DIM(G)": {**_PAPER, "global_weight": 1.0, "local_weight": 0.0, "prior_weight": 1.0, "critic": _ENCODE_AND_DOT},
    "DIM(L)": {**_PAPER, "global_weight": 0.0, "local_weight": 1.0, "prior_weight": 0.1, "critic": _ENCODE_AND_DOT},
    "DIM(L+G)": {
        **_PAPER,
        "global_weight": 0.5,
        "local_weight": 0.1,
        "prior_weight": 0.1,
        "critic": Concat(hidden_layer_sizes=(512, 512)),
    },
}
