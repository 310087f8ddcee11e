"""The findings of fresh seeds of a config, which `deepsight.confirm` trained, each kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.diagnosis.findings import Finding, Findings
from analysis.diagnosis.progress import Progress
from analysis.diagnosis.stability.seed_findings import SeedFinding, SeedFindings
from analysis.diagnosis.stored import kept_or_computed
from deepsight.config import UserError
from deepsight.confirm.record import FOLDER
from deepsight.files import FileRefusedError
from deepsight.imports import Permission
from deepsight.run_store import StorageError, Study, TrialRecord, load_study
from deepsight.space import same
from deepsight.trained_model import TrainedModel, load_trained_model, trials_with_checkpoint

FILE = "findings.npz"
VARIED = ("train.seed", "data.split_seed")
"""What the runs of one config differ in."""

logger = logging.getLogger(__name__)

Diagnose = Callable[[TrainedModel, Path], Findings]
"""Findings of a model on the diagnosed split; what is computed on the way goes to the folder."""


@dataclass(frozen=True)
class Seeds:
    """The fresh seeds of a config.

    Attributes:
        found: One a seed.
        missing: Seeds that could not be asked, each with the reason.
    """

    found: tuple[SeedFindings, ...] = ()
    missing: tuple[str, ...] = ()


def findings_of_seeds(
    model: TrainedModel,
    diagnose: Diagnose,
    directory_of: Callable[[TrainedModel], Path],
    made_from: dict[str, object],
    permission: Permission,
    progress: Progress,
) -> Seeds:
    """Diagnose every fresh seed of the model's config that a confirmation trained to the end.

    Args:
        model: Of a trial of the search.
        diagnose: Finds what is wrong with one model.
        directory_of: Where its diagnosis goes; made.
        made_from: What the findings depend on besides model and code.
        permission: Whether code that the checkpoints name may run.
        progress: Is told how far it is.

    Raises:
        StorageError: If the disk does not let us write.
        FileRefusedError: If something on the way is a link.
    """
    study = confirmation_of(model.study)
    runs = [] if study is None else runs_of_config(model, study)
    if study is None or not runs:
        return Seeds()
    found, missing = [], []
    for record in progress(runs, f"findings of {len(runs)} fresh seeds"):
        try:
            other = load_trained_model(
                study, record.trial_id, model.device.type, permission=permission
            )
            found.append(_findings(other, diagnose, directory_of(other), made_from))
        except (StorageError, FileRefusedError):
            raise
        except UserError as error:
            missing.append(f"{record.trial_id}: {error.cause}")
            logger.warning("left out, %s", missing[-1])
    return Seeds(tuple(found), tuple(missing))


def confirmation_of(study: Study) -> Study | None:
    """The study below a search that holds its fresh seeds; None where there is none."""
    directory = study.directory / FOLDER
    return load_study(directory) if (directory / "study.json").is_file() else None


def runs_of_config(model: TrainedModel, study: Study) -> list[TrialRecord]:
    """Trials of a confirmation that have the model's config and the full budget, one a seed.

    Args:
        model: Of a trial of the search.
        study: The confirmation.
    """
    config = model.study.record(model.trial_id).config
    names = [name for name in model.study.space if name not in VARIED]
    saved = set(trials_with_checkpoint(study))
    return [
        record
        for record in study.records
        if record.trial_id in saved
        and study.has_full_budget(record)
        and all(name in record.config and same(record.config[name], config[name]) for name in names)
    ]


def _findings(
    model: TrainedModel, diagnose: Diagnose, directory: Path, made_from: dict[str, object]
) -> SeedFindings:
    def compute() -> SeedFindings:
        items = diagnose(model, directory).items
        return SeedFindings(model.trial_id, model.config.train.seed, tuple(map(as_seed, items)))

    about = made_from | {"checkpoint": model.sha256, "data": model.fingerprint, "code": _code()}
    return kept_or_computed(directory / FILE, about, SeedFindings, compute)


def as_seed(finding: Finding) -> SeedFinding:
    """What is compared of a finding."""
    labels = tuple(sorted(finding.labels))
    return SeedFinding(finding.kind, labels, finding.number, finding.p_value)


def _code() -> str:
    """A digest of the code that decides findings."""
    here = Path(__file__).parents[1]
    files: Sequence[Path] = [here / "findings.py", here / "evaluation.py", Path(__file__)]
    digest = hashlib.sha256()
    for file in sorted([*files, *(here / "evidence").glob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
