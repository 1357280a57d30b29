"""The table of all rows on the 40 tasks of Beyond Normal, ours and the peers', written into the docs.

python benchmarks/mutual_information_report.py
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from common import RESULTS

from skdim.synthetic import BEYOND_NORMAL

DOCS = Path(__file__).parents[1] / "docs"
SIZE, OURS = 10_000, "MIEstimator"
TEXT = """# Forty tasks

The tasks of Beyond Normal (Czyz et al. 2023): two variables of known mutual information, from one to 25 columns a side,
Gaussian and not, and the same under invertible maps. Errors in nats, estimate less truth, at {size:,} rows: of
`MIEstimator()` the mean over {n_seeds} data seeds, of the others one. Written by
`benchmarks/mutual_information_report.py` from the rows of `mutual_information.py` and `mutual_information_peers.py`, which say
how to repeat them, and with which versions.

{summary}

CPU seconds are medians of a task on one core, most of them beside other load, which lengthens all.

The picture is in the {{doc}}`gallery <auto_examples/plot_mutual_information>`.

## With fewer rows

{sizes}

## Every task

{table}
"""


def read(table: str) -> list[dict[str, str]]:
    with (RESULTS / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


Cells = dict[str, dict[str, list[tuple[float, float]]]]


def rows_of(size: int) -> Cells:
    """Return (error, CPU seconds) of every run by package and estimator, and task."""
    cells: Cells = defaultdict(lambda: defaultdict(list))
    for row in read("mutual_information"):
        if row["task"] in BEYOND_NORMAL and row["estimator"] == "auto" and int(row["n"]) == size:
            cells[OURS][row["task"]].append((float(row["error"]), float(row["cpu_s"])))
    for row in read("mutual_information_peers"):
        if int(row["n"]) == size:
            cells[f"{row['package']} {row['estimator']}"][row["task"]].append(
                (float(row["error"]), float(row["cpu_s"]))
            )
    return cells


def summary(cells: Cells) -> str:
    lines = [
        "| | tasks | mean error, absolute | median | largest of a run | mean of MIEstimator on these tasks | CPU s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, tasks in cells.items():
        runs = np.array([run for task in tasks.values() for run in task])
        error, seconds = runs.T
        largest = error[np.abs(error).argmax()]
        ours = np.mean([abs(run[0]) for task in tasks for run in cells[OURS][task]])
        lines.append(
            f"| {name} | {len(tasks)} | {np.abs(error).mean():.3f} | {np.median(np.abs(error)):.3f} | {largest:+.2f} | "
            f"{ours:.3f} | {np.median(seconds):.1f} |"
        )
    return "\n".join(lines)


def sizes() -> str:
    lines = ["| rows | tasks | runs | mean error, absolute | largest of a run | CPU s |", "|---:|" + "---:|" * 5]
    for size in sorted({int(row["n"]) for row in read("mutual_information")}):
        tasks = [task for task in rows_of(size)[OURS].values() if task]
        runs = np.array([run for task in tasks for run in task])
        if len(runs):
            error, seconds = runs.T
            largest = error[np.abs(error).argmax()]
            lines.append(
                f"| {size:,} | {len(tasks)} | {len(runs)} | {np.abs(error).mean():.3f} | {largest:+.2f} | "
                f"{np.median(seconds):.1f} |"
            )
    return "\n".join(lines)


def table(cells: Cells) -> str:
    lines = ["| task | truth | " + " | ".join(cells) + " |", "|---|---:|" + "---:|" * len(cells)]
    for name, task in BEYOND_NORMAL.items():
        errors = [np.mean([run[0] for run in tasks[name]]) if tasks[name] else np.nan for tasks in cells.values()]
        shown = " | ".join("" if np.isnan(error) else f"{error:+.3f}" for error in errors)
        lines.append(f"| {name} | {task.mutual_information:.3f} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    cells = rows_of(SIZE)
    n_seeds = max(len(runs) for runs in cells[OURS].values())
    text = TEXT.format(size=SIZE, n_seeds=n_seeds, summary=summary(cells), sizes=sizes(), table=table(cells))
    (DOCS / "forty_tasks.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
