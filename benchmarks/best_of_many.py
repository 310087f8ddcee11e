"""How often the interval of the best of many trials over the defaults leaves out the truth.

``python -m benchmarks.best_of_many [--rounds 400] [--json FILE]`` prints a table in Markdown.

Trials and defaults classify the same validation images, each right with a known probability; their
answers correlate, because some images are harder than others. The trial with the best score is
compared with the defaults four ways: as independent (as reports did), as a pair that nobody
picked, as the best of many (as reports do), and as they do without stored predictions. A row of the
table gives for each how often the interval lies above the true difference of the trial that was
picked (2.5 % are due), and how far below its estimate it begins.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from analysis.statistics.intervals import Interval
from analysis.statistics.same_images import SINGLE_Z, compare_hits, paired_interval, phi_coefficient

IMAGES, ACCURACY = 560, 0.8
TRIALS = (3, 20, 60)
HARDNESS = (0.0, 0.5, 0.75)
"""Share of the variance behind an answer that is the image's."""
KINDS = ("alike", "spread", "half far below")
WAYS = ("independent", "pair", "best of many", "without predictions")


@dataclass(frozen=True)
class Row:
    """One situation."""

    kind: str
    trials: int
    phi: float
    """Mean correlation of the best trial's hits with the defaults'."""
    above: tuple[float, ...]
    """Share of intervals above the truth, by `WAYS`."""
    reach: tuple[float, ...]
    """Mean distance from estimate to lower end."""


def abilities(kind: str, trials: int, rng: np.random.Generator) -> np.ndarray:
    """(1 + trials,) probabilities of a right answer, the defaults' first."""
    found = np.full(1 + trials, ACCURACY)
    if kind == "spread":
        found[1:] += rng.normal(0.0, 0.02, trials)
    if kind == "half far below":
        found[1 + trials // 2 :] = rng.uniform(0.1, 0.6, trials - trials // 2)
    return found


def answers(chances: np.ndarray, hardness: float, rng: np.random.Generator) -> np.ndarray:
    """(trials, IMAGES) hits: a normal variable, partly the image's, below a threshold."""
    shared = rng.normal(size=IMAGES) * np.sqrt(hardness)
    own = rng.normal(size=(len(chances), IMAGES)) * np.sqrt(1 - hardness)
    return np.asarray(shared + own < stats.norm.ppf(chances)[:, None])


def compare(hits: np.ndarray) -> tuple[int, float, tuple[Interval, ...]]:
    """The best trial, its correlation with the defaults, and its interval each way."""
    names = [f"t{k:04d}" for k in range(len(hits))]
    scores = {name: float(row.mean()) for name, row in zip(names, hits, strict=True)}
    best = 1 + int(np.argmax([scores[name] for name in names[1:]]))
    same = compare_hits(scores, IMAGES, dict(zip(names, hits, strict=True)))
    phi = phi_coefficient(hits[best], hits[0])
    pair = (scores[names[best]], scores[names[0]])
    unknown = compare_hits(scores, IMAGES, {})
    picked, blind = (
        one.difference(names[best], names[0], one.z_against(names[0])) for one in (same, unknown)
    )
    intervals = (
        paired_interval(*pair, 0.0, IMAGES, SINGLE_Z),
        paired_interval(*pair, phi, IMAGES, SINGLE_Z),
        picked,
        blind,
    )
    return best, phi, intervals


def measure(kind: str, trials: int, hardness: float, rounds: int) -> Row:
    """A row of the table."""
    rng = np.random.default_rng([KINDS.index(kind), trials, HARDNESS.index(hardness)])
    above, reach, phis = np.zeros(len(WAYS)), np.zeros(len(WAYS)), 0.0
    for _ in range(rounds):
        chances = abilities(kind, trials, rng)
        best, phi, intervals = compare(answers(chances, hardness, rng))
        truth, phis = chances[best] - chances[0], phis + phi
        above += [interval.low > truth for interval in intervals]
        reach += [interval.value - interval.low for interval in intervals]
    return Row(kind, trials, phis / rounds, tuple(above / rounds), tuple(reach / rounds))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(f"| trials | their accuracy | correlation | {' | '.join(WAYS)} |")
    print("|---" * 7 + "|")
    rows = []
    for kind, trials, hardness in itertools.product(KINDS, TRIALS, HARDNESS):
        row = measure(kind, trials, hardness, args.rounds)
        rows.append(asdict(row))
        cells = [
            f"{100 * above:.1f} % (-{reach:.3f})"
            for above, reach in zip(row.above, row.reach, strict=True)
        ]
        print(f"| {trials} | {kind} | {row.phi:.2f} | {' | '.join(cells)} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
