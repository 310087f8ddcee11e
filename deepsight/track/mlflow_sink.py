"""Sends a study to MLflow: one run a study, and in it one run a trial.

Where to is said by MLflow's own variables (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``,
credentials), never by a file of a study. Runs are found by the tags ``deepsight.study`` and
``deepsight.trial``. Each epoch ends with the metric ``epoch``, so that one search tells how far
every trial has been sent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.config import Value
from deepsight.track.content import Epoch, StudyContent, TrialContent, text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "deepsight"
"""Where the runs go, unless MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID says otherwise."""
STUDY_TAG, TRIAL_TAG, PARENT_TAG = "deepsight.study", "deepsight.trial", "mlflow.parentRunId"
EPOCH = "epoch"
BATCH_METRICS, BATCH_PARAMS, PAGE = 900, 90, 1000
"""MLflow takes 1,000 metrics and 100 params in one request, and gives 1,000 runs."""
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}
"""Unless the user has set them: MLflow would try a server that is away for minutes."""


@dataclass
class _Sent:
    """What MLflow has of a trial."""

    run_id: str
    last: int = 0
    """The last epoch that is there."""
    params: set[str] = field(default_factory=set)
    state: str | None = None
    doubtful: bool = False
    """Whether part of the epoch after the last may be there: the sender was killed."""


class MlflowSink:
    """A sink for MLflow's tracking server or its local stores."""

    def __init__(self) -> None:
        self.sent_runs = self.sent_epochs = 0
        self._added = [name for name in PATIENCE if name not in os.environ]
        os.environ.update({name: PATIENCE[name] for name in self._added})
        self._client: MlflowClient | None = None
        self._experiment = self._key = self._parent = ""
        self._trials: dict[str, _Sent] = {}

    @staticmethod
    def require_ready() -> None:
        """Nothing more than the library is needed."""

    def begin(self, study: StudyContent) -> None:
        """Find the runs of the study, or make its parent run."""
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self._client = self._client or MlflowClient()
        self._key = study.key
        self._experiment = _experiment_id(self._client)
        parents: list[Run] = []
        found: dict[str, list[Run]] = {}
        for run in self._runs():
            trial = run.data.tags.get(TRIAL_TAG)
            (parents if trial is None else found.setdefault(trial, [])).append(run)
        self._trials = {trial: _sent(self._one_of(runs)) for trial, runs in found.items()}
        self._parent = self._one_of(parents).info.run_id if parents else self._make_parent(study)
        self._client.update_run(self._parent, status="RUNNING")

    def _runs(self) -> Iterator[Run]:
        """All runs of the study, page by page."""
        assert self._client is not None
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.`{STUDY_TAG}` = '{self._key}'",
                max_results=PAGE,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _one_of(self, runs: Sequence[Run]) -> Run:
        """The run that holds most; the others, which a lost answer made, are deleted."""
        assert self._client is not None
        best, *others = sorted(runs, key=lambda r: (-r.data.metrics.get(EPOCH, 0), r.info.run_id))
        for run in others:
            self._client.delete_run(run.info.run_id)
        return best

    def _make_parent(self, study: StudyContent) -> str:
        assert self._client is not None
        tags = {f"deepsight.{name}": value for name, value in study.tags.items()}
        made = self._client.create_run(
            self._experiment, run_name=study.name, tags=tags | {STUDY_TAG: study.key}
        )
        self._log_params(made.info.run_id, study.params)
        self.sent_runs += 1
        return str(made.info.run_id)

    def send(self, trial: TrialContent) -> None:
        """Send what MLflow lacks of a trial: its run, epochs in order, its state."""
        assert self._client is not None
        sent = self._trials.get(trial.trial_id)
        if sent is None:
            sent = self._trials[trial.trial_id] = self._make(trial)
        self._log_params(
            sent.run_id, {n: v for n, v in trial.params.items() if n not in sent.params}
        )
        sent.params.update(trial.params)
        self._log_epochs(sent, [e for e in trial.epochs if e.epoch > sent.last])
        if sent.state != trial.state:
            self._say_state(sent, trial)

    def _make(self, trial: TrialContent) -> _Sent:
        assert self._client is not None
        tags = {f"deepsight.{name}": value for name, value in trial.tags.items()}
        tags |= {STUDY_TAG: self._key, TRIAL_TAG: trial.trial_id, PARENT_TAG: self._parent}
        made = self._client.create_run(
            self._experiment, _ms(trial.started), tags, run_name=trial.trial_id
        )
        self.sent_runs += 1
        return _Sent(made.info.run_id, state="running" if trial.state == "running" else None)

    def _log_params(self, run_id: str, params: Mapping[str, Value]) -> None:
        from mlflow.entities import Param

        assert self._client is not None
        entries = [Param(name, text(value)) for name, value in params.items()]
        for at in range(0, len(entries), BATCH_PARAMS):
            self._client.log_batch(run_id, params=entries[at : at + BATCH_PARAMS])

    def _log_epochs(self, sent: _Sent, epochs: Sequence[Epoch]) -> None:
        assert self._client is not None
        if epochs and sent.doubtful:
            epochs = self._without_known(sent, epochs)
        batch: list[Metric] = []
        held: list[Epoch] = []
        for epoch in epochs:
            metrics = _metrics(epoch)
            if held and len(batch) + len(metrics) > BATCH_METRICS:
                self._log_metrics(sent, batch, held)
                batch, held = [], []
            batch += metrics
            held.append(epoch)
        if held:
            self._log_metrics(sent, batch, held)

    def _log_metrics(self, sent: _Sent, batch: list[Metric], held: list[Epoch]) -> None:
        assert self._client is not None
        self._client.log_batch(sent.run_id, metrics=batch)
        sent.last = held[-1].epoch
        self.sent_epochs += len(held)

    def _without_known(self, sent: _Sent, epochs: Sequence[Epoch]) -> list[Epoch]:
        """Epochs without the metrics that a killed sender has left of them."""
        assert self._client is not None
        names = {name for epoch in epochs for name in epoch.metrics}
        known = {
            (name, metric.step)
            for name in names
            for metric in self._client.get_metric_history(sent.run_id, name)
        }
        sent.doubtful = False
        return [
            Epoch(
                e.epoch, e.time, {n: v for n, v in e.metrics.items() if (n, e.epoch) not in known}
            )
            for e in epochs
        ]

    def _say_state(self, sent: _Sent, trial: TrialContent) -> None:
        assert self._client is not None
        if trial.ended is not None:
            status = "FAILED" if trial.has_failed else "FINISHED"
            self._client.set_terminated(sent.run_id, status, end_time=_ms(trial.ended))
        self._client.set_tag(sent.run_id, "deepsight.state", trial.state)  # last: all is there
        sent.state = trial.state

    def finish(self, study: StudyContent, report: Path | None) -> None:
        """Say how the study came out, send its report and end its run."""
        assert self._client is not None
        for name, value in study.outcome.items():
            self._client.set_tag(self._parent, f"deepsight.{name}", value)
        if report is not None:
            self._client.log_artifacts(self._parent, str(report), "report")
        status = "FINISHED" if study.finished else "KILLED"
        self._client.set_terminated(self._parent, status)

    def close(self) -> None:
        """Put the environment back."""
        for name in self._added:
            os.environ.pop(name, None)


def _experiment_id(client: MlflowClient) -> str:
    """The experiment that MLflow's variables name, or ours, made if absent."""
    if os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _sent(run: Run) -> _Sent:
    """What a run that is there says of a trial."""
    return _Sent(
        run.info.run_id,
        int(run.data.metrics.get(EPOCH, 0)),
        set(run.data.params),
        run.data.tags.get("deepsight.state"),
        doubtful=True,
    )


def _metrics(epoch: Epoch) -> list[Any]:
    """The metrics of one epoch, with `EPOCH` last."""
    from mlflow.entities import Metric

    at = _ms(epoch.time)
    named = {**epoch.metrics, EPOCH: float(epoch.epoch)}
    return [Metric(name, value, at, epoch.epoch) for name, value in named.items()]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
