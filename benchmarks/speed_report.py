"""The page of speed and cost, from the last rows of the benchmarks: ``docs/speed.md``.

python benchmarks/speed_report.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import machine, read

DOCS = Path(__file__).parents[1] / "docs"
Row = dict[str, str]

TEXT = """# Speed and cost

What a step costs beside other loops and packages, where its time goes, what CPU seconds buy, and how cost grows. `make bench`
runs it all and writes this page, by `benchmarks/speed_report.py`, from the last rows in `benchmarks/results/`; peers run in
environments of their own, as the scripts named below say. Times are wall or CPU time as the tables say. The picture is in the
{{doc}}`gallery <auto_examples/plot_speed>`.

{sections}
"""


@dataclass
class Section:
    """A table of the page: the last row of each setting, or where rows say when their run started, the last run's rows.

    Parameters
    ----------
    title, script, text : str
        Heading, what writes the rows, and what is said about them.
    table : str
        Name of the file of results.
    settings : tuple of str
        Columns that tell rows apart.
    columns : tuple of str
        What is shown; where empty, all columns but the machine's, of which only settings are.
    run : tuple of str
        Columns that tell runs apart, of which the last counts.
    """

    title: str
    table: str
    script: str
    settings: tuple[str, ...]
    text: str
    columns: tuple[str, ...] = ()
    run: tuple[str, ...] = ()

    def rows(self) -> list[Row]:
        rows = read(self.table)
        if self.run:
            newest = {self._key(row, self.run): row["started"] for row in rows}
            rows = [row for row in rows if row["started"] == newest[self._key(row, self.run)]]
        return list({self._key(row, self.settings): row for row in rows}.values())

    def _key(self, row: Row, columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(row.get(name, "") for name in columns)

    def body(self) -> str:
        rows = self.rows()
        if not rows:
            return f"## {self.title}\n\n{self.text}\n\n`benchmarks/{self.script}.py` has not been run yet."
        shown = quality(rows) if self.table == "quality_per_second" else rows
        hidden = {*machine(), "started"} - set(self.settings)
        columns = self.columns or tuple(name for name in shown[0] if name not in hidden)
        return "\n\n".join([f"## {self.title}", self.text, as_table(shown, columns), provenance(self.script, rows)])


def as_table(rows: list[Row], columns: tuple[str, ...]) -> str:
    lines = ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row[name] for name in columns) + " |" for row in rows)])


def provenance(script: str, rows: list[Row]) -> str:
    """Return where the rows come from: script, dates, versions and machine."""

    def each(name: str) -> str:
        return ", ".join(sorted({row[name] for row in rows}))

    return (
        f"`benchmarks/{script}.py`, {each('date')}; skdim {each('skdim')}, torch {each('torch')}, scikit-learn "
        f"{each('sklearn')}; {each('cpu')}, {each('cores')} cores, torch threads: {each('threads')}."
    )


def quality(rows: list[Row]) -> list[Row]:
    """Return a row for each method and budget, with mean and standard deviation over seeds."""
    groups: dict[tuple[str, str, int], list[Row]] = {}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for row in sorted(rows, key=lambda row: (methods.index(row["method"]), int(row["budget"]))):
        groups.setdefault((row["probe"], row["method"], int(row["budget"])), []).append(row)

    def spread(group: list[Row], name: str, digits: int) -> str:
        values = [float(row[name]) for row in group]
        deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{deviation}"

    return [
        {
            "features": method,
            "budget": "" if method in ("PCA", "raw pixels") else f"{budget:,} {group[0]['unit']}",
            "width": group[0]["width"],
            "seeds": str(len(group)),
            "CPU seconds": spread(group, "fit_cpu_s", 1),
            "all labels": spread(group, "accuracy_all", 3),
            f"{group[0]['n_labels_few']} labels": spread(group, "accuracy_few", 3),
            "part": group[0]["part"],
            "probe": probe,
            "versions": group[0]["versions"],
        }
        for (probe, method, budget), group in groups.items()
    ]


SECTIONS = [
    Section(
        "A training step beside other loops", "training_speed", "training_speed", ("case", "threads", "clock", "loop"),
        "The same network, batch and data in turn; ratios to the loop written by hand: median, least and largest over the "
        "rounds. `skorch` is the same work with skorch's default loader. What differs in the peers' work is in "
        "`benchmarks/training_speed_peers.py`; \"parameters\" are the encoder's.",
        ("case", "threads", "loop", "version", "parameters", "ms", "ratio_median", "ratio_min", "ratio_max", "clock", "rounds"),
        ("case", "threads", "clock"),
    ),
    Section(
        "bfloat16 and compilation", "precision", "precision", ("case", "threads", "clock", "encoder"),
        "The same step with `precision=\"bfloat16\"`, and with `compile=True`; ratios to float32. \"first epoch\" holds what "
        "torch.compile takes.",
    ),
    Section(
        "On a GPU", "gpu", "gpu", ("part", "case", "quantity", "batch", "device"),
        "Steps beside the same work written by hand, with the data on the device and the step in one CUDA graph: \"beside\" "
        "is that loop's value, \"ratio\" ours over it. Then the share of the time in which a kernel runs, the default fit, "
        "information, `transform`, large images, and how far the CPU's features are from the device's.",
        ("device", "part", "case", "batch", "quantity", "value", "beside", "ratio", "date", "torch"),
    ),
    Section(
        "Distance to the machine's peak", "training_peak", "training_profile", ("threads", "clock"),
        "Float32 matrix products at their best size, and the default convolutional step at batch 128: the arithmetic of its "
        "forward and backward pass, and the rate at which it is done.",
        ("threads", "clock", "peak_gflops", "step_ms", "step_gflop", "step_gflops", "share_of_peak", "rounds"),
    ),
    Section(
        "Where the time of a step goes", "training_profile", "training_profile", ("threads", "clock", "class"),
        "The profile's share of each class of operations within `fit`, the part of the step that this makes, and the share of "
        "the peak that its arithmetic reaches. The profiler takes time itself at every operation, which overstates \"python\", "
        "\"autograd\" and the small operations.",
        ("threads", "class", "share", "ms", "gflop", "share_of_peak", "clock"), ("threads", "clock"),
    ),
    Section("transform", "transform_speed", "transform_speed", ("n", "threads"),
            "`transform` beside the bare module on standardised tensors, samples a second."),
    Section(
        "What CPU seconds buy", "quality_per_second", "quality_per_second",
        ("data", "part", "rows", "probe", "method", "budget", "unit", "seed"),
        "A linear classifier on the features; Fashion-MNIST. CPU seconds are of the fit. The probe \"converged\" is "
        "`linear_probe`; \"300 iterations\" stopped there, at C = 1, and reads less from wide features. What a peer was given "
        "is in `benchmarks/quality_per_second_peers.py`.",
    ),
    Section("How cost grows", "scaling", "scaling", ("series", "size", "threads"),
            "The cost of one more epoch, CPU time for a sample or a value; of the series \"threads\" wall time."),
    Section("Memory", "memory", "memory", ("n", "sample", "estimator", "source"),
            "Of one epoch and `transform` at the default batch size, by what the samples are and where; what the process holds "
            "beyond its imports."),
    Section("Memory of a step", "score_memory", "score_memory", ("batch", "locations"),
            "The scores of InfoNCE take batch² x locations: the peak of two steps of the default convolutional network, one "
            "tensor of scores, and what the peak grows by from one location on, in such tensors."),
    Section("A search in two processes", "search", "search", ("n_jobs", "threads", "omp_num_threads"),
            "`GridSearchCV` of two candidates in two folds; ratios to one process with as many threads. What starting the "
            "workers takes is in a column of its own, and in the time of the search as well."),
    Section("One training in two processes", "processes", "processes", ("processes", "batch", "table"),
            "A step of the default network, by the first process's clock."),
]  # fmt: skip


def main() -> None:
    text = TEXT.format(sections="\n\n".join(section.body() for section in SECTIONS))
    (DOCS / "speed.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
