"""Partitions: every value of a sample is in the views that should have it, and in no other."""

import numpy as np
import pandas as pd
import pytest
from helpers import without_address

from skdim.inputs.partitions import (
    LUMINANCE_CHROMINANCE,
    PARTITIONS,
    Shift,
    channels,
    column_groups,
    halves,
    is_group_list,
    quadrants,
)


def cut(views, sample):
    """Return the views of a sample by name, each in its shape."""
    return {name: sample.ravel()[columns].reshape(shape) for name, columns, shape in views}


@pytest.mark.parametrize("shape", [(5,), (2, 7), (1, 5, 4), (3, 6, 9)])
def test_halves_cover_the_sample_once(shape):
    sample = np.arange(np.prod(shape)).reshape(shape)
    first, second = cut(halves(shape), sample).values()
    axis = 1 if len(shape) == 3 else -1  # rows of an image, steps of a sequence, columns of a table
    np.testing.assert_array_equal(np.concatenate([first, second], axis), sample)
    assert 0 <= second.shape[axis] - first.shape[axis] <= 1


def test_quadrants_and_channels_are_slices():
    image = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    parts = cut(quadrants(image.shape), image)
    np.testing.assert_array_equal(parts["top_right"], image[:, :2, 2:])
    np.testing.assert_array_equal(parts["bottom_left"], image[:, 2:, :2])
    for c, (name, part) in enumerate(cut(channels(image.shape), image).items()):
        assert name == f"channel{c}"
        np.testing.assert_array_equal(part, image[c : c + 1])


@pytest.mark.parametrize(("steps", "expected"), [(None, 2), (1, 1), (6, 6)])
def test_a_shift_pairs_each_step_with_a_later_one(steps, expected):
    now, later = cut(Shift(steps=steps)((2, 8)), np.arange(16)).values()
    assert now.shape == (2, 8 - expected)
    np.testing.assert_array_equal(later - now, expected)


@pytest.mark.parametrize("name", ["layers", "augment"])
def test_whole_samples(name):
    assert [columns.tolist() for _, columns, _ in PARTITIONS[name]((1, 2, 2))] == [[0, 1, 2, 3]] * 2


def test_grey_has_no_chrominance_and_keeps_its_luminance():
    np.testing.assert_allclose(LUMINANCE_CHROMINANCE @ np.ones(3), [1, 0, 0], atol=1e-12)
    corners = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1)
    mixed = LUMINANCE_CHROMINANCE @ corners
    np.testing.assert_allclose(mixed.min(1), [0, -0.5, -0.5], atol=1e-12)
    np.testing.assert_allclose(mixed.max(1), [1, 0.5, 0.5], atol=1e-12)


FRAME = pd.DataFrame(np.zeros((3, 4)), columns=list("abcd"))


@pytest.mark.parametrize(
    "columns",
    [1, "b", [1], ["b"], slice(1, 2), slice("b", "b"), np.array([False, True, False, False]), [-3], lambda X: ["b"]],
    ids=without_address,
)
def test_groups_of_columns_resolve_in_every_way(columns):
    (_, found, shape), _ = column_groups([("x", columns), ("y", [3])], FRAME, 4)
    assert found.tolist() == [1]
    assert shape == (1,)


def test_shapes_get_their_channels():
    groups = [("a", slice(0, 4), (4,)), ("b", slice(4, 8), (2, 2)), ("c", slice(8, 20), (3, 2, 2)), ("d", [20, 21])]
    X = np.zeros((3, 24))
    assert [shape for _, _, shape in column_groups(groups, X, 24)] == [(1, 4), (1, 2, 2), (3, 2, 2), (2,)]
    sequences = [shape for _, _, shape in column_groups(groups, X, 24, [True, True, False, True])]
    assert sequences == [(1, 4), (2, 2), (3, 2, 2), (1, 2)]


@pytest.mark.parametrize(
    ("views", "expected"),
    [([("a", 0), ("b", 1)], True), ([("a", 0, (1,))], True), (["a", "b"], False), ([(0, 1)], False), ("ab", False)],
)
def test_a_group_list_is_told_from_other_lists(views, expected):
    assert is_group_list(views) is expected
