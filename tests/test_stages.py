"""utils/stages.sh: a recipe says which stage runs, which of several trainings, and how long the rest may take."""
import subprocess

import pytest
from recipe_copy import ROOT

RECIPE = f"""
set -euo pipefail
stage=0   # first
stop_stage=3   # last
. {ROOT}/utils/parse_options.sh
. {ROOT}/utils/stages.sh
"""


def said(tmp_path, body, *words):
    (tmp_path / "run.sh").write_text(RECIPE + body)
    done = subprocess.run(["bash", "run.sh", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("words, stages", [((), "0123"), (("--stage", "2"), "23"), (("--stop-stage", "0"), "0"), (("--stage", "4"), "")])
def test_a_stage_that_runs_is_announced(tmp_path, words, stages):
    body = "for n in 0 1 2 3; do if at_stage $n work; then SECONDS=$((SECONDS + 7200)); fi; done\n"
    lines = said(tmp_path, body, *words)
    assert [line.rsplit(" (", 1)[0] for line in lines] == [f"run.sh: stage {n} of 3: work" for n in stages]
    assert not lines or (lines[0].endswith("(after 0 s)") and (len(lines) < 2 or lines[1].endswith("(after 2 h 0 min)")))


def test_the_time_left_is_that_of_the_trainings_before(tmp_path):
    """The second one was finished already and says nothing about the others."""
    body = "start_count 4\nfor took in 600 1 1200 0; do count_off training; SECONDS=$((SECONDS + took)); done\n"
    assert said(tmp_path, body) == ["run.sh: training (1 of 4)", "run.sh: training (2 of 4; about 30 min left)",
                                    "run.sh: training (3 of 4; about 20 min left)", "run.sh: training (4 of 4; about 15 min left)"]


def test_the_time_of_later_stages_is_that_of_an_earlier_run(tmp_path):
    """The longest one: a stage that is skipped takes no time. A damaged file harms nobody."""
    (tmp_path / "exp").mkdir()
    body = "for n in 0 1 2 3; do if at_stage $n work; then SECONDS=$((SECONDS + took)); fi; done\n"
    first, again, skipped = (said(tmp_path, f"took={took}\n{body}") for took in (600, 1200, 1))
    assert not any("earlier run" in line for line in first)
    assert [line.partition("; ")[2] for line in again] == ["the stages after it took 20 min in an earlier run)",
                                                           "the stages after it took 10 min in an earlier run)", "", ""]
    assert [line.partition("; ")[2] for line in skipped][:3] == ["the stages after it took 40 min in an earlier run)",
                                                                 "the stages after it took 20 min in an earlier run)", ""]
    assert "took 20 min" in said(tmp_path, f"took=1\n{body}", "--stop-stage", "1")[0]
    (tmp_path / "exp/.stage_seconds").write_bytes(b"x y\n1 " + b"9" * 40 + b"\n2\n\xff\n")
    assert len(said(tmp_path, f"took=1\n{body}")) == 4
