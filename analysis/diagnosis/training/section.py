"""The section on the training of the diagnosed trial, and its numbers."""

from __future__ import annotations

from analysis.diagnosis.page.pictures import Drawing, Drawings, Part, pictures_of
from analysis.diagnosis.page.wording import share
from analysis.diagnosis.training.figures import draw_training
from analysis.diagnosis.training.phases import Phase, TrainingCurves
from analysis.page.document import Block, Cell, Note, Section, Table
from analysis.page.formatting import count, duration, number
from analysis.statistics.intervals import Interval

CURVES = "training_curves"


def training_part(info: TrainingCurves) -> Part:
    """How a trial was trained: curves, table and ``phases.csv``."""
    curves = Drawing(
        CURVES,
        lambda: draw_training(info),
        "Accuracy, losses and learning rate by epoch, with the phases of the training",
        f"Training curves, {count(len(info.rows), 'epoch')}; the backgrounds are phases.",
    )
    return Part(
        section=lambda drawings: _section(info, drawings),
        drawings=[curves] if info.rows else [],
        numbers=(numbers_of_phases(info),),
    )


def _section(info: TrainingCurves, drawings: Drawings) -> Section:
    blocks: list[Block] = [*pictures_of(drawings, CURVES)]
    if info.phases:
        blocks.append(phases_table(info))
    if info.phases and any(p.test_accuracy is None for p in info.phases):
        blocks.append(Note(_untested(info)))
    return Section("training", "How it was trained", _lead(info), tuple(blocks))


def _lead(info: TrainingCurves) -> str:
    if not info.phases:
        return "There is no epoch on record."
    if info.why_one:
        return f"One phase: {info.phases[0].kind}. {info.why_one}"
    first, last = info.phases[0], info.phases[-1]
    said = f"{count(len(info.phases), 'phase')}"
    if first.val_accuracy is None or last.val_accuracy is None:
        return f"{said}, {first.kind} first."
    gained = 100 * (last.val_accuracy.value - first.val_accuracy.value)
    return (
        f"{said}: {100 * first.val_accuracy.value:.1f} % of the val images were recognised at the "
        f"end of the first ({first.kind}), {100 * last.val_accuracy.value:.1f} % at the end of the "
        f"last ({last.kind}), {gained:+.1f} points."
    )


def _untested(info: TrainingCurves) -> str:
    if info.test_accuracy is None:
        return "No test accuracy: the test split is not what is diagnosed here."
    return (
        "Only the weights of the last epoch were kept, so only these have a test accuracy; "
        "--epochs-of-attention trains the trial again and tests the others too."
    )


def phases_table(info: TrainingCurves) -> Table:
    """A row a phase, to be read."""
    columns = (
        "phase",
        "epochs",
        "frozen stages",
        "parameters trained",
        "time",
        "val accuracy",
        "test accuracy",
        "target",
        "gap to the target",
    )
    rows = tuple(
        (
            p.kind,
            p.epochs,
            f"{p.num_frozen} of {p.num_stages}",
            f"{p.num_trained:,} of {p.num_parameters:,}",
            None if p.wall_s is None else duration(p.wall_s),
            _told(p.val_accuracy),
            _told(p.test_accuracy),
            "none" if info.target is None else number(info.target),
            None if p.gap is None else f"{p.gap:+.4f} ({p.verdict})",
        )
        for p in info.phases
    )
    target = "the study has no target (study.target)"
    if info.target is not None:
        target = f"the target is of {info.metric}, the minimum viable one"
    caption = f"What was reached by the last epoch of each phase; {target}. Intervals: 95 %."
    return Table("phases", columns, rows, caption)


def _told(value: Interval | None) -> str | None:
    return None if value is None else share(value)


def numbers_of_phases(info: TrainingCurves) -> Table:
    """``phases.csv``: one column a number."""
    columns = ["phase", "first_epoch", "last_epoch", "frozen_stages", "stages"]
    columns += ["parameters_trained", "parameters", "wall_s"]
    for name in ("val_accuracy", "test_accuracy"):
        columns += [name, f"{name}_low", f"{name}_high", f"{name}_n"]
    columns += ["metric", "score", "target", "gap", "verdict"]
    return Table("phases", tuple(columns), tuple(_numbers(p, info) for p in info.phases))


def _numbers(phase: Phase, info: TrainingCurves) -> tuple[Cell, ...]:
    p = phase
    row: list[Cell] = [p.kind, p.first, p.last, p.num_frozen, p.num_stages]
    row += [p.num_trained, p.num_parameters, p.wall_s]
    for value in (p.val_accuracy, p.test_accuracy):
        row += [None] * 4 if value is None else [value.value, value.low, value.high, value.n]
    return (*row, info.metric, p.score, info.target, p.gap, p.verdict or None)
