"""Damage: a torn last line is mended, all else refused by ``file:line``; kills and full disks."""

import json
import subprocess
import sys
import time

import pytest

from deepsight.config import UserError
from deepsight.run_store import StudyFormatError, create_study, load_study, open_study
from deepsight.space import loguniform, to_json

HEADER = {
    "name": "small",
    "metric": "val_accuracy",
    "mode": "max",
    "max_epochs": 3,
    "rungs": [1, 3],
    "fixed": {},
    "space": to_json({"optim.lr": loguniform(1e-4, 1e-1)}),
}
CONFIG = {"optim.lr": 0.01}


@pytest.fixture
def study(tmp_path):
    """A directory with one completed and one interrupted trial; the writer is closed."""
    with create_study(tmp_path / "small", HEADER) as writer:
        for name, scores in (("t0000", [0.2, 0.4, 0.6]), ("t0001", [0.3])):
            writer.started(name, CONFIG, False, 3)
            for epoch, score in enumerate(scores, start=1):
                writer.result(name, {"epoch": epoch, "val_accuracy": score})
        writer.ended("t0000", "completed")
    return tmp_path / "small"


def test_every_torn_last_line_is_tolerated_and_mended(study):
    """Cut the results anywhere within the last line: the rows before it are read, the rest left."""
    path = study / "results.jsonl"
    whole = path.read_bytes()
    last = whole.rfind(b"\n", 0, len(whole) - 1) + 1
    for size in range(last + 1, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.warns(UserWarning, match=r"results\.jsonl:4: the last line is torn"):
            loaded = load_study(study)
        assert sum(len(r.rows) for r in loaded.records) == 3
        assert path.read_bytes() == whole[:size]  # reading never writes
    with open_study(study) as writer:
        writer.result("t0001", {"epoch": 1, "val_accuracy": 0.9})
    assert load_study(study).records[1].rows[0]["val_accuracy"] == 0.9


def test_a_torn_event_is_tolerated_and_mended(study):
    path = study / "trials.jsonl"
    path.write_bytes(path.read_bytes() + b'{"trial_id": "t0002", "ev\0\0\0')
    with pytest.warns(UserWarning, match=r"trials\.jsonl:4"):
        assert len(load_study(study).records) == 2
    with open_study(study) as writer:
        writer.started("t0002", CONFIG, True, 1)
    assert load_study(study).records[2].explorer is True


RESULT = '{"trial_id": "t0000", "epoch": 1, "time": 1.0}'
START = (
    '{"trial_id": "t0000", "event": "started", "time": 1.0, "config": {}, "explorer": false, '
    '"budget": 3}'
)
END = '{"trial_id": "t0000", "event": "ended", "time": 2.0, "state": "completed", "error": null}'
DAMAGE = {
    "not json": ("results.jsonl", '{"trial_id": "t0000", "ep\n'),
    "bare NaN": ("results.jsonl", RESULT.replace("1.0", "NaN") + "\n"),
    "empty line": ("results.jsonl", "\n"),
    "a list": ("results.jsonl", "[]\n"),
    "no trial": ("results.jsonl", '{"epoch": 1, "time": 1.0}\n'),
    "bad trial id": ("results.jsonl", RESULT.replace("t0000", "../x") + "\n"),
    "unknown trial": ("results.jsonl", RESULT.replace("t0000", "t0009") + "\n"),
    "epoch 0": ("results.jsonl", RESULT.replace('"epoch": 1', '"epoch": 0') + "\n"),
    "epoch true": ("results.jsonl", RESULT.replace('"epoch": 1', '"epoch": true') + "\n"),
    "no time": ("results.jsonl", RESULT.replace('"time"', '"when"') + "\n"),
    "not utf-8": ("results.jsonl", "\udcff\n"),
    "unknown event": ("trials.jsonl", START.replace("started", "paused") + "\n"),
    "ends twice": ("trials.jsonl", END + "\n"),
    "starts after its end": ("trials.jsonl", START + "\n"),
    "ends unstarted": ("trials.jsonl", END.replace("t0000", "t0009") + "\n"),
    "unknown state": ("trials.jsonl", END.replace("t0000", "t0001").replace("comp", "de") + "\n"),
    "no config": ("trials.jsonl", START.replace('"config"', '"c"').replace("t0000", "t9999")),
    "budget text": ("trials.jsonl", START.replace(": 3}", ': "3"}').replace("t0000", "t9999")),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_file_and_line(study, name):
    file, text = DAMAGE[name]
    path = study / file
    number = path.read_bytes().count(b"\n") + 1
    more = text.rstrip("\n") + "\n" + (RESULT if file == "results.jsonl" else "") + "\n"
    path.write_bytes(path.read_bytes() + more.encode("utf-8", "surrogateescape"))
    with pytest.raises(StudyFormatError) as caught:
        load_study(study)
    assert caught.value.cause.startswith(f"{path}:{number}: ")
    with pytest.raises(StudyFormatError):
        open_study(study)


def test_a_changed_config_of_a_resumed_trial_is_refused(study):
    with open_study(study) as writer:
        writer.started("t0001", CONFIG | {"optim.lr": 0.02}, False, 3)
    with pytest.raises(StudyFormatError, match="t0001"):
        load_study(study)


def test_a_newer_version_is_refused_by_name(study):
    path = study / "study.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(StudyFormatError, match="schema_version 2 is newer") as caught:
        load_study(study)
    assert "version of deepsight" in caught.value.remedy


@pytest.mark.parametrize(
    ("field", "value"),
    [("metric", None), ("mode", "best"), ("rungs", ["a"]), ("space", {"a": {}}), ("fixed", [])],
)
def test_a_damaged_header_is_refused(study, field, value):
    path = study / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(StudyFormatError, match=r"study\.json: "):
        load_study(study)
    path.write_text('{\n"name": ')
    with pytest.raises(StudyFormatError, match=r"study\.json:2: "):
        load_study(study)


def test_what_is_no_study_is_a_user_error(tmp_path, study):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError):
            load_study(path)
        with pytest.raises(UserError):
            open_study(path)
    (study / "results.jsonl").unlink()
    with pytest.raises(StudyFormatError, match=r"results\.jsonl"):
        load_study(study)


def test_unknown_fields_are_kept(study):
    path = study / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mood": "good"}))
    with (study / "trials.jsonl").open("a") as file:
        file.write(START.replace("t0000", "t0002").replace('"budget"', '"node": "n1", "budget"'))
        file.write("\n" + END.replace("t0000", "t0002").replace('"error"', '"gpu": 3, "error"'))
        file.write("\n")
    with (study / "results.jsonl").open("a") as file:
        file.write(RESULT.replace("t0000", "t0002").replace('"time"', '"odd": [1], "time"') + "\n")
    loaded = load_study(study)
    assert loaded.header.extra == {"mood": "good"}
    assert loaded.records[2].extra == {"node": "n1", "gpu": 3}
    assert loaded.records[2].rows[0]["odd"] == [1]


def test_the_header_is_replaced_whole(study):
    with open_study(study) as writer:
        writer.write_header(load_study(study).header.stored | {"trials": 48})
    assert load_study(study).header.trials == 48
    assert not [p for p in study.iterdir() if p.name.startswith(".")]


WRITE_ON = """
import sys
from pathlib import Path
from deepsight.run_store import open_study, trial_id
with open_study(Path(sys.argv[1])) as writer:
    for number in range(2, 100_000):
        writer.started(trial_id(number), {"optim.lr": 0.1}, False, 3)
        writer.result(trial_id(number), {"epoch": 1, "val_accuracy": 0.5, "pad": "x" * 5000})
        writer.ended(trial_id(number), "completed")
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_study_that_reads_and_goes_on(study):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_ON, str(study)], stdout=subprocess.PIPE, text=True
    )
    reads = 0
    until = time.monotonic() + 1.0
    for line in process.stdout:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # a line may be half there
            loaded = load_study(study)
        done = [r for r in loaded.records[2:] if r.state == "completed"]
        assert all(len(r.rows) == 1 for r in done)
        assert len(done) >= int(line) - 1
        reads += 1
        if time.monotonic() > until and reads > 3:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    assert reads > 3
    with open_study(study) as writer:
        writer.result("t0001", {"epoch": 2, "val_accuracy": 0.5})
    assert len(load_study(study).records) >= int(line) + 1


FILL_UP = """
import resource, sys
from pathlib import Path
from deepsight.run_store import StorageError, load_study, open_study
directory = Path(sys.argv[1])
with open_study(directory) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        for epoch in range(2, 100):
            writer.result("t0001", {"epoch": epoch, "pad": "x" * 1000})
    except StorageError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        rows = load_study(directory).records[1].rows
        assert rows[-1]["epoch"] == epoch - 1, (rows, epoch)
        writer.result("t0001", {"epoch": epoch})
        print(error.exit_code, load_study(directory).records[1].rows[-1]["epoch"] == epoch)
"""


def test_a_full_disk_is_a_storage_error_and_leaves_no_half_line(study):
    command = [sys.executable, "-W", "error", "-c", FILL_UP, str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "True"]
