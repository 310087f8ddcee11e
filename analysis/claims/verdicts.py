"""Which claims of a file are supported, refuted or undecided, and what would settle the others."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.claims.claim_files import (
    BEST,
    BETTER,
    CLASSES,
    MATTERS_MORE,
    STUDY_BEATS,
    STUDY_MORE_STABLE,
    Claim,
    ClaimFile,
)
from analysis.claims.contrasts import NotHere, not_here
from analysis.claims.evidence import (
    NOTHING,
    PLANNED,
    Evidence,
    Sources,
    configs_of,
    gather,
    runs_by_contrast,
    wanted_seeds,
)
from analysis.claims.measures import Measure
from analysis.claims.planning import FEWEST, planned_pairs
from analysis.statistics.comparison import obstacles_between
from deepsight.config import UserError
from deepsight.confirm.record import Estimate
from deepsight.confirm.statistics import ALPHA, holm
from deepsight.confirm.variants import Config, claim_seeds
from deepsight.run_store import Study

SUPPORTED, REFUTED, UNDECIDED, ELSEWHERE = "supported", "refuted", "undecided", "not here"
RUNNABLE = (BEST, BETTER, CLASSES)
"""Kinds that runs of this study's configs settle."""


@dataclass(frozen=True)
class Cost:
    """What planned runs take; a range while the spread of a seed is not known."""

    seeds: tuple[int, int]
    """Of every config."""
    epochs: tuple[int, int]
    """Of runs that are not there yet."""


@dataclass(frozen=True)
class Verdict:
    """What became of one claim."""

    claim: Claim
    verdict: str
    source: str
    """What it was judged by."""
    closest: str
    """Of a best value: the other one that comes nearest to it, whose effect this is."""
    effect: Estimate | None
    """95 %, of this claim alone; n are pairs of runs, runs or trials, as `source` says."""
    unit: str
    """Of the effect."""
    p: float | None
    """Two-sided, against `Claim.by`."""
    p_adjusted: float | None
    """Holm's, over all claims of the file that are about the study."""
    probability: float | None
    """That the effect is more than `Claim.by`, by the surrogate; None with other evidence."""
    note: str
    """Why it is not about this study, or what is missing."""
    cost: Cost | None = None
    """What `deepsight.confirm --claims` would take to settle it."""


@dataclass(frozen=True)
class Judged:
    """All claims of a file."""

    study: Study
    file: ClaimFile
    other: Study | None
    verdicts: tuple[Verdict, ...]

    def runnable(self, verdict: Verdict) -> bool:
        """Whether runs of the study settle a claim."""
        return verdict.claim.kind in RUNNABLE and verdict.verdict != ELSEWHERE

    @property
    def open(self) -> tuple[Verdict, ...]:
        """Undecided claims that runs can settle."""
        return tuple(v for v in self.verdicts if v.cost is not None)


def judge(study: Study, file: ClaimFile, other: Study | None = None) -> Judged:
    """Judge the claims of a file by what a study, its confirmation and its surrogate say.

    All claims of the file that are about the study are tested together, whichever of them are
    asked about: otherwise each could be asked about alone, and none would be corrected.

    Args:
        study: The search.
        file: Its claims, as far as they are asked about.
        other: A second study, for claims on two.

    Raises:
        UserError: If a name is wrong, no trial has the full budget, or no claim is about the study.
    """
    sources = Sources(study)
    second = Sources(other) if other is not None else None
    reasons = [_not_here(study, other, claim) for claim in file.claims]
    here = [c for c, reason in zip(file.claims, reasons, strict=True) if reason is None]
    if not here:
        first = next(reason for reason in reasons if reason is not None)
        raise UserError(f"{file.claims[0].name}: {first.cause}", first.remedy)
    tests = planned_tests(study, file)
    family = [c for c in file.every if _not_here(study, other, c) is None]
    found = {c.name: gather(sources, second, file, c, tests) for c in family}
    decisions = dict(zip(found, decide([e.tested for e in found.values()]), strict=True))
    verdicts = []
    for claim, reason in zip(file.claims, reasons, strict=True):
        if reason is not None:
            told = f"{reason.cause} {reason.remedy}"
            verdicts.append(
                Verdict(claim, ELSEWHERE, NOTHING, "", None, "", None, None, None, told)
            )
            continue
        evidence = found[claim.name]
        verdict = _verdict(study, claim, evidence, decisions[claim.name])
        if verdict.verdict == UNDECIDED and claim.kind in RUNNABLE and evidence.source != PLANNED:
            cost = expected_cost(sources, file, claim, tests)
            verdict = dataclasses.replace(verdict, cost=cost)
        verdicts.append(verdict)
    return Judged(study, file, other, tuple(verdicts))


def planned_tests(study: Study, file: ClaimFile) -> int:
    """Claims of a file that runs of the study settle, whichever of them are asked about."""
    return sum(c.kind in RUNNABLE and not_here(study, c) is None for c in file.every)


def _not_here(study: Study, other: Study | None, claim: Claim) -> NotHere | None:
    reason = not_here(study, claim)
    if reason is not None or claim.kind not in (STUDY_BEATS, STUDY_MORE_STABLE):
        return reason
    if other is None:
        return NotHere("it is about two studies.", "Say which is the second: --other runs/STUDY.")
    if other.directory.resolve() == study.directory.resolve():
        return NotHere("the second study is this one.", "Name another: --other runs/STUDY.")
    obstacles = obstacles_between(study, other)
    return NotHere(f"{obstacles[0]}.", "Compare studies of one task.") if obstacles else None


@dataclass(frozen=True)
class Decision:
    """What the tests of one claim say."""

    closest: Measure | None
    """The contrast of the smallest effect; None without any."""
    p: float | None
    p_adjusted: float | None
    verdict: str


def decide(measured: Sequence[Sequence[Measure]]) -> list[Decision]:
    """Test claims together: Holm's method (1979) over their two-sided p values.

    A claim holds if every contrast of it does, which is an intersection-union test (Berger 1982)
    and needs no correction; it fails if any contrast does, with Bonferroni's.

    Args:
        measured: The contrasts of every claim.
    """
    sides = [_one_sided(measures) for measures in measured]
    both = [None if s is None else min(1.0, 2 * min(s)) for s in sides]
    decisions = []
    for measures, side, p, adjusted in zip(measured, sides, both, holm(both), strict=True):
        verdict = UNDECIDED
        if side is not None and adjusted is not None and adjusted <= ALPHA:
            verdict = SUPPORTED if side[0] < side[1] else REFUTED
        closest = min(measures, key=lambda m: m.effect.value, default=None)
        decisions.append(Decision(closest, p, adjusted, verdict))
    return decisions


def _one_sided(measures: Sequence[Measure]) -> tuple[float, float] | None:
    """P values for that the claim holds and for that it fails; None without an interval."""
    above = [m.p_above for m in measures if m.p_above is not None]
    below = [m.p_below for m in measures if m.p_below is not None]
    if not above or not below:
        return None
    holds = max(above) if len(above) == len(measures) else 1.0
    return holds, min(1.0, len(measures) * min(below))


def _verdict(study: Study, claim: Claim, evidence: Evidence, decision: Decision) -> Verdict:
    closest = decision.closest
    return Verdict(
        claim=claim,
        verdict=decision.verdict,
        source=evidence.source,
        closest=closest.label if closest else "",
        effect=closest.effect if closest else None,
        unit=_unit(study, claim),
        p=decision.p,
        p_adjusted=decision.p_adjusted,
        probability=closest.probability if closest else None,
        note=" ".join(told for told in (evidence.distrust, evidence.note) if told),
    )


def _unit(study: Study, claim: Claim) -> str:
    """What an effect is measured in."""
    if claim.kind == MATTERS_MORE:
        return "share of the variance"
    if claim.kind == CLASSES:
        return "recall"
    return study.metric


def seeds_needed(
    sources: Sources, file: ClaimFile, claim: Claim, tests: int, guess: bool = False
) -> int | None:
    """How many planned seeds a claim takes; None before its first ones have ended.

    Args:
        sources: Of the study.
        file: Where the claim stands.
        claim: Of kind best, better or classes.
        tests: Claims among which planned runs share the error.
        guess: Whether other confirmed runs may stand in for the first seeds.
    """
    runs = [found for _, found in runs_by_contrast(sources, claim)]
    seeds = claim_seeds(sources.study, file.most_seeds)
    blocks = [{key: v for key, v in found.items() if key[0] in seeds} for found in runs]
    known = wanted_seeds(file, claim, tests, seeds, blocks)
    if known is not None or not guess:
        return known
    values = [[v for v in found.values() if v is not None] for found in runs]
    if not all(len(one) > 1 for one in values):
        return None
    return planned_pairs(file, claim, tests, values)


def expected_cost(sources: Sources, file: ClaimFile, claim: Claim, tests: int) -> Cost:
    """What settling a claim takes, by the spread of the runs that there are."""
    likely = seeds_needed(sources, file, claim, tests, guess=True)
    ends = (FEWEST, file.most_seeds) if likely is None else (likely, likely)
    configs = configs_of(sources.study, claim)
    low, high = (epochs_left(sources, configs, claim_seeds(sources.study, n)) for n in ends)
    return Cost(ends, (low, high))


def epochs_left(sources: Sources, configs: Sequence[Config], seeds: Sequence[int]) -> int:
    """Epochs of the runs of configs with seeds that have not ended."""
    missing = 0
    for config in configs:
        ended = {key[0] for key in sources.ended(config)}
        missing += sum(seed not in ended for seed in seeds)
    return missing * sources.study.max_epochs


def remedies(judged: Judged, name: str) -> list[str]:
    """What would settle the undecided claims: commands, each with what it costs.

    Args:
        judged: The claims.
        name: Of the file, as the user gave it.
    """
    directory = shlex.quote(str(judged.study.directory))
    found = []
    costs = [v.cost for v in judged.open if v.cost is not None]
    if costs:
        low, high = (sum(c.epochs[end] for c in costs) for end in (0, 1))
        many = f"{low} epochs" if low == high else f"{low} to {high} epochs"
        command = f"python -m deepsight.confirm {directory} --claims {shlex.quote(name)}"
        found.append(
            f"{command}   # {', '.join(v.claim.name for v in judged.open)}: {many} at most"
        )
    undecided = [v for v in judged.verdicts if v.verdict == UNDECIDED]
    if any(v.claim.kind in (STUDY_BEATS, STUDY_MORE_STABLE) for v in undecided):
        for study in filter(None, (judged.study, judged.other)):
            where, n = shlex.quote(str(study.directory)), judged.file.most_seeds
            command = f"python -m deepsight.confirm {where} --top 1 --seeds {n}"
            epochs = 2 * n * study.max_epochs
            found.append(f"{command}   # for claims on two studies: {epochs} epochs at most")
    if any(v.claim.kind == MATTERS_MORE for v in undecided):
        trials = 2 * len(judged.study.records)
        spent = sum(r.num_epochs for r in judged.study.records)
        command = f"python -m deepsight.tune --resume {directory} --trials {trials}"
        found.append(f"{command}   # for claims on importance: about {spent} epochs")
    return found
