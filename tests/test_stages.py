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
