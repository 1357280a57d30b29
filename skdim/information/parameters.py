"""What the parameters of MIEstimator may be, and the model that they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from skdim._params import check_factories, check_sizes
from skdim._sklearn import Interval, RealNotInt, StrOptions
from skdim.bounds import MI_BOUNDS, Bound
from skdim.information.densities import Counts, Gaussian, Independent, KnownConditional, LearnedConditional, Rate
from skdim.information.labels import Labels
from skdim.information.model import Learned, Model, bound_of
from skdim.information.neighbours import Neighbours
from skdim.information.ratio import LearnedRatio
from skdim.information.sides import MARGINALS, Side
from skdim.nn.critics import CRITICS, choose_critic
from skdim.training.fitting import TRAINING_CONSTRAINTS

if TYPE_CHECKING:
    from skdim.information.estimator import MIEstimator

#: Models by kind of dependence, as a saved state names them.
MODELS: dict[str, type[Model]] = {
    model.dependence: model
    for model in (
        LearnedRatio,
        LearnedConditional,
        KnownConditional,
        Rate,
        Gaussian,
        Neighbours,
        Labels,
        Counts,
        Independent,
    )
}
#: Estimators that are no function of a critic's scores, and the kind of dependence that each models.
OTHER_ESTIMATORS = {"ba": "conditional", "rate": "rate", "gaussian": "gaussian", "ksg": "neighbours"}
ESTIMATORS = {"auto", *MI_BOUNDS, *OTHER_ESTIMATORS}
#: Neighbours of "ksg" by default: few, which keeps the bias small (Kraskov et al. 2004, section II).
DEFAULT_NEIGHBORS = 3
#: Parameters of the transformers' training that MIEstimator lacks.
LACKING = {"schedule", "early_stopping", "tol", "warm_start", "precision", "compile"}
CONSTRAINTS: dict[str, Any] = {
    **{name: allowed for name, allowed in TRAINING_CONSTRAINTS.items() if name not in LACKING},
    "estimator": [StrOptions(ESTIMATORS), Bound],
    "critic": [StrOptions({"auto", *CRITICS}), callable],
    "marginals": [StrOptions({name for name in MARGINALS if name}), None],
    "reference": [StrOptions({"auto", "gaussian"}), None],
    "hidden_layer_sizes": [StrOptions({"auto"}), tuple, list],
    "radial_inputs": ["boolean"],
    "n_refits": [Interval(Integral, 0, None, closed="left")],
    "control_variate": ["boolean"],
    "conditional": [callable, None],
    "density": [callable, Interval(Real, None, None, closed="neither"), None],
    "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    "discrete_X": [StrOptions({"auto"}), "boolean", "array-like"],
    "discrete_y": [StrOptions({"auto"}), "boolean", "array-like"],
    "discrete_Z": [StrOptions({"auto"}), "boolean", "array-like"],
    "missing": [StrOptions({"raise", "drop"})],
    "weight_averaging": [Interval(Real, 0, 1, closed="left")],
    "test_fraction": [Interval(RealNotInt, 0, 1, closed="neither")],
    "confidence_level": [Interval(RealNotInt, 0, 1, closed="neither")],
}


def model_of(options: MIEstimator, sides: Sequence[Side] = (), is_constant: bool = False) -> type[Model]:
    """Return the model that the parameters ask for; without ``sides``, that of sides of numbers."""
    bound = bound_of(options.estimator)
    if bound is None:
        model = MODELS[OTHER_ESTIMATORS[str(options.estimator)]]
    elif bound.needs == "critic":
        model = LearnedRatio
    else:
        model = LearnedConditional if options.conditional is None else KnownConditional
    if (options.density is not None or model is Rate) and sides and sides[1].discrete.any():
        name = "density" if options.density is not None else f"estimator={options.estimator!r}"
        raise ValueError(
            f"{name} is for a y with a density, and columns {np.flatnonzero(sides[1].discrete).tolist()} of y are discrete. "
            "Say discrete_y=False if they are not, or take estimator='tnce' or 'auto'."
        )
    if is_constant:
        return Independent
    return model if model.is_known else (model, Labels, Counts)[sum(side.has_labels for side in sides)]


def refuse_own(params: Mapping[str, Any], own: Iterable[str], instead: str) -> None:
    """Raise a ``TypeError`` if parameters are given that a function sets itself, by its own parameters ``instead``."""
    if given := sorted(params.keys() & own):
        raise TypeError(f"{given} cannot be given here: they follow from {instead}.")


def check_parameters(options: MIEstimator, has_given: bool = False) -> None:
    """Raise a ``ValueError`` or ``TypeError`` if a parameter is invalid, or has no effect together with others."""
    check_factories(options, ("critic", "optimizer", "conditional", "density"))
    options._validate_params()
    critic, conditional, bound = options.critic, options.conditional, bound_of(options.estimator)
    name = options.estimator if bound is None else bound.name
    if bound is not None:
        bound.check()
        if not bound.measures_information:
            raise ValueError(
                f"estimator={bound!r} is a loss of metric learning and measures no mutual information. Allowed are "
                f"{sorted(ESTIMATORS)}."
            )
    if not has_given and not (isinstance(options.discrete_Z, str) and options.discrete_Z == "auto"):
        raise ValueError(f"discrete_Z={options.discrete_Z!r} has no effect without Z.")
    model, learns_conditional = model_of(options), bound is not None and bound.learns_conditional
    needs_conditional = issubclass(model, KnownConditional) or (bound is not None and bound.needs == "conditional")
    if conditional is None and needs_conditional and not learns_conditional:
        raise ValueError(
            f"estimator={name!r} needs the known log p(y | x): give conditional, a callable (X, Y) -> (n,)."
        )
    if conditional is not None and not needs_conditional:
        raise ValueError(
            f"conditional has no effect on estimator={name!r}; it is for 'tnce', 'l1out', 'club' and 'rate'."
        )
    if options.density is not None and (bound is not None or model is not LearnedConditional):
        raise ValueError(f"density has no effect on estimator={name!r}; it is for 'ba'.")
    if options.n_neighbors != DEFAULT_NEIGHBORS and model is not Neighbours:
        raise ValueError(f"n_neighbors has no effect on estimator={name!r}; it is for 'ksg'.")
    has_default_critic = isinstance(critic, str) and critic == "auto"
    if model is not LearnedRatio and not has_default_critic:
        raise ValueError(f"critic={critic!r} has no effect on estimator={name!r}, which has no critic.")
    if not isinstance(options.hidden_layer_sizes, str):
        check_sizes("hidden_layer_sizes", options.hidden_layer_sizes, at_least=1)
        if not has_default_critic:
            choose_critic(critic, options.hidden_layer_sizes)  # refuses layers for a critic that has its own or none
        if not issubclass(model, Learned):
            raise ValueError(f"hidden_layer_sizes has no effect on estimator={name!r}, which has no network.")
    if options.reference == "gaussian" and not (bound is not None and bound.takes_reference):
        raise ValueError(
            f"reference='gaussian' and estimator={name!r} do not go together: the reference's quadratic tails make e^f "
            "explode, or there is no critic to start. Use reference=None or 'auto'."
        )
