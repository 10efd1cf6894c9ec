"""A checkpoint as a model: the weights that the encoders had at that step."""
import pytest
import torch
from test_loop import final_weights, train_here
from tones import tiny

from sslspk.api.about import about
from sslspk.errors import InputError
from sslspk.train import checkpoint, of_checkpoint
from sslspk.train import model as models

CROPS = [{"count": 2, "seconds": 0.4}]
METHODS = {"dino": {}, "simclr": {"method": {"name": "simclr", "crops": CROPS}},
           "moco": {"method": {"name": "moco", "crops": CROPS, "queue_size": 8, "batch_norm_group": 4, "proto": {"clusters": [3]}}},
           "ssps": {"method": {"name": "simclr", "crops": CROPS,
                               "positives": {"name": "ssps", "clusters": 5, "queue_size": 8, "seconds": 0.4}}},
           "supervised": {"method": {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}]}}}


@pytest.mark.parametrize("name", METHODS)
def test_their_mean_is_a_model_that_averages_them(data, tmp_path, name):
    train_here(tiny(**{"train.average": 3, **METHODS[name]}), data, tmp_path / "exp")
    made = of_checkpoint.write_all(tmp_path / "exp")
    assert [folder.name for folder in made] == ["exp_step2", "exp_step4", "exp_step6"]
    assert [models.read_content(folder)["info"]["step"] for folder in made] == [2, 4, 6]
    mean = {}
    for encoder, state in final_weights(tmp_path / "exp").items():
        mean[encoder] = checkpoint.average([models.read_encoder_state(folder, encoder)[0] for folder in made])
        assert all(torch.equal(value, mean[encoder][key]) for key, value in state.items())
    before = [(folder / "final.pt").stat().st_mtime_ns for folder in made]
    assert of_checkpoint.write_all(tmp_path / "exp") == made
    assert [(folder / "final.pt").stat().st_mtime_ns for folder in made] == before, "nothing is made again"


def test_the_step_of_the_model_itself_is_left_out_and_damage_is_named(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    made = of_checkpoint.write_all(tmp_path / "exp")
    assert [folder.name for folder in made] == ["exp_step2", "exp_step4"]
    assert [about(folder)["weights_from"] for folder in (made[1], tmp_path / "exp")] == ["step 4", "step 6, the last"]
    checkpoint.at(tmp_path / "exp", 4).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"step-00000004.pt"):
        of_checkpoint.write_all(tmp_path / "exp")
    with pytest.raises(InputError, match=r"final.pt"):
        of_checkpoint.write_all(tmp_path / "none")


@pytest.mark.parametrize("name", METHODS)
def test_a_training_that_still_runs_has_them(data, tmp_path, name):
    """As its final.pt would be, had it ended there."""
    config = tiny(**METHODS[name])
    train_here(config, data, tmp_path / "exp")
    whole = models.read_content(tmp_path / "exp")
    (tmp_path / "exp/final.pt").unlink()
    assert of_checkpoint.write(tmp_path / "exp", 4).name == "exp_step4"
    made = models.read_content(of_checkpoint.write(tmp_path / "exp"))
    for key in ("config", "num_features", "evaluate", "projections"):
        assert made[key] == whole[key], key
    assert {**whole["info"], **made["info"]} == whole["info"] and made["info"]["labels"] == whole["info"]["labels"]
    for encoder, state in whole["encoders"].items():
        assert all(torch.equal(value, made["encoders"][encoder][key]) for key, value in state.items())
    assert models.load(tmp_path / "exp_step4").info["step"] == 4
    with pytest.raises(InputError, match="no checkpoint of step 5; there are 2, 4, 6"):
        of_checkpoint.write(tmp_path / "exp", 5)
    with pytest.raises(InputError, match="has no checkpoint yet"):
        of_checkpoint.write(tmp_path / "none")


def test_a_checkpoint_of_an_earlier_version_is_no_model_yet(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    path = checkpoint.at(tmp_path / "exp", 6)
    content = checkpoint.load_step(path)
    del content["info"]
    checkpoint.save(path, content)
    with pytest.raises(InputError, match="an earlier version of sslspk began this training"):
        of_checkpoint.write(tmp_path / "exp")
