"""Deep InfoMax as a scikit-learn transformer."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from skdim._docs import documented
from skdim._params import choose
from skdim._sklearn import Interval, StrOptions
from skdim.base import InfoMaxTransformer
from skdim.bounds import BOUNDS, Bound, InfoNCE, bound_for_codes, rate
from skdim.information.density import Density
from skdim.inputs.augmentation import TwoViews
from skdim.inputs.samples import Samples, Standardizer
from skdim.nn.adapt import Encoder
from skdim.nn.critics import CRITICS, Separable, choose_critic
from skdim.nn.encoders import ENCODERS, build_encoder, check_encoders, choose_encoder
from skdim.nn.objectives import DeepInfoMax, Objective, PosteriorInfoMax, build_terms
from skdim.nn.objectives.deep_infomax import asks_for_discriminant, find_discriminant, layer_of, sampled_codes
from skdim.nn.objectives.posterior import PRIOR_METHODS, AdditiveNoise, GaussianPosterior, Noise, NormalizedCode
from skdim.nn.objectives.prior import PRIORS, NormalPrior, Prior, PriorMatching
from skdim.training.fitting import Fitting
from skdim.training.learner import Learner
from skdim.training.trainer import History

#: Most rows that the density of the rate is learned from, and that judge it; and fewest to learn from.
ROWS_OF_RATE, FEWEST_ROWS_OF_RATE = 4096, 20


@documented
class DeepInfoMaxTransformer(InfoMaxTransformer):
    r"""Learn representations by maximising mutual information between an input and its local features.

    An encoder maps each input to local features :math:`C_p` at M x M locations p, and to a global code Y. Training maximises
    over the encoder and the critics, with a discriminator for the prior (Eq. 8 of [1]_),

    .. math::

        \alpha\, I(C; Y) + \frac{\beta}{M^2} \sum_p I(C_p; Y) - \gamma\, D(\text{prior} \,\|\, Y)

    where each I is a bound on mutual information in nats. With ``augment``, two random views a and b of each input are drawn.
    The code of each predicts the local features of the other, and :math:`I(Y^a; Y^b)` is added to the objective [2]_.
    ``augment=None`` gives the original Deep InfoMax; :data:`~skdim.PAPER` holds the settings of the paper.

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    n_components : int, default=64
        Number of components of the global code Y.
    global_weight : float or "auto", default="auto"
        Weight alpha of the global bound I(C; Y), or of I(X; Y) with ``posterior``. "auto" is 1 with ``posterior``, else 0.
    local_weight : float, default=1.0
        Weight beta of the local bound, the mean of I(C_p; Y) over the locations.
    prior_weight : float, default=0.0
        Weight gamma of prior matching, which gives the codes the distribution ``prior``.
    code_weight : float or "auto", default="auto"
        Weight of I(Y^a; Y^b). "auto" is 1 with ``augment`` if the global or the local weight is positive, else 0.
    total_correlation_weight : float, default=0.0
        Weight of the penalty sum_i min(L1Out, rate)(X; Y_i) - TNCE(X; Y), which makes the components independent. Requires
        ``posterior``.
    estimator : {"infonce", "jsd", "dv", "nwj", "alpha"} or Bound, default="infonce"
        The MI estimator, as a name or an object such as ``Alpha(alpha=0.1)``; see :mod:`skdim.bounds`. With ``posterior`` it
        serves the local and the code term.
    critic : {"inner", "cosine", "bilinear", "separable", "concat"}, object, callable or pair of them, default="separable"
        The critic of the pairs (Y, C_p): a name, an object such as ``Separable(width=64)``, or a class or function
        ``(x_features, y_features) -> nn.Module``; see :mod:`skdim.nn.critics`. A pair is (global, local), and the global critic
        also scores pairs of codes. With ``posterior`` the global term has no critic.
    prior : {"uniform", "normal"} or Prior, default="uniform"
        The distribution of each component of the codes, if ``prior_weight`` is positive: U[0, 1] of sigmoid(Y), or N(0, 1) of
        Y. ``UniformPrior(penalty=1.0)`` configures it.
    prior_method : {"adversarial", "noise"} or Noise, default="adversarial"
        "adversarial" trains a discriminator if ``prior_weight`` is positive. "noise" normalises each component of Y and adds
        Gaussian noise in training, so that I(X; Y) is at most ``cap_`` [4]_; it requires ``prior="normal"`` and
        ``prior_weight=0``. ``Noise(sigma=0.5)`` configures it.
    posterior : {"gaussian"} or None, default=None
        "gaussian" makes the code stochastic: p(y | x) is normal, with the code as mean and learned variances from 1e-4 to 1.
        All terms see samples of it, and ``transform`` returns the mean. The global term is then I(X; Y), by TNCE with the
        known log p(y | x) as critic.
    encoder : {"auto", "conv", "conv1d", "resnet", "mlp"}, object or callable, default="auto"
        The encoder: a name, an object such as ``Conv(channels=(16, 32, 64))``, or a class or function
        ``(input_shape, n_components) -> nn.Module``; see :mod:`skdim.nn.encoders`. "auto" is "conv" for images of at least
        8 x 8 pixels, else "mlp". :class:`~skdim.nn.pretrained.Pretrained` makes one of a trained network.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Sizes of the fully connected layers of a named encoder. "auto" is (256, 256) for "mlp" and no layer for the others.
    input_shape : tuple of int, default=None
        Shape of one sample if X is flat: (H, W), (C, H, W), or (C, L) with ``encoder="conv1d"``. With None a 2-D X is a table.
    augment : {"auto", "auto+flip"}, object, callable or None, default="auto"
        How views are drawn. "auto" crops, stretches and changes contrast, brightness and colour of images, crops and scales
        sequences, and masks columns of tables; "auto+flip" also mirrors images. ``ImageAugmentation(scale=(0.6, 1.0))`` of
        :mod:`skdim.inputs` configures it. A function takes a standardised batch (n, ...), with or without a torch.Generator,
        and returns a view. None trains on the input itself.
    n_locations : int or None, default=8
        Number of random locations that the local bound scores per step; None for all.
    features : {"auto", "discriminant", "global", "hidden", "local"}, default="auto"
        What ``transform`` returns, read when it is called. "global" is the code Y, "hidden" the layer below it, "local" the
        flattened local features. "discriminant" is the linear code of the hidden layer that tells samples apart best in spite
        of their views. ``fit`` finds it at its end if this is "discriminant" or "auto"; see the notes. "auto" is what ``fit``
        found. It is "global" if Y has a prior, a posterior or noise, or the hidden layer is no wider than Y.
    batch_size : int, default=128
        Largest batch, at least 2. The other samples of a batch are the negatives.
    %(training)s

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoder, a copy in eval mode: standardised tensors -> :class:`~skdim.nn.encoders.Code`.
    lower_bound_ : float
        Sum of the global, local and code bounds in nats, without weights: the mean over the batches of the last epoch, or over
        the held-out rows in the best epoch; -inf without training. With ``posterior`` it is TNCE alone, a bound on I(X; Y).
    upper_bound_ : float
        With ``posterior`` an upper bound of I(X; Y) in nats; otherwise inf. It is the smaller of L1Out, taken as
        ``lower_bound_`` is, and, after ``fit``, of the rate: E[log p(y | x) - log q(y)] with a density q that is learned from
        one half of at most 8,192 training rows and judged by the other, or by the held-out rows.
    cap_ : float
        With ``prior_method="noise"`` the most nats that d components can carry, (d / 2) log(1 + 1 / sigma^2); otherwise inf.
    history_ : list of dict
        One per epoch: "epoch", "loss", the bounds "local", "global" (with ``posterior`` "tnce" and "l1out") and "code" in nats,
        "total_correlation" and the losses "prior" and "discriminator" if they have weight, and held-out values with prefix
        ``"valid_"``.
    %(attributes)s

    %(raises)s

    Notes
    -----
    ``score`` is the InfoNCE lower bound in nats at K = min(n_samples, 256), of the input without augmentation: the mean over
    the locations p of the bound of (C_p, Y), with location p of the other samples as negatives, plus the bound of (C, Y) if
    the global weight is positive, or TNCE with ``posterior``. Terms without weight are left out; if only the code term has
    weight, two views are scored. Views and noise come from a fixed seed. Values compare over ``estimator`` and ``critic``.
    More information is not better features [3]_: choose parameters by a search over a ``Pipeline`` with a classifier,
    or without labels by :class:`~skdim.evaluation.ViewScorer`.

    The discriminant code W h of the hidden layer h has the most information about h if views move h by normal noise e [6]_:

    .. math:: \max_W I(h; W (h + e)) = \max_W \tfrac{1}{2} \log\det(I + (W N W^\top)^{-1} W S W^\top)

    S is the covariance of h over at most 32,768 samples; N is half that of the difference of two views, plus a floor. So W is
    Fisher's discriminant, each sample a class and its views the members, in closed form. Its axes are turned towards those of
    Y, and its mean variance is 1. Without ``augment`` it spans principal components. ``partial_fit`` keeps W. All bounds are of
    Y, as callbacks see it.

    With ``posterior`` TNCE, at most log K for a batch of K samples, bounds I(X; Y) from below, L1Out and the rate from above,
    if the samples of a batch are independent [5]_ (Sections 2.1 and 2.5). Where I(X; Y) is above log K, the total correlation
    is an overestimate by the difference.

    References
    ----------
    .. [1] Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019.
    .. [2] Bachman, Hjelm & Buchwalter, "Learning representations by maximizing mutual information across views",
       NeurIPS 2019.
    .. [3] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
    .. [4] Butakov et al., "Efficient distribution matching of representations via noise-injected deep InfoMax", ICLR 2025.
    .. [5] Poole et al., "On variational bounds of mutual information", ICML 2019.
    .. [6] Chechik, Globerson, Tishby & Weiss, "Information bottleneck for Gaussian variables", JMLR 2005.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import DeepInfoMaxTransformer
    >>> X = load_digits().images
    >>> dim = DeepInfoMaxTransformer(n_components=16, max_iter=5, random_state=0).fit(X)
    >>> dim.transform(X).shape
    (1797, 16)
    >>> round(dim.score(X), 1)                                                # of log 256 = 5.5 nats at most
    0.2
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        global_weight: float | str = "auto",
        local_weight: float = 1.0,
        prior_weight: float = 0.0,
        code_weight: float | str = "auto",
        total_correlation_weight: float = 0.0,
        estimator: str | Bound = "infonce",
        critic: Any = "separable",
        prior: str | Prior = "uniform",
        prior_method: str | Noise = "adversarial",
        posterior: str | None = None,
        encoder: Any = "auto",
        hidden_layer_sizes: Any = "auto",
        input_shape: tuple[int, ...] | None = None,
        augment: str | Callable[..., torch.Tensor] | None = "auto",
        n_locations: int | None = 8,
        features: str = "auto",
        batch_size: int = 128,
        max_iter: int | str = "auto",
        learning_rate: float = 2e-3,
        schedule: str | None = "cosine",
        optimizer: Any = "adamw",
        weight_decay: float = 1e-2,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        checkpoint: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.global_weight = global_weight
        self.local_weight = local_weight
        self.prior_weight = prior_weight
        self.code_weight = code_weight
        self.total_correlation_weight = total_correlation_weight
        self.estimator = estimator
        self.critic = critic
        self.prior = prior
        self.prior_method = prior_method
        self.posterior = posterior
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.augment = augment
        self.n_locations = n_locations
        self.features = features
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.compile = compile
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    _parameter_constraints = {
        **InfoMaxTransformer._parameter_constraints,
        "global_weight": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "local_weight": [Interval(Real, 0, None, closed="left")],
        "prior_weight": [Interval(Real, 0, None, closed="left")],
        "code_weight": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "total_correlation_weight": [Interval(Real, 0, None, closed="left")],
        "estimator": [StrOptions(set(BOUNDS)), Bound],
        "critic": [StrOptions(set(CRITICS)), callable, tuple, list],
        "prior": [StrOptions(set(PRIORS)), Prior],
        "prior_method": [StrOptions(set(PRIOR_METHODS)), Noise],
        "posterior": [StrOptions({"gaussian"}), None],
        "encoder": [StrOptions({"auto", *ENCODERS}), callable],
        "hidden_layer_sizes": [StrOptions({"auto"}), tuple, list],
        "augment": [StrOptions({"auto", "auto+flip"}), callable, None],
        "n_locations": [Interval(Integral, 1, None, closed="left"), None],
        "features": [StrOptions({"auto", "discriminant", "global", "hidden", "local"})],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        weights = self._weights()
        if not any(weights.values()) and self.prior_weight == 0:
            raise ValueError(
                "At least one of global_weight, local_weight, prior_weight and code_weight must be positive."
            )
        if self.augment is None and weights["code"] > 0:
            raise ValueError(f"code_weight={self.code_weight!r} relates two augmented views; augment=None makes one.")
        if isinstance(self.critic, (tuple, list)) and len(self.critic) != 2:
            raise ValueError(f"A pair of critics is (global, local), got {len(self.critic)} of them: {self.critic!r}.")
        check_encoders([self.encoder], self.hidden_layer_sizes)
        bound_for_codes(self.estimator, of_maps=True)
        if self.posterior is not None:
            self._check_posterior(weights)
        elif self.total_correlation_weight > 0:
            raise ValueError(
                f"total_correlation_weight={self.total_correlation_weight!r} needs the known density of a stochastic code: "
                "set posterior='gaussian'."
            )
        if (noise := self._noise()) is not None:
            self._check_noise(noise)

    def _check_posterior(self, weights: dict[str, float]) -> None:
        """Refuse what has no effect with a known posterior."""
        learned = weights["local"] > 0 or weights["code"] > 0
        for name, default in (("estimator", ("infonce", InfoNCE())), ("critic", ("separable", Separable()))):
            if not learned and getattr(self, name) not in default:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} would have no effect: posterior={self.posterior!r} takes the known log "
                    "p(y | x) under TNCE for the global term, and neither local_weight nor code_weight is positive."
                )
        if isinstance(self.critic, (tuple, list)) and weights["code"] == 0:
            raise ValueError(
                f"The first of the pair of critics {self.critic!r} would have no effect: posterior={self.posterior!r} takes "
                "the known log p(y | x) for the global term, and code_weight is not positive. Give one critic."
            )
        if self.total_correlation_weight > 0 and self.n_components == 1:
            raise ValueError("total_correlation_weight relates several components to each other; n_components=1.")

    def _check_noise(self, noise: Noise) -> None:
        """Refuse what has no effect with noise in place of a discriminator."""
        noise.check()
        method = f"prior_method={self.prior_method!r}"
        if self.prior_weight > 0:
            raise ValueError(
                f"{method} has no discriminator: set prior_weight=0, got prior_weight={self.prior_weight!r}."
            )
        if self.prior not in ("normal", NormalPrior()):
            raise ValueError(f"{method} has no discriminator to configure: set prior='normal', got {self.prior!r}.")
        if self.posterior is not None:
            raise ValueError(
                f"{method} and posterior={self.posterior!r} both say what noise the code has: set posterior=None or "
                "prior_method='adversarial'."
            )

    def _noise(self) -> Noise | None:
        """Return the noise that replaces a discriminator, or None."""
        method = PRIOR_METHODS[self.prior_method] if isinstance(self.prior_method, str) else self.prior_method
        return method() if isinstance(method, type) else method

    def _weights(self) -> dict[str, float]:
        """Return the weight of each bound, "auto" resolved."""
        of_local = float(self.local_weight)
        of_global = float(self.posterior is not None if self.global_weight == "auto" else self.global_weight)
        relates_codes = self.augment is not None and of_global + of_local > 0
        of_code = float(relates_codes if self.code_weight == "auto" else self.code_weight)
        return {"local": of_local, "global": of_global, "code": of_code}

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n_axes = 1 if self._reads_sequences() else 2
        return (1, *input_shape) if len(input_shape) == n_axes else input_shape

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        shape, weights = standardize.shape, self._weights()
        two_views = None if self.augment is None else TwoViews(self.augment, shape)
        factory = choose_encoder(self.encoder, shape, self.hidden_layer_sizes)
        encoder: Encoder | NormalizedCode = build_encoder(factory, shape, self.n_components)
        pair = self.critic if isinstance(self.critic, (tuple, list)) else (self.critic, self.critic)
        critics, bound = [choose_critic(critic) for critic in pair], bound_for_codes(self.estimator, of_maps=True)
        known = PosteriorInfoMax(weights["global"], self.total_correlation_weight) if self.posterior else None
        terms = build_terms(encoder, bound, critics, weights, known)
        prior = choose("prior", self.prior, PRIORS)
        matching = PriorMatching(prior, self.n_components) if training and self.prior_weight > 0 else None
        posterior: nn.Module | None = None
        if self.posterior is not None:
            posterior = GaussianPosterior(encoder.n_hidden, self.n_components)
        elif (noise := self._noise()) is not None:
            encoder, posterior = NormalizedCode(encoder), AdditiveNoise(noise)
        built = DeepInfoMax(encoder, terms, two_views, matching, self.prior_weight, self.n_locations, posterior)
        asks_for_discriminant(built, self.features)  # refuses what cannot be found, before it is trained for
        return built

    def _output(self) -> str:
        return layer_of(self._objective, self.features)

    @property
    def _objective(self) -> DeepInfoMax:
        return cast("DeepInfoMax", self._learner.objective)

    def _result(self, objective: Any, best: dict[str, float]) -> dict[str, Any]:
        noise, upper = self._noise(), objective.upper_bounds
        return {
            **super()._result(objective, best),
            "upper_bound_": float(sum(best[name] for name in upper)) if best and upper else math.inf,
            "cap_": math.inf if noise is None else noise.cap(self.n_components),
        }

    def _fitted(
        self, learner: Learner, history: History, data: tuple[Samples, Fitting] | None = None
    ) -> dict[str, Any]:
        fitted = super()._fitted(learner, history, data)
        assert isinstance(learner.objective, DeepInfoMax)
        if data is not None and self.posterior is not None and history.best:
            fitted["upper_bound_"] = min(fitted["upper_bound_"], self._rate(learner.objective, learner.seed, *data))
        if data is not None and asks_for_discriminant(learner.objective, self.features):
            find_discriminant(learner.objective, data[0], data[1].train, self.batch_size, learner.seed)
        return fitted

    def _rate(self, objective: DeepInfoMax, seed: int, samples: Samples, fitting: Fitting) -> float:
        """Return the rate in nats, an upper bound of I(X; Y); infinity for a few rows."""
        rows = np.random.default_rng(seed).permutation(fitting.train)[: 2 * ROWS_OF_RATE]
        learned, judged = np.array_split(rows, 2)
        if fitting.valid is not None:
            learned, judged = rows[:ROWS_OF_RATE], fitting.valid[:ROWS_OF_RATE]
        if len(learned) < FEWEST_ROWS_OF_RATE:
            return math.inf
        y, log_p = sampled_codes(objective, samples, np.concatenate([learned, judged]), self.batch_size, seed)
        choosing, n = len(learned) // 4, len(learned)
        q = Density.learn(y[choosing:n], y[:choosing], seed)
        return float(rate(log_p[n:], torch.from_numpy(q.log_density(y[n:]))))
