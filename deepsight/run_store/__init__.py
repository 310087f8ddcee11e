"""The run format on disk: what the other packages import of its writer and its reader."""

from deepsight.run_store.format import (
    CHECKPOINT_FILE,
    HEADER_FILE,
    LATEST,
    NUMBER_FIELDS,
    SCHEMA_VERSION,
    STATES,
    TRIAL_COLUMNS,
    StorageError,
    StudyFormatError,
    plain_object,
    trial_id,
    trial_path,
)
from deepsight.run_store.header import (
    StudyHeader,
    describe_data,
    describe_end,
    describe_origin,
    parse_header,
)
from deepsight.run_store.objective import Objective, score_text
from deepsight.run_store.openings import Opening, load_openings, record_opening
from deepsight.run_store.reader import load_header, load_study, require_study
from deepsight.run_store.study import Study, TrialRecord
from deepsight.run_store.whole import write_study
from deepsight.run_store.writer import (
    DISK_ERRORS,
    StudyExistsError,
    StudyWriter,
    create_study,
    open_study,
    storage_error,
)

__all__ = [
    "CHECKPOINT_FILE",
    "DISK_ERRORS",
    "HEADER_FILE",
    "LATEST",
    "NUMBER_FIELDS",
    "SCHEMA_VERSION",
    "STATES",
    "TRIAL_COLUMNS",
    "Objective",
    "Opening",
    "StorageError",
    "Study",
    "StudyExistsError",
    "StudyFormatError",
    "StudyHeader",
    "StudyWriter",
    "TrialRecord",
    "create_study",
    "describe_data",
    "describe_end",
    "describe_origin",
    "load_header",
    "load_openings",
    "load_study",
    "open_study",
    "parse_header",
    "plain_object",
    "score_text",
    "record_opening",
    "require_study",
    "storage_error",
    "trial_id",
    "trial_path",
    "write_study",
]
