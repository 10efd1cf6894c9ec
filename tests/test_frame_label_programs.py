"""The programs that label frames and probe them, one after the other on a small made-up corpus."""
import json
import shutil
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest

from sslspk.bin import align_phones, make_frame_labels, probe_frames
from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.io.alignments import Alignments, LabelSet, Writer

ORIGIN = {"system": "cpc", "weights": "final", "labels": "none", "model_digest": "0123456789ab"}
SMALL = ("--set", "epochs=2", "--set", "channels=8", "--set", "depth=1", "--set", "hidden=4", "--set", "batch_size=4")


def make(folder: Path, speakers: str, seed: int, model: bool = False) -> dict[str, np.ndarray]:
    """A data directory of two utterances a speaker whose frames lie about the mean of their phone; returns the phones' numbers."""
    means, rng = np.random.default_rng(0).normal(size=(4, 6)) * 3, np.random.default_rng(seed)
    folder.mkdir(parents=True)
    labels = {f"{speaker}-{i}": np.repeat(rng.integers(4, size=12), 5) for speaker in speakers for i in range(2)}
    with ark.Writer(folder / "feats.ark", folder / "feats.scp") as out:
        for utt, own in labels.items():
            out.write(utt, means[own] + rng.normal(size=(60, 6)))
    table.write(folder / "utt2spk", {utt: utt[0] for utt in labels})
    table.write(folder / "phones", {utt: " ".join("ABCD"[i] for i in own[::5]) for utt, own in labels.items()})
    if model:
        (folder / "frame_shift").write_text("0.01\n")
        (folder / "provenance.json").write_text(json.dumps(ORIGIN))
    else:
        (folder / ".make_feats").mkdir()
        options = {"frame_shift": 10.0, "frame_length": 25.0, "snip_edges": True}
        (folder / ".make_feats/options").write_text(f"x\n{json.dumps(options)}\n")
    return labels


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    truth = make(folder / "train", "abcdef", 1) | make(folder / "test", "uvwx", 2)
    make(folder / "model", "abcdef", 1, model=True)
    about = LabelSet(kind="truth", classes=4, frame_shift=0.01, window=0.025, made_by="a test", digest="t", names=tuple("ABCD"))
    with Writer(folder / "truth", about) as out:
        for utt, labels in truth.items():
            out.write(utt, labels)
    return folder


def run(monkeypatch, program, *words) -> None:
    monkeypatch.setattr(sys, "argv", [program.__name__, *map(str, words)])
    program.main()


@pytest.mark.parametrize("kind", ["mel", "bestrq", "frames"])
def test_labels_of_every_kind(work, tmp_path, monkeypatch, kind):
    source, made = work / ("model" if kind == "frames" else "train"), tmp_path / "labeller.npz"
    run(monkeypatch, make_frame_labels, "train", "--kind", kind, "--classes", 4, "--points", 200, "--dim", 5, source, made)
    for part in (1, 2):
        run(monkeypatch, make_frame_labels, "label", "--parts", 2, "--part", part, made, tmp_path, source)
    run(monkeypatch, make_frame_labels, "join", "--parts", 2, made, tmp_path)
    known, truth = Alignments(tmp_path, kind=kind, classes=4), Alignments(work / "truth")
    assert known.about.window == (0.01 if kind == "frames" else 0.025) and not list(tmp_path.glob("ali.?.scp"))
    assert ("cpc" in known.about.made_by) == (kind == "frames") and len(known.about.digest) == 12
    utts = list(ark.read_scp(source / "feats.scp"))
    assert len(kaldiio.load_scp(str(tmp_path / "ali.scp"), separator=" ")) == len(utts) == 12
    pairs = np.stack([np.concatenate([labels.of(utt) for utt in utts]) for labels in (truth, known)])
    if kind != "bestrq":   # clusters as far apart as these are found: each phone has its own
        counts = np.zeros((4, 4))
        np.add.at(counts, tuple(pairs), 1)
        assert counts.max(0).sum() > 0.9 * counts.sum()


def test_the_wrong_kind_and_another_timing_are_refused(work, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"--kind mel is for frames of features, and .*model has those of a model"):
        run(monkeypatch, make_frame_labels, "train", "--kind", "mel", work / "model", tmp_path / "x.npz")
    run(monkeypatch, make_frame_labels, "train", "--kind", "bestrq", work / "train", tmp_path / "x.npz")
    with pytest.raises(InputError, match=r"was learnt on 0.01 s and windows of 0.025 s"):
        run(monkeypatch, make_frame_labels, "label", tmp_path / "x.npz", tmp_path, work / "model")
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"x.npz is no whole model"):
        run(monkeypatch, make_frame_labels, "label", tmp_path / "x.npz", tmp_path, work / "train")


def test_frames_of_another_model_are_refused(work, tmp_path, monkeypatch):
    """Even where name, size and timing are the same."""
    run(monkeypatch, make_frame_labels, "train", "--kind", "frames", "--classes", 4, "--points", 200, work / "model", tmp_path / "x.npz")
    other = tmp_path / "other"
    shutil.copytree(work / "model", other)
    words = ("label", tmp_path / "x.npz", tmp_path / "out", other)
    for changes in ({"model_digest": "ba9876543210"}, {"weights": "final (layers.0)"}, {"system": "lim"}):
        (other / "provenance.json").write_text(json.dumps(ORIGIN | changes))
        with pytest.raises(InputError, match=r"other has frames of another model or kind than .*x.npz was") as refused:
            run(monkeypatch, make_frame_labels, *words)
        assert len(str(refused.value)) <= 160
    (other / "provenance.json").write_text(json.dumps(ORIGIN))
    run(monkeypatch, make_frame_labels, *words)
    run(monkeypatch, make_frame_labels, "train", "--kind", "mel", "--classes", 4, "--points", 200, work / "train", tmp_path / "mel.npz")
    (other / "frame_window").write_text("0.025\n")   # a model's frames with the timing of features
    with pytest.raises(InputError, match=r"other has frames of another model or kind than .*mel.npz"):
        run(monkeypatch, make_frame_labels, "label", tmp_path / "mel.npz", tmp_path / "out", other)


def test_transcripts_are_aligned_in_parts(work, tmp_path, monkeypatch):
    run(monkeypatch, align_phones, "train", *SMALL, "--test", work / "test", tmp_path, work / "train")
    for part in (1, 2, 3):
        run(monkeypatch, align_phones, "align", "--parts", 3, "--part", part, tmp_path, tmp_path, work / "train")
    run(monkeypatch, align_phones, "join", "--parts", 3, tmp_path, tmp_path)
    known = Alignments(tmp_path, kind="align", classes=5)
    assert known.about.names == ("sil", "A", "B", "C", "D") and known.about.labels == "phones"
    for utt, said in table.read(work / "train/phones").items():
        path = known.of(utt, 60)
        heard = [known.about.names[i] for i in path[np.flatnonzero(np.diff(path, prepend=-1))]]
        merged = [word for i, word in enumerate(said.split()) if not i or word != said.split()[i - 1]]
        spoken = [word for word in heard if word != "sil"]
        assert [word for i, word in enumerate(spoken) if not i or word != spoken[i - 1]] == merged   # whatever was learnt, in its order
    figures = json.loads((tmp_path / "phone_errors.json").read_text())
    assert figures["phones"] == 96 and figures["phone_error_percent"] > 0 and figures["ctc_loss"] > 0   # insertions may be many
    with pytest.raises(InputError, match=r"is in .*train and in .*train; test what was not trained on"):
        run(monkeypatch, align_phones, "train", "--test", work / "train", tmp_path, work / "train")


def test_a_linear_softmax_tells_the_phones_of_others(work, tmp_path, monkeypatch, capsys):
    words = ("--train", work / "train", "--test", work / "test", work / "train", work / "test")
    run(monkeypatch, probe_frames, "--labels", work / "truth", *words, tmp_path)
    figures = json.loads((tmp_path / "result.json").read_text())
    assert figures["wa_percent"] > 95 and figures["wa_percent_low"] <= figures["wa_percent"] <= figures["wa_percent_high"]
    assert figures["items"] == 480 and figures["speakers"] == 4 and figures["majority_percent"] < 50
    assert f"accuracy {figures['wa_percent']:.2f} % (" in capsys.readouterr().out
    run(monkeypatch, probe_frames, "--labels", work / "truth", "--ignore", "C D", "--frames", 60, "--test-frames", 80, *words, tmp_path)
    figures = json.loads((tmp_path / "result.json").read_text())
    assert figures["probe_frames"] <= 60 and figures["items"] <= 80 and figures["per_class"]["C"]["count"] == 0


def test_what_cannot_be_probed_is_one_sentence(work, tmp_path, monkeypatch):
    words = ("--labels", work / "truth", "--train", work / "train")
    for sentence, more in (("speaks in .*train and in .*train; test other speakers", ("--test", work / "train", work / "train")),
                           ("u-0 of .*test has no frames in .*train/feats.scp", ("--test", work / "test", work / "train")),
                           ("E is none of the 4 classes", ("--ignore", "A E", "--test", work / "test", work / "train"))):
        with pytest.raises(InputError, match=sentence):
            run(monkeypatch, probe_frames, *words, *more, tmp_path)
    shutil.copytree(work / "truth", tmp_path / "other")
    about = json.loads((tmp_path / "other/ali.json").read_text()) | {"digest": "other"}
    (tmp_path / "other/ali.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="digest is other where t is needed"):
        run(monkeypatch, probe_frames, *words, "--test-labels", tmp_path / "other", "--test", work / "test", work / "train", tmp_path)
