"""MIEstimator against samplers with known mutual information, and the laws that mutual information obeys."""

import functools
import itertools
import math
import traceback
import warnings

import numpy as np
import pytest
from helpers import KnownChannel, KnownGaussian, KnownNormal, tiny_mi
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.model_selection import GridSearchCV, KFold
from tasks import FURTHER, LabelledGaussians

from skdim import MIEstimator, MIResult, mutual_information
from skdim.bounds import DV, MI_BOUNDS, SMILE, Alpha, Criterion, InfoNCE, _softmax
from skdim.exceptions import OutlierWarning, PersistenceWarning
from skdim.information import stacked
from skdim.information.canonical import canonical_axes
from skdim.information.discrete import discrete_mutual_information, entropy
from skdim.information.folds import splits_of
from skdim.nn.critics import Bilinear, Concat, Inner, Separable
from skdim.synthetic import BEYOND_NORMAL, GaussianPairs, SharedNoise, StudentT

pytestmark = [
    pytest.mark.filterwarnings("ignore::skdim.exceptions.SaturationWarning"),
    pytest.mark.filterwarnings(
        "ignore::skdim.exceptions.UnderfittingWarning"
    ),  # networks here are small, and soon stopped
]

#: For tests whose values are meant to be larger than so few rows can support.
FEW_ROWS = pytest.mark.filterwarnings("ignore::skdim.exceptions.SmallSampleWarning")

RHO = 0.8
TRUTH = -0.5 * math.log(1 - RHO**2)  # 0.511
#: What each estimator's expectation is to the mutual information.
KINDS = {
    "infonce": "lower",
    "mlcpc": "lower",
    "alpha": "lower",
    "jsd": "lower",
    "nwj": "lower",
    "tuba": "lower",
    "flo": "lower",
    "dv": "estimate",
    "uba": "estimate",
    "smile": "estimate",
    "dime": "estimate",
    "ba": "estimate",
    "gaussian": "estimate",
    "club": "estimate",  # of a learned conditional
}
KNOWN = {"tnce": "lower", "l1out": "upper", "club": "upper", "rate": "upper"}
OF_CRITICS = [name for name, bound in MI_BOUNDS.items() if bound.needs == "critic"]
OF_CRITICS_ALONE = [name for name in OF_CRITICS if not MI_BOUNDS[name].auxiliary]
WITH_REFERENCE = [name for name in OF_CRITICS if MI_BOUNDS[name].takes_reference]
CAPPED = ["infonce", "mlcpc", "alpha"]


@functools.cache
def pairs(n=1000, rho=RHO, n_dims=1, seed=0):
    return GaussianPairs(rho, n_dims).sample(n, random_state=seed)


@functools.cache
def fitted(estimator="infonce", n=1000, seed=0, **params):
    return tiny_mi(estimator=estimator, **dict(params)).fit(*pairs(n, seed=seed))


@functools.cache
def trained(estimator):
    """Return a fit that went on until it no longer improved: without a reference that takes its time."""
    network = {} if estimator == "gaussian" else {"hidden_layer_sizes": (16, 16)}
    epochs = 25 if estimator in WITH_REFERENCE else 120
    return tiny_mi(estimator=estimator, max_iter=epochs, **network).fit(*pairs(1200))


def held_out(estimator, n):
    """Return the test rows of a fit to n rows."""
    return splits_of(estimator._models[0], n)[0].test


# ------------------------------------------------------------------------------------------------------- kinds and options
def test_every_estimator_is_in_the_table():
    assert KINDS.keys() | KNOWN.keys() == MI_BOUNDS.keys() | {"ba", "rate", "gaussian"}


@pytest.mark.parametrize("estimator", KINDS)
@pytest.mark.filterwarnings("ignore:estimator='club' finds:skdim.exceptions.NotABoundWarning")
def test_every_estimator_has_its_kind_and_finds_strong_dependence(estimator):
    mi = trained(estimator)
    assert mi.kind_ == mi.estimate(*pairs(400, seed=1)).kind == KINDS[estimator]
    lower, upper = mi.mi_interval_
    assert lower < mi.mi_ < upper
    slack = 3 * mi.diagnostics_["standard_error"]
    if estimator == "club":  # rho^2 / (1 - rho^2) at the true conditional
        assert mi.mi_ == pytest.approx(1.78, abs=0.5)
    else:
        assert TRUTH - slack - 0.25 < mi.mi_ < TRUTH + slack + 0.05
    assert mi.diagnostics_["p_value"] == pytest.approx(1 / 200)


@pytest.mark.parametrize("estimator", [*WITH_REFERENCE, "gaussian"])
def test_with_the_gaussian_reference_little_training_is_needed(estimator):
    mi = fitted(estimator)
    assert mi.mi_ == pytest.approx(TRUTH, abs=3 * mi.diagnostics_["standard_error"])
    assert mi.mi_interval_[1] - mi.mi_interval_[0] < 0.3


@pytest.mark.filterwarnings("ignore::skdim.exceptions.HighVarianceWarning")
@pytest.mark.parametrize("critic", ["auto", "inner", "bilinear", "separable", "concat"])
@pytest.mark.parametrize("estimator", OF_CRITICS)
def test_every_estimator_goes_with_every_critic(estimator, critic):
    X, y = pairs(1200)
    mi = tiny_mi(estimator=estimator, critic=critic, max_iter=4).fit(X, y)
    slack = 3 * mi.diagnostics_["standard_error"]
    assert -0.4 - slack < mi.mi_ < TRUTH + slack + 0.1
    assert np.isfinite(mi.mi_interval_).all()
    assert mi.kind_ == KINDS[estimator]
    assert 1 <= mi.n_iter_ == len(mi.history_)
    few = X[:200], y[:200]
    assert np.isfinite([*mi.pointwise(*few), mi.score(*few), mi.estimate(*few).value]).all()


CONFIGURED = [
    {"critic": Inner()},
    {"critic": Bilinear()},
    {"critic": Separable(width=8, hidden_layer_sizes=(8,))},
    {"critic": Concat(hidden_layer_sizes=(8, 8))},
    {"estimator": InfoNCE()},
    {"estimator": Alpha(alpha=1.0)},
    {"estimator": SMILE(tau=1.0)},
    {"estimator": DV(momentum=0.0)},
    {"optimizer": "adam"},
    {"optimizer": "sgd"},
    {"radial_inputs": False},
    {"weight_averaging": 0.0},
    {"n_refits": 2},
    {"batch_size": 32},
    {"hidden_layer_sizes": (8, 4)},
]


@pytest.mark.parametrize("params", CONFIGURED, ids=str)
def test_configured_estimators_critics_and_training(params):
    assert 0 < tiny_mi(**params).fit(*pairs(600)).mi_ < TRUTH + 0.15


@pytest.mark.parametrize("reference", ["auto", "gaussian", None])
@pytest.mark.parametrize("marginals", ["normal_scores", "standardize", None])
def test_marginals_and_reference(marginals, reference):
    mi = tiny_mi(marginals=marginals, reference=reference, max_iter=25).fit(*pairs(1200))
    assert 0.35 < mi.mi_ < TRUTH + 0.15


def test_without_training_the_reference_alone_is_the_critic_and_without_it_nothing():
    X, y = pairs()
    assert tiny_mi(max_iter=0).fit(X, y).mi_ == pytest.approx(TRUTH, abs=0.1)
    nothing = tiny_mi(max_iter=0, reference=None).fit(X, y)
    assert nothing.mi_ == pytest.approx(0, abs=0.05)
    assert nothing.n_iter_ == 0
    assert nothing.history_ == []


def test_normal_scores_see_what_standardising_does_not():
    # A monotone map hides the dependence from a linear reference that sees the columns as they are.
    X, y = pairs()
    bent = np.sign(X) * np.exp(3 * np.abs(X))
    scores = tiny_mi(estimator="gaussian", marginals="normal_scores").fit(bent, y).mi_
    with pytest.warns(OutlierWarning, match="use marginals='normal_scores'"):
        plain = tiny_mi(estimator="gaussian", marginals=None).fit(bent, y).mi_
    assert scores == pytest.approx(TRUTH, abs=0.06)
    assert plain < 0.2


@pytest.mark.parametrize("n", [300, 257])
def test_infonce_of_very_many_rows_is_that_of_all_their_pairs(n, monkeypatch):
    mi = fitted(n_refits=1)
    x, y = mi._new_rows(*pairs(n, seed=3))
    expected = mi._models[0].evaluate(x, y)
    monkeypatch.setattr(stacked, "BLOCK", 200)
    monkeypatch.setattr(_softmax, "SCORES_BY_PART", 100 * n)
    scored = []
    monkeypatch.setattr(mi._models[0].critic, "forward", whole_rows(mi._models[0].critic.forward, scored))
    found = mi._models[0].evaluate(x, y)
    assert max(scored) == (100, n)  # never all pairs at once
    assert found.value == pytest.approx(expected.value, abs=1e-5)
    assert found.cap == math.log(n)
    np.testing.assert_allclose(found.per_row, expected.per_row, atol=1e-4)


def whole_rows(forward, scored):
    def watched(x, y):
        scored.append((len(x), len(y)))
        return forward(x, y)

    return watched


def test_a_mixture_is_fitted_where_it_says_more_than_one_gaussian():
    task = FURTHER["contaminated-5-5-0.2"]  # 2.36 nats, of which one Gaussian sees 0.35
    X, y = task.sample(3000, random_state=0)
    values = {ref: tiny_mi(reference=ref, max_iter=0).fit(X, y).mi_ for ref in ("auto", "gaussian")}
    assert values["gaussian"] < 0.6
    assert 1.9 < values["auto"] < task.mutual_information + 0.1
    trained = {ref: tiny_mi(reference=ref, n_refits=1).fit(X, y) for ref in ("auto", "gaussian")}
    assert trained["auto"].mi_ > trained["gaussian"].mi_ + 0.3


@pytest.mark.parametrize("estimator", ["infonce", "mlcpc", "alpha", "jsd", "dime"])
def test_gaussian_data_need_no_mixture(estimator):
    X, y = pairs(2000, n_dims=2)
    auto, plain = (tiny_mi(estimator=estimator, reference=ref).fit(X, y) for ref in ("auto", "gaussian"))
    assert auto.mi_ == pytest.approx(plain.mi_, abs=0.02)


def test_the_history_tells_every_network():
    mi = tiny_mi(max_iter=6, n_refits=1).fit(*BEYOND_NORMAL["spiral-multinormal-sparse-3-3-2-2.0"].sample(1000, 0))
    assert [row["epoch"] for row in mi.history_] == list(range(1, mi.n_iter_ + 1))
    assert len({row["network"] for row in mi.history_}) >= 2
    assert all(np.isfinite(row["loss"]) for row in mi.history_)
    assert any("valid_loss" in row for row in mi.history_)


@pytest.mark.parametrize(
    ("task", "least"),
    [
        ("swissroll_x-normal_cdf-1v1-normal-0.75", 0.3),  # 0.41
        ("spiral-multinormal-sparse-3-3-2-2.0", 0.6),  # 1.02; 0.23 of it Gaussian
        ("circle-0.1", 0.4),  # no correlation at all
    ],
)
def test_dependence_that_no_correlation_shows(task, least):
    task = (BEYOND_NORMAL | FURTHER)[task]
    mi = MIEstimator(hidden_layer_sizes=(64, 64), n_refits=0, max_iter=30, random_state=0).fit(
        *task.sample(2000, random_state=0)
    )
    assert least < mi.mi_ < task.mutual_information + 3 * mi.diagnostics_["standard_error"]
    assert mi.diagnostics_["p_value"] < 0.01


# --------------------------------------------------------------------------------------------- estimators of one's own
def lowered(base):
    """Return a subclass of a bound whose value is 1 nat less, and whose kind and cap are its own."""

    class Lowered(base):
        name, kind = "lowered", "estimate"

        def value(self, scores):
            return super().value(scores) - 1

        def cap(self, k):
            return 7.0

    return Lowered()


@pytest.mark.parametrize("block", [stacked.BLOCK, 100])
@pytest.mark.parametrize("name", OF_CRITICS_ALONE)
def test_a_subclass_with_another_value_is_reported_by_it(name, block, monkeypatch):
    monkeypatch.setattr(stacked, "BLOCK", block)
    base, own = (
        tiny_mi(estimator=bound, critic="separable", control_variate=False, max_iter=1).fit(*pairs(1200))  # one split
        for bound in (MI_BOUNDS[name](), lowered(MI_BOUNDS[name]))
    )
    scores = own._models[0].scores(*own._new_rows(*pairs(300, seed=4)))
    expected = own.estimator.symmetric_value(scores).item()
    assert own.estimate(*pairs(300, seed=4)).value == pytest.approx(expected, abs=1e-4)
    assert expected == pytest.approx(MI_BOUNDS[name]().symmetric_value(scores).item() - 1, abs=1e-4)
    assert (own.kind_, own.cap_) == ("estimate", 7.0)
    assert own.mi_ == pytest.approx(base.mi_ - 1, abs=0.1)


@pytest.mark.parametrize(
    ("name", "conditional"),
    [(name, KnownGaussian(RHO)) for name in KNOWN if name in MI_BOUNDS]
    + [(name, None) for name in KNOWN if name in MI_BOUNDS and MI_BOUNDS[name].learns_conditional],
    ids=lambda value: value if isinstance(value, str) else "learned" if value is None else "known",
)
def test_a_subclass_of_a_conditional_bound_is_reported_by_its_value(name, conditional):
    params = {"conditional": conditional, "hidden_layer_sizes": "auto" if conditional else (16,), "max_iter": 1}
    base, own = (tiny_mi(estimator=b, **params).fit(*pairs(200)) for b in (MI_BOUNDS[name](), lowered(MI_BOUNDS[name])))
    assert own.mi_ == pytest.approx(base.mi_ - 1, abs=1e-4)
    assert own.cap_ == 7.0
    assert own.kind_ == "estimate"


def test_from_fit_to_the_loss_are_at_most_seven_frames_of_ours(monkeypatch):
    depths = []
    loss = Criterion.loss

    def watched(self, *args):
        frames = [frame.filename for frame in traceback.extract_stack() if "/skdim/" in frame.filename]
        depths.append(len(frames))
        return loss(self, *args)

    monkeypatch.setattr(Criterion, "loss", watched)
    tiny_mi(max_iter=1, critic="separable").fit(*pairs())
    assert max(depths) + 1 <= 7  # with the loss itself


# ----------------------------------------------------------------------------------------------------- known conditionals
def test_a_known_conditional_sandwiches_the_mutual_information():
    for rho, n_dims in [(0.5, 1), (0.8, 2), (0.99, 3)]:
        truth = -n_dims / 2 * math.log(1 - rho**2)
        values = {}
        for estimator, kind in KNOWN.items():
            draws = []
            for seed in range(12):
                mi = tiny_mi(estimator=estimator, conditional=KnownGaussian(rho)).fit(*pairs(100, rho, n_dims, seed))
                assert mi.kind_ == kind
                assert mi.n_iter_ == 0
                draws.append(mi.mi_)
            values[estimator] = np.mean(draws), 3 * np.std(draws) / math.sqrt(len(draws))
        assert values["tnce"][0] <= truth + values["tnce"][1]
        for upper in ("l1out", "rate"):
            assert values[upper][0] >= truth - values[upper][1]
            assert values["tnce"][0] <= values[upper][0]
        exact_club = n_dims * rho**2 / (1 - rho**2)
        assert values["club"][0] == pytest.approx(exact_club, abs=values["club"][1] + 1e-9)


@pytest.mark.parametrize("known", [KnownNormal(), 0.5 * math.log(2 * math.pi * math.e)], ids=["density", "entropy"])
def test_a_known_density_makes_barber_agakov_a_lower_bound_in_the_units_of_y(known):
    X, y = pairs(2000)
    units = 100.0
    in_units = (lambda Y: known(Y / units) - math.log(units)) if callable(known) else known + math.log(units)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PersistenceWarning)  # of the function in other units
        fits = [tiny_mi(estimator="ba", density=density, max_iter=120) for density in (known, in_units)]
        here, there = (mi.fit(X, part) for mi, part in zip(fits, (y, units * y), strict=True))
    assert here.kind_ == here.estimate(X, y).kind == "lower"
    assert here.lower_bound_ == here.mi_ == pytest.approx(there.mi_, abs=1e-4)
    slack = 3 * here.diagnostics_["standard_error"]
    assert TRUTH - 0.1 - slack < here.mi_ < TRUTH + slack
    np.testing.assert_allclose(here.pointwise(X, y).mean(), TRUTH, atol=0.1)


def test_the_known_densities_hold_the_information_of_a_bent_channel_between_them():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 1))
    y = np.exp(X) + rng.normal(scale=0.5, size=X.shape)
    steps = np.linspace(-8, 8, 4001)
    centres, weights = np.exp(steps), norm.pdf(steps) * (steps[1] - steps[0])

    def density(Y):
        return np.log(norm.pdf(Y, centres, 0.5) @ weights)

    def conditional(X, Y):
        return norm.logpdf(Y, np.exp(X), 0.5)[:, 0]

    truth = (conditional(X, y) - density(y)).mean()  # by the law of large numbers, with the same rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PersistenceWarning)
        lower = tiny_mi(estimator="ba", density=density, max_iter=40, hidden_layer_sizes=(32, 32)).fit(X, y)
        upper = {name: tiny_mi(estimator=name, conditional=conditional).fit(X, y) for name in ("l1out", "rate")}
    slack = {mi: 3 * mi.diagnostics_["standard_error"] for mi in (lower, *upper.values())}
    assert truth - 0.3 < lower.mi_ < truth + slack[lower]
    assert all(mi.mi_ > truth - slack[mi] for mi in upper.values())
    assert min(mi.mi_ for mi in upper.values()) < truth + 0.1


def test_a_density_is_refused_where_y_has_none():
    X, y = pairs(400)
    cases = [
        (KnownNormal(), np.hstack([y, y]), "1 of 2 directions"),
        (lambda Y: np.zeros(3), y, r"density\(Y\) must return the finite log p\(y\) of shape \(n,\)"),
        (KnownNormal(), y > 0, "density is for a y with a density"),
    ]
    for density, target, message in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PersistenceWarning)
            with pytest.raises(ValueError, match=message):
                tiny_mi(estimator="ba", density=density).fit(X, target)
    for target, message in ((y > 0, "'rate' is for a y with a density"), (np.hstack([y, y * 0]), "Column 1 of y")):
        with pytest.raises(ValueError, match=message):
            tiny_mi(estimator="rate", conditional=KnownGaussian(RHO)).fit(X, target)


def test_tnce_is_the_formula_on_all_rows():
    X, y = pairs(150)
    log_p = np.array(
        [KnownGaussian(RHO)(np.repeat(X[[i]], 150, axis=0), y) for i in range(150)]
    )  # [i, j]: of y_j at x_i
    expected = np.mean(log_p.diagonal() - logsumexp(log_p, 0) + math.log(150))
    mi = tiny_mi(estimator="tnce", conditional=KnownGaussian(RHO)).fit(X, y)
    assert mi.mi_ == pytest.approx(expected, abs=1e-9)
    assert mi.estimate(X, y).value == pytest.approx(expected, abs=1e-9)
    assert mi.cap_ == pytest.approx(math.log(150))
    np.testing.assert_allclose(mi.pointwise(X, y), log_p.diagonal() - logsumexp(log_p, 0) + math.log(150), atol=1e-9)


def test_a_known_channel_of_bits():
    X = np.arange(2000)[:, None] % 2 == 0
    y = X ^ (np.random.default_rng(0).random((2000, 1)) < 0.1)
    truth = math.log(2) - entropy([0] * 9 + [1])
    for estimator in ("tnce", "l1out"):
        mi = tiny_mi(estimator=estimator, conditional=KnownChannel(0.1)).fit(X, y)
        assert mi.mi_ == pytest.approx(truth, abs=0.05)


# --------------------------------------------------------------------------------------------------------- score, estimate
@pytest.mark.parametrize("n", [2, 100, 256, 300, 600])
def test_score_is_infonce_over_both_anchors_in_blocks_of_distinct_rows(n):
    X, y = pairs(1200, n_dims=2)
    mi = tiny_mi(estimator="gaussian", marginals=None).fit(X[:600], y[:600])
    axes = canonical_axes(X[:600], y[:600])
    new_x, new_y, k = X[600 : 600 + n], y[600 : 600 + n], min(n, 256)
    values = []
    for start in range(0, n, k):
        rows = np.arange(start, start + k) % n
        f = np.array([axes.log_ratio(np.repeat(new_x[[i]], k, axis=0), new_y[rows]) for i in rows])
        joint = f.diagonal().mean() + math.log(k)
        values.append(joint - (logsumexp(f, 1).mean() + logsumexp(f, 0).mean()) / 2)
    assert mi.score(new_x, new_y) == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("estimator", [*KINDS, *KNOWN])
def test_score_is_a_lower_bound_whatever_the_estimator(estimator):
    X, y = pairs(1000, seed=3)
    if estimator in KNOWN:
        mi = tiny_mi(estimator=estimator, conditional=KnownGaussian(RHO)).fit(*pairs())
    else:
        mi = trained(estimator)
    assert mi.score(X, y) == mi.score(X, y)
    assert 0.3 < mi.score(X, y) < TRUTH + 0.1


@pytest.mark.parametrize("estimator", ["infonce", "l1out"])
def test_score_never_passes_log_k(estimator):
    X, y = pairs(1000, rho=0.9999, n_dims=3)  # 12.8 nats
    params = {"conditional": KnownGaussian(0.9999)} if estimator == "l1out" else {}
    mi = tiny_mi(estimator=estimator, **params).fit(X, y)
    for n, k in [(20, 20), (256, 256), (1000, 256)]:
        assert 0.8 * math.log(k) < mi.score(X[:n], y[:n]) <= math.log(k) + 1e-5


def test_a_search_does_not_prefer_an_upper_bound():
    search = GridSearchCV(
        tiny_mi(estimator="tnce", conditional=KnownGaussian(RHO)), {"estimator": ["tnce", "l1out", "club"]}, cv=3
    )
    search.fit(*pairs(300))
    assert np.ptp(search.cv_results_["mean_test_score"]) < 1e-9
    assert search.best_params_ == {"estimator": "tnce"}


def test_a_search_over_estimators_and_critics():
    grid = {"estimator": ["infonce", "dime"], "critic": ["separable", "bilinear"]}
    search = GridSearchCV(tiny_mi(hidden_layer_sizes="auto"), grid, cv=KFold(3), error_score="raise").fit(*pairs(900))
    scores = search.cv_results_["mean_test_score"]
    assert ((scores > 0.35) & (scores < 0.65)).all()
    assert search.best_estimator_.mi_ == pytest.approx(TRUTH, abs=0.1)


@pytest.mark.parametrize("estimator", [*WITH_REFERENCE, "gaussian", "ba"])
def test_estimate_holds_on_fresh_rows(estimator):
    result = trained(estimator).estimate(*pairs(1500, seed=7))
    assert isinstance(result, MIResult)
    assert result.interval[0] < result.value < result.interval[1]
    assert result.value == pytest.approx(TRUTH, abs=0.12)
    assert result.diagnostics["standard_error"] < 0.05


def test_estimate_takes_rows_beyond_those_of_fit():
    # New rows are scored by the fitted distribution; further out than any fitted row they must not explode.
    for seed in range(3):
        X, y = pairs(2000, seed=seed)
        mi = tiny_mi(max_iter=1).fit(X[:200], y[:200])
        assert mi.estimate(X[200:], y[200:]).value == pytest.approx(TRUTH, abs=0.15)
        assert mi.score(X[200:], y[200:]) == pytest.approx(TRUTH, abs=0.15)
    X, y = (np.sinh(3 * part) ** 3 for part in pairs(2000))  # to 1e13
    mi = tiny_mi(max_iter=1).fit(X[:300], y[:300])
    assert mi.estimate(X[300:], y[300:]).value > 0.3


# --------------------------------------------------------------------------------------------------------------- pointwise
@pytest.mark.parametrize(
    ("estimator", "least_correlation"), [*((name, 0.97) for name in WITH_REFERENCE), ("gaussian", 0.97), ("ba", 0.95)]
)
def test_pointwise_is_the_exact_log_ratio_of_gaussians(estimator, least_correlation):
    X, y = pairs(1000, seed=5)
    exact = GaussianPairs(RHO).log_ratio(X, y)
    mi = trained(estimator)
    pointwise = mi.pointwise(X, y)
    assert pointwise.shape == (1000,)
    assert np.corrcoef(pointwise, exact)[0, 1] > least_correlation
    assert pointwise.mean() == pytest.approx(exact.mean(), abs=0.06)


@pytest.mark.parametrize("estimator", ["dv", "nwj", "tuba", "smile", "flo"])
def test_pointwise_of_critics_that_start_from_nothing(estimator):
    X, y = pairs(1000, seed=5)
    exact = GaussianPairs(RHO).log_ratio(X, y)
    mi = trained(estimator)
    assert np.corrcoef(mi.pointwise(X, y), exact)[0, 1] > 0.85
    assert mi.pointwise(X, y).mean() == pytest.approx(exact.mean(), abs=0.15)


def test_pointwise_is_the_exact_log_ratio_of_student_variables():
    # Uncorrelated: what is found is in the radii alone.
    family = StudentT(dof=1, dispersion=np.eye(4), dim_x=2)
    X, y = family.sample(3000, random_state=0)
    exact = family.log_ratio(X, y)
    mi = MIEstimator(hidden_layer_sizes=(64, 64), n_refits=0, random_state=0).fit(X[:2000], y[:2000])
    assert mi.mi_ == pytest.approx(family.mutual_information, abs=0.12)  # 0.43
    assert np.corrcoef(mi.pointwise(X[2000:], y[2000:]), exact[2000:])[0, 1] > 0.9


@pytest.mark.parametrize("n", [1200, 9000])
def test_the_held_out_mean_of_pointwise_is_the_raw_estimate(n):
    X, y = pairs(n)
    mi = tiny_mi(max_iter=1, control_variate=False, test_fraction=0.2).fit(X, y)
    rows = held_out(mi, n)
    assert len(rows) <= 2048
    assert mi.pointwise(X[rows], y[rows]).mean() == pytest.approx(mi.mi_, abs=1e-5)


def test_pointwise_does_not_depend_on_the_rows_beside():
    X, y = pairs(600, seed=1)
    for estimator in ("infonce", "ba", "gaussian"):
        mi = fitted(estimator)
        whole = mi.pointwise(X, y)
        np.testing.assert_allclose(mi.pointwise(X[37:39], y[37:39]), whole[37:39], atol=1e-5)
        np.testing.assert_allclose(mi.pointwise(X[::-1], y[::-1]), whole[::-1], atol=1e-5)


# ---------------------------------------------------------------------------------------------- intervals and independence
@pytest.mark.parametrize(("estimator", "least"), [("gaussian", 0.88), ("infonce", 0.8)])
def test_intervals_cover(estimator, least):
    covered = []
    for seed in range(40):
        mi = tiny_mi(estimator=estimator, reference="auto", max_iter=0).fit(*pairs(500, seed=seed))
        covered.append(mi.mi_interval_[0] <= TRUTH <= mi.mi_interval_[1])
    assert least <= np.mean(covered)


def test_more_confidence_takes_a_wider_interval():
    widths = [np.diff(fitted(confidence_level=level, max_iter=1).mi_interval_) for level in (0.5, 0.9, 0.99)]
    assert widths[0] < widths[1] < widths[2]
    assert len({fitted(confidence_level=level, max_iter=1).mi_ for level in (0.5, 0.9, 0.99)}) == 1


def test_the_control_variate_takes_noise_away():
    errors, stated = {True: [], False: []}, {}
    for seed, use in itertools.product(range(10), errors):
        mi = tiny_mi(max_iter=1, control_variate=use, test_fraction=0.2).fit(*pairs(1200, seed=seed))
        errors[use].append(mi.mi_ - TRUTH)
        if seed == 0:
            stated[use] = mi.diagnostics_["standard_error"]
    assert np.std(errors[True]) < 0.7 * np.std(errors[False])
    assert stated[True] < 0.8 * stated[False]


@pytest.mark.parametrize("n_dims", [1, 4])
@pytest.mark.parametrize("estimator", KINDS)
def test_independent_data_give_nearly_0_and_an_interval_with_0(estimator, n_dims):
    rng = np.random.default_rng(n_dims)
    X, y = rng.normal(size=(600, n_dims)), rng.exponential(size=(600, n_dims))
    mi = tiny_mi(estimator=estimator, reference="auto", max_iter=15).fit(X, y)
    assert mi.mi_ == pytest.approx(0, abs=0.05)
    assert mi.mi_interval_[0] <= 0 <= mi.mi_interval_[1]
    assert mi.diagnostics_["p_value"] > 0.01


def test_rows_that_depend_on_each_other_void_the_bound():
    # Groups of rows share their noise, and the split tears them apart; the mutual information of a pair is 0.0204.
    mi = tiny_mi(max_iter=20).fit(*SharedNoise(batch_size=200).sample(2000, random_state=0))
    assert mi.kind_ == "lower"
    assert mi.mi_interval_[0] > 5 * 0.0204


def test_many_independent_columns_are_no_information():
    rng = np.random.default_rng(0)
    mi = tiny_mi(reference="auto").fit(rng.normal(size=(500, 60)), rng.normal(size=(500, 40)))
    assert mi.mi_ == pytest.approx(0, abs=0.05)
    assert mi.mi_interval_[0] <= 0 <= mi.mi_interval_[1]


# -------------------------------------------------------------------------------------------------------------------- laws
LAW = {"hidden_layer_sizes": (32, 32), "reference": "auto", "max_iter": 15}


def test_exchanging_x_and_y_changes_nothing_beyond_noise():
    for n_dims in (1, 3):
        X, y = pairs(1500, rho=0.7, n_dims=n_dims)
        y = y[:, :2] if n_dims == 3 else y
        forth, back = tiny_mi(**LAW).fit(X, y), tiny_mi(**LAW).fit(y, X)
        assert back.mi_ == pytest.approx(forth.mi_, abs=forth.diagnostics_["standard_error"])


def test_the_order_of_rows_and_columns_does_not_matter_beyond_noise():
    X, y = pairs(1500, rho=0.7, n_dims=3)
    mi, order = tiny_mi(**LAW).fit(X, y), np.random.default_rng(0).permutation(1500)
    for again in (tiny_mi(**LAW).fit(X[order], y[order]), tiny_mi(**LAW).fit(X[:, ::-1], y[:, [1, 2, 0]])):
        assert again.mi_ == pytest.approx(mi.mi_, abs=2 * mi.diagnostics_["standard_error"])


def falling(column):
    return -column


def falling_cube(column):
    return -(column**3)


def units(column):
    return 1e-6 * column + 1000


#: Maps of the columns of X and of those of y.
MAPS = [((np.exp, falling), (falling_cube, np.arctan)), ((np.arctan, units), (np.exp, falling_cube))]


@pytest.mark.parametrize("estimator", ["infonce", "dime", "nwj", "flo", "ba", "gaussian", "club"])
def test_monotone_maps_of_columns_change_nothing(estimator):
    X, y = pairs(500, rho=0.6, n_dims=2)
    mi = tiny_mi(estimator=estimator, reference="auto", max_iter=1).fit(X, y)
    for of_x, of_y in MAPS:
        mapped_x, mapped_y = (
            np.column_stack([of(column) for of, column in zip(maps, side.T, strict=True)])
            for maps, side in ((of_x, X), (of_y, y))
        )
        again = tiny_mi(estimator=estimator, reference="auto", max_iter=1).fit(mapped_x, mapped_y)
        assert again.mi_ == pytest.approx(mi.mi_, abs=1e-6)
        np.testing.assert_allclose(again.mi_interval_, mi.mi_interval_, atol=1e-6)
        np.testing.assert_allclose(again.pointwise(mapped_x, mapped_y), mi.pointwise(X, y), atol=1e-5)


def test_independent_pairs_add_up():
    (X1, y1), (X2, y2) = pairs(2000, rho=0.7), BEYOND_NORMAL["1v1-additive-0.75"].sample(2000, random_state=1)
    one, two = tiny_mi(**LAW).fit(X1, y1), tiny_mi(**LAW).fit(X2, y2)
    both = tiny_mi(**LAW).fit(np.hstack([X1, X2]), np.hstack([y1, y2]))
    errors = [mi.diagnostics_["standard_error"] for mi in (one, two, both)]
    assert both.mi_ == pytest.approx(one.mi_ + two.mi_, abs=0.1 + 2 * np.linalg.norm(errors))


def test_data_processing_loses_information():
    X, y = pairs(1500, rho=0.9, n_dims=2)
    rng = np.random.default_rng(99)
    chain = {
        "as they are": y,
        "with noise": y + 0.5 * rng.normal(size=y.shape),
        "one column": y[:, :1],
        "its sign": np.sign(y[:, :1]),
        "noise": rng.normal(size=y.shape),
    }
    values = [tiny_mi(**LAW).fit(X, part).mi_ for part in chain.values()]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1.66, abs=0.15)
    assert values[2] == pytest.approx(0.83, abs=0.1)
    assert values[-1] == pytest.approx(0, abs=0.05)


def test_a_further_independent_column_adds_nothing():
    X, y = pairs(1500, rho=0.8)
    noise = np.random.default_rng(99).normal(size=(1500, 3))
    one, more = tiny_mi(**LAW).fit(X, y), tiny_mi(**LAW).fit(np.hstack([X, noise]), y)
    assert more.mi_ == pytest.approx(one.mi_, abs=0.05)


def test_values_rise_with_the_dependence():
    values = [tiny_mi(max_iter=2).fit(*pairs(800, rho=rho)).mi_ for rho in (0.0, 0.3, 0.6, 0.8, 0.9, 0.97)]
    assert values == sorted(values)


# -------------------------------------------------------------------------------------------------------------------- caps
@FEW_ROWS
@pytest.mark.parametrize("estimator", CAPPED)
def test_no_value_passes_its_cap(estimator):
    for n, rho in [(100, 0.999999), (1000, 0.999999), (1000, 0.8)]:
        X, y = pairs(n, rho=rho, n_dims=4)
        mi = tiny_mi(estimator=estimator).fit(X, y)
        result = mi.estimate(X[: n // 2], y[: n // 2])
        assert mi.mi_ <= mi.cap_ == pytest.approx(MI_BOUNDS[estimator]().cap(n // 2))  # there are two folds
        assert result.value <= result.cap == pytest.approx(MI_BOUNDS[estimator]().cap(n // 2))
        assert mi.mi_interval_[0] <= mi.mi_ <= mi.mi_interval_[1]


@pytest.mark.parametrize("estimator", [name for name in KINDS if name not in CAPPED])
def test_the_other_estimators_have_no_cap(estimator):
    assert fitted(estimator, max_iter=1).cap_ == math.inf


@FEW_ROWS
def test_values_of_discrete_data_do_not_pass_their_cap():
    rng = np.random.default_rng(1)
    rare = (rng.random(1000) < 0.05).astype(int)
    columns = {
        "bits": (np.arange(1000) % 2, np.arange(1000) % 2),
        "identifiers": (np.arange(300).astype(str), np.arange(300).astype(str)),
        "rare labels that x tells": (rare + 0.1 * rng.random(1000), rare),
    }
    for x, y in columns.values():
        mi = tiny_mi().fit(x[:, None], y)
        assert mi.mi_ <= mi.cap_ < math.inf
        assert mi.mi_interval_[0] <= mi.mi_ <= mi.mi_interval_[1]
        result = mi.estimate(x[:50, None], y[:50])
        assert result.value <= result.cap


# ---------------------------------------------------------------------------------------------------------------- discrete
@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize(("n_labels", "separation"), [(2, 2.0), (4, 3.0), (3, 0.01)])
def test_labels_against_a_vector(n_labels, separation, exchanged):
    family = LabelledGaussians(n_labels, separation)
    X, y = family.sample(2000, random_state=0)
    pair = (X, y) if not exchanged else (y, X)
    pair = [part.astype(int) if len(np.unique(part)) == n_labels else part for part in pair]
    mi = tiny_mi(max_iter=40, hidden_layer_sizes=(64, 64)).fit(*pair)
    truth = family.mutual_information
    assert mi.kind_ == "estimate"
    assert mi.lower_bound_ < mi.mi_ + 0.01
    assert mi.mi_ == pytest.approx(truth, abs=0.03 + 3 * mi.diagnostics_["standard_error"])
    assert mi.cap_ == pytest.approx(math.log(n_labels), abs=0.01)
    assert mi.pointwise(*pair).mean() == pytest.approx(truth, abs=0.1)
    assert mi.score(*pair) == pytest.approx(truth, abs=0.1)


def test_two_discrete_columns_are_counted():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, 500)
    y = np.where(rng.random(500) < 0.6, x, rng.integers(0, 4, 500))
    mi, exact = tiny_mi().fit(x[:, None], y), discrete_mutual_information(x, y)
    assert mi.kind_ == "estimate"
    assert mi.n_iter_ == 0
    assert mi.mi_ == pytest.approx(exact.value, abs=1e-12)
    assert mi.mi_interval_ == pytest.approx(exact.interval)
    assert mi.cap_ == exact.cap == min(entropy(x), entropy(y))
    np.testing.assert_allclose(mi.pointwise(x[:, None], y), exact.pointwise)


def test_several_discrete_columns_are_one_variable():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (2000, 2))
    y = (X[:, 0] ^ X[:, 1]) ^ (rng.random(2000) < 0.1)  # neither column alone says anything
    mi = tiny_mi().fit(X, y)
    assert mi.mi_ == pytest.approx(math.log(2) - entropy([0] * 9 + [1]), abs=0.04)
    assert tiny_mi().fit(X[:, :1], y).mi_ == pytest.approx(0, abs=0.02)


def test_many_discrete_columns_are_learned_not_counted():
    # Twelve yes-no questions have 4,096 answers; what they tell is in their sum.
    rng = np.random.default_rng(0)
    X = rng.random((3000, 12)) < 0.5
    y = X.sum(1) + rng.normal(size=3000)
    truth = 0.5 * math.log(1 + 3)
    mi = tiny_mi(max_iter=20).fit(X[:2000], y[:2000])
    assert mi.mi_ == pytest.approx(truth, abs=0.12)
    assert mi.score(X[2000:], y[2000:]) == pytest.approx(truth, abs=0.15)  # answers not met in fit among them


def test_mixed_columns():
    X, y = pairs(1500)
    signs = np.where(X > 0, "up", "down")
    mixed = np.hstack([np.abs(X).astype(object), signs])  # |x| and its sign are x
    mi = tiny_mi(**LAW).fit(mixed, y)
    assert [mask.tolist() for mask in mi.discrete_] == [[False, True], [False]]
    assert mi.mi_ == pytest.approx(TRUTH, abs=0.1)
    alone = tiny_mi(**LAW).fit(mixed[:, :1].astype(float), y)
    assert alone.mi_ < 0.3


# ---------------------------------------------------------------------------------------------------------------- function
def test_the_function_is_the_class():
    X, y = pairs(600)
    params = tiny_mi().get_params()
    result, mi = mutual_information(X, y, **params), tiny_mi().fit(X, y)
    assert result == MIResult(
        mi.mi_, mi.mi_interval_, mi.kind_, mi.cap_, mi.diagnostics_, mi.lower_bound_, mi.lower_bound_interval_
    )
    assert mutual_information(X.ravel(), y.ravel(), **params) == result
    assert mutual_information(X.ravel().tolist(), y.ravel().tolist(), **params) == result


def test_a_result_shows_what_matters_and_cannot_be_changed():
    result = mutual_information([0, 1] * 50, [0, 1] * 50)
    assert "diagnostics" not in repr(result)
    assert "kind='estimate'" in repr(result)
    with pytest.raises(AttributeError):
        result.value = 1.0
