"""From the trials of a confirmation to what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepsight.confirm.record import Comparison, Confirmation, ConfirmedConfig, Estimate
from deepsight.confirm.runs import Contender, find_run, run_of
from deepsight.confirm.statistics import (
    Scores,
    compare,
    compare_anytime,
    is_settled,
    mean_estimate,
    optimism,
    target_verdict,
    within,
)
from deepsight.metrics import is_share
from deepsight.run_store import Study, TrialRecord, load_openings
from deepsight.space import to_stored
from deepsight.tune.plan import StudyPlan

TEST_METRICS = {"val_accuracy": "accuracy", "val_macro_f1": "macro_f1", "val_ece": "ece"}
"""What the test split is judged by, by the metric of the search; accuracy for any other."""
LESS_IS_BETTER = ("ece",)

Judge = Callable[
    [Mapping[str, Scores], Sequence[tuple[str, str]], str, float], tuple[Comparison, ...]
]
TestScores = Callable[[Study, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Asked:
    """What is confirmed, and how."""

    kind: str
    """``top`` or ``ablation``."""
    contenders: Sequence[Contender]
    """The winner first, the defaults last."""
    seeds: Sequence[int]
    resplit: bool
    chosen_by: str
    pairs: Sequence[tuple[str, str]]
    """Which configs are compared, by name."""
    until: float | None = None
    """The smallest difference that matters, where seeds are added until it is settled."""

    @property
    def judge(self) -> Judge:
        """How pairs are compared."""
        return compare if self.until is None else compare_anytime


def top_pairs(contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """Every config against the defaults, and the winner against the runner-up."""
    *found, defaults = [c.name for c in contenders]
    pairs = [(name, defaults) for name in found]
    return pairs + ([(found[0], found[1])] if len(found) > 1 else [])


def winner_pairs(contenders: Sequence[Contender]) -> list[tuple[str, str]]:
    """The winner against the defaults and against the runner-up."""
    return [pair for pair in top_pairs(contenders) if pair[0] == contenders[0].name]


def compute_confirmation(
    search: Study, plan: StudyPlan, done: Study, asked: Asked, test_scores: TestScores | None
) -> Confirmation:
    """All numbers of a confirmation, as far as its trials are there.

    Args:
        search: The study that is confirmed.
        plan: Its plan.
        done: The confirmation.
        asked: What is confirmed.
        test_scores: Scores of a trial on the test split; None leaves it closed.
    """
    records = _records(plan, done, asked)
    opens = test_scores is not None and not plan.own_trainable
    test_metric = TEST_METRICS.get(search.metric, "accuracy")
    val = {name: _val(done, runs) for name, runs in records.items()}
    test: dict[str, Scores] = {}
    if opens:
        assert test_scores is not None
        for name, runs in records.items():
            whole = [r if r is not None and done.has_full_budget(r) else None for r in runs]
            test[name] = [test_scores(done, r.trial_id)[test_metric] if r else None for r in whole]
    comparisons = _comparisons(asked, val, test, search, test_metric)
    every = [r for runs in records.values() for r in runs]
    return Confirmation(
        study=search.header.name,
        kind=asked.kind,
        metric=search.metric,
        mode=search.mode,
        test_metric=f"test_{test_metric}" if opens else None,
        max_epochs=search.max_epochs,
        resplit=asked.resplit,
        chosen_by=asked.chosen_by,
        winner=asked.contenders[0].name,
        defaults=asked.contenders[-1].name,
        target=search.header.target,
        num_unfinished=sum(r.ended is None if r else asked.until is None for r in every),
        num_openings=len(load_openings(done.directory)) + len(load_openings(search.directory)),
        epochs=sum(r.num_epochs for r in every if r),
        configs=tuple(
            _config(
                search, c, asked, records[c.name], val[c.name], test.get(c.name, []), test_metric
            )
            for c in asked.contenders
        ),
        comparisons=comparisons,
        until=asked.until,
        settled=None if asked.until is None else not open_pairs(comparisons, asked.until),
    )


def _records(plan: StudyPlan, done: Study, asked: Asked) -> dict[str, list[TrialRecord | None]]:
    """The runs of every contender, in the order of the seeds."""
    return {
        c.name: [find_run(done, run_of(plan, c, seed, asked.resplit)) for seed in asked.seeds]
        for c in asked.contenders
    }


def _val(done: Study, runs: Sequence[TrialRecord | None]) -> Scores:
    return [done.score(r) if r is not None and done.has_full_budget(r) else None for r in runs]


def open_pairs(comparisons: Sequence[Comparison], difference: float) -> list[tuple[str, str]]:
    """The pairs of which val does not say yet which is better, or that they differ by less."""
    return [
        (c.first, c.second)
        for c in comparisons
        if c.split == "val" and not is_settled(c.gain, difference)
    ]


def compare_val(search: Study, plan: StudyPlan, done: Study, asked: Asked) -> Sequence[Comparison]:
    """The comparisons on val alone, as far as runs are there."""
    val = {name: _val(done, runs) for name, runs in _records(plan, done, asked).items()}
    return asked.judge(val, asked.pairs, "val", search.objective.sign)


def _config(
    search: Study,
    contender: Contender,
    asked: Asked,
    runs: Sequence[TrialRecord | None],
    val: Scores,
    test: Scores,
    test_metric: str,
) -> ConfirmedConfig:
    sign, mean = search.objective.sign, _bounded_mean(val, search.metric)
    lost = [r for r in runs if r is not None and r.state in ("failed", "diverged")]
    return ConfirmedConfig(
        name=contender.name,
        trial_id=contender.trial_id,
        config=to_stored(contender.config),
        seeds=tuple(asked.seeds),
        val=tuple(val),
        test=tuple(test),
        num_lost=len(lost),
        search_score=contender.search_score,
        mean=mean,
        test_mean=_bounded_mean(test, test_metric),
        optimism=optimism(contender.search_score, mean, sign),
        target=target_verdict(mean, search.header.target, sign),
    )


def _comparisons(
    asked: Asked,
    val: Mapping[str, Scores],
    test: Mapping[str, Scores],
    search: Study,
    test_metric: str,
) -> tuple[Comparison, ...]:
    found = _judged(asked, val, "val", search.objective.sign, search.metric)
    if test:
        sign = -1.0 if test_metric in LESS_IS_BETTER else 1.0
        found += _judged(asked, test, "test", sign, test_metric)
    return found


def _judged(
    asked: Asked, scores: Mapping[str, Scores], split: str, sign: float, metric: str
) -> tuple[Comparison, ...]:
    found = asked.judge(scores, asked.pairs, split, sign)
    if not _are_shares([s for of_config in scores.values() for s in of_config], metric):
        return found
    return tuple(replace(c, gain=within(c.gain, -1.0, 1.0)) for c in found)


def _bounded_mean(scores: Scores, metric: str) -> Estimate | None:
    mean = mean_estimate(scores)
    return within(mean, 0.0, 1.0) if _are_shares(scores, metric) else mean


def _are_shares(scores: Scores, metric: str) -> bool:
    """By name and by value: an accuracy may be in percent."""
    return is_share(metric) and all(0 <= s <= 1 for s in scores if s is not None)
