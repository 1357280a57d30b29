"""The versions, threads and devices on this machine, for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

__version__ = "0.1.0"
#: Where the documentation of releases is published; pyproject.toml has it as a project URL.
DOCUMENTATION = "https://scikit-deepinfomax.readthedocs.io/en/stable"

_REQUIRED = ("scikit-learn", "torch", "skorch", "numpy", "scipy", "joblib")
_DEPENDENCIES = (*_REQUIRED, "pandas", "polars", "matplotlib", "rich", "skops")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def show_versions() -> None:
    """Print the versions, threads and devices that results depend on.

    A last line warns if ``scikit-dimension`` is installed, which imports as ``skdim`` too and overwrites the same files.

    Examples
    --------
    >>> from skdim import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    <BLANKLINE>
    System:
        python: 3...
    """
    devices = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    devices += ["mps"] * torch.backends.mps.is_available()
    sections: dict[str, dict[str, str | None]] = {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
        },
        "Python dependencies": {name: _version(name) for name in ("scikit-deepinfomax", *_DEPENDENCIES)},
        "torch": {
            "threads": f"{torch.get_num_threads()} within an operation, {torch.get_num_interop_threads()} between",
            "devices": ", ".join(["cpu", *devices]),
        },
    }
    for title, entries in sections.items():
        width = max(map(len, entries)) + 4
        print(f"\n{title}:")
        for name, value in entries.items():
            print(f"{name:>{width}}: {value}")
    if (clash := _version("scikit-dimension")) is not None:
        print(
            f"\nClash: scikit-dimension {clash} is installed and imports as skdim, as scikit-deepinfomax does. "
            "Use separate environments, and reinstall the one you keep."
        )
