"""Somebody else's Ray Tune run leaves a study, the same as Ray's own results."""

import math
import warnings

import pytest
from ray import tune
from ray.tune.search.optuna import OptunaSearch

import deepsight
from analysis.summary import compute_summary, summary_lines
from deepsight import UserError
from deepsight.run_store import load_study
from deepsight.space import Choice, Float, Int
from deepsight.tune.external_runs.ray_spaces import read_space

MAX = 9
SPACE = {
    "optim": {"lr": tune.loguniform(1e-4, 1e-1), "name": tune.choice(["sgd", "adam"])},
    "width": tune.randint(4, 9),
    "layers": tune.choice([[8], [8, 8]]),
    "images": 100,
}


def train(config):
    """A curve that depends on the learning rate; at the largest width it raises or diverges."""
    goal = 1 - 0.05 * (math.log10(config["optim"]["lr"]) + 2.5) ** 2
    for epoch in range(1, MAX + 1):
        score = goal - 0.5 / epoch
        if config["width"] == 8 and epoch == 2:
            if config["optim"]["name"] == "sgd":
                raise RuntimeError("planted failure")
            score = float("nan")
        tune.report({"accuracy": score, "nested": {"loss": 1 - score}, "epoch": epoch - 1})
        if math.isnan(score):
            return


def run(tmp_path, callback, search_alg, scheduler, samples=14):
    tuner = tune.Tuner(
        train,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=samples,
            search_alg=search_alg,
            scheduler=scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "ray"), callbacks=[callback], verbose=0
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuner.fit()


def test_a_run_with_asha_and_optuna_is_the_same_in_our_record(ray_here, tmp_path):
    callback = deepsight.ray_callback(
        tmp_path / "mine",
        metric="accuracy",
        mode="max",
        max_epochs=MAX,
        space=SPACE,
        explorers=0.3,
        seed=3,
    )
    asha = tune.schedulers.ASHAScheduler(max_t=MAX, grace_period=1, reduction_factor=3)
    search = callback.searcher(OptunaSearch(seed=1))
    results = run(tmp_path, callback, search, callback.scheduler(asha))
    study = load_study(tmp_path / "mine")
    assert len(study.records) == len(results) == 14
    theirs = {r.metrics["trial_id"]: r for r in results if r.metrics}
    for record in study.records:
        if not record.rows:
            continue
        result = theirs[record.rows[0]["ray_trial"]]
        seen = result.metrics_dataframe["accuracy"].tolist()
        ours = [row["accuracy"] for row in record.rows]
        assert [v for v in ours if v is not None] == [v for v in seen if not math.isnan(v)]
        assert len(ours) == len(seen)
        assert record.config["optim.lr"] == result.config["optim"]["lr"]
        assert record.config["layers"] == str(result.config["layers"])
        assert (record.state == "failed") == (result.error is not None)
        assert (record.state == "diverged") == (None in ours)
    states = {record.state for record in study.records}
    assert states <= {"completed", "stopped", "failed", "diverged"}
    explorers = [record for record in study.records if record.explorer]
    assert [r.trial_id for r in explorers] == ["t0003", "t0006", "t0009", "t0013"]
    for record in explorers:
        assert record.state in ("completed", "failed", "diverged")  # never stopped for its score
        assert record.state != "completed" or record.num_epochs == record.budget
    best = results.get_best_result(filter_nan_and_inf=True).metrics["trial_id"]
    full = [r for r in study.records if study.has_full_budget(r)]
    assert best in {r.rows[-1]["ray_trial"] for r in full} or not full
    assert study.adopted
    assert not study.unexplored
    assert compute_summary(study).origin == "recorded while ray_tune ran"
    assert study.header.scheduler == "AsyncHyperBandScheduler"
    assert any("accuracy" in line for line in summary_lines(compute_summary(study)))


def test_a_study_that_cannot_be_written_costs_the_run_nothing(ray_here, tmp_path, caplog):
    callback = deepsight.ray_callback(
        tmp_path / "mine", metric="accuracy", mode="max", max_epochs=MAX, space=SPACE
    )
    (tmp_path / "mine").write_text("taken meanwhile")
    results = run(tmp_path, callback, None, None, samples=2)
    assert len(results) == 2
    assert caplog.text.count("is not written any more") == 1


def test_rays_domains_become_ours():
    read = read_space(
        {
            "a": {"b": tune.uniform(0, 1), "c": tune.quniform(0, 4, 0.5)},
            "n": tune.lograndint(1, 100),
            "g": tune.grid_search([1, 2]),
            "ours": deepsight.randint(1, 3),
            "k": "fixed",
        }
    )
    assert read.space == {
        "a.b": Float(0.0, 1.0),
        "a.c": Float(0.0, 4.0),
        "n": Int(1, 99, log=True),
        "g": Choice((1, 2)),
        "ours": Int(1, 3),
    }
    assert read.fixed == {"k": "fixed"}
    assert read.flat({"a": {"b": 0.5}, "n": 3}) == {"a.b": 0.5, "n": 3}
    assert read.nested({"a.b": 0.5, "k": "fixed"}) == {"a": {"b": 0.5}, "k": "fixed"}
    listed = read_space({"x": tune.choice([[1], [2]])})
    assert listed.nested({"x": "[2]"}) == {"x": [2]}


@pytest.mark.parametrize("domain", [tune.randn(), tune.sample_from(lambda spec: 1), 3])
def test_a_space_without_bounds_is_refused(domain):
    with pytest.raises(UserError) as refused:
        read_space({"x": domain})
    assert refused.value.remedy


def test_wrong_arguments_are_refused_before_the_run(tmp_path):
    wanted = {"metric": "a", "mode": "max", "max_epochs": 9, "space": SPACE}
    for wrong in ({"mode": "up"}, {"max_epochs": 0}, {"explorers": 1.0}, {"rungs": [9, 3]}):
        with pytest.raises(UserError):
            deepsight.ray_callback(tmp_path / "s", **(wanted | wrong))
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="exists already"):
        deepsight.ray_callback(tmp_path / "there", **wanted)
