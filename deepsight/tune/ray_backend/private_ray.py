"""Keeps a Ray that we start to ourselves: it listens on loopback and asks for a token.

Whoever may submit to Ray may run any code with the user's rights. So whatever the shell says
(``RAY_AUTH_MODE=disabled``), a Ray of ours asks for a token, and it listens on 127.0.0.1 only. A
cluster that is joined is its owner's: `deepsight.tune.ray_backend.join_cluster`.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray._private import services

from deepsight.tune.ray_backend.patches import replaced

LOOPBACK = "127.0.0.1"
MODE = "RAY_AUTH_MODE"
GIVEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables by which a user gives Ray a token of their own."""

logger = logging.getLogger(__name__)


@contextmanager
def kept_private() -> Iterator[None]:
    """Start Ray on `LOOPBACK`, with a token that only this user can read.

    Given `LOOPBACK`, Ray 2.60 puts the machine's outer address in its place and then listens on all
    interfaces. It asks for a token by default, but not where `MODE` is set to something else; the
    variable is put back by `deepsight.tune.process_environment`.

    Raises:
        OSError: If the token cannot be written.
    """
    os.environ.pop(MODE, None)
    if not any(os.environ.get(name) for name in GIVEN):
        ensure_token(Path.home() / ".ray" / "auth_token")
    with replaced(services, {"resolve_ip_for_localhost": lambda host: host}):
        yield


def is_private() -> bool:
    """Whether the Ray that was started is: another version may have renamed what we replace."""
    address = ray._private.worker._global_node.node_ip_address
    return os.environ.get(MODE) == "token" and address == LOOPBACK


def ensure_token(path: Path) -> None:
    """Make the file of Ray's token where there is none, and let nobody else read it.

    Args:
        path: The file. One that exists keeps its token.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        handle, name = tempfile.mkstemp(dir=path.parent)  # only its owner may read it
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))  # as Ray's own
        try:
            path.hardlink_to(name)  # not over one that another process has made meanwhile
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
    found = path.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o600)
        logger.info("others on this machine could read %s, Ray's token: they no longer can", path)
