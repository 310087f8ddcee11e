"""Experiment folders as Ray writes them, by hand: what no real run can be made to write."""

import json
from pathlib import Path


def result(epoch, score, done=False, **more):
    """One line of ``result.json``."""
    own = {"training_iteration": epoch, "timestamp": 1000 + epoch, "time_total_s": 1.0 * epoch}
    return {"acc": score, **own, "time_this_iter_s": 1.0, "done": done, "pid": 7, **more}


def ramp(last, done=True, high=0.8):
    """Results of `last` epochs."""
    return [result(e, high - 0.5 / e, done and e == last) for e in range(1, last + 1)]


def write_trial(root: Path, number: int, results, config=None, error=None, files=()):
    """One trial's folder; `files` are written as they are, over the others."""
    folder = root / f"train_ab12c_{number:05d}_{number}_lr=0.1_2026-11-26_10-00-00"
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "params.json").write_text(json.dumps(config))
    if results is not None:
        (folder / "result.json").write_text("".join(json.dumps(r) + "\n" for r in results))
    if error:
        (folder / "error.txt").write_text(error)
    for name, content in dict(files).items():
        (folder / name).write_text(content)
    return folder


def write_plain(root: Path, num=4, last=4):
    """An experiment of `num` trials, every other stopped at epoch 1."""
    for number in range(num):
        length = last if number % 2 == 0 else 1
        write_trial(root, number, ramp(length), {"lr": 0.1 + 0.01 * number})
    return root


def write_state(root: Path, statuses, metric="acc"):
    """The experiment's state file, pickles inside it included."""
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    pickle = {"_type": "CLOUDPICKLE_FALLBACK", "value": "80054e2e"}
    trials = [
        [
            json.dumps({"status": status, "relative_logdir": name, "storage": pickle}),
            json.dumps({"start_time": 500.0 + number}),
        ]
        for number, (name, status) in enumerate(zip(folders, statuses, strict=True))
    ]
    stored = {"trial_data": trials, "runner_data": {"_metric": metric, "_stopper": pickle}}
    (root / "experiment_state-2026-11-26_10-00-00.json").write_text(json.dumps(stored))
