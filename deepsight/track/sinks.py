"""The trackers that a study can be sent to, by name, and what each of them has to do."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from deepsight.config import UserError, check_value
from deepsight.track.content import StudyContent, TrialContent

SINKS = {
    "mlflow": "deepsight.track.mlflow_sink:MlflowSink",
    "wandb": "deepsight.track.wandb_sink:WandbSink",
}
"""Where the class of each tracker is; it is imported where it is asked for."""


class Sink(Protocol):
    """Sends to one tracker. Every call may take long and may raise what the tracker's library does.

    All calls come from one thread. Sending is idempotent: a sink asks the tracker what it has, and
    sends the rest.
    """

    sent_runs: int
    """Runs that this sink has made."""
    sent_epochs: int
    """Epochs that it has sent."""

    def begin(self, study: StudyContent) -> None:
        """Find the runs of the study, or make its parent; called again after an error."""

    def send(self, trial: TrialContent) -> None:
        """Send what the tracker lacks of a trial."""

    def finish(self, study: StudyContent, report: Path | None) -> None:
        """Send how the study came out, and the folder of its report."""

    def close(self) -> None:
        """Release what the sink holds; sends nothing more."""


def listed(names: str) -> tuple[str, ...]:
    """The names of a list with commas, each once."""
    return tuple(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))


def targets(names: str) -> tuple[str, ...]:
    """The trackers of ``study.trackers`` (``mlflow,wandb``), each once.

    Raises:
        UserError: If one is unknown.
    """
    check_value("study.trackers", names)
    return listed(names)


def require_ready(names: str) -> None:
    """Refuse trackers that cannot work here; nothing is sent.

    Raises:
        UserError: If a library is missing, or W&B has neither a key nor its offline mode.
    """
    for name in targets(names):
        if find_spec(name) is None:
            raise UserError(
                f"the tracker {name} needs the library {name}, which is not installed.",
                f"Install it with pip install 'deepsight[{name}]', or leave the tracker away.",
            )
        _class_of(name).require_ready()


def make_sink(name: str) -> Sink:
    """The sink of a tracker; nothing is sent yet."""
    return _class_of(name)()  # type: ignore[no-any-return]


def _class_of(name: str) -> Any:
    module, _, cls = SINKS[name].partition(":")
    return getattr(import_module(module), cls)
