"""What every estimator that learns by maximising mutual information shares."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skdim.exceptions import PersistenceWarning, warn
from skdim.training.batches import Batch, Batches, Standardizer
from skdim.training.callbacks import DivergenceGuard, EarlyStopping, EpochTasks
from skdim.training.device import PRECISIONS, computing, local_seed, place, resolve_device, resolve_precision, to_device
from skdim.training.distributed import Ranks, agreed, join
from skdim.training.learner import Learner
from skdim.training.net import OPTIMIZERS, InfoMaxNet, make_optimizer
from skdim.training.stored import Stored, as_stored, is_stored

__all__ = ["BaseInfoMax", "InfoMaxTransformer", "as_before_on_error", "check_factories"]

#: Steps that max_iter="auto" aims at, and the epochs it stays within.
AUTO_STEPS, AUTO_EPOCHS = 8_000, (1, 100)
#: Rows that are encoded at once; a last, shorter part is filled up to a multiple of ROW_TILE, so that a row's features do not
#: depend on the rows beside it.
CHUNK, ROW_TILE = 256, 32


class BaseInfoMax(CallbackSupportMixin, BaseEstimator):
    """Validation, the fit loop, state and callbacks.

    A subclass says what is trained, by ``_build(shape, training)``, on which views, by ``_views(standardized, ...)``, and how
    inputs are shaped, by ``_network_shape(input_shape)``.
    """

    _parameter_constraints: dict[str, Any] = {
        "input_shape": [tuple, list, None],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"auto", *PRECISIONS})],
        "compile": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    #: Parameters that may be a class or function.
    _factories: tuple[str, ...] = ("encoder", "critic", "augment", "optimizer")
    #: Parameters that a continued training may change; the others describe the network.
    _training_parameters = frozenset(_parameter_constraints) - {"input_shape"} | {"features"}

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
            If a parameter or ``X`` is not what it may be; the estimator is then as before the call.
        DivergenceError
            If training leaves the range of float32; likewise.
        """
        resume = self.warm_start and hasattr(self, "_learner")
        return self._train(X, y, resume=resume, keep=self.warm_start)

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
            If a parameter or ``X`` is not what it may be; the estimator is then as before the call.
        DivergenceError
            If training leaves the range of float32; likewise.
        """
        return self._train(X, y, resume=hasattr(self, "_learner"), keep=True, n_epochs=1)

    def _train(
        self,
        X: Any,
        y: Any,
        *,
        resume: bool,
        keep: bool,
        n_epochs: int | None = None,
        extras: dict[str, Any] | None = None,
    ) -> Any:
        """Train on X; ``extras`` are arrays with one entry per sample, that reach the views of each batch."""
        with as_before_on_error(self):
            self._check_parameters()
            X = self._validate_X(X, reset=not resume, min_samples=2)
            X, extras = self._prepare(X, extras or {}, reset=not resume)
            learner = self._resumed() if resume else self._new_learner(X, extras)
            train_rows, valid_rows = self._split(
                len(X), learner, early_stopping=self.early_stopping and n_epochs is None
            )
            schedule = n_epochs is None
            if n_epochs is None:
                n_epochs = self._n_epochs(len(train_rows))
            self._check_rows(X, train_rows, extras)
            root = self._init_callback_context(max_subtasks=n_epochs)
            root.call_on_fit_task_begin(estimator=self, X=X, y=y)
            net = self._net(X, y, learner, train_rows, valid_rows, n_epochs, schedule, root, resume, extras)
            net.run()
            self._store(learner, net, keep=keep, resume=resume)
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _prepare(self, X: Any, extras: dict[str, Any], *, reset: bool) -> tuple[Any, dict[str, Any]]:
        """Check the extras against validated samples; a subclass may return another view of the samples."""
        return X, extras

    def _learned_shape(self, X: Any) -> tuple[int, ...]:
        """Return the shape of one input as the network takes it, for samples that are learned from."""
        return self._network_shape(self.input_shape_)

    def _learn_standardizer(self, X: Any, shape: tuple[int, ...], extras: dict[str, Any]) -> Standardizer:
        return Standardizer.learn(X, shape)

    def _new_learner(self, X: Any, extras: dict[str, Any]) -> Learner:
        device = resolve_device(self.device)
        seed = agreed(int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)), device)
        self.__dict__.pop("_learner", None)  # callbacks copy the estimator during the fit, and it is no longer this one
        self._built_with = self._template()
        shape = self._learned_shape(X)
        with local_seed(seed):
            objective = place(self._build(shape, True), device)
        generator = torch.Generator().manual_seed(seed)
        optimizer = self._make_optimizer(objective)
        standardize = self._learn_standardizer(X, shape, extras)
        return Learner(objective, standardize, device, seed, 0, optimizer, generator)

    def _template(self) -> Any:
        """Return what builds the network anew: a clone, with what the subclass learns of X before it builds."""
        return clone(self)

    def _resumed(self) -> Learner:
        """Return a copy of the learner that can train, so that a failure leaves the fitted one alone."""
        present, built_with = self.get_params(deep=False), self._built_with.get_params(deep=False)
        changed = sorted(
            name for name in set(present) - self._training_parameters if not _same(present[name], built_with[name])
        )
        if changed:
            raise ValueError(
                f"Training cannot continue: {changed} changed since the network was built. "
                "Set warm_start=False and call fit to start anew."
            )
        learner = self._restored(self._learner.state(), self._make_optimizer)
        if learner.generator is None:  # the last fit ended for good: what only training needs starts anew
            seed = learner.seed + learner.epoch
            with local_seed(seed):
                learner.objective.prior = place(
                    self._built_with._build(learner.standardize.shape, True), learner.device
                ).prior
            learner.generator = torch.Generator().manual_seed(seed)
            learner.optimizer = self._make_optimizer(learner.objective)
        return learner

    def _restored(self, state: dict[str, Any], make_optimizer: Any) -> Learner:
        """Return the learner of a state."""

        def build(shape: tuple[int, ...], training: bool) -> nn.Module:
            with local_seed(0):  # the weights are overwritten by the saved ones
                return self._built_with._build(shape, training)

        return Learner.from_state(state, build, make_optimizer)

    def _make_optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        return make_optimizer(self.optimizer, module, self.learning_rate, self.weight_decay)

    def _split(self, n: int, learner: Learner, early_stopping: bool) -> tuple[Any, Any]:
        rows = np.arange(n)
        if not early_stopping:
            return rows, None
        n_valid = math.ceil(self.validation_fraction * n)
        if min(n_valid, n - n_valid) < 2:
            raise ValueError(
                f"early_stopping=True holds out {n_valid} of n_samples = {n} rows; it needs at least 2 on either side. "
                "Give more samples or another validation_fraction."
            )
        rows = np.random.default_rng(learner.seed).permutation(rows)
        return np.sort(rows[n_valid:]), np.sort(rows[:n_valid])

    def _n_epochs(self, n: int) -> int:
        if self.max_iter != "auto":
            return int(self.max_iter)
        return int(np.clip(round(AUTO_STEPS * self.batch_size / n), *AUTO_EPOCHS))

    def _net(
        self,
        X: Any,
        y: Any,
        learner: Learner,
        train_rows: Any,
        valid_rows: Any,
        n_epochs: int,
        schedule: bool,
        root: Any,
        resume: bool,
        extras: dict[str, Any],
    ) -> InfoMaxNet:
        ranks = join(learner.device)
        if ranks is not None:
            ranks.check_same(self._facts(X, learner, n_epochs))
        of_views = learner if ranks is None else self._with_own_draws(learner, ranks)
        train = Batches(X, train_rows, learner.standardize, self.batch_size, learner.seed, learner.epoch, extras, ranks)
        valid, callbacks = None, [DivergenceGuard()]
        if valid_rows is not None:
            valid = Batches(X, valid_rows, learner.standardize, self.batch_size, None, extras=extras, ranks=ranks)
            callbacks.append(EarlyStopping(self.n_iter_no_change, self.tol))
        if root._callbacks:
            callbacks.append(self._epoch_tasks(X, y, learner, root, resume, ranks))
        return InfoMaxNet(
            learner.objective,
            learner.optimizer,
            lambda batch, evaluation: self._views(batch, of_views, evaluation),
            train,
            valid,
            n_epochs,
            n_epochs * len(train) if schedule else None,
            learner.generator,
            callbacks,
            self.verbose,
            ranks,
            computing(learner.objective.networks, resolve_precision(self.precision, learner.device), self.compile),
        )

    def _facts(self, X: Any, learner: Learner, n_epochs: int) -> dict[str, float]:
        """Return what processes that train together must have in common."""
        standardize = learner.standardize
        return {
            "the number of rows of X": len(X),
            "the number of values of a sample": math.prod(X.shape[1:]),
            "the mean of X": float(standardize.mean.sum()),
            "the scale of X": float(standardize.scale.sum()),
            "the seed": learner.seed,
            "batch_size": self.batch_size,
            "the number of epochs": n_epochs,
            "learning_rate": self.learning_rate,
            "the number of weights": sum(parameter.numel() for parameter in learner.objective.parameters()),
        }

    @staticmethod
    def _with_own_draws(learner: Learner, ranks: Ranks) -> Learner:
        """Return a learner for making views, whose generator no other rank has: a user's function may draw for its rows."""
        seed = np.random.SeedSequence([learner.seed, learner.epoch, ranks.rank]).generate_state(1)[0]
        return dataclasses.replace(learner, generator=torch.Generator().manual_seed(int(seed)))

    def _epoch_tasks(
        self, X: Any, y: Any, learner: Learner, root: Any, resume: bool, ranks: Ranks | None
    ) -> EpochTasks:
        # A transformer has no y, but a monitor scores only where there is one.
        y = np.zeros(len(X)) if y is None else y

        def begin() -> Any:
            return root.subcontext("epoch").call_on_fit_task_begin(estimator=self, X=X, y=y)

        def end(context: Any, net: InfoMaxNet) -> bool:
            def fitted() -> dict[str, Any]:
                now = self._restored(learner.state(), self._built_with._make_optimizer)
                return {"_learner": now, "device_": str(learner.device), **self._summary(net, learner.epoch, resume)}

            stop = context.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=fitted)
            return stop if ranks is None else ranks.any(stop)

        return EpochTasks(begin, end)

    def _store(self, learner: Learner, net: InfoMaxNet, *, keep: bool, resume: bool) -> None:
        for name, value in self._summary(net, learner.epoch, resume).items():
            setattr(self, name, value)
        learner.epoch += len(net.history)
        self.device_ = str(learner.device)
        if not keep:
            learner.optimizer = learner.generator = None
            learner.objective.prior = None
        self._learner = learner

    def _summary(self, net: InfoMaxNet, n_before: int, resume: bool) -> dict[str, Any]:
        """Return the fitted attributes that tell how training went, after ``n_before`` epochs in earlier calls."""
        history = []
        for number, row in enumerate(net.history, start=n_before + 1):
            parts = {name.removeprefix("train_"): row[name] for name in net.recorded_ if name in row}
            history.append({"epoch": number, **parts})
        stopping = [callback for _, callback in net.callbacks_ if isinstance(callback, EarlyStopping)]
        best = history[stopping[0].best_epoch_ - 1] if stopping and history else history[-1] if history else {}
        prefix = "valid_" if stopping else ""
        best = {name.removeprefix(prefix): value for name, value in best.items() if name.startswith(prefix)}
        history = [*self.history_, *history] if resume else history
        return {
            "loss_curve_": [row["loss"] for row in history],
            "history_": history,
            "n_iter_": len(history),
            **self._result(net.module_, best),
        }

    def _result(self, objective: Any, best: dict[str, float]) -> dict[str, Any]:
        """Return the fitted attributes that tell what was reached, from the parts of the best epoch, {} without training."""
        return {"lower_bound_": float(sum(best[name] for name in objective.terms)) if best else -math.inf}

    # -------------------------------------------------------------------------------------------------------- validation
    #: Whether X may hold NaN, as scikit-learn's ``ensure_all_finite``; a subclass that lets it pass decides which NaN may be.
    _ensure_all_finite: bool | str = True

    def _check_parameters(self) -> None:
        check_factories(self, self._factories)
        self._validate_params()

    def _check_rows(self, X: Any, rows: Any, extras: dict[str, Any]) -> None:
        """Refuse samples that the subclass cannot train on; ``rows`` are those that it would."""

    def _validate_X(self, X: Any, *, reset: bool, min_samples: int = 1) -> Any:
        """Return X as an array, never copying one that is one; learn its shape, or hold it against the fitted one."""
        X = as_stored(X) if is_stored(X) else X
        stacked = (
            np.ndim(X) > 2 if not hasattr(X, "ndim") and isinstance(X, (list, tuple)) else getattr(X, "ndim", 2) > 2
        )
        if isinstance(X, Stored):
            X = self._checked_as_read(X, min_samples, self._ensure_all_finite)
            if not stacked:
                validate_data(self, X, reset=reset, skip_check_array=True)
        elif not stacked:
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype="numeric",
                ensure_min_samples=min_samples,
                ensure_all_finite=self._ensure_all_finite,
            )
        else:
            X = check_array(
                X,
                dtype="numeric",
                allow_nd=True,
                ensure_min_samples=min_samples,
                ensure_all_finite=self._ensure_all_finite,
                estimator=self,
                input_name="X",
            )
        if not math.prod(X.shape[1:]):
            raise ValueError(f"Found array with no values in a sample (shape={X.shape}).")
        if X.dtype.kind not in "fiub":
            raise ValueError(f"X must hold real numbers, got an array of dtype {X.dtype}.")
        if X.ndim > 4:
            raise ValueError(
                f"X has shape {X.shape}; samples may be rows (n, n_features), images (n, H, W) or (n, C, H, W), or sequences "
                "(n, C, L) with encoder='conv1d'."
            )
        if not reset and not self._accepts(X.shape[1:]):
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on samples of shape "
                f"{self.input_shape_} and takes these, or flat as ({self.n_features_in_},)."
            )
        if reset:
            self._set_input_shape(X)
        return X

    def _checked_as_read(self, X: Stored, min_samples: int, ensure_all_finite: bool | str) -> Stored:
        """Return samples outside memory, every array of which is checked when it is read: a fit reads all before it trains."""
        check = functools.partial(
            check_array,
            dtype=None,
            allow_nd=True,
            ensure_all_finite=ensure_all_finite,
            estimator=type(self).__name__,
            input_name="X",
        )
        if len(X) < min_samples or X.ndim < 2:
            check(X[:min_samples], ensure_min_samples=min_samples)
        return X.then(functools.partial(check, ensure_min_samples=0))

    def _accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape are like the fitted ones."""
        return shape in (self.input_shape_, (self.n_features_in_,))

    def _set_input_shape(self, X: Any) -> None:
        shape = X.shape[1:]
        if self.input_shape is not None:
            given = tuple(self.input_shape)
            if len(given) not in (2, 3) or not all(isinstance(side, Integral) and side > 0 for side in given):
                raise ValueError(
                    f"input_shape must be (H, W), (C, H, W) or (C, L) with positive integers, got {self.input_shape!r}."
                )
            if shape not in (given, (math.prod(given),)):
                raise ValueError(
                    f"input_shape={given} does not match X of shape {X.shape}: samples must have the shape {given} or "
                    f"({math.prod(given)},)."
                )
            shape = given
        if X.ndim > 2:
            self.__dict__.pop("feature_names_in_", None)
        self.input_shape_ = tuple(int(side) for side in shape)
        self.n_features_in_ = math.prod(self.input_shape_)

    # ------------------------------------------------------------------------------------------------------------- state
    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_learner" in state:
            state["_learner"] = state["_learner"].state()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_learner" in state:
            self._learner = self._restored(state["_learner"], self._built_with._make_optimizer)
            self.device_ = str(self._learner.device)

    @property
    def encoder_(self) -> nn.Module:
        """The trained encoder, a copy in eval mode: standardised tensors -> Code."""
        check_is_fitted(self)
        return copy.deepcopy(self._learner.objective.encoder).eval()


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
        return self._transform(X)

    def _transform(self, X: Any, extras: dict[str, Any] | None = None) -> Any:
        check_is_fitted(self)
        width = self._n_features_out
        X, extras = self._prepare(self._validate_X_to_encode(X), extras or {}, reset=False)
        return self._encode_rows(X, extras, width)

    def _validate_X_to_encode(self, X: Any) -> Any:
        """Return X as an array of samples that can be encoded."""
        return self._validate_X(X, reset=False)

    def _encode_rows(self, X: Any, extras: dict[str, Any], width: int) -> Any:
        features = np.empty((len(X), width), dtype=np.float32)
        outside = []
        for start in range(0, len(X), CHUNK):
            rows = slice(start, min(start + CHUNK, len(X)))
            features[rows] = self._features_of(X[rows], _rows(extras, rows))
            outside += (start + np.flatnonzero(~np.isfinite(features[rows]).all(axis=1))).tolist()
        if outside:
            raise ValueError(
                f"{len(outside)} sample(s), the first at row {outside[0]}, lie so far outside the range of the fitted data "
                "that their features are not finite in float32."
            )
        return features

    @torch.inference_mode()
    def _features_of(self, block: Any, extras: dict[str, Any]) -> Any:
        batch = self._learner.standardize(block)
        n_padding = -len(batch) % ROW_TILE
        if n_padding:
            batch = torch.cat([batch, batch.new_zeros(n_padding, *batch.shape[1:])])
            extras = {name: np.concatenate([part, part[:1].repeat(n_padding, 0)]) for name, part in extras.items()}
        features = self._encode(Batch(batch, np.arange(len(batch)), 0, extras))
        return features[: len(block)].cpu().numpy()

    def _encode(self, batch: Batch) -> torch.Tensor:
        """Return the features of a batch, (n, n_features_out)."""
        code = self._learner.objective.encoder(to_device(batch.X, self._learner.device))
        chosen = {"global": code.global_, "hidden": code.hidden, "local": code.local}[self.features]
        return chosen.flatten(1)

    @property
    def _n_features_out(self) -> int:
        encoder = self._learner.objective.encoder
        widths = {
            "global": encoder.n_components,
            "hidden": encoder.n_hidden,
            "local": math.prod(encoder.local_shape),
        }
        if not isinstance(self.features, str) or self.features not in widths:
            raise ValueError(f"Unknown features {self.features!r}. Allowed values are: {sorted(widths)}.")
        return widths[self.features]

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

    def _score(self, X: Any, extras: dict[str, Any] | None = None) -> float:
        check_is_fitted(self)
        X = self._validate_X(X, reset=False, min_samples=2)
        X, extras = self._prepare(X, extras or {}, reset=False)
        k = min(len(X), 256)
        blocks = [np.arange(start, start + k) % len(X) for start in range(0, len(X), k)]
        standardize = self._learner.standardize
        with torch.inference_mode():
            batches = (Batch(standardize(X[rows]), rows, 0, _rows(extras, rows)) for rows in blocks)
            score = float(np.mean([self._score_block(batch) for batch in batches]))
        if not math.isfinite(score):
            raise ValueError(
                f"The score is {score}: samples lie too far outside the range of the fitted data for float32."
            )
        return score

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _rows(extras: dict[str, Any], rows: Any) -> dict[str, Any]:
    return {name: values[rows] for name, values in extras.items()}


@contextmanager
def as_before_on_error(estimator: Any) -> Iterator[None]:
    """Leave an estimator as it was where the block raises."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        # with_callbacks still has to tear the callbacks down, and needs its own attributes for it.
        kept = {name: value for name, value in estimator.__dict__.items() if "callback" in name}
        estimator.__dict__.clear()
        estimator.__dict__.update(before | kept)
        raise


def check_factories(estimator: Any, names: tuple[str, ...]) -> None:
    """Refuse nn.Module instances among these parameters, and warn of classes and functions that pickle cannot find."""
    for name in names:
        for part in _leaves(getattr(estimator, name)):
            if isinstance(part, nn.Module) and name in ("encoder", "critic", "context"):
                raise TypeError(
                    f"{name} is an nn.Module instance of {type(part).__name__}; pass the class or a function that builds "
                    "it: clone would copy its trained weights into every candidate of a search."
                )
            if callable(part) and not _is_importable(part):
                warn(
                    f"{name}={part!r} is not an importable class or function: the fitted estimator cannot be pickled. "
                    "Define it at the top level of a module.",
                    PersistenceWarning,
                )


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what nested tuples and lists hold."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _is_importable(part: Any) -> bool:
    """Whether a class or function is found again under its module and name, as a saved model needs it."""
    while isinstance(part, functools.partial):
        part = part.func
    target = part if hasattr(part, "__qualname__") else type(part)
    found: Any = sys.modules.get(target.__module__)
    for name in target.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is target


def _same(a: Any, b: Any) -> bool:
    """Whether a parameter is what it was, copies made by clone included."""
    if a is b or repr(a) == repr(b):
        return True
    return type(a) is type(b) and hasattr(a, "__dict__") and repr(vars(a)) == repr(vars(b))
