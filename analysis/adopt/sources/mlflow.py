"""Studies that were logged to MLflow: a folder ``mlruns``, a database, or a tracking server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from analysis.adopt import database
from analysis.adopt.found import FoundStudy, FoundTrial, Wanted
from analysis.adopt.histories import to_rows
from analysis.adopt.sources.mlflow_runs import STATE_TAG, Run, Store, choose
from analysis.adopt.sources.mlflow_server import ServerStore
from analysis.adopt.sources.mlflow_stores import DatabaseStore, FolderStore, is_folder
from analysis.adopt.values import parsed

STATES = {"FAILED": "failed", "KILLED": "failed", "RUNNING": "running", "SCHEDULED": "running"}
TAGGED = {
    "complete": "completed",
    "pruned": "stopped",
    "fail": "failed",
    **{state: state for state in ("completed", "stopped", "diverged", "failed")},
}
"""States that a tag says: Optuna's callback writes its own, DeepSight those of the run format."""


def recognises(source: str) -> bool:
    """Whether `source` is a store of MLflow."""
    if _is_server(source):
        return True
    return database.has_tables(source, "experiments", "runs", "metrics") or is_folder(source)


def _is_server(source: str) -> bool:
    parts = urlsplit(source)
    return parts.scheme in ("http", "https") and "wandb." not in parts.netloc


def read(source: str, wanted: Wanted) -> FoundStudy:
    """The runs of one experiment, or the nested runs of one parent.

    Raises:
        UserError: If the store cannot be read, or holds several groups of runs and none is named.
    """
    shown = database.shown(source)
    with _opened(source) as store, database.as_written(shown):
        group = choose(shown, store, wanted.study)
        histories = store.histories(group.runs)
    rows = to_rows([histories[run.run_id] for run in group.runs], wanted.metric)
    trials = tuple(
        FoundTrial(
            key=run.name if run.name == run.run_id else f"{run.name} ({run.run_id})",
            config={name: parsed(text) for name, text in run.params.items()},
            rows=of_run,
            state=_state(run),
            error=f"MLflow says {run.status}, and not why" if _state(run) == "failed" else None,
            started=run.started,
            ended=run.ended,
        )
        for run, of_run in zip(group.runs, rows.trials, strict=True)
    )
    notes = [*rows.notes]
    if any(trial.state is None for trial in trials):
        notes.append(
            "MLflow says FINISHED of a run that a scheduler stopped, too: whether one was stopped "
            "is told by its epochs (inferred)."
        )
    return FoundStudy(
        tool="mlflow", name=group.name, trials=trials, metric=rows.metric, notes=tuple(notes)
    )


def _state(run: Run) -> str | None:
    tagged = TAGGED.get(run.tags.get(STATE_TAG, "").strip().lower())
    return STATES.get(run.status) or tagged


@contextmanager
def _opened(source: str) -> Iterator[Store]:
    if _is_server(source):
        with closing(ServerStore(source)) as server:
            yield server
    elif database.is_database(source):
        with database.opened(source) as found:
            yield DatabaseStore(found)
    else:
        yield FolderStore(Path(source))
