"""How often MIEstimator's 0.95 interval covers the truth, over many independent data sets with a closed form.

The interval is one of the bound's expectation: "two-sided" is how often the truth itself lies inside, "one-sided" how often the
lower end is not above it, which is all that a lower bound promises.

    python benchmarks/interval_coverage.py --repeats 200
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from common import record
from tasks import FURTHER

from skdim import MIEstimator
from skdim.exceptions import MutualInformationWarning
from skdim.synthetic import BEYOND_NORMAL

TASKS = ("1v1-normal-0.75", "multinormal-dense-3-3-0.5", "student-identity-2-2-1")


def run(name: str, n: int, n_repeats: int) -> None:
    task = {**BEYOND_NORMAL, **FURTHER}[name]
    rows = []
    for repeat in range(n_repeats):
        X, Y = task.sample(n, repeat)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MutualInformationWarning)
            fitted = MIEstimator(random_state=repeat).fit(X, Y)
        rows.append((fitted.mi_, fitted.diagnostics_["standard_error"], *fitted.mi_interval_))
    estimate, error, lower, upper = np.array(rows).T
    truth = task.mutual_information
    record(
        "interval_coverage",
        {
            "task": name,
            "n": n,
            "repeats": n_repeats,
            "truth": round(truth, 4),
            "mean_estimate": round(estimate.mean(), 4),
            "sd_estimate": round(estimate.std(ddof=1), 4),
            "mean_standard_error": round(error.mean(), 4),
            "two_sided": round(float(np.mean((lower <= truth) & (truth <= upper))), 3),
            "one_sided": round(float(np.mean(lower <= truth)), 3),
            "of_the_mean": round(float(np.mean((lower <= estimate.mean()) & (estimate.mean() <= upper))), 3),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--n", type=int, nargs="+", default=[2000])
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.tasks:
        for n in arguments.n:
            run(name, n, arguments.repeats)


if __name__ == "__main__":
    main()
