from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test session's own; an environment variable, so that workers share it."""
    before = os.environ.get("DEEPSIGHT_CACHE")
    path = tmp_path_factory.mktemp("cache")
    os.environ["DEEPSIGHT_CACHE"] = str(path)
    yield path
    if before is None:
        del os.environ["DEEPSIGHT_CACHE"]
    else:
        os.environ["DEEPSIGHT_CACHE"] = before


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """No test is told anything by those before it: by their directory, nor by variables.

    Ray, MLflow and W&B set variables that processes started later would obey.
    """
    directory, variables = Path.cwd(), dict(os.environ)
    yield
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
    if (left_in := Path.cwd()) != directory:
        os.chdir(directory)
        pytest.fail(f"the test left its process in {left_in}")


@pytest.fixture(scope="session")
def trained_study(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `tests.trained.stripes_study`; shared, so it is only read."""
    from tests.trained import stripes_study  # imports torch and Ray

    return stripes_study(tmp_path_factory.mktemp("trained") / "stripes")
