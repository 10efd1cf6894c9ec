"""Lists of names on a recipe's command line are words, no patterns; a stamp tells apart the words that made it."""
import subprocess

import pytest
import recipe_copy
from recipe_copy import ROOT, sh

FIND = ROOT / "local/find_trials.sh"
MADE = r"""#!/bin/bash
mkdir -p out/log
echo "clusters 1" > out/log/cluster.log
printf 'u1 a\nu2 a\n' > out/utt2spk
echo "a u1 u2" > out/spk2utt
printf '{\n "left_out": 0,\n "x": 0}\n' > out/info.json
echo made
"""


@pytest.fixture
def recipe(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    for name in ("t_vad", "t"):
        (recipe / "data" / name).mkdir(parents=True)
        (recipe / "data" / name / "trials_veri").write_text("a b target\n")
    return recipe


def test_a_list_is_found_by_its_name_and_not_in_a_copy_without_silence(recipe):
    done = subprocess.run([FIND, "data", "veri"], cwd=recipe, text=True, capture_output=True, check=True)
    assert done.stdout == "data/t/trials_veri\n"


@pytest.mark.parametrize("words", [("local/score_system.sh", "--weights", "*", "--lists", "v*ri", "data", "exp"),
                                   ("local/score_system.sh", "--weights", "x", "--lists", "?", "data", "exp")])
def test_a_list_is_no_pattern(recipe, words):
    (recipe / "v").touch()   # a file that ? would name
    done = sh(recipe, *words)
    assert done.returncode == 1 and f"there is no data/*/trials_{words[4]};" in done.stderr and done.stderr.count("\n") == 1


def test_values_of_a_sweep_stand_on_one_line(recipe):
    done = sh(recipe, "./run_sweep.sh", "--mini", "true", "--system", "dino_tdnn", "--over", "seed=1\n2")
    assert done.returncode == 1 and "--over takes [NAME:]KEY=VALUE VALUE" in done.stderr and not (recipe / "exp_mini").exists()


def test_a_stamp_knows_one_override_from_two(recipe):
    """`--set a=1 --set b=2` is not `--set "a=1 b=2"`."""
    (recipe / "emb").mkdir()
    (recipe / "emb/xvector.scp").write_text("u1 x.ark:3\nu2 x.ark:9\n")
    (recipe / "made.sh").write_text(MADE)
    (recipe / "made.sh").chmod(0o755)
    step = ("steps/cluster.sh", "--cmd", "./made.sh")
    said = [sh(recipe, *step, *sets, "emb", "out").stdout for sets in ((("--set", "a=1", "--set", "b=2"),) * 2 + (("--set", "a=1 b=2"),))]
    assert ["made\n" in text for text in said] == [True, False, True], said
