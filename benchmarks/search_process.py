"""The search's own Gaussian process against scikit-learn's, on real learning curves.

    python -m benchmarks.search_process [--seeds 10]

Each fits scores at the rungs of random configs of a table (`benchmarks.real_curves`) and predicts
the final scores of 100 other configs; those that broke down are left out. Optuna's and BoTorch's
processes need torch, which the driver of a search does without: the last line is what importing it
costs.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from benchmarks.real_curves.table import load_table
from deepsight.tune.search.encoding import Encoder
from deepsight.tune.search.gaussian_process import fit

TABLES = ("sgd_digits", "mlp_digits", "cnn_digits")
ROWS = 90
"""As many as the search shows its process."""
RUNGS = (1, 2, 4, 9)
Predict = Callable[[np.ndarray], np.ndarray]


def ours(rows: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Predict:
    """A length scale a hyperparameter, with a prior."""
    model = fit(rows, scores, groups)
    return lambda new: model.predict(new)[0]


def scikit_learn(rows: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> Predict:
    """A length scale a column, by maximum likelihood."""
    kernel = ConstantKernel() * Matern(np.ones(rows.shape[1]), nu=2.5) + WhiteKernel(0.01)
    model = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # length scales at their bounds
        model.fit(rows, scores)
    return model.predict


def compare(name: str, seed: int) -> dict[str, tuple[float, float]]:
    """Seconds of a fit and the rank correlation of predicted and true final scores."""
    table = load_table(name)
    encoder = Encoder(table.space, {})
    whole = [k for k, curve in enumerate(table.scores) if len(curve) == table.epochs]
    chosen = np.random.default_rng(seed).permutation(whole)
    seen, new = chosen[:ROWS], chosen[ROWS : ROWS + 100]
    rungs = [RUNGS[k % len(RUNGS)] for k in range(ROWS)]
    shares = [1 - math.log(table.epochs / rung) / math.log(table.epochs) for rung in rungs]
    scores = np.array([table.scores[k][rung - 1] for k, rung in zip(seen, rungs, strict=True)])
    rows = np.column_stack([encoder.encode([table.configs[k] for k in seen]), shares])
    there = np.column_stack([encoder.encode([table.configs[k] for k in new]), np.ones(len(new))])
    final = np.array([table.scores[k][-1] for k in new])
    groups = np.append(encoder.owners, len(table.space))
    found = {}
    for label, method in (("ours", ours), ("scikit-learn", scikit_learn)):
        began = time.perf_counter()
        predict = method(rows, scores, groups)
        took = time.perf_counter() - began
        ranks = [np.argsort(np.argsort(values)) for values in (predict(there), final)]
        found[label] = (took, float(np.corrcoef(*ranks)[0, 1]))
    return found


def import_cost(module: str) -> str:
    """Seconds and memory of importing a module in a fresh process."""
    code = (
        "import resource, sys, time; began = time.perf_counter(); "
        f"import {module}; took = time.perf_counter() - began; "
        "print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return f"import {module}: {seconds:.1f} s, {megabytes:.0f} MB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    print("| table | n | ours, ms | scikit-learn, ms | ratio | rank corr., ours | scikit-learn |")
    print("|---|---|---|---|---|---|---|")
    for name in TABLES:
        with threadpool_limits(1):
            runs = [compare(name, seed) for seed in range(seeds)]
        mine, peer = (np.array([r[label] for r in runs]) for label in ("ours", "scikit-learn"))
        own, other = np.median(mine[:, 0]) * 1e3, np.median(peer[:, 0]) * 1e3
        ratios = np.percentile(peer[:, 0] / mine[:, 0], [0, 50, 100])
        print(
            f"| {name} | {seeds} | {own:.0f} | {other:.0f} "
            f"| {ratios[1]:.1f} ({ratios[0]:.1f} to {ratios[2]:.1f}) "
            f"| {mine[:, 1].mean():.2f} ± {mine[:, 1].std(ddof=1) / seeds**0.5:.2f} "
            f"| {peer[:, 1].mean():.2f} ± {peer[:, 1].std(ddof=1) / seeds**0.5:.2f} |"
        )
    for module in ("scipy.optimize", "torch"):
        print(import_cost(module))


if __name__ == "__main__":
    main()
