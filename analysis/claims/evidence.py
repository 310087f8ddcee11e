"""What there is to judge a claim by: planned runs, other confirmed runs, the surrogate, the search.

The first of these that there is decides; they are never mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from analysis.claims.claim_files import (
    CLASSES,
    MATTERS_MORE,
    MOST_SEEDS,
    STUDY_BEATS,
    STUDY_MORE_STABLE,
    Claim,
    ClaimFile,
)
from analysis.claims.contrasts import (
    Contrast,
    NotHere,
    class_names,
    contrasts_of,
    winner_of,
)
from analysis.claims.measures import (
    Array,
    Measure,
    Sample,
    deviations,
    of_draws,
    of_mean,
    of_runs,
    of_samples,
)
from analysis.claims.planning import PILOT, planned_pairs
from analysis.importance.importance import RANKED, compute_importance, total_share_draws
from analysis.importance.sensitivity import sound
from analysis.importance.surrogate import NoSurrogate, Surrogate, fit_surrogate
from deepsight.confirm.variants import (
    SEED,
    SPLIT,
    Config,
    claim_seeds,
    load_confirmed,
    runs_of,
)
from deepsight.data.class_balance import printable
from deepsight.run_store import Study, TrialRecord
from deepsight.space import Entry

PLANNED, CONFIRMED = "planned runs", "confirmed runs"
SURROGATE, SEARCH, NOTHING = "surrogate", "search", "nothing"
SCORE_DRAWS, SHARE_DRAWS = 40, 20
"""Functions from the posterior of each kernel: a p value is no less than one over all of them."""
FEWEST = 3
"""Trials of full budget from which the spread between runs is taken."""

Key = tuple[Entry, Entry]
Runs = Mapping[Key, float | None]
"""A number for every pair of runs that has ended, by seed and split; None where one was lost."""


@dataclass(frozen=True)
class Evidence:
    """What a claim is judged by."""

    source: str
    measures: tuple[Measure, ...] = ()
    """One for each contrast."""
    note: str = ""
    """What is missing."""
    distrust: str = ""
    """Why nothing may be concluded from it; empty where it may."""

    @property
    def tested(self) -> tuple[Measure, ...]:
        """Its contrasts, without p values where nothing may be concluded."""
        if not self.distrust:
            return self.measures
        return tuple(replace(m, p_above=None, p_below=None) for m in self.measures)


@dataclass(frozen=True)
class Sources:
    """A study and all that may speak about it."""

    study: Study

    @cached_property
    def done(self) -> Study | None:
        """Its confirmation."""
        return load_confirmed(self.study)

    @cached_property
    def surrogate(self) -> Surrogate | NoSurrogate:
        """Of its metric."""
        return fit_surrogate(sound(self.study))

    @cached_property
    def distrust(self) -> str:
        """Why nothing may be concluded from the surrogate; empty where it may."""
        found = compute_importance(sound(self.study), surrogate=self.surrogate)
        return "" if found.verdict == RANKED else f"{found.verdict}: {found.reason}"

    def draws(self, configs: Sequence[Config]) -> Array:
        """Scores of configs, (len(configs), m), in functions that the trials allow."""
        assert isinstance(self.surrogate, Surrogate)
        units = self.surrogate.encoding.units(configs)
        whole = self.surrogate.final_samples(units, SCORE_DRAWS, 0)
        column = np.zeros(len(units))
        return np.hstack([whole, self.surrogate.final_draws(units, column, SCORE_DRAWS, 0)])

    def ended(self, config: Config) -> dict[Key, TrialRecord]:
        """The runs of a config in the confirmation, by seed and split."""
        runs = [r for r in runs_of(self.study, self.done, config) if r.ended is not None]
        return {(r.config[SEED], r.config.get(SPLIT)): r for r in runs if SEED in r.config}

    def score(self, record: TrialRecord) -> float | None:
        """Of a run; None where it failed or diverged."""
        assert self.done is not None
        return self.done.score(record) if self.done.has_full_budget(record) else None

    def winner_scores(self) -> list[float]:
        """Of the best config, one a seed."""
        runs = self.ended(winner_of(self.study).config)
        scores = {key: self.score(run) for key, run in runs.items()}
        return list(_of_seeds(scores, [key[0] for key in scores]))


def configs_of(study: Study, claim: Claim) -> list[Config]:
    """The configs whose runs settle a claim of kind best, better or classes."""
    if claim.kind == CLASSES:
        return [winner_of(study).config]
    contrasts = contrasts_of(study, claim)
    assert not isinstance(contrasts, NotHere)
    return [contrasts[0].first, *(c.second for c in contrasts)]


def runs_by_contrast(sources: Sources, claim: Claim) -> list[tuple[str, Runs]]:
    """For each contrast of a claim of kind best, better or classes what its runs say."""
    if claim.kind == CLASSES:
        runs = sources.ended(winner_of(sources.study).config)
        return [("", {key: class_gap(sources.study, claim, run) for key, run in runs.items()})]
    contrasts = contrasts_of(sources.study, claim)
    assert not isinstance(contrasts, NotHere)
    return [(c.label, _gains(sources, c)) for c in contrasts]


def _gains(sources: Sources, contrast: Contrast) -> dict[Key, float | None]:
    """By how much the first side is better, for every seed and split with which both have ended."""
    first, second = sources.ended(contrast.first), sources.ended(contrast.second)
    found: dict[Key, float | None] = {}
    for key in (k for k in first if k in second):
        scores = sources.score(first[key]), sources.score(second[key])
        found[key] = None
        if scores[0] is not None and scores[1] is not None:
            found[key] = sources.study.objective.gain(scores[0], scores[1])
    return found


def class_gap(study: Study, claim: Claim, record: TrialRecord) -> float | None:
    """Mean recall of the first group minus that of the second after a run's last epoch."""
    recall = record.rows[-1].get("val_recall") if record.rows else None
    names = class_names(study)
    if not isinstance(recall, list) or len(recall) != len(names):
        return None
    means = []
    for group in claim.groups:
        values = [recall[names.index(c)] for c in group]
        if not all(isinstance(v, int | float) for v in values):
            return None
        means.append(float(np.mean(values)))
    return means[0] - means[1]


def image_variance(study: Study, claim: Claim, record: TrialRecord) -> float:
    """Variance of `class_gap` for the validation images that there happen to be.

    Each recall is a share of its class's images, with two right and two wrong ones added (Agresti
    and Coull 1998), so that a recall of 1 is not certain.
    """
    counts = study.header.data.get("counts")
    stated = counts.get("val") if isinstance(counts, Mapping) else None
    images = {printable(c): n for c, n in stated.items()} if isinstance(stated, Mapping) else {}
    names, total = class_names(study), 0.0
    for group in claim.groups:
        for name in group:
            num = images.get(name, 0)
            num = num if isinstance(num, int) and num > 0 else 0
            recall = float(record.rows[-1]["val_recall"][names.index(name)])
            share = (recall * num + 2) / (num + 4)
            total += share * (1 - share) / (num + 4) / len(group) ** 2
    return total


def gather(
    sources: Sources, other: Sources | None, file: ClaimFile, claim: Claim, tests: int
) -> Evidence:
    """What there is to judge a claim by.

    Args:
        sources: Of the study.
        other: Of the second study, for claims on two.
        file: Where the claim stands.
        claim: One that is about the study.
        tests: Claims among which planned runs share the error.
    """
    if claim.kind == MATTERS_MORE:
        return _shares(sources, claim)
    if claim.kind in (STUDY_BEATS, STUDY_MORE_STABLE):
        assert other is not None
        return _studies(sources, other, claim)
    runs = runs_by_contrast(sources, claim)
    planned, note = planned_runs(sources.study, file, claim, tests, runs)
    if planned is not None:
        return Evidence(PLANNED, _from_runs(sources, claim, planned))
    block = set(claim_seeds(sources.study, MOST_SEEDS))
    earlier = [
        Sample(label, _of_seeds(found, [key[0] for key in found if key[0] not in block]))
        for label, found in runs
    ]
    if all(len(sample.values) > 1 for sample in earlier):
        return Evidence(CONFIRMED, _from_runs(sources, claim, earlier), note)
    found = _gap_of_search(sources, claim) if claim.kind == CLASSES else _scores(sources, claim)
    told = " ".join(text for text in (found.note, note) if text)
    return Evidence(found.source, found.measures, told, found.distrust)


def planned_runs(
    study: Study,
    file: ClaimFile,
    claim: Claim,
    tests: int,
    runs: Sequence[tuple[str, Runs]],
) -> tuple[list[Sample] | None, str]:
    """What the runs that were planned for a claim say; None, and what is missing, before all ended.

    Nobody looks at the differences of these seeds before: so each of them is tested once.
    """
    seeds = claim_seeds(study, file.most_seeds)
    blocks = [{key: v for key, v in found.items() if key[0] in seeds} for _, found in runs]
    wanted = wanted_seeds(file, claim, tests, seeds, blocks)
    first = set(seeds[: wanted or PILOT])  # later ones may have ended before, for other claims
    ended = min(len(first & {key[0] for key in block}) for block in blocks)
    if wanted is None or ended < wanted:
        told = f"{ended} of {wanted or f'at least {PILOT}'} planned seeds have ended."
        return None, told if ended else ""
    return [
        Sample(label, _of_seeds(block, seeds[:wanted]), _of_seeds(block, seeds[:PILOT]))
        for (label, _), block in zip(runs, blocks, strict=True)
    ], ""


def _of_seeds(runs: Runs, seeds: Iterable[Entry]) -> tuple[float, ...]:
    """A number for each seed: the mean over the splits, where it was trained with several.

    Runs of one seed are alike; as values of their own they would count for more than they say.
    """
    found: dict[Entry, list[float]] = {seed: [] for seed in seeds}
    for (seed, _), value in runs.items():
        if value is not None and seed in found:
            found[seed].append(value)
    return tuple(float(np.mean(values)) for values in found.values() if values)


def wanted_seeds(
    file: ClaimFile, claim: Claim, tests: int, seeds: Sequence[int], blocks: Sequence[Runs]
) -> int | None:
    """How many of the planned `seeds` a claim takes, by the spread of the first; None before."""
    pilot = set(seeds[:PILOT])
    if any(pilot - {key[0] for key in block} for block in blocks):
        return None
    pilots = [_of_seeds(block, seeds[:PILOT]) for block in blocks]
    return planned_pairs(file, claim, tests, pilots)


def _from_runs(sources: Sources, claim: Claim, samples: list[Sample]) -> tuple[Measure, ...]:
    variance = 0.0
    if claim.kind == CLASSES:
        variance = image_variance(sources.study, claim, winner_of(sources.study))
    found = [of_runs(sample, claim.by, variance) for sample in samples]
    known = tuple(_bounded(claim, measure) for measure in found if measure is not None)
    return known if len(known) == len(found) else ()


def _scores(sources: Sources, claim: Claim) -> Evidence:
    """The surrogate's word on a claim of kind best or better."""
    if isinstance(sources.surrogate, NoSurrogate):
        return Evidence(NOTHING, note=f"No surrogate: {sources.surrogate.reason}")
    contrasts = contrasts_of(sources.study, claim)
    assert not isinstance(contrasts, NotHere)
    left_out = sources.surrogate.encoding.left_out
    for name in claim.first:
        if name in left_out:
            return Evidence(NOTHING, note=f"{name}: {left_out[name]}.")
    draws = sources.draws([contrasts[0].first, *(c.second for c in contrasts)])
    sign, n = sources.study.objective.sign, sources.surrogate.quality.num_trials
    measures = [
        of_draws(c.label, sign * (draws[0] - draws[i]), claim.by, n)
        for i, c in enumerate(contrasts, start=1)
    ]
    return Evidence(SURROGATE, tuple(measures), distrust=sources.distrust)


def _shares(sources: Sources, claim: Claim) -> Evidence:
    """The surrogate's word on which of two hyperparameters matters more."""
    if isinstance(sources.surrogate, NoSurrogate):
        return Evidence(NOTHING, note=f"No surrogate: {sources.surrogate.reason}")
    encoding = sources.surrogate.encoding
    for name in claim.names:
        if name in encoding.left_out:
            return Evidence(NOTHING, note=f"{name}: {encoding.left_out[name]}.")
    shares, unseen = total_share_draws(sources.surrogate, SHARE_DRAWS)
    first, second = (encoding.names.index(name) for name in claim.names)
    n = sources.surrogate.quality.num_trials
    measure = of_draws("", shares[first] - shares[second], claim.by, n, unseen, most=1.0)
    return Evidence(SURROGATE, (measure,), distrust=sources.distrust)


def _gap_of_search(sources: Sources, claim: Claim) -> Evidence:
    """The best trial's gap between groups of classes; its spread is that between trials."""
    study, best = sources.study, winner_of(sources.study)
    full = [r for r in study.records if study.has_full_budget(r)]
    gaps = [gap for r in full if (gap := class_gap(study, claim, r)) is not None]
    own = class_gap(study, claim, best)
    if own is None or len(gaps) < FEWEST:
        return Evidence(NOTHING, note=f"{len(gaps)} trials of full budget state recalls.")
    spread, variance = float(np.std(gaps, ddof=1)), image_variance(study, claim, best)
    measure = of_mean("", own, 1, spread, len(gaps) - 1, claim.by, variance)
    return Evidence(SEARCH, (_bounded(claim, measure),))


def _bounded(claim: Claim, measure: Measure) -> Measure:
    """A measure whose interval holds no gap between recalls that is larger than 1."""
    low, high = measure.effect.low, measure.effect.high
    if claim.kind != CLASSES or low is None or high is None:
        return measure
    effect = replace(measure.effect, low=max(low, -1.0), high=min(high, 1.0))
    return replace(measure, effect=effect)


def _studies(ours: Sources, theirs: Sources, claim: Claim) -> Evidence:
    """Two studies' best configs: by fresh seeds, else their mean by the surrogates."""
    sign = ours.study.objective.sign
    scores = [[sign * s for s in side.winner_scores()] for side in (ours, theirs)]
    if claim.kind == STUDY_MORE_STABLE:
        spreads = [deviations(s) if s else [] for s in scores]
        stable = of_samples(spreads[1], spreads[0], claim.by)
        if stable is None:
            return Evidence(NOTHING, note="The spread over seeds is known by confirmed runs only.")
        return Evidence(CONFIRMED, (stable,))
    better = of_samples(scores[0], scores[1], claim.by)
    if better is not None:
        return Evidence(CONFIRMED, (better,))
    for side in (ours, theirs):
        if isinstance(side.surrogate, NoSurrogate):
            return Evidence(NOTHING, note=f"No surrogate: {side.surrogate.reason}")
    draws = [side.draws([winner_of(side.study).config])[0] for side in (ours, theirs)]
    mixed = np.random.default_rng(0).permutation(draws[1])[: len(draws[0])]
    n = sum(s.surrogate.quality.num_trials for s in (ours, theirs)
            if isinstance(s.surrogate, Surrogate))  # fmt: skip
    measure = of_draws("", sign * (draws[0][: len(mixed)] - mixed), claim.by, n)
    return Evidence(SURROGATE, (measure,), distrust=ours.distrust or theirs.distrust)
