"""How often are claims called supported that are not? Simulated studies whose truth is known.

``python -m benchmarks.claims_truth [--studies N] [--searches N]`` prints tables in Markdown.

*Runs*: a file has five claims, of one config against one other (four) or three others (one). What
`deepsight.confirm --claims` does is done with scores that are a true mean, what a seed does to all
configs alike, and noise. Before that, five seeds of an earlier confirmation are looked at; *either*
is a claim that one of the two looks calls wrongly. *Searches*: random searches of 24 trials on
hyperparameters of known effect, judged by the surrogate alone.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.claims.claim_files import BEST, BETTER, MATTERS_MORE, Claim, ClaimFile
from analysis.claims.measures import Measure, Sample, of_runs
from analysis.claims.planning import PILOT, planned_pairs
from analysis.claims.verdicts import REFUTED, SUPPORTED, decide, judge
from benchmarks.confirmation_truth import Noise, Reals, _normal, _skewed, _uneven
from deepsight.run_store import Study, load_study
from deepsight.space import choice, to_json, uniform

RIVALS = (1, 1, 1, 1, 3)
"""Configs that each claim's config is compared with."""
EARLIER, MOST, MATTERS, SHARED = 5, 30, 0.01, 0.005


@dataclass(frozen=True)
class Situation:
    """What is simulated."""

    name: str
    effects: tuple[float, ...]
    """By how much each claim's config is better than its rivals."""
    noise: Noise


SITUATIONS = (
    Situation("equal configs", (0.0,) * 5, _normal),
    Situation("equal, uneven spread", (0.0,) * 5, _uneven),
    Situation("equal, skewed", (0.0,) * 5, _skewed),
    Situation("two claims true by 0.01", (0.01, 0.0, 0.0, 0.0, 0.01), _normal),
    Situation("two claims true by 0.02", (0.02, 0.0, 0.0, 0.0, 0.02), _normal),
)


def simulate(situation: Situation, studies: int, seed: int) -> dict[str, float]:
    """Rates over simulated files of claims."""
    rng = np.random.default_rng(seed)
    rows = [_one(situation, rng) for _ in range(studies)]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _one(situation: Situation, rng: np.random.Generator) -> dict[str, float]:
    claims = [Claim(f"c{i}", "", BETTER, 0.0, MATTERS) for i in range(len(RIVALS))]
    file = ClaimFile(Path("c.yaml"), "", 0.8, MOST, tuple(claims), tuple(claims))
    early, planned, seeds = [], [], []
    for claim, rivals, effect in zip(claims, RIVALS, situation.effects, strict=True):
        scores = situation.noise(rng, (1 + rivals, EARLIER + MOST))
        scores[0] += effect
        gains = scores[0] - scores[1:]  # what a seed does to all alike cancels
        early.append(_measures(gains[:, :EARLIER]))
        fresh = gains[:, EARLIER:]
        n = planned_pairs(file, claim, len(claims), [list(g[:PILOT]) for g in fresh])
        seeds.append(n)
        planned.append(_measures(fresh[:, :n], PILOT))
    looks = [[d.verdict for d in decide(measured)] for measured in (early, planned)]
    last = looks[1]
    true = [i for i, effect in enumerate(situation.effects) if effect > 0]
    null = [i for i, effect in enumerate(situation.effects) if effect <= 0]
    return {
        "seeds": float(np.mean(seeds)),
        "supported": float(any(last[i] == SUPPORTED for i in null)),
        "refuted": float(any(last[i] == REFUTED for i in range(len(last)))),
        "either": float(any(SUPPORTED in (look[i] for look in looks) for i in null)),
        "power": float(np.mean([last[i] == SUPPORTED for i in true])) if true else float("nan"),
        "power_best": float(last[-1] == SUPPORTED) if true else float("nan"),
    }


def _measures(gains: Reals, pilot: int = 0) -> list[Measure]:
    samples = [Sample(str(k), tuple(row), tuple(row[:pilot])) for k, row in enumerate(gains)]
    return [m for m in (of_runs(sample, 0.0) for sample in samples) if m is not None]


SPACE = {
    "rate": uniform(0.0, 1.0),
    "decay": uniform(0.0, 1.0),
    "kind": choice("a", "b", "c"),
}


def random_search(directory: Path, effect: float, rng: np.random.Generator, trials: int) -> Study:
    """Scores that depend on the rate, and by `effect` on the kind a; noise of 0.01."""
    from tests.analysis.studies import trial, write_study

    made = []
    for _ in range(trials):
        config = {
            "rate": rng.uniform(),
            "decay": rng.uniform(),
            "kind": str(rng.choice(["a", "b", "c"])),
        }
        final = 0.9 - 0.3 * (config["rate"] - 0.6) ** 2 + effect * (config["kind"] == "a")
        scores = [final - 0.1 * np.exp(-e) + rng.normal(0, 0.01) for e in range(3)]
        made.append(trial(scores, budget=3) | {"config": config})
    write_study(directory, made, space=to_json(SPACE), max_epochs=3, rungs=[1, 3])
    return load_study(directory)


SEARCH_CLAIMS = (
    Claim("kind-a", "", BETTER, 0.0, 0.01, first={"kind": "a"}, second={"kind": "b"}),
    Claim("kind-best", "", BEST, 0.0, 0.01, first={"kind": "a"}),
    Claim("kind-matters", "", MATTERS_MORE, 0.0, 0.01, names=("kind", "decay")),
)


def searches(effect: float, studies: int, seed: int, trials: int = 24) -> dict[str, float]:
    """How often the surrogate supports and refutes claims on the kind, each asked by itself."""
    rows = []
    for index in range(studies):
        rng = np.random.default_rng([seed, index])
        with tempfile.TemporaryDirectory() as folder:
            study = random_search(Path(folder) / "s", effect, rng, trials)
            file = ClaimFile(Path("c.yaml"), "", 0.8, MOST, SEARCH_CLAIMS, SEARCH_CLAIMS)
            rows.append([v.verdict for v in judge(study, file).verdicts])
    found: dict[str, float] = {}
    for place, claim in enumerate(SEARCH_CLAIMS):
        for verdict in (SUPPORTED, REFUTED):
            found[f"{claim.name} {verdict}"] = float(np.mean([r[place] == verdict for r in rows]))
    found["any supported"] = float(np.mean([SUPPORTED in row for row in rows]))
    return found


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1%}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    gc.freeze()  # statsmodels collects garbage at every correction, over all that is imported
    keys = ("supported", "refuted", "either", "power", "power_best")
    if options.studies:
        print(f"{options.studies:,} files a row\n")
        print(
            "| situation | seeds | false supported | false refuted | either look | power | best |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        for index, situation in enumerate(SITUATIONS):
            row = simulate(situation, options.studies, options.seed + index)
            cells = " | ".join(_share(row[key]) for key in keys)
            print(f"| {situation.name} | {row['seeds']:.1f} | {cells} |", flush=True)
    for effect in (0.0, 0.03) if options.searches else ():
        told = searches(effect, options.searches, options.seed)
        print(f"\n{options.searches} searches, a is better by {effect:g}:")
        print(", ".join(f"{key} {value:.0%}" for key, value in told.items()), flush=True)


if __name__ == "__main__":
    main()
