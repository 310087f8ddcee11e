"""What results of Ray Tune say of their trial's config, and where a scheduler changed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.adopt.values import plain_config
from deepsight.config import Value

TAG = "experiment_tag"
"""Field with the values of a trial, in folders of older versions of Ray."""
CHANGES = "pbt_global.txt"
"""Where population based training lists what it changed; a trainable may change its own config."""
Result = Mapping[str, Any]


def config_in(result: Result) -> dict[str, Value]:
    """What a result says of its trial's config; empty where it says nothing."""
    if isinstance(result.get("config"), dict):
        return plain_config(result["config"])
    listed = {k[7:]: v for k, v in result.items() if k.startswith(("config/", "config."))}
    return plain_config({k.replace("/", "."): v for k, v in listed.items()})


def until_change(results: Sequence[Result]) -> Sequence[Result]:
    """The results before a scheduler gave the trial another config.

    ``params.json`` then holds the last config, with which the first epochs were not trained.
    """
    for position, result in enumerate(results):
        if _is_other(results[0], result):
            return results[:position]
    return results


def _is_other(first: Result, later: Result) -> bool:
    """Whether two results of a trial are of two configs.

    Texts of objects have addresses, which change when a run is restored.
    """
    if first.get("config") == later.get("config") is not None:
        return False
    one, other = (
        {k: v for k, v in config_in(result).items() if " at 0x" not in str(v)}
        for result in (first, later)
    )
    return bool(one and other) and one != other
