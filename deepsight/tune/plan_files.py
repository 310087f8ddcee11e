"""Files that a plan is made from: spaces by name or path, experiments as YAML files.

`plan_study` is what the command line and `deepsight.search` have in common.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from deepsight.config import UserError, unknown
from deepsight.imports import REFUSE, Permission, imports_in
from deepsight.installed import experiment_names, folder, space_names
from deepsight.space import Domain, Space, plain
from deepsight.tune.plan import GRANTS, StudyPlan, imports_of, resolve_study, searched_values
from deepsight.yaml_files import find_yaml, read_yaml

EXPERIMENT_KEYS = ("name", "description", "space", "fixed", "study", "resources")
"""What an experiment file may hold: a name, a text, a space, and three tables of values."""


def load_space(name: str) -> tuple[Mapping[str, Domain], Mapping[str, object]]:
    """``SPACE`` and ``FIXED`` of a space by name, or of a Python file by path.

    Raises:
        UserError: If there is no such space or it cannot be read.
    """
    if name in space_names():
        module: Any = importlib.import_module(f"deepsight.search_spaces.{name}")
    elif name.endswith(".py") or "/" in name:
        module = _module_of(Path(name))
    else:
        raise unknown("space", name, [*space_names(), "PATH.py"])
    space = getattr(module, "SPACE", None)
    fixed = getattr(module, "FIXED", {})
    if not isinstance(space, Mapping) or not space or not isinstance(fixed, Mapping):
        raise UserError(
            f"space {name} declares no SPACE.",
            "It needs a dictionary SPACE of domains and may have a dictionary FIXED of values.",
        )
    return space, fixed


def _module_of(path: Path) -> object:
    if not path.is_file():
        raise UserError(f"no space at {path}.", f"Known spaces: {', '.join(space_names())}.")
    spec = importlib.util.spec_from_file_location(f"_space_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file.", "A space is a .py file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        raise UserError(
            f"space {path} cannot be read: {type(error).__name__}: {error}.",
            "It is run as Python; import the domains from deepsight.space.",
        ) from error
    return module


def plan_study(
    space: str | Space | None,
    experiment: str | None,
    name: str | None,
    *layers: Mapping[str, object],
    permission: Permission = REFUSE,
) -> StudyPlan:
    """The plan of a study from what a person names.

    Args:
        space: A space's name, the path of a Python file, or the domains themselves; None leaves
            it to the experiment.
        experiment: A YAML file, by path or by its name in ``experiments/``.
        name: The study's; None leaves it to the experiment, else to space, date and time.
        layers: Values that win over those of space and experiment, later ones over earlier ones.
        permission: What of the code may run that only the experiment names.

    Raises:
        UserError: If something is asked for that does not exist, is wrong or contradicts the rest,
            or the experiment names code that may not run.
    """
    read = load_experiment(experiment) if experiment else {}
    if not space and (space := read.get("space")) not in space_names():
        permission.require({str(space): "space"} if space else {}, f"the experiment {experiment}")
    if not space:
        raise UserError("nothing to search.", f"Give --space: {', '.join(space_names())}.")
    domains, fixed = (space, {}) if isinstance(space, Mapping) else load_space(str(space))
    given = name or read.get("name")
    stem = Path(str(experiment or (space if isinstance(space, str) else "study"))).stem
    made = f"{_plain_name(stem)}-{datetime.now():%Y%m%d-%H%M%S}"
    plan = resolve_study(str(given or made), domains, fixed, read.get("values", {}), *layers)
    named = [*searched_values(domains), *fixed.items()]
    named += [pair for layer in layers for pair in layer.items()]
    permission.also(imports_in(named)).require(imports_of(plan), f"the experiment {experiment}")
    own = None if isinstance(space, Mapping) else {name: plain(v) for name, v in fixed.items()}
    return dataclasses.replace(plan, name_is_made_up=not given, space_fixed=own)


def _plain_name(stem: str) -> str:
    """The name of a file as a study may be called: accents dropped, the rest that is odd a dash."""
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", letters).strip("._-")[:80] or "study"


def load_experiment(name: str) -> dict[str, Any]:
    """An experiment file, by path or by its name in ``experiments/``.

    Returns:
        The keys of `EXPERIMENT_KEYS` that it has, ``values`` holding ``fixed``, ``study`` and
        ``resources`` as one table of dotted names.

    Raises:
        UserError: If it is missing, unreadable, or holds anything else.
    """
    path = _find_experiment(name)
    read = read_yaml(path, "experiment")
    if not isinstance(read, dict):
        raise UserError(
            f"experiment {path} holds no table.", f"Its keys: {', '.join(EXPERIMENT_KEYS)}."
        )
    for key in read:
        if key not in EXPERIMENT_KEYS:
            raise unknown(f"key in {path}:", str(key), EXPERIMENT_KEYS)
    if not isinstance(read.get("space", ""), str | None):
        raise UserError(
            f"space in {path} is no text.",
            "It names a space or a Python file: domains are written there, not in an experiment.",
        )
    values: dict[str, object] = {}
    for table, prefix in (("fixed", ""), ("study", "study."), ("resources", "resources.")):
        entries = read.get(table) or {}
        if not isinstance(entries, dict):
            raise UserError(f"{table} in {path} is no table.", "Indent name: value under it.")
        values |= {f"{prefix}{key}": value for key, value in entries.items()}
    for name in GRANTS:
        if values.get(name, False) not in (False, ""):
            value = values[name] if name == "study.trackers" else "true"
            raise UserError(
                f"{name} in {path}: only the person who starts the study can accept that.",
                f"Remove it there. If you accept it, add --set {name}={value}.",
            )
    return {**read, "values": values}


def _find_experiment(name: str) -> Path:
    bundled = folder("experiments")
    path = find_yaml(name, bundled)
    if path is not None:
        return path
    raise UserError(
        f"no experiment file {name}.", f"Give a path, or one of: {', '.join(experiment_names())}."
    )
