"""The estimator of mutual information."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from skdim._sklearn import DocLinkMixin, draw_seed, fitted_apart
from skdim.bounds import Bound
from skdim.exceptions import warn
from skdim.information.caveats import caveats
from skdim.information.conditional import Given, fit_given, given_columns, new_columns
from skdim.information.copies import duplicated_rows
from skdim.information.folds import best_of, candidates_of
from skdim.information.model import Model
from skdim.information.parameters import CONSTRAINTS, MODELS, check_parameters, model_of
from skdim.information.result import MIResult, capped, mean_pointwise, mean_score, measured, measured_anew
from skdim.information.rows import complete_rows, numbered_groups
from skdim.information.sides import Columns, Side, load_sides, sides_of, state_of_sides, validated
from skdim.training.ambient import answering, in_own_state, own_state
from skdim.training.checkpoint import checkpointed
from skdim.training.device import available_device, resolve_device
from skdim.training.state import opened, part, sealed


class MIEstimator(DocLinkMixin, CallbackSupportMixin, BaseEstimator):
    r"""Estimate the mutual information of X and y, in nats, from joint samples.

    .. math:: I(X; Y) = E_{p(x,y)}\left[ \log \frac{p(x, y)}{p(x)\, p(y)} \right]

    By default several models of the log ratio compete on rows that they have not learned from: closed forms of Gaussian
    variables, t copulas and mixtures, networks that learn what these leave, and nearest neighbours [2]_. Columns become normal
    scores, which changes no information. Of wide sides, the columns and principal directions that depend on the other side
    compete with all of them. Rows must be independent of each other.

    If a side has only discrete columns, and their combinations recur, classifiers compete, and
    :math:`I = H(y) - E[-\log q(y \mid x)]`. If both sides are such, their combinations are counted. ``estimator`` and
    ``critic`` then have no effect. Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    estimator : str or Bound, default="auto"
        "auto" is an estimate from all rows: the mean of what the models say of rows that they have learned from and of those
        that they have not, which is right to first order. The others are bounds of :mod:`skdim.bounds` [1]_ from held-out rows,
        by name or configured, such as ``SMILE(tau=1.0)``. "infonce", "mlcpc", "alpha", "jsd", "dv", "nwj", "tuba", "uba",
        "smile", "dime", "flo" train a critic. "ba" learns a Gaussian conditional, and a density of y if ``density`` is not
        given. "gaussian" is the closed form of canonical correlations, and "ksg" that of ``n_neighbors`` nearest neighbours.
        "tnce", "l1out" and "rate" need ``conditional``; "club" learns one if none is given, and "rate" learns a density of y.
    critic : "auto", str, object or callable, default="auto"
        "auto": separable networks, and for narrow sides a joint network, weighed on validation rows. Or a critic of
        :mod:`skdim.nn.critics` by name or configured, or a callable ``(x_features, y_features) -> nn.Module``.
    marginals : {"normal_scores", "standardize"} or None, default="normal_scores"
        What continuous columns become: the normal scores of their ranks, or mean 0 and variance 1. None leaves them as is.
    reference : {"auto", "gaussian"} or None, default="auto"
        The closed-form log ratio that critics start from. "auto": that of correlated Gaussians, or of a mixture of Gaussians
        if it is better on validation rows; none for an estimator whose e^f its tails make explode. "gaussian" allows no
        mixture, and is an error for such an estimator.
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        ReLU layers of each side's network; "auto" is (128, 128, 128).
    radial_inputs : bool, default=True
        Whether networks also take the log norm of the variates and its products with the leading ones, if the estimator
        allows a reference.
    n_refits : int, default=2
        How often ``critic="auto"`` trains a new network on inputs scaled by their relevance to the last one, unless both sides
        together have at most four variates.
    weight_averaging : float in [0, 1), default=0.98
        Share of the averaged weights that each step keeps; 0 uses the weights themselves.
    control_variate : bool, default=True
        Whether the value is corrected by the Gaussian log ratio, whose mean is known on all rows.
    conditional : callable, default=None
        ``conditional(X, Y)`` returns the known log p(y | x) of n pairs of rows, shape (n,), for "tnce", "l1out", "club" and
        "rate".
    density : callable, float or None, default=None
        For "ba", ``density(Y)`` returns the known log p(y) of n rows of a continuous y, shape (n,), or a number is the known
        differential entropy of y in nats: the value is then a lower bound [3]_.
    n_neighbors : int, default=3
        Neighbours of "ksg".
    discrete_X, discrete_y, discrete_Z : "auto", bool or array-like, default="auto"
        Which columns are discrete, as in :func:`~skdim.information.discrete.discrete_columns`; for "auto" also a side's single
        column of two values.
    missing : {"raise", "drop"}, default="raise"
        Whether a missing value is an error, or ``fit`` drops its row, and counts it in ``diagnostics_["dropped_rows"]``.
    batch_size : int, default=256
        Largest batch, at least 2.
    max_iter : int or "auto", default="auto"
        Most epochs of each network. "auto" makes about 1,500 steps, in 10 to 150 epochs; a third if another network follows.
    learning_rate : float, default=3e-3
        Highest learning rate, which rises over the first 5 % of the steps and falls along a cosine.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        Optimizer, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    weight_decay : float, default=1e-3
        Decay of weight matrices.
    validation_fraction, test_fraction : float, default=0.15, 0.2
        Shares of the rows that choose among networks, and that are held out. Up to 1,000 rows all are held out in turn, in
        1 / ``test_fraction`` folds.
    n_iter_no_change : int, default=20
        Epochs without improvement on the validation rows after which training stops.
    confidence_level : float, default=0.95
        Level of ``mi_interval_``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA if there is one.
    random_state : int, RandomState instance or None, default=None
        An int gives the same bits again on one CPU, with the same number of threads and the same versions.
    checkpoint : str, path-like, Checkpoint or None, default=None
        A directory in which ``fit`` keeps what it has trained so far; see :class:`~skdim.Checkpoint`.
    verbose : int, default=0
        Above 0, a line is printed for each epoch.

    Attributes
    ----------
    mi_, mi_interval_ : float, tuple of float
        The value in nats, and its confidence interval: of the mutual information for ``estimator="auto"``, else of the
        estimator's expectation. Of a lower bound, only the lower end bounds the mutual information.
    lower_bound_, lower_bound_interval_ : float, tuple of float or None
        The lower bound from held-out rows, and the interval of its expectation; None where the estimator gives none.
    kind_ : {"lower", "upper", "estimate"}
        What the expectation is to the mutual information.
    cap_ : float
        The largest value that the estimator can take.
    diagnostics_ : dict of float
        "standard_error"; "saturation", what the bound (InfoNCE for an estimator without cap) loses with a quarter of the test
        rows; "train_test_gap"; "effective_pairs", the share of marginal pairs that the mean of e^f rests on; "p_value" of
        :func:`~skdim.independence_test` on at most 20,000 rows; "gaussian", what the linear dependence of the columns is worth;
        "duplicated_rows", the share of test rows that copy training rows.
    discrete_ : tuple of ndarray of bool
        Which columns of X, of y, and of Z if it is given, are discrete.
    history_ : list of dict
        For each epoch of each network "epoch", "network" and "loss", and "valid_loss" in the epochs that are judged.
    n_iter_, device_ : int, str
        Epochs of all networks together, and where the networks are.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number of columns of X, and their names if it has any.

    Raises
    ------
    ValueError, TypeError, NotFittedError
        From every method, if X or y is invalid; from all but ``fit``, if it was not called before.

    References
    ----------
    .. [1] Poole et al., "On variational bounds of mutual information", ICML 2019.
    .. [2] Kraskov, Stögbauer & Grassberger, "Estimating mutual information", Physical Review E 2004.
    .. [3] Barber & Agakov, "The IM algorithm: a variational approach to information maximization", NeurIPS 2003.

    Examples
    --------
    >>> from skdim import MIEstimator
    >>> from skdim.synthetic import GaussianPairs
    >>> X, y = GaussianPairs(rho=0.8).sample(4000, random_state=0)  # I = -log(1 - 0.8^2) / 2 = 0.511
    >>> mi = MIEstimator(random_state=0).fit(X, y)
    >>> round(mi.mi_, 1), mi.kind_
    (0.5, 'estimate')
    """

    _parameter_constraints: dict[str, Any] = CONSTRAINTS
    _sides: tuple[Side, ...]
    device_: str
    _models: list[Model]  # one for each fold
    _given: Given | None  # in their place if Z is given
    _labels: tuple[list[str], ...]  # what messages call the columns of X, y and Z
    _called: tuple[tuple[str, list[str]], ...] = ()  # and of sides that are made of those of another estimator
    _tries_neighbours = True  # whether nearest neighbours compete with critics: not in a difference of two estimates

    def __init__(
        self,
        *,
        estimator: str | Bound = "auto",
        critic: Any = "auto",
        marginals: str | None = "normal_scores",
        reference: str | None = "auto",
        hidden_layer_sizes: Any = "auto",
        radial_inputs: bool = True,
        n_refits: int = 2,
        weight_averaging: float = 0.98,
        control_variate: bool = True,
        conditional: Callable[[Any, Any], Any] | None = None,
        density: Callable[[Any], Any] | float | None = None,
        n_neighbors: int = 3,
        discrete_X: Any = "auto",
        discrete_y: Any = "auto",
        discrete_Z: Any = "auto",
        missing: str = "raise",
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
        checkpoint: Any = None,
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
        self.density = density
        self.n_neighbors = n_neighbors
        self.discrete_X = discrete_X
        self.discrete_y = discrete_y
        self.discrete_Z = discrete_Z
        self.missing = missing
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
        self.checkpoint = checkpoint
        self.verbose = verbose

    def fit(self, X: Any, y: Any, Z: Any = None, groups: Any = None) -> MIEstimator:
        """Learn the dependence and estimate the mutual information.

        Parameters
        ----------
        X, y : array-like of shapes (n_samples, n_features), (n_samples,) or (n_samples, n_outputs)
            Joint samples, at least two, independent of each other, or of those of other groups.
        Z : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
            What is given: every method then takes Z too, and tells of the mutual information given Z, as
            :func:`~skdim.conditional_mutual_information` says.
        groups : array-like of shape (n_samples,), default=None
            Labels of groups of rows that depend on each other.

        Returns
        -------
        self : MIEstimator

        Raises
        ------
        ValueError, TypeError, DivergenceError
            If an argument or parameter is invalid or without effect, or training diverges; the estimator is left unchanged.
        """
        with own_state(), fitted_apart(self) as new, ExitStack() as stack:
            check_parameters(new, has_given=Z is not None)
            dropped: dict[str, float] = {}
            if new.missing == "drop" and y is not None:
                (X, y, Z, groups), dropped["dropped_rows"] = complete_rows(X=X, y=y, Z=Z, groups=groups)
            columns = validated(new, X, y, reset=True)
            root = new._init_callback_context(max_subtasks=None)
            root.call_on_fit_task_begin(estimator=new, X=X, y=y)
            new._built_with = clone(new)
            groups = numbered_groups(groups, len(columns[0]))
            given = () if Z is None else (given_columns(new, Z, len(columns[0])),)
            stack.enter_context(checkpointed(new, lambda: {"samples": [*columns, *given], "groups": groups}))
            if given:
                new._given, result = fit_given(new, (*columns, *given), groups)
                result = capped(result, columns, new.discrete_)
                new._models, new._sides, history = [], (), new._given.history
                new.device_ = new._given.estimators[0].device_
            else:
                model = new._unfitted_model(columns, groups)
                x, target = new._prepared(columns)
                splits, candidates = candidates_of(model, x, target, lambda each: each.watch(root, new, (X, y)))
                for models in candidates:
                    type(models[0]).fit_folds(models, x, target, [(rows.train, rows.valid) for rows in splits])
                models, history = best_of(candidates, splits, x, target)
                copies = duplicated_rows(columns, new.discrete_, splits[0].train, splits[0].test)
                result, new._models = measured(models, splits, x, target, copies, new._tries_neighbours)
                result = capped(result, columns, new.discrete_)
                for caveat in caveats(result, len(x), len(splits[0].test), new._models[0]):
                    warn(*caveat)
            result.diagnostics.update(dropped)
            new.mi_, new.mi_interval_, new.kind_, new.cap_ = result.value, result.interval, result.kind, result.cap
            new.lower_bound_, new.lower_bound_interval_ = result.lower_bound, result.lower_bound_interval
            new.diagnostics_, new.history_, new._result, new._groups = result.diagnostics, history, result, groups
            new.n_iter_ = len(history)
            root.call_on_fit_task_end(estimator=new, X=X, y=y)
        return self

    def _unfitted_model(self, columns: tuple[Columns, Columns], groups: Any) -> Model:
        """Learn what the columns of both sides become, and return a model of their dependence."""
        sides, constant = sides_of(self, columns, self._called or zip("Xy", self._labels, strict=True))
        device = resolve_device(self.device)
        model = model_of(self, sides, constant)(self._built_with, device, draw_seed(self.random_state))
        model.groups, self._given = groups, None
        self._sides, self.device_ = () if model.is_known else sides, str(device)
        return model

    def _prepared(self, columns: tuple[Columns, Columns]) -> tuple[Any, ...]:
        return tuple(side(part) for side, part in zip(self._sides, columns, strict=True)) if self._sides else columns

    def _new_rows(self, X: Any, y: Any, Z: Any = None, min_samples: int = 2) -> tuple[Any, ...]:
        """Return what the models take of new rows, or the columns of all three sides if Z was given to ``fit``."""
        check_is_fitted(self)
        columns = validated(self, X, y, reset=False, min_samples=min_samples)
        return (*columns, *given) if (given := new_columns(self, Z, len(columns[0]))) else self._prepared(columns)

    @answering
    def score(self, X: Any, y: Any, Z: Any = None) -> float:
        """Return the InfoNCE bound of the fitted critic in nats, whatever ``estimator`` is: no search prefers an upper bound.

        Parameters
        ----------
        X, y, Z : array-like
            Joint samples as for ``fit``.

        Returns
        -------
        float
            At most log K, with K = min(n_samples, 256) candidates.
        """
        x, y, *given = self._new_rows(X, y, Z)
        if self._given is not None:
            return float(self._given.of_rows("score", x, y, *given).mean())
        return mean_score(self._models, x, y)

    @answering
    def estimate(self, X: Any, y: Any, Z: Any = None) -> MIResult:
        """Estimate the mutual information from rows that ``fit`` has not seen; on others the value is too large.

        Parameters
        ----------
        X, y, Z : array-like
            Joint samples as for ``fit``.

        Returns
        -------
        MIResult
            Without the control variate, and with no diagnostics but "standard_error".
        """
        x, y, *given = self._new_rows(X, y, Z)
        return measured_anew(self._models, x, y) if self._given is None else self._given.measured_anew(x, y, *given)

    @answering
    def pointwise(self, X: Any, y: Any, Z: Any = None) -> Any:
        r"""Return log p(x, y) / (p(x) p(y)) of each row, in nats, as the fitted critic has it.

        .. math:: f(x, y) - \tfrac12 \Bigl( \log \overline{e^{f(x, y_j)}} + \log \overline{e^{f(x_j, y)}} \Bigr)

        The means are over at most 2,048 rows held out in ``fit``: a critic is known only up to functions of x and of y.

        Parameters
        ----------
        X, y, Z : array-like
            Joint rows as for ``fit``, at least one.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        x, y, *given = self._new_rows(X, y, Z, min_samples=1)
        if self._given is not None:
            return self._given.of_rows("pointwise", x, y, *given)
        return mean_pointwise(self._models, x, y)

    def __getstate__(self) -> dict[str, Any]:
        of_fit = ("_result", "_groups", "_labels", "_called")
        state = {name: v for name, v in super().__getstate__().items() if name not in of_fit}
        if state.get("_given") is not None:
            state["_given"] = state["_given"].state()
        elif "_models" in state:
            kind = {"dependence": self._models[0].dependence, "device": self.device_, "n_folds": len(self._models)}
            folds = {f"{k}/{key}": part for k, model in enumerate(self._models) for key, part in model.state().items()}
            state["_models"], state["_sides"] = kind | folds, state_of_sides(self._sides)
        return sealed(state)

    @in_own_state
    def __setstate__(self, state: dict[str, Any]) -> None:
        state = opened(state, type(self))
        super().__setstate__(state)
        if state.get("_given") is not None:
            self._given = Given.from_state(state["_given"], type(self))
        elif "_models" in state:
            saved = state["_models"]
            device = available_device(saved["device"])
            self.device_, self._sides = str(device), load_sides(state["_sides"])
            self._models = [MODELS[saved["dependence"]](self._built_with, device) for _ in range(saved["n_folds"])]
            for fold, model in enumerate(self._models):
                model.load(part(saved, f"{fold}/"))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required, tags.target_tags.two_d_labels = True, False
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags
