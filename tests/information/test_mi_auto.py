"""MIEstimator as the data choose it: folds, closed forms, neighbours, classifiers, and what is found among many columns."""

import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import digamma
from scipy.stats import gamma, norm
from scipy.stats import t as t_distribution
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from tasks import FURTHER

from skdim import MIEstimator, mutual_information
from skdim.bounds import InfoNCE
from skdim.exceptions import SmallSampleWarning, UnderfittingWarning
from skdim.information.canonical import canonical_axes, gaussian_information, shrunk_correlations
from skdim.information.folds import joined, splits_of
from skdim.information.labels import Labels
from skdim.information.neighbours import Neighbours, extrapolated, nearest_neighbours
from skdim.information.ratio import LearnedRatio
from skdim.information.references import student_reference, t_scores
from skdim.information.selection import select
from skdim.information.stacked import normalised_within
from skdim.nn.gaussian import GaussianReference
from skdim.nn.objectives.ratio import RatioObjective, SideBySide
from skdim.nn.ratio import RadialInputs, SeparableRatio
from skdim.synthetic import BEYOND_NORMAL, Gaussian, GaussianPairs, StudentT

TASKS = BEYOND_NORMAL | FURTHER


def sine_among(n, n_columns, seed=0):
    """Return noise in which column 3 of y is a noisy sine of column 1 of x: 0.862 nats."""
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, n, n_columns))
    Y[:, 3] = np.sin(2 * np.pi * X[:, 1]) + 0.3 * Y[:, 3]
    return X, Y


# ------------------------------------------------------------------------------------------------------------------- truth
@pytest.mark.parametrize(
    ("name", "n", "n_seeds", "tolerance"),
    [
        ("1v1-normal-0.75", 300, 1, 0.08),
        ("student-identity-2-2-1", 500, 1, 0.1),
        ("student-identity-5-5-2", 1500, 1, 0.06),
        ("sine-1-0.2", 300, 1, 0.1),
        ("checkerboard-2", 400, 1, 0.1),
        ("waves", 300, 2, 0.2),
        ("square", 300, 1, 0.1),
        ("independent-5-5", 300, 1, 0.04),
        ("multinormal-sparse-5-5-2-2.0", 300, 1, 0.1),
    ],
)
def test_few_rows_give_nearly_the_truth(name, n, n_seeds, tolerance):
    errors = []
    for seed in range(n_seeds):
        mi = MIEstimator(random_state=seed).fit(*TASKS[name].sample(n, seed))
        errors.append(mi.mi_ - TASKS[name].mutual_information)
        assert mi.kind_ == "estimate"
        assert mi.lower_bound_ <= mi.mi_ + 0.02
        assert mi.lower_bound_interval_[0] <= TASKS[name].mutual_information
    assert np.mean(errors) == pytest.approx(0, abs=tolerance)


def test_a_pair_of_few_rows_is_never_far_below_0():
    values = []
    for seed in range(20):
        X, y = GaussianPairs(0.6).sample(100, seed)
        values.append(MIEstimator(hidden_layer_sizes=(16,), max_iter=5, n_refits=0, random_state=seed).fit(X, y).mi_)
    assert min(values) > -0.05
    assert np.mean(values) == pytest.approx(0.223, abs=0.05)


@pytest.mark.parametrize(
    ("load", "truth"),
    [(load_breast_cancer, 0.582), (load_iris, 1.0), (load_digits, 2.17)],
    ids=["cancer", "iris", "digits"],
)
def test_labels_of_real_data(load, truth):
    data = load()
    mi = MIEstimator(random_state=0).fit(data.data, data.target)
    assert mi.mi_ == pytest.approx(truth, abs=0.05)  # the best of several cross-fitted classifiers
    assert mi.mi_ <= mi.cap_ <= math.log(len(data.target_names))
    assert isinstance(mi._models[0], Labels)


def test_two_hundred_labels_of_five_rows():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(201), 5)
    X = 3 * rng.normal(size=(201, 20))[labels] + rng.normal(size=(1005, 20))
    assert MIEstimator(random_state=0, max_iter=5).fit(X, labels.astype(str)).mi_ > 5.15  # log 200 = 5.3


def test_labels_among_a_hundred_columns():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1200)
    X = rng.normal(size=(1200, 100))
    X[:, 7] += 3 * labels
    assert MIEstimator(random_state=0, max_iter=5).fit(X, labels).mi_ == pytest.approx(0.526, abs=0.08)


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("n_columns", [10, 100])
def test_labels_that_change_the_scale_of_one_of_many_columns(n_columns, exchanged):
    rng = np.random.default_rng(0)
    labels, X = rng.integers(0, 2, 1200), rng.normal(size=(1200, n_columns))
    X[:, 3] *= np.where(labels == 1, 4, 1)
    mi = MIEstimator(random_state=0, max_iter=5).fit(*((labels[:, None].astype(str), X) if exchanged else (X, labels)))
    assert mi.mi_ == pytest.approx(0.253, abs=0.06)
    assert mi._models[0].projection.shape == (n_columns, 1)


@pytest.mark.parametrize("n_shifted", [1, 140])
def test_labels_among_more_columns_than_classifiers_see(n_shifted):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    X = rng.normal(size=(400, 140))
    X[:, :n_shifted] += 3 / math.sqrt(n_shifted) * labels[:, None]  # a whole column, or a little in each
    mi = MIEstimator(random_state=0, max_iter=5).fit(X, labels)
    assert 0.3 < mi.mi_ <= mi.cap_  # about 0.53
    assert mi._models[0].projection.shape[1] < 140


# ------------------------------------------------------------------------------------------------------------ many columns
@pytest.mark.parametrize("n_columns", [50, 200])
def test_dependence_hidden_among_many_columns_is_found(n_columns):
    mi = MIEstimator(random_state=0, max_iter=5).fit(*sine_among(1100, n_columns))
    assert mi.mi_ == pytest.approx(0.862, abs=0.1)
    assert mi.diagnostics_["p_value"] < 0.01
    assert mi._models[0].selection.x.shape == (n_columns, 1)


def test_the_selection_is_saved():
    X, Y = sine_among(1200, 20)
    mi = MIEstimator(random_state=0, max_iter=3).fit(X, Y)
    X, Y = X[:100], Y[:100]
    loaded = pickle.loads(pickle.dumps(mi))
    assert (loaded.pointwise(X, Y) == mi.pointwise(X, Y)).all()
    assert loaded.score(X, Y) == mi.score(X, Y)


def test_where_most_columns_depend_principal_directions_are_selected():
    rng = np.random.default_rng(0)
    factor = rng.uniform(-1, 1, size=(600, 1))
    X, Y = (3 * part + rng.normal(size=(600, 20)) for part in (factor, np.cos(3 * factor)))
    selection = select(X, Y, 0)
    assert (np.abs(selection.x) < 0.9).all()  # no single column
    assert selection.norms
    seen_x, seen_y = selection(X, Y)
    assert seen_x.shape == (600, selection.x.shape[1] + 2)
    assert abs(np.corrcoef(np.cos(seen_x[:, 0] / 20**0.5), seen_y[:, 0])[0, 1]) > 0.9


def test_linear_dependence_selects_nothing_but_that_of_turning_columns_does():
    """The closed form of all columns says what lines say; x turned by its own norm is no line."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 20))
    Y = X * np.linspace(0, 0.9, 20) + rng.normal(size=(3000, 20))
    assert select(X, Y, 0) is None
    angle = np.linalg.norm(X, axis=1, keepdims=True)
    turned = np.hstack([X[:, :-1], X[:, -1:] * np.cos(angle) - X[:, -2:-1] * np.sin(angle)])
    assert select(turned, Y, 0).norms


@pytest.mark.parametrize("nats", [5, 6])
def test_closed_forms_do_not_saturate(nats):
    """Normalised among 400 rows, no network reads more than log 400 = 6: a closed form must not lose to one that does."""
    rng, rho = np.random.default_rng(0), math.sqrt(-math.expm1(-2 * nats / 10))
    X, noise = rng.normal(size=(2, 2000, 10))
    mi = MIEstimator(random_state=0, max_iter=5).fit(X, rho * X + math.sqrt(1 - rho**2) * noise)
    assert mi.mi_ == pytest.approx(nats, abs=0.15)
    assert mi.mi_interval_[0] < nats < mi.mi_interval_[1]


def test_independent_columns_select_nothing():
    X, Y = np.random.default_rng(0).normal(size=(2, 600, 40))
    assert select(X, Y, 0) is None


def test_many_weak_correlations_are_not_lost():
    family = GaussianPairs(math.sqrt(-math.expm1(-2 * 2.358 / 50)), 50)
    X, Y = family.sample(4000, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)  # 50 columns a side are many
        mi = MIEstimator(random_state=0, max_iter=2).fit(X, Y)
    assert mi.mi_ == pytest.approx(2.358, abs=0.1)
    assert mutual_information(X, Y, estimator="gaussian").value == pytest.approx(2.358, abs=0.08)


# ------------------------------------------------------------------------------------------------------------ closed forms
@pytest.mark.parametrize("dims", [(1, 1), (2, 3), (10, 10)])
def test_the_gaussian_value_is_unbiased(dims):
    d_x, d_y = dims
    family = Gaussian(np.eye(d_x + d_y) * 0.7 + 0.3, d_x)
    values = []
    for seed in range(60):
        X, Y = family.sample(1000, seed)
        values.append(gaussian_information(canonical_axes(X, Y), 1000))
    error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(family.mutual_information, abs=4 * error)


def test_shrunk_correlations_are_those_of_the_population_in_sum():
    family = GaussianPairs(0.3, 40)
    X, Y = family.sample(2000, 0)
    shrunk = shrunk_correlations(canonical_axes(X, Y), 2000)
    assert np.square(shrunk).sum() == pytest.approx(40 * 0.09, rel=0.1)
    assert not shrunk_correlations(canonical_axes(X, np.random.default_rng(1).normal(size=Y.shape)), 2000).sum() > 4


@pytest.mark.parametrize("df", [1.0, 3.0])
def test_the_t_copula_is_that_of_the_family(df):
    family = StudentT(df, [[1, 0, 0.5], [0, 1, 0], [0.5, 0, 1]], 2)
    X, Y = family.sample(3000, 0)
    x, y = (norm.ppf(t_distribution.cdf(part, df)) for part in (X, Y))
    np.testing.assert_allclose(t_scores(x, df), X, rtol=1e-3)
    axes, reference = canonical_axes(x, y), student_reference(x, y)
    assert reference.arrays["df"] == df
    reference.arrays["dispersion"] = np.array(family.dispersion)
    network = reference.network(axes)
    variates = [torch.from_numpy(part[:200]).float() for part in (axes.x(x), axes.y(y))]
    np.testing.assert_allclose(network(*variates), family.log_ratio(X[:200, None], Y[None, :200]), atol=1e-3)
    np.testing.assert_allclose(network.joint(*variates), network(*variates).diagonal(), atol=1e-5)


def test_gaussian_rows_have_no_t_copula():
    assert student_reference(*Gaussian(np.eye(3), 1).sample(2000, 0)) is None


# -------------------------------------------------------------------------------------------------------------- neighbours
def slow_neighbours(x, y, k):
    """Return the formula of Kraskov et al. row by row."""
    n, terms = len(x), []
    for i in range(n):
        others = np.delete(np.arange(n), i)
        d_x, d_y = (np.abs(side[others] - side[i]).max(1) for side in (x, y))
        both = np.maximum(d_x, d_y)
        radius = np.sort(both)[k - 1]
        if radius == 0:
            tied = (both == 0).sum()
            terms.append(digamma(tied) + digamma(n) - digamma((d_x == 0).sum() + 1) - digamma((d_y == 0).sum() + 1))
        else:
            terms.append(
                digamma(k) + digamma(n) - digamma((d_x < radius).sum() + 1) - digamma((d_y < radius).sum() + 1)
            )
    return np.array(terms)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("rounded", [False, True])
def test_nearest_neighbours_are_those_of_the_formula(k, rounded):
    x, y = GaussianPairs(0.7, 2).sample(120, 0)
    if rounded:
        x, y = x.round(), y.round()
    np.testing.assert_allclose(nearest_neighbours(x, y, (k, 5))[k], slow_neighbours(x, y, k), atol=1e-10)


def test_the_bias_of_wide_neighbourhoods_is_taken():
    X, Y = TASKS["waves"].sample(300, 0)
    plain = nearest_neighbours(X, Y, (3,))[3].mean()
    truth = TASKS["waves"].mutual_information
    assert abs(extrapolated(X, Y)[0].mean() - truth) < abs(plain - truth)
    X, Y = GaussianPairs(0.0).sample(300, 0)
    assert extrapolated(X, Y)[0].mean() == pytest.approx(nearest_neighbours(X, Y, (3,))[3].mean(), abs=0.05)


def test_nearest_neighbours_find_an_infinitely_high_edge_among_many_rows():
    signal, noise = 2.0, 0.5
    rng = np.random.default_rng(0)
    x = rng.gamma(signal, size=6000)
    y = x + rng.gamma(noise, size=6000)
    truth = gamma(signal + noise).entropy() - gamma(noise).entropy()  # shapes add
    mi = MIEstimator(hidden_layer_sizes=(32,), n_refits=0, max_iter=10, test_fraction=0.5, random_state=0).fit(
        x[:, None], y
    )
    assert isinstance(mi._models[0], Neighbours)
    assert mi.mi_ == pytest.approx(truth, abs=0.1)


def test_ksg_is_an_estimator_of_its_own():
    X, y = GaussianPairs(0.8).sample(600, 0)
    mi = MIEstimator(estimator="ksg", random_state=0).fit(X, y)
    assert mi.mi_ == pytest.approx(0.511, abs=0.1)
    assert (mi.kind_, mi.lower_bound_, mi.history_) == ("estimate", None, [])
    assert isinstance(mi._models[0], Neighbours)
    scores = mi._models[0].scores(*mi._new_rows(X[:40], y[:40]))
    np.testing.assert_allclose(scores.diagonal(), mi.pointwise(X[:40], y[:40]))
    loaded = pickle.loads(pickle.dumps(mi))
    assert loaded.score(X, y) == mi.score(X, y)
    for wrong in ({"n_neighbors": 0}, {"n_neighbors": 600}, {"n_neighbors": 5, "estimator": "infonce"}):
        with pytest.raises(ValueError, match="n_neighbors"):
            MIEstimator(**{"estimator": "ksg", **wrong}).fit(X, y)


# ------------------------------------------------------------------------------------------------------------------- folds
@pytest.mark.parametrize(
    ("n", "fraction", "n_folds"), [(100, 0.2, 5), (1000, 0.25, 4), (1001, 0.2, 1), (100, 0.01, 1), (9, 0.2, 1)]
)
def test_folds_hold_every_row_out_once(n, fraction, n_folds):
    model = SimpleNamespace(options=MIEstimator(test_fraction=fraction), learns=True, seed=0, groups=None)
    splits = splits_of(model, n)
    assert len(splits) == n_folds
    for split in splits:
        assert sorted(np.concatenate(split)) == list(range(n))
    if n_folds > 1:
        assert sorted(np.concatenate([split.test for split in splits])) == list(range(n))


def test_histories_are_numbered_through():
    rows = [{"epoch": 1, "network": 0}, {"epoch": 2, "network": 1}]
    numbered = joined([rows, rows[:1]])
    assert [(row["epoch"], row["network"]) for row in numbered] == [(1, 0), (2, 1), (3, 2)]


def test_networks_side_by_side_learn_what_each_learns_alone():
    torch.manual_seed(0)
    X, Y = (torch.from_numpy(part).float() for part in GaussianPairs(0.5, 2).sample(192, 0))
    stacked = [part.reshape(3, 64, 2).transpose(0, 1) for part in (X, Y)]

    def objectives():
        torch.manual_seed(1)
        networks = [
            SeparableRatio(RadialInputs(X), RadialInputs(Y), GaussianReference(torch.tensor([0.5, 0.1])), (8,), 4)
            for _ in range(3)
        ]
        return [RatioObjective(network, InfoNCE().criterion()) for network in networks]

    alone, together = objectives(), SideBySide(objectives())
    optimizers = [torch.optim.AdamW(objective.parameters(), lr=0.01) for objective in [*alone, together]]
    for _ in range(5):
        for k, objective in enumerate(alone):
            optimizers[k].zero_grad()
            objective([part[:, k] for part in stacked], {})[0].backward()
            optimizers[k].step()
        optimizers[3].zero_grad()
        together(stacked, {})[0].backward()
        optimizers[3].step()
    returned = objectives()
    together.return_weights(returned)
    for one, other in zip(alone, returned, strict=True):
        for (name, value), again in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
            # InfoNCE does not depend on constants: their gradient is rounding, which Adam blows up.
            if not name.endswith(("offset", "top.bias")):
                torch.testing.assert_close(again, value, msg=name)
    decayed = [together.is_decayed(parameter) for parameter in together.parameters()]
    assert sum(decayed) == sum(alone[0].is_decayed(parameter) for parameter in alone[0].parameters())


def test_half_of_the_own_pair_is_right_to_first_order():
    family, n = GaussianPairs(0.7), 20
    values, with_whole = [], []
    for seed in range(400):
        X, Y = family.sample(n, seed)
        scores = torch.from_numpy(family.log_ratio(X[:, None], Y[None]))
        exact = float(scores.diagonal().mean())  # an estimate without bias, and with nearly the same noise
        values.append(normalised_within(scores).mean() - exact)
        with_whole.append(float(InfoNCE().symmetric_value(scores)) - exact)
    assert abs(np.mean(values)) < 0.25 * abs(np.mean(with_whole))


# ---------------------------------------------------------------------------------------------------------------- warnings
def test_an_estimator_that_finds_less_than_a_line_warns():
    X, y = GaussianPairs(0.9, 5).sample(1500, 0)  # 4.15 nats
    with pytest.warns(UnderfittingWarning, match=r"estimator='ba' finds .* linear dependence .* about 4.\d"):
        MIEstimator(estimator="ba", max_iter=2, random_state=0).fit(X, y)


def test_whole_columns_may_be_constant_copies_or_multiples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    X = np.hstack([x, x, -2 * x, np.ones((200, 1))])
    assert MIEstimator(random_state=0).fit(X, x + rng.normal(size=(200, 1))).mi_ == pytest.approx(0.35, abs=0.15)


def test_ratios_of_a_settled_closed_form_are_those_of_its_network():
    X, Y = GaussianPairs(0.6).sample(400, 0)
    mi = MIEstimator(random_state=0).fit(X, Y)
    model = mi._models[0]
    if isinstance(model, LearnedRatio) and model.used == ["reference:gaussian"]:
        x, y = mi._new_rows(X, Y)
        np.testing.assert_allclose(model.log_ratios(x, y), model.scores(x, y).diagonal(), atol=1e-5)
