"""Sends a study to Weights & Biases: one run a trial, in one group, and a run for its report.

Where to is said by W&B's own variables (``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_BASE_URL``,
the key), never by a file of a study. The ids of runs follow from the study's and the trial's, so
that the same runs go on. Offline (``WANDB_MODE=offline``) nothing can be asked, and nobody looks at
what grows: a run is written whole when its trial has ended, and moved to its place in one step.
"""

from __future__ import annotations

import hashlib
import netrc
import os
import shutil
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepsight.config import UserError, Value
from deepsight.track.content import StudyContent, TrialContent

if TYPE_CHECKING:
    from wandb import Run, Settings

PROJECT = "deepsight"
"""Where the runs go, unless WANDB_PROJECT says otherwise."""
SERVER = "https://api.wandb.ai"
MOST_OPEN = 16
"""Runs that are open at a time; the one that was used longest ago is closed, and may go on."""
OFFLINE = ("offline", "dryrun")
UNFINISHED = ".deepsight-unfinished"
"""Where runs are written offline until they are whole."""


class WandbSink:
    """A sink for W&B's servers, or its folder of offline runs."""

    def __init__(self) -> None:
        self.sent_runs = self.sent_epochs = 0
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._offline = os.environ.get("WANDB_MODE") in OFFLINE
        self._study: StudyContent | None = None
        self._open: dict[str, tuple[Run, int]] = {}
        """Open runs by trial, each with the last epoch that W&B has, the latest used last."""
        self._done: set[str] = set()
        """Ids of runs that need nothing more."""

    @staticmethod
    def require_ready() -> None:
        """Refuse where W&B would ask for a key.

        Raises:
            UserError: If there is no key and the mode is not offline.
        """
        if os.environ.get("WANDB_MODE") == "disabled":
            raise UserError(
                "the tracker wandb is switched off by WANDB_MODE=disabled.",
                "Unset WANDB_MODE, or leave the tracker away.",
            )
        if os.environ.get("WANDB_MODE") not in OFFLINE and not _has_key():
            raise UserError(
                "the tracker wandb has no API key.",
                "Run wandb login, set WANDB_API_KEY, or set WANDB_MODE=offline.",
            )

    def begin(self, study: StudyContent) -> None:
        """Remember the study; offline find the runs that were written."""
        self._study = study
        for run, _ in self._open.values():
            run.finish()
        self._open.clear()
        if self._offline:
            shutil.rmtree(self._aside, ignore_errors=True)  # of a killed process
            prefix = f"-{self._id('')}"
            written = [path.name for path in _folder().glob("offline-run-*")]
            self._done = {n[n.index(prefix) + 1 :] for n in written if prefix in n}

    def send(self, trial: TrialContent) -> None:
        """Send what W&B lacks of a trial; offline once it has ended."""
        name = self._id(trial.trial_id)
        if name in self._done or (self._offline and trial.ended is None):
            return
        held = self._open.pop(trial.trial_id) if trial.trial_id in self._open else None
        run, last = held or self._begin_trial(trial)
        for epoch in trial.epochs:
            if epoch.epoch > last:
                told: dict[str, float] = {**epoch.metrics, "epoch": epoch.epoch}
                run.log(told, step=epoch.epoch)
                self.sent_epochs += 1
        self._open[trial.trial_id] = run, max(last, trial.last_epoch)
        run.summary["state"] = trial.state
        if trial.ended is not None:
            self._end(trial.trial_id, failed=trial.has_failed)
        elif len(self._open) > MOST_OPEN:
            self._end(next(iter(self._open)), done=False)

    def _begin_trial(self, trial: TrialContent) -> tuple[Run, int]:
        assert self._study is not None
        tags = ["explorer"] if trial.tags["explorer"] == "true" else []
        run = self._init(
            self._id(trial.trial_id), trial.trial_id, "trial", dict(trial.params), tags
        )
        run.config.update({"deepsight": {**trial.tags, "study": self._study.key}})
        if not run.resumed:
            self.sent_runs += 1
        return run, int(run.starting_step) - 1 if run.resumed else 0

    def _init(
        self, run_id: str, name: str, kind: str, config: dict[str, Value], tags: list[str]
    ) -> Run:
        import wandb

        assert self._study is not None
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run_id,
            name=f"{self._study.name} {name}"[:128],
            group=f"{self._study.name} {self._study.key[:8]}"[:128],
            job_type=kind,
            config={**config},
            tags=tags,
            resume=None if self._offline else "allow",
            reinit="create_new",
            settings=_settings(self._offline),
            dir=str(self._aside) if self._offline else None,
        )

    def _end(self, trial_id: str, failed: bool = False, done: bool = True) -> None:
        run, _ = self._open.pop(trial_id)
        self._close(run, failed)
        if done:
            self._done.add(self._id(trial_id))

    def _close(self, run: Run, failed: bool = False) -> None:
        run.finish(exit_code=1 if failed else 0)
        if self._offline:
            for path in (self._aside / "wandb").glob(f"offline-run-*-{run.id}"):
                path.rename(_folder() / path.name)

    def _id(self, name: str) -> str:
        assert self._study is not None
        return f"{self._study.key[:16]}-{name}"

    @property
    def _aside(self) -> Path:
        assert self._study is not None
        path = _folder() / f"{UNFINISHED}-{self._study.key[:16]}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, study: StudyContent, report: Path | None) -> None:
        """Close what is open, and send the report in a run of its own, once a content."""
        import wandb

        for trial_id in list(self._open):
            self._end(trial_id, done=False)
        if self._offline:
            shutil.rmtree(self._aside, ignore_errors=True)
        if report is None or (name := self._id(f"report-{_digest(report)}")) in self._done:
            return
        run = self._init(name, "report", "report", {**study.params, **study.tags}, [])
        run.summary.update({**study.outcome})
        artifact = wandb.Artifact(f"report-{study.key[:16]}", type="report")
        for path in sorted(p for p in report.rglob("*") if p.is_file()):
            artifact.add_file(str(path), str(path.relative_to(report)))
        run.log_artifact(artifact)
        self._close(run)
        self.sent_runs += 1
        self._done.add(name)
        if self._offline:
            shutil.rmtree(self._aside, ignore_errors=True)

    def close(self) -> None:
        """Forget the runs; W&B's own service ends with the process."""
        self._open.clear()


def _settings(offline: bool) -> Settings:
    """Quiet, and without what W&B takes of the machine, the program and its repository."""
    import wandb

    return wandb.Settings(
        mode="offline" if offline else "online",
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        save_code=False,
        disable_job_creation=True,
        host=PROJECT,  # not the machine's name
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _folder() -> Path:
    """W&B's folder of runs: below WANDB_DIR, or the current directory."""
    root = Path(os.environ.get("WANDB_DIR") or ".").expanduser().absolute()
    return root / (".wandb" if (root / ".wandb").is_dir() else "wandb")


def _has_key() -> bool:
    """Whether W&B finds a key without asking; as its own look-up does, without importing it."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = urllib.parse.urlsplit(os.environ.get("WANDB_BASE_URL") or SERVER).hostname
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(server or ""):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _digest(folder: Path) -> str:
    """Of the names and contents of all files in `folder`."""
    found = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content: Any = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(folder)} {content}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:12]
