"""steps/plot_embeddings.sh: which utterances are drawn, and where."""
import sys

import numpy as np
import pytest

from sslspk.bin import plot_embeddings
from sslspk.errors import InputError
from sslspk.io import ark, table


def plot(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["plot_embeddings.py", *map(str, words)])
    plot_embeddings.main()


def embeddings(folder, x, names):
    folder.mkdir()
    with ark.Writer(folder / "xvector.ark", folder / "xvector.scp") as writer:
        for name, vector in zip(names, x.astype(np.float32), strict=True):
            writer.write(name, vector)


@pytest.fixture
def emb(tmp_path):
    """Eight speakers far apart, twelve utterances of each; one more with a single one."""
    rng = np.random.default_rng(0)
    names = [f"s{s}-u{u:02d}" for s in range(8) for u in range(12)] + ["s8-u00"]
    x = np.repeat(20 * rng.normal(size=(9, 5)), 12, 0)[:97] + rng.normal(size=(97, 5))
    embeddings(tmp_path / "emb", x, names)
    table.write(tmp_path / "utt2spk", {name: name[:2] for name in names})
    return tmp_path


def rows(out):
    head, *lines = [line.split("\t") for line in (out / "embeddings.tsv").read_text().splitlines()]
    assert head == ["utt", "label", "pca_1", "pca_2", "tsne_1", "tsne_2"]
    return [line[:2] for line in lines], np.array([line[2:] for line in lines], float)


def test_speakers_far_apart_are_clouds(emb, monkeypatch, capsys):
    options = ("--labels", emb / "utt2spk", "--num-labels", "4", "--per-label", "10")
    plot(monkeypatch, *options, emb / "emb", emb / "out")
    who, points = rows(emb / "out")
    labels = np.array([label for _, label in who])
    assert len(who) == 40 and len(set(labels)) == 4 and "s8" not in labels and all(utt[:2] == label for utt, label in who)
    for flat in (points[:, :2], points[:, 2:]):
        centres = {label: flat[labels == label].mean(0) for label in set(labels)}
        nearest = [min(centres, key=lambda name, point=point: np.linalg.norm(point - centres[name])) for point in flat]
        assert nearest == labels.tolist()
    assert "40 embeddings of 4 labels; PCA shows" in capsys.readouterr().out
    picture = (emb / "out/embeddings.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    plot(monkeypatch, *options, emb / "emb", emb / "again")
    assert (emb / "again/embeddings.png").read_bytes() == picture
    plot(monkeypatch, *options, "--seed", "5", emb / "emb", emb / "other")
    assert rows(emb / "other")[0] != who


def test_pca_by_hand(emb, monkeypatch):
    """The coordinates of the singular value decomposition, up to their signs."""
    plot(monkeypatch, "--labels", emb / "utt2spk", "--num-labels", "10", emb / "emb", emb / "out")
    who, points = rows(emb / "out")
    assert len(who) == 96, "there are eight speakers with two utterances"
    x = np.stack([ark.load(table.read(emb / "emb/xvector.scp")[utt]) for utt, _ in who]).astype(float)
    x -= x.mean(0)
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(np.abs(points[:, :2]), np.abs(left[:, :2] * values[:2]), rtol=1e-3, atol=1e-3 * values[0])


@pytest.mark.parametrize(("shape", "words"), [((2, 5), 2), ((3, 1), 3)])
def test_hardly_anything_to_draw(tmp_path, monkeypatch, shape, words):
    names = [f"s-u{i}" for i in range(shape[0])]
    embeddings(tmp_path / "emb", np.random.default_rng(0).normal(size=shape), names)
    table.write(tmp_path / "utt2spk", dict.fromkeys(names, "s"))
    plot(monkeypatch, "--labels", tmp_path / "utt2spk", tmp_path / "emb", tmp_path / "out")
    assert len(rows(tmp_path / "out")[0]) == words and np.isfinite(rows(tmp_path / "out")[1]).all()


@pytest.mark.parametrize(("options", "words"), [
    (("--num-labels", "11"), "--num-labels takes 1 to 10"), (("--per-label", "1"), "--per-label 2 or more"),
    (("--perplexity", "0"), "--perplexity 1 or more")])
def test_options_that_make_no_sense(emb, monkeypatch, options, words):
    with pytest.raises(InputError, match=words):
        plot(monkeypatch, "--labels", emb / "utt2spk", *options, emb / "emb", emb / "out")


def test_labels_of_others_and_embeddings_that_say_nothing(emb, monkeypatch):
    table.write(emb / "others", {"x-1": "x", "x-2": "x"})
    with pytest.raises(InputError, match="others has two utterances in"):
        plot(monkeypatch, "--labels", emb / "others", emb / "emb", emb / "out")
    embeddings(emb / "same", np.ones((97, 5)), list(table.read(emb / "utt2spk")))
    with pytest.raises(InputError, match="all the same, or not finite"):
        plot(monkeypatch, "--labels", emb / "utt2spk", emb / "same", emb / "out")
