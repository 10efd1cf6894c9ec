"""The phone recogniser: what it learns on made-up phones, whose places are known, and that its resume is exact."""
import json

import numpy as np
import pytest
import torch

from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.nn.recogniser import Recogniser
from sslspk.train import phones
from sslspk.train.config_phones import PhoneConfig

NAMES = ["AA", "B", "K", "S"]
SMALL = PhoneConfig(channels=24, depth=1, hidden=16, epochs=16, flat=4, batch_size=2, learning_rate=0.01, dropout=0.0)


def corpus(folder, utts, seed):
    """Frames about a mean of their phone, with silences between some of them; returns the true label of each frame, 0 where silent."""
    means = np.random.default_rng(7).normal(size=(5, 6)) * 2
    means[0] = -3   # silence is quiet
    rng, said, truth = np.random.default_rng(seed), {}, {}
    with ark.Writer(folder / "feats.ark", folder / "feats.scp") as out:
        for i in range(utts):
            labels = rng.integers(1, 5, rng.integers(4, 9))
            labels = labels[np.diff(labels, prepend=0) != 0]
            track = [0] * rng.integers(5, 12)
            for label in labels:
                track += [label] * rng.integers(4, 10) + [0] * (rng.integers(5, 9) if rng.random() < 0.3 else 0)
            truth[f"u{i:02d}"] = np.array(track + [0] * 6)
            said[f"u{i:02d}"] = " ".join(NAMES[label - 1] for label in labels)
            out.write(f"u{i:02d}", means[truth[f"u{i:02d}"]] + 0.7 * rng.normal(size=(len(track) + 6, 6)))
    table.write(folder / "phones", said)
    (folder / ".make_feats").mkdir()
    (folder / ".make_feats/options").write_text("x\n" + json.dumps({"frame_shift": 10, "frame_length": 25}) + "\n")
    return truth


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phones")
    for name, seed in (("train", 1), ("test", 2)):
        (folder / name).mkdir()
        truth = corpus(folder / name, 32 if name == "train" else 12, seed)
    lines = list(phones.train(folder / "exp", phones.read(str(folder / "train")), SMALL))
    return folder, truth, lines


def test_it_recognises_and_aligns_others(trained):
    folder, truth, lines = trained
    assert len(lines) == 16 and "CTC loss" in lines[-1] and not (folder / "exp/state.pt").exists()
    aligner, when, _ = phones.load(folder / "exp")
    assert aligner.names == ("sil", *NAMES) and (when.shift, when.window) == (0.01, 0.025)
    test = phones.read(str(folder / "test"))
    wrong, count, nll = phones.error_rate(aligner, test)
    assert count == sum(map(len, test.said.values())) and wrong < 0.1 * count and nll / count < 1.2
    found = {utt: aligner.align(aligner.frames(utt, spec), aligner.labels(utt, test.said[utt])) for utt, spec in test.specs.items()}
    assert np.concatenate([found[utt] == truth[utt] for utt in found]).mean() > 0.7   # 0.35 for silence alone, 0.88 when this was written


def test_a_resumed_training_ends_with_the_same_weights(trained, tmp_path):
    folder, _, lines = trained
    corpus_ = phones.read(str(folder / "train"))
    begun = phones.train(tmp_path, corpus_, SMALL)
    for _ in range(3):   # the generator stops behind the line of epoch 3, before that epoch is saved
        next(begun)
    begun.close()
    rest = list(phones.train(tmp_path, corpus_, SMALL))
    assert rest == lines[2:]
    own, other = (torch.load(path / "recogniser.pt")["model"] for path in (tmp_path, folder / "exp"))
    assert all(torch.equal(own[name], other[name]) for name in own)


def test_utterances_that_are_too_short_are_named_and_left_out(trained, tmp_path):
    folder, _, _ = trained
    whole = phones.read(str(folder / "train"))
    frames = ark.shape(whole.specs["u03"])[0]
    odd = whole._replace(said=whole.said | {"u03": ["AA"] * (frames // 2 + 2), "u07": ["AA", "B"] * frames})   # equal ones: silence between
    rest = whole._replace(specs={utt: spec for utt, spec in whole.specs.items() if utt not in ("u03", "u07")})
    config = SMALL.model_copy(update={"epochs": 2, "flat": 1})
    lines, others = list(phones.train(tmp_path / "odd", odd, config)), list(phones.train(tmp_path / "rest", rest, config))
    assert [line.split(";")[0] for line in lines[:2]] == [
        f"warning: u03 has {frames} frames, its transcript needs {2 * (frames // 2) + 3}",
        f"warning: u07 has {ark.shape(whole.specs['u07'])[0]} frames, its transcript needs {2 * frames}"]
    assert lines[2:] == others and len(others) == 2   # to the last digit
    with pytest.raises(InputError, match="all utterances have fewer frames than phones"):
        list(phones.train(tmp_path, whole._replace(said={utt: ["AA"] * 1000 for utt in whole.specs}), config))


def test_what_cannot_be_is_refused(trained, tmp_path):
    folder, _, _ = trained
    aligner, _, _ = phones.load(folder / "exp")
    with pytest.raises(InputError, match="u says XX, which is none of the recogniser's phones"):
        aligner.labels("u", ["AA", "XX"])
    assert aligner.align(torch.zeros(3, 6), aligner.labels("u", ["AA", "AA", "B"])) is None   # the two AA need silence between them
    said = table.read(folder / "train/phones")
    table.write(tmp_path / "phones", {utt: text for utt, text in said.items() if utt != "u03"})
    with pytest.raises(InputError, match=r"phones does not say the phones of u03 \(1 of 32\)"):
        phones.read(str(folder / "train"), str(tmp_path / "phones"))
    (tmp_path / "lexicon").write_text("AA a1\nAA a2\nB b c\nK k\n\n")
    assert phones.pronounced({"u": ["B", "AA", "K"]}, str(tmp_path / "lexicon"), "text") == {"u": ["b", "c", "a1", "k"]}
    with pytest.raises(InputError, match=r"lexicon has no pronunciation of S, a word of .*train/phones \(1 such\)"):
        phones.read(str(folder / "train"), str(folder / "train/phones"), str(tmp_path / "lexicon"))
    (tmp_path / "recogniser.pt").write_bytes(b"no model")
    with pytest.raises(InputError, match="not a readable model"):
        phones.load(tmp_path)


def test_a_recognition_does_not_depend_on_the_rest_of_the_batch():
    torch.manual_seed(0)
    model = Recogniser(6, 5, 8, 2, 4, 0.0).eval()
    x, lengths = torch.randn(3, 21, 6), torch.tensor([21, 14, 9])
    together = model(x, lengths)
    assert together.shape == (3, 21, 5)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(together[row, :length], model(x[row:row + 1, :length], lengths[row:row + 1])[0], rtol=1e-5, atol=1e-5)
    convolutions, lstm, out = 5 * 6 * 8 + 8 + 2 * (5 * 64 + 8) + 3 * 16, 2 * (4 * 4 * (8 + 4) + 32), 8 * 15 + 15
    assert sum(p.numel() for p in model.parameters()) == convolutions + lstm + out


def test_loud_frames():
    levels = torch.tensor([[0.0, 0.0, 5.0, 6.0, 0.5, 9.0], [1.0, 2.0, 9.0, 9.0, 9.0, 9.0]])
    assert phones.loud(levels, torch.tensor([5, 3])).tolist() == [[False, False, True, True, False, False],
                                                                  [False, False, True, False, False, False]]


def test_short_silences_go_to_their_neighbours():
    path = np.array([0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0])
    assert phones.closed(path, 3).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 3, 0]
    assert phones.closed(path, 0).tolist() == path.tolist()
