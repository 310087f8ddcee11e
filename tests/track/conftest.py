from __future__ import annotations

import pytest

from tests.track.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """MLflow's server for all tests of trackers; each counts the runs of its own study."""
    made = Server(tmp_path_factory.mktemp("mlflow") / "server").start()
    yield made
    made.kill()
