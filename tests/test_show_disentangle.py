"""The tables of egs/disentangle: our figures beside the published ones, shares of conversions, the curve over beta."""
import json
import shutil

import pytest
from recipe_copy import ROOT, sh

PAPER = ROOT / "egs/disentangle/conf/paper.yaml"


@pytest.fixture
def exps(tmp_path):
    """Three trainings of which all is known; the figures of phonemes, latents and conversions count up."""
    for i, name in enumerate(("cdsvae_align_mp_short", "dsvae_short", "dsvae_short_seed1")):
        exp = tmp_path / "exp" / name
        (exp / "conversion").mkdir(parents=True)
        (exp / "phonemes").mkdir()
        method = {"name": name.split("_")[0], "alpha": 0.01, "beta": 3 + i}
        (exp / "config.yaml").write_text(json.dumps({"method": method}))
        errors = {"error": 0.4, "error_without_speaker": 0.8, "error_without_content": 0.7}
        lines = [{"step": step, "kl_speaker": 100 + i, "kl_content": 0.5, **errors} for step in range(3)]
        (exp / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (exp / "phonemes/result.json").write_text(json.dumps({"wa_percent": 40.0 + i}))
        shares = {"accepted_as_target": 60.0, "rejected_as_source": 70.0 + i, "both": 50.0 + i}
        (exp / "conversion/result.json").write_text(json.dumps({"converted": shares}))
        for weights, eer in (("speaker", 10.0), ("content", 45.0), ("untrained", 30.0)):
            (exp / f"scores_{weights}").mkdir()
            (exp / f"scores_{weights}/result_trials_x.json").write_text(json.dumps({"eer_percent": eer + i}))
    return tmp_path / "exp"


def rows(text):
    """{system: its cells by the titles of their columns}."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    return {line[0]: dict(zip(lines[0][1:], line[1:], strict=True)) for line in lines[1:]}


def test_figures_stand_beside_the_published_ones(exps):
    done = sh(exps.parent, ROOT / "local/show_disentangle.py", "--paper", PAPER, "--out", exps / "RESULTS.md", exps)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{(exps / 'RESULTS.md').read_text()}wrote {exps}/RESULTS.md\n"
    found = rows(done.stdout)
    assert found["cdsvae_align_mp_short"] == {
        "phonemes from z_c %": "40.0 [70.5]", "EER of z_s %": "10.0 [3.6]", "EER of z_c %": "45.0 [42.3]", "EER untrained %": "30.0",
        "KL z_s, nats a crop": "100", "KL z_c, nats a frame": "0.5", "error": "0.4", "error, z_s 0": "0.8", "error, z_c 0": "0.7",
        "taken for target %": "60.0", "not for source %": "70.0", "both %": "50.0"}
    assert found["dsvae_short"]["phonemes from z_c %"] == "41.0 (30.2) [30.5]" and found["dsvae_short"]["both %"] == "51.0"
    assert found["dsvae_short_seed1"]["EER of z_c %"] == "47.0 (44.5) [40.5]"
    mean = found["dsvae_short, mean of 2 seeds"]
    assert mean["phonemes from z_c %"] == "41.5 (30.2) [30.5]" and mean["both %"] == "51.5" and len(found) == 4


def test_the_curve_has_the_systems_that_are_named(exps):
    show = (ROOT / "local/show_disentangle.py", "--out", exps / "CURVE.md", "--curve")
    done = sh(exps.parent, *show, "dsvae_short_seed1 cdsvae_align_mp_short", exps)
    found = rows(done.stdout)
    assert list(found) == ["dsvae_short_seed1", "cdsvae_align_mp_short"] and "both %" not in found["dsvae_short_seed1"]
    assert [list(row.values())[:3] for row in found.values()] == [["5", "500", "42.0"], ["3", "300", "40.0"]]
    shutil.rmtree(exps / "dsvae_short_seed1")
    done = sh(exps.parent, *show, "dsvae_short_seed1 dsvae_short", exps)
    assert done.returncode == 1 and "dsvae_short_seed1 was not trained there; run the stages before." in done.stderr
