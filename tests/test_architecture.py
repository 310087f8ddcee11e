"""The layers, walked through the imports: who may lean on whom, and on which library.

A new unit gets a line in `UNITS`, below all that it may import. A rule that is in the way is
changed here, with the reason in docs/decisions/.
"""

from __future__ import annotations

import ast
import statistics
import sys
from dataclasses import dataclass

import pytest

from tests.source_modules import (
    PACKAGES,
    ROOT,
    Module,
    functions,
    loaded_by,
    mentions_open_test,
    modules,
    only_names,
    within,
)

ANY = frozenset({"*"})


@dataclass(frozen=True)
class Unit:
    """What a unit (a module, or a package and all in it) may import besides itself."""

    project: frozenset[str]
    third_party: frozenset[str]


def unit(project: str = "", third_party: str = "") -> Unit:
    return Unit(frozenset(project.split()), frozenset(third_party.split()))


CORE = (
    "deepsight.command_line deepsight.config deepsight.files deepsight.imports "
    "deepsight.installed deepsight.overrides"
)
STUDY = (
    f"{CORE} deepsight.space deepsight.run_store deepsight.run_store.predictions "
    "deepsight.schedulers"
)
TRAINS = (
    f"{CORE} deepsight.hardware deepsight.metrics deepsight.data deepsight.augment "
    "deepsight.models deepsight.models.weights deepsight.losses deepsight.checkpoint"
)
NUMBERS = "analysis.statistics.intervals analysis.page.formatting"
COMPUTES = (
    f"{NUMBERS} analysis.summary analysis.statistics analysis.importance "
    "analysis.importance.indices"
)
SCIENCE = "numpy pandas scipy sklearn matplotlib plotly rich yaml jinja2 markupsafe threadpoolctl"

UNITS = {
    "deepsight.values": unit(),
    "deepsight.files": unit("deepsight.values", "numpy"),
    "deepsight.config": unit("deepsight.values"),
    "deepsight.standard_streams": unit("deepsight.values"),
    "deepsight.command_line": unit("deepsight.values deepsight.standard_streams"),
    "deepsight.notebook": unit("deepsight.config"),
    "deepsight.imports": unit("deepsight.config"),
    "deepsight.overrides": unit("deepsight.config"),
    "deepsight.yaml_files": unit("deepsight.config deepsight.files", "yaml"),
    # where spaces, experiments and `analysis` are, however DeepSight was installed
    "deepsight.installed": unit(),
    "deepsight.__main__": unit("deepsight.command_line deepsight.installed"),
    "deepsight.search_spaces": unit("deepsight.installed"),
    "deepsight.space": unit("deepsight.config"),
    "deepsight.space_checks": unit("deepsight.config deepsight.space"),
    # rules without a library, for both halves
    "deepsight.data.class_balance": unit(),
    "deepsight.data.cores": unit(),
    "deepsight.run_store.format": unit("deepsight.config"),
    "deepsight.run_store.objective": unit(),
    "deepsight.run_store.header": unit(
        "deepsight.config deepsight.space deepsight.space_checks deepsight.run_store.format"
    ),
    "deepsight.run_store.study": unit(
        "deepsight.config deepsight.data.class_balance deepsight.notebook deepsight.space "
        "deepsight.run_store.format "
        "deepsight.run_store.header deepsight.run_store.objective",
        "pandas",
    ),
    "deepsight.run_store.lock": unit(
        "deepsight.config deepsight.files deepsight.run_store.format", "psutil"
    ),
    "deepsight.run_store.predictions": unit("deepsight.files", "numpy"),
    "deepsight.run_store": unit(
        "deepsight.config deepsight.files deepsight.space deepsight.run_store.format "
        "deepsight.run_store.header "
        "deepsight.run_store.objective deepsight.run_store.study deepsight.run_store.lock"
    ),
    # what a confirmation found, for reports and summaries
    "deepsight.confirm.record": unit("deepsight.config deepsight.files deepsight.run_store"),
    "deepsight.confirm.variants": unit(
        "deepsight.config deepsight.files deepsight.space deepsight.run_store "
        "deepsight.confirm.record"
    ),
    # the tests of claims are those of a confirmation
    "deepsight.confirm.statistics": unit("deepsight.confirm.record", "numpy statsmodels"),
    "deepsight.schedulers": unit(),
    # the trackers of others; the report of `analysis` is made in a process of its own
    "deepsight.track": unit(STUDY, "mlflow wandb"),
    "deepsight.optuna_distributions": unit("deepsight.space", "optuna"),
    "deepsight.metrics": unit("", "numpy"),
    "deepsight.hardware": unit("deepsight.config", "torch"),
    "deepsight.data": unit(
        f"{CORE} deepsight.data.class_balance deepsight.data.cores",
        "numpy PIL pillow_heif cv2 sklearn torchvision",
    ),
    "deepsight.augment": unit(CORE, "numpy torch albumentations cv2"),
    # the cache's directory and the checked download are shared with the data sets; the table says
    # what the drawings depend on that embedded weights are made from
    "deepsight.models.weights": unit(
        f"{CORE} deepsight.data.cache deepsight.data.download deepsight.data.datasets"
    ),
    "deepsight.models": unit(
        f"{CORE} deepsight.models.weights", "numpy safetensors torch torchvision"
    ),
    "deepsight.losses": unit(CORE, "torch"),
    "deepsight.checkpoint": unit(CORE, "numpy torch"),
    "search_spaces": unit("deepsight.space deepsight.search_spaces"),
    "deepsight.training": unit(TRAINS, "numpy torch"),
    # a command of its own: it reads --space and --set and draws
    "deepsight.training.lr_finder": unit(f"{TRAINS} deepsight.training", "numpy torch matplotlib"),
    "deepsight.pretrain": unit(f"{TRAINS} deepsight.data.cores deepsight.training", "numpy torch"),
    "deepsight.tune": unit(
        f"{STUDY} deepsight.track deepsight.space_checks deepsight.optuna_distributions "
        "deepsight.notebook "
        "deepsight.yaml_files deepsight.schedulers deepsight.hardware deepsight.checkpoint "
        "deepsight.training deepsight.data.cache deepsight.data.class_balance deepsight.data.cores",
        "ray grpc optuna yaml rich numpy scipy threadpoolctl PIL psutil tensorboard",
    ),
    "deepsight.trained_model": unit(f"{STUDY} {TRAINS}", "numpy torch"),
    "deepsight.confirm": unit(
        f"{STUDY} {TRAINS} deepsight.tune deepsight.trained_model deepsight.confirm.record "
        "deepsight.confirm.variants deepsight.confirm.statistics",
        "numpy statsmodels",
    ),
    "deepsight.model_card": unit(f"{STUDY} {TRAINS} deepsight.trained_model", "scipy yaml"),
    "deepsight.export": unit(
        f"{STUDY} {TRAINS} deepsight.trained_model deepsight.model_card",
        "torch safetensors onnx onnxruntime onnxscript",
    ),
    "analysis.statistics.intervals": unit("", "numpy scipy"),
    "analysis.page.formatting": unit(
        "deepsight.config deepsight.space analysis.statistics.intervals"
    ),
    "analysis.summary": unit(
        f"{STUDY} deepsight.data.class_balance deepsight.confirm.record analysis.page.formatting",
        "rich",
    ),
    "analysis.statistics": unit(
        f"{STUDY} {NUMBERS} analysis.summary deepsight.schedulers deepsight.data.class_balance",
        "numpy scipy",
    ),
    "analysis.importance.indices": unit("analysis.statistics.intervals deepsight.notebook"),
    # a peer's view
    "analysis.importance.fanova": unit(
        f"{STUDY} {NUMBERS} deepsight.optuna_distributions analysis.importance.indices",
        "numpy optuna",
    ),
    "analysis.importance": unit(
        f"{STUDY} {NUMBERS} deepsight.metrics analysis.importance.indices "
        "analysis.importance.fanova deepsight.data.cores",
        "numpy scipy sklearn threadpoolctl",
    ),
    "analysis.figures": unit(
        f"{COMPUTES} deepsight.config deepsight.confirm.record", "numpy matplotlib plotly"
    ),
    "analysis.page": unit(
        "deepsight.config deepsight.files deepsight.notebook analysis.page.formatting "
        "analysis.figures",
        "jinja2 markupsafe matplotlib plotly",
    ),
    # reads what other tools wrote; their libraries are imported where a source needs them
    "analysis.adopt": unit(
        f"{STUDY} deepsight.optuna_distributions deepsight.space_checks deepsight.yaml_files",
        "numpy pandas optuna sqlalchemy yaml tensorboard google",
    ),
    "analysis.report": unit(
        f"{STUDY} {COMPUTES} deepsight.data.class_balance deepsight.confirm.record "
        "analysis.adopt analysis.figures analysis.page",
        "scipy",
    ),
    "analysis.claims": unit(
        f"{STUDY} {COMPUTES} search_spaces deepsight.yaml_files deepsight.data.class_balance "
        "deepsight.confirm.record deepsight.confirm.variants deepsight.confirm.statistics "
        "analysis.figures analysis.page",
        "numpy scipy statsmodels matplotlib",
    ),
    # the command shows what it found, which analysis draws; and runs what analysis leaves open
    "deepsight.confirm.claims": unit(
        f"{STUDY} deepsight.tune deepsight.confirm deepsight.confirm.variants analysis.claims"
    ),
    "deepsight.confirm.cli": unit(
        f"{STUDY} deepsight.tune deepsight.confirm deepsight.confirm.record "
        "deepsight.confirm.variants deepsight.confirm.statistics deepsight.confirm.claims "
        "analysis.importance analysis.report"
    ),
    "deepsight.confirm.__main__": unit("deepsight.confirm.cli"),
    "analysis": unit(f"{STUDY} {COMPUTES} analysis.report deepsight.metrics", SCIENCE),
    # the weights of earlier epochs are not kept: the one place of analysis that trains (0066)
    "analysis.diagnosis.training.retraining": unit(
        f"{STUDY} {TRAINS} deepsight.trained_model deepsight.training"
    ),
    "analysis.diagnosis": unit(
        f"{STUDY} {TRAINS} {COMPUTES} deepsight.data.class_balance deepsight.trained_model "
        "deepsight.confirm.record analysis.diagnosis.training.retraining analysis.figures "
        "analysis.page",
        f"{SCIENCE} torch torchvision captum PIL cv2",
    ),
    "analysis.diagnose": unit(f"{CORE} deepsight.run_store analysis.diagnosis"),
    # --map draws what diagnosis maps (decision 0061): above it, and imported where it is asked for
    "deepsight.predict": unit(
        f"{STUDY} {TRAINS} deepsight.trained_model analysis.diagnosis", "numpy torch PIL"
    ),
    # the face, which `import deepsight` shows: above both halves, so that neither leans on it
    "deepsight.api": unit(
        f"{STUDY} deepsight.tune deepsight.trained_model deepsight.predict deepsight.export "
        "analysis.importance analysis.importance.indices analysis.report analysis.diagnosis "
        "analysis.adopt",
        "pandas",
    ),
    "benchmarks": Unit(ANY, ANY),
}

HEAVY = {"torch", "torchvision", "albumentations", "ray", "sklearn", "pandas", "optuna"}
LIGHT = {
    "deepsight.api": HEAVY | {"matplotlib", "scipy"},
    "deepsight.__main__": HEAVY | {"numpy"},
    "deepsight.command_line": HEAVY | {"numpy"},
    "deepsight.config": HEAVY,
    "deepsight.values": HEAVY,
    "deepsight.files": HEAVY | {"numpy"},
    "deepsight.notebook": HEAVY | {"numpy", "rich"},
    "deepsight.imports": HEAVY,
    "deepsight.space": HEAVY,
    "deepsight.run_store": HEAVY | {"numpy"},
    "deepsight.metrics": HEAVY,
    "deepsight.hardware": HEAVY,
    "deepsight.data": HEAVY,
    "deepsight.models.weights": HEAVY,
    "deepsight.training.epoch_result": HEAVY,
    "deepsight.track.cli": HEAVY | {"numpy", "mlflow", "wandb"},
    "deepsight.tune.cli": HEAVY - {"optuna"},
    "deepsight.tune.plan": HEAVY,
    "search_spaces": HEAVY,
    "analysis.summary": HEAVY | {"numpy"},
    "analysis.diagnose": HEAVY | {"numpy"},
    "analysis.claims.cli": HEAVY | {"numpy", "scipy", "statsmodels"},
}
"""What importing these must not load: command lines answer before a library of seconds."""

OPENS_TEST = ("deepsight.confirm", "analysis.diagnosis")
"""Who may open the test split; `deepsight.data.datasets` defines how."""

MAX_MODULES_PER_FOLDER = 14
MANY_MODULES: dict[str, int] = {
    "deepsight": 26,  # the commands stand on top, as they are called: python -m deepsight.predict
}
"""Folders that hold more, and how many; each with its reason."""

MAX_FILE_LINES = 400
LONG_FILES = {
    "deepsight/api.py": 420,  # what a notebook calls: one function each, all arguments described
    "deepsight/config.py": 520,  # one table: every hyperparameter in one place
}
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_FUNCTION_LINES = 14


def unit_of(name: str) -> str | None:
    return max((u for u in UNITS if within(name, u)), key=len, default=None)


def layer_violations(module: Module) -> list[str]:
    own = unit_of(module.name)
    if own is None:
        return [] if module.name in PACKAGES else [f"{module}: no unit of UNITS holds it"]
    rule, wrong = UNITS[own], []
    for imported in module.imports:
        where = f"{module}:{imported.line} imports {imported.name}"
        root = imported.name.partition(".")[0]
        if root in PACKAGES:
            # a package itself (`from deepsight import space`) is judged by the name taken from it
            allowed = {own, *rule.project}
            parts = allowed - UNITS.keys()  # single modules of a unit
            named = any(within(imported.name, part) for part in parts)
            if not ("*" in allowed or named or unit_of(imported.name) in allowed):
                wrong.append(where)
        elif root not in sys.stdlib_module_names and not {"*", root} & rule.third_party:
            wrong.append(f"{where}, a library that {own} does without")
    return wrong


def test_units_lean_only_on_what_stands_above_them_in_the_table():
    order = list(UNITS)
    for position, (name, rule) in enumerate(UNITS.items()):
        for other in rule.project - ANY:
            assert order.index(unit_of(other)) < position, f"{name} may not import {other}"


def test_imports_keep_to_the_layers():
    assert [w for module in modules().values() for w in layer_violations(module)] == []


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name):
    for module in [m for m in modules() if within(m, name)]:
        assert not loaded_by(module) & LIGHT[name], module


def test_ray_stays_where_the_search_is():
    users = {n for n, m in modules().items() if any(within(i.name, "ray") for i in m.imports)}
    allowed = ("deepsight.tune", "deepsight.confirm", "benchmarks")
    assert all(any(within(name, unit_name) for unit_name in allowed) for name in users)


def test_the_test_split_is_out_of_reach_of_training_and_tuning():
    assert mentions_open_test(Module("m", "from deepsight.data.datasets import open_test"))
    assert mentions_open_test(Module("m", "table.open_test(dataset)"))
    users = [name for name, module in modules().items() if mentions_open_test(module)]
    assert [n for n in users if not any(within(n, allowed) for allowed in OPENS_TEST)] == []


FACE = ROOT / "deepsight"
"""Whose `__init__` finds its names when they are asked for, so that importing it loads nothing."""


def test_package_files_hold_nothing_but_names():
    """One import point for a folder is welcome; code in it would hide."""
    for package in PACKAGES[:3]:  # benchmarks are scripts
        folders = {path.parent for path in (ROOT / package).rglob("*.py")}
        for folder in folders - {FACE}:
            tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
            assert all(map(only_names, tree.body)), folder


def test_the_face_holds_a_table_of_names_and_loads_nothing():
    module = modules()["deepsight"]
    assert [i.name for i in module.imports if i.at_top] == ["typing.TYPE_CHECKING", "typing.Any"]
    functions_of, tables = [], []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef):
            functions_of.append(node.name)
        elif isinstance(node, ast.Assign):
            tables.append(ast.unparse(node.targets[0]))
        else:
            assert isinstance(node, ast.If | ast.ImportFrom | ast.Expr), ast.unparse(node)
    assert (functions_of, tables) == (["__getattr__", "__dir__"], ["__all__", "_HOME"])


def test_folders_hold_about_a_dozen_modules():
    held: dict[str, int] = {}
    for module in modules().values():
        assert module.path is not None
        if module.path.name != "__init__.py" and not within(module.name, "benchmarks"):
            folder = module.path.parent.as_posix()
            held[folder] = held.get(folder, 0) + 1
    too_many = {f: n for f, n in held.items() if n > MANY_MODULES.get(f, MAX_MODULES_PER_FOLDER)}
    assert too_many == {}


def test_files_are_short():
    for module in modules().values():
        limit = LONG_FILES.get(str(module.path), MAX_FILE_LINES)
        assert len(module.source.splitlines()) <= limit, module


def test_functions_are_short():
    lengths = dict(f for module in modules().values() for f in functions(module))
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_FUNCTION_LINES


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("deepsight.config", "import deepsight.space"),
        ("deepsight.training.x", "def f():\n    from deepsight.tune import driver"),
        ("deepsight.training.x", "from deepsight import run_store"),
        ("deepsight.data.x", "from deepsight.models import table"),
        ("deepsight.space", "import numpy as np"),
        ("analysis.x", "import ray"),
        ("analysis.x", "from torch import nn"),
        ("search_spaces.x", "from deepsight.config import DEFAULTS"),
        ("deepsight.models.build", "from deepsight.data.datasets import load_dataset"),
        ("analysis.x", "from analysis.diagnosis import confusion"),
        ("deepsight.nowhere", ""),
    ],
)
def test_a_wrong_import_is_found(name, source):
    assert len(layer_violations(Module(name, source))) == 1


def test_lazy_and_type_imports_do_not_count_as_loaded():
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"
        "def f():\n    import b\nclass C:\n    import c\ntry:\n    import d\nfinally:\n    pass\n"
    )
    at_top = {i.name for i in Module("m", source).imports if i.at_top}
    assert at_top == {"typing.TYPE_CHECKING", "c", "d"}
