"""Pairs to convert, and who a verification model takes the conversions for, against a hand-worked case."""
import json
import subprocess
import sys

import numpy as np
import pytest
from recipe_copy import ROOT

from sslspk.io import ark, table


def program(name, *words):
    return subprocess.run([sys.executable, ROOT / "local" / name, *map(str, words)], capture_output=True, text=True, check=False)


def vectors(folder, values):
    folder.mkdir()
    with ark.Writer(folder / "x.ark", folder / "xvector.scp") as out:
        for utt in sorted(values):
            out.write(utt, np.float32(values[utt]))
    return folder


@pytest.fixture
def place(tmp_path):
    """Speakers a and b at right angles; of three conversions to b one arrives, one stays, one is between."""
    real = {"a1": [1, 0], "a2": [1, 0], "b1": [0, 1], "b2": [0, 1]}
    vectors(tmp_path / "real", real)
    vectors(tmp_path / "converted", {"x": [0, 2], "y": [3, 0], "z": [1, 1]})
    vectors(tmp_path / "plain", {"x": [1, 0], "y": [1, 0], "z": [1, 0]})
    table.write(tmp_path / "utt2spk", {utt: utt[0] for utt in real})
    pairs = [("a1", "a2", "target"), ("b1", "b2", "target"), ("a1", "b1", "nontarget"), ("a2", "b2", "nontarget")]
    (tmp_path / "trials").write_text("".join(f"{a} {b} {kind}\n" for a, b, kind in pairs))
    (tmp_path / "scores").write_text("a1 a2 0.9\nb1 b2 0.8\na1 b1 0.6\na2 b2 0.1\n")
    (tmp_path / "data").mkdir()
    table.write(tmp_path / "data/utt2spk", dict.fromkeys("xyz", "b"))
    table.write(tmp_path / "data/utt2source", dict.fromkeys("xyz", "a1"))
    table.write(tmp_path / "data/utt2source_spk", dict.fromkeys("xyz", "a"))
    return tmp_path


def judge(place):
    return program("judge_conversion.py", "--utt2spk", place / "utt2spk", "--trials", place / "trials", "--scores", place / "scores",
                   "--data", place / "data", "--plain", place / "plain", place / "real", place / "converted", place / "out")


def test_conversions_are_judged_by_hand(place):
    done = judge(place)
    assert done.returncode == 0, done.stderr
    result = json.loads((place / "out/result.json").read_text())
    assert result["pairs"] == 3 and 0.6 <= result["threshold"] <= 0.8 and result["eer"] == 0
    found, plain = result["converted"], result["plain"]
    half = 100 * (2 if np.sqrt(0.5) >= result["threshold"] else 1) / 3
    assert found["accepted_as_target"] == pytest.approx(half) and found["nearer_to_target"] == pytest.approx(100 / 3)
    assert found["score_target"] == pytest.approx((1 + 0 + np.sqrt(0.5)) / 3)
    assert (plain["accepted_as_target"], plain["rejected_as_source"], plain["both"]) == (0, 0, 0)
    (place / "scores").write_text("a1 b2 0.9\n")
    assert "a1 b2 is no trial of" in judge(place).stderr


def test_pairs_are_drawn_of_other_speakers(tmp_path):
    table.write(tmp_path / "utt2spk", {f"{speaker}{i}": speaker for speaker in "abc" for i in range(3)} | {"d0": "d"})
    done = program("draw_pairs.py", "--num-pairs", 18, tmp_path / "utt2spk", tmp_path / "pairs")
    lines = [line.split() for line in (tmp_path / "pairs").read_text().splitlines()]
    assert done.returncode == 0 and all(source[0] != target and key == f"{target}-{source}" for key, source, target in lines)
    assert {source for _, source, _ in lines} == {f"{speaker}{i}" for speaker in "abc" for i in range(3)}, "d has one recording alone"
    table.write(tmp_path / "utt2spk", {"a0": "a", "a1": "a"})
    assert "conversion needs two speakers" in program("draw_pairs.py", tmp_path / "utt2spk", tmp_path / "pairs").stderr
