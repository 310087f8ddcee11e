"""Hand-written studies: a few lines say what every trial scored."""

import json
from pathlib import Path

from deepsight.run_store import Study, load_study
from deepsight.space import choice, loguniform, to_json, uniform, when

SPACE = {
    "optim.name": choice("adamw", "sgd"),
    "optim.lr": loguniform(1e-4, 1e-1),
    "optim.momentum": when("optim.name", "sgd", uniform(0.5, 0.9)),
}
HEADER = {
    "schema_version": 1,
    "name": "hand",
    "metric": "val_accuracy",
    "mode": "max",
    "max_epochs": 9,
    "rungs": [1, 3, 9],
    "reduction_factor": 3,
    "scheduler": "asha_stop",
    "fixed": {},
    "space": to_json(SPACE),
}
CONFIG = {"optim.name": "adamw", "optim.lr": 0.001, "optim.momentum": None}


def trial(
    scores, state=None, explorer=False, budget=9, config=None, error=None, wall_s=1.0, row=None
):
    """What `write_study` takes: the scores after each epoch, and how the trial ended.

    `row` is what else every result says.
    """
    config = CONFIG | (config or {})
    if state is None:
        state = "completed" if len(scores) == budget else "stopped"
    return locals()


def write_study(directory: Path, trials: list, reported="val_accuracy", **header) -> Path:
    """Write a study one trial after the other, an epoch a second; without the writer's fsync.

    `reported` is the metric that the trials' scores are.
    """
    directory.mkdir(parents=True)
    events, rows, clock = [], [], 1000.0
    for number, t in enumerate(trials):
        name, clock = f"t{number:04d}", clock + 0.001
        stated = {key: t[key] for key in ("config", "explorer", "budget")}
        events.append({"trial_id": name, "event": "started", "time": clock} | stated)
        for epoch, score in enumerate(t["scores"], start=1):
            clock += 1.0
            row = {"trial_id": name, "epoch": epoch, "time": clock, reported: score}
            rows.append(row | ({"wall_s": t["wall_s"]} if t["wall_s"] else {}) | (t["row"] or {}))
        if t["state"] != "running":
            clock += 0.001
            events.append(
                {
                    "trial_id": name,
                    "event": "ended",
                    "time": clock,
                    "state": t["state"],
                    "error": t["error"],
                }
            )
    (directory / "study.json").write_text(json.dumps(HEADER | header))
    for file, lines in (("trials.jsonl", events), ("results.jsonl", rows)):
        (directory / file).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def hand_study(directory: Path, trials: list, **header) -> Study:
    """The same, read back."""
    return load_study(write_study(directory, trials, **header))


def ramp(final: float, epochs: int = 9, full: int = 9) -> list[float]:
    """Scores that rise to `final` at epoch `full`, up to `epochs`."""
    return [round(final * e / full, 4) for e in range(1, epochs + 1)]


SMALL = (
    trial(ramp(0.60)),  # t0000, the defaults
    trial(ramp(0.90)),  # t0001, the best
    trial(ramp(0.30, 1)),  # t0002, stopped at 1
    trial(ramp(0.75, 3)),  # t0003, stopped at 3
    trial(ramp(0.45), explorer=True, config={"optim.name": "sgd", "optim.momentum": 0.6}),
    trial(ramp(0.80), explorer=True, wall_s=0.5),
    trial(ramp(0.10, 3), explorer=True, budget=3),
    trial([0.2, None], "diverged"),
    trial([0.2], "failed", error="RuntimeError: <b>out of $memory$</b>"),
    trial(ramp(0.85), wall_s=2.0, config={"optim.lr": 0.1}),
)
