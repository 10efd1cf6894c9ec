"""The console command: what each subcommand prints and writes, against sslspk.load and the steps."""
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_models
from recipe_copy import ROOT
from small_models import CALIBRATION, voice, wav

import sslspk
from sslspk import cli
from sslspk.bin import score as score_program
from sslspk.cli import inputs, recipe
from sslspk.io import ark, scores, table
from sslspk.train import model as models

NAMES = ("a", "b", "sub/c", "sub/d")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """wav/{a,b,sub/c,sub/d}.wav, of two voices; data/: two of them and a segment; final.pt."""
    folder = tmp_path_factory.mktemp("cli")
    small_models.write(folder)
    (folder / "wav/sub").mkdir(parents=True)
    for place, name in enumerate(NAMES):
        wav(folder / f"wav/{name}.wav", voice(0.5 + 0.1 * (place % 2), 120 + 90 * (place // 2), place))
    (folder / "wav/.hidden.wav").write_text("no audio")
    (folder / "wav/readme.txt").write_text("no audio")
    (folder / "data").mkdir()
    table.write(folder / "data/wav.scp", {"r1": f"{folder}/wav/a.wav", "r2": f"{folder}/wav/sub/d.wav"})
    table.write(folder / "data/segments", {"u1": "r1 0 0.4", "u2": "r2 0 -1", "u3": "r2 0.1 0.5"})
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    """Run `sslspk COMMAND ...` in the folder; gives what it prints."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SSLSPK_MODEL", "final.pt")

    def call(*words):
        assert cli.run(list(map(str, words))) == 0
        return capsys.readouterr().out
    return call


def expected(place):
    model = sslspk.load(place)
    return {name: model.embed(place / f"wav/{name}.wav") for name in NAMES}


def rows_of(text):
    return {row["name"]: np.array([float(row[f"x{i}"]) for i in range(6)], np.float32) for row in csv.DictReader(io.StringIO(text))}


def test_embedding_files_folders_and_a_list(place, run, monkeypatch):
    wanted = expected(place)
    cases = ((("wav/sub/c.wav", "wav/a.wav"), ("sub/c", "a"), "wav/"), (("wav",), NAMES, ""), (("-",), ("b", "a"), "wav/"))
    for words, names, prefix in cases:
        monkeypatch.setattr("sys.stdin", io.StringIO("wav/b.wav\nwav/a.wav\n"))
        found = rows_of(run("embed", *words))
        assert list(found) == [f"{prefix}{name}.wav" for name in names]
        for name in names:
            np.testing.assert_allclose(found[f"{prefix}{name}.wav"], wanted[name], atol=1e-6)


def test_embedding_a_data_directory_into_a_folder_that_scores(place, run, monkeypatch, tmp_path):
    assert run("embed", "--out", tmp_path / "emb", "data") == f"3 embeddings of 3 recordings in {tmp_path}/emb\n"
    found, model = table.read(tmp_path / "emb/xvector.scp"), sslspk.load(place)
    cut = {"u1": voice(0.5, 120, 0)[:6400], "u2": voice(0.6, 210, 3), "u3": voice(0.6, 210, 3)[1600:8000]}
    for utt, samples in cut.items():
        np.testing.assert_allclose(ark.load(found[utt]), model.embed(samples, 16000), atol=1e-6)
    said = json.loads((tmp_path / "emb/provenance.json").read_text())
    assert said == models.provenance("final.pt") and said["labels"] == "none"
    (tmp_path / "trials").write_text("u1 u2 nontarget\nu2 u3 target\n")
    monkeypatch.setattr("sys.argv", ["score", str(tmp_path / "trials"), *[str(tmp_path / "emb")] * 2, str(tmp_path)])
    score_program.main()
    mine = run("score", "--data", "data", "--out", tmp_path / "mine", tmp_path / "trials")
    np.testing.assert_allclose(scores.read(tmp_path / "mine").score, scores.read(tmp_path / "scores_trials").score, atol=1e-6)
    own = mine.partition("scores         cosine")[2]   # after what the step prints
    assert "minDCF" in own and "actDCF" not in own and "Cllr" not in own, "cosines are no log-likelihood ratios"
    assert "EER            0.0000 %" in mine and "trials         2 (1 target, 1 non-target)" in mine
    assert mine.endswith(run("score", "--embeddings", tmp_path / "emb", tmp_path / "trials"))


@pytest.mark.parametrize("out", ["x.npy", "x.ark", "x.scp", "emb.v1"])
def test_forms_of_output(place, run, tmp_path, out):
    run("embed", "--out", tmp_path / out, "wav/sub/c.wav", "wav/a.wav")
    wanted = expected(place)
    if out == "x.npy":
        assert (tmp_path / "x.txt").read_text() == "wav/sub/c.wav\nwav/a.wav\n"
        np.testing.assert_allclose(np.load(tmp_path / out), [wanted["sub/c"], wanted["a"]], atol=1e-6)
        return
    stem = tmp_path / "x" if out.startswith("x.") else tmp_path / out / "xvector"
    found = table.read(f"{stem}.scp")
    assert list(found) == ["wav/a.wav", "wav/sub/c.wav"] and Path(f"{stem}.ark").exists()
    np.testing.assert_allclose(ark.load(found["wav/a.wav"]), wanted["a"], atol=1e-6)
    assert (stem.parent / "provenance.json").exists() == (out == "emb.v1")


def test_windows_have_their_times(place, run, tmp_path):
    model, words = sslspk.load(place), ("--window", 0.3, "--shift", 0.2, "wav/a.wav")
    wanted = model.embed(place / "wav/a.wav", window=0.3, shift=0.2)
    read = list(csv.DictReader(io.StringIO(run("embed", *words))))
    assert [(row["name"], float(row["start"]), float(row["end"])) for row in read] == [("wav/a.wav", 0.0, 0.3), ("wav/a.wav", 0.2, 0.5)]
    run("embed", "--out", tmp_path / "w.npy", *words)
    assert (tmp_path / "w.txt").read_text().splitlines()[1] == "wav/a.wav 0.200 0.500"
    np.testing.assert_allclose(np.load(tmp_path / "w.npy"), wanted.embeddings, atol=1e-6)
    run("embed", "--out", tmp_path / "w.scp", *words)
    assert list(table.read(tmp_path / "w.scp")) == ["wav/a.wav-0000000-0000030", "wav/a.wav-0000020-0000050"]


def test_bad_recordings_may_be_left_out(place, run, capsys, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio " * 40)
    words = ["wav/a.wav", tmp_path / "bad.wav", "wav/sub/c.wav", tmp_path / "gone.wav", "wav/b.wav"]
    wanted = expected(place)
    for window in ((), ("--window", 5)):
        assert cli.run([str(word) for word in ("embed", "--skip-bad", *window, *words)]) == 0
        said = capsys.readouterr()
        found = rows_of(said.out)
        assert list(found) == ["wav/a.wav", "wav/sub/c.wav", "wav/b.wav"]
        np.testing.assert_allclose(found["wav/b.wav"], wanted["b"], atol=1e-6)
        for line, name in zip(said.err.splitlines(), ("bad.wav", "gone.wav"), strict=True):
            assert line.startswith("left out: ") and name in line
    with pytest.raises(sslspk.InputError, match=r"none of the recordings \(1\) can be embedded"):
        run("embed", "--skip-bad", tmp_path / "bad.wav")


def test_a_missing_package_is_one_sentence(tmp_path):
    code = "import sys; from sslspk import cli; sys.argv = ['sslspk', 'info', 'x']; cli.main()"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, text=True, capture_output=True, check=False)   # -S: no packages
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "has no package" in done.stderr, done.stderr


def test_a_folder_with_a_link_that_leads_back(tmp_path):
    (tmp_path / "x/y").mkdir(parents=True)
    (tmp_path / "x/y/up").symlink_to(tmp_path)
    (tmp_path / "x/a.WAV").write_text("")
    (tmp_path / "elsewhere.flac").write_text("")
    assert list(inputs.gather([str(tmp_path)])) == ["elsewhere.flac", "x/a.WAV"]


@pytest.mark.parametrize(("name", "out", "refused"), [
    ("a b.wav", "emb", True), ("a b.wav", "x.scp", True), ("a b.wav", "x.csv", False), ("a b.wav", "x.npy", False),
    ("a\nb.wav", "x.npy", True), ("a\nb.wav", "x.csv", True), (os.fsdecode(b"\xff.wav"), "x.csv", True), ("\u00fc.wav", "emb", False)])
def test_names_that_a_table_cannot_hold(run, tmp_path, name, out, refused):
    (tmp_path / "in").mkdir()
    wav(tmp_path / "in" / "good.wav", voice(0.3))
    (tmp_path / "in/good.wav").rename(tmp_path / "in" / name)
    if refused:
        with pytest.raises(sslspk.InputError, match=r"has a blank or an odd letter in its name, which .+ cannot hold; rename it"):
            run("embed", "--out", tmp_path / out, tmp_path / "in")
    else:
        assert run("embed", "--out", tmp_path / out, tmp_path / "in").startswith("1 embedding of 1 recording in")


def test_commands_in_a_table_run_when_they_are_allowed(place, run, tmp_path):
    table.write(tmp_path / "wav.scp", {"p": f"cat {place}/wav/a.wav |"})
    for words in (("embed", tmp_path), ("embed", tmp_path / "wav.scp")):
        with pytest.raises(sslspk.InputError, match="shell command, which a data directory may not run"):
            run(*words)
        np.testing.assert_allclose(rows_of(run(*words, "--allow-pipes", "true"))["p"], expected(place)["a"], atol=1e-6)


def test_a_table_of_recordings(place, tmp_path):
    assert list(inputs.gather([str(place / "data/wav.scp")])) == ["r1", "r2"]


def test_comparing(place, run, tmp_path):
    model = sslspk.load(place)
    found = model.compare(place / "wav/a.wav", place / "wav/b.wav")
    assert run("compare", "wav/a.wav", "wav/b.wav") == (
        f"cosine       {found.cosine:.4f}\nno decision: the model carries no calibration (see docs/python.md)\n")
    small_models.write(tmp_path, CALIBRATION)
    said = run("compare", "--model", tmp_path, "--prior", 0.5, "wav/a.wav", "wav/b.wav").splitlines()
    llr = 8 * found.cosine - 3
    assert said[1:] == [f"llr          {llr:.4f}", f"probability  {1 / (1 + np.exp(-llr)):.4f}   with a prior of 0.5",
                        f"decision     {'one speaker' if llr > 0 else 'two speakers'}"]


def test_comparing_what_is_a_command(place, run):
    command = "cat wav/a.wav |"
    with pytest.raises(sslspk.InputError, match="shell command"):
        run("compare", command, "wav/b.wav")
    assert run("compare", "--allow-pipes", "true", command, "wav/b.wav") == run("compare", "wav/a.wav", "wav/b.wav")
    assert run("compare", "wav/a.wav", "wav/a.wav").startswith("cosine       1.0000\n")


@pytest.mark.parametrize("words", [("--layer", "layers.0"), ("--weights", "student")])
def test_comparing_by_what_the_calibration_is_not_of(run, tmp_path, words):
    path = small_models.write(tmp_path, CALIBRATION)
    content = models.read_content(path)
    states = dict.fromkeys(("teacher", "student"), content["encoders"]["teacher"])
    models.write(path, models.config_of(content, path), 20, states, "teacher", content["info"])
    said = run("compare", "--model", tmp_path, *words, "wav/a.wav", "wav/b.wav")
    assert said.endswith("the model's calibration is of its default weights, not of others or of a layer (see docs/python.md)\n")


@pytest.mark.parametrize(("words", "said"), [
    *(((f"--{name}", value, "--embeddings", "emb"), f"no --{name}; leave") for name, value in (
        ("model", "final.pt"), ("device", "cpu"), ("channel", "0"), ("weights", "teacher"), ("layer", "layers"), ("allow-pipes", "true"))),
    (("--utt2spk", "u2s"), "bare has no labels; leave it out"), (("--embeddings", "emb", "--utt2spk", "u2s"), "has no labels")])
def test_options_that_would_do_nothing_are_refused(run, tmp_path, monkeypatch, words, said):
    (tmp_path / "bare").write_text("a b\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sslspk.InputError, match=said):
        cli.run(["score", *words, "bare"])


def test_scoring_a_list_of_files(place, run, tmp_path):
    """Of all forms; without labels the scores themselves."""
    model, pairs = sslspk.load(place), [("a", "b", 1), ("sub/c", "a", 0), ("sub/c", "sub/d", 1)]
    cosine = [model.compare(place / f"wav/{a}.wav", place / f"wav/{b}.wav").cosine for a, b, _ in pairs]
    (tmp_path / "bare").write_text("".join(f"{a}.wav {b}.wav\n" for a, b, _ in pairs))
    said = [line.split() for line in run("score", "--audio", "wav", tmp_path / "bare").splitlines()]
    assert [line[:2] for line in said] == [[f"{a}.wav", f"{b}.wav"] for a, b, _ in pairs]
    np.testing.assert_allclose([float(line[2]) for line in said], cosine, atol=1e-6)
    (tmp_path / "vox").write_text("".join(f"{same} {a}.wav {b}.wav\n" for a, b, same in pairs))
    (tmp_path / "u2s").write_text("".join(f"{name}.wav {name[0] in 'ab'}\n" for name in NAMES))
    labelled = run("score", "--audio", "wav", "--utt2spk", tmp_path / "u2s", "--out", tmp_path / "s", tmp_path / "vox")
    assert "EER            0.0000 %" in labelled and "scores         cosine" in labelled and "md5" in labelled
    np.testing.assert_allclose(scores.read(tmp_path / "s").score, cosine, atol=1e-6)
    assert "3 scores (cosine)" in run("score", "--audio", "wav", "--out", tmp_path / "s", tmp_path / "bare")
    small_models.write(tmp_path, CALIBRATION)
    said = run("score", "--model", tmp_path, "--audio", "wav", tmp_path / "bare").splitlines()
    np.testing.assert_allclose([float(line.split()[2]) for line in said], 8 * np.array(cosine) - 3, atol=1e-5)
    assert "Cllr  " in run("score", "--model", tmp_path, "--audio", "wav", "--utt2spk", tmp_path / "u2s", tmp_path / "vox")
    again = run("score", "--model", tmp_path, "--cosine", "--audio", "wav", tmp_path / "bare").splitlines()
    np.testing.assert_allclose([float(line.split()[2]) for line in again], cosine, atol=1e-6)
    (tmp_path / "gone").write_text("u1 u9\n")
    with pytest.raises(sslspk.InputError, match="names u9, which is no utterance of data"):
        run("score", "--data", "data", tmp_path / "gone")


def test_what_a_model_is(place, run, tmp_path):
    small_models.write(tmp_path, CALIBRATION, vad=True)
    (tmp_path / "scores_teacher").mkdir()
    row = {"system": "toy", "weights": "teacher", "trained_on": "toy", "labels": "none", "commit": "abc", "eer_percent": 4.25,
           "eer_percent_low": 3.5, "eer_percent_high": 5.0, "min_dcf_0.05": 0.25, "trials_md5": "f" * 32, "backend_labels": "pseudo"}
    (tmp_path / "scores_teacher/result_list.json").write_text(json.dumps(row))
    (tmp_path / "scores_teacher/result_sure.json").write_text(json.dumps(row | {"calibration": "c", "act_dcf_0.05": 0.31, "cllr": 0.42}))
    (tmp_path / "scores_teacher/result_torn.json").write_text(json.dumps(row)[:20])
    said = run("info", tmp_path)
    for line in (f"system           {tmp_path.name}", "labels           none", "trained on       toy", "embedding dim    6",
                 "silence cut      yes", "reads            20 fbank, cmn utterance", "default weights  teacher",
                 "weights from     unknown",
                 "calibration      for a prior of 0.05, made on data/held_out/trials, 50 target and 50 non-target trials (pseudo labels)",
                 "licence          unknown", "language         unknown",
                 "one speaker      from a cosine of 0.7431 on, with a prior of 0.05",
                 "result           scores_teacher/result_list.json: EER 4.25 % (3.50 to 5.00), minDCF(0.05) 0.250, cosine, weights "
                 "teacher, labels pseudo, list md5 ffff",
                 "actDCF(0.05) 0.310, Cllr 0.420, cosine calibrated, weights teacher, labels pseudo"):
        assert line in said, said
    assert "result_torn.json" in said
    assert json.loads(run("info", "--json", tmp_path / "final.pt"))["results"][0]["eer_percent"] == 4.25
    bare = run("info", place)
    run("export", place, tmp_path / "out", "--licence", "cc-by-4.0", "--language", "de", "--url", "https://example.org/toy")
    said = run("info", tmp_path / "out")
    for line in ("licence          cc-by-4.0", "language         de", "url              https://example.org/toy", "trained on       toy"):
        assert line in said, said
    assert "result           none beside the model" in bare and "calibration      none" in bare


def bare(folder, *words):
    """Run in a laid out recipe, whose path.sh knows the Python."""
    return subprocess.run(words, cwd=folder, text=True, capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize("name", recipe.names())
def test_a_recipe_anywhere(run, tmp_path, name):
    """What run.sh and the configurations of a recipe name is there, wherever it lies."""
    said = run("recipe", "--name", name, tmp_path / "here/mine")
    script = recipe.script(name)
    assert f"./{script} --help" in said
    done = bare(tmp_path / "here/mine", f"./{script}", "--no-such-option", "1")
    assert done.returncode == 1 and "no-such-option" in done.stderr and len(done.stderr.splitlines()) <= 2, done.stderr
    for other in recipe.needed(name) - {name}:
        assert (tmp_path / "here" / other / "path.sh").exists() and f"since {name} uses it" in said
    for path in (tmp_path / "here/mine").glob("conf/**/*.yaml"):
        for base in re.findall("^base: (.*)", path.read_text(), re.MULTILINE):
            assert (path.parent / base).resolve().exists(), path


def test_a_recipe_is_never_laid_over_something(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    for words, said in (((tmp_path / "full",), "is there and not an empty folder"), ((tmp_path / "full/mine",), "not an empty folder"),
                        (("--name", "vox", tmp_path / "new"), "there is no recipe 'vox'; choose one of adress,")):
        with pytest.raises(sslspk.InputError, match=said):
            run("recipe", *words)
    assert (tmp_path / "full/mine").read_text() == "x" and not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    run("recipe", tmp_path / "empty")
    assert (tmp_path / "empty/run.sh").exists() and [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_installed_package_brings_the_recipes(tmp_path):
    """The package as pip builds it, away from the checkout: laid out from there, a recipe runs its own copy of the steps."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["xargs", "-0", "cp", "-P", "--parents", "-t", source], input=listed.stdout, cwd=ROOT, check=True)
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "site"]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    assert (tmp_path / "site/sslspk/py.typed").exists() and (tmp_path / "site/sslspk/launch/job.sh").exists()
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "sslspk.cli", "recipe", tmp_path / "mine"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = 'import sslspk; print(sslspk.__file__, end=" ")'
    show = f". ./path.sh && python3 -c '{asked}' && readlink -f steps/train.sh utils/run.pl && steps/train.sh --help"
    said = bare(tmp_path / "mine", "bash", "-c", show)
    toolkit = [str(tmp_path / "mine/.toolkit" / name) for name in ("sslspk/__init__.py", "steps/train.sh", "utils/run.pl")]
    assert said.stdout.split()[:3] == toolkit and "usage" in said.stdout, said
