"""A fit is a short way: from ``fit`` to the loss of a batch at most seven functions of ours."""

import inspect

import numpy as np
import pytest
from helpers import images, table, tiny, tiny_mi

import skdim
from skdim import CPCTransformer, MultiViewInfoMaxTransformer
from skdim.bounds import Criterion

ROOT = skdim.__file__.removesuffix("__init__.py")
MOST = 7

FITS = {
    "DeepInfoMaxTransformer": lambda: tiny(max_iter=1).fit(images(64)),
    "MultiViewInfoMaxTransformer": lambda: MultiViewInfoMaxTransformer(4, max_iter=1, batch_size=64).fit(images(64)),
    "CPCTransformer": lambda: CPCTransformer(4, max_iter=1).fit(np.cumsum(table(64, 20), axis=1)),
    "MIEstimator": lambda: tiny_mi().fit(table(200), table(200, 2, seed=1)),
}


def test_every_estimator_has_a_fit():
    trains_nothing = {"MRMRSelector"}
    assert FITS.keys() | trains_nothing == {name for name in skdim.__all__ if hasattr(getattr(skdim, name), "fit")}


@pytest.mark.parametrize("name", FITS)
def test_the_loss_is_few_frames_below_fit(name, monkeypatch):
    stacks = []
    original = Criterion.loss

    def recorded(self, *args):
        frames = [frame for frame in inspect.stack(context=0)[1:] if frame.filename.startswith(ROOT)]
        stacks.append([frame.function for frame in frames][::-1])
        return original(self, *args)

    monkeypatch.setattr(Criterion, "loss", recorded)
    FITS[name]()
    in_steps = [stack for stack in stacks if "run_single_epoch" in stack]
    assert in_steps
    for stack in in_steps:
        assert len(stack) + 1 <= MOST, " > ".join([*stack, "loss"])
