"""Whether findings hold for other seeds of the same config: how many seeds find the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.diagnosis.findings import Finding, Findings
from analysis.diagnosis.stability.seed_findings import SeedFinding, SeedFindings
from analysis.diagnosis.stability.seeds import as_seed
from analysis.statistics.intervals import Interval, share_interval

ENOUGH = 0.8
"""Share of the seeds that must find the same: four of five (decision 0067)."""


@dataclass(frozen=True)
class Agreement:
    """One finding, and how many seeds agree on it.

    Attributes:
        finding: As a seed found it, or the diagnosed trial.
        of_trial: Whether the diagnosed trial has it.
        seeds: Those that have it.
        num_seeds: Fresh seeds in all.
    """

    finding: SeedFinding
    of_trial: bool
    seeds: tuple[int, ...]
    num_seeds: int

    @property
    def share(self) -> Interval:
        """Of the seeds that agree, with the exact interval."""
        return share_interval(len(self.seeds), self.num_seeds)

    @property
    def is_stable(self) -> bool:
        """Whether at least four of five seeds agree."""
        return len(self.seeds) >= ENOUGH * self.num_seeds


def compute_agreement(findings: Findings, seeds: Sequence[SeedFindings]) -> tuple[Agreement, ...]:
    """The diagnosed trial's findings in their order, then those of seeds alone, most seeds first.

    Args:
        findings: Of the diagnosed trial.
        seeds: Of fresh seeds of its config; one at least.
    """
    own = [as_seed(f) for f in findings.items]
    others: dict[tuple[str, tuple[int, ...]], SeedFinding] = {}
    for seed in seeds:
        for item in seed.items:
            others.setdefault(item.key, item)
    mine = {f.key for f in own}
    alone = [_agreement(f, False, seeds) for key, f in others.items() if key not in mine]
    alone.sort(key=lambda a: (-len(a.seeds), a.finding.key))
    return (*(_agreement(f, True, seeds) for f in own), *alone)


def _agreement(finding: SeedFinding, of_trial: bool, seeds: Sequence[SeedFindings]) -> Agreement:
    agreeing = [s.seed for s in seeds if finding.key in {item.key for item in s.items}]
    return Agreement(finding, of_trial, tuple(agreeing), len(seeds))


def mark_unstable(findings: Findings, agreements: Sequence[Agreement]) -> Findings:
    """The findings; those on which fewer than four of five seeds agree say so in their note."""
    found = {a.finding.key: a for a in agreements if a.of_trial}
    items = [_marked(f, found.get(as_seed(f).key)) for f in findings.items]
    return dataclasses.replace(findings, items=tuple(items))


def _marked(finding: Finding, agreement: Agreement | None) -> Finding:
    if agreement is None or agreement.is_stable:
        return finding
    return dataclasses.replace(finding, note=f"{finding.note} {unstable(agreement)}".strip())


def unstable(agreement: Agreement) -> str:
    """The mark of a finding on which too few seeds agree."""
    return f"Not stable: {len(agreement.seeds)} of {agreement.num_seeds} fresh seeds find the same."
