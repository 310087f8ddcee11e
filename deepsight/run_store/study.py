"""A study in memory, as its files tell it: trials, tables, the incumbent.

`deepsight.run_store.load_study` makes these; import them from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.config import Value, unknown
from deepsight.data.class_balance import validation_balance
from deepsight.notebook import block_html, cell, table_html
from deepsight.run_store.format import STATES, TRIAL_COLUMNS, trial_id
from deepsight.run_store.header import StudyHeader
from deepsight.run_store.objective import Objective
from deepsight.space import INACTIVE, Domain, Entry, to_stored

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrialRecord:
    """One trial as its files tell it."""

    trial_id: str
    config: dict[str, Any]
    """Hyperparameters by dotted name, `INACTIVE` where inactive."""
    explorer: bool
    budget: int
    """Epochs it may train for."""
    started: float
    """Seconds since the epoch."""
    restarts: list[float] = field(default_factory=list)
    """When it was promoted from a pause, or resumed after an interruption."""
    state: str = "running"
    """running (also: interrupted), completed, stopped, diverged or failed."""
    ended: float | None = None
    error: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Results in the order of their epochs."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the trial's events that this version does not know."""

    @property
    def num_epochs(self) -> int:
        """The last epoch that has a result; 0 without any."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def origin(self) -> str | None:
        """What its source calls the trial of a study that another tool made; None in our own."""
        stated = self.extra.get("origin")
        return stated if isinstance(stated, str) else None


def _named(value: Entry) -> Value:
    """A value in a table whose empty cells say that there is none."""
    return "none" if value is None else str(value) if value is INACTIVE else value


SHOWN = 5
"""Trials in the table of a notebook."""


@dataclass(frozen=True, repr=False)
class Study:
    """A study as its directory tells it."""

    directory: Path
    header: StudyHeader
    records: list[TrialRecord]
    """In the order in which they started."""
    skipped: tuple[str, ...] = ()
    """Damaged lines that were left out, each as ``file:line: what is wrong``."""

    @property
    def space(self) -> Mapping[str, Domain]:
        """What is searched."""
        return self.header.space

    @property
    def fixed(self) -> Mapping[str, Value]:
        """Hyperparameters that are not searched."""
        return self.header.fixed

    @property
    def metric(self) -> str:
        """The metric by which trials are compared."""
        return self.header.metric

    @property
    def mode(self) -> str:
        """``max`` or ``min``."""
        return self.header.mode

    @property
    def max_epochs(self) -> int:
        """The full budget of a trial."""
        return self.header.max_epochs

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared, rising, the full budget last."""
        return self.header.rungs

    @property
    def objective(self) -> Objective:
        """Which of two scores is better."""
        return Objective(self.metric, self.mode)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One line a trial: `TRIAL_COLUMNS`, then the hyperparameters by dotted name."""
        import pandas as pd

        rows = [
            {name: getattr(r, name) for name in TRIAL_COLUMNS if name not in ("last", "best")}
            | {"last": self.score(r), "best": self._best_value(r)}
            | to_stored(r.config)
            for r in self.records
        ]
        named = dict.fromkeys([*TRIAL_COLUMNS, *self.space, *(n for row in rows for n in row)])
        return pd.DataFrame(rows, columns=list(named))

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One line a trial and epoch: ``trial_id``, ``epoch``, ``time`` and the metrics."""
        import pandas as pd

        rows = [row for record in self.records for row in record.rows]
        named = dict.fromkeys(["trial_id", "epoch", "time", *(n for row in rows for n in row)])
        return pd.DataFrame(rows, columns=list(named))

    @property
    def adopted(self) -> bool:
        """Whether another tool made it: no trial is of the defaults."""
        return bool(self.header.origin)

    @property
    def unexplored(self) -> bool:
        """Whether another tool made it and all trials are what a searcher chose."""
        return self.adopted and not any(record.explorer for record in self.records)

    @property
    def timed(self) -> bool:
        """Whether its times are those of the trials; else they only tell their order."""
        return self.header.origin.get("times") != "order"

    @property
    def defaults(self) -> TrialRecord | None:
        """The trial of the defaults, which our searches begin with; None in an adopted study."""
        return self.records[0] if self.records and not self.adopted else None

    def is_exempt(self, record: TrialRecord) -> bool:
        """Whether the scheduler let it go on whatever it scored: explorers, and the defaults.

        Only our own searches begin with the defaults (`adopted`). Studies of early versions could
        stop them, which are trial 0, like any other.
        """
        of_defaults = not self.adopted and record.trial_id == trial_id(0)
        return record.explorer or (of_defaults and record.state != "stopped")

    def record(self, trial_id: str) -> TrialRecord:
        """The trial of that name.

        Raises:
            UserError: If there is none.
        """
        found = {r.trial_id: r for r in self.records}
        if trial_id not in found:
            raise unknown("trial", trial_id, found)
        return found[trial_id]

    def score(self, record: TrialRecord) -> float | None:
        """The metric after the trial's last epoch; None where there is no number."""
        value = record.rows[-1].get(self.metric) if record.rows else None
        return float(value) if isinstance(value, int | float) else None

    def has_full_budget(self, record: TrialRecord) -> bool:
        """Whether the trial completed as many epochs as this study gives to any."""
        return record.state == "completed" and record.num_epochs >= self.max_epochs

    def incumbent(self) -> TrialRecord | None:
        """The trial with the best score among those of full budget; the earliest among equals.

        While none has completed the full budget, the best last score of the trials that have
        neither failed nor diverged stands in (`has_full_budget` tells); None without any score.
        """
        return next(iter(self._contenders()), None)

    def _contenders(self) -> list[TrialRecord]:
        """Those that `incumbent` chooses from, best first."""
        ranked = self.ranked(self.records)
        full = [r for r in ranked if self.has_full_budget(r)]
        return full or [r for r in ranked if r.state not in ("failed", "diverged")]

    def ranked(self, records: Iterable[TrialRecord]) -> list[TrialRecord]:
        """Those of `records` that have a score, best first, the earlier first among equals."""
        key = self.objective.sort_key
        scored = [(key(s), r) for r in records if (s := self.score(r)) is not None]
        return [r for _, r in sorted(scored, key=lambda pair: pair[0])]

    def _best_value(self, record: TrialRecord) -> float | None:
        values = [row.get(self.metric) for row in record.rows]
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        return self.objective.best(numbers)

    def _facts(self) -> list[str]:
        """The best score, the trials by state, and where all of it lies."""
        best, count = self.incumbent(), Counter(r.state for r in self.records)
        told = "no trial has a score yet"
        if best is not None:
            told = f"{cell(self.score(best))} ({best.trial_id}, {best.num_epochs} epochs)"
            balance = validation_balance(self.header.data)
            majority = balance.baseline(self.metric) if balance else None
            told += "" if majority is None else f", majority baseline {cell(majority)}"
        states = ", ".join(f"{count[state]} {state}" for state in STATES if count[state])
        return [
            f"best {self.metric}: {told}",
            f"{len(self.records)} trials: {states or 'none yet'}",
            f"{self.directory}",
        ]

    def __repr__(self) -> str:
        return f"<Study {self.directory.name}: {'; '.join(self._facts()[:2])}>"

    def _repr_html_(self) -> str:
        """In a notebook: the facts, and the best configs among trials that trained alike."""
        rows = [
            (
                r.trial_id,
                self.score(r),
                r.num_epochs,
                *(_named(r.config.get(n, INACTIVE)) for n in self.space),
            )
            for r in self._contenders()[:SHOWN]
        ]
        table = table_html(["trial", self.metric, "epochs", *self.space], rows) if rows else ""
        return block_html(f"Study {self.directory.name}", self._facts(), table)
