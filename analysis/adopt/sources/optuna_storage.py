"""What an Optuna storage holds: a database's tables, or the lines of a journal.

A database is read by its tables, not through `optuna.storages.RDBStorage`: that one makes missing
tables, writes its version and refuses what older releases made. A journal is replayed by Optuna's
own `JournalStorage` over lines that were read here: its own file backend makes the file where it
is missing, and snapshots are pickled.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.adopt.database import Database, as_written, beginning, opened, shown
from deepsight.config import UserError
from deepsight.files import open_file

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LINE_BYTES = 16 << 20
NAMES_KEY = "study:metric_names"
"""Where Optuna keeps the names of the objectives (`Study.set_metric_names`)."""


@dataclass
class OptunaTrial:
    """One trial, in Optuna's words."""

    number: int
    state: str
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    values: list[float] | None = None
    intermediate: dict[int, float] = field(default_factory=dict)
    """By step; may hold NaN and infinities."""
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class OptunaStudy:
    """One study, in Optuna's words."""

    name: str
    directions: tuple[str, ...]
    """`MINIMIZE` or `MAXIMIZE` for each objective."""
    metric_names: tuple[str, ...]
    """Empty where nobody gave names."""
    trials: tuple[OptunaTrial, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()


def is_journal(source: str) -> bool:
    """Whether the first line of a file is one of Optuna's journal."""
    try:
        head = beginning(Path(source), 1 << 16)
        line = json.loads(head.split(b"\n", 1)[0])
        return isinstance(line, dict) and {"op_code", "worker_id"} <= line.keys()
    except (OSError, ValueError, RecursionError):
        return False


def choose(source: str, names: Iterable[str], wanted: str | None) -> str:
    """The study that is wanted, or the only one.

    Raises:
        UserError: If there is none, or which one is not said.
    """
    known = list(names)
    if wanted is not None and wanted in known:
        return wanted
    listed = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    if not known:
        raise UserError(f"{source} holds no study.", "Give the storage that the search used.")
    if wanted is not None:
        raise UserError(f"{source} holds no study {wanted!r}.", f"It holds: {listed}.")
    if len(known) > 1:
        raise UserError(
            f"{source} holds {len(known)} studies: {listed}.", "Say which one: --study NAME."
        )
    return known[0]


def from_database(source: str, wanted: str | None) -> OptunaStudy:
    """A study of the database at `source`.

    Raises:
        UserError: If it cannot be read, or holds several studies and none is named.
    """
    with opened(source) as database, as_written(shown(source)):
        if "study_directions" not in database.tables:
            raise UserError(
                "the storage was made by an Optuna before 2.4.",
                "Upgrade a copy of it: optuna storage upgrade --storage URL.",
            )
        ids = {str(name): key for key, name in database.rows("studies", ("study_id", "study_name"))}
        name = choose(shown(source), ids, wanted)
        key = ids[name]
        directions = sorted(
            database.rows(
                "study_directions", ("objective", "direction"), "study_id = :study", study=key
            )
        )
        if not directions:
            raise ValueError(f"study {name!r} has no direction")
        attributes = dict(
            database.rows(
                "study_system_attributes", ("key", "value_json"), "study_id = :study", study=key
            )
        )
        versions = _versions(database)
        return OptunaStudy(
            name,
            tuple(str(direction) for _, direction in directions),
            _metric_names(json.loads(attributes.get(NAMES_KEY) or "null")),
            tuple(_database_trials(database, key, versions)),
            versions,
        )


def _versions(database: Database) -> dict[str, str]:
    if "version_info" not in database.tables:
        return {}
    names = ("library_version", "schema_version")
    row = next(database.rows("version_info", names), (None, None))
    known = {"optuna": row[0], "optuna_schema": row[1]}
    return {name: str(value)[:100] for name, value in known.items() if value is not None}


def _metric_names(stored: object) -> tuple[str, ...]:
    return tuple(map(str, stored)) if isinstance(stored, list) else ()


def _database_trials(
    database: Database, study: Any, versions: Mapping[str, str]
) -> list[OptunaTrial]:
    columns = ("trial_id", "number", "state", "datetime_start", "datetime_complete")
    utc = versions.get("optuna", "").partition(".")[0] not in ("2", "3", "4")
    trials = {
        row[0]: OptunaTrial(
            int(row[1]), str(row[2]), started=_seconds(row[3], utc), ended=_seconds(row[4], utc)
        )
        for row in database.rows("trials", columns, "study_id = :study", study=study)
    }
    mine = {"where": "trial_id IN (SELECT trial_id FROM trials WHERE study_id = :study)"}
    of_study: dict[str, Any] = mine | {"study": study}
    known: dict[str, BaseDistribution] = {}
    fields = ("trial_id", "param_name", "param_value", "distribution_json")
    for key, name, value, stated in database.rows("trial_params", fields, **of_study):
        if stated not in known:
            known[stated] = _distribution(stated)
        trial = trials[key]
        trial.distributions[name] = known[stated]
        trial.params[name] = known[stated].to_external_repr(value)
    values: dict[Any, dict[int, float]] = {}
    for key, objective, value in _numbers(database, "trial_values", "objective", "value", of_study):
        values.setdefault(key, {})[objective] = value
    for key, found in values.items():
        trials[key].values = [found[objective] for objective in sorted(found)]
    table, value_column = "trial_intermediate_values", "intermediate_value"
    for key, step, value in _numbers(database, table, "step", value_column, of_study):
        trials[key].intermediate[step] = value
    return sorted(trials.values(), key=lambda trial: trial.number)


def _numbers(
    database: Database, table: str, index: str, value: str, of_study: dict[str, Any]
) -> Iterable[tuple[Any, int, float]]:
    """Rows of a table of numbers. Optuna 3 tells infinities and NaN apart in a column more."""
    kind = f"{value}_type"
    typed = kind in database.tables[table]
    columns = ("trial_id", index, value, *((kind,) if typed else ()))
    odd = {"INF_POS": math.inf, "INF_NEG": -math.inf}
    for key, at, stored, *kinds in database.rows(table, columns, **of_study):
        number = math.nan if stored is None else float(stored)
        yield key, int(at), odd.get(str(kinds[0]), number) if kinds else number


def _distribution(stated: str) -> BaseDistribution:
    import warnings

    from optuna import distributions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on forms of older releases, which are converted
        try:
            found = distributions.json_to_distribution(stated)
            return distributions._convert_old_distribution_to_new_distribution(found)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"a distribution is not readable: {str(stated)[:100]}.",
                "Was the storage made by a newer Optuna? Then upgrade it here.",
            ) from error


def _seconds(stored: object, utc: bool) -> float | None:
    """Seconds of a time without a zone: UTC since Optuna 5, the machine's own before."""
    if stored is None:
        return None
    when = stored if isinstance(stored, datetime) else datetime.fromisoformat(str(stored))
    return when.replace(tzinfo=UTC).timestamp() if utc and not when.tzinfo else when.timestamp()


def from_journal(source: str, wanted: str | None) -> OptunaStudy:
    """A study of the journal at `source`.

    Raises:
        UserError: If a line but the last is damaged, or there are several studies and none is
            named.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    lines, notes = _journal_lines(Path(source).resolve())

    class Lines(BaseJournalBackend):
        def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
            return lines[log_number_from:]

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            raise AssertionError("a journal of others is only read")

    try:
        storage = JournalStorage(Lines())
        studies = {study.study_name: study for study in storage.get_all_studies()}
        study = studies[choose(source, studies, wanted)]
        trials = storage.get_all_trials(study._study_id, deepcopy=False)
    except (AssertionError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{source} is no journal that this Optuna reads ({type(error).__name__}: {error}).",
            "Was it made by a newer Optuna? Then upgrade it here.",
        ) from error
    return OptunaStudy(
        study.study_name,
        tuple(direction.name for direction in study.directions),
        _metric_names(study.system_attrs.get(NAMES_KEY)),
        tuple(map(_of_optuna, trials)),
        {},
        notes,
    )


def _journal_lines(path: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The lines of a journal, and a note if the last one is torn."""
    lines: list[dict[str, Any]] = []
    with os.fdopen(open_file(path.parent, [path.name]), "rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(LINE_BYTES), b""), start=1):
            try:
                if not raw.endswith(b"\n"):
                    raise ValueError("it has no end")
                line = json.loads(raw)
                if not isinstance(line, dict):
                    raise ValueError("no object")
                lines.append(line)
            except (ValueError, RecursionError) as error:
                if not file.read(1):
                    return lines, ("The last line of the journal is torn and was left out.",)
                raise UserError(
                    f"{path}:{number}: no line of a journal ({error}).",
                    "Take the damaged line out of a copy of the journal, and give that.",
                ) from error
    return lines, ()


def _of_optuna(trial: Any) -> OptunaTrial:
    times = [when and when.timestamp() for when in (trial.datetime_start, trial.datetime_complete)]
    return OptunaTrial(
        trial.number,
        trial.state.name,
        dict(trial.params),
        dict(trial.distributions),
        trial.values,
        {int(step): float(value) for step, value in trial.intermediate_values.items()},
        *times,
    )
