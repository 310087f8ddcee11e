from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def variables_put_back() -> Iterator[None]:
    """Ray, MLflow and W&B set variables that processes started later would obey."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test session's own; an environment variable, so that workers share it."""
    path = tmp_path_factory.mktemp("cache")
    with variables_put_back():
        os.environ["DEEPSIGHT_CACHE"] = str(path)
        yield path


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """A fixture of several files leaves no variable either, but for `cache`, which is to be seen.

    Such a fixture is made before `variables_of_a_module` looks at what was there.
    """
    if fixturedef.scope not in ("session", "package") or fixturedef.argname == "cache":
        return (yield)
    with variables_put_back():
        return (yield)


@pytest.fixture(scope="module", autouse=True)
def variables_of_a_module() -> Iterator[None]:
    """What the fixtures of a file of tests set is not there for the next file."""
    with variables_put_back():
        yield


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """No test is told anything by those before it: by their directory, nor by variables."""
    directory = Path.cwd()
    with variables_put_back():
        yield
    if (left_in := Path.cwd()) != directory:
        os.chdir(directory)
        pytest.fail(f"the test left its process in {left_in}")


@pytest.fixture(scope="session")
def trained_study(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `tests.trained.stripes_study`; shared, so it is only read."""
    from tests.trained import stripes_study  # imports torch and Ray

    return stripes_study(tmp_path_factory.mktemp("trained") / "stripes")
