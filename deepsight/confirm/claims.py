"""``--claims``: the fewest paired runs that settle what a file of claims leaves undecided.

Four seeds of every config come first; from their spread the number of all follows, and is never
changed by how the configs compare. What is there is read from the record at every step, so that a
command that was killed goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.claims.claim_files import ClaimFile, asked_names, load_claims
from analysis.claims.evidence import Sources, configs_of
from analysis.claims.page import claims_text, write_claims
from analysis.claims.planning import PILOT
from analysis.claims.verdicts import Judged, judge, planned_tests, seeds_needed
from deepsight.config import UserError
from deepsight.confirm.runs import Contender, expected_cost, price_text, run_of
from deepsight.confirm.variants import claim_seeds, load_confirmed
from deepsight.run_store import Study
from deepsight.space import Entry
from deepsight.tune.plan import StudyPlan

Run = tuple[Contender, dict[str, Entry]]
Train = Callable[[Sequence[Run]], int | None]


def load_asked(study: Study, name: str, only: Sequence[str] | None) -> Judged:
    """The claims of a file as they stand.

    Args:
        study: The search.
        name: Of the file.
        only: What ``--only`` was given; None for all.

    Raises:
        UserError: As `analysis.claims`, or if no run settles any of the claims.
    """
    judged = judge(study, load_claims(name, asked_names(only)))
    if not any(judged.runnable(v) for v in judged.verdicts):
        raise UserError(
            f"no run of {study.directory} settles a claim of {name}.",
            "Runs settle claims of the kinds best, better and classes.",
        )
    return judged


def claim_runs(
    study: Study, plan: StudyPlan, judged: Judged, resplit: bool, most: bool
) -> list[Run]:
    """The runs that the undecided claims take, each once.

    Args:
        study: The search.
        plan: Its plan.
        judged: The claims as they stood before any of these runs.
        resplit: Whether every seed has its own split.
        most: Whether as many as there may be, where their number is not known yet.
    """
    sources, file = Sources(study), judged.file
    tests = planned_tests(study, file)
    found: dict[tuple[tuple[str, Entry], ...], Run] = {}
    for claim in (v.claim for v in judged.open):
        needed = seeds_needed(sources, file, claim, tests, guess=most)
        count = needed if needed is not None else file.most_seeds if most else PILOT
        for seed in claim_seeds(study, count):
            for config in configs_of(study, claim):
                contender = Contender(claim.name, _trial(study), config, None)
                run = run_of(plan, contender, seed, resplit)
                found[tuple(sorted(run.items()))] = (contender, run)
    return list(found.values())


def _trial(study: Study) -> str:
    """The trial whose config the claims are about."""
    best = study.incumbent()
    assert best is not None
    return best.trial_id


def cost_text(study: Study, plan: StudyPlan, judged: Judged, resplit: bool) -> str:
    """What is undecided, and what settling it takes at most, in two lines."""
    runs = claim_runs(study, plan, judged, resplit, most=True)
    named = ", ".join(v.claim.name for v in judged.open) or "nothing that runs would settle"
    cost = expected_cost(study, load_confirmed(study), runs)
    return f"undecided  {named}\ncost       {price_text(cost, most=True)}\n"


def run_claims(
    study: Study, plan: StudyPlan, judged: Judged, resplit: bool, train: Train
) -> int | None:
    """Train the first seeds, then as many as their spread asks for; the signal that stopped it."""
    for _ in range(2):
        runs = claim_runs(study, plan, judged, resplit, most=False)
        stopped = train(runs) if runs else None
        if stopped:
            return stopped
    return None


def conclude(study: Study, file: ClaimFile, name: str) -> Path:
    """Judge the claims anew, print their table and write their page."""
    judged = judge(study, file)
    sys.stdout.write(f"{claims_text(judged, name)}\n")
    return write_claims(judged, name)
