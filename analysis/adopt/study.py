"""From what was found to a study of run format 1: the header, the trials, their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.adopt.found import FoundStudy, FoundTrial, Wanted
from analysis.adopt.outcomes import Judged, judge
from analysis.adopt.spaces import Settled, read_numbers, settle_space
from deepsight.config import Value
from deepsight.run_store import LATEST, TRIAL_COLUMNS, TrialRecord, trial_id, write_study
from deepsight.space import Domain, Entry, to_json

STEP_S = 0.001
"""Between two events of a source without times, which then only tell their order."""
OWN = ("trial_id", "epoch", "time")
"""Fields of a result that a metric cannot be named."""


@dataclass(frozen=True)
class Adopted:
    """A study that is ready to be written."""

    found: FoundStudy
    judged: Judged
    settled: Settled
    records: tuple[TrialRecord, ...]
    timed: bool
    notes: tuple[str, ...]
    """All that was inferred, is missing or was left out, a sentence each."""

    @property
    def states(self) -> dict[str, int]:
        """Number of trials by state, the most frequent first."""
        return dict(Counter(record.state for record in self.records).most_common())


def prepare(
    found: FoundStudy,
    wanted: Wanted,
    space: Mapping[str, Domain],
    ignored: Sequence[str] = (),
) -> Adopted:
    """Work out what the source leaves open.

    Args:
        found: What its reader returned.
        wanted: What the user said.
        space: The domains that the user states.
        ignored: Hyperparameters that the user leaves out.

    Raises:
        UserError: If it cannot be known what trials are compared by, or the stated space does not
            hold their values.
    """
    judged = judge(found, wanted)
    by_source = {_renamed(n): d for n, d in found.space.items()}
    configs = read_numbers(
        [{_renamed(n): v for n, v in t.config.items()} for t in judged.trials],
        {**by_source, **space},
    )
    settled = settle_space(configs, space, by_source, ignored)
    timed = any(_first_time(trial) is not None for trial in judged.trials)
    notes = [*found.notes, *judged.notes, *settled.notes]
    if settled.reasons:
        notes.append(
            f"The domains of {', '.join(settled.reasons)} were inferred from the values that were "
            "tried: their true bounds may be wider."
        )
    if not timed:
        notes.append("The source states no times: those on record only tell an order.")
    taken = sorted({n for t in judged.trials for n in t.config} & set(TRIAL_COLUMNS))
    notes += [f"The hyperparameter {name} is called {_renamed(name)} here." for name in taken]
    records = _records(judged, configs, settled, timed)
    return Adopted(found, judged, settled, records, timed, tuple(notes))


def write(adopted: Adopted, source: str, directory: Path) -> None:
    """Write it as a study.

    Raises:
        UserError: If `directory` exists, or the disk refuses.
    """
    write_study(directory, header(adopted, source, directory.name), adopted.records)


def header(adopted: Adopted, source: str, name: str) -> dict[str, Any]:
    """The fields of ``study.json``; what the source does not state is absent."""
    judged, settled = adopted.judged, adopted.settled
    inferred = [*judged.inferred, *(f"space.{n}" for n in settled.reasons)]
    stated = {
        "name": name,
        "metric": _field(judged.metric),
        "mode": judged.mode,
        "target": None,
        "trials": len(adopted.records),
        "max_epochs": judged.max_epochs,
        "rungs": list(judged.rungs),
        "fixed": settled.fixed,
        "space": to_json(settled.space),
        "data": {},
        "origin": {
            "tool": adopted.found.tool,
            "source": source,
            "study": adopted.found.name,
            "versions": dict(adopted.found.versions),
            "adopted": datetime.now(UTC).isoformat(timespec="seconds"),
            "times": "trials" if adopted.timed else "order",
            "inferred": inferred,
            "notes": list(adopted.notes),
        },
    }
    if adopted.timed and adopted.records:
        begun = datetime.fromtimestamp(adopted.records[0].started, UTC)
        stated["created"] = begun.isoformat(timespec="seconds")
    return stated


def _renamed(name: str) -> str:
    """A hyperparameter's name that no column of the table of trials has."""
    return f"user.{name}" if name in TRIAL_COLUMNS else name


def _field(metric: str) -> str:
    """A metric's name that no other field of a result has."""
    return f"own_{metric}" if metric in OWN else metric


def _first_time(trial: FoundTrial) -> float | None:
    """When it began, as far as is known."""
    times = [trial.started, *(row.time for row in trial.rows[:1])]
    return next((t for t in times if t is not None), None)


def _records(
    judged: Judged, configs: Sequence[Mapping[str, Value]], settled: Settled, timed: bool
) -> tuple[TrialRecord, ...]:
    trials = list(zip(judged.trials, configs, strict=True))
    if timed:
        trials = [pair for _, pair in _by_start(trials)]
    clock, records = 0.0, []
    for number, (trial, config) in enumerate(trials):
        clock = _bounded(_first_time(trial), clock) if timed else clock + STEP_S
        records.append(_record(trial, config, settled, judged.max_epochs, number, clock, timed))
        if not timed:
            clock = records[-1].ended or (records[-1].rows or [{"time": clock}])[-1]["time"]
    return tuple(records)


def _by_start(
    trials: Sequence[tuple[FoundTrial, Mapping[str, Value]]],
) -> Iterator[tuple[float, tuple[FoundTrial, Mapping[str, Value]]]]:
    """In the order in which they began; one without a time comes after the one before it."""
    begun, timed = 0.0, []
    for pair in trials:
        begun = _bounded(_first_time(pair[0]), begun)
        timed.append((begun, pair))
    return iter(sorted(timed, key=lambda at: at[0]))


def _bounded(time: float | None, otherwise: float) -> float:
    """A time that has a date; `otherwise` where there is none."""
    return otherwise if time is None else min(max(time, 0.0), float(LATEST))


def _record(
    trial: FoundTrial,
    config: Mapping[str, Value],
    settled: Settled,
    max_epochs: int,
    number: int,
    started: float,
    timed: bool,
) -> TrialRecord:
    time, rows = started, []
    for row in trial.rows:
        time = max(time, _bounded(row.time, time)) if timed else time + STEP_S
        timing = {} if row.wall_s is None else {"wall_s": row.wall_s}
        metrics = {_field(name): value for name, value in row.metrics.items()}
        rows.append({"epoch": row.epoch, "time": time, **timing, **metrics})
    state = trial.state or "running"
    ended = None
    if state != "running":
        ended = max(time, _bounded(trial.ended, time)) if timed else time + STEP_S
    own: dict[str, Entry] = {n: v for n, v in config.items() if n in settled.space}
    return TrialRecord(
        trial_id=trial_id(number),
        config=own,
        explorer=False,
        budget=max_epochs,
        started=started,
        state=state,
        ended=ended,
        error=trial.error,
        rows=rows,
        extra={"origin": trial.key},
    )
