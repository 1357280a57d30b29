"""Real images and sequences for examples and benchmarks, from a folder of yours, an installed package or OpenML."""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import fetch_openml
from sklearn.utils import Bunch

__all__ = ["load_fashion_mnist", "load_mnist", "load_time_series", "read_idx", "read_ts"]

Array = npt.NDArray[Any]

#: Types of numbers by the third byte of an IDX file.
_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IDX_FILES = {
    "X_train": "train-images[-.]idx3-ubyte*",
    "y_train": "train-labels[-.]idx1-ubyte*",
    "X_test": "t10k-images[-.]idx3-ubyte*",
    "y_test": "t10k-labels[-.]idx1-ubyte*",
}
#: Bytes that are read at once.
_READ_AT_ONCE = 2**24
#: Of the 70,000 rows of OpenML, these are the training set.
_N_TRAIN = 60_000


class _Source(NamedTuple):
    name: str
    openml_id: int
    target_names: tuple[str, ...]
    package: str | None = None
    package_folder: Path | None = None


_MNIST = _Source("mnist", 554, tuple("0123456789"))
_FASHION_MNIST = _Source(
    "fashion_mnist",
    40996,
    ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    package="dataset-fashion-mnist",
    package_folder=Path("/usr/share/datasets/fashion-mnist"),
)


def load_mnist(data_home: str | os.PathLike[str] | None = None) -> Bunch:
    """Load MNIST: 70,000 images of handwritten digits.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder with ``mnist.npz`` (arrays ``X_train``, ``y_train``, ``X_test``, ``y_test``, also in lower case) or with the four
        IDX files, gzipped or not, in its subfolder ``mnist``. None is the environment variable ``SKDIM_DATA_HOME``. Without
        them the data comes from OpenML, which needs pandas and keeps a copy in scikit-learn's data folder.

    Returns
    -------
    Bunch
        ``X_train`` (60000, 28, 28) and ``X_test`` (10000, 28, 28), uint8 from 0 to 255; ``y_train`` (60000,) and ``y_test``
        (10000,), uint8; ``target_names``, one name per class; ``source``, where the data was found.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data is in none of the places, or a file does not hold images and labels.

    Examples
    --------
    >>> from skdim.datasets import load_mnist
    >>> load_mnist().X_train.shape  # doctest: +SKIP
    (60000, 28, 28)
    """
    return _load(_MNIST, data_home)


def load_fashion_mnist(data_home: str | os.PathLike[str] | None = None) -> Bunch:
    """Load Fashion-MNIST: 70,000 images of articles of clothing.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder as for :func:`load_mnist`, with ``fashion_mnist`` in place of ``mnist``. Without its files the data comes from
        Debian's package ``dataset-fashion-mnist``, if it is installed, or from OpenML.

    Returns
    -------
    Bunch
        As of :func:`load_mnist`, which has an example and raises the same errors.
    """
    return _load(_FASHION_MNIST, data_home)


def _load(source: _Source, data_home: str | os.PathLike[str] | None) -> Bunch:
    home = data_home or os.environ.get("SKDIM_DATA_HOME")
    places = [Path(home, f"{source.name}.npz"), Path(home, source.name)] if home else []
    if source.package_folder is not None:
        places.append(source.package_folder)
    place = next((place for place in places if place.exists()), None)
    found = "OpenML" if place is None else str(place)
    read = _read_npz if place is not None and place.is_file() else _read_idx_folder
    arrays = _fetch_openml(source) if place is None else read(place)
    for part in ("train", "test"):
        X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        if X.dtype != np.uint8 or X.shape[1:] != (28, 28) or y.shape != X.shape[:1]:
            raise ValueError(
                f"{found}: X_{part} must be uint8 of shape (n, 28, 28) and y_{part} of shape (n,), got {X.dtype} {X.shape} and "
                f"{y.shape}."
            )
    return Bunch(**arrays, target_names=list(source.target_names), source=found)


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            names = {name.lower(): name for name in archive.files}
            found = {key: archive[names[key.lower()]] for key in _IDX_FILES if key.lower() in names}
    except (EOFError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no npz file, or a damaged one: {error}.") from error
    if len(found) < len(_IDX_FILES):
        lacks = [key for key in _IDX_FILES if key not in found]
        raise ValueError(f"{path} must hold {', '.join(_IDX_FILES)}; it lacks {', '.join(lacks)}.")
    return found


def _read_idx_folder(folder: Path) -> dict[str, Array]:
    arrays = {}
    for key, pattern in _IDX_FILES.items():
        path = min(folder.glob(pattern), default=None)
        if path is None:
            name = pattern.replace("[-.]", "-").rstrip("*")
            raise ValueError(f"{folder} holds no file {name}, with .gz or without.")
        arrays[key] = read_idx(path)
    return arrays


def _fetch_openml(source: _Source) -> dict[str, Array]:
    try:
        fetched = fetch_openml(data_id=source.openml_id, as_frame=False, parser="pandas")
    except (ImportError, OSError, ValueError) as error:  # no pandas; no network; refused by OpenML
        package = f", or install the system package {source.package}" if source.package else ""
        raise FileNotFoundError(
            f"{source.name} is in none of the places searched, and OpenML did not give it ({error}). Put {source.name}.npz "
            f"with the uint8 arrays {', '.join(_IDX_FILES)}, or the four IDX files in a subfolder {source.name}, into a folder "
            f"and set SKDIM_DATA_HOME to it{package}, or connect to the network and pip install pandas for OpenML."
        ) from error
    X, y = fetched.data.astype(np.uint8).reshape(-1, 28, 28), fetched.target.astype(np.uint8)
    return {"X_train": X[:_N_TRAIN], "y_train": y[:_N_TRAIN], "X_test": X[_N_TRAIN:], "y_test": y[_N_TRAIN:]}


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read a file in the IDX format of MNIST, compressed with gzip or not.

    Parameters
    ----------
    path : str or path-like
        The file. Its content, not its name, says if it is compressed.

    Returns
    -------
    ndarray
        With the shape and dtype of the file, in the machine's byte order.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is not IDX, is damaged, or does not have the length that its header announces.

    Examples
    --------
    Two images of one row of three pixels: type 8 (uint8), three axes, their lengths, the pixels.

    >>> import tempfile, pathlib
    >>> from skdim.datasets import read_idx
    >>> header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "images-idx3-ubyte")
    ...     _ = path.write_bytes(header + bytes(range(6)))
    ...     read_idx(path).tolist()
    [[[0, 1, 2]], [[3, 4, 5]]]
    """
    _refuse_folder(path)
    with Path(path).open("rb") as stored:
        is_compressed = stored.read(2) == b"\x1f\x8b"
    file: IO[bytes]
    try:
        with gzip.open(path) if is_compressed else Path(path).open("rb") as file:  # type: ignore[assignment]
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_DTYPES:
                raise ValueError(f"{path} is not an IDX file: its first four bytes are {head.hex(' ') or 'missing'}.")
            dtype, n_axes = np.dtype(_IDX_DTYPES[head[2]]), head[3]
            lengths = file.read(4 * n_axes)
            shape = tuple(np.frombuffer(lengths, ">u4", count=len(lengths) // 4).tolist())
            expected = math.prod(shape) * dtype.itemsize
            data = _read_at_most(file, expected + 1)  # a compressed file may hold any number of zeros
        start = 4 + len(lengths)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}.") from error
    if len(shape) < n_axes or len(data) != expected:
        held = f"{start + len(data)} bytes{' or more' if len(data) > expected else ''}"
        raise ValueError(f"{path} announces shape {shape}, {start + expected} bytes in all, but holds {held}.")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_at_most(file: IO[bytes], n_bytes: int) -> bytes:
    """Return the next bytes of a file; a header that announces more than the file holds takes no memory."""
    parts = []
    while n_bytes > 0 and (part := file.read(min(n_bytes, _READ_AT_ONCE))):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def _refuse_folder(path: str | os.PathLike[str]) -> None:
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder: give a file in it.")


def load_time_series(name: str, data_home: str | os.PathLike[str] | None = None) -> Bunch:
    """Load a data set of labelled sequences in the ``.ts`` format, by its name in the UEA and UCR archives.

    Parameters
    ----------
    name : str
        Such as "GunPoint". The package aeon carries "ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand",
        "JapaneseVowels" and "OSULeaf"; they are read without importing it.
    data_home : str or path-like, default=None
        Folder with ``<name>/<name>_TRAIN.ts`` and ``<name>/<name>_TEST.ts``. None is the environment variable
        ``SKDIM_DATA_HOME``. Without these files, the data comes from the installed package aeon.

    Returns
    -------
    Bunch
        ``X_train`` and ``X_test``, float64 (n, n_channels, n_times), padded with 0 to the longest sequence of the part;
        ``lengths_train`` and ``lengths_test``, int64 (n,); ``y_train`` and ``y_test``, str (n,); ``source``, where the data was
        found.

    Raises
    ------
    FileNotFoundError, ValueError
        If the data is in none of the places, or a file is not in the format.

    Examples
    --------
    >>> from skdim.datasets import load_time_series
    >>> vowels = load_time_series("JapaneseVowels")
    >>> vowels.X_train.shape, vowels.lengths_train.min()
    ((270, 12, 26), np.int64(7))
    """
    home = data_home or os.environ.get("SKDIM_DATA_HOME")
    folders = [Path(home)] if home else []
    package = importlib.util.find_spec("aeon")
    if package is not None and package.submodule_search_locations:
        folders.append(Path(package.submodule_search_locations[0], "datasets", "data"))
    for folder in folders:
        paths = {part: folder / name / f"{name}_{part.upper()}.ts" for part in ("train", "test")}
        if all(path.exists() for path in paths.values()):
            bunch = Bunch(source=str(folder / name))
            for part, path in paths.items():
                sequences, bunch[f"y_{part}"] = read_ts(path)
                bunch[f"X_{part}"], bunch[f"lengths_{part}"] = _padded(sequences)
            return bunch
    raise FileNotFoundError(
        f"{name} is in none of the places searched ({', '.join(map(str, folders)) or 'none'}). Put {name}_TRAIN.ts and "
        f"{name}_TEST.ts into a folder {name} and set SKDIM_DATA_HOME to the folder above it, or install aeon, which carries "
        "some: pip install 'scikit-deepinfomax[data]'."
    )


def _is_number(text: str) -> bool:
    """Whether a text is a finite decimal number; Python also takes "NaN" and "1_0"."""
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def _padded(sequences: list[npt.NDArray[np.float64]]) -> tuple[Array, Array]:
    lengths = np.array([sequence.shape[1] for sequence in sequences])
    X = np.zeros((len(sequences), len(sequences[0]), lengths.max()))
    for row, sequence in zip(X, sequences, strict=True):
        row[:, : sequence.shape[1]] = sequence
    return X, lengths


def read_ts(path: str | os.PathLike[str]) -> tuple[list[npt.NDArray[np.float64]], Array]:
    r"""Read labelled sequences from a file in the ``.ts`` format of the UEA and UCR archives.

    Parameters
    ----------
    path : str or path-like
        The file: header lines that begin with ``#`` or ``@``, then one line per case. Colons separate its channels and, at the
        end, its label; commas separate the values of a channel.

    Returns
    -------
    sequences : list of ndarray of float64 of shape (n_channels, length)
        One per case; lengths may differ.
    labels : ndarray of str of shape (n_cases,)
        The labels.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is not in this format, or values are missing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from skdim.datasets import read_ts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.ts")
    ...     _ = path.write_text("@classLabel true\n@data\n1,2,3:4,5,6:left\n7,8:9,0:right\n")
    ...     sequences, labels = read_ts(path)
    >>> [sequence.shape for sequence in sequences], labels.tolist()
    ([(2, 3), (2, 2)], ['left', 'right'])
    """
    _refuse_folder(path)
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text: {error}.") from error
    start = next((number for number, line in enumerate(lines, start=1) if line.lower() == "@data"), None)
    if start is None:
        raise ValueError(f"{path} is not a .ts file: no line says @data.")
    sequences, labels = [], []
    for number, line in enumerate(lines[start:], start=start + 1):
        if line:
            *channels, label = line.split(":")
            values = [channel.split(",") for channel in channels]
            wrong = [value for channel in values for value in channel if not _is_number(value)]
            if wrong or len({len(channel) for channel in values}) > 1:
                why = f"{wrong[0]!r} is no finite number" if wrong else "its channels differ in length"
                raise ValueError(f"Line {number} of {path} does not hold channels of equal length: {why}.")
            sequences.append(np.array(values, dtype=np.float64))
            labels.append(label)
    if not sequences or len({len(sequence) for sequence in sequences}) > 1 or not all(s.size for s in sequences):
        raise ValueError(f"{path} does not hold cases that all have the same number of channels.")
    return sequences, np.array(labels)
