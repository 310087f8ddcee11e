"""Specification of one trial for a worker. Importing this module does not import Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepsight.config import Value
from deepsight.files import make_folder
from deepsight.tune.plan import StudyPlan

if TYPE_CHECKING:
    from deepsight.tune.search.searcher import Proposal


@dataclass(frozen=True)
class TrialSpec:
    """One trial for a worker to run."""

    trial_id: str
    folder: str
    """Where the trial's files go: an absolute path that every worker sees."""
    config: Mapping[str, Value]
    """All hyperparameters."""
    trainable: str
    """Import path of a generator of the user's; empty for DeepSight's own training."""
    known_epochs: int
    """Epochs on record; a checkpoint of a later epoch holds that epoch's row too."""
    budget: int
    """Epochs of this trial."""
    pack: str = ""
    """Name of the study's pack of ``data.name``; empty for a trainable of the user's."""
    fingerprint: str = ""
    """Of that pack."""
    study: str = ""
    """The study's ``id``, which checkpoints carry; empty for none."""

    def to_ray(self) -> dict[str, str]:
        """The form that Ray carries."""
        return {"spec": json.dumps(asdict(self))}


def make_trial_spec(
    plan: StudyPlan,
    directory: Path,
    packs: Mapping[str, Mapping[str, str]],
    proposal: Proposal,
    known_epochs: int,
    study: str = "",
) -> TrialSpec:
    """The spec for `proposal`; trial k trains with seed ``train.seed + study.seed + k``.

    Where ``train.seed`` is a hyperparameter of the space, its value is the trial's seed.

    Args:
        plan: The study's.
        directory: The study's.
        packs: By ``data.name``, ``pack`` and ``fingerprint`` of the data that the study has.
        proposal: The trial.
        known_epochs: How many of its epochs are on record.
        study: The study's ``id``.
    """
    folder = make_folder(directory, ["trials", proposal.trial_id])
    config = plan.full_config(proposal.config)
    if not plan.own_trainable and "train.seed" not in plan.space:
        seed = int(config["train.seed"] or 0) + plan.settings.seed + proposal.number
        config["train.seed"] = seed % 2**31
    return TrialSpec(
        trial_id=proposal.trial_id,
        folder=str(folder),
        config=config,
        trainable=plan.settings.trainable,
        known_epochs=known_epochs,
        budget=proposal.budget,
        study=study,
        **packs.get(str(config.get("data.name")), {}),
    )


def sizes(config: Mapping[str, Value]) -> str:
    """The settings that decide about a trial's memory; all numbers of a user's own trainable."""
    if "optim.batch_size" in config:
        side = config.get("data.image_size") or "native"
        return f"batch size {config['optim.batch_size']}, image size {side}"
    numbers = {n: v for n, v in config.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} = {value}" for name, value in numbers.items())[:300]
