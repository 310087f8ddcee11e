"""Studies that were tampered with."""

import shutil
from pathlib import Path

V1 = Path(__file__).parent.parent / "data" / "studies" / "v1" / "smoke"


def copied(study, directory):
    """A copy that a test may spoil."""
    return shutil.copytree(study, directory)
