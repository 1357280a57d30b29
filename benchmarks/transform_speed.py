"""``transform`` of 60,000 uint8 images beside the bare module on standardised tensors, at the batch size that suits it best.

python benchmarks/transform_speed.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import record

from skdim import DeepInfoMaxTransformer

BATCHES = (64, 128, 256, 512, 1024, 2048)


def bare(encoder: torch.nn.Module, X: torch.Tensor, batch: int) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        for part in X.split(batch):
            encoder(part)
    return len(X) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = np.random.default_rng(0).integers(0, 256, (arguments.n, 28, 28), dtype=np.uint8)
    dim = DeepInfoMaxTransformer(max_iter=0, random_state=0).fit(images)
    encoder = dim.encoder_
    tensors = torch.randn(arguments.n, 1, 28, 28)
    sample = tensors[:10_240]
    best = max(BATCHES, key=lambda batch: max(bare(encoder, sample, batch) for _ in range(2)))
    dim.transform(images[:1024])
    ours, module = [], []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        dim.transform(images)
        ours.append(arguments.n / (time.perf_counter() - start))
        module.append(bare(encoder, tensors, best))
    ratios = sorted(a / b for a, b in zip(ours, module, strict=True))
    record(
        "transform_speed",
        {
            "n": arguments.n,
            "ours_per_s": round(float(np.median(ours))),
            "module_per_s": round(float(np.median(module))),
            "module_batch": best,
            "ratio_median": round(ratios[len(ratios) // 2], 3),
            "ratio_min": round(ratios[0], 3),
            "ratio_max": round(ratios[-1], 3),
        },
    )


if __name__ == "__main__":
    main()
