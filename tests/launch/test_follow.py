"""What a launcher shows of a job while it runs."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sslspk.launch.follow import ALIKE, WARNINGS, Follower
from sslspk.launch.request import parse

RUN = Path(__file__).resolve().parents[2] / "utils/run.pl"


@pytest.fixture
def follower(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLSPK_FOLLOW", "step loss left")
    monkeypatch.setenv("SSLSPK_PROGRESS_SECONDS", "0.000001")
    return Follower(parse(["run.pl", f"{tmp_path}/train.log", "true"]))


def said(follower, capsys, content=None, job=0, **more):
    """What it prints once the log of a job holds `content`, too."""
    if content is not None:
        with open(follower.logs[job].path, "a") as log:
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
    os.replace(follower.logs[0].path, f"{follower.logs[0].path}.0")
    assert said(follower, capsys, "10:00:02 step 11 loss 4.2\n") == ["  step 11 loss 4.2"]
    os.truncate(follower.logs[0].path, 0)
    assert said(follower, capsys, "10:00:03 step 1 loss 5\n") == ["  step 1 loss 5"]


def test_lines_have_a_pause_but_for_the_last_and_warnings_have_a_limit(follower, capsys):
    follower.pause = 1000.0
    assert said(follower, capsys, "10:00:01 step 1 loss 5\n") == ["  step 1 loss 5"]
    assert said(follower, capsys, "10:00:02 step 2 loss 4\n10:00:03 step 3 loss 3\n") == []
    assert said(follower, capsys, last=True) == ["  step 3 loss 3"]
    more = f"  more warnings of this kind are in {follower.logs[0].path}"
    text = "".join(f"warning: skipped utt{i}: cannot be read\n" for i in range(100)) + "10:00:00 WARNING: collapse\nwarning: other\n"
    lines = said(follower, capsys, text)
    assert lines == [*(f"  warning: skipped utt{i}: cannot be read" for i in range(ALIKE)), more, "  WARNING: collapse", "  warning: other"]
    lines = said(follower, capsys, "".join(f"warning: {'x' * i}\n" for i in range(1, 50)) + "WARNING: rank\n")
    assert len(lines) == WARNINGS - 3 + 2 and lines[-2:] == [more, "  WARNING: rank"]


def test_jobs_of_an_array_take_turns(tmp_path, monkeypatch, capsys):
    """Trainings within jobs: the lines are those that steps/train.sh printed there."""
    monkeypatch.setenv("SSLSPK_FOLLOW", "step loss")
    monkeypatch.setenv("SSLSPK_PROGRESS_SECONDS", "0.000001")
    follower = Follower(parse(["run.pl", "N=1:6", f"{tmp_path}/train.N.log", "true"]))
    for job in range(6):
        (tmp_path / f"train.{job + 1}.log").write_text(f"# steps/train.sh\n  step 1{job} loss 2\n  warning: a\n")
    assert said(follower, capsys) == ["  job 1: warning: a", *(f"  job {n}: step 1{n - 1} loss 2" for n in range(1, 5))]
    assert said(follower, capsys) == ["  job 5: step 14 loss 2", "  job 6: step 15 loss 2"]


def test_the_newest_line_of_other_programs_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SSLSPK_FOLLOW", "*")
    monkeypatch.setenv("SSLSPK_PROGRESS_SECONDS", "0.000001")
    follower = Follower(parse(["run.pl", f"{tmp_path}/train.log", "true"]))
    assert said(follower, capsys, "# train_ubm\niteration 1: -3.2\niteration 2:  -3.1\n") == ["  iteration 2: -3.1"]
    assert said(follower, capsys, "warning: few frames\n# Ended (code 0)\n") == ["  warning: few frames"]


def test_the_launcher_shows_it_where_it_is_asked_to(tmp_path):
    words = [sys.executable, RUN, "log", "echo", "10:00:00", "step", "7", "loss", "2.5", "left", "1s"]
    asks = {**os.environ, "SSLSPK_FOLLOW": "step loss"}
    quiet = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    asked = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60, env=asks)
    assert (quiet.stdout, asked.stdout, quiet.stderr + asked.stderr) == ("", "  step 7 loss 2.5\n", "")
    broken = subprocess.run(["bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "x", *words], cwd=tmp_path, timeout=60,
                            env=asks, text=True, capture_output=True)
    assert (broken.returncode, broken.stderr) == (0, "")   # whoever read it has gone
