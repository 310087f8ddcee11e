"""Projects of Keras Tuner: ``oracle.json`` and a folder ``trial_*`` for each trial.

Keras Tuner keeps of each trial the metrics of its best epoch, and no curve. Its Hyperband begins a
new trial where it promotes one, which trains on from the old one's weights: here they are one
trial, with a row for each round.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.adopt.found import FoundRow, FoundStudy, FoundTrial, Wanted
from analysis.adopt.values import is_path, number, plain_value
from deepsight.config import UserError, Value
from deepsight.files import has_file, read_file
from deepsight.space import Choice, Condition, Domain, Float, Int

ORACLE, TRIAL = "oracle.json", "trial.json"
FILE_BYTES, MOST_TRIALS = 64 << 20, 1_000_000
OWN = "tuner/"
"""What the names of Keras Tuner's own values begin with."""
STATES = {"FAILED": "failed", "INVALID": "failed", "STOPPED": "stopped", "RUNNING": "running",
          "IDLE": "running", "COMPLETED": "completed"}  # fmt: skip


@dataclass(frozen=True)
class _Trial:
    """One file ``trial.json``."""

    trial_id: str
    values: Mapping[str, Any]
    space: Sequence[Any]
    observed: Mapping[str, Mapping[int, float | None]]
    """The mean over executions, by metric and step."""
    directions: Mapping[str, str]
    score: float | None
    status: str
    message: str | None

    def epochs(self) -> int | None:
        """The epoch up to which Hyperband trained it."""
        stated = self.values.get(f"{OWN}epochs")
        return stated if isinstance(stated, int) and stated > 0 else None

    def parent(self) -> str | None:
        """The trial that it trains on."""
        stated = self.values.get(f"{OWN}trial_id")
        return str(stated) if stated is not None else None


def recognises(source: str) -> bool:
    """Whether `source` is a project, or a folder of projects."""
    return is_path(source) and Path(source).is_dir() and bool(_projects(Path(source)))


def _projects(root: Path) -> list[str]:
    """The folders of projects in a folder; an empty name for the folder itself."""
    if has_file(root, [ORACLE]):
        return [""]
    return [name for name in _folders(root) if has_file(root, [name, ORACLE])]


def _folders(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def read(source: str, wanted: Wanted) -> FoundStudy:
    """A project.

    Raises:
        UserError: If a file is damaged, or there are several projects and none is named.
    """
    root = _project(Path(source), wanted.study)
    oracle = _json(root, [ORACLE])
    names = [n for n in _folders(root) if n.startswith("trial_") and has_file(root, [n, TRIAL])]
    if len(names) > MOST_TRIALS:
        raise UserError(f"{root} has more than {MOST_TRIALS:,} trials.", "Give a part of them.")
    trials = [_trial(root, name) for name in names]
    stated = oracle.get("max_epochs")
    longest = max((s + 1 for t in trials for of in t.observed.values() for s in of), default=1)
    budget = wanted.max_epochs or (stated if isinstance(stated, int) else None)
    metric, notes = _metric(trials, wanted.metric)
    chains = _chains(trials)
    found = tuple(_found(chain, budget or longest, isinstance(stated, int)) for chain in chains)
    notes += _notes(trials, chains, budget is None)
    space, space_notes = _space(
        [oracle.get("hyperparameters"), *({"space": t.space} for t in trials)]
    )
    directions = {name: way for trial in trials for name, way in trial.directions.items()}
    return FoundStudy(
        tool="keras_tuner",
        name=root.resolve().name,
        trials=found,
        metric=metric,
        mode=wanted.mode or directions.get(metric or ""),
        max_epochs=budget or longest,
        space=space,
        notes=(*notes, *space_notes),
    )


def _project(root: Path, wanted: str | None) -> Path:
    known = _projects(root)
    if known == [""]:
        return root
    if wanted is not None and wanted in known:
        return root / wanted
    if len(known) == 1 and wanted is None:
        return root / known[0]
    cause = f"no project {wanted!r}" if wanted else f"{len(known)} projects"
    raise UserError(
        f"{root} holds {cause}: {', '.join(known[:20])}.", "Say which one: --study NAME."
    )


def _json(root: Path, parts: Sequence[str]) -> dict[str, Any]:
    where = root.joinpath(*parts)
    try:
        found = json.loads(read_file(root, parts, FILE_BYTES))
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{where} cannot be read: {reason}.",
            "Restore it, or take the trial's folder out of a copy of the project.",
        ) from error


def _trial(root: Path, name: str) -> _Trial:
    stated = _json(root, [name, TRIAL])
    try:
        parameters, metrics = stated["hyperparameters"], stated["metrics"]["metrics"]
        observed = {
            str(metric): {
                max(int(seen["step"] or 0), 0): _mean(seen["value"])
                for seen in each["observations"]
            }
            for metric, each in metrics.items()
        }
        return _Trial(
            str(stated["trial_id"]),
            dict(parameters["values"]),
            list(parameters["space"]),
            observed,
            {str(m): str(each.get("direction")) for m, each in metrics.items()},
            number(stated.get("score")),
            str(stated.get("status")),
            stated.get("message"),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{root / name / TRIAL} is no trial of Keras Tuner ({type(error).__name__}: {error}).",
            "Was it made by a release before 1.0? Then its search must be run again.",
        ) from error


def _mean(values: object) -> float | None:
    """The mean over executions, None if one of them is no finite number."""
    listed = values if isinstance(values, list) else [values]
    numbers = [number(value) for value in listed]
    known = [value for value in numbers if value is not None]
    return sum(known) / len(known) if known and len(known) == len(numbers) else None


def _metric(trials: Sequence[_Trial], wanted: str | None) -> tuple[str | None, list[str]]:
    """The objective: the metric that is every trial's score; its name is not stored."""
    names = sorted({name for trial in trials for name in trial.observed})
    if wanted is not None or not names:
        return wanted, []
    scored = [trial for trial in trials if trial.score is not None]
    fitting = [
        name for name in names
        if scored and all(t.score in t.observed.get(name, {}).values() for t in scored)
    ]  # fmt: skip
    fitting = [name for name in fitting if name.startswith("val_")] or fitting
    if len(fitting) != 1:
        return None, []
    return fitting[0], [f"{fitting[0]} is the objective: every score equals it (inferred)."]


def _chains(trials: Sequence[_Trial]) -> list[list[_Trial]]:
    """The trials of Hyperband that train on from one another, the first one first."""
    by_id = {trial.trial_id: trial for trial in trials}
    continued = {trial.parent() for trial in trials}
    chains = []
    for trial in trials:
        if trial.trial_id in continued:
            continue
        chain, seen = [trial], {trial.trial_id}
        while (parent := chain[0].parent()) in by_id and parent not in seen:
            assert parent is not None
            seen.add(parent)
            chain.insert(0, by_id[parent])
        chains.append(chain)
    return chains


def _found(chain: Sequence[_Trial], budget: int, halves: bool) -> FoundTrial:
    """One trial.

    Args:
        chain: Its rounds.
        budget: Full budget, in epochs.
        halves: Whether the search stops trials before it (Hyperband).
    """
    last = chain[-1]
    by_epoch: dict[int, dict[str, float | None]] = {}
    for trial in chain:
        single = all(len(steps) == 1 for steps in trial.observed.values())
        for name, steps in trial.observed.items():
            for step, value in steps.items():
                epoch = (trial.epochs() or budget) if single else step + 1
                by_epoch.setdefault(epoch, {})[name] = value
    state = STATES.get(last.status)
    if state == "completed" and halves and (last.epochs() or budget) < budget:
        state = "stopped"
    return FoundTrial(
        key=last.trial_id,
        config={n: plain_value(v) for n, v in last.values.items() if not n.startswith(OWN)},
        rows=tuple(FoundRow(epoch, by_epoch[epoch]) for epoch in sorted(by_epoch)),
        state=state,
        error=str(last.message)[:2000] if last.message else None,
    )


def _notes(
    trials: Sequence[_Trial], chains: Sequence[Sequence[_Trial]], inferred: bool
) -> list[str]:
    notes = [
        "Keras Tuner keeps the metrics of a trial's best epoch and no curves: a row holds the best "
        "value up to its epoch, averaged over executions."
    ]
    if len(chains) < len(trials):
        notes.append(
            f"{len(trials) - len(chains)} of {len(trials)} trials were trained on by another one: "
            f"together they are {len(chains)} trials, called by their last."
        )
    if inferred:
        notes.append(
            "How many epochs trials had is not stored: the latest best epoch stands for it "
            "(inferred); --max-epochs says it."
        )
    return notes


def _space(stated: Sequence[Any]) -> tuple[dict[str, Domain], list[str]]:
    """The domains that the oracle or any trial declares, and what cannot be kept of them."""
    seen: dict[str, list[Domain]] = {}
    stepped: set[str] = set()
    known: object = None
    for part in stated:
        entries = part.get("space") if isinstance(part, dict) else None
        if entries == known:  # as a rule all trials declare the same
            continue
        known = entries
        for entry in entries if isinstance(entries, list) else ():
            try:
                name, domain, steps = _domain(entry)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise UserError(
                    f"a hyperparameter is not readable: {str(entry)[:100]}.", "Restore the file."
                ) from error
            if domain is not None and domain not in seen.setdefault(name, []):
                seen[name].append(domain)
                stepped |= {name} if steps else set()
    several = sorted(name for name, domains in seen.items() if len(domains) > 1)
    notes = []
    if several:
        notes.append(f"Declared in several ways, so inferred from values: {', '.join(several)}.")
    if stepped:
        notes.append(f"Steps of domains are not kept: {', '.join(sorted(stepped))}.")
    return {n: domains[0] for n, domains in seen.items() if len(domains) == 1}, notes


def _domain(entry: Mapping[str, Any]) -> tuple[str, Domain | None, bool]:
    """The name of a hyperparameter, its domain if it varies, and whether it has steps."""
    kind, config = entry["class_name"], entry["config"]
    name, conditions = str(config["name"]), config.get("conditions") or []
    condition = None
    if conditions:  # the innermost: its parent has the outer ones itself
        inner = conditions[-1]["config"]
        condition = Condition(str(inner["name"]), tuple(map(plain_value, inner["values"])))
    log = config.get("sampling") in ("log", "reverse_log")
    step = config.get("step")
    if kind == "Float":
        low, high = float(config["min_value"]), float(config["max_value"])
        return name, Float(low, high, log, condition), step is not None
    if kind == "Int":
        low, high = int(config["min_value"]), int(config["max_value"])
        return name, Int(low, high, log, condition), step not in (None, 1)
    if kind in ("Choice", "Boolean"):
        listed = config["values"] if kind == "Choice" else [False, True]
        values: list[Value] = list(map(plain_value, listed))
        return name, Choice(tuple(values), condition), False
    return name, None, False
