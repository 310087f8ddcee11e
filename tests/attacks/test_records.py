"""Records with hostile values: one line with ``file:line``, or what is left; never a traceback.

`DEEPSIGHT_FUZZ` is the number of random records (`make attack` sets more), `DEEPSIGHT_FUZZ_S` the
seconds after which no more are tried.
"""

import copy
import json
import os
import re
import time
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepsight.config import UserError
from deepsight.run_store import StudyFormatError, describe_data, load_openings, load_study
from deepsight.run_store.format import decode
from deepsight.tune.plan import plan_from_header
from tests.attacks.studies import V1, copied

NUMBER = int(os.environ.get("DEEPSIGHT_FUZZ", "300"))
SECONDS = float(os.environ.get("DEEPSIGHT_FUZZ_S", "600"))
BATCH = min(NUMBER, 200)
HEADER = json.loads((V1 / "study.json").read_text())
TRIALS = [json.loads(line) for line in (V1 / "trials.jsonl").read_text().splitlines()]
RESULTS = [json.loads(line) for line in (V1 / "results.jsonl").read_text().splitlines()]
OPENINGS = [
    {"time": 1.5, "command": "diagnose", "trial_id": "t0000", "sha256": "0" * 64},
    {"time": 2.5, "command": "confirm", "trial_id": "t0001", "sha256": "1" * 64},
]
LINES = {
    "study.json": [HEADER],
    "trials.jsonl": TRIALS,
    "results.jsonl": RESULTS,
    "test_openings.jsonl": OPENINGS,
}
FILES = tuple(LINES)


class Raw(str):
    """JSON that `json.dumps` would not write."""


HOSTILE = [
    Raw("1e999"), Raw("-1e999"), Raw("9" * 400), Raw("-" + "9" * 5000), Raw("NaN"), Raw("Infinity"),
    Raw("[" * 100_000), Raw("[" * 500 + "]" * 500), Raw('{"a":' * 40 + "1" + "}" * 40),
    Raw('"\\ud800"'), Raw('"\\udfff\\ud800"'), Raw("1e400000000"), Raw("0." + "1" * 10_000),
    "", "a", "x" * 100_000, "\x1b[2J", "=1+1", None, True, False, 0, -1, 1, 2, 2**53,
    2**62, -(2**62),
    1e300, -1e300, 5e-324, 0.5, [], {}, [[]], [None], ["a"], [1, 0], {"a": {}}, {"": None}, "t0000",
]  # fmt: skip


def text_of(value):
    """JSON, with what is `Raw` as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def places(value, path=()):
    """The path of every value in `value`."""
    yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from places(inner, (*path, key))


def changed(value, path, new):
    if not path:
        return new
    made = copy.copy(value)
    made[path[0]] = changed(value[path[0]], path[1:], new)
    return made


def write(directory, name, lines):
    text = "\n".join(map(text_of, lines)) + "\n"
    (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))


def read(study):
    """All that reading a study computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for skip in (False, True):
            found, cause = attempt(lambda s=skip: load_study(study, skip_damaged=s))
            assert len(cause) < 2000
            if found is not None:
                _ = found.trials, found.epochs, repr(found), found._repr_html_(), found.incumbent()
                describe_data(found.header.data)
                attempt(lambda f=found: plan_from_header(f.header).default_config())
        openings, cause = attempt(lambda: load_openings(study))
        assert len(cause) < 2000
        for opening in openings or []:
            assert opening.time >= 0
            assert isinstance(opening.command + opening.trial_id + opening.sha256, str)


def attempt(call):
    """What `call` returns, or the cause for which it refuses."""
    try:
        return call(), ""
    except UserError as error:
        return None, error.cause


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = copied(V1, tmp_path_factory.mktemp("hostile") / "s")
    write(made, "test_openings.jsonl", OPENINGS)
    return made


@pytest.mark.parametrize("file", FILES)
def test_every_hostile_value_in_every_place_is_borne(file, study):
    before = (study / file).read_bytes()
    lines = LINES[file][: 3 if file == "trials.jsonl" else 2]
    number = 0
    for at, line in enumerate(lines):
        for path in places(line):
            for new in HOSTILE[number % 7 :: 7]:  # each value in every seventh place
                write(study, file, [*lines[:at], changed(line, path, new), *lines[at + 1 :]])
                read(study)
            number += 1
    (study / file).write_bytes(before)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(
    max_examples=BATCH,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def one_random_record(study, data):
    file = data.draw(st.sampled_from(FILES))
    before = (study / file).read_bytes()
    if data.draw(st.booleans()):
        made = LINES[file][:4]
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(made) - 1))
            path = data.draw(st.sampled_from(list(places(made[at]))))
            made[at] = changed(made[at], path, data.draw(json_values))
        write(study, file, made)
    else:  # bytes in the middle of the file
        at = data.draw(st.integers(0, len(before)))
        length = data.draw(st.integers(0, 20))
        (study / file).write_bytes(
            before[:at] + data.draw(st.binary(max_size=20)) + before[at + length :]
        )
    try:
        read(study)
    finally:
        (study / file).write_bytes(before)


def test_random_records_are_borne(study):
    began, tried = time.monotonic(), 0
    while tried < NUMBER and time.monotonic() < began + SECONDS:
        one_random_record(study)
        tried += BATCH
    print(f"{tried} random records in {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("text", [str(v) for v in HOSTILE if isinstance(v, Raw)][:12])
def test_what_is_beyond_the_format_is_a_value_error(text):
    with pytest.raises(ValueError, match="."):
        decode(text)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("trials.jsonl", {"budget": -3}, "trials.jsonl:1: budget must be"),
        ("trials.jsonl", {"time": 1e300}, "trials.jsonl:1: time must be"),
        ("trials.jsonl", {"config": {"optim.lr": [1]}}, "trials.jsonl:1: optim.lr must be"),
        ("results.jsonl", {"val_accuracy": "0.9"}, "results.jsonl:1: val_accuracy must be"),
        ("results.jsonl", {"epoch": 10**12}, "results.jsonl:1: epoch must be"),
        ("study.json", {"max_epochs": -1}, "study.json: max_epochs must lie in"),
        ("study.json", {"rungs": [3, 1]}, "study.json: rungs must not decrease"),
        (
            "study.json",
            {"space": {"a": {"type": "float", "low": -1, "high": 1, "log": True}}},
            "a:",
        ),
        ("study.json", {"space": {"a": {"type": "int", "low": 2, "high": 1, "log": False}}}, "a:"),
        ("study.json", {"fixed": {"optim.lr": {}}}, "study.json: optim.lr in fixed must be"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(file, change, says, study):
    lines = LINES[file]
    before = (study / file).read_bytes()
    write(study, file, [lines[0] | change, *lines[1:]])
    try:
        with pytest.raises(StudyFormatError, match=re.escape(says)):
            load_study(study)
    finally:
        (study / file).write_bytes(before)


def test_a_number_of_400_digits_in_a_text_of_a_file_name_is_none():
    assert decode('"caf\\udce9 1e999"') == "caf\udce9 1e999"
    assert decode("[0.1, 1e-300, 9223372036854775807]")[2] == 2**63 - 1
