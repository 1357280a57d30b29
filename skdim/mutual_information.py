"""Estimates of mutual information with their kind, cap and uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from skdim._params import check_factories, check_sizes
from skdim._sklearn import draw_seed, unchanged_on_error
from skdim.bounds import MI_BOUNDS, Bound
from skdim.dependence import (
    BLOCK,
    FEWEST_TO_SPLIT,
    N_REFERENCE,
    Counts,
    Evaluation,
    Gaussian,
    Independent,
    KnownConditional,
    LearnedConditional,
    LearnedLabels,
    LearnedRatio,
    Model,
    Settings,
    anchored_infonce,
    caveats,
    diagnose,
    duplicated_rows,
)
from skdim.discrete import discrete_columns, discrete_mutual_information
from skdim.exceptions import ConstantInputWarning, warn
from skdim.intervals import control_variate, normal_interval
from skdim.nn.critics import CRITICS
from skdim.sides import MARGINALS, Side
from skdim.training.callbacks import EpochTasks
from skdim.training.device import available_device, resolve_device
from skdim.training.fitting import TRAINING_CONSTRAINTS
from skdim.training.state import STATE_VERSION, check_version

__all__ = ["MIEstimator", "MIResult", "mutual_information"]

#: Parameters of training that mean what they mean for the transformers.
SHARED_PARAMETERS = (
    "batch_size",
    "max_iter",
    "learning_rate",
    "optimizer",
    "weight_decay",
    "validation_fraction",
    "n_iter_no_change",
    "device",
    "random_state",
    "verbose",
)
#: Estimators that are no function of a critic's scores: a learned conditional against a density, and a closed form.
OTHER_ESTIMATORS = ("ba", "gaussian")
#: Candidates of ``score``.
N_SCORED = 256


@dataclass(frozen=True)
class MIResult:
    """An estimate of mutual information.

    Attributes
    ----------
    value : float
        In nats.
    interval : tuple of float
        Lower and upper end of the confidence interval of the estimator's expectation.
    kind : {"lower", "upper", "estimate"}
        What the expectation is to the mutual information.
    cap : float
        The largest value that the estimator can take.
    diagnostics : dict
        See :class:`MIEstimator`.
    """

    value: float
    interval: tuple[float, float]
    kind: str
    cap: float
    diagnostics: dict[str, float] = field(repr=False)


class MIEstimator(CallbackSupportMixin, BaseEstimator):
    r"""Estimate the mutual information of X and y, in nats, from joint samples.

    .. math:: I(X; Y) = E_{p(x,y)}\left[ \log \frac{p(x, y)}{p(x)\, p(y)} \right]

    A critic f(x, y) is trained under a variational bound [1]_, and the value is taken from rows that it was neither trained nor
    chosen on. Each column becomes normal scores, which changes no information; the critic starts from the closed-form log ratio
    of Gaussian variables, and networks learn what is left. Rows must be independent of each other: dependent rows void every
    bound.

    Where a side has only discrete columns, a classifier is learned in place of a critic, and
    :math:`I = H(y) - E[-\log q(y \mid x)]`; where both have, their table is counted. ``estimator`` and ``critic`` do not matter
    then.

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    estimator : str or Bound, default="infonce"
        "infonce", "mlcpc", "alpha", "jsd", "dv", "nwj", "tuba", "uba", "smile", "dime", "flo": a critic is learned.
        "ba": a Gaussian conditional is learned, and a density of y. "gaussian": the closed form of canonical correlations.
        "tnce", "l1out" need ``conditional``; "club" learns one where none is given. Or configured, such as
        ``SMILE(tau=1.0)``; see :mod:`skdim.bounds`.
    critic : "auto", str, object or callable, default="auto"
        "auto": separable networks on inputs scaled by their relevance, for narrow sides also a joint one, weighed on
        validation rows. Or one critic of :mod:`skdim.nn.critics`: "inner", "cosine", "bilinear", "separable", "concat",
        configured, or a class or function ``(x_features, y_features) -> nn.Module``.
    marginals : {"normal_scores", "standardize"} or None, default="normal_scores"
        What becomes of continuous columns: normal scores of their ranks, mean 0 and variance 1, or nothing.
    reference : {"auto", "gaussian"} or None, default="auto"
        The closed-form log ratio that critics start from. "auto" is that of correlated Gaussians, or of a mixture of Gaussians
        where that is worth more on validation rows, or none, where its tails would make the estimator's e^f explode.
        "gaussian" allows no mixture, and is an error with such an estimator.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        ReLU layers of each side's network; "auto" is (128, 128, 128).
    radial_inputs : bool, default=True
        Whether networks also see the log norm of the variates and its products with the leading ones, where the estimator
        allows a reference.
    n_refits : int, default=2
        How often ``critic="auto"`` trains anew on inputs scaled by their relevance to the last network; not where both sides
        have four variates or fewer together, for which a joint network is trained.
    weight_averaging : float in [0, 1), default=0.98
        Share of the averaged weights kept at each step; 0 uses the weights themselves.
    control_variate : bool, default=True
        Whether the value is corrected by the Gaussian log ratio, whose mean is known on all rows.
    conditional : callable, default=None
        ``conditional(X, Y)`` returns the known log p(y | x) of n pairs of rows, shape (n,), for "tnce", "l1out" and "club".
    discrete_X, discrete_y : "auto", bool or array-like, default="auto"
        Which columns are discrete, see :func:`~skdim.discrete.discrete_columns`.
    batch_size : int, default=256
        Largest batch, at least 2.
    max_iter : int or "auto", default="auto"
        Most epochs of each network. "auto" makes about 1,500 steps, in 10 to 150 epochs, and a third of them for networks
        that others follow.
    learning_rate : float, default=3e-3
        Highest learning rate; it rises over the first 5 % of the steps and falls along a cosine.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        Optimizer, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    weight_decay : float, default=1e-3
        Weight decay of weight matrices.
    validation_fraction, test_fraction : float, default=0.15, 0.2
        Shares of the rows that choose among networks, and that the value is taken from.
    n_iter_no_change : int, default=20
        Epochs without improvement on the validation rows that training waits for.
    confidence_level : float, default=0.95
        Of ``mi_interval_``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        An int gives the same bits again on one CPU, at the same number of threads and the same versions.
    verbose : int, default=0
        Above 0, a line per epoch is printed.

    Attributes
    ----------
    mi_ : float
        The estimate, in nats.
    mi_interval_ : tuple of float
        Its confidence interval. It covers the estimator's expectation, for "lower" a lower bound: its lower end is the one that
        is sure.
    kind_ : {"lower", "upper", "estimate"}
        What the estimator's expectation is to the mutual information.
    cap_ : float
        The largest value that the estimator could have taken.
    diagnostics_ : dict of float
        "standard_error"; "saturation", what the bound (InfoNCE, where the estimator has no cap) loses at a quarter of the test
        rows; "train_test_gap"; "effective_pairs", the share of marginal pairs that the mean of e^f rests on; "p_value" of a
        permutation test of independence; "duplicated_rows", the share of test rows met in training.
    discrete_ : tuple of ndarray of bool
        Which columns of X, and of y, were taken for discrete.
    history_ : list of dict
        Per epoch of each network "epoch", "network", "loss" and "valid_loss".
    n_iter_ : int
        Epochs trained, of all networks together.
    device_ : str
        Where the networks are.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Column names, where X had them.

    Raises
    ------
    ValueError, TypeError
        From ``fit``, before training, if a parameter, X or y is not what it may be, or an option has no effect together with
        others.

    References
    ----------
    .. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
    .. [2] Czyz et al., "Beyond normal: on the evaluation of mutual information estimators", NeurIPS 2023.

    Examples
    --------
    >>> from skdim import MIEstimator
    >>> from skdim.synthetic import GaussianPairs
    >>> X, y = GaussianPairs(rho=0.8).sample(4000, random_state=0)   # I = -log(1 - 0.8^2) / 2 = 0.511
    >>> mi = MIEstimator(random_state=0).fit(X, y)
    >>> round(mi.mi_, 1), mi.kind_
    (0.5, 'lower')
    """

    def __init__(
        self,
        *,
        estimator: str | Bound = "infonce",
        critic: Any = "auto",
        marginals: str | None = "normal_scores",
        reference: str | None = "auto",
        hidden_layer_sizes: Any = "auto",
        radial_inputs: bool = True,
        n_refits: int = 2,
        weight_averaging: float = 0.98,
        control_variate: bool = True,
        conditional: Callable[[Any, Any], Any] | None = None,
        discrete_X: Any = "auto",
        discrete_y: Any = "auto",
        batch_size: int = 256,
        max_iter: int | str = "auto",
        learning_rate: float = 3e-3,
        optimizer: Any = "adamw",
        weight_decay: float = 1e-3,
        validation_fraction: float = 0.15,
        test_fraction: float = 0.2,
        n_iter_no_change: int = 20,
        confidence_level: float = 0.95,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.critic = critic
        self.marginals = marginals
        self.reference = reference
        self.hidden_layer_sizes = hidden_layer_sizes
        self.radial_inputs = radial_inputs
        self.n_refits = n_refits
        self.weight_averaging = weight_averaging
        self.control_variate = control_variate
        self.conditional = conditional
        self.discrete_X = discrete_X
        self.discrete_y = discrete_y
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.n_iter_no_change = n_iter_no_change
        self.confidence_level = confidence_level
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    _parameter_constraints: dict[str, Any] = {
        **{name: TRAINING_CONSTRAINTS[name] for name in SHARED_PARAMETERS},
        "estimator": [StrOptions({*MI_BOUNDS, *OTHER_ESTIMATORS}), Bound],
        "critic": [StrOptions({"auto", *CRITICS}), callable],
        "marginals": [StrOptions({name for name in MARGINALS if name}), None],
        "reference": [StrOptions({"auto", "gaussian"}), None],
        "hidden_layer_sizes": [StrOptions({"auto"}), tuple, list],
        "radial_inputs": ["boolean"],
        "n_refits": [Interval(Integral, 0, None, closed="left")],
        "control_variate": ["boolean"],
        "conditional": [callable, None],
        "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
        "discrete_y": [StrOptions({"auto"}), "boolean", "array-like"],
        "weight_averaging": [Interval(Real, 0, 1, closed="left")],
        "test_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
        "confidence_level": [Interval(RealNotInt, 0, 1, closed="neither")],
    }

    # -------------------------------------------------------------------------------------------------------------- fitting
    @with_callbacks
    def fit(self, X: Any, y: Any) -> Any:
        """Learn the dependence and estimate the mutual information.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two, independent of each other.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What each was drawn with.

        Returns
        -------
        self : MIEstimator
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, X or y is not what it may be; the estimator is then as before the call.
        DivergenceError
            If training leaves the range of float32; likewise.
        """
        with unchanged_on_error(self):
            self._check_parameters()
            numbers, Y = self._validate(X, y, reset=True)
            seed = draw_seed(self.random_state)
            settings = self._settings(seed)
            root = self._init_callback_context(max_subtasks=None)
            root.call_on_fit_task_begin(estimator=self, X=X, y=y)
            self._built_with = clone(self)
            model = self._new_model(numbers, Y, settings)
            settings.callbacks = [self._epoch_tasks(X, y, root, settings, model)] if root._callbacks else []
            self._estimate(model, numbers, Y, seed, settings)
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _estimate(self, model: Model, X: Any, Y: Any, seed: int, settings: Settings) -> None:
        train, valid, test = self._split(len(X), seed, model.learns)
        model.fit(X, Y, train, valid)
        scores = model.scores(X[test], Y[test]) if model.learns and len(test) <= BLOCK else None
        evaluation = model.evaluate(X[test], Y[test], scores)
        value, error = self._value_and_error(model, evaluation, X, Y, valid, test)
        value = min(value, evaluation.cap)  # which a control variate, or a correction for few counts, may pass
        self._model, self.device_ = model, str(settings.device)
        model.keep(X[test][:N_REFERENCE], Y[test][:N_REFERENCE])
        self.mi_, self.kind_, self.cap_ = value, model.kind, evaluation.cap
        self.mi_interval_ = self._interval(model, X[test], Y[test], value, error)
        self.history_, self.n_iter_ = settings.history, len(settings.history)
        self.diagnostics_ = {"standard_error": error, **self._diagnose(model, scores, X, Y, train, test, seed)}
        for caveat in caveats(value, self.kind_, self.cap_, self.diagnostics_, len(X), len(test), settings.bound):
            warn(*caveat)

    def _new_model(self, X: Any, Y: Any, settings: Settings) -> Model:
        side_x, side_y = (
            Side.learn(part, discrete, self.marginals) for part, discrete in zip((X, Y), self.discrete_, strict=True)
        )
        constant = [name for name, part in (("X", X), ("y", Y)) if _is_constant(part)]
        for name in constant:
            warn(f"{name} is constant: the mutual information is 0.", ConstantInputWarning)
        if constant:
            return Independent(self._kind())
        bound = settings.bound
        if (
            bound is not None
            and bound.needs == "conditional"
            and (self.conditional is not None or not bound.learns_conditional)
        ):
            assert self.conditional is not None  # checked with the parameters
            return KnownConditional(self.conditional, bound)
        if side_x.has_labels and side_y.has_labels:
            return Counts(side_x, side_y)
        if side_x.has_labels or side_y.has_labels:
            return LearnedLabels(side_x, side_y, settings, exchanged=not side_y.has_labels)
        if self.estimator == "gaussian":
            return Gaussian(side_x, side_y)
        if self.estimator == "ba" or (bound is not None and bound.needs == "conditional"):
            return LearnedConditional(side_x, side_y, settings)
        return LearnedRatio(side_x, side_y, settings)

    def _settings(self, seed: int, device: str | None = None) -> Settings:
        bound = self._bound()
        takes_reference = bound is not None and bound.takes_reference
        hidden = None if isinstance(self.hidden_layer_sizes, str) else tuple(self.hidden_layer_sizes)
        return Settings(
            bound=bound,
            critic=self.critic,
            reference=takes_reference and self.reference is not None,
            mixture=takes_reference and self.reference == "auto",
            hidden=hidden,
            radial=self.radial_inputs,
            n_refits=self.n_refits,
            decay=self.weight_averaging,
            batch_size=self.batch_size,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            patience=self.n_iter_no_change,
            device=resolve_device(self.device if device is None else device),
            seed=seed,
            verbose=self.verbose,
        )

    def _bound(self) -> Bound | None:
        if isinstance(self.estimator, str):
            return MI_BOUNDS[self.estimator]() if self.estimator in MI_BOUNDS else None
        return self.estimator

    def _kind(self) -> str:
        bound = self._bound()
        is_learned = bound is None or (bound.needs == "conditional" and self.conditional is None)
        return "estimate" if bound is None or is_learned else bound.kind

    def _split(self, n: int, seed: int, learns: bool) -> tuple[Any, Any, Any]:
        """Return training, validation and test rows; all rows in each where nothing is learned."""
        if not learns:
            return (np.arange(n),) * 3
        order = np.random.default_rng([seed, 1]).permutation(n)
        n_test, n_valid = self._n_test(n), max(2, round(self.validation_fraction * n))
        if n >= FEWEST_TO_SPLIT and n_test + n_valid > n - 2:
            raise ValueError(
                f"test_fraction={self.test_fraction} and validation_fraction={self.validation_fraction} leave fewer than 2 of "
                f"n_samples = {n} rows to train on. Give smaller fractions."
            )
        test, valid, train = np.split(order, [n_test, n_test + n_valid])
        # Of fewer rows each is needed twice: nothing is learned from them, and so nothing leaks.
        return (np.sort(train), np.sort(valid), np.sort(test)) if n >= FEWEST_TO_SPLIT else (order, order, order)

    def _n_test(self, n: int) -> int:
        return max(2, round(self.test_fraction * n))

    def _value_and_error(
        self, model: Model, evaluation: Evaluation, X: Any, Y: Any, valid: Any, test: Any
    ) -> tuple[float, float]:
        known = model.known(X, Y) if self.control_variate and len(test) >= 8 else None
        if known is None:
            n_test = len(test)
            return control_variate(evaluation.per_row, np.zeros(n_test), np.arange(n_test), np.zeros(1), np.zeros(1))
        judged = model.evaluate(X[valid], Y[valid])
        return control_variate(evaluation.per_row, known, test, judged.per_row, known[valid])

    def _interval(self, model: Model, X: Any, Y: Any, value: float, error: float) -> tuple[float, float]:
        if isinstance(model, Counts):
            labels = model.side_x.labels(X), model.side_y.labels(Y)
            return discrete_mutual_information(*labels, confidence_level=self.confidence_level).interval
        return normal_interval(value, error, self.confidence_level)

    def _diagnose(
        self, model: Model, scores: Tensor | None, X: Any, Y: Any, train: Any, test: Any, seed: int
    ) -> dict[str, float]:
        repeated = 0.0
        if model.learns and len(X) >= FEWEST_TO_SPLIT:
            continuous = [part[:, ~mask] for part, mask in zip((X, Y), self.discrete_, strict=True)]
            repeated = duplicated_rows(np.hstack(continuous).astype(np.float64), train, test)
        rows = test[:N_REFERENCE]
        if isinstance(model, (KnownConditional, Independent)) or len(rows) < FEWEST_TO_SPLIT:
            return {"duplicated_rows": repeated}
        scores = model.scores(X[rows], Y[rows]) if scores is None else scores[: len(rows), : len(rows)]
        seen = train[: len(rows) // 4]
        of_seen = model.scores(X[seen], Y[seen]) if model.learns and len(seen) >= len(rows) // 4 else None
        return {"duplicated_rows": repeated, **diagnose(scores, of_seen, model.bounded, np.random.default_rng(seed))}

    # -------------------------------------------------------------------------------------------------------------- new rows
    def score(self, X: Any, y: Any) -> float:
        """Return the InfoNCE lower bound, in nats, of the fitted critic on these rows, at K = min(n_samples, 256).

        The mean over both anchors, whatever ``estimator`` is, so that a search never prefers an upper bound for being larger.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What each was drawn with.

        Returns
        -------
        score : float
            At most log K.

        Raises
        ------
        ValueError, TypeError
            If X or y is not what it may be.
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        X, Y = self._validate(X, y, reset=False)
        k, anchors = min(len(X), N_SCORED), self._model.anchors
        blocks = [np.arange(start, start + k) % len(X) for start in range(0, len(X), k)]
        return float(np.mean([anchored_infonce(self._model.scores(X[rows], Y[rows]), anchors) for rows in blocks]))

    def estimate(self, X: Any, y: Any) -> MIResult:
        """Estimate the mutual information from rows that were not fitted, with the fitted critic.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, at least two, that ``fit`` has not seen: on fitted rows the value is too large.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What each was drawn with.

        Returns
        -------
        MIResult
            Value, interval, kind and cap of the estimator on these rows, without the control variate.

        Raises
        ------
        ValueError, TypeError
            If X or y is not what it may be.
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        X, Y = self._validate(X, y, reset=False)
        evaluation = self._model.evaluate(X, Y)
        value, error = control_variate(
            evaluation.per_row, np.zeros(len(X)), np.arange(len(X)), np.zeros(1), np.zeros(1)
        )
        value = min(value, evaluation.cap)
        interval = self._interval(self._model, X, Y, value, error)
        return MIResult(value, interval, self._model.kind, evaluation.cap, {"standard_error": error})

    def pointwise(self, X: Any, y: Any) -> Any:
        r"""Return log p(x, y) / (p(x) p(y)) of each row, in nats, as the fitted critic has it.

        .. math:: f(x, y) - \tfrac12 \Bigl( \log \overline{e^{f(x, y_j)}} + \log \overline{e^{f(x_j, y)}} \Bigr)

        with means over at most 2,048 rows held out in ``fit``; a critic is known only up to functions of x and of y.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            What each is paired with.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError, TypeError
            If X or y is not what it may be.
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        X, Y = self._validate(X, y, reset=False, min_samples=1)
        result = np.empty(len(X))
        for start in range(0, len(X), N_SCORED):
            rows = slice(start, start + N_SCORED)
            result[rows] = self._model.pointwise(X[rows], Y[rows])
        return result

    # ------------------------------------------------------------------------------------------------------------- validation
    def _check_parameters(self) -> None:
        check_factories(self, ("critic", "optimizer", "conditional"))
        self._validate_params()
        bound = self._bound()
        if bound is not None:
            bound.check()
            if not bound.measures_information:
                raise ValueError(
                    f"estimator={bound!r} is a loss of metric learning and measures no mutual information. Allowed are "
                    f"{sorted({*MI_BOUNDS, *OTHER_ESTIMATORS})}."
                )
        name = bound.name if bound is not None else self.estimator
        if not isinstance(self.hidden_layer_sizes, str):
            check_sizes("hidden_layer_sizes", self.hidden_layer_sizes, at_least=1)
            if not isinstance(self.critic, str) or self.critic in ("inner", "bilinear"):
                raise ValueError(f"hidden_layer_sizes would have no effect on critic={self.critic!r}, which has none.")
        needs_conditional = bound is not None and bound.needs == "conditional"
        learns_critic = bound is not None and not needs_conditional
        if not learns_critic and not (isinstance(self.critic, str) and self.critic == "auto"):
            raise ValueError(f"critic={self.critic!r} would have no effect on estimator={name!r}, which has no critic.")
        learns = learns_critic or name == "ba" or (name == "club" and self.conditional is None)
        if not learns and not isinstance(self.hidden_layer_sizes, str):
            raise ValueError(f"hidden_layer_sizes would have no effect on estimator={name!r}, which has no network.")
        if needs_conditional and self.conditional is None and name != "club":
            raise ValueError(
                f"estimator={name!r} needs the known log p(y | x): give conditional, a callable (X, Y) -> (n,)."
            )
        if self.conditional is not None and not needs_conditional:
            raise ValueError(
                f"conditional would have no effect on estimator={name!r}; it is for 'tnce', 'l1out' and 'club'."
            )
        if self.reference == "gaussian" and not (bound is not None and bound.takes_reference):
            raise ValueError(
                f"reference='gaussian' and estimator={name!r} do not go together: the reference's quadratic tails make e^f "
                "explode, or there is no critic to start. Use reference=None or 'auto'."
            )

    def _validate(self, X: Any, y: Any, *, reset: bool, min_samples: int = 2) -> tuple[Any, Any]:
        """Return X and y as 2-D arrays, float64 where every column is a number; learn or check their columns."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        checked = validate_data(self, X, reset=reset, dtype=None, ensure_min_samples=min_samples)
        target = check_array(
            y, dtype=None, ensure_2d=False, input_name="y", ensure_min_samples=min_samples, estimator=self
        )
        check_consistent_length(checked, target)
        target = target.reshape(len(target), -1)
        if reset:
            self.discrete_ = (
                _discrete(X, checked, self.discrete_X, "X"),
                _discrete(y, target, self.discrete_y, "y"),
            )
            self._n_outputs = target.shape[1]
        elif target.shape[1] != self._n_outputs:
            raise ValueError(
                f"y has {target.shape[1]} column(s), but {type(self).__name__} was fitted on {self._n_outputs}."
            )
        discrete_X, discrete_y = self.discrete_
        return _as_numbers(checked, discrete_X, "X"), _as_numbers(target, discrete_y, "y")

    def _epoch_tasks(self, X: Any, y: Any, root: Any, settings: Settings, model: Model) -> EpochTasks:
        def fitted(net: Any) -> dict[str, Any]:
            return {"_model": model.in_training(net.module_.critic), "device_": str(settings.device)}

        def stops(stop: bool) -> bool:
            settings.stopped |= stop
            return stop

        return EpochTasks(root, self, (X, y), fitted, stops)

    # ------------------------------------------------------------------------------------------------------------------ state
    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_model" in state:
            kind = {"version": STATE_VERSION, "class": type(self._model).__name__, "device": self.device_}
            state["_model"] = kind | self._model.state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_model" in state:
            check_version(state["_model"])
            self.device_ = str(available_device(state["_model"]["device"]))
            self._model = self._restored(state["_model"])

    def _restored(self, state: dict[str, Any]) -> Model:
        built_with = self._built_with
        if state["class"] == KnownConditional.__name__:
            return KnownConditional.from_state(state, built_with.conditional, built_with._bound())
        settings = built_with._settings(seed=0, device=self.device_)
        classes = (Counts, Gaussian, Independent, LearnedConditional, LearnedLabels, LearnedRatio)
        by_name: dict[str, Any] = {model.__name__: model for model in classes}
        return by_name[state["class"]].from_state(state, settings)  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = False
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def mutual_information(X: Any, y: Any, **params: Any) -> MIResult:
    """Estimate the mutual information of X and y, in nats.

    Parameters
    ----------
    X : array-like of shape (n_samples,) or (n_samples, n_features)
        Samples, at least two, independent of each other.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        What each was drawn with.
    **params
        Parameters of :class:`MIEstimator`.

    Returns
    -------
    MIResult
        Value, interval, kind, cap and diagnostics.

    Raises
    ------
    ValueError, TypeError
        If a parameter, X or y is not what it may be.

    Examples
    --------
    >>> from skdim import mutual_information
    >>> x = [0, 1, 0, 1] * 250
    >>> result = mutual_information(x, x)
    >>> round(result.value, 2), result.kind
    (0.69, 'estimate')
    """
    if np.ndim(X) == 1:
        X = X.to_frame() if hasattr(X, "to_frame") else np.asarray(X).reshape(-1, 1)
    fitted = MIEstimator(**params).fit(X, y)
    return MIResult(fitted.mi_, fitted.mi_interval_, fitted.kind_, fitted.cap_, fitted.diagnostics_)


def _discrete(given: Any, array: Any, discrete: Any, name: str) -> Any:
    """Return which columns are discrete, by the table as it came: an array of a frame has lost its dtypes."""
    table = given if hasattr(given, "dtypes") or hasattr(given, "dtype") or hasattr(given, "schema") else array
    try:
        return discrete_columns(table, discrete)
    except ValueError as error:
        message = str(error).replace("discrete=", f"discrete_{name}=")
        for said in ("of X", "but X has", "X has no column", "X is not", "X holds"):
            message = message.replace(said, said.replace("X", name))
        raise ValueError(message) from None


def _as_numbers(array: Any, discrete: Any, name: str) -> Any:
    """Return an array whose continuous columns are float64; of objects only where a discrete column needs it."""
    if array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False)
    if discrete.all():
        return array.astype(object)
    try:
        if array.dtype.kind in "mM":
            raise TypeError
        if not discrete.any():
            return array.astype(np.float64)
        array = array.astype(object)
        for column in np.flatnonzero(~discrete):
            array[:, column] = array[:, column].astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} has dtype {array.dtype} and holds values that are no real numbers in a continuous column. Give real "
            f"numbers, or name the column in discrete_{name}."
        ) from None
    return array


def _is_constant(part: Any) -> bool:
    if part.dtype.kind == "O":
        return all(len({str(value) for value in column}) == 1 for column in part.T)
    return bool((part == part[:1]).all())
