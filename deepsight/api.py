"""What a notebook calls: a search, its resumption, its report and what decides the score.

`import deepsight` has these names (docs/notebook.md). The command lines stand on the same
functions: `plan_study` and `run_study`, `make_report`. Each of ours takes a study or its path.
`analysis`, which reads studies, is imported by the functions that need it.
"""

from __future__ import annotations

import difflib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from deepsight.config import UserError, Value, check_value, unknown
from deepsight.imports import IMPORTED, Permission
from deepsight.installed import own_analysis
from deepsight.run_store import Study, load_study
from deepsight.space import Space
from deepsight.tune.driver import Outcome, resume_study, run_study
from deepsight.tune.plan import parse_duration, require_directory
from deepsight.tune.plan_files import plan_study
from deepsight.tune.resume import MAY_CHANGE

if TYPE_CHECKING:
    import pandas as pd

    from analysis.importance.indices import Importance
    from deepsight.predict import Prediction
    from deepsight.trained_model import TrainedModel

__all__ = [
    "Report",
    "adopt",
    "classify",
    "compute_importance",
    "diagnose",
    "export_model",
    "load_study",
    "load_trained_model",
    "report",
    "resume",
    "search",
]

StudyLike = Study | str | Path
"""A study, or the directory that holds it."""
SUCCEEDED = ("completed", "stopped")
ALIKE = 0.8
"""How alike a hyperparameter's name and an argument of ours may be: beyond, it is a slip."""


def search(
    space: str | Space | None = None,
    *,
    experiment: str | None = None,
    data: str | None = None,
    trials: int | None = None,
    time_limit: str | float | None = None,
    name: str | None = None,
    address: str | None = None,
    progress: bool = True,
    trust: bool = False,
    **values: Value,
) -> Study:
    """Search, and return the study: ``python -m deepsight.tune`` as a function.

    Args:
        space: What varies: a name, the path of a Python file, or a dictionary of domains.
        experiment: A YAML file that describes the study, by path or by name.
        data: The data set: a name, or ``folder:PATH``.
        trials: Trials in all.
        time_limit: No new epochs after this time: seconds, or a text as ``30m``.
        name: The study's; it is written to ``runs/NAME``. Default: space, date and time.
        address: A running Ray cluster; None starts Ray on this machine and stops it again.
        progress: Whether to tell how it goes.
        trust: Whether Python code may run that only the experiment names (docs/security.md).
        values: Any hyperparameter or setting by its dotted name; pins a searched one.

    Raises:
        UserError: If something asked for is wrong or missing, Ray is already initialised in this
            process, or no trial has succeeded.
        KeyboardInterrupt: If the search was interrupted; its text says how to go on.

    Examples:
        >>> search("finetune", data="folder:photos", **{"study.seed": 1})  # doctest: +SKIP
    """
    _refuse_slips(values, search)
    settings = _settings(trials, time_limit)
    if data is not None:
        settings["data.name"] = data
    permission = Permission(trust=trust)
    plan = plan_study(space, experiment, name, settings, values, permission=permission)
    return _study_of(run_study(plan, address=address, show_progress=progress))


def resume(
    study: StudyLike,
    *,
    data: str | None = None,
    trials: int | None = None,
    time_limit: str | float | None = None,
    address: str | None = None,
    progress: bool = True,
    trust: bool = False,
    **values: Value,
) -> Study:
    """Go on with an interrupted study, or a finished one with more trials, and return it.

    Args:
        study: The study, or its directory.
        data: Where the data are now, as ``folder:PATH``, if they have moved.
        trials: Trials in all; None keeps the number.
        time_limit: As in `search`.
        address: As in `search`.
        progress: As in `search`.
        trust: Whether Python code may run that the study names and `values` do not.
        values: ``study.allow_changed_data`` and ``study.allow_unauthenticated``, where accepted;
            and what of the study's code is named again, as ``study.trainable``.

    Raises:
        UserError: As in `search`; also if it is no study, its data have changed, or something
            else is to change.
        KeyboardInterrupt: As in `search`.
    """
    _refuse_slips(values, resume)
    named = {n: v for n, v in values.items() if n in IMPORTED}
    changes = _settings(trials, time_limit) | {n: values[n] for n in values if n not in named}
    for name in changes:
        if name not in MAY_CHANGE:
            raise UserError(
                f"{name} cannot change a study that has begun.",
                "Only trials and time_limit may change; or start a new study.",
            )
    given = {n.removeprefix("study."): check_value(n, v) for n, v in changes.items()}
    outcome = resume_study(
        require_directory(_directory(study), ["study.json", "trials.jsonl"]),
        address=address,
        show_progress=progress,
        may_exit=False,
        space=None,
        fixed=None,
        data=data,
        named=named,
        permission=Permission(trust=trust),
        allow_changed_data=bool(given.pop("allow_changed_data", False)),
        **given,
    )
    return _study_of(outcome)


@own_analysis()
def adopt(
    source: str | Path | pd.DataFrame,
    directory: str | Path,
    *,
    space: str | Path | None = None,
    **stated: str | int | None,
) -> Study:
    """Make a study of what another tool wrote: ``python -m analysis.adopt`` as a function.

    Args:
        source: What docs/adopt.md names, or a data frame of one row a trial and epoch.
        directory: Where the study is written; must not exist.
        space: A YAML file that states the space, or a part of it.
        stated: ``metric``, ``mode``, ``max_epochs`` and ``study``, as the command takes them.

    Raises:
        UserError: If there is no such source, it leaves open what cannot be worked out, or
            `directory` exists.
    """
    from analysis.adopt.command import adopt as adopt_any

    return adopt_any(source, Path(directory), space, stated)


@dataclass(frozen=True)
class Report:
    """A written report."""

    page: Path
    """The page; Markdown, figures and all numbers stand beside it."""

    def __fspath__(self) -> str:
        return str(self.page)

    @property
    def markdown(self) -> str:
        """The report as Markdown."""
        return self.page.with_name("report.md").read_text(encoding="utf-8")

    def _repr_markdown_(self) -> str:
        """In a notebook: the conclusions, and where the page is."""
        page = os.path.relpath(self.page)
        head = self.markdown.partition("\n## ")[0]
        return f"{head.strip()}\n\nThe report: [{_in_markdown(page)}](<{quote(page)}>)\n"


@own_analysis()
def report(study: StudyLike, *others: StudyLike) -> Report:
    """Write the report of a study as it is on the disk, or compare others with it.

    Args:
        study: The study, or its directory.
        others: Studies that are compared with it; then only the comparison is written.

    Raises:
        UserError: If there is no such study or the disk refuses.
    """
    from analysis.report.build import make_comparison, make_report

    paths = [_directory(each) for each in (study, *others)]
    return Report(make_comparison(paths) if others else make_report(paths[0]))


@own_analysis()
def compute_importance(study: StudyLike, seed: int = 0) -> Importance:
    """Which hyperparameters decide the score at full budget, and how sure that is.

    Args:
        study: The study, or its directory.
        seed: Of everything random in the computation.

    Raises:
        UserError: If there is no such study.
    """
    from analysis.importance.importance import compute_importance as compute

    return compute(study if isinstance(study, Study) else load_study(Path(study)), seed)


def load_trained_model(
    study: StudyLike, trial: str | None = None, device: str | None = None, *, trust: bool = False
) -> TrainedModel:
    """The model of a trial, as it was validated, with its preprocessing.

    Args:
        study: The study, or its directory.
        trial: Its id; None is the incumbent.
        device: "cpu" or "cuda"; None is what suits this machine.
        trust: Whether a network of somebody's own code, which the checkpoint names, may run.

    Raises:
        UserError: If there is no such study, trial or checkpoint, or it names code that may not
            run.
    """
    from deepsight.trained_model import load_trained_model as load

    return load(study, trial, device, permission=Permission(trust=trust))


def classify(
    study: StudyLike,
    images: str | Path | Sequence[str | Path],
    trial: str | None = None,
    *,
    trust: bool = False,
) -> list[Prediction]:
    """Classify image files: ``python -m deepsight.predict`` as a function.

    Args:
        study: The study, or its directory.
        images: A file, a folder, or several; folders stand for the images below them.
        trial: The trial whose model classifies; None is the incumbent.
        trust: As in `load_trained_model`.

    Raises:
        UserError: As in `load_trained_model`; also if there is no such path. A file that cannot be
            read is no error: its prediction says why.
    """
    from deepsight.predict import classify_files, image_files

    files = image_files([images] if isinstance(images, str | Path) else images)
    return list(classify_files(load_trained_model(study, trial, trust=trust), files))


def export_model(
    study: StudyLike,
    trial: str | None = None,
    directory: str | Path | None = None,
    onnx: bool = False,
    *,
    trust: bool = False,
) -> Path:
    """Write a model for others, with a model card: ``python -m deepsight.export`` as a function.

    Args:
        study: The study, or its directory.
        trial: Its id; None is the incumbent.
        directory: Where to; None is ``<study>/export/<trial>``.
        onnx: Whether to write ``model.onnx`` too.
        trust: As in `load_trained_model`.

    Raises:
        UserError: As in `load_trained_model`; also if ONNX fails.
    """
    from deepsight.export import export_model as export

    folder = None if directory is None else Path(directory)
    return export(_directory(study), trial, folder, onnx, Permission(trust=trust))


@own_analysis()
def diagnose(
    study: StudyLike,
    trial: str | None = None,
    *,
    split: str = "test",
    groups: Mapping[str, Sequence[str]] | None = None,
    data: str | None = None,
    masks: str | None = None,
    device: str | None = None,
    layer: str = "",
    epochs_of_attention: str = "",
    trust: bool = False,
) -> Path:
    """Write what a model gets wrong: ``python -m analysis.diagnose`` as a function.

    Args:
        study: The study, or its directory.
        trial: Its id; None is the incumbent.
        split: "test" or "val".
        groups: Names of classes by group, to be compared.
        data: Where the data are now, if they have moved.
        masks: A folder of masks beside ``folder:`` data; None is what the trial was given.
        device: "cpu" or "cuda"; None is what suits this machine.
        layer: Whose maps are made, by its name in the network; empty is the deepest useful one.
        epochs_of_attention: Epochs whose attention is shown, "1,2,9" or "auto", for which the
            trial is trained again; empty: none.
        trust: Whether code of somebody's own (network, data set), which the checkpoint names, may
            run.

    Returns:
        The page.

    Raises:
        UserError: As in `load_trained_model`; also if there are no such data or class.
    """
    from analysis.diagnosis.build import make_diagnosis

    permission = Permission(trust=trust)
    return make_diagnosis(
        _directory(study),
        trial,
        split=split,
        groups=groups,
        data=data,
        masks=masks,
        device=device,
        layer=layer,
        epochs_of_attention=epochs_of_attention,
        permission=permission,
    )


def _settings(trials: int | None, time_limit: str | float | None) -> dict[str, Value]:
    settings: dict[str, Value] = {}
    if trials is not None:
        settings["study.trials"] = trials
    if time_limit is not None:
        seconds = parse_duration(time_limit) if isinstance(time_limit, str) else time_limit
        settings["study.time_limit_s"] = seconds
    return settings


def _refuse_slips(values: Mapping[str, Value], function: object) -> None:
    """Refuse ``trails=3``, which would pin a hyperparameter of that name."""
    known = [n for n in getattr(function, "__kwdefaults__", None) or () if n != "values"]
    for name in values:
        if "." not in name and difflib.get_close_matches(name, known, cutoff=ALIKE):
            raise unknown("argument", name, known)


def _directory(study: StudyLike) -> Path:
    return study.directory if isinstance(study, Study) else Path(study)


def _in_markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>" else c for c in text)


def _study_of(outcome: Outcome) -> Study:
    """The study that a run has written.

    Raises:
        UserError: If no trial has succeeded.
        KeyboardInterrupt: If a signal stopped it.
    """
    where = os.path.relpath(outcome.directory)
    go_on = f"deepsight.resume({where!r})"
    if outcome.signal is not None:
        if outcome.signal != signal.SIGINT:
            signal.raise_signal(outcome.signal)  # with the handler of before, which mostly ends us
        begun = outcome.progress is not None
        raise KeyboardInterrupt(
            f"stopped; go on with {go_on}" if begun else "stopped before the search began"
        )
    study = load_study(outcome.directory)
    if outcome.repeated_failure:
        raise UserError(
            f"the first trials all failed with the same error: {outcome.repeated_failure}",
            f"Fix it; then start a new study, or go on with {go_on}.",
        )
    if not outcome.unfinished and not any(r.state in SUCCEEDED for r in study.records):
        last = next((r.error for r in reversed(study.records) if r.error), None)
        raise UserError(
            f"no trial succeeded; the last error: {last or 'all diverged'}",
            f"All trials are on record: deepsight.load_study({where!r}).",
        )
    return study
