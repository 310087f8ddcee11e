"""Ray's own restore, population based training and limits of a whole run, on record."""

import json
import os
import signal
import warnings
from pathlib import Path

import pytest
from ray import tune
from ray.tune.error import TuneError
from ray.tune.search.optuna import OptunaSearch

import deepsight
from analysis.adopt.command import adopt_source
from analysis.adopt.found import Wanted
from analysis.summary import compute_summary
from deepsight.run_store import load_study
from deepsight.tune.external_runs import explorers

MAX = 6
RATES = [0.1, 0.2, 0.4, 0.8]
SPACE = {"lr": tune.grid_search(RATES), "flag": ""}


class Sum(tune.Trainable):
    """After epoch n the accuracy is the sum of n learning rates: it tells who trained it."""

    def setup(self, config):
        self.config, self.sum = config, 0.0

    def step(self):
        if self.training_iteration == 3 and self.config["lr"] == 0.2:
            assert not Path(self.config["flag"] or "none").exists(), "planted failure"
        self.sum += self.config["lr"]
        return {"accuracy": self.sum}

    def save_checkpoint(self, folder):
        Path(folder, "sum.json").write_text(json.dumps(self.sum))

    def load_checkpoint(self, folder):
        self.sum = json.loads(Path(folder, "sum.json").read_text())

    def reset_config(self, config):
        self.config, self.sum = config, 0.0
        return True


class End(tune.Callback):
    """Ends the run of this process after some results; the restored run has it too."""

    after = 0
    how = staticmethod(lambda: None)

    def on_trial_result(self, iteration, trials, trial, result, **info):
        End.after -= 1
        if End.after == 0:
            End.how()


def interrupt():
    os.kill(os.getpid(), signal.SIGUSR1)


def crash():
    raise RuntimeError("planted crash")


@pytest.fixture(autouse=True)
def handlers():
    """Ray leaves its own behind."""
    numbers = (signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def callback(tmp_path, space=SPACE, **options):
    return deepsight.ray_callback(
        tmp_path / "mine", metric="accuracy", mode="max", max_epochs=MAX, space=space, **options
    )


def run(tmp_path, record, scheduler=None, space=SPACE, stop=None, **options):
    tuner = tune.Tuner(
        Sum,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", scheduler=scheduler, reuse_actors=True, **options
        ),
        run_config=tune.RunConfig(
            name="theirs",
            storage_path=str(tmp_path / "ray"),
            callbacks=[record, End()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            stop=stop or {"training_iteration": MAX},
            verbose=0,
        ),
    )
    return fitted(tuner)


def fitted(tuner):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuner.fit()


def restored(tmp_path, space=SPACE, **options):
    """As a new process would: nothing but what Ray and we wrote is left."""
    explorers._DRAWN.clear()
    tuner = tune.Tuner.restore(
        str(tmp_path / "ray" / "theirs"), trainable=Sum, param_space=space, **options
    )
    return fitted(tuner)


def epochs(record):
    return [row["epoch"] for row in record.rows]


def require_own_weights(study):
    """Every epoch is there once, and was trained with the trial's own config from the first on."""
    for record in study.records:
        assert epochs(record) == list(range(1, len(record.rows) + 1))
        for row in record.rows:
            assert row["accuracy"] == pytest.approx(row["epoch"] * record.config["lr"])


def require_part_of(adopted, ours, notes):
    """Ray's own file may lack an epoch of a paused trial (its logger: docs/library_facts.md)."""
    scores = {row["epoch"]: row["accuracy"] for row in ours.rows}
    kept = {row["epoch"]: row["accuracy"] for row in adopted.rows}
    assert kept == {epoch: scores[epoch] for epoch in kept}
    told, last = " ".join(notes), max(kept)
    missing = set(scores) - set(kept)
    assert "are missing" in told or not any(epoch < last for epoch in missing)
    assert "may be missing" in told or not any(epoch > last for epoch in missing)


def test_an_interrupted_run_goes_on_in_its_study(ray_here, tmp_path, monkeypatch):
    flag = tmp_path / "flag"
    flag.touch()
    space = SPACE | {"flag": str(flag)}
    monkeypatch.setattr(End, "on_trial_error", lambda *_, **__: interrupt(), raising=False)
    run(tmp_path, callback(tmp_path, space), space=space)
    before = load_study(tmp_path / "mine")
    assert [epochs(r) for r in before.records if r.state == "failed"] == [[1, 2, 3]]
    flag.unlink()
    results = restored(tmp_path, space, resume_errored=True)
    study = load_study(tmp_path / "mine")
    assert [r.metrics["training_iteration"] for r in results] == [MAX] * 4
    failed = [record.origin for record in study.records if record.state == "failed"]
    done = [record for record in study.records if record.state == "completed"]
    assert sorted(r.origin for r in done) == sorted(r.metrics["trial_id"] for r in results)
    assert len(study.records) == len(done) + 1
    assert failed == [record.origin for record in done if record.config["lr"] == 0.2]
    for rate in RATES:  # what failed has its epochs, and the trial that goes on the others
        parts = [record for record in study.records if record.config["lr"] == rate]
        assert sum((epochs(part) for part in parts), []) == list(range(1, MAX + 1))
        for row in (row for part in parts for row in part.rows):
            assert row["accuracy"] == pytest.approx(row["epoch"] * rate)
    assert "left_out" not in study.header.origin


def test_a_trial_that_had_not_reported_goes_on_under_its_name(ray_here, tmp_path, monkeypatch):
    monkeypatch.setattr(End, "on_trial_start", lambda *_, **__: interrupt(), raising=False)
    run(tmp_path, callback(tmp_path), max_concurrent_trials=1)
    assert [len(r.rows) for r in load_study(tmp_path / "mine").records] == [0]
    monkeypatch.undo()
    restored(tmp_path)
    study = load_study(tmp_path / "mine")
    assert [record.state for record in study.records] == ["completed"] * 4
    require_own_weights(study)


def test_a_run_that_was_killed_goes_on_from_an_older_state(ray_here, tmp_path):
    space = {"lr": tune.uniform(0.1, 0.8), "flag": ""}
    record = callback(tmp_path, space, explorers=0.4, seed=2, rungs=(2, MAX))
    End.after, End.how = 2 * MAX, crash
    with pytest.raises(TuneError):
        run(
            tmp_path,
            record,
            record.scheduler(),
            space,
            search_alg=record.searcher(OptunaSearch(seed=1)),
            max_concurrent_trials=1,
            num_samples=5,
        )
    before = load_study(tmp_path / "mine")
    results = restored(tmp_path, space)
    study = load_study(tmp_path / "mine")
    require_own_weights(study)
    assert [r.trial_id for r in study.records[: len(before.records)]] == [
        r.trial_id for r in before.records
    ]
    assert len({r.origin for r in study.records}) == len(study.records)
    assert {r.metrics["trial_id"] for r in results} <= {r.origin for r in study.records}
    assert {record.state for record in study.records} <= {"completed", "failed"}
    told = {record.error for record in study.records if record.state == "failed"}
    assert told == {"the run was restored from a state of Ray's in which this trial had not begun"}
    drawn = [record for record in study.records if record.explorer]
    assert len({record.config["lr"] for record in drawn}) == len(drawn)  # none is drawn twice
    for record in drawn:
        assert record.state == "failed" or record.num_epochs == record.budget
    first = before.records[0]
    assert study.header.origin["left_out"] == {"repeated": [first.origin]}
    assert study.records[0].rows == first.rows


def smallest_rate(config):
    """What a trial goes on with after taking over the weights of a better one."""
    return config | {"lr": 0.1}


def test_population_based_training_leaves_whole_configs_only(ray_here, tmp_path):
    training = tune.schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        quantile_fraction=0.5,
        hyperparam_mutations={"lr": RATES, "decay": [0.5]},
        custom_explore_fn=smallest_rate,
    )
    results = run(tmp_path, callback(tmp_path), training)
    study = load_study(tmp_path / "mine")
    assert sorted(record.config["lr"] for record in study.records) == RATES
    require_own_weights(study)
    tags = {r.metrics["trial_id"]: r.metrics["experiment_tag"] for r in results}
    changed = {name for name, tag in tags.items() if "@perturbed" in tag}
    assert changed
    for record in study.records:
        expected = ("stopped", True) if record.origin in changed else ("completed", False)
        assert (record.state, record.num_epochs < MAX) == expected
    origin = study.header.origin
    assert set(origin["left_out"]["changed"]) == changed
    assert origin["left_out"]["unstated"] == ["decay"]
    assert origin["notes"][0].startswith(f"{len(changed)} trials were given another config")
    assert "not all of it" in compute_summary(study).origin
    adopted = adopt_source(str(tmp_path / "ray" / "theirs"), Wanted("accuracy", "max", MAX))
    ours = {record.config["lr"]: record for record in study.records}
    for record in adopted.records:
        if record.config["lr"] != 0.1:  # whose values were drawn again: no file of Ray's tells
            same = ours[record.config["lr"]]
            assert record.state == same.state
            require_part_of(record, same, adopted.notes)
    assert "just before the change may be missing" in " ".join(adopted.notes)


def test_a_trial_that_is_stopped_while_it_waits_has_not_completed(ray_here, tmp_path):
    band = tune.schedulers.HyperBandScheduler(max_t=MAX, reduction_factor=2)
    run(tmp_path, callback(tmp_path), band, num_samples=2)  # its first bracket stops nobody
    study = load_study(tmp_path / "mine")
    require_own_weights(study)
    ends = {(record.state, record.num_epochs == MAX) for record in study.records}
    assert ends == {("completed", True), ("stopped", False)}


class Enough(tune.Stopper):
    """Ends the whole run after some results."""

    left = 9

    def __call__(self, trial_id, result):
        self.left -= 1
        return result["training_iteration"] >= MAX

    def stop_all(self):
        return self.left <= 0


def test_a_limit_of_the_whole_run_stops_its_trials(ray_here, tmp_path):
    run(tmp_path, callback(tmp_path), stop=Enough())
    study = load_study(tmp_path / "mine")
    require_own_weights(study)
    states = {(record.state, record.num_epochs == MAX) for record in study.records}
    assert states <= {("completed", True), ("stopped", False)}
    assert ("stopped", False) in states
