"""MoCo -> re-weighted MoCo -> C3-MoCo -> C3-DINO is one command, which goes on where it was killed."""

import pytest
import recipe_copy
from recipe_copy import SYNTH, kill_when, run, sh, snapshot

from sslspk.train import checkpoint

STAGES = ("moco_tdnn", "moco_reweighted_tdnn", "c3moco_tdnn", "c3dino_tdnn")


def shrink(recipe):
    """Three steps of eight recordings for every small system."""
    mini = recipe / "conf/mini"
    for name, changes in {"mini": {"batch_size: 64": "batch_size: 8", "steps: 80": "steps: 3", "save_every: 50": "save_every: 1"},
                          "moco_tdnn": {"batch_norm_group: 16": "batch_norm_group: 4", "queue_size: 512": "queue_size: 20"},
                          "c3moco_tdnn": {"clusters: [30]": "clusters: [4]"},
                          "dino_tdnn": {"out_dim: 2048": "out_dim: 64"}, "c3dino_tdnn": {"steps: 150": "steps: 3"}}.items():
        text = (mini / f"{name}.yaml").read_text()
        for old, new in changes.items():
            assert old in text, f"{name}: {old}"
            text = text.replace(old, new)
        (mini / f"{name}.yaml").write_text(text)


@pytest.mark.slow
def test_chain_is_one_command_that_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    shrink(recipe)
    words = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--system", "c3dino_tdnn")
    run(recipe, *words, "--stop-stage", "2")
    exps = recipe / "exp_mini"
    kill_when(exps / "c3moco_tdnn/ckpt/step-00000002.pt", recipe, words)
    assert [(exps / name / "final.pt").exists() for name in STAGES] == [True, True, False, False]
    before = snapshot(exps / "moco_tdnn")
    run(recipe, *words)
    assert snapshot(exps / "moco_tdnn") == before and "step 3" in (exps / "c3moco_tdnn/log/train.log").read_text()
    check_inheritance(exps)
    after = [snapshot(exps / name) for name in STAGES]
    assert run(recipe, *words).count("nothing to do") == 4 and [snapshot(exps / name) for name in STAGES] == after
    results = sorted(path.parent.name for path in exps.glob("c3dino_tdnn/scores_*/result_*.json"))
    assert results == ["scores_student", "scores_teacher", "scores_untrained"]


def check_inheritance(exps):
    """What a stage started from: everything of the stage before it, and for DINO the encoder alone."""
    content = [checkpoint.load(exps / name / "final.pt") for name in STAGES]
    for earlier, one in zip(STAGES, content[1:], strict=False):
        assert one["config"]["train"]["init_from"] == f"exp_mini/{earlier}/final.pt"
    assert [one["config"]["train"]["init_part"] for one in content[1:]] == ["everything", "everything", "encoder"]
    assert "took" in (exps / "moco_reweighted_tdnn/log/train.log").read_text()
    assert "new: banks" in (exps / "c3moco_tdnn/log").joinpath(first_log(exps / "c3moco_tdnn")).read_text()


def first_log(exp):
    return sorted(path.name for path in (exp / "log").glob("train*.log"))[0]


@pytest.mark.parametrize(("after", "named"), [("c3dino_tdnn", "circle"), ("moco_x", "moco_x.yaml")])
def test_a_chain_that_cannot_be(tmp_path, after, named):
    recipe = recipe_copy.make(tmp_path)
    conf = recipe / "conf/mini/moco_tdnn.yaml"
    conf.write_text(f"after: {after}\n" + conf.read_text())
    done = sh(recipe, "./run.sh", "--mini", "true", "--system", "c3dino_tdnn")
    assert done.returncode == 1 and named in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (recipe / "exp_mini").exists()
