"""Figures without labels, against pairs counted one by one, and the verdict on a round that follows from them."""
import json

import numpy as np
import pytest

from sslspk.bin import judge_round
from sslspk.bin.judge_round import verdict
from sslspk.errors import InputError
from sslspk.io import ark, provenance, table
from sslspk.metrics.label_free import Figures, figures, mean_interval, standardised


def crops(noise, recordings=12, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(recordings, dim))
    return np.repeat(centres, 2, 0) + noise * rng.normal(size=(2 * recordings, dim)), [f"r{i // 2:02d}" for i in range(2 * recordings)]


def test_figures_against_every_comparison():
    x, names = crops(1.0)
    cosine = np.corrcoef(x) * 0
    for i, a in enumerate(x):
        for j, b in enumerate(x):
            cosine[i, j] = a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
    found = figures(x, names, "emb")
    for r in range(12):
        pair, other = (2 * r, 2 * r + 1), [k for k in range(24) if k // 2 != r]
        right = [(cosine[i, j] > cosine[i, k]) for i, j in (pair, pair[::-1]) for k in other]
        assert found.auc[r] == pytest.approx(np.mean(right))
        near = [sorted({k // 2 for k in other}, key=lambda q: -max(cosine[i, 2 * q], cosine[i, 2 * q + 1]))[:5] for i in pair]
        assert found.agreement[r] == pytest.approx(len({*near[0]} & {*near[1]}) / 5)


def test_what_says_nothing_is_at_chance():
    x, names = np.ones((40, 3)), [f"r{i // 2:02d}" for i in range(40)]
    assert figures(x, names, "emb").auc == pytest.approx(0.5), "all embeddings equal"
    found = figures(np.random.default_rng(0).normal(size=(400, 8)), [f"r{i // 2:03d}" for i in range(400)], "emb")
    assert found.auc.mean() == pytest.approx(0.5, abs=0.05) and found.agreement.mean() < 0.06


@pytest.mark.parametrize(("x", "names", "said"), [
    ([[1, 0], [1, 1]], "aa", "two recordings at least"), ([[1, 0]] * 3, "aab", "two crops of each"), ([], "", "two recordings"),
    ([[1, 0], [0, 0], [1, 1], [1, 1]], "aabb", "zero or not finite"), ([[1, 0], [1, np.inf], [1, 1], [1, 1]], "aabb", "not finite")])
def test_what_cannot_be_judged(x, names, said):
    with pytest.raises(InputError, match=said):
        figures(np.array(x, float).reshape(-1, 2), list(names), "emb")


def test_better_embeddings_are_accepted_and_worse_ones_refused():
    good, bad = (figures(*crops(noise, 60), "emb") for noise in (0.5, 1.5))
    better, worse = verdict(bad, good), verdict(good, bad)
    assert better["accepted"] and better["reason"].startswith("accepted: AUC ") and better["auc"]["low"] > 0
    assert not worse["accepted"] and worse["reason"].startswith("refused, since AUC and agreement fell: ")
    assert better["recordings"] == 60 and "on 60 held-out recordings" in better["reason"]
    for name in ("auc", "agreement"):
        assert (worse[name]["before"], worse[name]["after"]) == (better[name]["after"], better[name]["before"])
        assert worse[name]["low"] < worse[name]["after"] - worse[name]["before"] < worse[name]["high"]
    assert verdict(good, good)["accepted"], "the same is not worse"


@pytest.mark.parametrize(("auc", "agreement", "said"), [
    (0.02, -0.2, "refused, since agreement fell"), (-0.02, 0.2, "refused, since AUC fell"), (-0.001, 0.1, "accepted"),
    (0.001, -0.03, "refused, since the two together fell"), (-0.02, -0.2, "refused, since AUC and agreement fell"), (0.0, 0.0, "accepted")])
def test_what_falls_by_more_than_chance_is_refused_and_what_falls_together(auc, agreement, said):
    """60 recordings; the standard error of the difference is 0.005 and 0.026."""
    shape = np.tile([-1.0, 1.0], 30)
    before = Figures(np.full(60, 0.9), np.full(60, 0.5))
    found = verdict(before, Figures(before.auc + auc + 0.04 * shape * (auc != 0), before.agreement + agreement + 0.2 * shape * (auc != 0)))
    assert found["reason"].startswith(said + ": ") and found["accepted"] == (said == "accepted")


def test_means_in_units_of_their_standard_error():
    x = np.array([1.0, 2.0, 4.0, 5.0])
    assert standardised(x) == pytest.approx(3 / (np.sqrt(10 / 3) / 2))
    assert (standardised(np.zeros(3)), standardised(np.full(3, -1.0)), standardised(np.full(3, 1.0))) == (0, -np.inf, np.inf)


def test_the_interval_holds_the_mean_as_often_as_it_should():
    rng = np.random.default_rng(0)
    held = [low <= 0 <= high for low, high in (mean_interval(rng.normal(size=40), 200) for _ in range(400))]
    assert 0.9 < np.mean(held) < 0.98


def test_the_program(tmp_path, monkeypatch, capsys):
    for name, noise in {"good": 0.3, "bad": 3.0, "short": 0.3}.items():
        x, recordings = crops(noise, 20)
        names = [f"{recording}-{'ab'[i % 2]}" for i, recording in enumerate(recordings)]
        (tmp_path / name).mkdir()
        with ark.Writer(tmp_path / name / "xvector.ark", tmp_path / name / "xvector.scp") as writer:
            for crop, row in list(zip(names, x.astype(np.float32), strict=True))[2 * (name == "short"):]:
                writer.write(crop, row)
        provenance.write(tmp_path / name, f"system_{name}", "encoder")
    table.write(tmp_path / "utt2spk", dict(zip(names, recordings, strict=True)))

    def judge(before, after):
        monkeypatch.setattr("sys.argv", ["judge", str(tmp_path / "utt2spk"), *(str(tmp_path / name) for name in (before, after, "out"))])
        judge_round.main()
        return json.loads((tmp_path / "out").read_text())

    worse = judge("good", "bad")
    assert (worse["best_before"], worse["round"], worse["accepted"], worse["recordings"]) == ("system_good", "system_bad", False, 20)
    assert capsys.readouterr().out == worse["reason"] + "\n" and worse["auc"]["after"] < worse["auc"]["before"]
    assert judge("bad", "good")["accepted"]
    with pytest.raises(InputError, match="has r00-a; extract both again"):
        judge("good", "short")
