"""What a search changes in the process that runs it, and how all of it is put back.

A search may be one cell of a notebook: the user's own Ray, environment variables and loggers are
afterwards as they were. Handlers of signals are `deepsight.tune.signals`'.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from deepsight.config import UserError

QUIET = {
    "PL_DISABLE_FORK": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_MAX_PENDING_TRIALS_PG": "64",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
}
"""Environment that keeps Ray from printing, logging, reporting usage and saving unread state,
and lets it start all slots at once. PL_DISABLE_FORK is what Tune sets for its workers."""
SET_BY_RAY = (
    "DEEPSIGHT_VERIFIED",  # deepsight/data/cache.py, for the workers
    "LD_LIBRARY_PATH",  # OpenCV, where wide images are read
    "PYTHONBREAKPOINT",
    "RAY_AUTH_MODE",
    "TUNE_RESULT_BUFFER_LENGTH",
)
"""Variables that Ray, and opening data, set in the driver's process and leave there."""
RAY_LOGGERS = ("ray", "ray.tune", "ray.train", "ray.air")
"""Loggers that a search silences."""


@contextmanager
def environment(variables: Mapping[str, str], also: Iterable[str] = SET_BY_RAY) -> Iterator[None]:
    """Set environment variables, and put them back afterwards.

    Args:
        variables: What to set.
        also: Names that others set meanwhile, put back too.
    """
    before = {name: os.environ.get(name) for name in (*variables, *also)}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def levels_of(loggers: Iterable[str] = RAY_LOGGERS) -> Iterator[None]:
    """Put back the levels of `loggers` afterwards."""
    before = {name: logging.getLogger(name).level for name in loggers}
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def require_no_ray() -> None:
    """Refuse to search where the user has started or joined Ray: it would have to be shut down.

    A search needs a connection of its own, made with settings that Ray takes only when it starts.

    Raises:
        UserError: If Ray is initialised in this process.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        raise UserError(
            "Ray is already initialised in this process, by other code than DeepSight's.",
            "Call ray.shutdown() before the search, or search in a process of its own. A cluster "
            "that ray start began stays up and can be used: address='auto' (docs/cluster.md).",
        )
