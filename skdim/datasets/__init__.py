"""Images and sequences to learn from: a folder of photographs, the known data sets, and files of them."""

from skdim.datasets._downloads import load_fashion_mnist, load_mnist, load_time_series, read_idx, read_ts
from skdim.datasets._images import ImageFiles, load_images
from skdim.datasets._natural import load_cifar10, load_photo_patches, load_stl10, load_tiny_imagenet

__all__ = [
    "ImageFiles",
    "load_cifar10",
    "load_fashion_mnist",
    "load_images",
    "load_mnist",
    "load_photo_patches",
    "load_stl10",
    "load_time_series",
    "load_tiny_imagenet",
    "read_idx",
    "read_ts",
]
