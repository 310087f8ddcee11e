"""The run format on disk: what everybody imports of the one writer and the one reader."""

from deepsight.run_store.format import (
    SCHEMA_VERSION,
    STATES,
    StorageError,
    StudyFormatError,
    trial_id,
    trial_path,
)
from deepsight.run_store.study import Study, TrialRecord
from deepsight.run_store.writer import (
    DISK_ERRORS,
    StudyWriter,
    create_study,
    load_study,
    open_study,
    storage_error,
)

__all__ = [
    "DISK_ERRORS", "SCHEMA_VERSION", "STATES", "StorageError", "Study", "StudyFormatError",
    "StudyWriter", "TrialRecord", "create_study", "load_study", "open_study", "storage_error",
    "trial_id", "trial_path",
]  # fmt: skip
