"""Names of studies that nobody gave: free, and such as a directory may have."""

import pytest

from deepsight.run_store import StudyExistsError, load_header
from deepsight.tune.cli import main
from deepsight.tune.driver import _create
from deepsight.tune.plan import NAME
from deepsight.tune.plan_files import plan_study
from tests.tune.plans import make_plan

SPACE = "from deepsight import uniform\nSPACE = {'optim.lr': uniform(0.1, 0.2)}\n"


def test_runs_of_one_second_get_names_of_their_own(tmp_path):
    plan = make_plan("smoke-20260101-120000")
    directory = tmp_path / plan.name
    for expected in (plan.name, f"{plan.name}-2", f"{plan.name}-3"):
        _create(plan, directory, {}, "", named=False).close()
        assert load_header(tmp_path / expected).name == expected
    with pytest.raises(StudyExistsError, match="exists already"):
        _create(plan, directory, {}, "", named=True)


def test_only_a_name_that_nobody_gave_is_made_up():
    assert plan_study("smoke", None, None).name_is_made_up
    assert not plan_study("smoke", None, "first").name_is_made_up


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("mein Raum.py", "mein-Raum-20"),
        ("größe & süß.py", "groe-su-20"),
        ("空間.py", "study-20"),
        (b"caf\xe9.py".decode("utf-8", "surrogateescape"), "caf-20"),
        (".._x.py", "x-20"),
        ("x" * 200 + ".py", "xxx"),
    ],
)
def test_a_space_file_may_have_any_name(file, begins, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(SPACE)
    name = plan_study(file, None, None).name
    assert name.startswith(begins)
    assert NAME.fullmatch(name)
    assert main(["--space", file, "--dry-run"]) == 0
    assert begins in capsys.readouterr().out
