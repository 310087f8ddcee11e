"""Spaces as text that may be edited: YAML, one hyperparameter a line. It is data, never code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepsight.config import UserError, Value
from deepsight.space import Choice, Domain, from_json, to_json
from deepsight.space_checks import check_stored
from deepsight.yaml_files import read_yaml

IGNORE = "ignore"
"""What a file says of a hyperparameter that is to be left out."""
FORM = "{type: float, low: 0.1, high: 1.0, log: false}"
_EXPONENT = re.compile(r"^(-?\d+)(e[+-]\d+)$")


def read_space(path: Path) -> tuple[dict[str, Domain], tuple[str, ...]]:
    """The domains that a file states, and the names that it says to ignore.

    Args:
        path: YAML as `space_text` writes it, or the ``study.json`` of a study, whose space is
            taken.

    Raises:
        UserError: If the file cannot be read or states no sound space.
    """
    if path.suffix == ".py":
        raise UserError(
            f"{path} is Python, which is code: a space of an adopted study is data.",
            "Write it as YAML; --dry-run prints one to begin with.",
        )
    content = read_yaml(path, "space")
    if isinstance(content, dict) and "schema_version" in content:
        content = content.get("space")
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{path} states no space.", f"It has lines of the form NAME: {FORM}.")
    stated = {name: entry for name, entry in content.items() if entry != IGNORE}
    for name, entry in stated.items():
        if not isinstance(entry, dict):
            raise UserError(
                f"{path}: {name} must be a domain or {IGNORE}, got {entry!r}.",
                f"Write {name}: {FORM}.",
            )
    try:
        space = from_json({n: _complete(entry) for n, entry in stated.items()})
        check_stored(space)
    except UserError as error:
        remedy = error.remedy.replace("docs/run_format.md", "docs/adopt.md")
        raise UserError(f"{path}: {error.cause}", remedy) from error
    return space, tuple(name for name, entry in content.items() if entry == IGNORE)


def _complete(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry whose ``log`` may be left out."""
    return {"log": False, **entry} if entry.get("type") != "choice" else dict(entry)


def space_text(space: Mapping[str, Domain], reasons: Mapping[str, str]) -> str:
    """The space as YAML, with the reason behind what was inferred."""
    lines = []
    for name, entry in to_json(space).items():
        reason = f"  # inferred: {reasons[name]}" if name in reasons else ""
        lines.append(f"{_scalar(name)}: {_inline(entry)}{reason}")
    return "".join(f"{line}\n" for line in lines)


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return _scalar(value)  # type: ignore[arg-type]


def _scalar(value: Value) -> str:
    """A value as YAML reads it back; 1e-05 would be a text."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w.]*", value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value)
    return _EXPONENT.sub(r"\1.0\2", json.dumps(value))


_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "none", "y", "n", IGNORE}
"""Texts that YAML, or we, would take for something else."""


def describe_domain(domain: Domain) -> str:
    """A domain in a few words."""
    if isinstance(domain, Choice):
        return "choice of " + ", ".join(map(str, domain.values))
    kind = "whole numbers" if isinstance(domain.low, int) else "numbers"
    scale = ", logarithmic" if domain.log else ""
    return f"{kind} from {domain.low:g} to {domain.high:g}{scale}"
