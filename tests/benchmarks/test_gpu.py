"""benchmarks/gpu.py without a GPU: parts at tiny sizes, and what becomes of those that fail."""

import json
import sys

import pytest
import torch

from benchmarks import gpu, gpu_parts
from benchmarks.gpu_data import CLASSES, cifar_shaped
from benchmarks.gpu_record import TINY, Record
from deepsight.config import DataConfig
from deepsight.run_store import load_study

ROW = {"figure": "f", "unit": "s", "n": 1, "value": 0.5, "aim": "at most 1", "met": True}

FATES = f"""
import json, pathlib, sys, time
name = sys.argv[1]
row = {ROW!r} | {{"figure": name}}
pathlib.Path(f"{{name}}.jsonl").write_text(json.dumps(row) + "\\n")
print("as told", file=sys.stderr)
if name == "fails":
    raise SystemExit("the cause | of it")
if name == "hangs":
    time.sleep(60)
"""


def test_a_part_that_fails_hangs_or_comes_too_late_costs_only_itself(tmp_path):
    parts = [gpu.Part(n, 9, 0.1) for n in ("fails", "works")]
    parts += [gpu.Part("hangs", 1.5, 0.1), gpu.Part("late", 9, 1000)]
    results = gpu.run_all(parts, [sys.executable, "-c", FATES], tmp_path, 100)
    assert [r["status"] for r in results] == ["failed", "done", "out of time", "skipped"]
    assert [len(r["rows"]) for r in results] == [1, 1, 1, 0]  # what was measured is kept
    assert results[0]["error"] == "the cause | of it"
    assert results[2]["seconds"] < 9
    lines = gpu.table(results).splitlines()
    assert lines[3] == "| fails | **failed** | the cause / of it | |"
    assert lines[4] == "| works | works | 0.5 s, n = 1 | at most 1 (met) |"
    assert {line.count("|") for line in lines} == {5}


def test_every_part_is_there_and_fits_into_eight_minutes():
    assert [part.name for part in gpu.PARTS] == list(gpu_parts.PARTS)
    assert gpu.LIMIT_S + gpu.END_S < 8 * 60 + 5
    assert all(part.least_s < part.limit_s for part in gpu.PARTS)


def test_no_part_trains_on_a_cpu_unless_it_is_told(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no GPU"):
        gpu_parts.main(["data", "--out", str(tmp_path)])


def test_the_images_are_as_many_as_asked():
    raw = cifar_shaped(DataConfig(size=300))
    assert raw.images.shape == (300 + 60 + 100, 32, 32, 3)
    assert (raw.split == "train").sum() == 300
    assert set(raw.labels) == set(range(len(CLASSES)))


def test_parts_in_this_process(tmp_path):
    for name in ("machine", "data", "scratch_epoch", "agreement"):
        gpu_parts.PARTS[name](Record("cpu", True, tmp_path, name))
    rows = {
        (path.stem, row["figure"]): row
        for path in tmp_path.glob("*.jsonl")
        for row in map(json.loads, path.read_text().splitlines())
    }
    assert rows["data", "images to train on"]["value"] == TINY.images
    assert rows["agreement", "fp32: difference of loss"]["value"] == 0
    epoch = rows["scratch_epoch", "training pass, batch 64"]
    assert (epoch["n"], epoch["aim"]) == (TINY.epochs, "at most 0.1")
    whole = rows["scratch_epoch", "the same with validation and metrics"]
    assert 0 < epoch["value"] <= whole["value"]


def test_rates_of_processes_are_added():
    answers = "print('ready', flush=True)\nfor s in open(0): print(float(s) + 2, flush=True)"
    with gpu_parts._steppers([sys.executable, "-c", answers], 3) as steppers:
        assert gpu_parts._joint(steppers[:2], 0.5) == 5.0
        assert gpu_parts._joint(steppers, 1.0) == 9.0
    assert all(stepper.poll() is not None for stepper in steppers)


@pytest.mark.long
def test_the_command(tmp_path, capsys, monkeypatch):
    """Those parts that want a process of their own: one without memory, one with Ray."""
    for name in gpu.environment(tmp_path):
        monkeypatch.setenv(name, "")  # put back what the command sets
    out = tmp_path / "out"
    flags = ["--tiny", "--device", "cpu", "--parts", "memory,study", "--out", str(out)]
    assert gpu.main(flags) == 0, list(out.glob("*.log"))
    whole = json.loads((out / "gpu.json").read_text())
    assert capsys.readouterr().out == gpu.table(whole["parts"]) == (out / "gpu.md").read_text()
    memory, study = whole["parts"]
    assert memory["rows"][0]["value"].startswith("out of memory at batch size 200, image size")
    assert {row["figure"]: row["value"] for row in study["rows"]}["trials"] == 3
    assert len(load_study(out / "study" / "runs" / "small").records) == 3
