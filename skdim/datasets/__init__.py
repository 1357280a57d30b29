"""Images and sequences to learn from: a folder of photographs, the known data sets, and files of them."""

from skdim.datasets._downloads import load_fashion_mnist, load_mnist, load_time_series, read_idx, read_ts
from skdim.datasets._images import ImageFiles, load_images

__all__ = [
    "ImageFiles",
    "load_fashion_mnist",
    "load_images",
    "load_mnist",
    "load_time_series",
    "read_idx",
    "read_ts",
]
