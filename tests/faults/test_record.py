"""The driver killed at every write of the record, before, within and after its line.

One slot and a fixed seed: the study then has to end exactly as one that nobody disturbed.
"""

import collections
import json
import os
import warnings

import pytest

from deepsight.config import STUDY_PARAMS, UserError
from deepsight.run_store import load_study, open_study
from tests.faults.simulated import history, run, told
from tests.tune.plans import make_plan

NO_LIMIT = 10_000
EVERY = 1 if os.environ.get("FAULTS_OUT") else 4
"""Writes from one kill to the next: `make faults` kills at each, `make test` at each fourth."""


@pytest.fixture(params=STUDY_PARAMS["study.scheduler"].metadata["choices"])
def plan(request):
    return make_plan(trials=6, scheduler=request.param, explore=0.25)


@pytest.fixture(autouse=True)
def _quick_and_quiet(monkeypatch, caplog):
    monkeypatch.setattr("os.fsync", lambda _: None)  # matters to a power cut, not to a kill
    # so that the model has its say
    monkeypatch.setattr("deepsight.tune.search.learning_curve_gp.STARTUP_TRIALS", 3)
    caplog.set_level("ERROR")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the last line is torn")
        yield


def check_promises(directory, witness, plan, kills=1, slots=1):
    """No trial lost or doubled, no finished epoch repeated, the running ones at most once a kill.

    The checks need nothing but the files, and count from a file that the study does not write.
    """
    records = load_study(directory).records
    assert [r.trial_id for r in records] == [f"t{n:04d}" for n in range(plan.settings.trials)]
    assert all(r.state in ("completed", "stopped") for r in records)
    lines = [json.loads(line) for line in (directory / "results.jsonl").open()]
    rows = collections.Counter((line["trial_id"], line["epoch"]) for line in lines)
    assert max(rows.values()) == 1
    trained = collections.Counter(tuple(line.split()) for line in witness.open())
    assert {(t, int(e)) for t, e, _ in trained} == set(rows)  # what was trained is not lost either
    assert len({(t, digest) for t, _, digest in trained}) == len(records)
    repeated = sum(count - 1 for count in trained.values())
    assert repeated <= kills * slots
    return repeated


def reference(plan, directory):
    search, killed = run(plan, directory / "whole", directory / "whole.witness")
    assert not killed
    return search, len((directory / "whole" / "results.jsonl").read_bytes().splitlines()) + len(
        (directory / "whole" / "trials.jsonl").read_bytes().splitlines()
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_kill_at_any_write_changes_nothing(plan, share, tmp_path, faults):
    whole, writes = reference(plan, tmp_path)
    for at in range(1, writes + 1, EVERY):
        directory, witness = tmp_path / f"s{at}", tmp_path / f"{at}.witness"
        faults.append({"kind": "driver killed at a write, one slot", "held": False})
        killed = run(plan, directory, witness, at=at, share=share)[1]
        assert killed, "the fault did not happen"
        after, killed = run(plan, directory, witness)
        assert not killed
        assert history(directory) == history(tmp_path / "whole"), at
        assert told(after) == told(whole)
        assert vars(after.scheduler) == vars(whole.scheduler)
        assert after.progress == whole.progress
        assert check_promises(directory, witness, plan) == 0  # checkpoints are never behind here
        faults[-1]["held"] = True


@pytest.mark.parametrize("gap", [2, 3, 5])
def test_kills_in_a_row_and_during_the_resume_change_nothing(plan, gap, tmp_path, faults):
    whole, writes = reference(plan, tmp_path)
    for first in range(1, writes, 9):
        directory, witness = tmp_path / f"s{first}", tmp_path / f"{first}.witness"
        assert run(plan, directory, witness, at=first, share=0.7)[1]
        kills, at = 1, len(faults)
        while run(plan, directory, witness, at=gap, share=0.3 * (kills % 4))[1]:
            kills += 1
            assert kills < 4 * writes, "it never gets anywhere"
        faults += [{"kind": "driver killed at a write, in a row", "held": False}] * kills
        assert kills > (writes - first) / (gap + 1)
        assert history(directory) == history(tmp_path / "whole")
        check_promises(directory, witness, plan, kills)
        faults[at:] = [fault | {"held": True} for fault in faults[at:]]


@pytest.mark.parametrize(
    "scheduler", [*STUDY_PARAMS["study.scheduler"].metadata["choices"], "brackets"]
)
def test_a_kill_with_several_slots_loses_and_doubles_nothing(scheduler, tmp_path, faults):
    several = {"scheduler": "asha", "brackets": 2} if scheduler == "brackets" else {}
    plan = make_plan(trials=6, explore=0.25, **({"scheduler": scheduler} | several))
    run(plan, tmp_path / "whole", tmp_path / "whole.witness", slots=3)
    writes = sum(
        len((tmp_path / "whole" / name).read_bytes().splitlines())
        for name in ("trials.jsonl", "results.jsonl")
    )
    for at in range(1, writes + 1, EVERY):
        directory, witness = tmp_path / f"s{at}", tmp_path / f"{at}.witness"
        killed = run(plan, directory, witness, slots=3, at=at, share=0.5)[1]
        if not killed:  # the proposals depend on who reports first; a shorter run has fewer writes
            continue
        faults.append({"kind": "driver killed at a write, three slots", "held": False})
        on_record = {r.trial_id: (r.state, r.rows) for r in load_study(directory).records}
        run(plan, directory, witness, slots=3)
        check_promises(directory, witness, plan, slots=3)
        for record in load_study(directory).records:  # what was on record still is
            state, rows = on_record.get(record.trial_id, ("running", []))
            assert record.rows[: len(rows)] == rows
            assert state in ("running", record.state)
        faults[-1]["held"] = True


def test_rungs_and_optuna_are_after_a_crash_what_they_were_before(plan, tmp_path):
    before, killed = run(plan, tmp_path / "s", tmp_path / "witness", slots=3, at=25, share=1.0)
    assert killed
    after = run(plan, tmp_path / "s", tmp_path / "witness", slots=3, at=1)[0]
    rungs = [getattr(search.scheduler, "seen", None) for search in (before, after)]
    for trial_id, heard in told(before).items():
        again = told(after)[trial_id]
        assert heard[0] == again[0]
        assert heard[3].items() <= again[3].items()  # at most the row that was being written is new
    if rungs[0] is not None:
        for rung, scores in rungs[0].items():
            assert scores.items() <= rungs[1][rung].items()


def test_a_record_without_lines_for_promotions_goes_on(tmp_path):
    """As earlier versions wrote it: with one slot the results tell who was promoted."""
    plan = make_plan(trials=6, scheduler="asha", explore=0.0)
    reference(plan, tmp_path)
    directory, witness = tmp_path / "s", tmp_path / "witness"
    assert run(plan, directory, witness, at=25, share=0.5)[1]
    path, seen, kept = directory / "trials.jsonl", set(), []
    for line in path.read_text().splitlines(keepends=True):
        event = json.loads(line) if line.endswith("\n") else {"event": "torn", "trial_id": ""}
        if event["event"] != "started" or event["trial_id"] not in seen:
            kept.append(line)
        seen.add(event["trial_id"])
    assert len(kept) < len(path.read_text().splitlines())
    path.write_text("".join(kept))
    assert not run(plan, directory, witness)[1]
    assert history(directory) == history(tmp_path / "whole")
    check_promises(directory, witness, plan)


def test_a_checkpoint_that_is_behind_the_record_repeats_only_what_it_lacks(plan, tmp_path):
    directory, witness = tmp_path / "s", tmp_path / "witness"
    running = []
    while not running:
        run(plan, directory, witness, at=14, share=0.5)
        records = load_study(directory).records
        running = [r for r in records if r.state == "running" and r.num_epochs]
    path = directory / "trials" / running[0].trial_id / "checkpoint.json"
    path.write_text(json.dumps(running[0].rows[0]))
    run(plan, directory, witness)
    assert history(directory)
    check_promises(directory, witness, plan, kills=1 + running[0].num_epochs)


def test_the_second_writer_is_refused_by_name_and_a_stale_note_is_taken_over(plan, tmp_path):
    directory = tmp_path / "s"
    run(plan, directory, tmp_path / "witness", at=10, share=0.5)
    assert (directory / "writer.json").exists()  # as a killed driver leaves it
    with open_study(directory) as writer:
        assert writer.stale.pid == json.loads((directory / "writer.json").read_text())["pid"]
        with pytest.raises(UserError, match=r"another process \(process \d+ on .*, started 2"):
            open_study(directory)
        assert (directory / "writer.json").exists()
    assert not (directory / "writer.json").exists()
    with open_study(directory) as writer:
        assert writer.stale is None


def test_a_study_that_was_moved_goes_on(plan, tmp_path):
    run(plan, tmp_path / "s", tmp_path / "witness", at=15, share=0.5)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "s").rename(tmp_path / "elsewhere" / "t")
    run(plan, moved, tmp_path / "witness")
    check_promises(moved, tmp_path / "witness", plan, kills=NO_LIMIT)


def test_a_crash_while_the_study_is_made_leaves_no_half_of_one(tmp_path, monkeypatch):
    from deepsight.run_store import writer
    from deepsight.tune.preflight import make_header

    plan = make_plan(trials=2)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        writer.create_study(tmp_path / "runs" / "s", make_header(plan, {}))
    monkeypatch.undo()
    assert not (tmp_path / "runs" / "s").exists()
    writer.create_study(tmp_path / "runs" / "s", make_header(plan, {})).close()
