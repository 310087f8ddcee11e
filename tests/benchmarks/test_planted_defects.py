"""The benchmark on planted defects: what it plans, counts and records; one real run end to end."""

import json

import pytest
from sklearn.datasets import load_digits

from analysis.diagnosis.build import make_diagnosis, study_findings
from benchmarks import planted_defects as planted
from benchmarks.planted_peers import OURS, lists_table, planted_rows
from deepsight.config import DataConfig
from deepsight.data.defects import KINDS
from deepsight.run_store import load_study


def row(defect: str, *findings: tuple[str, tuple[str, ...]]) -> dict:
    kind, *_, strength = defect.split(":") if ":" in defect else (defect, "0")
    return {
        "data": "digits",
        "kind": kind,
        "strength": float(strength),
        "seed": 1000,
        "defect": defect,
        "findings": [{"kind": k, "classes": list(c)} for k, c in findings],
    }


def test_found_means_the_kind_and_exactly_the_classes() -> None:
    found = planted.is_found
    assert found(row("mark:3:1", ("mark", ("3",))))
    assert found(row("mark:3:1", ("rare", ("2",)), ("mark", ("3",))))
    assert not found(row("mark:3:1", ("mark", ("4",))))
    assert not found(row("mark:3:1", ("background", ("3",))))
    assert found(row("labels:3:8:0.3", ("labels", ("8", "3"))))
    assert found(row("blur:1", ("shift", ())))
    assert found(row("size:3:1", ("place", ("3",))))


def test_table_counts_recall_and_false_alarms() -> None:
    rows = [row("mark:3:1", ("mark", ("3",))), row("mark:4:1"), row("none"), row("none")]
    rows[3]["findings"] = [{"kind": "rare", "classes": ["1"]}]
    text = planted.table(rows)
    assert "| digits | mark | 1 | 1 of 2 | 0.01 to 0.99 | 2 |" in text
    assert "| digits | nothing: false alarms |  | 1 of 2 |" in text


def test_lists_are_counted_against_what_was_planted() -> None:
    config = DataConfig(name="digits", defects="labels:3:8:0.5", split_seed=3)
    wrong = planted_rows(config)["labels"]
    scans = load_digits().target
    assert {int(scans[int(name.removeprefix("image "))]) for name in wrong} == {3, 8}
    assert len(wrong) == round(0.5 * (scans == 3).sum()) + round(0.5 * (scans == 8).sum())
    listed = ({"labels": {OURS: counts}} for counts in ([8, 10, 16], [0, 0, 4]))
    said = lists_table([row("labels:3:8:0.5") | {"lists": lists} for lists in listed])
    assert (
        "| labels | 0.5 | DeepSight | 0.80 (n = 1) | 0.25 [0.00, 1.00] (n = 2) | 1 of 2 |" in said
    )


def test_every_kind_is_planned_with_classes_of_its_seed() -> None:
    assert set(planted.STRENGTHS) == set(KINDS)
    runs = list(planted.planned_runs(["toy_objects", "digits"], range(2), range(8), []))
    assert len(runs) == len(set(runs))
    assert sum(kind == "none" for _, kind, _, _ in runs) == 16
    assert sum(kind == "none_untrained_no_masks" for _, kind, _, _ in runs) == 8
    of_digits = {kind for data, kind, *_ in runs if data == "digits"}
    assert of_digits == {*planted.ON_DIGITS, *planted.CLEAN}
    strong = [r for r in runs if r[1] == "mark" and r[0] == "digits"]
    assert [s for _, _, s, _ in strong] == [1.0, 1.0, 0.9, 0.6, 0.3, 0.9, 0.6, 0.3]
    assert planted.planned_defect("none_no_masks", 0.0, "digits", 5) == ""
    text = planted.planned_defect("labels", 0.3, "digits", 5)
    assert text == planted.planned_defect("labels", 0.3, "digits", 5)
    assert len({planted.planned_defect("mark", 1, "digits", s) for s in range(20)}) > 4


def test_a_file_that_has_all_runs_is_only_counted(tmp_path, capsys) -> None:
    path = tmp_path / "runs.jsonl"
    done = [row("none") | {"kind": kind, "seed": 1000} for kind in planted.CLEAN]
    path.write_text("".join(json.dumps(r) + "\n" for r in done))
    arguments = ["--data", "digits", "--seeds", "0:0", "--clean", "1000:1001"]
    assert planted.main(["--runs", str(path), *arguments]) == 0
    assert capsys.readouterr().out.count("0 of 1") == len(planted.CLEAN)
    assert len(path.read_text().splitlines()) == len(planted.CLEAN)


@pytest.fixture(scope="module")
def marked(cache, tmp_path_factory):
    """A study on digits with a mark on fives, trained in seconds."""
    config = planted.FIXED | planted.BY_DATA["digits"]
    config |= {"data.name": "digits", "data.defects": "mark:5:1", "train.epochs": 3}
    return planted.train(tmp_path_factory.mktemp("planted") / "marked", config)


@pytest.mark.long
def test_a_planted_mark_is_found_and_stands_in_the_diagnosis(marked) -> None:
    assert load_study(marked).header.data["defects"] == "mark:5:1"
    found = study_findings(marked)
    assert [(f.kind, f.labels) for f in found.defects] == [("mark", (5,))]
    page = make_diagnosis(marked)
    assert "Something in the corners gives 5 away" in (page.parent / "summary.txt").read_text()
    text = (page.parent / "recommendations.md").read_text()
    assert "`--set augment.mix=cutmix`" in text
    assert "mark,5," in (page.parent / "findings.csv").read_text()
    assert "What is wrong, and what to do" in page.read_text("utf-8")
