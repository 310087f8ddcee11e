"""Studies that Optuna wrote, against what Optuna itself says of them."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter
from contextlib import suppress

import optuna
import pytest
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from analysis.adopt import database
from analysis.adopt.found import Wanted
from analysis.adopt.sources.optuna import STATES, read, recognises
from deepsight.config import UserError
from deepsight.space import Choice, Float, Int
from tests.analysis.adopt.source_folders import unchanged

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    lr = trial.suggest_float("optim.lr", 1e-4, 1.0, log=True)
    width = trial.suggest_int("width", 16, 64, step=16)
    kind = trial.suggest_categorical("optim.name", ["sgd", "adam", None])
    if kind == "sgd":
        trial.suggest_float("momentum", 0.0, 0.9)
    if trial.number == 7:
        raise ValueError("lost")
    value = 0.0
    for step in range(9):
        value = (1 - math.exp(-(step + 1) / 4)) * math.exp(-abs(math.log10(lr) + 2)) + width / 1e3
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def storage_at(kind, path):
    if kind == "journal":
        return JournalStorage(JournalFileBackend(str(path)))
    storage = RDBStorage(f"sqlite:///{path}")
    storage.engine.dispose()  # what is written need not survive the machine: ten times as fast
    sqlalchemy.event.listen(
        storage.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF")
    )
    return storage


@pytest.fixture(scope="module", params=["journal", "database"])
def made(request, tmp_path_factory):
    """A file, and the study in it as Optuna shows it."""
    path = tmp_path_factory.mktemp(request.param) / "study.log"
    study = optuna.create_study(
        storage=storage_at(request.param, path),
        study_name="asha",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=optuna.pruners.SuccessiveHalvingPruner(),
    )
    study.optimize(objective, n_trials=30, catch=(ValueError,))
    study.ask()  # left running
    study.enqueue_trial({"optim.lr": 0.1})
    return path, study


def test_every_value_of_a_pruned_study_comes_over(made):
    path, study = made
    with unchanged(path.parent):
        assert recognises(str(path))
        found = read(str(path), Wanted())
    assert (found.tool, found.name, found.metric, found.mode) == ("optuna", "asha", "value", "max")
    theirs = [t for t in study.get_trials() if t.state != TrialState.WAITING]
    assert Counter(t.state for t in found.trials) == Counter(STATES[t.state.name] for t in theirs)
    assert {"completed", "stopped", "failed", "running"} == {t.state for t in found.trials}
    for ours, trial in zip(found.trials, theirs, strict=True):
        assert ours.key == str(trial.number)
        assert ours.config == trial.params
        assert {r.epoch - 1: r.metrics["value"] for r in ours.rows} == trial.intermediate_values
        assert ours.started == pytest.approx(trial.datetime_start.timestamp())
        assert ours.ended == (trial.datetime_complete and trial.datetime_complete.timestamp())
    finished = [t for t in found.trials if t.state == "completed"]
    best = max(finished, key=lambda trial: trial.rows[-1].metrics["value"])
    assert int(best.key) == study.best_trial.number
    assert best.rows[-1].metrics["value"] == study.best_value
    assert found.space == {
        "optim.lr": Float(1e-4, 1.0, log=True),
        "width": Int(16, 64),
        "optim.name": Choice(("sgd", "adam", None)),
        "momentum": Float(0.0, 0.9),
    }
    assert {"momentum" in t.config for t in found.trials} == {True, False}
    assert any("Steps of domains are not kept: width." in note for note in found.notes)
    assert any("1 trials that never began" in note for note in found.notes)
    assert any("epoch = step + 1" in note for note in found.notes)


def test_a_database_is_known_by_its_address_and_tells_versions(tmp_path):
    path = tmp_path / "a.db"
    optuna.create_study(storage=f"sqlite:///{path}", study_name="x")
    assert recognises(f"sqlite:///{path}")
    found = read(f"sqlite:///{path}", Wanted())
    assert (found.trials, found.mode) == ((), "min")
    assert found.versions["optuna"] == optuna.__version__


def test_what_is_no_storage_is_not_taken_for_one(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.json").write_text('{"op": 1}\n')
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE trials (a)").connection.close()
    for source in ("a.csv", "a.json", "other.db", "nothing", "."):
        assert not recognises(str(tmp_path / source))


def test_one_of_several_studies_must_be_named(tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    for name in ("first", "second"):
        study = optuna.create_study(storage=storage, study_name=name)
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2 if name == "first" else 3)
    with pytest.raises(UserError) as error:
        read(storage, Wanted())
    assert "2 studies: first, second" in error.value.cause
    assert error.value.remedy == "Say which one: --study NAME."
    with pytest.raises(UserError, match="no study 'third'"):
        read(storage, Wanted(study="third"))
    found = read(storage, Wanted(study="second"))
    assert len(found.trials) == 3
    assert [len(t.rows) for t in found.trials] == [1, 1, 1]  # an objective and nothing else
    assert all(t.rows[0].metrics == {"value": t.config["x"]} for t in found.trials)
    assert {t.rows[0].epoch for t in found.trials} == {1}


@pytest.mark.parametrize("named", [True, False])
def test_one_of_several_objectives_is_chosen_by_name_or_number(tmp_path, named):
    storage = f"sqlite:///{tmp_path}/a.db"
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    if named:
        study.set_metric_names(["loss", "accuracy"])
    names = ["loss", "accuracy"] if named else ["values_0", "values_1"]
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), 7.0), n_trials=2)
    with pytest.raises(UserError) as error:
        read(storage, Wanted())
    assert f"2 objectives: {', '.join(names)}." in error.value.cause
    assert "--metric" in error.value.remedy
    for wanted in (names[1], "1"):
        found = read(storage, Wanted(metric=wanted))
        assert (found.metric, found.mode) == (names[1], "max")
        assert all(t.rows[-1].metrics == dict(zip(names, (t.config["x"], 7.0), strict=True))
                   for t in found.trials)  # fmt: skip
    assert read(storage, Wanted(metric="0")).mode == "min"
    with pytest.raises(UserError, match="unknown objective"):
        read(storage, Wanted(metric="f1"))


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_odd_values_and_odd_ends(tmp_path, kind):
    path = tmp_path / "odd"
    study = optuna.create_study(storage=storage_at(kind, path), study_name="odd")
    create = optuna.trial.create_trial
    inf, nan = math.inf, math.nan
    study.add_trial(create(value=0.5, intermediate_values={10: nan, 20: -inf, 30: 0.9}))
    study.add_trial(create(value=inf, intermediate_values={10: 1.0}))
    study.add_trial(create(value=0.25))
    study.add_trial(create(state=TrialState.PRUNED, intermediate_values={}))
    study.add_trial(create(state=TrialState.FAIL))
    with unchanged(tmp_path):
        found = read(str(path), Wanted())
    rows = [[(r.epoch, dict(r.metrics)) for r in t.rows] for t in found.trials]
    assert rows[0] == [
        (10, {"value": None, "intermediate_value": None}),
        (20, {"value": None, "intermediate_value": None}),
        (30, {"value": 0.5, "intermediate_value": 0.9}),
    ]
    assert rows[1] == [(10, {"value": None, "intermediate_value": 1.0})]
    assert rows[2] == [(30, {"value": 0.25})]  # at the epoch of the longest trial
    assert rows[3:] == [[], []]
    states = ["completed", "diverged", "completed", "stopped", "failed"]
    assert [t.state for t in found.trials] == states
    assert len(found.notes) == 3
    assert read(str(path), Wanted(metric="intermediate_value")).metric == "intermediate_value"


def test_domains_that_change_are_joined_and_odd_choices_are_texts(tmp_path):
    path = tmp_path / "a.db"
    study = optuna.create_study(storage=f"sqlite:///{path}")
    for high in (1.0, 3.0, 2.0):
        trial = study.ask()
        trial.suggest_float("x", high / 10, high)
        trial.suggest_float("coarse", 0.0, 1.0, step=0.25)
        trial.suggest_categorical("layers", [[16, 32], [64]])
        trial.suggest_int("n", 1, 1000, log=True)
        study.tell(trial, 1.0)
    found = read(str(path), Wanted())
    assert found.space == {
        "x": Float(0.1, 3.0),
        "coarse": Float(0.0, 1.0),
        "layers": Choice(("[16, 32]", "[64]")),
        "n": Int(1, 1000, log=True),
    }
    assert {t.config["layers"] for t in found.trials} <= {"[16, 32]", "[64]"}
    assert any(note.startswith("x was declared differently") for note in found.notes)
    assert "Steps of domains are not kept: coarse." in found.notes


def journal_of(path, trials=3):
    study = optuna.create_study(storage=storage_at("journal", path), study_name="j")
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=trials)
    return path.read_bytes()


def test_a_torn_last_line_of_a_journal_is_left_out(tmp_path):
    path = tmp_path / "j.log"
    path.write_bytes(journal_of(path)[:-20])
    with unchanged(tmp_path):
        found = read(str(path), Wanted())
    assert [t.state for t in found.trials] == ["completed", "completed", "running"]
    assert found.notes[0] == "The last line of the journal is torn and was left out."


@pytest.mark.parametrize("damage", [b"{torn\n", b"[1]\n", b'{"op_code": 99}\n', b"[" * 99999])
def test_a_damaged_line_within_a_journal_is_named(tmp_path, damage):
    path = tmp_path / "j.log"
    lines = journal_of(path).splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], damage, *lines[1:]]))
    with pytest.raises(UserError) as error:
        read(str(path), Wanted())
    assert "\n" not in error.value.cause + error.value.remedy
    assert f"{path}:2" in error.value.cause or "no journal that" in error.value.cause


@pytest.mark.parametrize("end", [0.3, 0.9])
def test_a_torn_database_is_one_line_of_cause_and_remedy(tmp_path, end):
    path = tmp_path / "a.db"
    optuna.create_study(storage=storage_at("database", path)).optimize(
        lambda t: t.suggest_float("x", 0, 1), n_trials=20
    )
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * end)])
    with pytest.raises(UserError) as error, unchanged(tmp_path):
        read(str(path), Wanted())
    assert "cannot be read as a database of SQLite" in error.value.cause


@pytest.mark.parametrize("alive", [True, False])
def test_a_write_ahead_log_is_read_and_stays_as_it_is(tmp_path, alive):
    """Opening such a database would make two files beside it, closing it would remove them."""
    path = tmp_path / "a.db"
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="w")
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = wal")
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=3)
    if not alive:
        writer.close()
        study._storage._backend.engine.dispose()
    assert (tmp_path / "a.db-wal").exists() is alive
    with unchanged(tmp_path):
        assert recognises(str(path))
        assert len(read(str(path), Wanted()).trials) == 3
    writer.close()


def test_views_and_foreign_tables_are_not_asked(tmp_path):
    """A view could hold a query without end; SQLite knows functions that read files."""
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE studies (study_id)")
    connection.execute("CREATE VIEW trials AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL "
                       "SELECT x + 1 FROM n) SELECT x FROM n")  # fmt: skip
    connection.execute("CREATE VIRTUAL TABLE trial_params USING fts5(a)")
    connection.close()
    with database.opened(str(path)) as found:
        assert "studies" in found.tables
        assert not {"trials", "trial_params"} & found.tables.keys()
        with pytest.raises(sqlite3.DatabaseError, match="prohibited|not authorized"):
            found._connection.execute("CREATE TABLE mine (a)")
    assert not recognises(str(path))


def test_a_server_is_asked_through_sqlalchemy_and_its_password_stays_hidden(made, monkeypatch):
    path, study = made
    if not database.is_database(str(path)):
        pytest.skip("a journal")
    real, address = sqlalchemy.create_engine, "postgresql://me:secret@127.0.0.1:1/db"
    with pytest.raises(UserError) as error:
        read(address, Wanted())
    assert "secret" not in error.value.cause
    assert "postgresql://me:***@127.0.0.1:1/db" in error.value.cause
    monkeypatch.setattr(
        sqlalchemy, "create_engine", lambda _, **given: real(f"sqlite:///{path}", **given)
    )
    assert recognises(address)
    assert read(address, Wanted()) == read(str(path), Wanted())


@pytest.mark.parametrize("value", [None, "text", b"\xff", 2**62, -1, 1e400])
def test_rows_that_optuna_does_not_write_are_one_line(tmp_path, value):
    """Each column of each table in turn; what does no harm may be read."""
    path = tmp_path / "a.db"
    study = optuna.create_study(storage=storage_at("database", path))
    study.optimize(lambda t: t.suggest_categorical("x", [1, 2]), n_trials=2)
    study.ask().report(0.5, 1)
    raw = path.read_bytes()
    with database.opened(str(path)) as found:
        columns = [(table, column) for table in found.tables for column in found.tables[table]]
    for table, column in columns:
        path.write_bytes(raw)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA ignore_check_constraints = 1")
        with suppress(sqlite3.IntegrityError):
            connection.execute(f'UPDATE "{table}" SET "{column}" = ?', (value,))
        connection.commit()
        connection.close()
        try:
            read(str(path), Wanted())
        except UserError as error:
            assert "\n" not in error.cause, (table, column)  # noqa: PT017


def test_storages_of_older_releases_are_read(tmp_path):
    """Optuna 2.4 had no column for the kind of a number, other names of distributions."""
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name TEXT);
        CREATE TABLE study_directions (study_id INTEGER, objective INTEGER, direction TEXT);
        CREATE TABLE study_system_attributes (study_id INTEGER, key TEXT, value_json TEXT);
        CREATE TABLE version_info (schema_version INTEGER, library_version TEXT);
        CREATE TABLE trials (trial_id INTEGER, number INTEGER, study_id INTEGER, state TEXT,
                             datetime_start TEXT, datetime_complete TEXT);
        CREATE TABLE trial_params (trial_id INTEGER, param_name TEXT, param_value REAL,
                                   distribution_json TEXT);
        CREATE TABLE trial_values (trial_id INTEGER, objective INTEGER, value REAL);
        CREATE TABLE trial_intermediate_values (trial_id INTEGER, step INTEGER,
                                                intermediate_value REAL);
        INSERT INTO studies VALUES (5, 'old');
        INSERT INTO study_directions VALUES (5, 0, 'MINIMIZE');
        INSERT INTO version_info VALUES (12, '2.10.1');
        INSERT INTO trials VALUES (9, 0, 5, 'COMPLETE', '2021-05-01 10:00:00.5', NULL);
        INSERT INTO trial_values VALUES (9, 0, 0.5);
        INSERT INTO trial_intermediate_values VALUES (9, 1, NULL), (9, 2, 0.5);
        """
    )
    stated = {"name": "LogUniformDistribution", "attributes": {"low": 0.001, "high": 1.0}}
    row = (9, "lr", 0.01, json.dumps(stated))
    connection.execute("INSERT INTO trial_params VALUES (?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    found = read(str(path), Wanted())
    assert found.space == {"lr": Float(0.001, 1.0, log=True)}
    assert [(r.epoch, r.metrics["value"]) for r in found.trials[0].rows] == [(1, None), (2, 0.5)]
    started = time.mktime((2021, 5, 1, 10, 0, 0, 0, 0, -1)) + 0.5  # local, before Optuna 5
    assert found.trials[0].started == started


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "database"])
def test_ten_thousand_trials_take_seconds(tmp_path, kind):
    path = tmp_path / "many"
    study = optuna.create_study(storage=storage_at("database", path), study_name="many")
    distribution = optuna.distributions.FloatDistribution(0, 1)
    if kind == "database":
        study.ask()
        raw = sqlite3.connect(path)
        stated = optuna.distributions.distribution_to_json(distribution)
        many = range(2, 10_002)
        raw.executemany("INSERT INTO trials (trial_id, number, study_id, state, datetime_start) "
                        "VALUES (?, ?, 1, 'COMPLETE', '2026-01-01 00:00:00')",
                        [(n, n - 1) for n in many])  # fmt: skip
        raw.executemany("INSERT INTO trial_params (trial_id, param_name, param_value, "
                        "distribution_json) VALUES (?, ?, 0.5, ?)",
                        [(n, p, stated) for n in many for p in "abcd"])  # fmt: skip
        raw.executemany("INSERT INTO trial_intermediate_values (trial_id, step, "
                        "intermediate_value, intermediate_value_type) VALUES (?, ?, 1, 'FINITE')",
                        [(n, e) for n in many for e in range(1, 11)])  # fmt: skip
        raw.commit()
        raw.close()
    else:
        lines = [journal_of(path.with_name("j"), 0)]
        created = {"op_code": 4, "worker_id": "w", "study_id": 0, "state": 1, "value": 1.0,
                   "datetime_start": "2026-01-01T00:00:00", "params": dict.fromkeys("abcd", 0.5),
                   "datetime_complete": "2026-01-01T00:00:01",
                   "distributions": dict.fromkeys(
                       "abcd", optuna.distributions.distribution_to_json(distribution)),
                   "intermediate_values": {str(e): 1.0 for e in range(1, 11)}}  # fmt: skip
        path = path.with_name("j")
        path.write_bytes(lines[0] + (json.dumps(created) + "\n").encode() * 10_000)
    start = time.process_time()
    found = read(str(path), Wanted())
    assert time.process_time() - start < 20
    assert sum(len(t.rows) for t in found.trials) == 100_000
