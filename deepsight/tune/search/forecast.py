"""How long a study will take, before it begins: it is played through with measured epochs."""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from deepsight.tune.measure import SECONDS, EpochCost, local_slots, measure
from deepsight.tune.plan import StudyPlan
from deepsight.tune.preflight import prepare_all
from deepsight.tune.search.time_left import MOST_TRIALS, outlook_before, play

PLAYS = 40
"""How often a study is played."""
IMPORTS_TO_START = 2.0
"""How many times as long as the imports of trials the start of a study takes, from the command to
the first trial's first step: Ray starts, then its workers import (docs/performance.md)."""
LEARNS = (1.0, 3.0)
"""Range of `Outlook.lean` for a searcher that learns; how much it will is not known beforehand."""
PREPARED_S = 2.0
"""Seconds of preparing data and weights from which on they are mentioned."""
END_SHARE = 0.1
"""Share of the plays below the range, and above it."""


@dataclass(frozen=True)
class Forecast:
    """How long a study will take.

    Attributes:
        seconds: The median of all plays, and the range of most of them.
        trials: Of the study.
        epochs: That they will train, the mean.
        epoch_s: Seconds of one of them, the mean.
        slots: Trials at a time.
        fitting: Trials that fit into ``study.time_limit_s``, and their range; None without it.
    """

    seconds: tuple[float, float, float]
    trials: int
    epochs: float
    epoch_s: float
    slots: int
    fitting: tuple[int, int, int] | None = None


class _MeasuredPace:
    """Epochs as long as measured: every trial is as dear as one of the configs, drawn at random.

    The configs are themselves drawn with replacement from those measured (bootstrap), so that what
    a handful of them cannot tell is in the range.
    """

    def __init__(self, costs: Sequence[EpochCost], rng: random.Random) -> None:
        self._first, self._rng = costs[0], rng
        others = costs[1:] or costs
        self._costs = rng.choices(others, k=len(others))
        self._of: dict[str, EpochCost] = {}
        self._build_s = statistics.median(cost.build_s for cost in costs)

    def expected(self, trial_id: str, first: bool) -> float:
        """Of the next epoch."""
        if trial_id not in self._of:
            drawn = self._rng.choice(self._costs)
            self._of[trial_id] = drawn if self._of else self._first
        return self._of[trial_id].epoch_s + self._build_s * first

    def since(self, trial_id: str, now: float) -> float:
        """Nothing runs yet."""
        return 0.0


def foretell(plan: StudyPlan, costs: Sequence[EpochCost], slots: int, start_s: float) -> Forecast:
    """Play a study of trials that cost as much as those measured.

    Args:
        plan: The study.
        costs: The first trial's, then those of configs drawn at random; at least one.
        slots: Trials at a time.
        start_s: From the command to the first trial's start.
    """
    trials = plan.settings.trials
    plays = _play(plan, costs, slots, trials)
    forecast = Forecast(
        seconds=_middle_and_range([start_s + seconds for seconds, _ in plays]),
        trials=trials,
        epochs=statistics.fmean(epochs for _, epochs in plays),
        epoch_s=statistics.fmean(cost.epoch_s for cost in costs),
        slots=slots,
    )
    limit = plan.settings.time_limit_s
    if not limit:
        return forecast
    fitting = _fitting(plan, costs, slots, limit - start_s)
    return dataclasses.replace(forecast, fitting=fitting)


def _play(
    plan: StudyPlan, costs: Sequence[EpochCost], slots: int, trials: int
) -> list[tuple[float, float]]:
    """Seconds and epochs of a study of that many trials; of a large one in proportion.

    Seconds are those after the first trial's start.
    """
    played = min(trials, MOST_TRIALS)
    outlook, scale = outlook_before(plan, slots, played), trials / played
    found = []
    for number in range(PLAYS):
        rng = random.Random(f"forecast {plan.settings.seed} {number}")
        lean = 1.0 if plan.settings.searcher == "random" else rng.uniform(*LEARNS)
        course = dataclasses.replace(outlook, lean=lean)
        seconds, epochs = play(course, _MeasuredPace(costs, rng), rng)
        found.append((seconds * scale, epochs * scale))
    return found


def _fitting(
    plan: StudyPlan, costs: Sequence[EpochCost], slots: int, limit: float
) -> tuple[int, int, int]:
    """Trials of which the middle, the slowest and the fastest plays end in time."""
    found = []
    for which in (0, 2, 1):
        fits, too_many = 0, plan.settings.trials + 1
        while too_many - fits > 1:  # bisection
            tried = (fits + too_many) // 2
            seconds = [seconds for seconds, _ in _play(plan, costs, slots, tried)]
            if _middle_and_range(seconds)[which] <= limit:
                fits = tried
            else:
                too_many = tried
        found.append(fits)
    return found[0], found[1], found[2]


def _middle_and_range(seconds: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(seconds)
    low = int(END_SHARE * len(ordered))
    return statistics.median(ordered), ordered[low], ordered[-1 - low]


def describe_forecast(forecast: Forecast, limit_s: float) -> list[str]:
    """The lines that a dry run prints."""
    middle, low, high = map(_spoken, forecast.seconds)
    slots = f"{forecast.slots} slot" + "s" * (forecast.slots > 1)
    lines = [
        f"estimate   about {middle} ({low} to {high}): {forecast.trials} trials, "
        f"some {forecast.epochs:.0f} epochs of {forecast.epoch_s:.2g} s, in {slots}"
    ]
    if forecast.fitting:
        fits, least, most = forecast.fitting
        lines.append(
            f"time limit about {fits} of {forecast.trials} trials ({least} to {most}) "
            f"fit into {_spoken(limit_s)}"
        )
    return lines


def measured_lines(plan: StudyPlan, seconds: float = SECONDS) -> list[str]:
    """Measure trials of `plan` on this machine, and say how long the study will take.

    Data and weights are prepared first if they are not; the study finds them in the cache.

    Args:
        plan: With its hardware decided.
        seconds: To train for.

    Raises:
        UserError: If data or weights cannot be had, or a trial fails.
    """
    slots, began = local_slots(plan), time.perf_counter()
    prepare_all(plan)
    prepared_s = time.perf_counter() - began
    lines = []
    if prepared_s >= PREPARED_S:
        lines.append(f"prepared   data and weights in {_spoken(prepared_s)}; the study finds them")
    measured = measure(plan, slots, seconds)
    costs, start_s = measured.costs, IMPORTS_TO_START * measured.import_s
    fastest, slowest = (f(cost.epoch_s for cost in costs) for f in (min, max))
    processes = f"{slots} processes at once" if slots > 1 else "1 process"
    lines.append(
        f"measured   {len(costs)} configs in {processes}, {seconds:.0f} s: "
        f"{fastest:.2g} to {slowest:.2g} s an epoch"
    )
    if plan.resources.gpus_per_trial == "auto" and plan.fixed["hardware.device"] == "cuda":
        lines.append("           one trial a GPU; how many share one is measured by the study")
    forecast = foretell(plan, costs, slots, start_s)
    return lines + describe_forecast(forecast, plan.settings.time_limit_s)


def _spoken(seconds: float) -> str:
    """A duration with two digits: ``48 s``, ``4.5 min``, ``2.1 h``."""
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * unit:
            value = seconds / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"
    return f"{seconds:.0f} s"
