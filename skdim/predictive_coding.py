"""Contrastive predictive coding as a scikit-learn transformer."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdim._docs import documented
from skdim._params import choose
from skdim._sklearn import Interval, StrOptions
from skdim.base import InfoMaxTransformer
from skdim.bounds import BOUNDS, Bound, bound_for_codes
from skdim.exceptions import OverlapWarning, warn
from skdim.inputs.arrays import Stored
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.sequences import check_frames, cut_to_lengths, padded, warn_of_padding
from skdim.inputs.validation import as_given, validate_samples, validate_shape
from skdim.nn.causal import CONTEXTS, GRU, PATCH_ENCODERS, MaskedConv, PatchGrid, StridedConv, build_causal_encoder
from skdim.nn.objectives import Objective
from skdim.nn.objectives.predictive import NEGATIVES, Predictive, last_step
from skdim.training.ambient import answering
from skdim.training.inference import encode


@documented
class CPCTransformer(InfoMaxTransformer):
    r"""Learn representations of sequences, or of images, by predicting what comes later.

    An encoder maps the frames of a sequence to latents :math:`z_t = g_{enc}(x_t)`, and a causal network maps these to contexts
    :math:`c_t = g_{ar}(z_{\le t})`. Training maximises the mutual information between a context and later latents,

    .. math::

        \frac1{K - k_1 + 1} \sum_{k=k_1}^{K} I(z_{t+k}; c_t), \qquad f_k(x_{t+k}, c_t) = z_{t+k}^\top W_k c_t

    where each I is a bound in nats with the critic :math:`f_k`, a bilinear predictor for each step k [1]_ (Eqs. 3 and 4). An
    image is cut into a grid of overlapping patches, and rows of patches predict the rows below.

    Read more in the :doc:`user guide </user_guide>`.

    Parameters
    ----------
    n_components : int, default=64
        Number of components of the latents z_t and of the contexts c_t.
    n_steps : int, default=12
        Last step K ahead, in frames or rows of patches; ``n_steps_`` is what the length allows.
    first_step : int or "auto", default="auto"
        First step ahead. "auto" is the first whose frame or patch shares no sample with its context: 1, or 2 with patches that
        overlap by half. Below it copying counts as prediction, and OverlapWarning is given.
    context : {"gru", "conv"} or object, default="gru"
        The causal network g_ar: a recurrent network, or convolutions over the past; as a name or an object such as
        ``GRU(n_layers=2)``, see :mod:`skdim.nn.causal`. With patches, "gru" runs down each column alone, and "conv" also sees
        the neighbouring columns.
    negatives : {"batch", "sequence", "all"}, default="batch"
        The negatives of a later latent: latents at the same offset of the other sequences in the batch; at other offsets of the
        same sequence; or both, and other offsets of the other sequences.
    n_anchors : int, default=4
        Number of offsets t that are drawn per sequence and step k.
    estimator : {"infonce", "jsd", "dv", "nwj", "alpha"} or Bound, default="infonce"
        The MI estimator, as a name or an object such as ``Alpha(alpha=0.1)``; see :mod:`skdim.bounds`.
    encoder : {"auto", "conv", "mlp"}, object or callable, default="auto"
        The encoder g_enc. For sequences: "auto" or a :class:`~skdim.nn.causal.StridedConv`. For patches: "conv", "mlp", an
        object such as ``Conv(norm="group")``, or a class or function ``(patch_shape, n_components) -> nn.Module``, without
        batch normalisation; "auto" is "mlp" for patches with a side below 16, else "conv".
    patch_size : int or tuple of int, default=None
        Side, or height and width, of the patches of images. With None X holds sequences.
    patch_overlap : int, tuple of int or "auto", default="auto"
        Rows and columns that neighbouring patches share. "auto" is half of ``patch_size``.
    input_shape : tuple of int, default=None
        Shape of one sample if X is flat: (C, L), or with ``patch_size`` (H, W) or (C, H, W). With None a 2-D X holds sequences
        of one channel.
    features : {"last", "mean", "sequence"}, default="last"
        What ``transform`` returns, read when it is called: the context at the last frame (with patches the mean over the last
        row), the mean of all contexts, or all contexts, which are 0 beyond the length of a sequence.
    batch_size : int, default=32
        Largest batch, at least 2. The other sequences of a batch are the negatives.
    %(training)s

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoder, a copy in eval mode: standardised tensors -> :class:`~skdim.nn.causal.Contexts`.
    n_steps_ : int
        Last step ahead: ``n_steps``, or what the longest sequence fitted allows.
    first_step_ : int
        First step ahead.
    step_accuracy_ : ndarray of float, of length ``n_steps_``
        How often a context scores its own latent k steps ahead above those of the other sequences in a batch. Chance is one
        over the size of the batch. NaN without training, before ``first_step_``, and for steps that fewer than two sequences
        of a batch reach.
    lower_bound_ : float
        The estimator's value in nats, averaged over the steps, with negatives at the same offset of other sequences: the mean
        over the batches of the last epoch, or over the held-out rows in the best epoch; -inf without training.
    history_ : list of dict
        One per epoch: "epoch", "loss", the bound "prediction" in nats, the accuracies "accuracy_1", ... of the steps, and
        held-out values with prefix ``"valid_"``.
    %(attributes)s

    %(raises)s

    Notes
    -----
    A sequence is cut into frames of ``encoder_.stride`` samples from its start; an incomplete last frame is not read.
    Sequences of different lengths are a list, an array with NaN after the end of each, or a padded array with ``lengths``, that
    pipelines and searches pass by metadata routing. Stacked sequences (n, C, L) may have another length than the fitted ones.

    ``score`` is the InfoNCE lower bound on I(z_{t+k}; c_t) in nats at K = min(n_samples, 256), averaged over the steps k and at
    most 16 offsets t, with negatives at the same offset of the other sequences. It is valid if sequences are independent, which
    windows of one recording are not. Training with negatives "sequence" or "all" maximises no bound, but may give better
    features [1]_. More information is not better features: choose parameters by a search over a ``Pipeline`` with a classifier.

    References
    ----------
    .. [1] van den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim import CPCTransformer
    >>> rng = np.random.default_rng(0)
    >>> t = np.arange(40)
    >>> X = np.sin(t * rng.uniform(0.2, 1, (200, 1)) + rng.uniform(0, 6, (200, 1)))  # 200 waves with frequencies of their own
    >>> cpc = CPCTransformer(n_components=16, max_iter=20, random_state=0).fit(X)
    >>> cpc.n_steps_, cpc.transform(X).shape
    (12, (200, 16))
    >>> round(cpc.score(X), 1)                                                # of log 200 = 5.3 nats at most
    0.3
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        n_steps: int = 12,
        first_step: int | str = "auto",
        context: Any = "gru",
        negatives: str = "batch",
        n_anchors: int = 4,
        estimator: str | Bound = "infonce",
        encoder: Any = "auto",
        patch_size: int | tuple[int, int] | None = None,
        patch_overlap: int | tuple[int, int] | str = "auto",
        input_shape: tuple[int, ...] | None = None,
        features: str = "last",
        batch_size: int = 32,
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
        self.n_steps = n_steps
        self.first_step = first_step
        self.context = context
        self.negatives = negatives
        self.n_anchors = n_anchors
        self.estimator = estimator
        self.encoder = encoder
        self.patch_size = patch_size
        self.patch_overlap = patch_overlap
        self.input_shape = input_shape
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

    _before = {"first_step": 1}
    _parameter_constraints = {
        **InfoMaxTransformer._parameter_constraints,
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "first_step": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "context": [StrOptions(set(CONTEXTS)), GRU, MaskedConv],
        "negatives": [StrOptions(set(NEGATIVES))],
        "n_anchors": [Interval(Integral, 1, None, closed="left")],
        "estimator": [StrOptions(set(BOUNDS)), Bound],
        "encoder": [StrOptions({"auto", *PATCH_ENCODERS}), callable],
        "patch_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "patch_overlap": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left"), tuple, list],
        "features": [StrOptions({"last", "mean", "sequence"})],
    }

    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        """Learn from ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_times), (n_samples, n_channels, n_times) or images, or list of series
            Training samples, at least two; see the class for images. A list holds series of unequal length, each (n_times,) or
            (n_channels, n_times).
        y : Ignored
        lengths : array-like of int of shape (n_samples,), default=None
            Length of each sequence, beyond which X is padding and has no influence. With None a sequence ends where NaN begins
            that lasts to the end; a list is padded so.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            If a parameter, ``X`` or ``lengths`` is invalid, or training leaves the range of float32. The estimator is left
            unchanged.
        """
        return self._fit(X, y, lengths=lengths)

    def partial_fit(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        """Train for one epoch at a constant learning rate, continuing from the present weights, on what :meth:`fit` takes.

        The first call learns the standardisation and builds the network.
        """
        return self._fit(X, y, partial=True, lengths=lengths)

    def fit_transform(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        """Learn from what :meth:`fit` takes, and return what :meth:`transform` returns."""
        return self.fit(X, y, lengths=lengths).transform(X, lengths=lengths)

    @answering
    def transform(self, X: Any, lengths: Any = None) -> Any:
        """Encode samples.

        Parameters
        ----------
        X, lengths
            As in :meth:`fit`, of the fitted shape; stacked sequences may be longer or shorter.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features_out)
            As the parameter ``features`` says; a row depends on its sample alone.

        Raises
        ------
        ValueError, TypeError
            If ``X`` or ``lengths`` is invalid, or a sequence is shorter than a frame or, for ``features="sequence"``, longer
            than the fitted ones.
        """
        check_is_fitted(self)
        samples = self._samples(X, self._learner.device, reset=False, lengths=lengths)
        return encode(self._learner.objective, samples, self._output())

    def score(self, X: Any, y: Any = None, lengths: Any = None) -> float:
        """Return the InfoNCE lower bound, in nats, of contexts on later latents, the mean over the steps.

        Parameters
        ----------
        X, y, lengths
            As in :meth:`transform`, at least two samples; ``y`` is ignored.

        Returns
        -------
        score : float
            At most log K with K = min(n_samples, 256); see the class. More is not better features.

        Raises
        ------
        ValueError, TypeError
            If ``X`` or ``lengths`` is invalid, or no two sequences reach a second frame.
        """
        return self._score(X, lengths=lengths)

    @property
    def first_step_(self) -> int:
        """First step ahead that is predicted."""
        check_is_fitted(self)
        return self.n_steps_ - len(self._learner.objective.get_parameter("W")) + 1

    def _check_parameters(self) -> None:
        super()._check_parameters()
        bound_for_codes(self.estimator)
        if self.patch_size is None and self.patch_overlap != "auto":
            raise ValueError(f"patch_overlap={self.patch_overlap!r} has no effect with patch_size=None.")
        patches = PatchGrid.of(self.patch_size, self.patch_overlap)
        is_of_frames = isinstance(self.encoder, StridedConv)
        if patches is None and not is_of_frames and self.encoder != "auto":
            raise ValueError(
                f"encoder={self.encoder!r} encodes patches. Give patch_size for images; sequences take 'auto' or a StridedConv."
            )
        if patches is not None and is_of_frames:
            raise ValueError(
                f"encoder={self.encoder!r} encodes sequences; patches take 'auto', 'conv', 'mlp' or a factory."
            )
        if self.negatives == "sequence" and self.n_anchors < 2:
            raise ValueError("negatives='sequence' tells the anchors of a sequence apart: n_anchors=1 leaves none.")

    def _strided(self) -> StridedConv:
        return self.encoder if isinstance(self.encoder, StridedConv) else StridedConv()

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n_axes = len(input_shape)
        if self.patch_size is None:
            if n_axes > 2:
                raise ValueError(
                    f"Samples of shape {input_shape} are images; give patch_size to cut them into patches. Sequences are "
                    "(n_times,) or (n_channels, n_times)."
                )
            return (1, *input_shape) if n_axes == 1 else input_shape
        if n_axes == 1:
            raise ValueError(
                f"patch_size={self.patch_size!r} takes images: give X as (n, H, W) or (n, C, H, W), or flat with input_shape; "
                f"got flat samples of {input_shape[0]} feature(s) and input_shape=None."
            )
        return (1, *input_shape) if n_axes == 2 else input_shape

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        shape, patches = standardize.shape, PatchGrid.of(self.patch_size, self.patch_overlap)
        if patches is None:
            factory = self._strided()
        else:
            factory = choose("encoder", patches.encoder if self.encoder == "auto" else self.encoder, PATCH_ENCODERS)
        context = choose("context", self.context, CONTEXTS)
        encoder = build_causal_encoder(factory, context, shape, self.n_components, patches)
        first = self._step_apart(shape) if isinstance(self.first_step, str) else int(self.first_step)
        n_steps = last_step(first, self.n_steps, self.negatives, encoder, shape)
        bound = bound_for_codes(self.estimator)
        return Predictive(encoder, bound, self.n_components, n_steps, self.negatives, self.n_anchors, first)

    def _step_apart(self, shape: tuple[int, ...]) -> int:
        """Return the first step ahead whose frame or patch shares no sample with its context."""
        patches = PatchGrid.of(self.patch_size, self.patch_overlap)
        return patches.step_apart if patches is not None else self._strided().step_apart(shape[1])

    def _check_rows(self, samples: Samples, rows: Any) -> None:
        apart = self._step_apart(samples.standardize.shape)
        if not isinstance(self.first_step, str) and self.first_step < apart:
            warn(
                f"first_step={self.first_step} predicts frames or patches that share samples with their context, so copies "
                f"count as prediction. Set first_step='auto', which is {apart} here, or remove the overlap.",
                OverlapWarning,
            )
        is_cut = self.patch_size is None and samples.standardize.shape[-1] < self.input_shape_[-1]
        self._needs_lengths = self._needs_lengths or is_cut or "lengths" in samples.extras

    def _samples(self, X: Any, device: torch.device, *, reset: bool, min_samples: int = 1, **extras: Any) -> Samples:
        given = extras.get("lengths")
        self._needs_lengths = self._needs_lengths and not reset
        table = X = as_given(X)
        may_end = self.patch_size is None and not isinstance(X, Stored)  # a sequence, where NaN begins that lasts
        X, finite = (padded(X, self.input_shape), "allow-nan") if may_end else (X, True)
        X = validate_samples(self, X, reset=reset, min_samples=min_samples, finite=finite)
        fitted = None if reset else self._learner.standardize
        # Stacked sequences may be longer or shorter than the fitted ones.
        is_like = fitted is not None and len(fitted.shape) == 2 and X.ndim == 3 and X.shape[1] == fitted.shape[0]
        accepted = [X.shape[1:]] if is_like else []
        validate_shape(self, X.shape, reset=reset, accepted=accepted, of_sequences=self.patch_size is None)
        shape = self._network_shape(self.input_shape_) if fitted is None else fitted.shape
        if len(shape) == 3:
            if given is not None:
                raise ValueError("lengths are of sequences; with patch_size, X holds images.")
            samples = Samples(X, fitted or Standardizer.learn(X, shape).expected_by(self.encoder), device)
            return samples if reset or min_samples == 1 else samples.near()
        X, lengths = cut_to_lengths(X, shape[0], given, table)
        if self._needs_lengths and lengths is None:
            warn_of_padding(X)
        encoder: Any = None if reset else self._learner.objective.get_submodule("encoder")
        stride = self._strided().stride_of(X.shape[2]) if reset else encoder.stride
        check_frames(X, lengths, stride, least=2 if reset else 1)
        lengths = lengths if lengths is not None and lengths.min() < X.shape[2] else None
        standardize = fitted or Standardizer.learn(X, X.shape[1:], lengths)
        samples = Samples(X, standardize, device, {} if lengths is None else {"lengths": lengths})
        return samples if reset or min_samples == 1 else samples.near()

    def _result(self, objective: Any, best: dict[str, float]) -> dict[str, Any]:
        accuracies = [best.get(f"accuracy_{k + 1}", np.nan) for k in range(objective.n_steps)]
        reached = {"n_steps_": objective.n_steps, "step_accuracy_": np.array(accuracies)}
        return super()._result(objective, best) | reached
