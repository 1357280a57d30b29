"""Multi-view InfoMax: views, graphs, missing views, negatives, outputs, and the laws they obey."""

import io
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from helpers import (
    IMAGES,
    LABELS,
    FlatEncoder,
    arrays,
    flat_encoder,
    held_out,
    noise,
    relative_difference,
    restored,
    same_state,
    table,
)
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.compose import make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline

from skdim import MultiViewInfoMaxTransformer
from skdim.bounds import BOUNDS, METRIC_LOSSES, Alpha, NPair, Triplet
from skdim.exceptions import DivergenceError, NotABoundWarning, PersistenceWarning
from skdim.inputs.augmentation import ImageAugmentation
from skdim.inputs.batches import Batches, Rows
from skdim.inputs.partitions import PARTITIONS, Shift
from skdim.inputs.samples import Samples, Standardizer
from skdim.nn.critics import CRITICS, Cosine, Inner, Separable
from skdim.nn.encoders import ENCODERS, Conv, Conv1d

X, HELD_OUT = IMAGES[:192], IMAGES[1000:1256]
FLAT = X.reshape(len(X), -1)
RGB = np.stack([X, 2 * X[:, ::-1] + 1, X[:, :, ::-1]], axis=1)
LARGE = X.repeat(2, 1).repeat(2, 2)  # 16 x 16: halves and quadrants are large enough for convolutions
QUADRANTS = [(name, columns) for name, columns, _ in PARTITIONS["quadrants"]((1, 8, 8))]
#: Enough steps for a small network to learn something.
QUICK = {"max_iter": 6, "learning_rate": 1e-2}


def tiny(**params):
    """Return a small transformer that fits 192 digits in a few hundredths of a second."""
    defaults = {"n_components": 4, "batch_size": 32, "max_iter": 2, "random_state": 0}
    if params.get("encoder", "auto") in ("auto", "mlp"):
        defaults["hidden_layer_sizes"] = (16, 16)
    return MultiViewInfoMaxTransformer(**{**defaults, **params})


def lacking(X, n, seed=0):
    """Return flat digits of which the first ``n`` lack one quadrant each."""
    X, rng = X.reshape(len(X), -1).copy(), np.random.default_rng(seed)
    for row in range(n):
        X[row, QUADRANTS[rng.integers(4)][1]] = np.nan
    return X


# ------------------------------------------------------------------------------------------------------------- every option
OPTIONS = [
    *[{"views": views} for views in ("auto", "halves", "quadrants", "layers", "augment")],
    {"views": "channels", "X": RGB},
    {"views": "luminance_chrominance", "X": RGB},
    {"views": "shift", "X": FLAT},
    {"views": Shift(steps=20), "X": FLAT},
    {"views": ImageAugmentation(scale=(0.6, 1.0))},
    {"views": noise},
    {"views": QUADRANTS, "X": FLAT},
    {"views": "halves", "encoder": "mlp", "X": FLAT},
    {"views": "halves", "encoder": "conv1d", "X": FLAT},
    {"views": "quadrants", "graph": "core"},
    {"shared_encoder": True},
    {"views": "augment", "shared_encoder": True},
    *[{"estimator": name} for name in (*BOUNDS, *METRIC_LOSSES)],
    *[{"estimator": estimator} for estimator in (Alpha(alpha=0.5), Triplet(margin=0.2))],
    *[{"critic": name} for name in CRITICS],
    {"critic": Cosine(temperature=0.2)},
    {"critic": Inner(affine=False)},
    {"critic": Separable(temperature=None)},
    *[{"encoder": name, "X": LARGE[:96]} for name in ENCODERS if name != "conv1d"],
    {"encoder": "conv1d", "X": FLAT},
    {"encoder": ["mlp", flat_encoder]},
    {"encoder": FlatEncoder},
    {"target_mi": 1.0},
    {"target_mi": 0.5, "estimator": "jsd"},
    {"negatives": "batch"},
    {"negatives": "same_group", "groups": LABELS[:192] % 3},
    {"negatives": "semi_hard"},
    {"optimizer": "adam"},
    {"optimizer": "sgd", "learning_rate": 0.1},
    {"early_stopping": True},
    {"output": "mean"},
    {"output": "bottom"},
]


def identify(option):
    return "-".join(f"{name}={getattr(value, '__name__', value)}"[:40] for name, value in option.items() if name != "X")


@pytest.mark.filterwarnings("ignore::skdim.exceptions.NotABoundWarning")
@pytest.mark.parametrize("option", OPTIONS, ids=identify)
def test_every_option_trains(option):
    option = dict(option)
    data, groups = option.pop("X", X), option.pop("groups", None)
    settings = {**QUICK, **option}
    untrained = tiny(**{**settings, "max_iter": 0}).fit(data, groups=groups)
    trained = tiny(**settings).fit(data, groups=groups)
    assert np.isfinite(trained.loss_curve_).all()
    assert trained.score(data) > untrained.score(data) + 0.01
    features = trained.transform(data)
    assert np.isfinite(features).all()
    assert features.shape == (len(data), len(trained.get_feature_names_out()))
    assert relative_difference(features, untrained.transform(data)) > 1e-3


@pytest.mark.parametrize("estimator", BOUNDS)
def test_training_raises_the_held_out_score(estimator):
    data = IMAGES[:512]
    trained, untrained = (tiny(estimator=estimator, **{**QUICK, "max_iter": n}).fit(data) for n in (8, 0))
    assert trained.score(HELD_OUT) > untrained.score(HELD_OUT) + 0.3
    assert trained.kind_ == BOUNDS[estimator].kind


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("estimator", [*BOUNDS, *METRIC_LOSSES])
def test_the_product_of_estimators_and_critics_trains(estimator, critic):
    trained = tiny(estimator=estimator, critic=critic).fit(X[:64])
    assert all(set(row) == {"epoch", "loss", "top-bottom"} for row in trained.history_)
    assert np.isfinite(trained.loss_curve_).all()


# ------------------------------------------------------------------------------------------------------------------- laws
def test_two_views_have_one_graph():
    assert same_state(tiny(graph="core").fit(X), tiny(graph="full").fit(X))


def test_n_pair_trains_as_infonce_and_its_loss_is_log_k_less():
    npair, infonce = (tiny(estimator=name, max_iter=3).fit(X) for name in ("npair", "infonce"))
    losses = np.array(npair.loss_curve_), np.log(32) - np.array([row["top-bottom"] for row in npair.history_])
    np.testing.assert_allclose(*losses, atol=1e-5)
    np.testing.assert_allclose(npair.lower_bound_, infonce.lower_bound_, atol=1e-4)
    assert same_state(npair, tiny(estimator=NPair(), max_iter=3).fit(X))


def test_permuting_samples_permutes_features():
    fitted, order = tiny().fit(X), np.random.default_rng(0).permutation(len(HELD_OUT))
    assert relative_difference(fitted.transform(HELD_OUT)[order], fitted.transform(HELD_OUT[order])) < 1e-6
    whole = fitted.transform(HELD_OUT)
    assert relative_difference(whole[7:40], fitted.transform(HELD_OUT[7:40])) < 1e-6


@pytest.mark.parametrize("critic", ["inner", "cosine", "separable"])
def test_a_shared_encoder_gives_symmetric_scores(critic):
    fitted = tiny(shared_encoder=True, critic=critic, **QUICK).fit(X)
    term = next(iter(fitted._learner.objective.terms.values()))
    samples, draws = held_out(fitted, X)
    views = fitted._learner.objective.views(samples, draws)
    with torch.no_grad():
        forward, back = (
            term.critic(*(code.global_ for code in fitted.encoder_(pair))) for pair in (views, views[::-1])
        )
    torch.testing.assert_close(forward, back.T)


def test_pairs_outside_the_graph_are_measured_and_do_not_steer():
    core, full = (tiny(views="quadrants", graph=graph, **QUICK).fit(X) for graph in ("core", "full"))
    assert len(core.history_[0]) == 2 + 3
    assert len(full.history_[0]) == 2 + 6
    assert set(core._learner.objective.others) == {
        "top_right-bottom_left",
        "top_right-bottom_right",
        "bottom_left-bottom_right",
    }
    untrained = tiny(views="quadrants", graph="core", max_iter=0).fit(X)
    batch = held_out(core, X)

    def of_pairs(objective):
        codes = objective.codes(*batch)
        terms = {**objective.terms, **objective.others}
        return [terms[objective.name((a, b))].infonce(codes[a], codes[b]) for a, b in objective.pairs]

    with torch.no_grad():
        trained_pairs, first_pairs = of_pairs(core._learner.objective), of_pairs(untrained._learner.objective)
    assert all(a > b + 0.1 for a, b in zip(trained_pairs, first_pairs, strict=True))
    assert core.score(X) == pytest.approx(np.mean(trained_pairs), abs=1e-5)
    objective = untrained._learner.objective
    codes = [code.detach().requires_grad_() for code in objective.codes(*batch)]
    objective.codes = lambda *_: codes
    objective(*batch)[0].backward()
    gradient = [code.grad for code in codes]
    first = [p.grad.clone() for p in objective.others.parameters() if p.grad is not None]
    assert all(part is not None for part in gradient)
    assert first
    for other in objective.others.values():  # other critics outside the graph leave the gradient of the codes alone
        for parameter in other.parameters():
            parameter.data.normal_()
    for code in codes:
        code.grad = None
    objective(*batch)[0].backward()
    assert all(torch.equal(code.grad, part) for code, part in zip(codes, gradient, strict=True))


def test_the_lower_bound_is_the_mean_over_pairs():
    fitted = tiny(views="quadrants", graph="core").fit(X)
    last = fitted.history_[-1]
    pairs = [value for name, value in last.items() if "-" in name]
    assert fitted.lower_bound_ == pytest.approx(np.mean(pairs))
    assert last["loss"] == pytest.approx(-np.mean(pairs), rel=1e-5)


@pytest.mark.parametrize("estimator", ["infonce", "jsd"])
def test_target_mi_is_met_from_below_and_kept(estimator):
    fitted = tiny(target_mi=0.4, estimator=estimator, max_iter=24, learning_rate=1e-2).fit(X)
    assert fitted.lower_bound_ == pytest.approx(0.4, abs=0.1)
    free = tiny(estimator=estimator, max_iter=24, learning_rate=1e-2).fit(X)
    assert free.lower_bound_ > 0.6


def test_units_change_nothing():
    features = tiny().fit(X).transform(HELD_OUT)
    for data, scale in ((X.astype(np.uint8), 1), (X / 16, 16)):
        fitted = tiny().fit(data)
        assert relative_difference(features, fitted.transform((HELD_OUT / scale).astype(data.dtype))) < 1e-5
    stacked, flat = tiny().fit(X), tiny(input_shape=(8, 8)).fit(FLAT)
    assert same_state(stacked, flat)


def test_each_column_of_a_table_and_each_channel_of_an_image_has_its_scale():
    data = np.hstack([FLAT, 1000 * table(len(X), 3)])
    fitted = tiny(views=[("image", slice(0, 64), (8, 8)), ("table", [64, 65, 66])], max_iter=0).fit(data)
    standardized = fitted._learner.standardize(data).numpy()
    assert abs(standardized[:, :64].mean()) < 1e-6
    assert standardized[:, :64].std() == pytest.approx(1)
    np.testing.assert_allclose(standardized[:, 64:].std(0), 1, rtol=1e-5)
    rgb = tiny(views="luminance_chrominance", max_iter=0).fit(RGB)
    y = 0.299 * RGB[:, 0] + 0.587 * RGB[:, 1] + 0.114 * RGB[:, 2]
    luminance = rgb._learner.standardize(RGB)[:, :64].numpy()
    np.testing.assert_allclose(luminance, ((y - y.mean()) / y.std()).reshape(len(y), -1), atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- column groups
def test_columns_are_named_as_in_column_transformer():
    frame = pd.DataFrame(table(96, 6), columns=list("abcdef"))
    expected = tiny(views=[("x", slice(0, 3)), ("y", [3, 4, 5])]).fit(frame)
    mask = np.array([True, True, True, False, False, False])
    for x, y in [
        (["a", "b", "c"], slice("d", "f")),
        (mask, ~mask),
        (slice("a", "c"), lambda X: ["d", "e", "f"]),
        (range(3), [-3, -2, -1]),
        (make_column_selector("[abc]"), make_column_selector("[def]")),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PersistenceWarning)
            same = tiny(views=[("x", x), ("y", y)]).fit(frame)
        assert (same.transform(frame) == expected.transform(frame)).all()
    one = tiny(views=[("x", "b"), ("y", 4)]).fit(frame)
    assert [columns.tolist() for _, columns, _ in one.views_] == [[1], [4]]


def test_an_image_a_sound_and_a_table_in_one_array():
    sound = np.cumsum(table(len(X), 40), axis=1)
    data = np.hstack([FLAT, sound, table(len(X), 3)])
    views = [("image", slice(0, 64), (8, 8)), ("sound", slice(64, 104), (40,)), ("table", slice(104, None))]
    pipeline = make_pipeline(tiny(views=views, hidden_layer_sizes="auto"), LogisticRegression(max_iter=300))
    search = GridSearchCV(pipeline, {"multiviewinfomaxtransformer__graph": ["core", "full"]}, cv=2)
    search.fit(data, LABELS[: len(X)])
    fitted = search.best_estimator_[0]
    assert [shape for _, _, shape in fitted.views_] == [(1, 8, 8), (1, 40), (3,)]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert fitted.set_params(output="sound").transform(sound).shape == (len(X), 4)
    two_channels = [("image", slice(0, 64), (8, 8)), ("sound", slice(64, 104), (2, 20))]
    fitted = tiny(views=two_channels, encoder=["mlp", Conv1d((8, 8))]).fit(data)
    assert fitted.views_[1][2] == (2, 20)


def test_a_list_of_arrays():
    sound = np.cumsum(table(len(X), 40), axis=1)
    fitted = tiny().fit([sound, X])
    features = fitted.transform([sound, X])
    assert (fitted.transform(np.hstack([sound, FLAT])) == features).all()
    assert fitted.get_feature_names_out()[[0, -1]].tolist() == ["view0_0", "view1_3"]
    assert (fitted.set_params(output="view1").transform(X) == features[:, 4:]).all()
    framed = tiny().fit([pd.DataFrame(sound), X])
    assert (framed.transform([pd.DataFrame(sound), X]) == features).all()
    with pytest.raises(ValueError, match="1 array"):
        tiny().fit([X])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit([sound[:50], X])
    with pytest.raises(ValueError, match="40, 40"):
        fitted.transform([sound, sound])
    with pytest.raises(ValueError, match="views='auto'"):
        tiny(views=QUADRANTS).fit([sound, X])


# ----------------------------------------------------------------------------------------------------------- missing views
@pytest.fixture(scope="module")
def with_missing():
    return tiny(views=QUADRANTS, **QUICK).fit(lacking(X, 150))


def test_missing_views_are_trained_around(with_missing):
    complete = with_missing.transform(FLAT)
    assert np.isfinite(complete).all()
    untrained = tiny(views=QUADRANTS, max_iter=0).fit(lacking(X, 150))
    assert with_missing.score(FLAT) > untrained.score(FLAT) + 0.2
    assert np.isfinite(with_missing.score(lacking(X, 192)))


def test_a_missing_view_gives_nan_for_itself_and_touches_nothing_else(with_missing):
    data = lacking(FLAT, 100, seed=3)
    complete, lacks = with_missing.transform(FLAT), with_missing.transform(data)
    missing = np.isnan(lacks)
    assert missing.any(1).sum() == 100
    assert missing[:, ::4].sum() == 100
    np.testing.assert_allclose(lacks[~missing], complete[~missing], atol=1e-6)
    mean = restored(with_missing, output="mean")
    np.testing.assert_allclose(mean.transform(data), np.nanmean(lacks.reshape(-1, 4, 4), axis=1), rtol=1e-4, atol=1e-5)


def test_missing_values_never_enter_the_loss():
    """What stands in the columns of a missing view cannot matter, as it is NaN; rows without pairs do not either."""
    data = lacking(X, 60)
    alone = np.vstack([data, np.full((40, 64), np.nan)])
    alone[192:, QUADRANTS[0][1]] = FLAT[:40][:, QUADRANTS[0][1]]  # 40 rows with a single view
    fitted = tiny(views=QUADRANTS, batch_size=232, max_iter=1).fit(alone)
    assert np.isfinite(fitted.loss_curve_).all()
    weights = {name: array for name, array in arrays(fitted).items() if name.startswith("objective/encoder")}
    assert all(np.isfinite(array).all() for array in weights.values())


def test_standardisation_ignores_missing_views():
    data = lacking(X, 100)
    fitted = tiny(views=QUADRANTS, max_iter=0).fit(data)
    np.testing.assert_allclose(fitted._learner.standardize.mean, np.nanmean(data, axis=0))
    image = tiny(views=[(*group, (4, 4)) for group in QUADRANTS], max_iter=0).fit(data)
    for _, columns in QUADRANTS:
        np.testing.assert_allclose(image._learner.standardize.mean[columns], np.nanmean(data[:, columns]))
        np.testing.assert_allclose(image._learner.standardize.scale[columns], np.nanstd(data[:, columns]))


@pytest.mark.parametrize("views", ["halves", "quadrants", QUADRANTS], ids=["halves", "quadrants", "groups"])
def test_one_view_is_enough_for_its_own_output(views):
    fitted = tiny(views=views, input_shape=None if views is QUADRANTS else (8, 8), graph="core").fit(FLAT)
    whole = fitted.transform(FLAT)
    for i, (name, columns, shape) in enumerate(fitted.views_):
        fitted.set_params(output=name)
        expected = whole[:, 4 * i : 4 * (i + 1)]
        others = np.full_like(FLAT, np.nan)
        others[:, columns] = FLAT[:, columns]
        alone = FLAT[:, columns]
        for data in (FLAT, others, alone, alone.reshape(-1, *shape)):
            np.testing.assert_allclose(fitted.transform(data), expected, atol=1e-5)
        with pytest.raises(ValueError, match="NaN"):
            fitted.transform(np.where(np.arange(64) == columns[0], np.nan, FLAT))


def test_one_view_without_its_output_is_told_to_name_it():
    with pytest.raises(ValueError, match=r"samples of shape \(4, 8\).*one view alone, name it by output"):
        tiny(views="halves", max_iter=0).fit(X).transform(X[:, :4])


def test_the_columns_of_one_view_keep_their_names():
    frame = pd.DataFrame(table(96, 6), columns=list("abcdef"))
    fitted = tiny(views=[("x", ["a", "c"]), ("y", ["b", "d"])], output="y").fit(frame)
    np.testing.assert_allclose(fitted.transform(frame[["b", "d"]]), fitted.transform(frame), atol=1e-6)
    with pytest.raises(ValueError, match="were \\['b', 'd'\\] in fit, got \\['d', 'b'\\]"):
        fitted.transform(frame[["d", "b"]])


# --------------------------------------------------------------------------------------------------------------- negatives
def test_same_group_compares_within_groups_only():
    with pytest.warns(NotABoundWarning, match="same_group"):
        fitted = tiny(negatives="same_group", critic="inner", **QUICK).fit(X, groups=LABELS[:192])
    assert fitted.kind_ == "estimate"
    term = fitted._learner.objective.terms["top-bottom"]
    x, y = torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(0))
    groups = torch.tensor([0, 1, 2] * 4)
    with torch.no_grad():
        loss, value = term.of_codes(x, y, [torch.nonzero(groups == g).squeeze(1) for g in range(3)])
        parts = [term.of_codes(x[groups == g], y[groups == g])[1] for g in range(3)]
    assert value.item() == pytest.approx(np.mean([part.item() for part in parts]), abs=1e-6)
    assert loss.item() == pytest.approx(-value.item(), abs=1e-6)
    rows = Rows(12, slice(0, 12), (64,), {"groups": np.arange(12)})
    assert not fitted._learner.objective.draw(rows, None)["pairs"]  # no sample has a negative


def test_rows_of_a_group_share_their_batch():
    groups = np.arange(192) % 24
    samples = Samples(FLAT, Standardizer.learn(FLAT, (64,)), torch.device("cpu"), {"groups": groups})
    batches = Batches(samples, np.arange(192), 32, seed=0)
    seen = [batch.rows.extras["groups"] for _ in range(2) for batch in batches]
    assert all(len(np.unique(of_batch)) == 4 for of_batch in seen)
    assert sorted(np.concatenate(seen[:6])) == sorted(groups)
    assert set(seen[0]) != set(seen[6])
    in_order = Batches(samples, np.arange(192), 32, seed=None)
    assert [sorted(set(batch.rows.extras["groups"])) for batch in in_order] == np.arange(24).reshape(6, 4).tolist()


def test_groups_are_routed():
    groups = LABELS[: len(X)] % 4
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotABoundWarning)
        dim = tiny(negatives="same_group", encoder="mlp").set_fit_request(groups=True)
        pipeline = make_pipeline(dim, LogisticRegression(max_iter=300))
        result = cross_validate(
            pipeline, FLAT, LABELS[: len(X)], params={"groups": groups}, cv=GroupKFold(2), error_score="raise"
        )
        direct = clone(dim).fit(FLAT, groups=groups)
        routed = make_pipeline(clone(dim)).fit(FLAT, groups=groups)[0]
    assert np.isfinite(result["test_score"]).all()
    assert same_state(direct, routed)


def test_semi_hard_is_an_estimate_and_the_score_a_bound():
    with pytest.warns(NotABoundWarning, match="semi_hard") as caught:
        fitted = tiny(negatives="semi_hard", **QUICK).fit(X)
    assert caught[0].filename == __file__
    assert fitted.kind_ == "estimate"
    assert fitted.lower_bound_ <= np.log(2)
    assert fitted.score(X) > fitted.lower_bound_


# ------------------------------------------------------------------------------------------------------- scikit-learn's API
def test_feature_names_say_the_view():
    fitted = tiny(n_components=2).fit(X)
    assert fitted.get_feature_names_out().tolist() == ["top_0", "top_1", "bottom_0", "bottom_1"]
    assert fitted.set_params(output="mean").get_feature_names_out().tolist() == ["mean_0", "mean_1"]
    assert fitted.set_params(output="top").get_feature_names_out().tolist() == ["top_0", "top_1"]
    frame = fitted.set_params(output="concat").set_output(transform="pandas").transform(X)
    assert list(frame) == ["top_0", "top_1", "bottom_0", "bottom_1"]


def test_outputs_agree():
    fitted = tiny().fit(X)
    concat = fitted.transform(X)
    mean = fitted.set_params(output="mean").transform(X)
    np.testing.assert_allclose(mean, concat.reshape(-1, 2, 4).mean(1), atol=1e-6)
    assert (fitted.set_params(output="bottom").transform(X) == concat[:, 4:]).all()


@pytest.mark.parametrize(
    ("params", "data"),
    [({"views": "luminance_chrominance"}, RGB), ({"views": QUADRANTS}, lacking(X, 50)), ({"encoder": "conv"}, LARGE)],
    ids=["colour", "missing", "conv"],
)
def test_joblib_gives_the_same_bits_and_continues(params, data):
    fitted = tiny(**params, max_iter=1).partial_fit(data).partial_fit(data)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    loaded = joblib.load(io.BytesIO(file.getvalue()))
    np.testing.assert_array_equal(loaded.transform(data), fitted.transform(data))
    assert loaded.score(data) == fitted.score(data)
    assert same_state(loaded.partial_fit(data), fitted.partial_fit(data))
    assert fitted.n_iter_ == 3


def test_warm_start_continues_and_refuses_another_network():
    fitted = tiny(warm_start=True, views="quadrants").fit(X).fit(X)
    assert fitted.n_iter_ == 4
    fitted.set_params(output="mean", max_iter=1).fit(X)
    with pytest.raises(ValueError, match=r"\['graph'\] changed"):
        fitted.set_params(graph="core").fit(X)


def test_early_stopping_with_missing_views():
    fitted = tiny(views=QUADRANTS, early_stopping=True, max_iter=3).fit(lacking(X, 150))
    assert "valid_top_left-top_right" in fitted.history_[-1]
    assert np.isfinite(fitted.lower_bound_)


def test_callbacks_see_a_fitted_transformer():
    monitor = ScoringMonitor(scoring={"score": lambda estimator, X, y: estimator.score(X)})
    fitted = tiny(views=QUADRANTS, max_iter=3).set_callbacks(monitor).fit(lacking(X, 50))
    scores = [row["score"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 3
    assert np.isfinite(scores).all()
    assert scores[-1] == pytest.approx(fitted.score(lacking(X, 50)), abs=1e-6)


def test_the_encoder_takes_the_views():
    fitted = tiny().fit(X)
    samples, draws = held_out(fitted, X)
    views = fitted._learner.objective.views(samples, draws)
    with torch.no_grad():
        codes = fitted.encoder_(views)
    np.testing.assert_allclose(np.hstack([code.global_ for code in codes]), fitted.transform(X), atol=1e-5)


HALF = [("a", slice(0, 32)), ("b", slice(32, 60))]


def test_a_diverged_fit_leaves_a_fitted_transformer_as_it_was():
    fitted = tiny(views=HALF).fit(FLAT)
    features = fitted.transform(FLAT)
    with pytest.raises(DivergenceError):
        fitted.set_params(learning_rate=1e9, max_iter=20).fit(FLAT)
    assert (fitted.transform(FLAT) == features).all()


def test_a_large_image_gets_a_convolution_and_a_small_one_a_perceptron():
    halves, quadrants, small = (
        tiny(views=v, max_iter=0).fit(X) for v, X in [("halves", LARGE), ("quadrants", LARGE), ("halves", X)]
    )
    first = [type(fitted.encoder_.encoders[0].local[0]).__name__ for fitted in (halves, quadrants, small)]
    assert first == ["Sequential", "Sequential", "Flatten"]
    assert same_state(tiny(encoder=Conv(), max_iter=1).fit(LARGE), tiny(encoder="conv", max_iter=1).fit(LARGE))
