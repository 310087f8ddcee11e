"""What a search sets in its process is put back."""

import logging
import os
import signal

import pytest

from deepsight.tune.process_environment import environment, levels_of
from deepsight.tune.signals import Interrupt, catch_signals


def test_variables_are_put_back_also_after_an_error(monkeypatch):
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("NEW", raising=False)
    monkeypatch.delenv("OTHERS", raising=False)

    def fail():
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("within", "1")
        os.environ["OTHERS"] = "set meanwhile"
        raise RuntimeError

    with pytest.raises(RuntimeError), environment({"KEPT": "within", "NEW": "1"}, ("OTHERS",)):
        fail()
    assert os.environ["KEPT"] == "before"
    assert not {"NEW", "OTHERS"} & os.environ.keys()


def test_levels_are_put_back():
    logger = logging.getLogger("a_library")
    with levels_of(["a_library"]):
        logger.setLevel(logging.CRITICAL)
    assert logger.level == logging.NOTSET


def test_handlers_are_put_back():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(n) for n in numbers]
    interrupt = Interrupt()
    with catch_signals(interrupt):
        assert signal.getsignal(signal.SIGINT) == interrupt.handle
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert [signal.getsignal(n) for n in numbers] == before


def test_only_a_command_line_may_end_the_process(monkeypatch):
    deadlines = []
    monkeypatch.setattr("threading.Thread", lambda **options: Deadline(deadlines))
    for may_exit, count in ((False, 0), (True, 1)):
        with pytest.raises(KeyboardInterrupt):
            Interrupt(may_exit=may_exit).handle(signal.SIGINT, None)
        assert len(deadlines) == count


class Deadline:
    """Stands for the thread that would end the process of the tests."""

    def __init__(self, started):
        self._started = started

    def start(self):
        self._started.append(self)
