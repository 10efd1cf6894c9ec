"""DSVAE and C-DSVAE through the training loop: both embeddings of final.pt, labels of frames, what is refused."""
import sys

import numpy as np
import pytest
import soundfile
import torch
from recipe_copy import ROOT, sh
from test_loop import CPU, final_weights, same, train_here
from test_resume_methods import LATENTS
from tones import tiny

from sslspk.bin import convert
from sslspk.errors import InputError
from sslspk.io import ark, clips, datadir, table
from sslspk.io.alignments import LabelSet, Writer
from sslspk.train import checkpoint, model
from sslspk.train.job import prepare

METHOD = {"name": "cdsvae", "crops": [{"count": 2, "seconds": 0.3, "layout": "twin"}], "prior_dim": 5,
          "masked_prediction": {"mask_span": 2}}
CONDITIONED = {"encoder": LATENTS, "cmvn.cmn": "none", "method": METHOD}


def labelled(folder, data, classes=4, kind="align", digest="one"):
    about = LabelSet(kind=kind, classes=classes, frame_shift=0.01, window=0.025, made_by="the test", digest=digest, labels="phones")
    with Writer(folder, about) as out:
        for utt, samples in table.read(data / "utt2num_samples").items():
            out.write(utt, np.arange(1 + (int(samples) - 400) // 160) // 5 % classes)
    return str(folder)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Labels of frames, and a C-DSVAE that was trained with them in one go."""
    folder = tmp_path_factory.mktemp("cdsvae")
    config = tiny(**CONDITIONED, **{"data.frame_labels": labelled(folder / "ali", data), "train.keep": 9})
    train_here(config, data, folder / "exp")
    return config, folder / "exp"


def test_final_pt_holds_both_embeddings(trained):
    _, exp = trained
    speaker, content = (model.load(exp / "final.pt", name) for name in (None, "content"))
    x = torch.randn(2, 30, 20)
    with torch.no_grad():
        assert speaker.encoder(x).shape == (2, 5) and content.encoder(x).shape == (2, 4) and content.encoder.embed_dim == 4
        assert torch.equal(content.encoder(x), speaker.encoder.frames(x).mean(1))
    assert model.read_content(exp / "final.pt")["info"]["labels"] == "phones"
    assert model.provenance(exp / "final.pt", "content")["weights"] == "content"


def test_resuming_gives_the_same_bits(trained, data):
    config, exp = trained
    whole = final_weights(exp)
    for path in [*checkpoint.checkpoints(exp)[1:], exp / "final.pt"]:
        path.unlink()
    train_here(config, data, exp)
    assert same(final_weights(exp), whole)


def test_labels_of_another_set_do_not_go_on_with_the_run(trained, data, tmp_path):
    config, exp = trained
    ali = labelled(tmp_path / "ali", data, digest="two")
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/ckpt").symlink_to(exp / "ckpt")
    other = config.model_copy(update={"data": config.data.model_copy(update={"frame_labels": ali})})
    (tmp_path / "exp/config.yaml").write_text((exp / "config.yaml").read_text().replace(config.data.frame_labels, ali))
    with pytest.raises(InputError, match=r"started on other data .*frame labels align one.*frame labels align two"):
        prepare(other, data, tmp_path / "exp", CPU, print)


@pytest.mark.parametrize(("changes", "said"), [
    ({}, r"method cdsvae needs labels of frames; set data.frame_labels"),
    ({"data.frame_labels": "nowhere"}, r"nowhere/ali.json"),
    ({"augment.speed_perturb": [0.9, 1.0]}, "at their own speed; remove augment.speed_perturb"),
    ({"method": {"name": "dsvae", "crops": METHOD["crops"]}, "data.frame_labels": "any"}, "are for method cdsvae, not dsvae")])
def test_what_is_missing_is_named(data, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        prepare(tiny(**{**CONDITIONED, **changes}), data, tmp_path / "exp", CPU, print)


@pytest.fixture
def converting(trained, data, tmp_path, monkeypatch):
    """Call the program with pairs; returns OUT."""
    def run(pairs, *options):
        (tmp_path / "pairs").write_text(pairs)
        words = ["--pairs", tmp_path / "pairs", "--iterations", 2, *options, data, trained[1], tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", ["convert", *map(str, words)])
        assert convert.main() == 0
        return tmp_path / "out"
    return run


def test_a_conversion_is_the_content_in_the_target_s_mean_voice(trained, data, converting):
    out = converting("x s00-u00 s02\ny s00-u00 s00\n")
    tables = datadir.validate(str(out), check_files=True)
    assert tables["utt2spk"] == {"x": "s02", "y": "s00"} and table.read(out / "utt2source_spk") == {"x": "s00", "y": "s00"}
    own = model.load(trained[1])
    with torch.no_grad():
        read = {utt: own.features(utt, spec) for utt, spec in clips.read(data).items() if utt[:3] in ("s00", "s02")}
        voice = (own.encoder(read["s02-u04"]) + own.encoder(read["s02-u05"])) / 2
        decoded = own.encoder.standardise.undo(own.encoder.decoder(voice, own.encoder.frames(read["s00-u00"])))[0]
    found = {utt: ark.load(spec) for utt, spec in table.read(out / "feats.scp").items()}
    assert np.allclose(found["x"], decoded, atol=1e-5) and not np.array_equal(found["x"], found["y"])
    samples, rate = soundfile.read(out / "wav/x.wav")
    assert rate == 16000 and len(samples) == 400 + (len(decoded) - 1) * 160 and np.abs(samples).max() > 0
    own_voice = ark.load(table.read(converting("x s00-u00 s02\n", "--identity", "true") / "feats.scp")["x"])
    assert own_voice.shape == found["x"].shape and not np.array_equal(own_voice, found["x"])


@pytest.mark.parametrize(("pairs", "said"), [
    ("x s00-u00 nobody\n", "there is no target speaker nobody; take one of DATA's utt2spk"),
    ("x nothing s00\n", "there is no utterance nothing to convert"), ("x s00-u00\n", "write ID SOURCE TARGET")])
def test_an_unknown_target_is_named(converting, pairs, said):
    with pytest.raises(InputError, match=said):
        converting(pairs)


def convert_sh(*words):
    return sh(ROOT, ROOT / "steps/convert.sh", "--iterations", "2", *words)


def test_the_step_converts_one_recording(trained, data, tmp_path):
    """--source and --target do what a table of one pair does, whose id is TARGET-SOURCE."""
    one, same = tmp_path / "one", tmp_path / "same"
    for _ in range(2):
        done = convert_sh("--source", "s00-u00", "--target", "s02", data, trained[1], one)
        assert done.returncode == 0, done.stderr
    assert "up to date, skipped" in done.stdout
    (tmp_path / "pairs").write_text("s02-s00-u00 s00-u00 s02\n")
    assert convert_sh("--pairs", tmp_path / "pairs", data, trained[1], same).returncode == 0
    read = [{utt: ark.load(spec) for utt, spec in table.read(out / "feats.scp").items()} for out in (one, same)]
    assert read[0].keys() == read[1].keys() == {"s02-s00-u00"} and np.array_equal(*(found["s02-s00-u00"] for found in read))
    assert table.read(one / "utt2spk") == {"s02-s00-u00": "s02"} and table.read(one / "utt2source") == {"s02-s00-u00": "s00-u00"}
    done = convert_sh("--source", "s00-u00", "--target", "s03", data, trained[1], one)   # another target is another conversion
    assert done.returncode == 0 and table.read(one / "utt2spk") == {"s03-s00-u00": "s03"}


@pytest.mark.parametrize(("words", "said"), [
    ((), "give --source and --target, or --pairs FILE"), (("--source", "s00-u00"), "give --source and --target, or --pairs FILE"),
    (("--source", "s00-u00", "--pairs", "x"), "--pairs stands for --source and --target; leave one out"),
    (("--source", "s00-u00", "--target", "nobody"), "there is no target speaker nobody"),
    (("--source", "nothing", "--target", "s02"), "there is no utterance nothing to convert")])
def test_what_the_step_refuses(trained, data, tmp_path, words, said):
    done = convert_sh(*words, data, trained[1], tmp_path / "out")
    assert done.returncode and said in done.stderr + done.stdout and not (tmp_path / "out/wav.scp").exists()
