"""Names that are not UTF-8, as Python reads them from a disk, survive writing and reading."""

import os

from deepsight.run_store import create_study, load_study
from deepsight.tune.preflight import make_header
from tests.tune.plans import make_plan

NAME = os.fsdecode(b"caf\xe9/gr\xc3\xbc\xc3\x9fe")


def test_names_that_are_no_utf8_are_recorded_and_read(tmp_path):
    plan = make_plan()
    header = make_header(plan, {"name": f"folder:{NAME}", "classes": [NAME]})
    with create_study(tmp_path / "s", header) as writer:
        writer.started("t0000", plan.default_config(), False, 9)
        writer.result("t0000", {"epoch": 1, "score": 0.5, "file": NAME})
        writer.ended("t0000", "failed", f"no {NAME}")
        writer.write_header(header)
    study = load_study(tmp_path / "s")
    assert study.header.data == {"name": f"folder:{NAME}", "classes": [NAME]}
    assert study.records[0].error == f"no {NAME}"
    assert study.records[0].rows[0]["file"] == NAME
    for name in ("study.json", "trials.jsonl", "results.jsonl"):
        text = (tmp_path / "s" / name).read_bytes().decode("utf-8")  # the files are UTF-8
        assert r"caf\udce9/grüße" in text
