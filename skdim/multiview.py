"""Multi-view InfoMax as a scikit-learn transformer."""

from __future__ import annotations

import math
from itertools import combinations
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.callback import with_callbacks
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d

from skdim._sklearn import Interval, StrOptions, check_feature_names_in
from skdim.base import InfoMaxTransformer
from skdim.bounds import BOUNDS, METRIC_LOSSES, Bound, bound_for_codes
from skdim.exceptions import NotABoundWarning, warn
from skdim.inputs.arrays import StoredArray, as_stored, each, is_stored
from skdim.inputs.augmentation import TwoViews
from skdim.inputs.batches import n_batches
from skdim.inputs.layout import Layout, find_layout
from skdim.inputs.partitions import PARTITIONS, Shift, is_group_list
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.validation import (
    arrays_of_views,
    check_names_of_view,
    checked_as_read,
    is_list_of_arrays,
    validate_samples,
)
from skdim.nn.critics import CRITICS, build_critic, shared_critic
from skdim.nn.encoders import ENCODERS, SMALLEST_SIDE, Conv1d, build_encoder
from skdim.nn.objectives import Objective
from skdim.nn.objectives.multiview import NEGATIVES, LayerEncoder, MultiView, PairInfoMax, ViewEncoders
from skdim.training.distributed import several

__all__ = ["MultiViewInfoMaxTransformer"]


class MultiViewInfoMaxTransformer(InfoMaxTransformer):
    r"""Learn representations by maximising mutual information between views of a sample.

    Each view :math:`X_a`, half of an image or a group of columns, has an encoder :math:`g_a`. Training maximises, over encoders
    and critics,

    .. math:: \frac{1}{|G|} \sum_{(a, b) \in G} I_{EST}(g_a(X_a); g_b(X_b))

    in nats, over the pairs of views in the graph G: for two views Tschannen et al. [1]_, Eq. 2, for more the core view or the
    full graph of contrastive multiview coding [2]_. By data processing it is at most I(X; g(X)).

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    n_components : int, default=64
        Width of each view's code.
    views : str, list of tuples, object or callable, default="auto"
        What the views are.

        - "halves": top and bottom of an image, first and second half of a sequence or of a table's columns.
        - "quadrants" of an image; "channels" of an image or sequence; "luminance_chrominance" of an RGB image.
        - "layers": the middle and the last layer of one encoder of the whole sample.
        - "shift": a sequence (n, L) or (n, C, L) and itself a quarter of its length later; ``Shift(steps=5)`` of
          :mod:`skdim.inputs.partitions` configures it.
        - "augment": two augmentations of the whole sample, as :class:`DeepInfoMaxTransformer` makes them; or an object of
          :mod:`skdim.inputs.augmentation`, or a function as its ``augment`` takes.
        - A list of ``(name, columns)`` or ``(name, columns, shape)``, at least two: groups of columns of a 2-D X. ``columns``
          as ColumnTransformer takes them: int, name, slice, list of ints or names, mask, or a callable of X. ``shape`` is
          (H, W) or (C, H, W) for an image, (L,) for a sequence, also (C, L) where the view's encoder is "conv1d"; without it
          the columns are a table. Groups do not overlap; columns in none are left out.
        - "auto": "halves"; where X is a list of arrays, one view for each, named "view0" and so on.
    graph : {"full", "core"}, default="full"
        Which pairs of views are maximised: all, or those with the first view. With "full" samples may lack views that
        ``views`` names, whose values are then all NaN; the pairs that are there count.
    shared_encoder : bool, default=False
        Whether one encoder serves all views, which then must have one shape. With ``critic`` "inner", "cosine" or "separable"
        scores are then symmetric.
    estimator : {"infonce", "jsd", "dv", "nwj", "alpha", "triplet", "npair", "npair_ovo"} or Bound, default="infonce"
        The MI estimator, by name or configured, such as ``Alpha(alpha=0.1)``; see :mod:`skdim.bounds`. The last three are
        losses of metric learning and no bounds: their history reports the InfoNCE bound of the scores.
    critic : {"inner", "cosine", "bilinear", "separable", "concat"}, object or callable, default="separable"
        The critic between the codes of two views, one for each pair: a name, a configured object such as
        ``Cosine(temperature=0.07)``, or a class or function ``(x_features, y_features) -> nn.Module``; see
        :mod:`skdim.nn.critics`.
    target_mi : float or None, default=None
        Target t in nats: the loss is then :math:`|I_{EST} - t|` ([1]_, Section 3.4). It must lie below the estimator's cap.
    negatives : {"batch", "same_group", "semi_hard"}, default="batch"
        The negatives of a joint sample: the batch; the samples of its group, with ``groups`` in ``fit``; or, for each anchor,
        the highest-scored one below it, of FaceNet [3]_. The latter two void the bound: ``kind_`` is then "estimate", and
        ``fit`` warns.
    encoder : {"auto", "conv", "conv1d", "resnet", "mlp"}, object, callable or list of them, default="auto"
        The encoder of every view, or a list with one for each: a name, a configured object, or a class or function
        ``(input_shape, n_components) -> nn.Module``; see :mod:`skdim.nn.encoders`. "auto" is "conv" for images and "conv1d" for
        sequences of 8 a side and more, else "mlp".
    hidden_layer_sizes : "auto" or tuple of int, default="auto"
        Fully connected layers of the named encoders: "auto" is (256, 256) for "mlp" and none for the others.
    input_shape : tuple of int, default=None
        Shape of one sample where X is flat and its views are made by name: (H, W), (C, H, W), or (C, L) of sequences.
    output : str, default="concat"
        What ``transform`` returns, read at transform time: the views' codes beside each other ("concat"), their mean ("mean"),
        or the code of the view of that name.
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
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        What the encoder computes in while it trains; critics and bounds, and all that comes after training, are in float32.
        "auto" is "bfloat16" on CUDA devices that have it, and "float32" elsewhere. CPUs with such instructions gain too:
        measure.
    compile : bool, default=False
        Whether torch.compile translates the encoder for training, which takes a minute at first, and on CPUs a C++ compiler.
    random_state : int, RandomState instance or None, default=None
        An int gives the same bits again on one CPU, at the same number of threads and the same versions.
    verbose : int, default=0
        Above 0, a line per epoch is printed.

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoders, a copy in eval mode: a list of standardised tensors, one for each view, -> a list of
        :class:`~skdim.nn.encoders.Code`.
    views_ : list of (str, ndarray of int, tuple of int)
        Name of each view, its columns in the flattened sample, and the shape that its encoder takes.
    lower_bound_ : float
        Mean over the pairs of the graph of what the estimator reports, in nats: over the last epoch's training batches, or over
        the held-out rows in the best epoch. -inf without training. A lower bound where ``kind_`` says so.
    kind_ : {"lower", "estimate"}
        What ``lower_bound_`` and ``history_`` hold, in expectation over fresh samples: a lower bound, or an estimate that may
        err to either side ("dv" on a batch, and whatever the negatives void).
    loss_curve_ : list of float
        The training objective's loss after each epoch.
    history_ : list of dict
        Per epoch: "epoch", "loss", the bound of each pair in nats, named such as "top-bottom", where samples had both, and
        held-out values with prefix ``"valid_"``.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Number of values of a sample.
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
    ``score`` is the InfoNCE lower bound in nats at K = min(n_samples, 256), in eval mode, the mean over all pairs of views and
    both choices of the anchor, whatever ``graph``, ``estimator`` and ``negatives``: pairs outside the graph have critics too,
    which are trained on the codes and do not steer them. The views of "augment" come from a fixed evaluation seed. More
    information is not better features [1]_: to choose parameters, search over a ``Pipeline`` with a classifier.

    Images have a mean and scale for each channel, tables for each column. A row that lacks a view gives NaN in that view's
    columns of ``output="concat"``, and the mean of the others with "mean". With a view's name as output, X may have that view's
    columns alone.

    scikit-learn splits arrays, not lists of them: for searches and cross-validation put the views beside each other in one 2-D
    array and name groups of its columns.

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
    >>> untrained = MultiViewInfoMaxTransformer(n_components=16, max_iter=0, random_state=0).fit(X)
    >>> bool(halves.score(X) > untrained.score(X) + 0.5)
    True
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
        self.random_state = random_state
        self.verbose = verbose

    _parameter_constraints = {
        **InfoMaxTransformer._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
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
    _factories = ("encoder", "critic", "views", "optimizer")

    # ------------------------------------------------------------------------------------------------------------ training
    @with_callbacks
    def fit(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Learn from ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of arrays
            Training samples, at least two; see the class for views. A list has one array for each view.
        y : Ignored
            Accepted for scikit-learn's API.
        groups : array-like of shape (n_samples,), default=None
            The group of each sample, with ``negatives="same_group"`` only.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, ``X`` or ``groups`` is invalid. The estimator is left unchanged.
        DivergenceError
            If training leaves the range of float32. The estimator is left unchanged.

        Warns
        -----
        NotABoundWarning
            If ``negatives`` void the bound.
        """
        return self._fit(X, y, groups=groups)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Train for one epoch on ``X``, continuing from the present weights, at a constant learning rate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of arrays
            Training samples, at least two. The first call learns the standardisation and builds the network.
        y : Ignored
            Accepted for scikit-learn's API.
        groups : array-like of shape (n_samples,), default=None
            The group of each sample, with ``negatives="same_group"`` only.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, ``X`` or ``groups`` is invalid. The estimator is left unchanged.
        DivergenceError
            If training leaves the range of float32. The estimator is left unchanged.

        Warns
        -----
        NotABoundWarning
            If ``negatives`` void the bound.
        """
        return self._fit(X, y, partial=True, groups=groups)

    def _result(self, objective: Any, best: dict[str, float]) -> dict[str, Any]:
        bounds = [best[name] for name in objective.bounds if name in best]  # a pair may be in no sample of an epoch
        kind = self._bound().kind if self.negatives == "batch" else "estimate"
        return {"lower_bound_": float(np.mean(bounds)) if bounds else -math.inf, "kind_": kind}

    # ---------------------------------------------------------------------------------------------------------- validation
    def _check_parameters(self) -> None:
        super()._check_parameters()
        bound = self._bound()
        if isinstance(self.views, (list, tuple)) and not is_group_list(self.views):
            raise ValueError(
                f"A list of views holds (name, columns) or (name, columns, shape) with names of type str, got {self.views!r}."
            )
        if isinstance(self.views, (list, tuple)) and self.input_shape is not None:
            raise ValueError(
                f"input_shape={self.input_shape!r} has no effect on groups of columns: give the shape of each, as "
                "(name, columns, shape)."
            )
        self._check_encoders()
        if self.target_mi is not None:
            if not bound.measures_information:
                raise ValueError(f"target_mi={self.target_mi} needs a bound; estimator={self.estimator!r} is none.")
            self._check_target(self.batch_size)
        if self.negatives != "batch":
            warn(
                f"negatives={self.negatives!r} are no independent draws of the marginal: the values of lower_bound_ and "
                "history_ are no bounds on the mutual information of the views. score takes the batch.",
                NotABoundWarning,
            )

    def _check_encoders(self) -> None:
        specs = self.encoder if isinstance(self.encoder, (list, tuple)) else [self.encoder]
        for spec in specs:
            if not callable(spec) and (not isinstance(spec, str) or spec not in {"auto", *ENCODERS}):
                raise ValueError(f"Unknown encoder {spec!r}. Allowed values are: {sorted({'auto', *ENCODERS})}.")
        if not isinstance(self.hidden_layer_sizes, str) and not any(isinstance(spec, str) for spec in specs):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} configures named encoders and would have no effect on "
                f"encoder={self.encoder!r}."
            )
        if isinstance(self.encoder, (list, tuple)) and (self.shared_encoder or self.views == "layers"):
            option = "shared_encoder=True" if self.shared_encoder else "views='layers'"
            raise ValueError(f"{option} has one encoder, got a list of {len(self.encoder)}.")
        if self.shared_encoder and self.views == "layers":
            raise ValueError("views='layers' has one encoder in any case; shared_encoder=True would have no effect.")

    def _check_target(self, k: int) -> None:
        cap = self._bound().cap(2 if self.negatives == "semi_hard" else k)
        if self.target_mi is not None and self.target_mi >= cap:
            raise ValueError(
                f"target_mi={self.target_mi} cannot be reached: estimator={self.estimator!r} is at most {cap:.3f} nats "
                f"with negatives={self.negatives!r} in batches of {k} samples. Lower the target or raise batch_size."
            )

    def _check_rows(self, samples: Samples, rows: Any) -> None:
        layout, groups = samples.standardize.layout, samples.extras.get("groups")
        assert layout is not None
        self._check_output(layout)
        if (groups is None) == (self.negatives == "same_group"):
            needs = "needs the groups of the samples: pass groups to fit" if groups is None else "has no use for groups"
            raise ValueError(f"negatives={self.negatives!r} {needs}.")
        smallest = len(rows) // n_batches(len(rows), self.batch_size)
        if groups is not None:
            largest = int(np.bincount(groups[rows]).max())
            if largest < 2:
                raise ValueError("negatives='same_group' needs groups of two samples or more, got none.")
            smallest = min(smallest, largest)
        if self.target_mi is not None:
            self._check_target(smallest)
        self._check_missing_views(layout, samples.extras.get("present"), rows)

    def _check_missing_views(self, layout: Layout, present: Any, rows: Any) -> None:
        if present is None:
            return
        if several():
            raise ValueError(
                f"{int((~present.all(1)).sum())} samples lack a view, and several processes train together: the share of a "
                "batch that each encodes may then lack the view in all samples. Train in one process."
            )
        for a, b in combinations(range(len(layout.views)), 2):
            n_both = int(present[rows][:, [a, b]].all(1).sum())
            if n_both < 2:
                names = layout.names[a], layout.names[b]
                raise ValueError(f"At least two samples must have both views {names}, got {n_both}.")

    def _samples(
        self,
        X: Any,
        device: torch.device,
        *,
        reset: bool,
        min_samples: int = 1,
        groups: Any = None,
        needed: int | None = None,
    ) -> Samples:
        """Return X standardised; ``needed`` is the one view that samples must have, None for what the graph asks for."""
        X = as_stored(X) if is_stored(X) else X
        column_groups = self._column_groups(X)
        if is_list_of_arrays(X) and (self.views == "auto" or column_groups is not None):
            X, column_groups = arrays_of_views(X, self, min_samples)
            if not reset:
                self._check_arrays(column_groups)
        given, finite = X, "allow-nan"  # whole views may be missing; the layout refuses every other NaN
        if column_groups is None:
            X = validate_samples(self, X, reset=reset, min_samples=min_samples, finite=finite)
            self._set_shape(X, reset)
            layout = self._find_layout(given, column_groups) if reset else self._layout
        else:
            if reset:
                self._set_shape(given if hasattr(given, "shape") else np.asarray(given), reset)
            layout = self._find_layout(given, column_groups) if reset else self._layout
            X = validate_samples(self, X, reset=reset, min_samples=min_samples, finite=finite, columns=layout.used)
        extras = {} if groups is None else {"groups": np.unique(column_or_1d(groups), return_inverse=True)[1]}
        check_consistent_length(X, *extras.values())
        present = layout.presence(X)
        complete = present is None or (needed is not None and present[:, needed].all())
        if present is not None:
            extras["present"] = present
        if not complete and not layout.may_lack:
            raise ValueError(
                f"Input X contains NaN: {(~present.all(1)).sum()} sample(s) lack a view. That is allowed with graph='full' and "
                "named views, a list of column groups or of arrays, 'halves', 'quadrants' or 'channels'; not with views='auto' "
                "of one array."
            )
        standardize = Standardizer.learn_views(X, layout) if reset else self._learner.standardize
        return Samples(X, standardize, device, extras)

    def _column_groups(self, X: Any) -> list[Any] | None:
        """Return the groups of columns that the parameter ``views`` names, and refuse X where it has no such columns."""
        if not isinstance(self.views, (list, tuple)):
            return None
        if is_list_of_arrays(X):
            raise ValueError("X is a list of arrays, which are the views; leave views='auto' with it.")
        if getattr(X, "ndim", 2) > 2:
            raise ValueError(f"views={self.views!r} are groups of columns of a 2-D X, got X of shape {X.shape}.")
        return list(self.views)

    def _find_layout(self, given: Any, groups: list[Any] | None) -> Layout:
        return find_layout(self.views, given, self.input_shape_, self._sequences(groups), groups, self.graph)

    @property
    def _layout(self) -> Layout:
        layout = self._learner.standardize.layout
        assert layout is not None
        return layout

    def _check_arrays(self, groups: list[Any]) -> None:
        """Hold a list of arrays against the fitted one."""
        widths = [group[1].stop - group[1].start for group in groups]
        fitted = [len(columns) for _, columns, _ in self._layout.views]
        if widths != fitted:
            raise ValueError(f"The arrays of X have {widths} values a sample, but had {fitted} in fit.")

    def _sequences(self, groups: list[Any] | None) -> list[bool]:
        """Return which views are sequences because their encoder is one of sequences."""
        n_views = len(groups) if groups is not None else 1
        specs = list(self.encoder) if isinstance(self.encoder, (list, tuple)) else [self.encoder] * n_views
        if groups is not None and len(specs) != n_views:
            raise ValueError(f"encoder is a list of {len(specs)} for {n_views} views.")
        return [spec == "conv1d" or isinstance(spec, Conv1d) for spec in specs]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        may_lack = isinstance(self.views, (list, tuple)) or self.views in ("halves", "quadrants", "channels")
        tags.input_tags.allow_nan = may_lack and self.graph == "full"
        return tags

    @property
    def views_(self) -> list[Any]:
        """Name, columns and shape of each view."""
        check_is_fitted(self)
        layout = self._layout
        used = np.arange(self.n_features_in_) if layout.used is None else layout.used
        return [(name, used[columns], shape) for name, columns, shape in layout.views]

    # ----------------------------------------------------------------------------------------------------- what is trained
    def _bound(self) -> Bound:
        return bound_for_codes(self.estimator, BOUNDS | METRIC_LOSSES)

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (math.prod(input_shape),)

    def _encoder_factory(self, spec: Any, shape: tuple[int, ...]) -> Any:
        if callable(spec):
            return spec
        if spec == "auto":
            is_map = len(shape) > 1 and min(shape[1:]) >= SMALLEST_SIDE
            spec = {2: "conv1d", 3: "conv"}[len(shape)] if is_map else "mlp"
        sizes = self.hidden_layer_sizes
        return ENCODERS[spec](**({} if isinstance(sizes, str) else {"hidden_layer_sizes": tuple(sizes)}))

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        layout, bound, width = standardize.layout, self._bound(), self.n_components
        assert layout is not None
        two_views = None
        if layout.kind == "augment":
            two_views = TwoViews("auto" if isinstance(self.views, str) else self.views, layout.shapes[0])
        factory = CRITICS[self.critic]() if isinstance(self.critic, str) else self.critic
        if self.shared_encoder:
            factory = shared_critic(factory)
        pairs = {}
        for pair in combinations(range(len(layout.views)), 2):
            critic = build_critic(factory, width, width, bound.offset)
            in_graph = self.graph == "full" or pair[0] == 0
            # What is measured alone has no target, and the batch as negatives, as score has.
            options = (self.negatives, self.target_mi) if in_graph else ("batch", None)
            pairs[pair] = PairInfoMax(bound, critic, *options)
        return MultiView(self._build_encoders(layout), pairs, layout, self.graph, two_views)

    def _build_encoders(self, layout: Layout) -> ViewEncoders:
        n_views = len(layout.views)
        specs = list(self.encoder) if isinstance(self.encoder, (list, tuple)) else [self.encoder] * n_views
        if len(specs) != n_views:
            raise ValueError(f"encoder is a list of {len(specs)} for the {n_views} views {layout.names}.")
        shapes = [shape for _, _, shape in layout.views]
        if self.shared_encoder and len(set(shapes)) > 1:
            described = dict(zip(layout.names, shapes, strict=True))
            raise ValueError(f"shared_encoder=True needs views of one shape, got {described}.")
        is_one = self.shared_encoder or layout.kind == "layers"
        encoders = [
            build_encoder(self._encoder_factory(spec, shape), shape, self.n_components)
            for spec, shape in list(zip(specs, shapes, strict=True))[: 1 if is_one else n_views]
        ]
        if layout.kind == "layers":
            return LayerEncoder(encoders[0], self.n_components)
        return ViewEncoders(encoders, n_views)

    # ----------------------------------------------------------------------------------------------------------- transform
    def _output(self) -> str:
        self._check_output(self._layout)
        return self.output

    def _check_output(self, layout: Layout) -> None:
        allowed = ["concat", "mean", *layout.names]
        if self.output not in allowed:
            raise ValueError(f"Unknown output {self.output!r}. Allowed values are: {allowed}.")

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the features: the view's, or "mean", with a number.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Held against the fitted names of columns, and otherwise ignored.

        Returns
        -------
        names : ndarray of str
            Such as "top_0".

        Raises
        ------
        ValueError
            If ``input_features`` are not those of ``fit``, or ``output`` is unknown.
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features, generate_names=False)
        names = ["mean"] if self._output() == "mean" else self._learner.objective.output_views(self.output)
        width = self._learner.objective.n_components
        return np.array([f"{name}_{i}" for name in names for i in range(width)], dtype=object)

    def transform(self, X: Any) -> Any:
        """Encode samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...), or list of arrays
            Samples like the fitted ones. With a view's name as ``output``, they may have that view's columns alone.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features_out)
            As the parameter ``output`` says. A row depends on its sample alone. NaN stands for the code of a missing view.

        Raises
        ------
        ValueError, TypeError
            If ``X`` is not numeric and like the fitted samples, or ``output`` is unknown.
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        samples = self._samples_to_encode(X)
        features, present = self._encode(samples), samples.extras.get("present")
        if present is not None and self.output != "mean":
            objective, names = self._learner.objective, self._layout.names
            used = present[:, [names.index(name) for name in objective.output_views(self.output)]]
            features[~np.repeat(used, objective.n_components, axis=1)] = np.nan
        return features

    def _samples_to_encode(self, X: Any) -> Samples:
        layout, learner, output = self._layout, self._learner, self._output()
        if output not in layout.names or layout.kind in ("layers", "augment", "luminance_chrominance"):
            return self._samples(X, learner.device, reset=False)
        X = as_stored(X) if is_stored(X) else X
        number = layout.names.index(output)
        _, columns, shape = layout.views[number]
        given = np.shape(X)[1:] if not is_list_of_arrays(X) else None
        # The view alone: flat, or in its shape, an image also without its one channel.
        if given not in ((len(columns),), shape, shape[1:] if shape[0] == 1 else shape):
            return self._samples(X, learner.device, reset=False, needed=number)
        check_names_of_view(X, getattr(self, "feature_names_in_", None), self.views_[number])
        if not is_stored(X):
            X = check_array(X, dtype="numeric", allow_nd=True, estimator=self, input_name="X")
        width = len(learner.standardize.mean)
        lifted = checked_as_read(self, as_stored(X)) if is_stored(X) else StoredArray(X)
        return Samples(
            each(lifted, lambda block: layout.lift(block, number, width)), learner.standardize, learner.device
        )
