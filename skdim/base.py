"""What all transformers share: fit, transform, score, state and callbacks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skdim._params import check_factories, look_up, same_parameter
from skdim._sklearn import DocLinkMixin, Interval, draw_seed, fitted_apart
from skdim.exceptions import warn
from skdim.inputs.batches import Batches
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.validation import validate_samples, validate_shape, warn_of_flat_images
from skdim.nn.encoders import takes_sequences
from skdim.nn.objectives import Objective
from skdim.training.ambient import answering, in_own_state, own_state
from skdim.training.checkpoint import checkpointed
from skdim.training.device import resolve_device
from skdim.training.distributed import agreed
from skdim.training.fitting import TRAINING_CONSTRAINTS, Fitting, optimizer_of
from skdim.training.inference import FeatureNetwork, check_trained, encode, mean_score
from skdim.training.learner import Learner
from skdim.training.state import opened, sealed
from skdim.training.trainer import History, held_out_values

__all__ = ["BaseInfoMax", "InfoMaxTransformer"]


class BaseInfoMax(DocLinkMixin, CallbackSupportMixin, BaseEstimator):
    """The fit loop, validation and state; a subclass holds the parameters and builds the objective from them."""

    _parameter_constraints: dict[str, Any] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "input_shape": [tuple, list, None],
        **TRAINING_CONSTRAINTS,
    }
    #: Parameters that may be a class or function.
    _factories = frozenset({"encoder", "critic", "context", "augment", "views", "optimizer"})
    #: Parameters that a continued training may change; the others describe the network.
    _training_parameters: frozenset[str] = frozenset({*TRAINING_CONSTRAINTS, "features"})
    #: Values that later parameters have in files without them, where the default does something else.
    _before: dict[str, Any] = {}
    #: Whether the fit was given lengths that differ from the width of X: then X without them is in doubt.
    _needs_lengths = False
    _learner: Learner

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Training samples, at least two; see the class for the shapes of images and sequences.
        y : Ignored

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError, DivergenceError
            If a parameter or ``X`` is invalid, or training leaves the range of float32. The estimator is left unchanged.
        """
        return self._fit(X, y)

    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Train for one epoch at a constant learning rate, continuing from the present weights, on what :meth:`fit` takes.

        The first call learns the standardisation and builds the network.
        """
        return self._fit(X, y, partial=True)

    def _fit(self, X: Any, y: Any, partial: bool = False, **extras: Any) -> Any:
        """Train on X; ``extras`` are arrays (n,) or None."""
        resume = hasattr(self, "_learner") and (partial or self.warm_start)
        with own_state(), fitted_apart(self) as new:
            new._check_parameters()
            samples = new._samples(X, resolve_device(new.device), reset=not resume, min_samples=2, **extras)
            learner = new._resumed() if resume else new._new_learner(samples)
            fitting = Fitting.plan(new, learner, samples, partial)
            new._check_rows(samples, fitting.train)
            if resume:
                samples.warn_of_another_scale(getattr(new, "feature_names_in_", None))
            elif not partial and fitting.max_epochs:
                samples.warn_of_equal_rows()
            with checkpointed(new, lambda: learner.learns_from(samples), fitting.ranks):
                resident = samples.resident()
                root = new._init_callback_context(max_subtasks=fitting.max_epochs)
                root.call_on_fit_task_begin(estimator=new, X=X, y=y)
                trainer = fitting.trainer(new, learner, resident, (root, X, y))
                history = trainer.train(learner.objective, fitting.batches(new, learner, resident))
                check_trained(learner.objective, resident)
                new.__dict__.update(new._fitted(learner, history, None if partial else (resident, fitting)))
            if history.interrupted:
                epoch = learner.epoch + len(history.epochs)
                warn(
                    f"Training was interrupted in epoch {epoch}, and the estimator has the weights "
                    "so far. partial_fit, or fit with warm_start=True, continues.",
                    ConvergenceWarning,
                )
            learner.epoch += len(history.epochs)
            if not (partial or new.warm_start or history.interrupted):
                learner.drop_what_training_needs()
            root.call_on_fit_task_end(estimator=new, X=X, y=y)
        return self

    def _new_learner(self, samples: Samples) -> Learner:
        seed = agreed(draw_seed(self.random_state), samples.device)
        self.__dict__.pop("_learner", None)  # callbacks copy the estimator during the fit, and it is no longer this one
        self._built_with = clone(self)
        self.history_: list[dict[str, float]] = []
        return Learner.new(self._build, optimizer_of(self), samples, seed)

    def _resumed(self) -> Learner:
        """Return a copy of the learner that can train, so that a failure leaves the fitted one alone."""
        present, built_with = self.get_params(deep=False), self._built_with.get_params(deep=False)
        names = set(present) - self._training_parameters
        changed = sorted(name for name in names if not same_parameter(present[name], built_with[name]))
        if changed:
            raise ValueError(
                f"Training cannot continue: {changed} changed since the network was built. "
                "Set warm_start=False and call fit to start anew."
            )
        return self._learner.resumed(self._built_with._build, optimizer_of(self))

    def _fitted(
        self, learner: Learner, history: History, data: tuple[Samples, Fitting] | None = None
    ) -> dict[str, Any]:
        """Return the fitted attributes, with this call's epochs after earlier ones; ``data`` is that of a whole fit."""
        numbered = enumerate(history.epochs, start=learner.epoch + 1)
        epochs = [*self.history_, *({"epoch": number, **row} for number, row in numbered)]
        return {
            "_learner": learner,
            "device_": str(learner.device),
            "loss_curve_": [row["loss"] for row in epochs],
            "history_": epochs,
            "n_iter_": len(epochs),
            # A fit of no epochs that goes on with a trained network leaves what its training reached.
            **(self._result(learner.objective, history.best) if history.epochs or not learner.epoch else {}),
        }

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_learner" in state:
            state["_learner"] = self._learner.state()
        return sealed(state)

    @in_own_state
    def __setstate__(self, state: dict[str, Any]) -> None:
        state = opened(state, type(self))
        super().__setstate__(state)
        if "_learner" in state:
            self._learner = Learner.from_state(
                state["_learner"], self._built_with._build, optimizer_of(self._built_with)
            )
            self.device_ = str(self._learner.device)

    def _check_parameters(self) -> None:
        """Raise an error if a parameter is invalid or has no effect together with others."""
        check_factories(self, self._factories & self.get_params(deep=False).keys())
        self._validate_params()

    def _samples(self, X: Any, device: torch.device, *, reset: bool, min_samples: int = 1, **extras: Any) -> Samples:
        """Return X validated, shaped and standardised by its own shape and scale, or by the fitted ones."""
        X = validate_samples(self, X, reset=reset, min_samples=min_samples)
        validate_shape(self, X.shape, reset=reset, of_sequences=self._reads_sequences())
        names = getattr(self, "feature_names_in_", None)
        if not reset:
            samples = Samples(X, self._learner.standardize, device)
            return samples if min_samples == 1 else samples.near(names)  # transform judges its features
        warn_of_flat_images(self, X)
        standardize = Standardizer.learn(X, self._network_shape(self.input_shape_), names=names)
        return Samples(X, standardize.expected_by(self.encoder), device)

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one input as the network takes it: (C, H, W), (C, L) or (n_columns,)."""
        raise NotImplementedError

    def _reads_sequences(self) -> bool:
        """Whether samples of two axes are (channels, times), and no grey images."""
        return takes_sequences(self.encoder)

    def _check_rows(self, samples: Samples, rows: Any) -> None:
        """Raise an error if training on these rows is impossible."""

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        """Return the objective for inputs of ``standardize.shape``; what only training needs is built if ``training``."""
        raise NotImplementedError

    def _result(self, objective: Objective, best: dict[str, float]) -> dict[str, Any]:
        """Return the fitted attributes that tell what was reached, from the best epoch's values, {} without training."""
        return {"lower_bound_": float(sum(best[name] for name in objective.bounds)) if best else -math.inf}


class InfoMaxTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseInfoMax):
    """Base of the transformers: features of new samples, and what a fitted objective says of them."""

    @answering
    def transform(self, X: Any) -> Any:
        """Encode samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples of the fitted shape, stacked or flat.

        Returns
        -------
        features : ndarray of float32 of shape (n_samples, n_features_out)
            As the parameter ``features`` says; a row depends on its sample alone.

        Raises
        ------
        ValueError, TypeError
            If ``X`` is not numeric, finite and of the fitted shape, or ``features`` is unknown.
        """
        check_is_fitted(self)
        return encode(self._learner.objective, self._samples(X, self._learner.device, reset=False), self._output())

    def _output(self) -> str:
        """Return the checked name of the features that ``transform`` returns."""
        look_up("features", self.features, self._learner.objective.widths())
        return str(self.features)

    @property
    def _n_features_out(self) -> int:
        return int(self._learner.objective.widths()[self._output()])

    def score(self, X: Any, y: Any = None) -> float:
        """Return the InfoNCE lower bound, in nats, of the fitted codes on ``X``, at K = min(n_samples, 256).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples of the fitted shape, at least two.
        y : Ignored

        Returns
        -------
        score : float
            At most log K for each pair of codes; see the class for the pairs.

        Raises
        ------
        ValueError, TypeError
            If ``X`` has fewer than two samples, or is not numeric, finite and of the fitted shape.
        """
        return self._score(X)

    @answering
    def _score(self, X: Any, **extras: Any) -> float:
        check_is_fitted(self)
        samples = self._samples(X, self._learner.device, reset=False, min_samples=2, **extras)
        return mean_score(self._learner.objective, samples)

    @answering
    def evaluate(self, X: Any) -> dict[str, float]:
        """Return the parts of the training objective on samples that were held out of training.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples of the fitted shape, at least two.

        Returns
        -------
        parts : dict of str to float
            "loss" and the training bounds in nats, by the names of ``history_``: means over batches of ``batch_size`` samples
            in order, with views and noise of a fixed seed.
        """
        check_is_fitted(self)
        self._validate_params()
        samples = self._samples(X, self._learner.device, reset=False, min_samples=2)
        objective = self._learner.objective
        batches = Batches(samples, np.arange(len(samples)), self.batch_size, None, n_draws=objective.n_draws)
        return held_out_values(objective, batches)

    @property
    def objective_(self) -> Objective:
        """The trained objective, a copy in eval mode."""
        check_is_fitted(self)
        return copy.deepcopy(self._learner.objective).eval()

    @property
    def history_units_(self) -> dict[str, str]:
        """Units of the values in ``history_``, by name."""
        check_is_fitted(self)
        return dict(self._learner.objective.units)

    @property
    def encoder_(self) -> nn.Module:
        """The trained encoder, a copy in eval mode."""
        return self.objective_.get_submodule("encoder")

    @answering
    def standardized(self, X: Any) -> Tensor:
        """Return samples as the fitted encoder takes them, on its device.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples of the fitted shape, stacked or flat.

        Returns
        -------
        Tensor of float32 of shape (n_samples, ...)

        Raises
        ------
        ValueError, TypeError
            If ``X`` is not numeric, finite and of the fitted shape, or lies too far outside the fitted data for float32.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        samples = self._samples(X, self._learner.device, reset=False).near(names)
        return samples.read(slice(0, len(samples)))

    def as_module(self) -> nn.Module:
        """Return the fitted network that maps samples to features: what :meth:`transform` does, in torch alone.

        Returns
        -------
        nn.Module
            In eval mode, on the fitted device, with the standardisation inside, in float64, and contiguous weights.
            ``module(X)`` takes a tensor (n, n_features) or (n, ...) of integers or floats, or a list of tensors, one for each
            view, and returns the features (n, n_features_out) in float32. ``module(X, lengths)`` takes padded sequences of
            :class:`~skdim.CPCTransformer`, and warns without lengths where :meth:`transform` does. It is a copy: to train or
            move it changes nothing here.

        Notes
        -----
        Features are those of :meth:`transform` to the rounding of float32, since sums are taken in another order: a few 1e-6 of
        the largest feature. NaN stands for the code of a missing view here too. Nothing else of ``X`` is checked but its
        shape, and each of ``lengths`` must hold a frame and end within ``X``.

        Examples
        --------
        >>> import torch
        >>> from sklearn.datasets import load_digits
        >>> from skdim import DeepInfoMaxTransformer
        >>> X = load_digits().images.astype("uint8")
        >>> dim = DeepInfoMaxTransformer(max_iter=1, random_state=0).fit(X)
        >>> with torch.inference_mode():
        ...     features = dim.as_module()(torch.from_numpy(X))
        >>> tuple(features.shape), bool(abs(features.numpy() - dim.transform(X)).max() < 1e-5)
        ((1797, 64), True)
        """
        check_is_fitted(self)
        objective, standardize = self._learner.objective, self._learner.standardize
        return FeatureNetwork(objective, standardize, self._output(), self.input_shape_, self._needs_lengths)

    def feature_map(self) -> Callable[[Tensor], Tensor]:
        """Return the fitted map from standardised samples to the features that ``transform`` returns.

        Returns
        -------
        callable (Tensor) -> Tensor
            A copy of the network in eval mode, without gradients of its parameters.
        """
        objective, name = self.objective_.requires_grad_(False), self._output()
        return lambda X: objective.features(X, {}, name)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
