"""Hyperparameter search for image classifiers that ends with conclusions that hold.

What a notebook needs, loaded when it is first used: `search`, `resume`, `adopt`, `load_study`,
`report`, `compute_importance`, `diagnose`, `load_trained_model`, `classify`, `export_model`, and
what spaces are written with. docs/notebook.md shows them. `ray_callback` records a Ray Tune run of
one's own.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepsight.api import (
        adopt,
        classify,
        compute_importance,
        diagnose,
        export_model,
        load_study,
        load_trained_model,
        report,
        resume,
        search,
    )
    from deepsight.config import UserError
    from deepsight.space import choice, loguniform, randint, uniform, when
    from deepsight.tune.external_runs.callback import ray_callback

__all__ = [
    "UserError",
    "adopt",
    "choice",
    "classify",
    "compute_importance",
    "diagnose",
    "export_model",
    "load_study",
    "load_trained_model",
    "loguniform",
    "randint",
    "ray_callback",
    "report",
    "resume",
    "search",
    "uniform",
    "when",
]

_HOME = {
    "deepsight.api": (
        "adopt",
        "classify",
        "compute_importance",
        "diagnose",
        "export_model",
        "load_study",
        "load_trained_model",
        "report",
        "resume",
        "search",
    ),
    "deepsight.config": ("UserError",),
    "deepsight.space": ("choice", "loguniform", "randint", "uniform", "when"),
    "deepsight.tune.external_runs.callback": ("ray_callback",),
}
"""Where each name comes from: importing this package loads none of them."""


def __getattr__(name: str) -> Any:
    """Import `name` from its home, once."""
    from importlib import import_module

    for home, names in _HOME.items():
        if name in names:
            return globals().setdefault(name, getattr(import_module(home), name))
    raise AttributeError(f"module 'deepsight' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion offers."""
    own = {name for name in globals() if name.startswith("__")}
    return sorted(own | {*__all__})
