"""The score without labels: closed forms, invariances, and the scorer in a search."""

import math

import numpy as np
import pytest
from helpers import IMAGES, images, tiny
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdim.evaluation import ViewScorer, view_score
from skdim.inputs import ImageAugmentation, SequenceAugmentation


def pair(rho, d=3, n=4000, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    return Z, rho * Z + math.sqrt(1 - rho**2) * rng.normal(size=(n, d))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0])
def test_the_information_is_that_of_normal_features_with_noise(rho, noise):
    expected = -1.5 * math.log(1 - (rho / (1 + noise)) ** 2)
    assert view_score(*pair(rho), noise=noise).information == pytest.approx(expected, abs=0.05)


def test_noise_makes_directions_that_are_hardly_filled_worth_little():
    Z, view = pair(0.99, d=4)
    mixing = np.ones((4, 4)) + 0.01 * np.eye(4)  # four columns, and hardly more than one direction
    whole, thin, one = (
        view_score(*parts).information for parts in ((Z, view), (Z @ mixing, view @ mixing), (Z[:, :1], view[:, :1]))
    )
    assert whole == pytest.approx(4 * one, rel=0.05)
    assert thin < whole / 2


def test_units_origins_and_the_order_of_rows_and_columns_change_nothing():
    Z, view = pair(0.7, n=300)
    expected = view_score(Z, view)
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(300), rng.permutation(3)
    for change in (lambda X: 1e3 * X + 5, lambda X: X[rows], lambda X: X[:, columns], lambda X: X * [1e-3, 1, -1e3]):
        result = view_score(change(Z), change(view))
        assert (result.information, result.overlap) == pytest.approx((expected.information, expected.overlap), rel=1e-6)


def test_the_overlap_is_that_of_a_slow_computation():
    Z, view = pair(0.8, n=60)
    scaled = [(part - Z.mean(0)) / Z.std(0) for part in (Z, view)]
    z, v = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in scaled)
    shares = []
    for i in range(60):
        others = np.delete(np.arange(60), i)
        near = [set(others[np.argsort(np.linalg.norm(z[others] - part[i], axis=1))[:5]]) for part in (z, v)]
        shares.append(len(near[0] & near[1]) / 5)
    result = view_score(Z, view, n_neighbors=5)
    assert result.overlap == pytest.approx(np.mean(shares))
    assert result.value == pytest.approx(result.information * math.sqrt(result.overlap))
    assert view_score(Z, Z).overlap == 1
    assert view_score(*pair(0.0)).overlap == pytest.approx(10 / 3999, abs=2e-3)


def test_a_constant_column_says_nothing_and_a_frame_has_all_parts():
    Z, view = pair(0.7, n=100)
    result = view_score(*(np.hstack([part, np.ones((100, 1))]) for part in (Z, view)))
    assert result.value == pytest.approx(view_score(Z, view).value)
    values = result.to_frame()[["value", "information", "overlap"]].to_numpy().tolist()
    assert values == [[result.value, result.information, result.overlap]]


def test_what_is_refused():
    Z, view = pair(0.7, n=20)
    with pytest.raises(ValueError, match=r"equal shapes, got \(20, 3\) and \(19, 3\)"):
        view_score(Z, view[1:])
    with pytest.raises(ValueError, match="'noise'"):
        view_score(Z, view, noise=0.0)
    with pytest.raises(ValueError, match="n_neighbors=20 must be less than the number of samples, 20"):
        view_score(Z, view, n_neighbors=20)


# ------------------------------------------------------------------------------------------------------------ scorer
def test_the_scorer_takes_the_features_of_samples_and_of_their_views():
    X, scorer = images(200), ViewScorer(random_state=3)
    dim = tiny(max_iter=1).fit(images(128, start=300))
    views = scorer.views(X)
    assert views.shape == X.shape
    assert 0.1 < np.abs(views - X).mean() / X.std() < 2
    assert scorer(dim, X) == scorer(dim, X) == view_score(dim.transform(X), dim.transform(views)).value
    assert scorer(dim, X) != ViewScorer(random_state=4)(dim, X)


def test_an_augmentation_that_changes_nothing_gives_the_samples_back():
    X = images(50)
    still = ImageAugmentation(scale=(1.0, 1.0), ratio=1.0, contrast=0.0, brightness=0.0)
    np.testing.assert_allclose(ViewScorer(augment=still).views(X), X, atol=1e-4)
    flat = X.reshape(50, -1)
    views = ViewScorer(augment=still, input_shape=X.shape[1:]).views(flat)
    np.testing.assert_allclose(views, flat, atol=1e-4)
    assert views.shape == flat.shape


def test_tables_and_sequences_have_views_too():
    rng = np.random.default_rng(0)
    table, waves = rng.normal(size=(60, 5)), rng.normal(size=(60, 2, 50))
    masked = ViewScorer().views(table)
    share = np.isclose(masked, table.mean(0), atol=1e-6).mean()
    assert 0.2 < share < 0.4  # the share of columns that a table's view masks
    assert ViewScorer(SequenceAugmentation()).views(waves).shape == waves.shape


def test_a_search_without_labels_prefers_features_that_views_keep():
    X = IMAGES[:400].reshape(400, -1)
    scorer = ViewScorer(input_shape=IMAGES.shape[1:])
    search = GridSearchCV(
        make_pipeline(StandardScaler(with_std=False), PCA(random_state=0)),
        {"pca__n_components": [1, 12]},
        scoring=scorer,
        cv=2,
    ).fit(X)
    assert search.best_params_ == {"pca__n_components": 12}
    assert clone(search).scoring == scorer
    scores = cross_val_score(PCA(4), X, scoring=scorer, cv=2)
    assert np.isfinite(scores).all()


def test_the_scorer_refuses_what_has_no_features_or_no_views():
    X = images(50)
    with pytest.raises(TypeError, match="ndarray has no transform"):
        ViewScorer()(X, X)
    with pytest.raises(TypeError, match="must be 'auto', 'auto\\+flip' or an augmentation"):
        ViewScorer(augment=lambda X: X)(tiny(max_iter=0).fit(X), X)
    with pytest.raises(ValueError, match="Unknown augment 'flip'"):
        ViewScorer(augment="flip").views(X)
    X[3, 2, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        ViewScorer()(tiny(max_iter=0).fit(images(50)), X)
