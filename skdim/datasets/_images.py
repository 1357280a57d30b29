"""Folders of image files as arrays of one shape, in memory or read as they are needed."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch
from torch.utils.data import Dataset

from skdim._sklearn import Interval, StrOptions, validate_params
from skdim.exceptions import warn

if TYPE_CHECKING:
    from PIL import Image

Array = npt.NDArray[np.uint8]
T = TypeVar("T")

#: Modes of Pillow of more than 8 bits: integers of 16 and 32, and real numbers. None has colour.
DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
#: Modes of Pillow without colour.
GREY = {"1", "L", "LA", "La"} | DEEP
#: Channels by the parameter ``color``.
CHANNELS = {"L": 1, "RGB": 3}
#: How many unreadable files a message names.
MOST_NAMED = 5
#: Files that a thread reads at once.
FILES_AT_ONCE = 64


@validate_params(
    {
        "source": [str, os.PathLike, list, tuple, "array-like", Iterator],
        "size": [tuple, list],
        "labels": [StrOptions({"folder"}), "array-like", None],
        "color": [StrOptions({"auto", "RGB", "L"})],
        "white": [Interval(Real, 0, None, closed="neither"), None],
        "lazy": ["boolean"],
        "on_error": [StrOptions({"raise", "skip"})],
    },
    prefer_skip_nested_validation=True,
)
def load_images(
    source: Any,
    size: Sequence[int] = (64, 64),
    *,
    labels: Any = "folder",
    color: str = "auto",
    white: float | None = None,
    lazy: bool = False,
    on_error: str = "raise",
) -> Bunch:
    """Load image files as one array, which ``fit`` takes.

    Pillow reads the files: JPEG, PNG, TIFF, WebP and others, of any size and mode. An image is turned as its EXIF orientation
    says, scaled until it covers ``size``, and its middle is cut out. Transparent pixels become white. The package needs the
    extra ``images``.

    Parameters
    ----------
    source : path, or list or iterator of paths
        A folder, whose image files are taken with those of its subfolders, sorted by path; or the files, in this order. Of a
        folder, hidden files and folders are passed over, and files whose extension is that of no picture that Pillow reads.
    size : (int, int), default=(64, 64)
        Height and width of the images that are returned.
    labels : "folder", array-like of shape (n_files,) or None, default="folder"
        "folder" takes the folder of a file, right below ``source`` if that is a folder: it holds images, or one folder of them.
        None gives no labels.
    color : {"auto", "RGB", "L"}, default="auto"
        Three channels or one, of grey. "auto" is one channel if no file has colour.
    white : float, default=None
        The value of a white pixel in grey files of more than 8 bits, such as 65535, or 4095 for 12 bits in files of 16: values
        from 0 to ``white`` become 0 to 255. None refuses these files, which do not say it. Files of 8 bits stay as they are,
        and Pillow cuts colours of 16 bits to 8.
    lazy : bool, default=False
        Whether the files are read as they are needed, for folders larger than memory: a fit reads each once to learn mean and
        scale, once an epoch, and at most 8,192 to find the discriminant code. Headers are read at once.
    on_error : {"raise", "skip"}, default="raise"
        What to do about files that are no images: an error that names them, or a warning, and they are left out. With
        ``lazy=True`` only headers are known: a file whose end is missing raises when it is read.

    Returns
    -------
    Bunch
        ``data``: ndarray of uint8 of shape (n, n_channels, height, width), or :class:`ImageFiles` if lazy. ``target``: ndarray
        of str of shape (n,), or None. ``filenames``: list of paths.

    Raises
    ------
    ValueError, TypeError
        If there are no files, a file cannot be read or lies in no folder of a class, a folder of a class holds several folders
        and no image, or a parameter is invalid.
    ImportError
        If Pillow is not installed.

    Warns
    -----
    UserWarning
        If files are left out.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> from skdim.datasets import load_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, colour in (("day", "white"), ("night", "navy")):
    ...         os.mkdir(os.path.join(folder, name))
    ...         Image.new("RGB", (90, 60), colour).save(os.path.join(folder, name, "1.jpg"))
    ...     photos = load_images(folder, size=(32, 32))
    >>> photos.data.shape, photos.target.tolist(), int(photos.data[0].mean())
    ((2, 3, 32, 32), ['day', 'night'], 255)
    """
    height, width = _checked_size(size)
    root, paths = _files(source)
    target = _labels(paths, root, labels)
    is_grey, broken = _headers(paths, white, until_colour=not lazy)
    if color == "auto":
        color = "L" if is_grey else "RGB"
    files = ImageFiles(paths, (height, width), color, white)
    data: Any = files if lazy else files.read(range(len(paths)), broken)
    if broken:
        if on_error == "raise" or len(broken) == len(paths):
            raise ValueError(_told(paths, broken) + " Remove them, or leave them out by on_error='skip'.")
        warn(_told(paths, broken) + " They are left out.", UserWarning)
        kept = [i for i in range(len(paths)) if i not in broken]
        paths, target = [paths[i] for i in kept], None if target is None else target[kept]
        data = ImageFiles(paths, (height, width), color, white) if lazy else data[kept]
    return Bunch(data=data, target=target, filenames=[str(path) for path in paths])


class ImageFiles(Dataset[Array]):
    """Image files that are read as they are needed: an array of uint8 of shape (n, n_channels, height, width).

    Transformers take it as X, and torch's DataLoader as a Dataset. Slices and lists of positions give arrays.

    Parameters
    ----------
    paths : sequence of paths
        The files.
    size : (int, int)
        Height and width.
    color : {"RGB", "L"}, default="RGB"
        Three channels or one.
    white : float, default=None
        The value of a white pixel in grey files of more than 8 bits, see :func:`load_images`.

    Raises
    ------
    ValueError
        When a file is read that is no image, or has more than 8 bits and values outside 0 to ``white``.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> from skdim.datasets import ImageFiles
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "night.png")
    ...     Image.new("L", (40, 20), 7).save(path)
    ...     images = ImageFiles([path], (8, 8), color="L")
    ...     print(images.shape, images[:1].max())
    (1, 1, 8, 8) 7
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        size: tuple[int, int],
        color: str = "RGB",
        white: float | None = None,
    ) -> None:
        self.paths, self.size, self.color, self.white = list(paths), size, color, white
        self.shape = (len(self.paths), CHANNELS[color], *size)
        self.ndim, self.dtype = 4, np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} file(s), shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, rows: Any) -> Array:
        numbers = np.arange(len(self))[rows]
        broken: dict[int, str] = {}
        images = self.read(np.atleast_1d(numbers).tolist(), broken)
        if broken:
            raise ValueError(_told(self.paths, broken) + " Remove them from the folder.")
        return images if np.ndim(numbers) else images[0]

    def __getitems__(self, rows: list[int]) -> list[Array]:
        return list(self[rows])

    def read(self, rows: Sequence[int], broken: dict[int, str]) -> Array:
        """Return images (n_rows, n_channels, height, width); ``broken`` gets what is wrong with those that stay black."""
        images = np.zeros((len(rows), *self.shape[1:]), np.uint8)
        to_pixels = functools.partial(_pixels, size=self.size, color=self.color, white=self.white)

        def fill(start: int) -> None:
            for place in range(start, min(start + FILES_AT_ONCE, len(rows))):
                path = self.paths[rows[place]]
                found: Array | str = broken[rows[place]] if rows[place] in broken else _use(path, to_pixels)
                if isinstance(found, str):
                    broken[rows[place]] = found
                else:
                    images[place] = found

        with ThreadPoolExecutor() as threads:  # Pillow decodes without the interpreter's lock
            list(threads.map(fill, range(0, len(rows), FILES_AT_ONCE)))
        return images


def _use(path: str | os.PathLike[str], use: Callable[[Image.Image], T]) -> T | str:
    """Return ``use(image)``, or what is wrong with the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return use(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{type(error).__name__}: {error}"


def _is_grey(image: Image.Image, white: float | None) -> bool:
    if image.mode in DEEP and white is None:
        raise ValueError(
            "more than 8 bits, and nothing says which value is white: give white, such as 65535, or 4095 for 12 bits"
        )
    return image.mode in GREY


def _headers(paths: Sequence[Path], white: float | None, until_colour: bool) -> tuple[bool, dict[int, str]]:
    """Return whether no file has colour, and what is wrong with those whose header cannot be read."""
    is_grey, broken = True, {}
    for row, path in enumerate(paths):
        found = _use(path, lambda image: _is_grey(image, white))
        if isinstance(found, str):
            broken[row] = found
        else:
            is_grey &= found
        if until_colour and not is_grey:
            break
    return is_grey, broken


def _pixels(image: Image.Image, size: tuple[int, int], color: str, white: float | None) -> Array:
    """Return an image (n_channels, height, width) that covers ``size``."""
    from PIL import Image, ImageOps

    height, width = size
    _is_grey(image, white)
    image.draft(color, (2 * width, 2 * height))  # JPEG decodes to a half, quarter or eighth much faster
    turned = ImageOps.exif_transpose(image)
    if white is not None and turned.mode in DEEP:  # Pillow would cut values off at 255
        values = np.asarray(turned).astype(np.float64)
        if not (values.min() >= 0 and values.max() <= white):  # NaN is neither
            raise ValueError(f"pixels from {values.min():g} to {values.max():g}, and not from 0 to white={white:g}")
        turned = Image.fromarray(np.rint(values * 255 / white).astype(np.uint8))
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
    fitted = ImageOps.fit(turned.convert(color), (width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(fitted, dtype=np.uint8)
    return pixels[None] if color == "L" else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _files(source: Any) -> tuple[Path | None, list[Path]]:
    """Return the folder, if one is given, and the image files in it."""
    try:
        from PIL import Image, ImageFile
    except ImportError as error:
        raise ImportError("load_images needs Pillow: install the extra, scikit-deepinfomax[images].") from error

    if not isinstance(source, (str, os.PathLike)):
        paths = [Path(path) for path in source]
        if not paths:
            raise ValueError("The list of files is empty.")
        return None, paths
    root = Path(source)
    if not root.is_dir():
        raise ValueError(f"{root} is no folder. Give a folder, or a list of files.")

    def is_picture(kind: str) -> bool:
        """Whether Pillow reads a format by itself, and it is no video or document."""
        opens = Image.OPEN.get(kind, (None,))[0]
        is_stub = isinstance(opens, type) and issubclass(opens, ImageFile.StubImageFile)
        return not is_stub and Image.MIME.get(kind, "image/").startswith("image/")

    known = {extension for extension, kind in Image.registered_extensions().items() if is_picture(kind)}
    found = [path for path in root.rglob("*") if path.suffix.lower() in known]
    paths = sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))
    if not paths:
        raise ValueError(f"{root} and its subfolders hold no image files.")
    return root, paths


def _labels(paths: Sequence[Path], root: Path | None, labels: Any) -> npt.NDArray[Any] | None:
    if labels is None:
        return None
    if not isinstance(labels, str):
        given = np.asarray(labels)
        if given.shape != (len(paths),):
            raise ValueError(f"labels must have shape ({len(paths)},), one for each file, got {given.shape}.")
        return given
    if root is None:
        return np.array([path.parent.name for path in paths])
    folders = [path.relative_to(root).parts[0] for path in paths]
    below: dict[str, set[str]] = {folder: set() for folder in folders}
    for path in paths:
        if path.parent == root:
            raise ValueError(
                f"{path} lies in no folder of a class: labels='folder' takes the names of folders in {root}. Use labels=None."
            )
        below[path.relative_to(root).parts[0]].add(
            path.relative_to(root).parts[1] if path.parent.parent != root else ""
        )
    for folder, inside in below.items():
        if "" not in inside and len(inside) > 1:
            names = ", ".join(map(repr, sorted(inside)[:MOST_NAMED]))
            raise ValueError(
                f"{root / folder} holds no images but folders, {names}, and labels='folder' would make one class of them. If "
                f"these are the classes, load {root / folder} by itself; if not, give labels, one for each file, or None."
            )
    return np.array(folders)


def _checked_size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or not all(isinstance(side, Integral) and side > 0 for side in size):
        raise ValueError(f"size must be (height, width) of positive integers, got {size!r}.")
    return int(size[0]), int(size[1])


def _told(paths: Sequence[str | os.PathLike[str]], broken: dict[int, str]) -> str:
    named = [f"{os.fspath(paths[row])} ({broken[row]})" for row in sorted(broken)[:MOST_NAMED]]
    more = f" and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
    return f"{len(broken)} file(s) cannot be read as images: {', '.join(named)}{more}."
