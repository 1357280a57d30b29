"""The versions, threads and devices on this machine, for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

__all__ = ["show_versions"]

_DEPENDENCIES = (
    "scikit-learn",
    "torch",
    "skorch",
    "numpy",
    "scipy",
    "joblib",
    "pandas",
    "polars",
    "matplotlib",
    "rich",
    "skops",
)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def show_versions() -> None:
    """Print the versions, threads and devices that results depend on.

    A last line warns if the distribution ``scikit-dimension`` is installed: it imports as ``skdim`` too. The two overwrite each
    other's files and cannot share an environment.

    Examples
    --------
    >>> from skdim import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    <BLANKLINE>
    System:
        python: 3...
    """
    sections: dict[str, dict[str, str | None]] = {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
        },
        "Python dependencies": {
            "scikit-deepinfomax": _version("scikit-deepinfomax"),
            **{name: _version(name) for name in _DEPENDENCIES},
        },
        "torch": {
            "threads": f"{torch.get_num_threads()} within an operation, {torch.get_num_interop_threads()} between",
            "devices": ", ".join(["cpu", *_accelerators()]),
        },
    }
    for title, entries in sections.items():
        width = max(map(len, entries)) + 4
        print(f"\n{title}:")
        for name, value in entries.items():
            print(f"{name:>{width}}: {value}")
    clash = _version("scikit-dimension")
    if clash is not None:
        print(
            f"\nClash: scikit-dimension {clash} is installed and imports as skdim, as scikit-deepinfomax does. "
            "Use separate environments, and reinstall the one you keep."
        )


def _accelerators() -> list[str]:
    devices = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return devices + ["mps"] * torch.backends.mps.is_available()
