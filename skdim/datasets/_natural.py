"""Natural images: the published files of CIFAR-10, STL-10 and Tiny ImageNet, and patches of photographs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch, check_random_state

from skdim._sklearn import Interval, StrOptions, validate_params
from skdim.datasets._images import load_images

Array = npt.NDArray[Any]
Home = str | os.PathLike[str] | None

#: The photographs in colour that packages carry: their place in the package, and the files.
PHOTOGRAPHS = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": (
        "data",
        (
            "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png",
            "retina.jpg", "rocket.jpg",
        ),
    ),
}  # fmt: skip
_CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_STL10_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def load_cifar10(data_home: Home = None) -> Bunch:
    """Load CIFAR-10, 60,000 photographs of ten kinds of things, from its binary version.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder above ``cifar-10-batches-bin``, which ``cifar-10-binary.tar.gz`` unpacks to. None is the environment variable
        ``SKDIM_DATA_HOME``. The Python version is a pickle, which could run any code, and is not read.

    Returns
    -------
    Bunch
        ``X_train`` (50000, 3, 32, 32) and ``X_test`` (10000, 3, 32, 32), uint8; ``y_train`` (50000,) and ``y_test`` (10000,),
        uint8; ``target_names``, one name per class; ``source``, where the data was found.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, or does not hold images and labels.

    References
    ----------
    .. [1] Krizhevsky, "Learning multiple layers of features from tiny images", 2009. https://www.cs.toronto.edu/~kriz/cifar.html

    Examples
    --------
    >>> from skdim.datasets import load_cifar10
    >>> load_cifar10().X_train.shape  # doctest: +SKIP
    (50000, 3, 32, 32)
    """
    folder = _folder("cifar-10-batches-bin", "cifar-10-binary.tar.gz", data_home)
    bunch = Bunch(target_names=list(_CIFAR10_NAMES), source=str(folder))
    for part, names in {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}.items():
        rows = np.concatenate([_rows(folder / name, 1 + 3 * 32 * 32) for name in names])
        bunch[f"X_{part}"] = rows[:, 1:].reshape(-1, 3, 32, 32)
        bunch[f"y_{part}"] = _labels_below(rows[:, 0], 10, folder, names)
    return bunch


def load_stl10(data_home: Home = None) -> Bunch:
    """Load STL-10: 13,000 labelled photographs of ten kinds of things, and 100,000 others.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder above ``stl10_binary``, which ``stl10_binary.tar.gz`` unpacks to. None is the environment variable
        ``SKDIM_DATA_HOME``.

    Returns
    -------
    Bunch
        ``X_train`` (5000, 3, 96, 96) and ``X_test`` (8000, 3, 96, 96), uint8; ``y_train`` (5000,) and ``y_test`` (8000,),
        uint8 from 0; ``X_unlabelled``, a memory map of shape (100000, 3, 96, 96) on 2.8 GB of disk; ``target_names``, one name
        per class; ``source``, where the data was found.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing, or does not hold images and labels.

    References
    ----------
    .. [1] Coates, Lee & Ng, "An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011.
       https://cs.stanford.edu/~acoates/stl10

    Examples
    --------
    >>> from skdim.datasets import load_stl10
    >>> load_stl10().X_train.shape  # doctest: +SKIP
    (5000, 3, 96, 96)
    """
    folder = _folder("stl10_binary", "stl10_binary.tar.gz", data_home)
    bunch = Bunch(target_names=list(_STL10_NAMES), source=str(folder))

    def images(name: str) -> Array:  # columns come before rows in the file
        return _rows(folder / name, 3 * 96 * 96).reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)

    for part in ("train", "test"):
        names = [f"{part}_X.bin", f"{part}_y.bin"]
        X, y = np.ascontiguousarray(images(names[0])), _rows(folder / names[1], 1)[:, 0]
        if len(X) != len(y):
            raise ValueError(f"{folder}: {names[0]} holds {len(X)} images, {names[1]} {len(y)} labels. Unpack it anew.")
        bunch[f"X_{part}"], bunch[f"y_{part}"] = X, _labels_below(y - 1, 10, folder, names[1:])  # 1 to 10 in the file
    bunch.X_unlabelled = images("unlabeled_X.bin")
    return bunch


def load_tiny_imagenet(data_home: Home = None, *, size: Sequence[int] = (64, 64), lazy: bool = False) -> Bunch:
    """Load Tiny ImageNet: 110,000 photographs of 64 x 64 pixels of 200 kinds of things. It needs the extra ``images``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder above ``tiny-imagenet-200``, which ``tiny-imagenet-200.zip`` unpacks to. None is the environment variable
        ``SKDIM_DATA_HOME``.
    size, lazy
        As of :func:`load_images`.

    Returns
    -------
    Bunch
        ``X_train`` (100000, 3, 64, 64) and ``X_test`` (10000, 3, 64, 64), the published validation part, uint8 or
        :class:`ImageFiles`; ``y_train`` (100000,) and ``y_test`` (10000,), uint8; ``target_names``, one name per class;
        ``source``, where the data was found.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is missing or no image, or the class of an image is unknown.
    ImportError
        If Pillow is not installed.

    References
    ----------
    .. [1] Le & Yang, "Tiny ImageNet visual recognition challenge", 2015. http://cs231n.stanford.edu/tiny-imagenet-200.zip

    Examples
    --------
    >>> from skdim.datasets import load_tiny_imagenet
    >>> load_tiny_imagenet(lazy=True).X_train.shape  # doctest: +SKIP
    (100000, 3, 64, 64)
    """
    folder = _folder("tiny-imagenet-200", "tiny-imagenet-200.zip", data_home)
    codes = _text(folder / "wnids.txt").split()
    words = dict(line.split("\t") for line in _text(folder / "words.txt").splitlines() if "\t" in line)
    names_and_codes = [line.split("\t")[:2] for line in _text(folder / "val/val_annotations.txt").splitlines()]
    judged = [folder / "val/images" / name for name, *_ in names_and_codes]
    parts = {
        "train": load_images(folder / "train", size, color="RGB", lazy=lazy),
        "test": load_images(judged, size, labels=[code for *_, code in names_and_codes], color="RGB", lazy=lazy),
    }
    bunch = Bunch(target_names=[words.get(code, code) for code in codes], source=str(folder))
    number = {code: i for i, code in enumerate(codes)}
    for part, images in parts.items():
        unknown = sorted(set(images.target.tolist()) - set(number))
        if unknown:
            raise ValueError(f"{folder}: {part} has images of {unknown[0]}, which wnids.txt lacks. Unpack it anew.")
        bunch[f"X_{part}"] = images.data
        bunch[f"y_{part}"] = np.array([number[code] for code in images.target], dtype=np.uint8)
    return bunch


@validate_params(
    {
        "size": [Interval(Integral, 1, None, closed="left")],
        "n_train": [Interval(Integral, 1, None, closed="left")],
        "n_test": [Interval(Integral, 1, None, closed="left")],
        "packages": [StrOptions({"sklearn", "skimage"}), list, tuple],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def load_photo_patches(
    size: int = 32,
    *,
    n_train: int = 1000,
    n_test: int = 250,
    packages: str | Sequence[str] = "sklearn",
    random_state: Any = 0,
) -> Bunch:
    """Load random patches of photographs that installed packages carry: colour images without a download.

    Training patches are cut from the left half of each photograph, test patches from the right half, so that they share no
    pixel. The label says which photograph a patch is from. It needs the extra ``images``.

    Parameters
    ----------
    size : int, default=32
        Height and width of a patch in pixels, at most the smallest half of a photograph (225 for both packages).
    n_train, n_test : int, default=1000, 250
        How many patches are cut from each half of each photograph.
    packages : {"sklearn", "skimage"} or list of these, default="sklearn"
        Whose photographs: scikit-learn, which is there, carries two, scikit-image eight. Their files are read, and the package
        is not imported.
    random_state : int, RandomState instance or None, default=0
        Draws the places of the patches.

    Returns
    -------
    Bunch
        ``X_train`` (n_train * n_photographs, 3, size, size) and ``X_test``, uint8; ``y_train`` and ``y_test``, uint8;
        ``target_names``, one name per photograph.

    Raises
    ------
    ValueError
        If half of a photograph is smaller than a patch, or a parameter is invalid.
    ImportError
        If a package or Pillow is not installed.

    Examples
    --------
    >>> from skdim.datasets import load_photo_patches
    >>> patches = load_photo_patches(48, n_train=10, n_test=5)
    >>> patches.X_train.shape, patches.y_test.tolist(), patches.target_names
    ((20, 3, 48, 48), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1], ['china', 'flower'])
    """
    rng = check_random_state(random_state)
    paths = [
        path for package in ([packages] if isinstance(packages, str) else packages) for path in _photographs(package)
    ]
    if not paths:
        raise ValueError("packages is empty; give sklearn, skimage or both.")
    parts: dict[str, list[Array]] = {"train": [], "test": []}
    for path in paths:
        whole = _photograph(path)
        middle = whole.shape[2] // 2
        halves = whole[..., :middle], whole[..., middle:]
        for cut, n, half in zip(parts.values(), (n_train, n_test), halves, strict=True):
            if min(half.shape[1:]) < size:
                raise ValueError(
                    f"size={size}: half of {path} has {half.shape[1]} x {half.shape[2]} pixels. Give less."
                )
            windows = np.lib.stride_tricks.sliding_window_view(half, (3, size, size))[0]
            cut.append(windows[tuple(rng.randint(0, n_places, n) for n_places in windows.shape[:2])])
    bunch = Bunch(target_names=[path.stem for path in paths])
    for (part, cut), n in zip(parts.items(), (n_train, n_test), strict=True):
        bunch[f"X_{part}"] = np.ascontiguousarray(np.concatenate(cut))
        bunch[f"y_{part}"] = np.repeat(np.arange(len(cut), dtype=np.uint8), n)
    return bunch


def _photographs(package: str) -> list[Path]:
    if package not in PHOTOGRAPHS:
        raise ValueError(f"packages has {package!r}; it may have {', '.join(PHOTOGRAPHS)}.")
    folder, names = PHOTOGRAPHS[package]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError("scikit-image carries these photographs, and is not installed: pip install scikit-image.")
    return [Path(found.submodule_search_locations[0], folder, name) for name in names]


def _photograph(path: Path) -> Array:
    """Return a photograph (3, height, width) in its own size."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("load_photo_patches needs Pillow: install the extra, scikit-deepinfomax[images].") from error

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _folder(name: str, archive: str, data_home: Home) -> Path:
    """Return the folder that an archive unpacks to."""
    home = data_home or os.environ.get("SKDIM_DATA_HOME")
    if home and Path(home, name).is_dir():
        return Path(home, name)
    where = f"{home} holds no folder {name}" if home else "No folder of data is given"
    raise FileNotFoundError(f"{where}. Unpack {archive} there, and give data_home or set SKDIM_DATA_HOME.")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} holds no file {path.name}. Unpack the archive anew.")
    return path


def _text(path: Path) -> str:
    return _existing(path).read_text(encoding="utf-8")


def _rows(path: Path, n_bytes: int) -> Array:
    """Return the rows (n, n_bytes) of a file as a memory map."""
    held = _existing(path).stat().st_size
    if not held or held % n_bytes:
        raise ValueError(f"{path} must hold rows of {n_bytes} bytes, and holds {held} bytes. Unpack the archive anew.")
    return np.memmap(path, np.uint8, "r").reshape(-1, n_bytes)


def _labels_below(labels: Array, n_classes: int, folder: Path, names: Sequence[str]) -> Array:
    wrong = labels[labels >= n_classes]
    if len(wrong):
        raise ValueError(
            f"{folder}: {' and '.join(names)} must hold {n_classes} labels, and hold others. Unpack them anew."
        )
    return np.array(labels)
