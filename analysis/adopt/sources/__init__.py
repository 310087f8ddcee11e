"""Readers of what other tools wrote, one module a tool.

Each has ``recognises(source) -> bool``, which is cheap and changes nothing, and ``read(source,
wanted) -> FoundStudy``. A module imports the library of its tool inside `read`, if at all: finding
out which tool a source is of needs none.
"""

SOURCES: dict[str, str] = {
    "ray_tune": "analysis.adopt.sources.ray_tune",
    "optuna": "analysis.adopt.sources.optuna",
    "mlflow": "analysis.adopt.sources.mlflow",
    "keras_tuner": "analysis.adopt.sources.keras_tuner",
    "wandb": "analysis.adopt.sources.wandb",
    "hparams": "analysis.adopt.sources.hparams",
    "table": "analysis.adopt.sources.table",  # any .csv: the last one that is asked
}
"""The module that reads each tool's files, in the order in which they are asked."""
