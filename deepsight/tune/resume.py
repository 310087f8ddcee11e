"""The space, the searcher, the data and the number of trials of a resumed study."""

from __future__ import annotations

import dataclasses
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepsight.config import UserError, Value, check_value, single_value, without_controls
from deepsight.run_store import Study, StudyHeader, StudyWriter, parse_header
from deepsight.space import Choice, Domain, plain, to_json
from deepsight.tune.plan import StudyPlan, plan_to_json

logger = logging.getLogger(__name__)

MAY_CHANGE = (
    "study.trials",
    "study.time_limit_s",
    "study.patience",
    "study.allow_changed_data",
    "study.allow_unauthenticated",
    "study.trackers",
)
"""Settings that may be given when a study goes on."""


def require_same_space(
    header: StudyHeader, space: Mapping[str, Domain], fixed: Mapping[str, object] | None = None
) -> None:
    """Refuse a space that is not the one that the study searches.

    Args:
        header: The study's; what it pins may be in `space` or not.
        space: What was asked for together with ``--resume``.
        fixed: Its ``FIXED``; None compares it not, as with a study that does not state its own.

    Raises:
        UserError: If they differ; the cause says where.
    """
    before, now = header.stored["space"], json.loads(json.dumps(to_json(space)))
    pinned = header.fixed if header.pinned is None else header.pinned
    differences = [
        line
        for name, line in _differences(before, now)
        if not (name in pinned and name not in before)
    ]
    if fixed is not None and header.space_fixed is not None:
        own = {name: single_value(name, plain(value)) for name, value in fixed.items()}
        found = _differences(header.space_fixed, own)
        differences += [f"{line} in FIXED" for _, line in found]
    if differences:
        raise UserError(
            f"the space is not the one of the study: {'; '.join(differences)}.",
            "Leave --space away to go on with the study's own, or start a new study.",
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What differs, by name, each with a line that says how."""
    absent = object()
    return [
        (
            name,
            f"{name} was {json.dumps(before.get(name, 'absent'))}, "
            f"is {json.dumps(now.get(name, 'absent'))}",
        )
        for name in [*before, *(n for n in now if n not in before)]
        if before.get(name, absent) != now.get(name, absent)
    ]


def require_same_imports(header: StudyHeader, named: Mapping[str, Value]) -> None:
    """Refuse code that is named together with ``--resume`` and is not the study's.

    Naming it again says that it may run (`deepsight.imports.Permission`); it changes nothing.

    Args:
        header: The study's.
        named: What was named, by hyperparameter or setting.

    Raises:
        UserError: If the study has something else there.
    """
    stored = {**header.settings, **header.fixed}
    for name, value in named.items():
        domain = header.space.get(name)
        if value == stored.get(name, value) and domain is None:
            continue
        if domain is not None and isinstance(domain, Choice) and value in domain.values:
            continue
        kind = name.partition(".")[2]
        raise UserError(
            f"the study's {kind} is {stored.get(name, 'searched')!r}, not {value!r}: a study keeps "
            f"its {kind}.",
            f"Leave {name} away, or start a new study.",
        )


def require_room(study: Study, trials: Value | None) -> None:
    """Refuse a number of trials that the study has passed already.

    Raises:
        UserError: If `trials`, the number in all, is smaller than that of the trials on record.
    """
    begun = len(study.records)
    if isinstance(trials, int) and trials < begun:
        raise UserError(
            f"the study has begun {begun} trials; study.trials={trials} is less.",
            f"study.trials counts all trials, not those to come: give {begun} or more.",
        )


def remind_of_trackers(header: StudyHeader, plan: StudyPlan) -> None:
    """Say that a study was sent to trackers and now is not: only a person can say that again."""
    before = header.settings.get("study.trackers")
    if before and not plan.settings.trackers:
        logger.warning(
            "the study was sent to %s; to go on with that, add --set study.trackers=%s",
            *(2 * [without_controls(str(before)[:40])]),
        )


def require_same_data(header: StudyHeader, data: Mapping[str, Any], allow_changed: bool) -> None:
    """Refuse data other than those that the study's trials were trained on.

    Raises:
        UserError: If their fingerprints differ and that is not allowed.
    """
    before, now = header.fingerprint, data.get("fingerprint")
    if before != now and before is not None and not allow_changed:
        raise UserError(
            f"the data have changed since the study began (fingerprint {str(before)[:12]}, "
            f"now {str(now)[:12]}): scores before and after could not be compared.",
            "Restore them, start a new study, or accept it: --set study.allow_changed_data=true.",
        )


def with_data(plan: StudyPlan, header: StudyHeader, moved_to: str | None) -> StudyPlan:
    """The plan with the data where they are now.

    Args:
        plan: The study's.
        header: The study's. A relative folder is looked for in the directory that the study was
            started in, then in the current one.
        moved_to: The ``data.name`` that the user gives; None takes the study's.

    Raises:
        UserError: If the images are not there, or the study has no data set that could move.
    """
    here = Path.cwd()
    origin = Path(header.started_in) if header.started_in else here
    name = plan.fixed.get("data.name")
    if moved_to is not None and (plan.own_trainable or name is None):
        raise UserError(
            "--data names the new place of the study's data, and this study "
            + ("has a trainable of its own." if plan.own_trainable else "varies data.name."),
            "Leave --data away.",
        )
    if moved_to is not None:
        name = _absolute(str(check_value("data.name", moved_to)), here)
    elif isinstance(name, str) and name.startswith(FOLDER):
        there = _absolute(name, origin)
        if not _has_folder(there) and not _has_folder(name):
            raise UserError(
                f"the study's images are not at {there.removeprefix(FOLDER)} any more.",
                "Say where they are with --data folder:PATH; their fingerprint is compared.",
            )
        if here != origin:
            name = there if _has_folder(there) else _absolute(name, here)
    return dataclasses.replace(plan, fixed=dict(plan.fixed) | ({"data.name": name} if name else {}))


FOLDER = "folder:"


def _absolute(name: str, base: Path) -> str:
    """A folder's name with its path made absolute; any other name as it is."""
    if not name.startswith(FOLDER):
        return name
    return FOLDER + str((base / Path(name.removeprefix(FOLDER)).expanduser()).absolute())


def _has_folder(name: str) -> bool:
    return Path(name.removeprefix(FOLDER)).expanduser().is_dir()


@contextmanager
def naming_origin(header: StudyHeader) -> Iterator[None]:
    """Add to the remedy of what is not found where the study was started, if that is not here."""
    try:
        yield
    except UserError as error:
        if header.started_in and Path(header.started_in) != Path.cwd():
            error.remedy += f" The study was started in {header.started_in}."
        raise


def update_header(
    writer: StudyWriter, header: StudyHeader, plan: StudyPlan, data: Mapping[str, Any]
) -> StudyHeader:
    """Store the changed settings and packs of a resumed study, if any; returns its header."""
    before = {name: value for name, value in header.stored.items() if name != "ended_early"}
    stored = before | plan_to_json(plan) | {"data": data}
    stored.setdefault("id", uuid.uuid4().hex)  # studies of older versions have none
    moved = plan.fixed.get("data.name") != header.fixed.get("data.name")
    if moved or data.get("fingerprint") != header.fingerprint:
        stored["earlier_data"] = [*header.earlier_data, header.data]
    if stored != header.stored:
        writer.write_header(stored)
    return parse_header(stored, "study.json")
