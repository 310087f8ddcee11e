"""What a person meets at the command line: exit codes, causes, remedies, the last line."""

import dataclasses
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deepsight.data.cores import num_cores
from deepsight.run_store import create_study
from deepsight.tune.cli import main, report
from deepsight.tune.driver import Outcome
from deepsight.tune.preflight import local_cpus, make_header
from deepsight.tune.search.search import Progress
from tests.attacks.studies import finished_study
from tests.tune.plans import make_plan

PROBE = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from deepsight.run_store import create_study
from deepsight.tune.cli import main
from deepsight.tune.preflight import make_header
from tests.tune.plans import make_plan
code = main(sys.argv[1:])
heavy = [m for m in ("ray", "torch", "optuna", "pandas", "albumentations") if m in sys.modules]
print("imported:", *heavy, file=sys.stderr)
raise SystemExit(code)
"""


def images(folder, count, size=12):
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (size, size), (number % 256, 3 * number % 256, 9)).save(
            folder / f"{number}.png"
        )


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return str(path)


CASES = {
    "no arguments": ([], "nothing to search"),
    "unknown flag": (["--spce", "smoke"], "unrecognized arguments"),
    "unknown space": (["--space", "smok"], "unknown space 'smok'"),
    "missing space file": (["--space", "./nowhere.py"], "no space at"),
    "unknown hyperparameter": (["--space", "smoke", "--set", "optim.lrr=1"], "unknown"),
    "wrong type": (["--space", "smoke", "--set", "optim.batch_size=1.5"], "must be an int"),
    "wrong range": (["--space", "smoke", "--set", "model.dropout=2"], "must lie in"),
    "no pair": (["--space", "smoke", "--set", "optim.lr"], "is not NAME=VALUE"),
    "wrong trials": (["--space", "smoke", "--trials", "0"], "study.trials must lie in"),
    "wrong duration": (["--space", "smoke", "--time-limit", "soon"], "is no duration"),
    "no duration": (["--space", "smoke", "--time-limit", ""], "is no duration"),
    "unknown data": (["--space", "smoke", "--data", "cifar11"], "unknown data.name"),
    "missing folder": (["--space", "smoke", "--data", "folder:nowhere"], "nowhere"),
    "bad name": (["--space", "smoke", "--data", "digits", "--name", "../x"], "is no name"),
    "missing experiment": (["--experiment", "nowhere.yaml"], "no experiment file"),
    "unknown searcher": (
        ["--space", "smoke", "--data", "digits", "--set", "study.searcher=gpp", "--dry-run"],
        "unknown study.searcher",
    ),
    "no such sampler": (
        [
            "--space",
            "smoke",
            "--data",
            "digits",
            "--dry-run",
            "--set",
            "study.searcher=optuna.samplers:GpSampler",
        ],
        "unknown name in module optuna.samplers",
    ),
    "no sampler": (
        [
            "--space",
            "smoke",
            "--data",
            "digits",
            "--dry-run",
            "--set",
            "study.searcher=optuna.pruners:NopPruner",
        ],
        "is no sampler of Optuna",
    ),
    "dry run of a resume": (["--resume", ".", "--dry-run"], "--dry-run shows a new study"),
    "no study to resume": (["--resume", "runs/nowhere"], "is not a study"),
    "too many CPUs": (
        ["--space", "smoke", "--data", "digits", "--set", "resources.cpus_per_trial=999"],
        "a trial wants 999 CPUs",
    ),
    "missing weights": (
        ["--space", "finetune", "--data", "digits", "--set", "model.weights=nowhere.pt"],
        "nowhere.pt",
    ),
    "missing trainable": (
        ["--space", "smoke", "--set", "study.trainable=nowhere:train"],
        "no module 'nowhere'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes_end_with_cause_and_remedy(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, cause = CASES[case]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert cause in err
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 2
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_refuses_what_the_run_would_refuse(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, cause = CASES[case]
    if "--resume" in arguments:
        return
    assert main([*arguments, "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert cause in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    broken = write(tmp_path, "broken.yaml", "fixed: [\n")
    number = write(tmp_path, "number.yaml", "space: smoke\nfixed: {optim.weight_decay: 1e-4}\n")
    space = write(tmp_path, "space.py", "import nothing_of_that_name\n")
    for arguments in (["--experiment", broken], ["--experiment", number], ["--space", space]):
        assert main(arguments) == 2
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 6
    assert "1.0e-4" in err


def test_folders_that_cannot_be_learnt_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    images(tmp_path / "few" / "a", 30)
    images(tmp_path / "few" / "b", 2)
    images(tmp_path / "one" / "a", 30)
    for folder in ("empty", "few", "one"):
        assert main(["--space", "smoke", "--data", f"folder:{folder}"]) == 2, folder
    err = capsys.readouterr().err
    assert "'b'" in err or " b " in err
    assert len(err.strip().splitlines()) == 6


def test_an_existing_study_is_not_touched(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "study.json").write_text("{}")
    for flags in ([], ["--dry-run"]):
        assert main(["--space", "smoke", "--data", "digits", "--name", "mine", *flags]) == 2
        assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "runs" / "mine" / "study.json").read_text() == "{}"


@pytest.mark.parametrize("flag", ["--experiment=x", "--name=x", "--set=optim.lr=1"])
def test_resume_changes_nothing_but_how_long(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("study.json", "trials.jsonl"):
        (tmp_path / name).touch()
    assert main(["--resume", ".", flag]) == 2
    assert "cannot change a study that has begun" in capsys.readouterr().err


def test_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--space", "finetune", "--set", "optim.lr=5e-3", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "optim.lr=0.005" in out
    assert out.count("sample") == 3
    assert list(tmp_path.iterdir()) == []


MEASURES = {
    "no dry run": (["--space", "smoke", "--data", "digits"], "--measure belongs to a dry run."),
    "a cluster": (
        ["--space", "smoke", "--data", "digits", "--dry-run", "--address", "auto"],
        "--measure times this machine, not a cluster.",
    ),
    "a trainable": (
        ["--space", "smoke", "--dry-run", "--set", "study.trainable=tests.trainables:curve"],
        "--measure cannot time a trainable of your own.",
    ),
}


@pytest.mark.parametrize("case", MEASURES)
def test_what_cannot_be_measured_is_refused(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, cause = MEASURES[case]
    assert main([*arguments, "--measure"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {cause}\n")
    assert len(err.strip().splitlines()) == 2
    assert out == ""


def test_a_dry_run_says_how_a_folder_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for split, name in (("train", "a"), ("train", "b"), ("pred", "")):
        folder = tmp_path / "photos" / split / name
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.png").touch()
    flags = ["--space", "smoke", "--data", "folder:photos", "--dry-run"]
    assert main(flags) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "data       folder:photos: 2 classes; 12 train; largest class a 50%; "
        "left out: 6 images of splits without classes"
    )
    shutil.rmtree(tmp_path / "photos")
    assert main(flags) == 2
    assert "photos does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["unknown data", "missing folder", "missing weights", "bad name"])
def test_mistakes_are_found_without_ray_or_torch(case, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *CASES[case][0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "imported:"


def test_cifar_offline_says_where_to_put_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("socket.getaddrinfo", _offline)
    assert main(["--space", "smoke", "--data", "cifar10"]) == 2
    err = capsys.readouterr().err
    assert "cifar-10-python.tar.gz" in err
    assert str(tmp_path / "cache") in err
    assert len(err.strip().splitlines()) == 2


def _offline(*_arguments, **_options):
    raise OSError("no network in this test")


@pytest.mark.parametrize("value", ["study.target=inf", "study.time_limit_s=inf", "x=nan"])
def test_what_could_not_be_resumed_is_not_begun(value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own = ["--set", "study.trainable=tests.trainables:curve"]
    (tmp_path / "s.py").write_text("from deepsight import uniform\nSPACE = {'y': uniform(0, 1)}\n")
    assert main(["--space", "s.py", *own, "--set", value]) == 2
    said = "must be a float" if "target" in value else "is no value"
    assert said in capsys.readouterr().err


def test_a_time_limit_beyond_all_timers_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    create_study(tmp_path / "s", make_header(make_plan(), {})).close()
    for limit in ("9" * 400 + "d", "99999999d"):
        assert main(["--resume", "s", "--time-limit", limit]) == 2
        assert "study.time_limit_s" in capsys.readouterr().err


def test_far_more_cores_than_there_are_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--space", "smoke", "--data", "digits", "--set", "resources.cpus=4096", "--dry-run"]
    assert main(flags) == 2
    said = capsys.readouterr().err
    assert "resources.cpus is 4096, and this machine has" in said
    assert f"at most {4 * num_cores()}" in said


def test_a_study_of_a_larger_machine_takes_what_there_is():
    plan = make_plan()
    assert local_cpus(plan) == num_cores()
    resources = dataclasses.replace(plan.resources, cpus=4096)
    assert local_cpus(dataclasses.replace(plan, resources=resources)) == 4 * num_cores()


def test_time_that_ends_before_a_trial_is_no_divergence(tmp_path, capsys):
    finished_study(tmp_path / "s", **{"data.name": "digits"})
    assert report(Outcome(tmp_path / "s", Progress(), None, unfinished=True)) == 1
    error = capsys.readouterr().err
    assert error.startswith("time was up before a trial ended; go on with: python -m deepsight.t")
    ended = Progress(ended={"completed": 0, "stopped": 0, "diverged": 1, "failed": 0})
    assert report(Outcome(tmp_path / "s", ended, None, unfinished=True)) == 1
    assert "the last error: all diverged" in capsys.readouterr().err
