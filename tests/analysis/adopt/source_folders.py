"""What the tests of readers share: is a source as it was?"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of change of all that lies below `folder`."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mtime_ns,
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }


@contextmanager
def unchanged(folder: Path):
    """The body reads what lies in `folder`: no byte, no time and no name is another afterwards."""
    before = state_of(folder)
    yield
    assert state_of(folder) == before
