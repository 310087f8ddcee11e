"""What a study refuses when it goes on otherwise than it began."""

import json
import sys

import pytest
from PIL import Image

from deepsight.config import UserError
from deepsight.data import datasets
from deepsight.imports import Permission
from deepsight.run_store import create_study, load_study, open_study, parse_header, reader
from deepsight.space import choice, uniform
from deepsight.tune.cli import main
from deepsight.tune.driver import resume_study
from deepsight.tune.plan import plan_from_header, resolve_study
from deepsight.tune.plan_files import plan_study
from deepsight.tune.preflight import make_header, prepare_all
from deepsight.tune.resume import (
    require_same_data,
    require_same_imports,
    require_same_space,
    update_header,
)
from tests.tune.plans import SPACE, make_plan

snapshot = reader._snapshot


def header(plan=None, data=None):
    made = json.loads(json.dumps(make_header(plan or make_plan(), data or {})))
    return parse_header({"schema_version": 1} | made, "study.json")


def test_the_same_space_is_accepted():
    require_same_space(header(), SPACE)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"x": uniform(0.0, 2.0)}, r'x was .*"high": 1.0.*, is .*"high": 2.0'),
        ({"y": choice(1, 2)}, "y was .*absent.*, is .*choice"),
        ({"kind": choice("fancy", "plain")}, "kind was"),
    ],
)
def test_another_space_is_refused_with_the_difference(change, named):
    with pytest.raises(UserError, match=named):
        require_same_space(header(), SPACE | change)


def test_a_space_without_what_the_study_searches_is_refused():
    with pytest.raises(UserError, match='x was .*, is "absent"'):
        require_same_space(header(), {k: v for k, v in SPACE.items() if k != "x"})


def test_what_the_study_pinned_may_be_in_the_space_and_what_it_did_not_may_not():
    plan = resolve_study(
        "s",
        {"optim.lr": uniform(0.1, 0.2), "optim.momentum": uniform(0.1, 0.2)},
        {"optim.lr": 0.15},
    )
    assert plan.pinned == ("optim.lr",)
    stored = header(plan)
    assert plan_from_header(stored).pinned == ("optim.lr",)
    require_same_space(stored, {"optim.lr": uniform(0.1, 0.3), "optim.momentum": uniform(0.1, 0.2)})
    more = {"optim.momentum": uniform(0.1, 0.2), "optim.weight_decay": uniform(0.1, 0.2)}
    with pytest.raises(UserError, match="optim.weight_decay was"):
        require_same_space(stored, more)


@pytest.mark.parametrize("searcher", ["gp", "optuna.samplers:QMCSampler", "own.module:Sampler"])
def test_a_study_keeps_its_searcher(searcher):
    stored = header(make_plan(searcher=searcher))
    require_same_imports(stored, {})
    require_same_imports(stored, {"study.searcher": searcher})
    with pytest.raises(UserError, match="keeps its searcher"):
        require_same_imports(stored, {"study.searcher": "optuna.samplers:NSGAIISampler"})


def test_code_that_is_named_again_is_one_that_the_study_searches():
    plan = resolve_study("s", {"model.name": choice("resnet18", "own.nets:build")})
    require_same_imports(header(plan), {"model.name": "own.nets:build"})
    with pytest.raises(UserError, match="keeps its name"):
        require_same_imports(header(plan), {"model.name": "other.nets:build"})


def test_changed_data_are_refused_unless_told():
    before = header(data={"fingerprint": "a" * 64})
    require_same_data(before, {"fingerprint": "a" * 64}, allow_changed=False)
    with pytest.raises(UserError, match="data have changed") as refused:
        require_same_data(before, {"fingerprint": "b" * 64}, allow_changed=False)
    assert "study.allow_changed_data=true" in refused.value.remedy
    require_same_data(before, {"fingerprint": "b" * 64}, allow_changed=True)


def test_accepted_data_are_stored_beside_those_of_before(tmp_path):
    plan = make_plan()
    create_study(tmp_path / "s", make_header(plan, {"fingerprint": "a"})).close()
    with open_study(tmp_path / "s") as writer:
        stored = load_study(tmp_path / "s").header
        update_header(writer, stored, plan, {"fingerprint": "a"})
        assert load_study(tmp_path / "s").header == stored
        update_header(writer, stored, plan, {"fingerprint": "b"})
    changed = load_study(tmp_path / "s").header
    assert changed.data == {"fingerprint": "b"}
    assert changed.earlier_data == ({"fingerprint": "a"},)


def test_the_command_line_refuses_changed_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(24):
        path = tmp_path / "photos" / ("blue", "red")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 2 * number, 3 * number)).save(path)
    values = {"data.name": "folder:photos", "data.image_size": 16, "study.trials": 2}
    plan = resolve_study("s", {"optim.lr": uniform(0.1, 0.2)}, values)
    create_study(tmp_path / "s", make_header(plan, prepare_all(plan))).close()
    Image.new("RGB", (16, 16), (255, 0, 0)).save(path)
    datasets._load.cache_clear()  # a process opens a data set once; this one stands for two
    assert main(["--resume", "s"]) == 2
    err = capsys.readouterr().err
    assert "the data have changed since the study began" in err
    assert "study.allow_changed_data=true" in err


def photographs(folder):
    """Twenty images of two classes, the same wherever they lie."""
    for number in range(20):
        path = folder / ("blue", "red")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 2 * number, 3 * number)).save(path)


def finished_study_of(photos, directory):
    """A study with nothing left to do, so that resuming it starts no Ray."""
    datasets._load.cache_clear()  # another test may have had a folder of this relative name
    values = {"data.name": f"folder:{photos}", "data.image_size": 16, "study.trials": 1}
    plan = resolve_study("s", {"optim.lr": uniform(0.1, 0.2)}, values)
    with create_study(directory, make_header(plan, prepare_all(plan))) as writer:
        writer.started("t0000", plan.default_config(), False, 9)
        writer.result("t0000", {"epoch": 9, "val_accuracy": 0.5})
        writer.ended("t0000", "completed")


def test_a_relative_folder_is_found_from_another_directory(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    photographs(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    finished_study_of("photos", tmp_path / "s")
    assert load_study("s").header.started_in == str(tmp_path)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["--resume", "../s"]) == 0
    header = load_study("../s").header
    assert header.fixed["data.name"] == header.data["name"] == f"folder:{tmp_path / 'photos'}"


def test_data_that_moved_are_accepted_by_their_fingerprint(tmp_path, monkeypatch, capsys):
    photographs(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    finished_study_of("photos", tmp_path / "s")
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert main(["--resume", "s"]) == 2
    err = capsys.readouterr().err
    assert f"the study's images are not at {tmp_path / 'photos'} any more" in err
    assert "--data folder:PATH" in err
    assert main(["--resume", "s", "--data", "folder:moved"]) == 0
    header = load_study("s").header
    assert header.fixed["data.name"] == header.data["name"] == f"folder:{tmp_path / 'moved'}"
    (earlier,) = header.earlier_data
    assert earlier["name"] == "folder:photos"
    assert earlier["fingerprint"] == header.fingerprint
    assert main(["--resume", "s"]) == 0  # and remembered
    photographs(tmp_path / "other")
    Image.new("RGB", (16, 16), (9, 9, 9)).save(tmp_path / "other" / "red" / "1.png")
    capsys.readouterr()
    assert main(["--resume", "s", "--data", "folder:other"]) == 2
    assert "the data have changed since the study began" in capsys.readouterr().err


def test_what_is_missing_names_where_the_study_was_started(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_13.py").write_text("def train(config, state):\n    yield {'score': 1}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = make_plan(trainable="mine_13:train", trials=1)
    create_study(tmp_path / "s", make_header(plan, {})).close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("sys.path", [p for p in sys.path if p != str(tmp_path)])
    assert main(["--resume", "../s", "--trust"]) == 2
    assert f"The study was started in {tmp_path}." in capsys.readouterr().err
    assert main(["--resume", "../s", "--data", "digits"]) == 2
    assert "a trainable of its own" in capsys.readouterr().err


def test_a_study_that_goes_on_is_read_once(tmp_path, monkeypatch):
    plan = make_plan(trials=1)
    with create_study(tmp_path / "s", make_header(plan, {})) as writer:
        writer.started("t0000", plan.default_config(), False, 9)
        writer.result("t0000", {"epoch": 9, "score": 0.5})
        writer.ended("t0000", "completed")
    reads = []
    monkeypatch.setattr(reader, "_snapshot", lambda path: reads.append(path) or snapshot(path))
    outcome = resume_study(tmp_path / "s", permission=Permission(trust=True))
    assert outcome.progress.best == 0.5
    assert reads == [tmp_path / "s"]


def test_fewer_trials_than_were_begun_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = make_plan(trials=2)
    with create_study(tmp_path / "s", make_header(plan, {})) as writer:
        for trial_id in ("t0000", "t0001"):
            writer.started(trial_id, plan.default_config(), False, 9)
            writer.ended(trial_id, "failed", "x")
    assert main(["--resume", "s", "--trials", "1", "--trust"]) == 2
    err = capsys.readouterr().err
    assert "the study has begun 2 trials; study.trials=1 is less." in err
    assert "give 2 or more" in err
    assert load_study(tmp_path / "s").header.settings["study.trials"] == 2


def test_fixed_values_of_the_space_are_compared_and_those_that_flags_won_over_are_not(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    space = "from deepsight.space import uniform\nSPACE = {'optim.lr': uniform(0.1, 0.2)}\n"
    (tmp_path / "mine.py").write_text(space + "FIXED = {'data.name': 'cifar10'}\n")
    plan = plan_study("mine.py", None, "s", {"data.name": "digits", "study.trials": 1})
    with create_study(tmp_path / "s", make_header(plan, prepare_all(plan))) as writer:
        writer.started("t0000", plan.default_config(), False, 9)
        writer.result("t0000", {"epoch": 9, "val_accuracy": 0.5})
        writer.ended("t0000", "completed")
    assert load_study("s").header.space_fixed == {"data.name": "cifar10"}
    assert main(["--resume", "s", "--space", "mine.py"]) == 0
    (tmp_path / "mine.py").write_text(space + "FIXED = {'data.name': 'cifar10', 'train.ema': 1}\n")
    capsys.readouterr()
    assert main(["--resume", "s", "--space", "mine.py"]) == 2
    assert 'train.ema was "absent", is 1 in FIXED' in capsys.readouterr().err
    (tmp_path / "mine.py").write_text(space + "FIXED = {'data.name': 'digits'}\n")
    assert main(["--resume", "s", "--space", "mine.py"]) == 2
    assert 'data.name was "cifar10", is "digits" in FIXED' in capsys.readouterr().err
    (tmp_path / "mine.py").write_text(space + "FIXED = {'data.name': ('digits',)}\n")
    assert main(["--resume", "s", "--space", "mine.py"]) == 2
    assert "data.name: ('digits',) is of type tuple" in capsys.readouterr().err


def test_the_command_line_names_the_difference(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    create_study(tmp_path / "s", make_header(make_plan(), {})).close()
    (tmp_path / "other.py").write_text(
        "from deepsight.space import uniform\nSPACE = {'x': uniform(0, 3)}\n"
    )
    assert main(["--resume", "s", "--space", "other.py"]) == 2
    err = capsys.readouterr().err
    assert "kind was" in err
    assert len(err.strip().splitlines()) == 2
