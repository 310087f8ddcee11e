"""What one fresh seed of a config found; `analysis.diagnosis.stability.seeds` collects them."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.statistics.intervals import Interval


@dataclass(frozen=True)
class SeedFinding:
    """A finding of one seed.

    Attributes:
        kind: As in `analysis.diagnosis.findings.Finding`.
        labels: Of its classes, rising.
        number: With its interval and n.
        p_value: Corrected for the number of tests.
    """

    kind: str
    labels: tuple[int, ...]
    number: Interval
    p_value: float

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """Findings of two seeds with one key are the same finding."""
        return self.kind, self.labels


@dataclass(frozen=True)
class SeedFindings:
    """All findings of one seed."""

    trial_id: str
    """Of the confirmation."""
    seed: int
    items: tuple[SeedFinding, ...]
