"""What a study has come to so far: ``python -m analysis.summary runs/<study>``.

From the study's files alone: neither Ray nor torch is imported.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.page.formatting import count, duration, text
from deepsight.command_line import Parser, run_command
from deepsight.config import without_controls
from deepsight.confirm.record import Confirmation, Estimate, load_confirmation
from deepsight.data.class_balance import FAIR_METRIC, ClassBalance, printable, validation_balance
from deepsight.run_store import (
    STATES,
    Objective,
    Study,
    TrialRecord,
    describe_data,
    describe_end,
    describe_origin,
    load_study,
    score_text,
)
from deepsight.space import INACTIVE, Entry, same, to_stored


@dataclass(frozen=True)
class TrialScore:
    """One trial and its last score."""

    trial_id: str
    state: str
    explorer: bool
    num_epochs: int
    score: float | None
    """The metric after the last epoch."""
    full_budget: bool
    config: dict[str, Entry]
    """Searched hyperparameters only; `INACTIVE` where inactive."""
    macro_f1: float | None
    """After the last epoch, as `recall`; None where the trainable reports none."""
    recall: dict[str, float]
    """By class; classes without a recall are left out."""


@dataclass(frozen=True)
class Summary:
    """The numbers of `summary_lines`."""

    name: str
    directory: str
    metric: str
    mode: str
    max_epochs: int
    trials_asked: int | None
    ended_early: str | None
    """Why the study began fewer, and what that saved; None where it did not."""
    states: dict[str, int]
    """Number of trials by state."""
    num_explorers: int
    num_epochs: int
    """Epochs that have a result, over all trials."""
    elapsed_s: float | None
    """From the first trial's start to the last thing recorded (pauses before a resume included);
    None where an adopted study has no times."""
    training_s: float | None
    """Sum of ``wall_s`` over all epochs; None where the trainable does not report it."""
    incumbent: TrialScore | None
    baseline: TrialScore | None
    """The first trial, whose config is the defaults; None in an adopted study too."""
    changed: list[str]
    """Hyperparameters in which the incumbent differs from the baseline."""
    target: float | None
    """Minimum viable value of the metric."""
    target_gap: float | None
    """How far the incumbent is beyond the target; negative: short of it."""
    data: str
    """Classes, images by split, the largest class and what was left out, in a line."""
    first_error: str | None
    """The first failed trial and what it said."""
    balance: ClassBalance | None
    """Of the validation images; None where the study does not state them by class."""
    majority_baseline: float | None
    """What always answering the largest class scores in the metric; None where it is not known."""
    confirmation: Confirmation | None
    """None before `deepsight.confirm` was run."""
    origin: str
    """Where an adopted study is from, and what was inferred, in a line; "" for our own."""

    @property
    def target_too_low(self) -> bool:
        """Whether the majority baseline alone reaches the target, which then says nothing."""
        balance = self.balance
        return balance is not None and balance.meets(self.metric, self.mode, self.target)

    @property
    def target_met(self) -> bool | None:
        """Whether the incumbent reaches the target; None without either, or if it is too low."""
        if self.target_gap is None or (self.target_gap >= 0 and self.target_too_low):
            return None
        return self.target_gap >= 0

    @property
    def beats_majority(self) -> bool | None:
        """Whether the incumbent scores more than the majority baseline; None without either."""
        best = self.incumbent.score if self.incumbent else None
        gap = _beyond(Objective(self.metric, self.mode), best, self.majority_baseline)
        return None if gap is None else gap > 0


def compute_summary(study: Study) -> Summary:
    """The numbers of a study, finished or not.

    Args:
        study: What `deepsight.run_store.load_study` returns.
    """
    best, balance = study.incumbent(), validation_balance(study.header.data)
    incumbent = _trial_score(study, best) if best else None
    baseline = _trial_score(study, study.defaults) if study.defaults else None
    target = study.header.target
    rows = [row for record in study.records for row in record.rows]
    walls = [row["wall_s"] for row in rows if isinstance(row.get("wall_s"), int | float)]
    failed = [r for r in study.records if r.state == "failed"]
    return Summary(
        name=study.header.name,
        directory=str(study.directory),
        metric=study.metric,
        mode=study.mode,
        max_epochs=study.max_epochs,
        trials_asked=study.header.trials,
        ended_early=describe_end(study.header, len(rows)),
        states={s: sum(r.state == s for r in study.records) for s in STATES},
        num_explorers=sum(r.explorer for r in study.records),
        num_epochs=len(rows),
        elapsed_s=_elapsed(study) if study.timed else None,
        training_s=math.fsum(walls) if walls else None,
        incumbent=incumbent,
        baseline=baseline,
        changed=_changed(incumbent, baseline),
        target=target,
        target_gap=_beyond(study.objective, incumbent.score if incumbent else None, target),
        data=describe_data(study.header.data),
        first_error=f"{failed[0].trial_id}: {failed[0].error}" if failed else None,
        balance=balance,
        majority_baseline=balance.baseline(study.metric) if balance else None,
        confirmation=load_confirmation(study.directory),
        origin=describe_origin(study.header.origin),
    )


def _trial_score(study: Study, record: TrialRecord) -> TrialScore:
    return TrialScore(
        trial_id=record.trial_id,
        state=record.state,
        explorer=record.explorer,
        num_epochs=record.num_epochs,
        score=study.score(record),
        full_budget=study.has_full_budget(record),
        config={name: record.config.get(name, INACTIVE) for name in study.space},
        macro_f1=_number(record.rows[-1].get(FAIR_METRIC)) if record.rows else None,
        recall=_recall(study, record),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _recall(study: Study, record: TrialRecord) -> dict[str, float]:
    classes = study.header.data.get("classes")
    values = record.rows[-1].get("val_recall") if record.rows else None
    if not isinstance(classes, list) or not isinstance(values, list):
        return {}
    if len(classes) != len(values) or not all(isinstance(name, str) for name in classes):
        return {}
    numbers = zip(map(printable, classes), map(_number, values), strict=True)
    return {name: value for name, value in numbers if value is not None}


def _elapsed(study: Study) -> float:
    if not study.records:
        return 0.0
    times = [r.ended or r.started for r in study.records]
    times += [r.rows[-1]["time"] for r in study.records if r.rows]
    return max(0.0, max(times) - min(r.started for r in study.records))


def _changed(incumbent: TrialScore | None, baseline: TrialScore | None) -> list[str]:
    if incumbent is None or baseline is None:
        return []
    return [n for n, value in incumbent.config.items() if not same(value, baseline.config[n])]


def _beyond(objective: Objective, value: float | None, reference: float | None) -> float | None:
    """How much better `value` is than `reference`, in the metric's unit."""
    if value is None or reference is None:
        return None
    return objective.gain(value, reference)


def summary_lines(summary: Summary) -> list[str]:
    """The summary in words, a line each, without the incumbent's config."""
    asked = f" of {summary.trials_asked}" if summary.trials_asked is not None else ""
    training = ""
    if summary.training_s is not None:
        training = f", {duration(summary.training_s)} of training"
    states = [f"{n} {state}" for state, n in summary.states.items() if n]
    explorers = count(summary.num_explorers, "explorer", grouped=False)
    elapsed = "" if summary.elapsed_s is None else f" in {duration(summary.elapsed_s)}"
    lines = [
        f"{summary.name}: {sum(summary.states.values())}{asked} trials, "
        f"{_epochs(summary.num_epochs)}{elapsed}{training}",
        f"trials     {', '.join(states) or 'none yet'}; {explorers}",
    ]
    if summary.origin:
        lines.append(f"adopted    {summary.origin}")
    if summary.ended_early:
        lines.append(f"early      {summary.ended_early}")
    if summary.data:
        lines.append(f"data       {summary.data}")
    if summary.first_error:
        lines.append(f"failed     {summary.first_error.splitlines()[0]}")
    lines.append(f"incumbent  {_incumbent_line(summary)}")
    lines += _confirmed_lines(summary.confirmation)
    lines += _class_lines(summary)
    if not summary.origin:
        lines.append(f"defaults   {_baseline_line(summary)}")
    if summary.target is not None:
        lines.append(f"target     {_target_line(summary)}")
    return lines


def _incumbent_line(summary: Summary) -> str:
    trial = summary.incumbent
    if trial is None:
        return f"none: no trial has a {summary.metric} yet"
    note = f"selected on {summary.metric} of one seed"
    if not trial.full_budget:
        note += f", no trial completed {summary.max_epochs} epochs yet"
    return f"{trial.trial_id}  {_score(summary.metric, trial)} ({note})"


def _confirmed_lines(found: Confirmation | None) -> list[str]:
    """The winner's mean over fresh seeds and its gain over the defaults, if it was confirmed."""
    winner = found.config(found.winner) if found else None
    if found is None or winner is None or winner.mean is None:
        return []
    seeds, pair = count(winner.mean.n, "fresh seed", grouped=False), (winner.name, found.defaults)
    told = f"{winner.name}  {found.metric} {_estimate(winner.mean)} ({seeds}, 95 %)"
    return [f"confirmed  {told}"] + [
        f"gain       {_estimate(c.gain)} over the defaults with the same seeds: {c.verdict}"
        for c in found.comparisons
        if (c.first, c.second, c.split) == (*pair, "val") and c.gain
    ]


def _estimate(estimate: Estimate) -> str:
    told = [score_text(end) for end in (estimate.low, estimate.high) if end is not None]
    return score_text(estimate.value) + (f" [{', '.join(told)}]" if told else "")


def _class_lines(summary: Summary) -> list[str]:
    """What the classes make of the score; only the majority baseline where all is well."""
    balance, best, lines = summary.balance, summary.incumbent, []
    if balance is None:
        return []
    if balance.uneven and best and best.macro_f1 is not None and best.recall:
        lowest = lowest_recalls(best.recall)
        named = ", ".join(f"{name!r} {best.recall[name]:.3f}" for name in lowest)
        which = "recall" if len(lowest) == len(best.recall) else "lowest recalls"
        lines.append(f"by class   {FAIR_METRIC} {score_text(best.macro_f1)}; {which} {named}")
    if summary.majority_baseline is not None:
        line = f"majority   {balance.baseline_text(summary.metric)}"
        beaten = summary.beats_majority is not False
        lines.append(line if beaten else f"{line}; the incumbent is no better")
    return lines + [f"note       {line}" for line in balance.warnings(summary.metric)]


def lowest_recalls(recall: Mapping[str, float], most: int = 3) -> list[str]:
    """The classes with the lowest recall, the worst first; `most` at most."""
    return sorted(recall, key=lambda name: recall[name])[:most]


def _baseline_line(summary: Summary) -> str:
    trial = summary.baseline
    if trial is None:
        return "none: no trial has started"
    line = f"{trial.trial_id}  {_score(summary.metric, trial)}"
    best = summary.incumbent
    if best is None or trial.trial_id == best.trial_id:
        return line + (" (they are the incumbent)" if best else "")
    gain = _beyond(Objective(summary.metric, summary.mode), best.score, trial.score)
    if gain is None or trial.num_epochs != best.num_epochs:
        return line + f" ({trial.state}; not comparable with the incumbent)"
    return line + f" (the incumbent is better by {gain:.4g})"


def _target_line(summary: Summary) -> str:
    bound = "minimum" if summary.mode == "max" else "maximum"
    stated = f"{bound} viable {summary.metric} {summary.target:g}"
    if summary.target_gap is None:
        return f"{stated}: unknown, there is no incumbent"
    if summary.target_gap >= 0 and summary.target_too_low:
        return f"{stated}: too low to tell, the majority baseline alone reaches it"
    if summary.target_met:
        return f"{stated}: met, {summary.target_gap:.4g} beyond it"
    return f"{stated}: missed by {-summary.target_gap:.4g}"


def _score(metric: str, trial: TrialScore) -> str:
    value = "none" if trial.score is None else score_text(trial.score)
    return f"{metric} {value} after {_epochs(trial.num_epochs)}"


def _epochs(number: int) -> str:
    return count(number, "epoch", grouped=False)


def _value(value: Entry) -> str:
    return text(value, digits=4)


def config_table(summary: Summary) -> Table:
    """The incumbent's hyperparameters beside the defaults', a star where they differ.

    An adopted study has no defaults.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    baseline = summary.baseline
    for title in ("", "hyperparameter", "incumbent", *(["defaults"] if baseline else [])):
        table.add_column(title, overflow="fold")
    assert summary.incumbent is not None
    for name, value in summary.incumbent.config.items():
        starred = name in summary.changed
        beside = [_value(baseline.config[name])] if baseline else []
        cells = ("*" if starred else "", name, _value(value), *beside)
        table.add_row(*(Text(without_controls(c)) for c in cells), style="bold" if starred else "")
    return table


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain values; what is inactive is null."""
    judged = {"target_met": summary.target_met, "target_too_low": summary.target_too_low}
    data = dataclasses.asdict(summary) | judged
    for trial in filter(None, (data["incumbent"], data["baseline"])):
        trial["config"] = to_stored(trial["config"])
    return data


def render(summaries: Sequence[Summary], console: Console) -> None:
    """Print the summaries, one below the other."""
    for index, summary in enumerate(summaries):
        if index:
            console.print()
        for number, line in enumerate(summary_lines(summary)):
            console.print(
                Text(without_controls(line), style="" if number else "bold"), soft_wrap=True
            )
        if summary.incumbent:
            console.print(config_table(summary))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(prog="python -m analysis.summary", description=__doc__)
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="a study's directory")
    parser.add_argument("--json", action="store_true", help="print a JSON list, one object a study")
    return run_command(parser, _run, arguments)


def _run(options: argparse.Namespace) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summaries = [compute_summary(load_study(path)) for path in options.studies]
    for warning in caught:
        sys.stderr.write(f"warning: {without_controls(str(warning.message))}\n")
    if options.json:
        listed = json.dumps([to_json(s) for s in summaries], indent=2, allow_nan=False)
        sys.stdout.write(listed + "\n")
    else:
        render(summaries, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
