"""The dictionary of figures, and the program that prints it."""
import json
import subprocess
import sys

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import files
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import report, verification


def a_list(count=600, speakers=12, seed=0):
    """Trials of VoxCeleb-like ids, and their scores."""
    rng = np.random.default_rng(seed)
    utterances = [f"id{10000 + s}-video{v}-{n:05d}" for s in range(speakers) for v in range(2) for n in range(8)]
    pairs = rng.permutation([(i, j) for i in range(len(utterances)) for j in range(i)])
    same = pairs[:, 0] // 16 == pairs[:, 1] // 16
    pairs = np.concatenate([pairs[same][:count // 3], pairs[~same][:count - count // 3]])
    target = np.arange(count) < count // 3
    names = np.array(utterances)
    return (trial_list.Trials(names[pairs[:, 0]], names[pairs[:, 1]], target),
            np.round(rng.normal(size=count) + 2 * target, 3))


@pytest.fixture
def on_disk(tmp_path):
    trials, scores = a_list()
    trial_list.write(tmp_path / "list", *trials)
    mixed = np.random.default_rng(1).permutation(len(scores))
    score_file.write(tmp_path / "scores", trials.enrol[mixed], trials.test[mixed], scores[mixed])
    return tmp_path, trials, scores


def run(*words, cwd):
    return subprocess.run([sys.executable, "-m", "sslspk.bin.metrics", *map(str, words)], cwd=cwd, capture_output=True,
                          text=True, check=False)


def test_figures_are_those_of_the_curve():
    trials, scores = a_list()
    figures = report.report(trials, scores)
    det = verification.det_curve(scores, trials.target)
    assert figures["eer_percent"] == pytest.approx(100 * verification.eer(det))
    assert figures["min_dcf_0.01"] == verification.min_dcf(det, 0.01)
    assert figures["act_dcf_0.05"] == verification.act_dcf(scores, trials.target, 0.05)
    assert (figures["targets"], figures["nontargets"], figures["speakers"]) == (200, 400, 12)
    for name in ("eer_percent", "min_dcf_0.01", "min_dcf_0.05"):
        assert figures[f"{name}_low"] <= figures[name] * 1.2
        assert figures[f"{name}_high"] >= figures[name] * 0.8


def test_same_gender_is_a_list_of_its_own():
    trials, scores = a_list()
    genders = {f"id{10000 + s}": "mf"[s % 2] for s in range(12)}
    figures = report.report(trials, scores, spk2gender=genders, replicates=0)
    keep = np.array([genders[e[:7]] == genders[t[:7]] for e, t in zip(trials.enrol, trials.test, strict=True)])
    det = verification.det_curve(scores[keep], trials.target[keep])
    assert figures["eer_percent_same_gender"] == pytest.approx(100 * verification.eer(det))
    assert figures["nontargets_same_gender"] == (keep & ~trials.target).sum() < 400
    assert "eer_percent_low" not in figures


def test_unknown_speakers_cost_the_interval_unless_it_was_asked_for():
    trials, scores = a_list()
    trials = trials._replace(enrol=np.char.replace(trials.enrol, "-", "_"))
    figures = report.report(trials, scores)
    assert "eer_percent_low" not in figures
    assert "utt2spk" in figures["bootstrap_note"]
    with pytest.raises(InputError, match="utt2spk"):
        report.report(trials, scores, replicates=10)


def test_program(on_disk):
    folder, trials, scores = on_disk
    done = run("list", "scores", "--json", "out.json", "--det", "det.npz", "--bootstrap", "20", cwd=folder)
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "out.json").read_text())
    expected = report.report(trials, scores, replicates=20)
    assert {key: figures[key] for key in expected} == pytest.approx(expected)
    assert figures["trials_md5"] == files.md5(folder / "list")
    assert figures["trials"] == "list"
    assert f"{figures['eer_percent']:.4f} %" in done.stdout
    assert figures["trials_md5"] in done.stdout
    with np.load(folder / "det.npz") as det:
        np.testing.assert_array_equal(det["p_miss"], verification.det_curve(scores, trials.target).p_miss)


def test_speakers_and_genders_from_files(on_disk):
    folder, trials, _ = on_disk
    names = sorted({*trials.enrol.tolist(), *trials.test.tolist()})
    (folder / "utt2spk").write_text("".join(f"{name} {name[:7]}\n" for name in names))
    (folder / "spk2gender").write_text("".join(f"{name} {'mf'[int(name[2:]) % 2]}\n" for name in sorted({n[:7] for n in names})))
    done = run("list", "scores", "--utt2spk", "utt2spk", "--spk2gender", "spk2gender", "--bootstrap", "5", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "same gender" in done.stdout
    assert "5 replicates over 12 speakers" in done.stdout


@pytest.mark.parametrize(("line", "named"), [("x y nan", "nan"), ("x y z", "z"), ("x y", "2 fields")])
def test_bad_score_file_is_one_sentence(on_disk, line, named):
    folder, *_ = on_disk
    with open(folder / "scores", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    done = run("list", "scores", "--json", "out.json", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "scores:601" in done.stderr and named in done.stderr
    assert not (folder / "out.json").exists()


def test_list_of_one_class(on_disk):
    folder, trials, _ = on_disk
    trial_list.write(folder / "list", trials.enrol, trials.test, np.ones(len(trials.enrol), bool))
    done = run("list", "scores", cwd=folder)
    assert done.returncode == 1
    assert "no non-target trial" in done.stderr


def test_help_imports_no_heavy_library():
    code = ("import sys, sslspk.bin.metrics, sslspk.bin.score, sslspk.bin.plot_det\n"
            "sys.exit(bool({'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
