"""Nothing of ours unpickles: opening a file must not run code."""

from __future__ import annotations

import ast

import pytest

from tests.source_modules import Module, modules


def pickle_violations(module: Module) -> list[str]:
    wrong = []
    for imported in module.imports:
        root = imported.name.partition(".")[0]
        if root in {"cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}:
            wrong.append(f"{module}:{imported.line} imports {imported.name}")
        if imported.name.startswith("pickle."):
            wrong.append(f"{module}:{imported.line} takes names from pickle")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
            if node.attr not in {"PicklingError", "UnpicklingError"}:
                wrong.append(f"{module}:{node.lineno} uses pickle.{node.attr}")
        elif isinstance(node, ast.Call):
            wrong += _unsafe_call(module, node)
    return wrong


def _unsafe_call(module: Module, call: ast.Call) -> list[str]:
    function = ast.unparse(call.func)
    given = {k.arg: ast.unparse(k.value) for k in call.keywords}
    unsafe = (
        (function == "torch.load" and given.get("weights_only") != "True")
        or function.endswith(("read_pickle", "to_pickle"))
        or given.get("allow_pickle", "False") != "False"
        or (function.endswith("load_state_dict_from_url") and given.get("weights_only") != "True")
    )
    return [f"{module}:{call.lineno} calls {function} unsafely"] if unsafe else []


def test_nothing_unpickles():
    assert [w for module in modules().values() for w in pickle_violations(module)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import joblib",
        "import pickle\npickle.load(f)",
        "from pickle import loads",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "torch.hub.load_state_dict_from_url(u)",
    ],
)
def test_an_unsafe_load_is_found(source):
    assert len(pickle_violations(Module("m", source))) == 1
