"""Training that starts from an exported folder, or from weights of another toolkit."""
import foreign_weights
import pytest
import torch
from test_loop import CPU, final_weights, train_here
from tones import tiny

from sslspk.export import folder
from sslspk.train import checkpoint
from sslspk.train import model as models
from sslspk.train.job import prepare


def started(name: str, **changes):
    """A system with the encoder and the features of a model, that starts from it."""
    config = models.read_content(name)["config"]
    return tiny(**{"encoder": config["encoder"], "features": config["features"], "train.steps": 2, "train.save_every": 2,
                   "train.init_from": name, "method": {"name": "simclr", "crops": [{"count": 2, "seconds": 0.4}]}, **changes})


@pytest.mark.parametrize(("arch", "name"), [("wespeaker_ecapa", "ecapa"), ("wespeaker_resnet34", "resnet34"),
                                            ("speechbrain_ecapa", "speechbrain")])
def test_from_another_toolkit(data, tmp_path, arch, name):
    start = f"{arch} {foreign_weights.checkpoint(tmp_path, name)}"
    state = models.read_encoder_state(start)[0]
    first = prepare(started(start), data, tmp_path / "first", CPU, print).method.backbones()[0].state_dict()
    assert first.keys() == state.keys() and all(torch.equal(first[key], state[key]) for key in state)
    train_here(started(start), data, tmp_path / "exp")
    info = checkpoint.load(tmp_path / "exp/final.pt")["info"]
    assert info["start"]["system"] == arch and info["labels"] == "speaker", "their weights have seen speakers"


def test_from_an_exported_folder(data, tmp_path):
    train_here(tiny(), data, tmp_path / "exp")
    folder.write(tmp_path / "exp", tmp_path / "out")
    job = prepare(started(str(tmp_path / "out")), data, tmp_path / "onwards", CPU, print)
    state = final_weights(tmp_path / "exp")["teacher"]
    assert all(torch.equal(value, state[key]) for key, value in job.method.backbones()[0].state_dict().items())
    assert models.start(tmp_path / "out") == models.start(tmp_path / "exp/final.pt")
