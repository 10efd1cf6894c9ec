"""sslspk.progress: plain lines at the right times for a log, a bar on a terminal."""
import io
import sys

import pytest

from sslspk import progress


class Clock:
    """Seconds that pass only as the items are worked on."""

    now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def log_of(seconds, items, **more):
    """Work on each item for so many seconds: what the log holds, after checking that all items come."""
    clock, log, seen = Clock(), io.StringIO(), []
    for item in progress.over(items, "utterances", stream=log, clock=clock, **more):
        seen.append(item)
        clock.now += seconds
    assert seen == list(range(len(seen))) and len(seen) == 5000
    return log.getvalue()


@pytest.mark.parametrize(("seconds", "lines"), [(0.0059, 0), (0.0061, 1), (0.0179, 1), (0.0181, 2), (0.0301, 3)])
def test_a_log_gets_a_line_after_half_a_minute_then_one_a_minute(seconds, lines):
    """5000 utterances of 0.0059 s are done in 29.5 s: not worth a line; 90 s have two."""
    said = log_of(seconds, range(5000))
    assert said.count("\n") == lines and "\r" not in said and "%" not in said


def test_a_line_says_how_many_how_fast_and_how_long_still():
    assert log_of(1 / 32, range(5000)).splitlines() == [
        "960 of 5000 utterances, 32 a second, 2 min left", "2880 of 5000 utterances, 32 a second, 1 min left",
        "4800 of 5000 utterances, 32 a second, 6 s left"]
    assert log_of(1 / 32, iter(range(5000))).splitlines()[0] == "960 utterances, 32 a second"   # how many there are is not known
    assert log_of(1 / 32, iter(range(5000)), total=10000).splitlines()[1] == "2880 of 10000 utterances, 32 a second, 4 min left"
    assert log_of(1.0, range(5000), wanted=False) == ""


@pytest.mark.parametrize(("done", "seconds", "line"), [
    (5, 1.0, "5 of 100 tars, 5.0 a second, 19 s left"), (50, 100.0, "50 of 100 tars, 30 a minute, 2 min left"),
    (1, 60.0, "1 of 100 tars, 1.0 a minute, 1 h 39 min left"), (1, 1800.0, "1 of 100 tars, 2.0 an hour, 49 h 30 min left"),
    (200, 20.0, "200 of 100 tars, 10 a second, 0 s left")])
def test_speed_and_time_have_the_unit_that_suits(done, seconds, line):
    assert progress.line(done, 100, "tars", seconds) == line


def test_a_terminal_gets_a_bar_that_ends_its_line():
    terminal = Terminal()
    assert list(progress.over(range(3), "utterances", stream=terminal)) == [0, 1, 2]
    said = terminal.getvalue()
    assert "0/3" in said and "3/3" in said.split("\r")[-1] and said.endswith("\n") and said.count("\n") == 1


def test_a_bar_that_the_caller_moves_is_for_terminals_alone(monkeypatch):
    for stream, shown, bars in ((Terminal(), True, True), (Terminal(), False, False), (io.StringIO(), True, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        moved = progress.bar(3, "steps", 1, shown)
        moved.update(1)
        moved.close()
        assert ("1/3" in stream.getvalue()) == bars and (bars or stream.getvalue() == "")
