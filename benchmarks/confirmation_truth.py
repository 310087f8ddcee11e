"""Do confirmations keep their promises? Simulated studies whose true means are known.

``python -m benchmarks.confirmation_truth [--studies N] [--json FILE]`` prints tables in Markdown.

A study has ten configs. A search sees one score of each and takes the best three, or two where
seeds are added until it is settled; these and the defaults are then confirmed with fresh seeds by
the code of `deepsight.confirm`, in the plans that the command has. Scores are a true mean, what a
seed does to all configs alike, and noise.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepsight.confirm.record import Comparison, Estimate
from deepsight.confirm.results import open_pairs
from deepsight.confirm.statistics import (
    FIRST_SEEDS,
    MOST_SEEDS,
    compare,
    compare_anytime,
    mean_estimate,
    optimism,
    seeds_at_once,
)

CONFIGS, TOP, SPREAD, SHARED = 10, 3, 0.01, 0.005
SEEDS = (3, 5, 10, 20)
SLOTS, MATTERS = 2, 0.01
Reals = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Reals]


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Reals:
    return rng.normal(0.0, SPREAD, shape)


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Reals:
    """The spread of a config is between a third of the usual one and three times it."""
    factor = np.geomspace(1 / 3, 3, shape[0])[:, None]
    return rng.permutation(factor) * rng.normal(0.0, SPREAD, shape)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Reals:
    """A long tail downwards, as of seeds that fail now and then: skewness -1.4."""
    drawn = -rng.gamma(2.0, 1.0, shape)
    return SPREAD * (drawn + 2.0) / math.sqrt(2.0)


@dataclass(frozen=True)
class Situation:
    """What is simulated."""

    name: str
    effect: float
    """By how much each config is better than the next, in standard deviations of a seed."""
    noise: Noise


SITUATIONS = (
    Situation("equal configs", 0.0, _normal),
    Situation("equal, uneven spread", 0.0, _uneven),
    Situation("equal, skewed", 0.0, _skewed),
    Situation("small effects", 0.25, _normal),
    Situation("large effects", 1.0, _normal),
    Situation("large effects, skewed", 1.0, _skewed),
)


@dataclass(frozen=True)
class Study:
    """What one simulated confirmation came to."""

    wrong: bool
    """A config was called better or worse that is not."""
    covered: bool
    """The interval holds the truth: of the winner's mean, or all those of its gains."""
    found: bool | None
    """The winner was called better than the defaults; None where it is not."""
    curse: float
    """True optimism of the winner's score in the search."""
    curse_error: float
    """Error of its estimate."""
    seeds: int
    """Of the winner."""


@dataclass(frozen=True)
class Row:
    """What one situation and plan came to over many studies."""

    situation: str
    plan: str
    seeds: float
    studies: int
    false_verdicts: float
    coverage: float
    power: float | None
    curse: float
    curse_bias: float
    curse_error: float
    """Standard error of the bias."""


def draw(situation: Situation, rng: np.random.Generator, seeds: int) -> tuple[Reals, Reals, Reals]:
    """True means (C,), scores in the search (C,) and fresh scores (C, seeds)."""
    means = rng.permutation(0.9 - situation.effect * SPREAD * np.arange(CONFIGS))
    noise = situation.noise(rng, (CONFIGS, seeds + 1))
    shared = rng.normal(0.0, SHARED, seeds)
    return means, means + noise[:, 0], means[:, None] + noise[:, 1:] + shared


def _wrong(verdict: str, truth: float) -> bool:
    return (verdict == "better" and truth <= 0) or (verdict == "worse" and truth >= 0)


def fixed(situation: Situation, seeds: int, rng: np.random.Generator) -> Study:
    """The best three and the defaults, which are config 0, with `seeds` seeds each."""
    means, search, scores = draw(situation, rng, seeds)
    top = np.argsort(-search[1:])[:TOP] + 1
    pairs = [(str(c), "0") for c in top] + [(str(top[0]), str(top[1]))]
    by_name = {str(c): list(scores[c]) for c in range(CONFIGS)}
    verdicts = compare(by_name, pairs, "val", 1.0)
    truths = [float(means[int(a)] - means[int(b)]) for a, b in pairs]
    winner = int(top[0])
    mean = mean_estimate(by_name[str(winner)])
    return Study(
        wrong=any(_wrong(c.verdict, t) for c, t in zip(verdicts, truths, strict=True)),
        covered=_holds(mean, float(means[winner])),
        found=verdicts[0].verdict == "better" if truths[0] > 0 else None,
        seeds=seeds,
        **_curse(float(search[winner]), float(means[winner]), mean),
    )


def sequential(situation: Situation, matters: float, rng: np.random.Generator) -> Study:
    """Winner against defaults and runner-up, as ``--until`` adds seeds on `SLOTS` slots."""
    means, search, scores = draw(situation, rng, MOST_SEEDS)
    winner, second = (str(c) for c in np.argsort(-search[1:])[:2] + 1)
    pairs = [(winner, "0"), (winner, second)]
    trained = dict.fromkeys((winner, second, "0"), FIRST_SEEDS)
    while True:
        known = {c: [*scores[int(c), :n], *[None] * (MOST_SEEDS - n)] for c, n in trained.items()}
        found = compare_anytime(known, pairs, "val", 1.0)
        names = {name for pair in open_pairs(found, matters) for name in pair}
        if not names or trained[winner] == MOST_SEEDS:
            break
        count = min(trained[winner] + seeds_at_once(len(names), SLOTS), MOST_SEEDS)
        trained |= dict.fromkeys(names, count)
    truths = [float(means[int(a)] - means[int(b)]) for a, b in pairs]
    mean = mean_estimate(known[winner])
    return Study(
        wrong=any(_wrong(c.verdict, t) for c, t in zip(found, truths, strict=True)),
        covered=all(_gain_covered(c, t) for c, t in zip(found, truths, strict=True)),
        found=found[0].verdict == "better" if truths[0] > 0 else None,
        seeds=trained[winner],
        **_curse(float(search[int(winner)]), float(means[int(winner)]), mean),
    )


def _gain_covered(comparison: Comparison, truth: float) -> bool:
    """Whether the interval of a gain holds it; one without ends holds all."""
    gain = comparison.gain
    return gain is None or gain.low is None or _holds(gain, truth)


def _holds(estimate: Estimate | None, truth: float) -> bool:
    if estimate is None or estimate.low is None or estimate.high is None:
        return False
    return estimate.low <= truth <= estimate.high


def _curse(score: float, truth: float, mean: Estimate | None) -> dict[str, float]:
    luck = optimism(score, mean, 1.0)
    assert luck is not None
    return {"curse": score - truth, "curse_error": luck.value - (score - truth)}


def summarise(situation: Situation, plan: str, studies: list[Study]) -> Row:
    """Rates and means over simulated studies."""
    found = [s.found for s in studies if s.found is not None]
    errors = [s.curse_error for s in studies]
    return Row(
        situation.name,
        plan,
        float(np.mean([s.seeds for s in studies])),
        len(studies),
        float(np.mean([s.wrong for s in studies])),
        float(np.mean([s.covered for s in studies])),
        float(np.mean(found)) if found else None,
        float(np.mean([s.curse for s in studies])),
        float(np.mean(errors)),
        float(np.std(errors) / math.sqrt(len(studies))),
    )


def simulate(studies: int, seed: int) -> list[Row]:
    """Every situation with every plan."""
    gc.freeze()  # statsmodels collects garbage at every correction, over all that is imported
    rows = []
    for index, situation in enumerate(SITUATIONS):
        for seeds in SEEDS:
            rng = np.random.default_rng([seed, index, seeds])
            made = [fixed(situation, seeds, rng) for _ in range(studies)]
            rows.append(summarise(situation, "fixed", made))
        rng = np.random.default_rng([seed, index])
        made = [sequential(situation, MATTERS, rng) for _ in range(studies)]
        rows.append(summarise(situation, f"until {MATTERS:g}", made))
    return rows


def table(rows: list[Row]) -> str:
    """The rows in Markdown; n is the number of studies."""
    lines = [
        "| situation | plan | seeds | false verdicts | coverage | power | curse | bias of its "
        "estimate |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        power = "" if r.power is None else f"{r.power:.0%}"
        lines.append(
            f"| {r.situation} | {r.plan} | {r.seeds:.3g} | {r.false_verdicts:.1%} | "
            f"{r.coverage:.1%} | {power} | {r.curse:.4f} | {r.curse_bias:+.5f} ± "
            f"{1.96 * r.curse_error:.5f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = simulate(options.studies, options.seed)
    print(f"{options.studies:,} studies a row\n\n{table(rows)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
