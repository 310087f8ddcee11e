"""Checks and preparations before Ray starts: hardware, data, weights, the header of the study.

Importing this module imports neither Ray nor torch nor Optuna, so that errors are reported at once.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import logging
import os
import platform
import subprocess
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepsight.config import (
    HardwareConfig,
    UserError,
    is_import_path,
)
from deepsight.data.cores import num_cores
from deepsight.hardware import choose_hardware
from deepsight.imports import load_object
from deepsight.run_store import describe_data
from deepsight.track.sinks import require_ready
from deepsight.training import prerequisites
from deepsight.tune.plan import StudyPlan, plan_to_json
from deepsight.tune.system_directories import check_directories

logger = logging.getLogger(__name__)

PACKAGES = ("ray", "torch", "torchvision", "optuna", "numpy", "albumentations")
"""Packages whose versions a study records."""
PER_CORE = 4
"""Of ``resources.cpus`` at most for a core: trials that wait for something may share one."""


def with_hardware(plan: StudyPlan) -> StudyPlan:
    """`plan` with every ``hardware.*`` decided for this machine."""
    if plan.own_trainable:
        return plan
    asked = plan.default_trial.hardware
    return decided(plan, choose_hardware(asked, plan.resources.cpus_per_trial))


def decided(plan: StudyPlan, hardware: HardwareConfig) -> StudyPlan:
    """`plan` with `hardware` for all trials."""
    values = {f"hardware.{k}": v for k, v in dataclasses.asdict(hardware).items()}
    return dataclasses.replace(plan, fixed=dict(plan.fixed) | values)


def check_plan(plan: StudyPlan, local: bool = True) -> None:
    """Check within a second or two, before Ray starts, that the plan can run.

    Raises:
        UserError: If data, weights, a trainable, a searcher, a tracker or the resources asked for
            cannot be had.
    """
    check_searcher(plan)
    require_ready(plan.settings.trackers)
    if local:
        check_directories(needs_cache=not plan.own_trainable)
    if plan.own_trainable:
        load_object(plan.settings.trainable)
        if plan.resources.gpus_per_trial == "auto":
            raise UserError(
                "resources.gpus_per_trial=auto cannot measure a trainable of your own.",
                "Give it a number, as 0.5 for two trials a GPU.",
            )
    else:
        prerequisites.check(plan.variants)
    wanted = plan.resources.cpus_per_trial
    if local and wanted > local_cpus(plan):
        raise UserError(
            f"a trial wants {wanted:g} CPUs, the study has {local_cpus(plan)}.",
            "Lower resources.cpus_per_trial or raise resources.cpus.",
        )


def check_searcher(plan: StudyPlan) -> None:
    """Try a searcher that is not ours; it is imported by that.

    Raises:
        UserError: If it cannot search the space.
    """
    if is_import_path(plan.settings.searcher):
        from deepsight.tune.search.named_samplers import check_sampler

        check_sampler(plan)


def prepare_all(plan: StudyPlan) -> dict[str, Any]:
    """Make data and weights available; returns the ``data`` field of the header."""
    if plan.own_trainable:
        return {}
    return prerequisites.prepare(plan.variants)


def tell_data(data: Mapping[str, Any]) -> None:
    """Log the data in a line; nothing for those of a trainable of one's own."""
    if data:
        logger.info("data: %s", describe_data(data))


def preview_data(plan: StudyPlan) -> str:
    """The data in a line for a dry run, which decodes nothing.

    Raises:
        UserError: If they cannot be read; `check_plan` finds that too.
    """
    if plan.own_trainable:
        return "those of the trainable"
    return describe_data(prerequisites.preview(plan.default_trial.data))


def files_needed(plan: StudyPlan) -> tuple[Path, list[str]]:
    """The cache, and the user's files that every machine with trials must see."""
    return prerequisites.files(plan.variants)


def local_cpus(plan: StudyPlan) -> int:
    """CPU cores that the study may use on this machine, where each may stand for `PER_CORE`."""
    return min(plan.resources.cpus or num_cores(), PER_CORE * num_cores())


def require_cores(plan: StudyPlan) -> None:
    """Refuse ``resources.cpus`` far beyond this machine's: Ray starts a process for each.

    A study that is resumed on a smaller machine takes what there is (`local_cpus`).

    Raises:
        UserError: If more than `PER_CORE` a core are asked for.
    """
    if plan.resources.cpus > PER_CORE * num_cores():
        raise UserError(
            f"resources.cpus is {plan.resources.cpus}, and this machine has {num_cores()} cores: "
            "Ray would start a process for each.",
            f"Set resources.cpus to at most {PER_CORE * num_cores()}, or leave it out to use all.",
        )


def make_header(plan: StudyPlan, data: dict[str, Any]) -> dict[str, Any]:
    """All fields of ``study.json`` (docs/run_format.md)."""
    hardware = {k: v for k, v in plan.fixed.items() if k.startswith("hardware.")}
    return plan_to_json(plan) | {
        "id": uuid.uuid4().hex,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "started_in": str(Path.cwd()),
        "data": data,
        "resources": dataclasses.asdict(plan.resources) | {"local_cpus": local_cpus(plan)},
        "hardware": {k.removeprefix("hardware."): v for k, v in hardware.items()},
        "device": hardware.get("hardware.device", "cpu"),
        "git": _git_state(),
        "versions": {"python": platform.python_version(), "deepsight": _version("deepsight")}
        | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Commit of the code that runs and whether it was changed since; None outside its repository.

    Installed inside somebody else's repository (in a virtual environment there), it has none.
    """
    top = Path(__file__).resolve().parents[2]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(top), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=5, env=own
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != top:
            return None
        git("ls-files", "--error-unmatch", __file__)  # pip may install at the top of a repository
        commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "-uno")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}
