"""What a tracker is told of a study and its trials: plain names and values, within its limits.

Everything comes from the record and may be a stranger's: names are reduced to the characters that
every tracker takes, texts are bounded, and of paths only the last part is left. Why a trial failed,
where the study lies and what its images show is not told.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepsight.config import Value, without_controls
from deepsight.run_store import Study, StudyHeader, TrialRecord
from deepsight.space import INACTIVE

KEY_CHARACTERS, TEXT_CHARACTERS = 200, 500
"""The longest name and text; MLflow takes 250 and, in older servers, 500."""
MOST_METRICS = 300
"""Numbers of one epoch that are sent, the first of them; a list of recalls may be long."""
MOST_PARAMS = 500
NOT_METRICS = ("epoch", "time", "trial_id")
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_./ -]", re.ASCII)


@dataclass(frozen=True)
class Epoch:
    """One epoch of a trial."""

    epoch: int
    time: float
    """Seconds since the epoch (1970)."""
    metrics: Mapping[str, float]
    """Finite numbers; what was not finite is left out."""


@dataclass(frozen=True)
class TrialContent:
    """What is told of one trial."""

    trial_id: str
    params: Mapping[str, Value]
    tags: Mapping[str, str]
    epochs: tuple[Epoch, ...]
    """From the first, rising: a sender passes over those that the tracker has."""
    started: float
    ended: float | None
    state: str

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a score to believe."""
        return self.state in ("failed", "diverged")

    @property
    def last_epoch(self) -> int:
        """The last epoch; 0 without any."""
        return self.epochs[-1].epoch if self.epochs else 0


@dataclass(frozen=True)
class StudyContent:
    """What is told of the study as a whole."""

    key: str
    """32 hexadecimal digits, the same for this study for ever: runs are found by it."""
    name: str
    params: Mapping[str, Value]
    tags: Mapping[str, str]
    outcome: Mapping[str, str] = field(default_factory=dict)
    """Tags that are known at the end."""
    finished: bool = False
    """Whether all trials asked for have ended."""


def study_key(header: StudyHeader) -> str:
    """What the runs of a study are found by: its `id`, or a digest where it has none of that form.

    >>> from types import SimpleNamespace
    >>> study_key(SimpleNamespace(id="0123456789abcdef0123456789abcdef"))
    '0123456789abcdef0123456789abcdef'
    """
    if header.id is not None and _ID.fullmatch(header.id):
        return header.id
    own = repr((header.id, header.name, header.created, sorted(header.space)))
    return hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def study_content(header: StudyHeader, study: Study | None = None) -> StudyContent:
    """What is told of a study; with `study` also how it came out."""
    told: dict[str, object] = {
        "metric": header.metric,
        "mode": header.mode,
        "max_epochs": header.max_epochs,
        "trials": header.trials,
        "searcher": header.searcher,
        "scheduler": header.scheduler,
        "data": header.data.get("name"),
        "deepsight": header.versions.get("deepsight"),
    }
    tags = {name: text(value) for name, value in told.items() if value is not None}
    params = plain_params(header.fixed)
    if study is None:
        return StudyContent(study_key(header), text(header.name), params, tags)
    states = Counter(record.state for record in study.records)
    outcome = {f"num_{state}": str(number) for state, number in sorted(states.items())}
    best = study.incumbent()
    if best is not None:
        outcome |= {"best_trial": best.trial_id, "best_score": text(study.score(best))}
    asked = header.trials or len(study.records)
    finished = bool(study.records) and not states["running"] and len(study.records) >= asked
    return StudyContent(study_key(header), text(header.name), params, tags, outcome, finished)


def trial_content(record: TrialRecord, header: StudyHeader) -> TrialContent:
    """What is told of one trial: its searched hyperparameters, its epochs and how it stands."""
    active = {name: v for name, v in record.config.items() if v is not INACTIVE}
    tags = {
        "state": record.state,
        "explorer": "true" if record.explorer else "false",
        "budget": str(record.budget),
        "study_name": text(header.name),
    }
    epochs = tuple(
        Epoch(int(row["epoch"]), float(row.get("time") or record.started), metrics_of(row))
        for row in record.rows
    )
    return TrialContent(
        record.trial_id,
        plain_params(active),
        tags,
        epochs,
        record.started,
        record.ended,
        record.state,
    )


def metrics_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row by tracker name; lists as ``val_recall/00``, ``/01``, ...

    >>> metrics_of({"epoch": 1, "time": 5.0, "a": 0.5, "b": None, "c": [0.1, None]})
    {'a': 0.5, 'c/00': 0.1}
    """
    found: dict[str, float] = {}
    for name, value in row.items():
        if name in NOT_METRICS:
            continue
        listed = value if isinstance(value, list) else None
        pairs = [(name, value)]
        if listed is not None:
            pairs = [(f"{name}/{number:02}", each) for number, each in enumerate(listed)]
        for own, each in pairs:
            if len(found) < MOST_METRICS and _is_finite(each):
                found[key(own)] = float(each)
    return found


def _is_finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]


def plain_params(values: Mapping[str, Any]) -> dict[str, Value]:
    """Hyperparameters as trackers take them: bounded, and without the folders of paths."""
    bounded = list(values.items())[:MOST_PARAMS]
    return {key(n): text(v) if isinstance(v, str) else v for n, v in bounded}


def key(name: str) -> str:
    """`name` with the characters and the length that every tracker takes.

    A name that had to change ends with a digest of what it was, so that two stay two.

    >>> key("optim.lr"), key("a$b"), key("../x")
    ('optim.lr', 'a_b-c7979da2', '_x-d6b96a97')
    """
    clean = _NOT_IN_KEYS.sub("_", name)
    if clean.startswith((".", "/")) or posixpath.normpath(clean) != clean:
        clean = clean.replace("/", "_").lstrip(".")  # no other name where it becomes a path
    if clean == name and 0 < len(name) <= KEY_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{clean[: KEY_CHARACTERS - 9]}-{digest}"


def text(value: object) -> str:
    """`value` as a short line; of a path only its last part.

    >>> text("folder:/home/me/photos"), text(None), text(0.5)
    ('folder:photos', 'none', '0.5')
    """
    if value is None:
        return "none"
    line = str(value).encode("utf-8", "backslashreplace").decode()
    kind, colon, rest = line.partition(":")
    if "/" in rest or "\\" in rest:
        line = f"{kind}{colon}{_last(rest)}"
    elif "/" in line or "\\" in line:
        line = _last(line)
    return without_controls(" ".join(line.split()))[:TEXT_CHARACTERS]


def _last(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
