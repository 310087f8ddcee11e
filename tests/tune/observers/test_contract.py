"""The contract of every observer: it hears of all that a search tells."""

import importlib
import inspect
import pkgutil

import pytest

import deepsight.tune.observers as package
from deepsight.tune.search.search import Observer

MODULES = [f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__)]
TOLD = {name for name in vars(Observer) if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_an_observer_hears_everything(name):
    classes = [
        c
        for _, c in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if c.__module__ == name and TOLD & set(dir(c))
    ]
    assert classes
    for observer in classes:
        for method in TOLD:
            wanted = inspect.signature(getattr(Observer, method)).parameters
            assert list(inspect.signature(getattr(observer, method)).parameters) == list(wanted)
