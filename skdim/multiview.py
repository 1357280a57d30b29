"""Multi-view InfoMax as a scikit-learn transformer."""

from __future__ import annotations

import dataclasses
import functools
import math
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdim._docs import documented
from skdim._sklearn import Interval, StrOptions, check_feature_names_in
from skdim.base import InfoMaxTransformer
from skdim.bounds import BOUNDS, METRIC_LOSSES, Bound, bound_for_codes
from skdim.exceptions import NotABoundWarning, warn
from skdim.inputs.augmentation import TwoViews
from skdim.inputs.batches import n_batches
from skdim.inputs.partitions import PARTITIONS, Shift
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.tables import check_lengths, numbered
from skdim.inputs.views import check_groups, check_pairs, check_views, rows_from_one_view, samples_of_views
from skdim.nn.critics import CRITICS, choose_critic, shared_critic
from skdim.nn.encoders import ENCODERS
from skdim.nn.objectives import Objective
from skdim.nn.objectives.multiview import NEGATIVES, MultiView, build_pairs, check_target
from skdim.nn.views import build_view_encoders, check_view_encoders, sequences_among
from skdim.training.ambient import answering
from skdim.training.distributed import several
from skdim.training.inference import encode


@documented
class MultiViewInfoMaxTransformer(InfoMaxTransformer):
    r"""Learn representations by maximising mutual information between views of a sample.

    Views :math:`X_a` are parts of a sample, such as the halves of an image or groups of columns. Each has an encoder
    :math:`g_a`. Training maximises over the encoders and the critics, in nats,

    .. math:: \frac{1}{|G|} \sum_{(a, b) \in G} I_{EST}(g_a(X_a); g_b(X_b))

    over the pairs of views in the graph G: Eq. 2 of Tschannen et al. [1]_ for two views, contrastive multiview coding [2]_ for
    more. By data processing, the mutual information of the codes is at most I(X; g(X)).

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    n_components : int, default=64
        Number of components of the code of each view.
    views : str, list of tuples, object or callable, default="auto"
        What the views are.

        - "halves": top and bottom of an image, first and second half of a sequence or of the columns of a table.
        - "quadrants" of an image; "channels" of an image or sequence; "luminance_chrominance" of an RGB image.
        - "layers": the middle and the last layer of one encoder of the whole sample.
        - "shift": a sequence (n, L) or (n, C, L), and the same sequence a quarter of its length later. ``Shift(steps=5)`` of
          :mod:`skdim.inputs` configures it.
        - "augment": two augmentations of the whole sample, or what ``augment`` of :class:`DeepInfoMaxTransformer` takes.
        - A list of at least two ``(name, columns)`` or ``(name, columns, shape)``: disjoint groups of columns of a 2-D X, as in
          ColumnTransformer: int, name, slice, list of ints or names, mask, or a callable of X. ``shape`` is (H, W) or
          (C, H, W) for an image, (L,) for a sequence, or (C, L) with the encoder "conv1d"; without it the view is a table.
        - "auto": "halves"; if X is a list of arrays, one view for each, named "view0" and so on.
    graph : {"full", "core"}, default="full"
        The pairs of views: all, or those with the first view. With "full" a sample may lack views that ``views`` names, whose
        values are then all NaN; its other pairs count.
    shared_encoder : bool, default=False
        Whether one encoder serves all views, which then must have the same shape. Scores of the critics "inner", "cosine" and
        "separable" are then symmetric.
    estimator : {"infonce", "jsd", "dv", "nwj", "alpha", "triplet", "npair", "npair_ovo"} or Bound, default="infonce"
        The MI estimator, as a name or an object such as ``Alpha(alpha=0.1)``; see :mod:`skdim.bounds`. The last three are
        losses of metric learning and no bounds; their history reports the InfoNCE bound.
    critic : {"inner", "cosine", "bilinear", "separable", "concat"}, object or callable, default="separable"
        The critic of each pair of codes: a name, an object such as ``Cosine(temperature=0.07)``, or a class or function
        ``(x_features, y_features) -> nn.Module``; see :mod:`skdim.nn.critics`.
    target_mi : float or None, default=None
        Target t in nats, below the estimator's cap: the loss is then :math:`|I_{EST} - t|` (Section 3.4 of [1]_).
    negatives : {"batch", "same_group", "semi_hard"}, default="batch"
        The negatives of a joint sample: the other samples of the batch; those of its group, with ``groups`` in ``fit``; or the
        one with the highest score below its own [3]_. The last two give an estimate and no bound, and ``fit`` warns.
    encoder : {"auto", "conv", "conv1d", "resnet", "mlp"}, object, callable or list of them, default="auto"
        The encoder of all views, or a list with one for each: a name, an object, or a class or function
        ``(input_shape, n_components) -> nn.Module``; see :mod:`skdim.nn.encoders`. "auto" is "conv" for images and "conv1d" for
        sequences with sides of at least 8, else "mlp".
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Sizes of the fully connected layers of the named encoders. "auto" is (256, 256) for "mlp" and no layer for the others.
    input_shape : tuple of int, default=None
        Shape of one sample if X is flat and the views are given by name: (H, W), (C, H, W), or (C, L) of sequences.
    output : str, default="concat"
        What ``transform`` returns, read when it is called: the codes of all views side by side ("concat"), their mean ("mean"),
        or the code of the view with this name.
    batch_size : int, default=128
        Largest batch, at least 2. The other samples of a batch are the negatives.
    %(training)s

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoders, a copy in eval mode: a list of standardised tensors, one for each view, -> a list of
        :class:`~skdim.nn.encoders.Code`.
    views_ : list of (str, ndarray of int, tuple of int)
        Name of each view, its columns in the flattened sample, and the shape that its encoder takes.
    lower_bound_ : float
        The estimator's value in nats, averaged over the pairs of views: the mean over the batches of the last epoch, or over
        the held-out rows in the best epoch; -inf without training.
    kind_ : {"lower", "estimate"}
        Whether ``lower_bound_`` is a lower bound in expectation, or an estimate that may err to either side.
    history_ : list of dict
        One per epoch: "epoch", "loss", the bound of each pair in nats, such as "top-bottom", if samples had both views, and
        held-out values with prefix ``"valid_"``.
    %(attributes)s

    %(raises)s

    Notes
    -----
    ``score`` is the InfoNCE lower bound in nats at K = min(n_samples, 256), averaged over all pairs of views and both choices
    of the anchor, for any ``graph``, ``estimator`` and ``negatives``. Critics of pairs outside the graph do not change the
    codes. More information is not better features [1]_: choose parameters by a search over a ``Pipeline`` with a classifier.

    If a row lacks a view, its columns of ``output="concat"`` are NaN, and "mean" averages over the others. Searches and
    cross-validation split arrays and not lists of them: put the views side by side in one 2-D array, and name groups of its
    columns.

    References
    ----------
    .. [1] Tschannen et al., "On mutual information maximization for representation learning", ICLR 2020.
    .. [2] Tian, Krishnan & Isola, "Contrastive multiview coding", ECCV 2020.
    .. [3] Schroff, Kalenichenko & Philbin, "FaceNet: a unified embedding for face recognition and clustering", CVPR 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdim import MultiViewInfoMaxTransformer
    >>> X = load_digits().images
    >>> halves = MultiViewInfoMaxTransformer(n_components=16, max_iter=3, random_state=0).fit(X)
    >>> halves.transform(X).shape
    (1797, 32)
    >>> halves.get_feature_names_out()[[0, 16]].tolist()
    ['top_0', 'bottom_0']
    >>> round(halves.score(X), 1)                                             # of log 256 = 5.5 nats at most
    1.9
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        views: Any = "auto",
        graph: str = "full",
        shared_encoder: bool = False,
        estimator: str | Bound = "infonce",
        critic: Any = "separable",
        target_mi: float | None = None,
        negatives: str = "batch",
        encoder: Any = "auto",
        hidden_layer_sizes: Any = "auto",
        input_shape: tuple[int, ...] | None = None,
        output: str = "concat",
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
        self.views = views
        self.graph = graph
        self.shared_encoder = shared_encoder
        self.estimator = estimator
        self.critic = critic
        self.target_mi = target_mi
        self.negatives = negatives
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.output = output
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
        "views": [StrOptions({"auto", *PARTITIONS}), list, tuple, Shift, callable],
        "graph": [StrOptions({"core", "full"})],
        "shared_encoder": ["boolean"],
        "estimator": [StrOptions({*BOUNDS, *METRIC_LOSSES}), Bound],
        "critic": [StrOptions(set(CRITICS)), callable],
        "target_mi": [Interval(Real, 0, None, closed="neither"), None],
        "negatives": [StrOptions(set(NEGATIVES))],
        "encoder": [StrOptions({"auto", *ENCODERS}), callable, list, tuple],
        "hidden_layer_sizes": [StrOptions({"auto"}), tuple, list],
        "output": [str],
    }
    _training_parameters = InfoMaxTransformer._training_parameters | {"output"}

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Learn from ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of arrays
            Training samples, at least two; see the class for views. A list has one array for each view.
        y : Ignored
        groups : array-like of shape (n_samples,), default=None
            The group of each sample, with ``negatives="same_group"`` only.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            If a parameter, ``X`` or ``groups`` is invalid, or training leaves the range of float32. The estimator is left
            unchanged.
        """
        return self._fit(X, y, groups=groups)

    def partial_fit(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Train for one epoch at a constant learning rate, continuing from the present weights, on what :meth:`fit` takes.

        The first call learns the standardisation and builds the network.
        """
        return self._fit(X, y, partial=True, groups=groups)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_views(self.views, self.input_shape)
        check_view_encoders(self.encoder, self.hidden_layer_sizes, self.shared_encoder, self.views == "layers")
        check_target(self._bound(), self.target_mi, self.batch_size, self.negatives)
        if self.negatives != "batch":
            why = "are not drawn from the marginal: lower_bound_ and history_ hold no bounds. score takes the batch."
            warn(f"negatives={self.negatives!r} {why}", NotABoundWarning)

    def _bound(self) -> Bound:
        return bound_for_codes(self.estimator, BOUNDS | METRIC_LOSSES)

    def _samples(self, X: Any, device: torch.device, *, reset: bool, min_samples: int = 1, **extras: Any) -> Samples:
        sequences = functools.partial(sequences_among, self.encoder)
        fitted = None if reset else self._learner.standardize
        samples = samples_of_views(self, X, fitted, device, sequences, min_samples, extras.get("needed"))
        if extras.get("groups") is None:
            return samples
        groups = numbered(extras["groups"], "groups")[1]
        check_lengths(X=len(samples), groups=groups)
        return dataclasses.replace(samples, extras={**samples.extras, "groups": groups})

    def _check_rows(self, samples: Samples, rows: Any) -> None:
        layout, smallest = samples.standardize.layout, len(rows) // n_batches(len(rows), self.batch_size)
        assert layout is not None
        layout.check_output(self.output)
        largest_group = check_groups(samples.extras.get("groups"), self.negatives, rows)
        check_target(self._bound(), self.target_mi, min(smallest, largest_group or smallest), self.negatives)
        check_pairs(layout, samples.extras.get("present"), rows, several())

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        layout = standardize.layout
        assert layout is not None
        two_views = None
        if layout.kind == "augment":
            two_views = TwoViews("auto" if isinstance(self.views, str) else self.views, layout.shapes[0])
        critic = choose_critic(self.critic)
        critic = shared_critic(critic) if self.shared_encoder else critic
        options = self.graph, self.negatives, None if self.target_mi is None else float(self.target_mi)
        pairs = build_pairs(self._bound(), critic, self.n_components, len(layout.views), *options)
        encoder = build_view_encoders(
            self.encoder, self.hidden_layer_sizes, layout, self.n_components, self.shared_encoder
        )
        return MultiView(encoder, pairs, layout, self.graph, two_views)

    def _result(self, objective: Any, best: dict[str, float]) -> dict[str, Any]:
        bounds = [best[name] for name in objective.bounds if name in best]  # a pair may be in no sample of an epoch
        kind = self._bound().kind if self.negatives == "batch" else "estimate"
        return {"lower_bound_": float(np.mean(bounds)) if bounds else -math.inf, "kind_": kind}

    @property
    def _objective(self) -> MultiView:
        objective = self._learner.objective
        assert isinstance(objective, MultiView)
        return objective

    @property
    def views_(self) -> list[Any]:
        """Name, columns and shape of each view."""
        check_is_fitted(self)
        layout = self._objective.layout
        used = np.arange(self.n_features_in_) if layout.used is None else layout.used
        return [(name, used[columns], shape) for name, columns, shape in layout.views]

    def _output(self) -> str:
        return self._objective.layout.check_output(self.output)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the features, such as "top_0": the name of the view, or "mean", with a number.

        ``input_features`` are checked against the names of columns in ``fit``, and otherwise ignored.
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features, generate_names=False)
        objective, output = self._objective, self._output()
        names = ["mean"] if output == "mean" else objective.output_views(output)
        return np.array([f"{name}_{i}" for name in names for i in range(objective.n_components)], dtype=object)

    @answering
    def transform(self, X: Any) -> Any:
        """Encode samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of arrays
            Samples like the fitted ones. If ``output`` names a view, they may have its columns alone.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features_out)
            As ``output`` says. A row depends on its sample alone. NaN stands for the code of a missing view.

        Raises
        ------
        ValueError, TypeError
            If ``X`` is not numeric and like the fitted samples, or ``output`` is unknown.
        """
        check_is_fitted(self)
        objective, layout, output = self._objective, self._objective.layout, self._output()
        number, rows = None, None
        if output in layout.names and layout.kind not in ("layers", "augment", "luminance_chrominance"):
            number = layout.names.index(output)
            fitted_names = getattr(self, "feature_names_in_", None)
            names = None if fitted_names is None else fitted_names[self.views_[number][1]]
            rows = rows_from_one_view(X, layout, number, self, names)
        if rows is not None:
            return encode(objective, Samples(rows, self._learner.standardize, self._learner.device), output)
        return encode(objective, self._samples(X, self._learner.device, reset=False, needed=number), output)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        may_lack = isinstance(self.views, (list, tuple)) or self.views in ("halves", "quadrants", "channels")
        tags.input_tags.allow_nan = may_lack and self.graph == "full"
        return tags
