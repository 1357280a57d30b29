"""What every transformer that maximises mutual information shares: fit, transform, score, state and callbacks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor, nn

from skdim._params import check_factories, look_up, same_parameter
from skdim._sklearn import draw_seed, unchanged_on_error
from skdim.inputs.batches import Rows, evaluation_batch
from skdim.inputs.samples import Samples, Standardizer
from skdim.inputs.validation import resolve_input_shape, validate_samples
from skdim.nn.objectives import Objective, drawn
from skdim.training.device import resolve_device
from skdim.training.distributed import agreed
from skdim.training.fitting import TRAINING_CONSTRAINTS, Fitting, optimizer_of
from skdim.training.learner import Learner
from skdim.training.trainer import History

__all__ = ["BaseInfoMax", "InfoMaxTransformer"]

#: Rows that are encoded at once; a last, shorter part is filled up to a multiple of ROW_TILE, so that a row's features do not
#: depend on the rows beside it.
CHUNK, ROW_TILE = 256, 32
#: Rows that are scored at once: the candidates of InfoNCE.
N_SCORED = 256


class BaseInfoMax(CallbackSupportMixin, BaseEstimator):
    """The fit loop, validation and state, whatever is trained.

    A subclass holds parameters and overrides :meth:`_network_shape` and :meth:`_build`, which turns parameters into an
    :class:`~skdim.nn.objectives.Objective`. It extends :meth:`_check_parameters`, :meth:`_samples`, which turns X into
    :class:`~skdim.inputs.samples.Samples`, :meth:`_check_rows` and :meth:`_result` where it needs more.
    """

    _parameter_constraints: dict[str, Any] = {"input_shape": [tuple, list, None], **TRAINING_CONSTRAINTS}
    #: Parameters that may be a class or function.
    _factories: tuple[str, ...] = ("encoder", "critic", "augment", "optimizer")
    #: Parameters that a continued training may change; the others describe the network.
    _training_parameters = frozenset({*TRAINING_CONSTRAINTS, "features"})

    # ---------------------------------------------------------------------------------------------------------- training
    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn from ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Training samples, at least two; see the class for the shapes of images and sequences.
        y : Ignored
            Accepted for scikit-learn's API.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or ``X`` is invalid. The estimator is left unchanged.
        DivergenceError
            If training leaves the range of float32. The estimator is left unchanged.
        """
        return self._fit(X, y)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Train for one epoch on ``X``, continuing from the present weights, at a constant learning rate.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Training samples, at least two. The first call learns the standardisation and builds the network.
        y : Ignored
            Accepted for scikit-learn's API.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or ``X`` is invalid. The estimator is left unchanged.
        DivergenceError
            If training leaves the range of float32. The estimator is left unchanged.
        """
        return self._fit(X, y, partial=True)

    def _fit(self, X: Any, y: Any, partial: bool = False, **extras: Any) -> Any:
        """Train on X; ``extras`` are arrays with one entry per sample."""
        resume = hasattr(self, "_learner") and (partial or self.warm_start)
        with unchanged_on_error(self):
            self._check_parameters()
            samples = self._samples(X, resolve_device(self.device), reset=not resume, min_samples=2, **extras)
            learner = self._resumed() if resume else self._new_learner(samples)
            fitting = Fitting.plan(self, learner, samples, partial)
            self._check_rows(samples, fitting.train)
            root = self._init_callback_context(max_subtasks=fitting.max_epochs)
            root.call_on_fit_task_begin(estimator=self, X=X, y=y)
            trainer = fitting.trainer(self, learner, samples, (root, X, y))
            history = trainer.train(learner.objective, fitting.batches(self, learner, samples))
            self.__dict__.update(self._fitted(learner, history))
            learner.epoch += len(history.epochs)
            if not (partial or self.warm_start):
                learner.drop_what_training_needs()
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
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

    def _fitted(self, learner: Learner, history: History) -> dict[str, Any]:
        """Return the attributes of an estimator that was trained so far, this call's epochs after those of earlier ones."""
        epochs = [{"epoch": number, **row} for number, row in enumerate(history.epochs, start=learner.epoch + 1)]
        epochs = [*self.history_, *epochs]
        return {
            "_learner": learner,
            "device_": str(learner.device),
            "loss_curve_": [row["loss"] for row in epochs],
            "history_": epochs,
            "n_iter_": len(epochs),
            **self._result(learner.objective, history.best),
        }

    # ------------------------------------------------------------------------------------------------------------- state
    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_learner" in state:
            state["_learner"] = state["_learner"].state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_learner" in state:
            self._learner = Learner.from_state(
                state["_learner"], self._built_with._build, optimizer_of(self._built_with)
            )
            self.device_ = str(self._learner.device)

    # ------------------------------------------------------------------------------------------ what a subclass overrides
    def _check_parameters(self) -> None:
        """Raise an error if a parameter is invalid or has no effect together with others."""
        check_factories(self, self._factories)
        self._validate_params()

    def _samples(self, X: Any, device: torch.device, *, reset: bool, min_samples: int = 1, **extras: Any) -> Samples:
        """Return X validated, shaped and standardised; learn its shape and scale, or use the fitted ones."""
        X = validate_samples(self, X, reset=reset, min_samples=min_samples)
        self._set_shape(X, reset)
        if not reset:
            return Samples(X, self._learner.standardize, device)
        return Samples(X, Standardizer.learn(X, self._network_shape(self.input_shape_)), device)

    def _set_shape(self, X: Any, reset: bool, accepted: Sequence[tuple[int, ...]] = ()) -> None:
        """Learn the shape of one sample, or refuse another one than those fitted or ``accepted``."""
        if reset:
            if len(X.shape) < 2:
                check_array(X, dtype=None, estimator=self, input_name="X")  # raises the error of scikit-learn
            self.input_shape_ = resolve_input_shape(self.input_shape, X.shape)
            self.n_features_in_ = math.prod(self.input_shape_)
            if len(X.shape) > 2:
                self.__dict__.pop("feature_names_in_", None)
        elif X.shape[1:] not in (self.input_shape_, (self.n_features_in_,), *accepted):
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on samples of shape "
                f"{self.input_shape_} and takes these, or flat as ({self.n_features_in_},)."
            )

    def _network_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one input as the network takes it: (C, H, W), (C, L) or (n_columns,)."""
        raise NotImplementedError

    def _check_rows(self, samples: Samples, rows: Any) -> None:
        """Raise an error if training on these rows is impossible."""

    def _build(self, standardize: Standardizer, training: bool) -> Objective:
        """Return the objective for inputs of ``standardize.shape``, with what only training needs if ``training``."""
        raise NotImplementedError

    def _result(self, objective: Objective, best: dict[str, float]) -> dict[str, Any]:
        """Return the fitted attributes that tell what was reached, from the parts of the best epoch, {} without training."""
        return {"lower_bound_": float(sum(best[name] for name in objective.bounds)) if best else -math.inf}


class InfoMaxTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseInfoMax):
    """The part of a fitted objective that users meet: features of new samples, and how much they tell of each other."""

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
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        return self._encode(self._samples(X, self._learner.device, reset=False))

    def _encode(self, samples: Samples) -> Any:
        """Return the features of samples."""
        features = np.empty((len(samples), self._n_features_out), dtype=np.float32)
        outside = []
        for start in range(0, len(samples), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(samples)))
            features[rows] = self._encode_block(samples, rows)
            outside += rows[~np.isfinite(features[rows]).all(axis=1)].tolist()
        if outside:
            raise ValueError(
                f"{len(outside)} sample(s), the first at row {outside[0]}, lie so far outside the range of the fitted data "
                "that their features are not finite in float32."
            )
        return features

    @torch.inference_mode()
    def _encode_block(self, samples: Samples, rows: Any) -> Any:
        X, n_padding = samples.read(slice(rows[0], rows[-1] + 1)), -len(rows) % ROW_TILE
        if n_padding:
            X = torch.cat([X, X.new_zeros(n_padding, *X.shape[1:])])
        tile = np.concatenate([rows, rows[:1].repeat(n_padding)])
        extras = {name: part[tile] for name, part in samples.extras.items()}
        info = Rows(len(tile), slice(0, len(tile)), samples.shape(), extras)
        features = self._learner.objective.features(X, info, self._output())
        return features[: len(rows)].cpu().numpy()

    def _output(self) -> str:
        """Return the name of the features that ``transform`` returns."""
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
            Accepted for scikit-learn's API.

        Returns
        -------
        score : float
            See the class for the pair of codes that is scored. At most log K for each pair. More is not better features.

        Raises
        ------
        ValueError, TypeError
            If ``X`` has fewer than two samples, or is not numeric, finite and of the fitted shape.
        NotFittedError
            If called before ``fit``.
        """
        return self._score(X)

    def _score(self, X: Any, **extras: Any) -> float:
        check_is_fitted(self)
        samples = self._samples(X, self._learner.device, reset=False, min_samples=2, **extras)
        objective, k, scores = self._learner.objective, min(len(samples), N_SCORED), []
        with torch.inference_mode():
            for start in range(0, len(samples), k):
                batch = evaluation_batch(samples, np.arange(start, start + k) % len(samples), objective.n_draws)
                scores.append(objective.score(batch.X, drawn(objective, batch, None)).item())
        score = float(np.mean(scores))
        if not math.isfinite(score):
            raise ValueError(
                f"The score is {score}: samples lie too far outside the range of the fitted data for float32."
            )
        return score

    @property
    def encoder_(self) -> nn.Module:
        """The trained encoder, a copy in eval mode: standardised tensors -> its codes."""
        check_is_fitted(self)
        return copy.deepcopy(self._learner.objective.get_submodule("encoder")).eval()

    def standardized(self, X: Any) -> Tensor:
        """Return samples as the fitted encoder takes them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples of the fitted shape, stacked or flat.

        Returns
        -------
        Tensor of float32 of shape (n_samples, ...)
            Standardised samples, on the device of the fitted network.
        """
        check_is_fitted(self)
        samples = self._samples(X, self._learner.device, reset=False)
        return samples.read(slice(0, len(samples)))

    def feature_map(self) -> Callable[[Tensor], Tensor]:
        """Return the fitted map from standardised samples to the features that ``transform`` returns.

        Returns
        -------
        callable (Tensor) -> Tensor
            A copy of the network in eval mode, whose parameters take no gradient.
        """
        check_is_fitted(self)
        objective, name = copy.deepcopy(self._learner.objective).eval().requires_grad_(False), self._output()
        return lambda X: objective.features(X, Rows(len(X), slice(0, len(X)), tuple(X.shape[1:]), {}), name)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
