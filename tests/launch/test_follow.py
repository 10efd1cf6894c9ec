"""What a launcher shows of a job while it runs."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslspk.launch.follow import Follower
from sslspk.launch.request import parse

RUN = Path(__file__).resolve().parents[2] / "utils/run.pl"


@pytest.fixture
def follower(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLSPK_FOLLOW", "step loss left")
    monkeypatch.setenv("SSLSPK_PROGRESS_SECONDS", "0.000001")
    return Follower(parse(["run.pl", "N=1:2", f"{tmp_path}/train.N.log", "true"]))


def said(follower, capsys, content=None, **more):
    """What it prints once the log holds `content`, too."""
    if content is not None:
        with open(follower.path, "a") as log:
            log.write(content)
    follower._look(**more)
    return capsys.readouterr().out.splitlines()


def test_figures_and_warnings_are_shown_once(follower, capsys):
    assert said(follower, capsys) == []   # no log yet
    assert said(follower, capsys, "# python3\n10:00:00 250 steps of 64\n10:00:01 step 10 epoch 0.34 loss 4.3 lr 0.1 left 3m20s\n") == [
        "  step 10 loss 4.3 left 3m20s"]
    assert said(follower, capsys, "10:00:02 step 20 lo") == []   # half a line
    assert said(follower, capsys, "ss 4.1\nwarning: a\n10:00:03 WARNING: collapsed\nwarning: a\n") == [
        "  warning: a", "  WARNING: collapsed", "  step 20 loss 4.1"]
    scored = "evaluated step 30 epoch 1.00: EER 20.00 % on trials, in 3s"
    assert said(follower, capsys, f"10:00:03 step 30 loss 2\n10:00:03 {scored}\n{scored}\n") == ["  step 30 loss 2", f"  {scored}"]
    assert said(follower, capsys, "step 30 loss 1\n") == []   # not the program's own line


def test_a_new_log_is_read_from_its_beginning(follower, capsys):
    said(follower, capsys, "10:00:01 step 10 loss 4.3\n")
    os.replace(follower.path, f"{follower.path}.0")
    assert said(follower, capsys, "10:00:02 step 11 loss 4.2\n") == ["  step 11 loss 4.2"]
    os.truncate(follower.path, 0)
    assert said(follower, capsys, "10:00:03 step 1 loss 5\n") == ["  step 1 loss 5"]


def test_lines_have_a_pause_but_for_the_last_and_warnings_have_a_limit(follower, capsys):
    follower.pause = 1000.0
    assert said(follower, capsys, "10:00:01 step 1 loss 5\n") == ["  step 1 loss 5"]
    assert said(follower, capsys, "10:00:02 step 2 loss 4\n10:00:03 step 3 loss 3\n") == []
    assert said(follower, capsys, last=True) == ["  step 3 loss 3"]
    lines = said(follower, capsys, "".join(f"warning: {i}\n" for i in range(100)))
    assert len(lines) == 21 and lines[-1] == f"  more warnings are in {follower.path}"


def test_the_launcher_shows_it_where_it_is_asked_to(tmp_path):
    words = [sys.executable, RUN, "log", "echo", "10:00:00", "step", "7", "loss", "2.5", "left", "1s"]
    asks = {**os.environ, "SSLSPK_FOLLOW": "step loss"}
    quiet = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    asked = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60, env=asks)
    assert (quiet.stdout, asked.stdout, quiet.stderr + asked.stderr) == ("", "  step 7 loss 2.5\n", "")
    broken = subprocess.run(["bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "x", *words], cwd=tmp_path, timeout=60,
                            env=asks, text=True, capture_output=True)
    assert (broken.returncode, broken.stderr) == (0, "")   # whoever read it has gone
