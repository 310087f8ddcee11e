import pytest

from deepsight.config import UserError
from deepsight.imports import call, load_object


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_finds_what_is_there(module):
    module("here_it_is", "def build(x):\n    return x + 1\n")
    assert load_object("here_it_is:build")(1) == 2
    assert load_object("os.path:join")("a", "b") == "a/b"


@pytest.mark.parametrize(
    ("path", "cause", "remedy"),
    [
        ("nowhere", "not an import path", "package.module:function"),
        ("no_such_package.nets:build", "no module 'no_such_package'", "install it"),
        ("os.no_such:build", "no module 'os.no_such'", "install it"),
        ("imports_missing:build", "importing imports_missing raised", "Fix"),
        ("raises:build", "importing raises raised RuntimeError: two lines (raises.py:1)", "Fix"),
        ("no_syntax:build", "importing no_syntax raised SyntaxError", "Fix"),
        ("has_others:bulid", "unknown name in module has_others 'bulid'", "build"),
    ],
)
def test_one_line_of_cause_and_one_of_remedy(module, path, cause, remedy):
    module("imports_missing", "import no_such_library\n")
    module("raises", "raise RuntimeError('two\\nlines.')\n")
    module("no_syntax", "def build(:\n")
    module("has_others", "def build():\n    pass\n")
    with pytest.raises(UserError) as caught:
        load_object(path)
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.cause + caught.value.remedy


def test_errors_of_the_function_become_one_line(module):
    module("fails", "def build(x):\n    return 1 / x\n")
    build = load_object("fails:build")
    assert call("fails:build", build, 2) == 0.5
    with pytest.raises(UserError, match=r"fails:build raised ZeroDivisionError.*fails.py:2"):
        call("fails:build", build, 0)
    with pytest.raises(UserError, match="not a function"):
        call("fails:build", 3)
