"""Which configs are retrained with which seeds, and what that will cost. Nothing is run here.

A confirmation is a study below the one that it confirms. Its space is that study's, with
``train.seed`` and ``data.split_seed`` as hyperparameters, so that every trial states both; its
trials are listed beforehand. A later command adds trials to the list and never repeats one.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepsight.config import UserError
from deepsight.confirm.variants import MOST_SEED, SEED, SPLIT, same_config
from deepsight.run_store import Study, TrialRecord
from deepsight.space import Entry, Int
from deepsight.tune.plan import StudyPlan


@dataclass(frozen=True)
class Contender:
    """A config that is to be confirmed."""

    name: str
    trial_id: str
    """The trial of the search that it comes from."""
    config: Mapping[str, Entry]
    """Values of the search's space."""
    search_score: float | None
    """At full budget, by which it was chosen; None where it had none."""


def choose_contenders(
    study: Study, top: int, trials: Sequence[str] = (), besides: Sequence[str] = ()
) -> list[Contender]:
    """The best configs of a search by their observed score, and its defaults last.

    Args:
        study: The search.
        top: How many, the defaults aside.
        trials: Trials to take instead, by id; the best of them counts as the winner.
        besides: More trials, by id, after those.

    Raises:
        UserError: If no trial has the full budget, or there are fewer configs than asked for.
    """
    full = [r for r in study.ranked(study.records) if study.has_full_budget(r)]
    if not full:
        raise UserError(
            f"no trial of {study.directory} completed {study.max_epochs} epochs: nothing was "
            "chosen that could be confirmed.",
            f"Go on with python -m deepsight.tune --resume {study.directory}.",
        )
    defaults = study.records[0]
    chosen = [study.record(name) for name in trials]
    ranked = study.ranked(chosen) if trials else full
    ranked += [r for r in chosen if r not in ranked]  # those without a score
    found = _distinct(study, ranked)
    if not trials and top > len(found):
        raise UserError(
            f"--top {top}: {study.directory} has {len(found)} configs beside the defaults that "
            f"completed {study.max_epochs} epochs.",
            f"Ask for --top {max(1, len(found))} or fewer."
            if found
            else "Search on: more trials are needed beside the defaults.",
        )
    named = {c.trial_id for c in (found if trials else found[:top])}
    kept = [r for r in ranked if r.trial_id in named] + [study.record(name) for name in besides]
    return [*_distinct(study, kept), _contender(study, defaults, "defaults")]


def _distinct(study: Study, records: Iterable[TrialRecord]) -> list[Contender]:
    """Trials as contenders, each config once and the defaults' not at all."""
    defaults, found = study.records[0], list[Contender]()
    for record in records:
        new = not any(same_config(record.config, c.config, study.space) for c in found)
        if new and not same_config(record.config, defaults.config, study.space):
            found.append(_contender(study, record, record.trial_id))
    return found


def _contender(study: Study, record: TrialRecord, name: str) -> Contender:
    config = {key: record.config[key] for key in study.space}
    score = study.score(record) if study.has_full_budget(record) else None
    return Contender(name, record.trial_id, config, score)


def confirm_plan(plan: StudyPlan) -> StudyPlan:
    """The plan of a confirmation of a search, before its trials are listed."""
    space = dict(plan.space) | {SEED: Int(0, MOST_SEED)}
    fixed = {k: v for k, v in plan.fixed.items() if k != SEED}
    if not plan.own_trainable:
        space[SPLIT] = Int(0, MOST_SEED)
        fixed.pop(SPLIT, None)
    settings = dataclasses.replace(
        plan.settings,
        searcher="planned",
        scheduler="fifo",
        explore=0.0,
        brackets=1,
        time_limit_s=0.0,
        warm_start="",
        patience=0.0,
    )
    name = f"{plan.name[:90]}-confirm"
    return dataclasses.replace(
        plan, name=name, space=space, fixed=fixed, settings=settings, earlier=()
    )


def with_planned(plan: StudyPlan, planned: Sequence[Mapping[str, Entry]]) -> StudyPlan:
    """`plan` with its trials listed."""
    settings = dataclasses.replace(plan.settings, trials=len(planned))
    return dataclasses.replace(plan, settings=settings, planned=tuple(planned))


def run_of(plan: StudyPlan, contender: Contender, seed: int, resplit: bool) -> dict[str, Entry]:
    """The config of one run: a contender's, with its seed and the seed of its split.

    Args:
        plan: The search's.
        contender: What is retrained.
        seed: From `fresh_seeds`.
        resplit: Whether the data are split by this seed too, else as in the search.
    """
    config = dict(contender.config) | {SEED: seed}
    if not plan.own_trainable:
        stated = config.get(SPLIT, plan.fixed.get(SPLIT))
        config[SPLIT] = seed if resplit else int(stated or 0)  # type: ignore[arg-type]
    return config


def missing_runs(
    planned: Sequence[Mapping[str, Entry]], wanted: Iterable[Mapping[str, Entry]]
) -> list[Mapping[str, Entry]]:
    """Those of `wanted` that are not planned yet, each once."""
    known = {_key(config) for config in planned}
    new: list[Mapping[str, Entry]] = []
    for config in wanted:
        if _key(config) not in known:
            known.add(_key(config))
            new.append(config)
    return new


def _key(config: Mapping[str, Entry]) -> tuple[tuple[str, Entry], ...]:
    """Hashable, and equal for the same config."""
    return tuple(sorted(config.items()))


def find_run(study: Study | None, config: Mapping[str, Entry]) -> TrialRecord | None:
    """The trial of a confirmation that has this config; None before it began."""
    if study is None:
        return None
    return next((r for r in study.records if same_config(r.config, config, config)), None)


@dataclass(frozen=True)
class Cost:
    """What runs will take."""

    runs: int
    epochs: int
    seconds: float | None
    """None where the search did not record the seconds of epochs."""
    slots: int
    """Trials at a time that the seconds assume."""


def slots_of(study: Study) -> int:
    """Trials at a time in the search."""
    slots = study.header.resources.get("slots")
    return max(1, slots) if isinstance(slots, int) else 1


def expected_cost(
    study: Study, done: Study | None, runs: Sequence[tuple[Contender, Mapping[str, Entry]]]
) -> Cost:
    """Epochs, and seconds by what an epoch of each config took in the search.

    Args:
        study: The search.
        done: The confirmation as far as it is there.
        runs: What is wanted, each with its contender.
    """
    slots = slots_of(study)
    everyone = _epoch_seconds(study.records)
    left, epochs, seconds = 0, 0, 0.0
    for contender, config in runs:
        record = find_run(done, config)
        if record is not None and record.ended is not None:
            continue
        missing = study.max_epochs - (record.num_epochs if record else 0)
        own = _epoch_seconds([r for r in study.records if r.trial_id == contender.trial_id])
        left, epochs = left + 1, epochs + missing
        seconds += missing * (own or everyone or 0.0)
    known = seconds / min(slots, max(left, 1)) if everyone else None
    return Cost(left, epochs, known, slots)


def _epoch_seconds(records: Iterable[TrialRecord]) -> float | None:
    walls = [row.get("wall_s") for record in records for row in record.rows]
    known = [float(w) for w in walls if isinstance(w, int | float)]
    return statistics.median(known) if known else None


def price_text(cost: Cost, most: bool = False) -> str:
    """A cost in words.

    Args:
        cost: Of runs.
        most: Whether they may turn out to be fewer.
    """
    if not cost.runs:
        return "nothing: all of it is done"
    lasts = "" if cost.seconds is None else f", about {_minutes(cost.seconds)}"
    at = "" if cost.slots == 1 else f" with {cost.slots} trials at a time"
    return f"{'at most ' if most else ''}{cost.runs} runs, {cost.epochs} epochs{lasts}{at}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
