"""A user's code as mypy reads it: wrong types are errors, and each ``type: ignore`` here is one that mypy must need."""

from skdim import CPCTransformer, DeepInfoMaxTransformer, MIEstimator, MIResult, MultiViewInfoMaxTransformer
from skdim.bounds import Alpha, Bound
from skdim.nn.critics import Separable
from skdim.synthetic import BEYOND_NORMAL


def right() -> None:
    DeepInfoMaxTransformer(n_components=32, estimator=Alpha(alpha=0.1), critic=Separable(width=16), max_iter="auto")
    MultiViewInfoMaxTransformer(views="halves", target_mi=2.0)
    CPCTransformer(n_steps=4, patch_size=(8, 8))
    bound: Bound = Alpha()
    value: float = BEYOND_NORMAL["1v1-normal-0.75"].mutual_information
    print(bound.cap(128) + value)


def wrong(result: MIResult) -> None:
    DeepInfoMaxTransformer(n_components="many")  # type: ignore[arg-type]
    MultiViewInfoMaxTransformer(shared_encoder=3.5)  # type: ignore[arg-type]
    CPCTransformer(learning_rate="fast")  # type: ignore[arg-type]
    MIEstimator(n_refits="none")  # type: ignore[arg-type]
    Separable(width="wide")  # type: ignore[arg-type]
    result.value = 3.0  # type: ignore[misc]
    result.nats  # type: ignore[attr-defined]  # noqa: B018
