"""The report of a study, made by `analysis` in a process of its own, for a tracker to keep."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deepsight.files import require_plain
from deepsight.installed import HERE

logger = logging.getLogger(__name__)

FOLDER = "report"
LIMIT_S = 600.0
"""The longest that making it may take."""
LOOK_S = 0.1


def made_report(study: Path, stop: Callable[[], bool] = lambda: False) -> Path | None:
    """Make the report of a study, as ``python -m analysis.report`` does; None where it fails.

    Args:
        study: The study's directory.
        stop: Asked meanwhile; true gives up.
    """
    command = [sys.executable, "-m", "analysis.report", str(study.resolve())]
    with subprocess.Popen(  # from where a folder named analysis is ours
        command, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None:
            if stop() or time.monotonic() > deadline:
                process.kill()
                return None
            time.sleep(LOOK_S)
    if process.returncode:
        logger.warning("no report for the trackers: python -m analysis.report says why.")
        return None
    return present_report(study)


def present_report(study: Path) -> Path | None:
    """The folder of the report, None where there is none.

    Raises:
        FileRefusedError: If a link is in it, which would send what it leads to.
    """
    folder = study / FOLDER
    if folder.is_symlink() or not (folder / "index.html").is_file():
        return None
    require_plain(folder)
    return folder
