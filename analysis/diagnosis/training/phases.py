"""How a trial was trained: its epochs, and the phases in which more or less of it was frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from torch import nn

from analysis.diagnosis.results import Results
from analysis.statistics.intervals import Interval, accuracy_interval
from deepsight.config import ModelConfig
from deepsight.data.class_balance import validation_balance
from deepsight.models.build import build_architecture
from deepsight.models.finetune import frozen_stages, stages
from deepsight.run_store import Study

FROZEN, PARTLY, FINE_TUNED, WHOLE = "frozen", "partly frozen", "fine-tuned", "all layers trained"
"""Kinds of phases: the backbone's layers that were asked for are frozen; some of them are free by
now; all are; none was ever frozen."""
MET, MISSED, TOO_LOW = "met", "missed", "too low"
"""What is said of a target; `TOO_LOW`: always answering the largest class reaches it."""


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs in which the same layers were trained.

    Attributes:
        kind: `FROZEN`, `PARTLY`, `FINE_TUNED` or `WHOLE`.
        first: Its first epoch, from 1.
        last: Its last epoch.
        num_frozen: Stages of the backbone that were frozen, the lowest ones.
        num_stages: Stages of the backbone.
        num_trained: Parameters that were trained.
        num_parameters: Parameters of the network.
        wall_s: Seconds of its epochs; None where one of them has none on record.
        val_accuracy: After its last epoch; None where there is no number.
        test_accuracy: Of the weights after its last epoch; None where they were not kept or the
            test split is not diagnosed.
        score: The study's metric after its last epoch; None where there is no number.
        gap: By how much `score` is beyond the target, negative where it falls short.
        verdict: `MET`, `MISSED` or `TOO_LOW`; empty without a target or a score.
    """

    kind: str
    first: int
    last: int
    num_frozen: int
    num_stages: int
    num_trained: int
    num_parameters: int
    wall_s: float | None
    val_accuracy: Interval | None
    test_accuracy: Interval | None
    score: float | None
    gap: float | None
    verdict: str

    @property
    def epochs(self) -> str:
        """As tables show them: ``1`` or ``1 to 3``."""
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, eq=False)
class TrainingCurves:
    """A trial's epochs and phases.

    Attributes:
        rows: Results by epoch, up to the checkpoint's.
        phases: In their order, one at least where there are rows.
        metric: The study's.
        target: Of the metric; None where the study has none.
        test_accuracy: Of the checkpoint; None where the test split is not diagnosed.
        why_one: Why there is one phase only; empty where there are more.
    """

    rows: Sequence[Mapping[str, Any]]
    phases: tuple[Phase, ...]
    metric: str
    target: float | None
    test_accuracy: Interval | None
    why_one: str


def compute_training(
    results: Results,
    num_val: int,
    test_accuracies: Mapping[int, Interval] | None = None,
) -> TrainingCurves:
    """The curves of the diagnosed trial, and what was reached by the end of each phase.

    Args:
        results: Of the trial.
        num_val: Images of the val split.
        test_accuracies: By epoch, those of other weights than the checkpoint's, where they are
            known.
    """
    model, study = results.model, results.model.study
    rows = [r for r in study.record(model.trial_id).rows if int(r["epoch"]) <= model.epoch]
    tested = dict(test_accuracies or {})
    if results.split == "test" and results.scores.accuracy is not None:
        tested[model.epoch] = results.scores.accuracy
    network = build_architecture(model.config, len(model.class_names), model.input_size)
    phases = tuple(_phases(rows, network, model.config.model, study, num_val, tested))
    return TrainingCurves(
        rows=rows,
        phases=phases,
        metric=study.metric,
        target=study.header.target,
        test_accuracy=tested.get(model.epoch),
        why_one=_why_one(model.config.model, phases) if len(phases) == 1 else "",
    )


def _phases(
    rows: Sequence[Mapping[str, Any]],
    network: nn.Module,
    config: ModelConfig,
    study: Study,
    num_val: int,
    tested: Mapping[int, Interval],
) -> list[Phase]:
    parts = stages(network)
    num_stages = len(parts) - 1
    asked = frozen_stages(config, num_stages, 0)
    sizes = [sum(p.numel() for m in stage for p in m.parameters()) for stage in parts]
    found = []
    for frozen, group in groupby(
        rows, lambda r: frozen_stages(config, num_stages, int(r["epoch"]))
    ):
        epochs = list(group)
        last = int(epochs[-1]["epoch"])
        accuracy, score = epochs[-1].get("val_accuracy"), epochs[-1].get(study.metric)
        gap, verdict = _beyond_target(study, score)
        found.append(
            Phase(
                kind=_kind(asked, frozen),
                first=int(epochs[0]["epoch"]),
                last=last,
                num_frozen=frozen,
                num_stages=num_stages,
                num_trained=sum(sizes[frozen:]),
                num_parameters=sum(sizes),
                wall_s=_sum([r.get("wall_s") for r in epochs]),
                val_accuracy=None if accuracy is None else accuracy_interval(accuracy, num_val),
                test_accuracy=tested.get(last),
                score=score,
                gap=gap,
                verdict=verdict,
            )
        )
    return found


def _kind(asked: int, frozen: int) -> str:
    """What a phase is called: by the stages that are frozen at first, and those that still are."""
    if not asked:
        return WHOLE
    return FINE_TUNED if not frozen else FROZEN if frozen == asked else PARTLY


def _sum(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def _beyond_target(study: Study, score: float | None) -> tuple[float | None, str]:
    """How far a score is beyond the target, and what that is called."""
    target = study.header.target
    if target is None or score is None:
        return None, ""
    gap = study.objective.gain(score, target)
    if gap < 0:
        return gap, MISSED
    balance = validation_balance(study.header.data)
    low = balance is not None and balance.meets(study.metric, study.mode, target)
    return gap, TOO_LOW if low else MET


def _why_one(config: ModelConfig, phases: Sequence[Phase]) -> str:
    only = phases[0]
    if only.kind == WHOLE:
        if not config.freeze_fraction:
            return "No layer was ever frozen (model.freeze_fraction is 0)."
        if not only.num_stages:
            return "The network has no stages that could be frozen."
        return (
            f"model.freeze_fraction {config.freeze_fraction:g} freezes none of "
            f"{only.num_stages} stages."
        )
    if only.kind == FROZEN and config.unfreeze == "never":
        return "The frozen layers stayed frozen (model.unfreeze is never)."
    if only.kind == FROZEN:
        return (
            f"The frozen layers would have been trained from epoch {config.unfreeze_epoch} on; "
            f"the trial has {only.last}."
        )
    return f"The frozen layers were trained from epoch {config.unfreeze_epoch} on."
