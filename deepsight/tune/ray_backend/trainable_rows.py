"""What a user's trainable yields, taken by the rules of docs/bring_your_own.md or refused.

A yield is one epoch. Fields that the record keeps for itself (`RESERVED`) are stored under another
name, fields of the run format must have its types, and anything that cannot be taken fails the
trial with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from deepsight.config import UserError
from deepsight.run_store import NUMBER_FIELDS, plain_object
from deepsight.training.epoch_result import EpochResult

RESERVED = ("time", "trial_id")
"""Fields that DeepSight writes itself; a trainable's are stored as ``own_NAME``."""
OWN_EPOCH = "own_epoch"
"""Where a trainable's epoch is kept that differs from the recorded one."""


def taken_results(
    answers: object, resumed_row: Mapping[str, Any] | None, known_epochs: int
) -> Iterator[EpochResult]:
    """The results of a trainable, their epochs counted from 1.

    Args:
        answers: What the trainable returned: an iterator over its epochs.
        resumed_row: The row of the checkpoint whose state it got; None if it begins.
        known_epochs: Epochs on record. Without a state they are trained again.

    Raises:
        UserError: If it yields what is no row of metrics, or epochs that do not count up by one.
    """
    if not isinstance(answers, Iterable) or isinstance(answers, Mapping | str):
        raise UserError(
            f"the trainable returned a {type(answers).__name__}.",
            "Write it as a generator: yield a dictionary of metrics every epoch.",
        )
    done = int(resumed_row["epoch"]) if resumed_row else 0
    shift = _shift_of(resumed_row) if resumed_row else None
    last: int | None = None
    for answer in answers:
        result = _as_result(answer)
        row = taken_row(result.metrics)
        own = row.pop("epoch", None)
        if own is None:
            last = (done if last is None else last) + 1
            own = last
        else:
            number = _whole(own)
            if shift is None:
                shift = 1 if number == 0 else 0
            last = _next_epoch(own, number + shift, last, max(done, known_epochs))
        kept = {} if own == last else {OWN_EPOCH: own}
        yield replace(result, metrics={"epoch": last} | kept | row)


def taken_row(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """`metrics` as JSON holds them, with reserved fields renamed and known ones checked.

    An array with one element is a number; ``val_recall`` stays a list.

    Raises:
        UserError: If a value has no JSON form or is not what the run format says of its field.
    """
    row: dict[str, Any] = {}
    for name, value in metrics.items():
        field = f"own_{name}" if name in RESERVED else str(name)
        if field in row or (field != name and field in metrics):
            raise UserError(f"the trainable yields {field} twice.", "Rename one of the two.")
        row[field] = _plain(field, value)
        if name in NUMBER_FIELDS:
            require_number(field, row[field])
    recalls = row.get("val_recall")
    if recalls is not None and not (
        isinstance(recalls, list) and all(r is None or _is_number(r) for r in recalls)
    ):
        raise _wrong("val_recall", "a list of numbers, one a class", recalls)
    return row


def require_number(name: str, value: object) -> None:
    """Refuse a metric that is neither a number nor None.

    Raises:
        UserError: If it is a text, a list or a boolean.
    """
    if value is not None and not _is_number(value):
        raise _wrong(name, "a number", value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(name: str, wanted: str, value: object) -> UserError:
    return UserError(
        f"the trainable yields {name}={str(value)[:60]!r}, which is not {wanted}.",
        f"Yield {wanted}, or give the field another name.",
    )


def _plain(name: str, value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    if plain is not value and name != "val_recall":
        while isinstance(plain, list) and len(plain) == 1:
            plain = plain[0]
    try:
        plain = plain_object("the trainable's row", {name: plain})[name]
    except ValueError as error:
        raise UserError(f"{error}.", "Yield numbers, texts, or lists and tables of them.") from None
    return plain


def _as_result(answer: object) -> EpochResult:
    """What was yielded: metrics, or metrics and a state to resume from."""
    if isinstance(answer, EpochResult):
        return answer
    metrics, state = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if not isinstance(metrics, Mapping):
        raise UserError(
            f"the trainable yielded a {type(metrics).__name__}.",
            "Yield a dictionary of metrics every epoch, or (metrics, state).",
        )
    if state is not None and not isinstance(state, Mapping):
        raise UserError(
            f"the trainable yielded a state of type {type(state).__name__}.",
            "Yield (metrics, state) with a dictionary as the state.",
        )
    return EpochResult(metrics=dict(metrics), state=None if state is None else dict(state))


def _shift_of(row: Mapping[str, Any]) -> int:
    """What was added to the trainable's epochs before the checkpoint: 1 if it counts from 0."""
    own = row.get(OWN_EPOCH, row["epoch"])
    return int(row["epoch"]) - int(own) if _is_number(own) else 0


def _whole(own: object) -> int:
    if isinstance(own, int | float) and not isinstance(own, bool) and own == int(own):
        return int(own)
    raise UserError(
        f"the trainable yields epoch={str(own)[:60]!r}, which is no whole number.",
        "Leave epoch out (every yield is counted as one), or give the field another name.",
    )


def _next_epoch(own: object, epoch: int, last: int | None, known: int) -> int:
    """`epoch` if it follows `last`, or for a first one what is on record."""
    if epoch == last + 1 if last is not None else 1 <= epoch <= known + 1:
        return epoch
    before = f"after {last} epochs" if last is not None else f"first, with {known} on record"
    raise UserError(
        f"the trainable yields epoch={own} {before}: every yield is one epoch, from 1 (or 0) on.",
        "Leave epoch out, and give study.max_epochs in yields; or yield it under another name.",
    )
