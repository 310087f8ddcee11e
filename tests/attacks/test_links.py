"""Links and special files inside a study lead nowhere, and what is outside stays as it is."""

import base64
import contextlib
import json
import os
import re
import shutil
import threading

import pytest

from analysis.diagnosis.build import make_diagnosis
from analysis.page.document import Document, Section, Table
from analysis.page.files import write_report
from analysis.report.build import make_comparison, make_report
from analysis.report.confirmation import write_confirmation
from deepsight import checkpoint
from deepsight.config import UserError
from deepsight.confirm.opened_test import scores_on_test
from deepsight.confirm.record import load_confirmation, save_confirmation
from deepsight.confirm.variants import load_done
from deepsight.export import export_model
from deepsight.files import (
    FileRefusedError,
    append_to,
    make_folder,
    open_file,
    read_file,
    remove_files,
    replacing,
)
from deepsight.imports import Permission
from deepsight.run_store import (
    CHECKPOINT_FILE,
    load_openings,
    load_study,
    open_study,
    record_opening,
)
from deepsight.tune.cli import main
from deepsight.tune.observers.checkpoint_cleanup import ALL
from deepsight.tune.ray_backend.worker import TORN
from tests.analysis.report.test_confirmation import confirmed
from tests.attacks.studies import V1, copied

TRUST = Permission(trust=True)


@pytest.fixture
def study(tmp_path):
    return copied(V1, tmp_path / "s")


@pytest.fixture
def outside(tmp_path):
    """A home directory, and a check that nothing in it has changed."""
    home = tmp_path / "home"
    (home / "figures").mkdir(parents=True)
    (home / "data").mkdir()
    files = (".bashrc", "thesis.txt", "figures/mine.png", "data/mine.csv", "checkpoint.pt",
             "index.html", "report.md", "results.jsonl")  # fmt: skip
    for name in files:
        (home / name).write_text(f"precious {name}\n")
    yield home
    found = {p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()}
    assert found == set(files)
    assert all((home / name).read_text() == f"precious {name}\n" for name in files)


def replace_by_link(path, target):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


FOLDERS = ["trials", "trials/t0000", "ray", "ray/deep"]
FILES = ["study.json", "trials.jsonl", "results.jsonl", "writer.json", "study.journal",
         "trials/t0000/checkpoint.pt", "trials/t0000/augmented.png", "ray/x"]  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS + FILES)
def test_a_resume_follows_no_link(name, study, outside, capsys):
    target = outside if name in FOLDERS else outside / "results.jsonl"
    replace_by_link(study / name, target)
    assert main(["--resume", str(study), "--trust"]) == 2
    error = capsys.readouterr().err
    assert f"{study / name} is a link" in error
    assert len(error.strip().splitlines()) == 2


@pytest.mark.parametrize("name", ["report", "report/comparison"])
def test_a_report_is_not_written_into_a_link(name, study, outside):
    replace_by_link(study / name, outside)
    for make in {"report": [make_report]}.get(name, []) + [lambda s: make_comparison([s, s])]:
        with pytest.raises(UserError, match=re.escape(f"{study / name} is a link")):
            make(study)


SMALL = Document(
    title="Study",
    subtitle="",
    key_results=("A finding.",),
    cards=(),
    warnings=(),
    footer=(),
    sections=(
        Section("s", "S", "", (Table("trials", ("trial",), (("t0000",),)),), {"n": {"a": 1}}),
    ),
)


@pytest.mark.parametrize("name", ["figures", "data"])
def test_a_report_follows_no_link_to_a_folder(name, tmp_path, outside):
    replace_by_link(tmp_path / "report" / name, outside / name)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'report' / name} is a link")):
        write_report(SMALL, tmp_path / "report")


@pytest.mark.parametrize(
    "name", ["index.html", "report.md", "files.json", "data/trials.csv", ".index.html.{pid}"]
)
def test_a_report_replaces_links_to_files(name, tmp_path, outside):
    path = tmp_path / "report" / name.format(pid=os.getpid())
    replace_by_link(path, outside / "index.html")
    if name == "files.json":
        with pytest.raises(UserError, match="is a link"):
            write_report(SMALL, tmp_path / "report")
    else:
        write_report(SMALL, tmp_path / "report")
        assert not path.is_symlink()


def test_a_report_removes_what_it_wrote_and_nothing_else(tmp_path, outside):
    folder = tmp_path / "report"
    write_report(SMALL, folder)
    for name in ("data/mine.csv", "figures/mine.png", "data/old.csv"):
        (folder / name).write_text("1")
    listed = json.loads((folder / "files.json").read_text())
    assert listed == ["data/n.json", "data/trials.csv"]
    hostile = ["data/old.csv", "../home/thesis.txt", "data/../../home/thesis.txt", "/etc/x"]
    hostile += ["data/.", "data/*", "data/", {"data": 1}, 7]
    (folder / "files.json").write_text(json.dumps(listed + hostile))
    write_report(SMALL, folder)
    assert not (folder / "data" / "old.csv").exists()
    assert (folder / "data" / "mine.csv").exists()
    assert (folder / "figures" / "mine.png").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 99_999, b"1", b"9" * 9999])
def test_a_report_whose_list_is_damaged_is_written(content, tmp_path):
    (tmp_path / "files.json").write_bytes(content)
    assert write_report(SMALL, tmp_path).is_file()


@pytest.mark.parametrize("name", ["diagnosis", "diagnosis/t0000-val", "trials/t0000"])
def test_a_diagnosis_follows_no_link(name, trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    replace_by_link(study / name, outside)
    with pytest.raises(UserError):
        make_diagnosis(study, "t0000", split="val", permission=TRUST)


def test_a_diagnosis_writes_through_no_link(trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    folder = study / "diagnosis" / "t0000-val"
    for name in ("index.html", "summary.txt", "per_class.csv", "per_class.html"):
        replace_by_link(folder / name, outside / "index.html")
    make_diagnosis(study, "t0000", split="val", permission=TRUST)
    assert not any(path.is_symlink() for path in folder.iterdir())
    for name in ("evaluation.npz", "maps.npz", "transplants.npz", "made_from.json"):
        kept = (folder / name).read_bytes()
        replace_by_link(folder / name, outside / "index.html")
        with pytest.raises(UserError, match=re.escape(f"{folder / name} is a link")):
            make_diagnosis(study, "t0000", split="val", permission=TRUST)
        (folder / name).unlink()
        (folder / name).write_bytes(kept)


def test_a_study_goes_on_beside_links_in_the_folders_of_other_commands(study, outside):
    """Which check them themselves; the search writes nothing there."""
    for name in ("report", "diagnosis", "confirm", "export"):
        replace_by_link(study / name, outside)
    open_study(study).close()


@pytest.mark.parametrize("name", ["export", "export/t0000"])
def test_an_export_is_not_written_into_a_link(name, trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    replace_by_link(study / name, outside)
    with pytest.raises(UserError, match=re.escape(f"{study / name} is a link")):
        export_model(study, "t0000")


def test_an_export_writes_through_no_link(trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    names = ("model.safetensors", "config.json", "README.md")
    for name in (*names, *(f".{name}" for name in names)):
        replace_by_link(study / "export" / "t0000" / name, outside / "index.html")
    folder = export_model(study, "t0000")
    assert not any((folder / name).is_symlink() for name in names)


def test_an_export_reads_no_diagnosis_by_a_link(trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    path = study / "diagnosis" / "t0000" / "evaluation.npz"
    replace_by_link(path, outside / "thesis.txt")
    with pytest.raises(UserError, match=re.escape(f"{path} is a link")):
        export_model(study, "t0000")


def test_a_confirmation_follows_no_link(tmp_path, outside):
    search, found = confirmed(tmp_path)
    kept = search.directory / "confirm" / "confirmation.json"
    replace_by_link(kept, outside / "thesis.txt")
    with pytest.raises(UserError, match=re.escape(f"{kept} is a link")):
        load_confirmation(search.directory)
    save_confirmation(found, kept)
    assert load_confirmation(search.directory) == found
    for name in ("confirm/report", "confirm"):
        path = search.directory / name
        replace_by_link(path, outside)
        with pytest.raises(UserError, match=re.escape(f"{path} is a link")):
            write_confirmation(found, search.directory)
    with pytest.raises(UserError, match="is a link"):
        load_done(search.directory / "confirm")


@pytest.mark.parametrize("content", ["{", "7", "[]", "{}", "link"])
def test_kept_test_scores_are_those_of_a_plain_whole_file(content, study, outside):
    path = study / "trials" / "t0000" / "test_scores.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if content == "link":
        path.symlink_to(outside / "thesis.txt")
    else:
        path.write_text(content)
    with pytest.raises(UserError, match=re.escape(str(path))):
        scores_on_test(load_study(study), "t0000")


def test_a_page_shows_no_picture_behind_a_link(trained_study, tmp_path, outside):
    study = copied(trained_study, tmp_path / "s")
    page = make_diagnosis(study, "t0000", split="val", permission=TRUST)
    figure = page.parent / "confusion_matrix.png"
    replace_by_link(figure, outside / "thesis.txt")
    make_diagnosis(study, "t0000", split="val", permission=TRUST)
    assert not figure.is_symlink()
    secret = base64.b64encode((outside / "thesis.txt").read_bytes()).decode()
    assert secret not in page.read_text()


def test_the_record_of_openings_follows_no_link(study, outside):
    replace_by_link(study / "test_openings.jsonl", outside / "thesis.txt")
    with pytest.raises(UserError, match="is a link"):
        record_opening(study, "diagnose", "t0000", "0")
    with pytest.raises(UserError, match="is a link"):
        load_openings(study)


def test_a_trial_folder_loses_nothing_but_our_own_files(tmp_path):
    folder = tmp_path / "trials" / "t0000"
    folder.mkdir(parents=True)
    ours = (".checkpoint.pt.12.tmp", ".predictions.npz.12.npz", ".augmented.png.3.png")
    kept = (".bashrc", ".checkpoint", ".predictions", "checkpoint.pt.mine", "x.tmp", ".ssh")
    for name in (*ours, *kept, "checkpoint.pt", "checkpoint.pt.previous"):
        (folder / name).write_text("x")
    remove_files(tmp_path, ["trials", "t0000"], TORN)
    assert {p.name for p in folder.iterdir()} == {*kept, "checkpoint.pt", "checkpoint.pt.previous"}
    remove_files(tmp_path, ["trials", "t0000"], ALL)
    assert {p.name for p in folder.iterdir()} == set(kept)


def test_a_checkpoint_is_neither_read_nor_written_through_a_link(tmp_path, outside):
    folder = tmp_path / "t0000"
    folder.mkdir()
    checkpoint.save(tmp_path / "real.pt", {"epoch": 1}, {"epoch": 1}, wait=True)
    path = folder / CHECKPOINT_FILE
    path.symlink_to(tmp_path / "real.pt")
    assert not checkpoint.verify(path)
    with pytest.raises(checkpoint.CheckpointError, match="is a link"):
        checkpoint.load(path)
    (folder / f".{CHECKPOINT_FILE}.{os.getpid()}.tmp").symlink_to(outside / "thesis.txt")
    checkpoint.save(path, {"epoch": 2}, {"epoch": 2}, wait=True)
    assert checkpoint.load(tmp_path / "real.pt")[1] == {"epoch": 1}
    assert checkpoint.load(path)[1] == {"epoch": 2}


RECORDS = ["study.json", "trials.jsonl", "results.jsonl"]


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("target", ["fifo", "/dev/zero", "/proc/self/mem", "/dev/stdin", "folder",
                                    "socket"])  # fmt: skip
def test_special_files_as_records_are_refused_at_once(name, target, study, tmp_path):
    path = study / name
    path.unlink()
    if target == "fifo":
        os.mkfifo(path)
    elif target == "folder":
        path.mkdir()
    elif target == "socket":
        import socket

        with contextlib.chdir(study):  # the path of a socket is short
            socket.socket(socket.AF_UNIX).bind(name)
    else:
        path.symlink_to(target)
    outcome = []

    def attempt():
        for call in (load_study, open_study):
            try:
                call(study)
            except UserError as error:
                outcome.append(error.cause)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(outcome) == 2
    assert all(str(path) in cause and "not a" in cause for cause in outcome)


def test_the_study_itself_may_be_reached_by_a_link(study, tmp_path):
    (tmp_path / "l").symlink_to(study)
    assert load_study(tmp_path / "l").records
    assert make_folder(tmp_path / "l", ["report"]).is_dir()
    open_study(tmp_path / "l").close()


def test_every_way_of_opening_refuses_links_and_bounds_what_it_reads(tmp_path, outside):
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "real" / "file").write_text("12345")
    (root / "link").symlink_to(outside)
    (root / "real" / "link").symlink_to(outside / "thesis.txt")
    for parts in (["link", "thesis.txt"], ["real", "link"], ["link", "figures", "mine.png"]):
        for call in (open_file, append_to, lambda *a: read_file(*a, most=9)):
            with pytest.raises(FileRefusedError, match="is a link"):
                call(root, parts)
    for call in (make_folder, lambda *a: remove_files(*a, re.compile(".*"))):
        with pytest.raises(FileRefusedError, match="is a link"):
            call(root, ["link"])
    with pytest.raises(FileRefusedError), replacing(root, ["link", "thesis.txt"]):
        pass
    with replacing(root, ["real", "link"]) as path:
        path.write_text("new")
    assert (root / "real" / "link").read_text() == "new"
    assert read_file(root, ["real", "file"], most=5) == b"12345"
    with pytest.raises(FileRefusedError, match="more than 4 bytes"):
        read_file(root, ["real", "file"], most=4)
