"""The true shares of a table's hyperparameters, and how far they are known.

    python -m benchmarks.real_curves.truth NAME...

A Gaussian process is fitted to the final scores of all configs (at most `MOST`) of a table, which
nobody stopped or chose; its Sobol indices are the true shares. Their errors are the standard
deviation over fits to random halves of the configs (a delete-half jackknife, Shao and Wu 1989). How
much of the scores it explains is measured on configs that it was not fitted to. What no model of
the configs explains, a seed's luck, is in no share.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.importance.encoding import Array, Encoding, make_encoding
from analysis.importance.gaussian_process import Process, Rows
from analysis.importance.kernel_posterior import Posterior
from analysis.importance.score_transform import Scale, scales_for
from analysis.importance.sobol import sobol_indices
from benchmarks.real_curves.table import DATA, METRIC, load_table, table_names

MOST = 800
HALVES = 12
HALF_STEPS = 12
"""Steps of the optimiser in a half, from the parameters of the whole."""
HELD_OUT = 0.1


@dataclass(frozen=True)
class Truth:
    """What decides the final score in a table."""

    main: dict[str, float]
    total: dict[str, float]
    error: dict[str, float]
    """Standard error of the total shares."""
    r2: float
    """Share of the variance of held-out final scores that the model explains."""
    configs: int
    noise: float | None
    """Standard deviation of a final score over seeds; None where none were repeated."""


@dataclass(frozen=True)
class Fit:
    """A process of final scores."""

    evidence: float
    scale: Scale
    theta: Array
    process: Process

    def __call__(self, features: Array) -> Array:
        """Mean scores (n,) of features (n, p)."""
        return self.scale.scores(self.process.mean(features, 1.0))


def fit(
    features: Array, groups: Sequence[int], finals: Array, scale: Scale, begin: Array | None = None
) -> Fit:
    """The process with the most probable parameters, near `begin` if that is given."""
    moment = np.arange(len(finals)), np.ones(len(finals))
    posterior = Posterior(Rows(features, *moment, scale.targets(finals), np.array(groups)))
    theta = posterior.maximum(begin, HALF_STEPS if begin is not None else 60)
    evidence = float(scale.log_slopes(posterior.rows.target).sum()) - posterior.loss(theta)[0]
    return Fit(evidence, scale, theta, posterior.process(theta))


def compute_truth(name: str) -> Truth:
    """Fit the table and measure the fit."""
    table = load_table(name)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(table.configs))[:MOST]
    configs, finals = [table.configs[i] for i in chosen], table.finals[chosen]
    encoding = make_encoding(table.space, table.fixed, configs)
    features = encoding.features(encoding.units(configs))
    fits = [fit(features, encoding.groups, finals, scale) for scale in scales_for(finals, METRIC)]
    whole = max(fits, key=lambda found: found.evidence)

    def part(rows: npt.NDArray[Any]) -> Fit:
        return fit(features[rows], encoding.groups, finals[rows], whole.scale, whole.theta)

    rest = rng.permutation(len(finals)) >= HELD_OUT * len(finals)
    without = part(rest)
    off = finals[~rest] - without(features[~rest])
    halves = []
    for _ in range(HALVES):
        half = rng.permutation(len(finals))[: len(finals) // 2]
        halves.append(_shares(part(half), encoding, 1024)[1])
    main, total = _shares(whole, encoding, 8192)
    errors = np.std(halves, axis=0, ddof=1)
    named = (dict(zip(encoding.names, map(float, x), strict=True)) for x in (main, total, errors))
    r2 = 1 - float((off**2).mean() / finals[~rest].var())
    noise = table.noise() if table.repeats else None
    return Truth(*named, r2=r2, configs=len(finals), noise=noise)


def _shares(
    function: Callable[[Array], Array], encoding: Encoding, num: int
) -> tuple[Array, Array]:
    found = sobol_indices(lambda units: function(encoding.features(units)), encoding, num)
    return np.maximum(found.main[:, 0], 0), found.total[:, 0]


def truth_file(name: str) -> Path:
    """Where a table's truth is kept."""
    return DATA / f"{name}.truth.json"


@cache
def load_truth(name: str) -> Truth:
    """What `main` computed."""
    return Truth(**json.loads(truth_file(name).read_text()))


def describe(name: str) -> str:
    """A line of Markdown: what is known of a table."""
    truth, table = load_truth(name), load_table(name)
    large = sorted(truth.total, key=lambda n: -truth.total[n])
    shares = ", ".join(f"{n} {truth.total[n]:.2f} ± {truth.error[n]:.2f}" for n in large[:4])
    noise = "" if truth.noise is None else f"{truth.noise:.3f}"
    low, middle, high = np.percentile(table.finals, [10, 50, 90])
    return (
        f"| `{name}` | {table.what} | {len(table.configs)} | {table.epochs} | {len(table.space)} | "
        f"{low:.2f}, {middle:.2f}, {high:.2f} | {noise} | {truth.r2:.2f} | {shares} |"
    )


def main() -> None:
    """Compute what is asked for, print all that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*table_names(), []])
    for name in parser.parse_args().names:
        truth_file(name).write_text(json.dumps(asdict(compute_truth(name)), indent=1) + "\n")
    columns = (
        "table",
        "what",
        "configs",
        "epochs",
        "hyperparameters",
        "final score, 10, 50, 90 %",
        "noise",
        "R², held out",
        "largest total shares",
    )
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name in table_names():
        if truth_file(name).exists():
            print(describe(name))


if __name__ == "__main__":
    main()
