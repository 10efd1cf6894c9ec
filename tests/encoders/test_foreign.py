"""Weights of wespeaker and speechbrain in our encoders, against their own forward passes."""
import numpy as np
import pytest
import torch
from foreign_weights import checkpoint, features, golden
from small_models import voice, wav

import sslspk
from sslspk.encoders import build, foreign
from sslspk.errors import InputError
from sslspk.export import folder
from sslspk.train import model as models

CASES = {"ecapa": "wespeaker_ecapa", "ecapa_context": "wespeaker_ecapa", "resnet34": "wespeaker_resnet34",
         "speechbrain": "speechbrain_ecapa"}


@pytest.mark.parametrize("name", CASES)
def test_embeddings_are_those_of_their_code(name, tmp_path):
    found = foreign.read(CASES[name], str(checkpoint(tmp_path, name)))
    encoder = build(found.encoder, found.features.num_features)
    encoder.load_state_dict(found.state)
    for frames, expected in golden(name)[1].items():
        with torch.no_grad():
            got = encoder.eval()(features(frames, found.features.num_features))
        torch.testing.assert_close(got, torch.from_numpy(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_as_a_model_and_as_a_folder(name, tmp_path):
    path, recording = f"{CASES[name]} {checkpoint(tmp_path, name)}", wav(tmp_path / "a.wav", voice(1.0))
    model = sslspk.load(path)
    folder.write(path, tmp_path / "out")
    assert np.array_equal(model.embed(recording), sslspk.load(tmp_path / "out").embed(recording))
    said = models.provenance(path)
    assert said == models.provenance(tmp_path / "out")
    assert (said["system"], said["labels"], said["start"]) == (f"{CASES[name]}_{name}", "speaker", CASES[name])
    assert models.start(path)["system"] == CASES[name]


def test_features_are_theirs(tmp_path):
    found = foreign.read("wespeaker_ecapa", str(checkpoint(tmp_path, "ecapa")))
    assert (found.features.window_type, found.features.num_mel_bins, found.features.snip_edges) == ("hamming", 20, True)
    assert found.cmvn.cmn == "utterance" and not found.cmvn.norm_vars
    found = foreign.read("speechbrain_ecapa", str(checkpoint(tmp_path, "speechbrain")))
    assert (found.features.feature_type, found.features.num_mel_bins, found.features.low_freq) == ("fbank_db", 20, 0)
    assert found.cmvn.cmn == "utterance" and not found.cmvn.norm_vars


def test_a_classifier_in_the_file_is_left_out(tmp_path):
    path = checkpoint(tmp_path, "resnet34", lambda state: {**state, "projection.weight": torch.ones(5, 8)})
    assert foreign.read("wespeaker_resnet34", str(path)).state.keys() == foreign.read(
        "wespeaker_resnet34", str(checkpoint(tmp_path, "resnet34"))).state.keys()


@pytest.mark.parametrize(("arch", "name", "change", "said"), [
    ("wespeaker_resnet34", "ecapa", None, "not the weights of wespeaker_resnet34, as affine.weight is missing"),
    ("wespeaker_ecapa", "resnet34", None, "not the weights of wespeaker_ecapa, as pooling.hidden.weight is missing"),
    ("wespeaker_ecapa", "speechbrain", None, "not the weights of wespeaker_ecapa, as pooling.hidden.weight is missing"),
    ("speechbrain_ecapa", "speechbrain", lambda state: {**state, "fc.conv.weight": torch.ones(3)}, "other shapes|has the shape"),
    ("wespeaker_ecapa", "ecapa", lambda state: {**state, "layer5.conv.weight": torch.ones(3)}, "layer5.conv.weight is no key of it"),
    ("wespeaker_ecapa", "ecapa", lambda state: {"layer1": state}, "not a state_dict"),
    ("wespeaker_ecapa", "ecapa", lambda state: [1], "holds a list, not a state_dict"),
])
def test_other_weights_are_named(arch, name, change, said, tmp_path):
    path = checkpoint(tmp_path, name, change)
    with pytest.raises(InputError, match=said) as caught:
        sslspk.load(f"{arch} {path}")
    assert str(caught.value).startswith(str(path))


def test_what_is_no_file_or_no_architecture_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*give the file of its weights"):
        sslspk.load("wespeaker_ecapa random")
    with pytest.raises(InputError, match=r"the architecture 'wespeaker_xvector' is unknown; the nearest are .*wespeaker_ecapa"):
        sslspk.load(f"wespeaker_xvector {tmp_path}/x.pt")
