"""What MLflow has of a study, as its API counts it, against the record."""

from deepsight.track.content import trial_content


def runs_of(client, study):
    """The parent, and the runs of trials by their id, as the server lists them."""
    (experiment,) = client.search_experiments(filter_string="name = 'deepsight'")
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`deepsight.study` = '{study.header.id}'"
    )
    (parent,) = [run for run in found if "deepsight.trial" not in run.data.tags]
    trials = [run for run in found if "deepsight.trial" in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} <= {parent.info.run_id}
    by_id = {run.data.tags["deepsight.trial"]: run for run in trials}
    assert len(by_id) == len(trials)  # nothing doubled
    return parent, by_id


def histories(client, run):
    names = run.data.metrics
    return {
        n: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, n)] for n in names
    }


def require_same(client, study):
    """The server has exactly what the record has."""
    parent, runs = runs_of(client, study)
    assert set(runs) == {record.trial_id for record in study.records}
    for record in study.records:
        run, told = runs[record.trial_id], trial_content(record, study.header)
        assert set(run.data.params) == set(told.params)
        assert run.data.tags["deepsight.state"] == record.state
        ended = "FAILED" if told.has_failed else "FINISHED"
        assert run.info.status == ("RUNNING" if record.ended is None else ended)
        wanted = {}
        for epoch in told.epochs:
            for name, value in {**epoch.metrics, "epoch": epoch.epoch}.items():
                wanted.setdefault(name, []).append((epoch.epoch, value))
        assert histories(client, run) == wanted
    return parent, runs
