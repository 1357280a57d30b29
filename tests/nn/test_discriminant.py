"""The discriminant code: truths of the normal model, a slow twin, and what the transformer makes of it."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim import PAPER, DeepInfoMaxTransformer
from skdim.exceptions import DivergenceError
from skdim.export import from_safetensors, to_safetensors
from skdim.nn.discriminant import MOST_ROWS, MOST_ROWS_IF_WIDER, WIDEST, Discriminant

X, Y = load_digits(return_X_y=True)
IMAGES = X.reshape(-1, 8, 8).astype(np.float32)


def draw(n, n_hidden, k, seed=0):
    """A layer with correlated columns, its differences between views, and a code of it."""
    rng = np.random.default_rng(seed)
    mixing, moving = rng.standard_normal((2, n_hidden, n_hidden)) / np.sqrt(n_hidden)
    hidden = rng.standard_normal((n, n_hidden)) @ mixing + 100
    difference = rng.standard_normal((n, n_hidden)) * np.linspace(0.1, 3, n_hidden) @ moving
    return hidden, difference, hidden @ rng.standard_normal((n_hidden, k))


def found(hidden, difference, code):
    discriminant = Discriminant(hidden.shape[1], code.shape[1])
    assert not discriminant.is_found
    parts = [torch.from_numpy(part).float().split(7) for part in (hidden, difference, code)]
    discriminant.find(zip(*parts, strict=True), len(hidden))
    assert discriminant.is_found
    return discriminant


def covariances(hidden, difference):
    signal = np.cov(hidden.T, bias=True)
    noise = difference.T @ difference / (2 * len(hidden))
    n, n_hidden = hidden.shape
    floor = np.trace(signal) / n_hidden * max(0.25, (n_hidden / n) ** 2)
    return signal, noise + floor * np.eye(n_hidden)


def information(weight, signal, noise):
    """I(h; W (h + e)) in nats, of a normal model."""
    of_signal, of_noise = (weight @ part @ weight.T for part in (signal, noise))
    return (np.linalg.slogdet(of_signal + of_noise)[1] - np.linalg.slogdet(of_noise)[1]) / 2


def test_no_other_code_has_more_information():
    data = draw(500, 12, 4)
    weight = found(*data).weight.numpy().astype(np.float64)
    moments = covariances(*data[:2])
    best, rng = information(weight, *moments), np.random.default_rng(1)
    others = [
        weight + scale * rng.standard_normal(weight.shape) for scale in (0.001, 0.01, 0.1, 1.0) for _ in range(50)
    ]
    assert max(information(other, *moments) for other in others) < best
    values = scipy.linalg.eigh(*moments, eigvals_only=True)
    assert best == pytest.approx(np.log1p(values[-4:]).sum() / 2, rel=1e-5)


def test_independent_columns_are_chosen_by_their_share_of_signal():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((5000, 4))
    difference = rng.standard_normal((5000, 4)) * [9.0, 0.5, 9.0, 0.5]
    weight = found(hidden, difference, hidden[:, :2]).weight.abs().numpy()
    assert weight[:, [0, 2]].max() < 0.05
    assert weight[:, [1, 3]].max(axis=1).min() > 0.5


def test_fewer_rows_than_columns_give_what_the_whole_matrices_give():
    hidden, difference, code = draw(20, 300, 5)
    weight = found(hidden, difference, code).weight.numpy().astype(np.float64)
    moments = covariances(hidden, difference)
    values = scipy.linalg.eigh(*moments, eigvals_only=True)
    assert information(weight, *moments) == pytest.approx(np.log1p(values[-5:]).sum() / 2, rel=1e-5)


@pytest.mark.parametrize(("n_hidden", "n"), [(WIDEST, MOST_ROWS), (WIDEST + 1, MOST_ROWS_IF_WIDER)])
def test_rows_span_less_than_a_layer_that_is_too_wide(n_hidden, n):
    discriminant = Discriminant(n_hidden, 64)
    assert discriminant.most_rows == n
    assert 2 * n + 64 < n_hidden or n_hidden <= WIDEST


def test_columns_have_mean_zero_and_mean_variance_one_and_lie_near_the_trained_code():
    hidden, difference, code = draw(400, 10, 4)
    Z = found(hidden, difference, code)(torch.from_numpy(hidden).float()).double().numpy()
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-5)
    assert Z.var(0).mean() == pytest.approx(1, abs=1e-5)
    centred = code - code.mean(0)
    draws = np.random.default_rng(2).normal(size=(20, 4, 4))
    rotations = [scipy.linalg.expm(scale * (A - A.T)) for scale in (0.01, 0.3) for A in draws]
    assert all((Z * centred).sum() > (Z @ rotation * centred).sum() for rotation in rotations)


def test_views_that_change_nothing_leave_principal_components():
    hidden, difference, code = draw(300, 9, 3)
    Z = found(hidden, 0 * difference, code)(torch.from_numpy(hidden).float()).numpy()
    centred = hidden - hidden.mean(0)
    U = np.linalg.svd(centred, full_matrices=False)[0][:, :3]
    np.testing.assert_allclose(U @ (U.T @ Z), Z, atol=1e-5)


def test_a_layer_that_is_constant_gives_zeros():
    hidden, difference, code = draw(30, 6, 2)
    Z = found(0 * hidden + 2, 0 * difference, code)(torch.full((30, 6), 2.0))
    assert Z.abs().max() < 1e-5


def test_more_components_than_columns_are_refused():
    dim = DeepInfoMaxTransformer(40, encoder="mlp", hidden_layer_sizes=(16,), max_iter=1, features="discriminant")
    with pytest.raises(ValueError, match="at most the 16 columns of the hidden layer, got 40"):
        dim.fit(X[:64])
    assert dim.set_params(features="auto").fit(X[:64]).transform(X[:2]).shape == (2, 40)


def tiny(**parameters):
    return DeepInfoMaxTransformer(**{"n_components": 8, "max_iter": 1, "random_state": 0} | parameters)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "discriminant"),
        ({"augment": None}, "discriminant"),
        ({"max_iter": 0}, "discriminant"),
        ({"prior_weight": 1.0}, "global"),
        ({"posterior": "gaussian"}, "global"),
        ({"prior_method": "noise", "prior": "normal"}, "global"),
        ({"features": "discriminant", "prior_weight": 1.0}, "discriminant"),
    ],
)
def test_what_auto_is(parameters, name):
    dim = tiny(**parameters).fit(IMAGES[:64])
    Z = dim.transform(IMAGES)
    assert (dim.set_params(features=name).transform(IMAGES) == Z).all()
    other = "global" if name == "discriminant" else "hidden"
    assert Z.shape != (other_Z := dim.set_params(features=other).transform(IMAGES)).shape or (other_Z != Z).any()


def test_partial_fit_keeps_the_code_that_fit_found_and_finds_none():
    dim = tiny().fit(IMAGES[:64])
    weight = dim.objective_.discriminant.weight
    assert (dim.partial_fit(IMAGES[64:128]).objective_.discriminant.weight == weight).all()
    assert not (dim.fit(IMAGES[:128]).objective_.discriminant.weight == weight).all()
    streamed = tiny().partial_fit(IMAGES[:64])
    Z = streamed.transform(IMAGES)
    assert (streamed.set_params(features="global").transform(IMAGES) == Z).all()
    with pytest.raises(ValueError, match=r"There is no discriminant code.*partial_fit does not"):
        streamed.set_params(features="discriminant").transform(IMAGES)
    weights = streamed.encoder_.state_dict()
    bound = streamed.lower_bound_
    streamed.set_params(warm_start=True, max_iter=0).fit(IMAGES[:64])
    assert streamed.lower_bound_ == bound
    assert streamed.transform(IMAGES).shape == Z.shape
    assert all(torch.equal(part, weights[name]) for name, part in streamed.encoder_.state_dict().items())


@pytest.mark.parametrize("changed", [("auto", "global"), ("global", "auto"), ("hidden", "discriminant")])
def test_features_that_change_after_the_fit_change_neither_files_nor_warm_fits(changed, tmp_path):
    before, after = changed
    dim = tiny(features=before).fit(IMAGES[:64]).set_params(features=after)
    to_safetensors(dim, tmp_path / "dim.safetensors")
    loaded = from_safetensors(tmp_path / "dim.safetensors", dim)
    if after != "discriminant":
        np.testing.assert_array_equal(loaded.transform(IMAGES), dim.transform(IMAGES))
    dim.set_params(warm_start=True, max_iter=0, features="discriminant").fit(IMAGES[:64])
    expected = tiny(features="discriminant").fit(IMAGES[:64]).transform(IMAGES)
    np.testing.assert_array_equal(dim.transform(IMAGES), expected)


def dropped(X):
    return torch.nn.functional.dropout(X, 0.3)


def adversarial(X):
    with torch.enable_grad():
        moved = X.clone().requires_grad_(True)
        moved.square().sum().backward()
    return X + 0.1 * moved.grad.sign()


def written(X):
    X += torch.randn_like(X)
    return X.clone()


@pytest.mark.parametrize("augment", [dropped, adversarial, written])
def test_views_of_a_function_are_drawn_anew_and_leave_samples_and_torch_alone(augment):
    state = torch.get_rng_state()
    first, second = (tiny(augment=augment).fit(IMAGES[:96]).transform(IMAGES[:96]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def huge(X):
    return X + torch.inf


def test_views_beyond_float32_are_an_error_that_names_them():
    with pytest.raises(DivergenceError, match="augment"):
        tiny(augment=huge, max_iter=0).fit(IMAGES[:64])


def test_parts_do_not_matter_nor_the_scale_of_the_layer():
    hidden, difference, code = draw(2100, 6, 3)
    Z = found(hidden, difference, code)(torch.from_numpy(hidden).float())
    for scale in (1e-20, 1e20):
        scaled = found(hidden * scale, difference * scale, code)(torch.from_numpy(hidden * scale).float())
        np.testing.assert_allclose(scaled, Z, atol=1e-3)


def test_the_paper_s_code_is_the_trained_one():
    assert {settings["features"] for settings in PAPER.values()} == {"global"}


def test_a_few_labels_find_more_in_it_than_in_the_trained_and_the_untrained_code():
    learned, judged, y, y_judged = train_test_split(IMAGES, Y, test_size=0.5, random_state=0, stratify=Y)

    def accuracy(max_iter, features):
        dim = DeepInfoMaxTransformer(32, max_iter=max_iter, random_state=0).fit(learned).set_params(features=features)
        Z, Z_judged = dim.transform(learned), dim.transform(judged)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        return np.mean(
            [probe.fit(Z[i : i + 100], y[i : i + 100]).score(Z_judged, y_judged) for i in range(0, 800, 100)]
        )

    trained = accuracy(10, "discriminant")
    assert trained > accuracy(10, "global") + 0.01
    assert trained > accuracy(0, "discriminant") + 0.01
