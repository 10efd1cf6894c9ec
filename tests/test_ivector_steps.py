"""The i-vector system as a recipe runs it: from audio to embeddings, killed and taken up again, and every bad input."""
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from recipe_copy import SYNTH, VOXCELEB, make, overrides, run, sh
from scipy.signal import lfilter

from sslspk.config import load
from sslspk.errors import InputError
from sslspk.features.config import FeatureOptions
from sslspk.io import ark, datadir, derive, embeddings, table
from sslspk.ivector.config import IvectorConfig

SMALL = overrides("num_gaussians=8", "ivector_dim=4", "diagonal_iterations=3", "full_iterations=2", "iterations=3")


def make_audio(folder, data, speakers, seed):
    """Utterances of 2 s: bursts of noise, coloured by two resonances which are the speaker's."""
    rng, wav = np.random.default_rng(seed), {}
    folder.mkdir(exist_ok=True)
    for speaker in speakers:
        resonances = np.convolve(*([1, -1.9 * np.cos(angle), 0.9] for angle in rng.uniform(0.2, 2.4, 2)))
        for n in range(4):
            x = lfilter([1], resonances, rng.standard_normal(32000)) * np.repeat(rng.choice([0.0, 0.3, 1.0], 20), 1600)
            wav[f"{speaker}-{n}"] = folder / f"{speaker}-{n}.wav"
            soundfile.write(wav[f"{speaker}-{n}"], x / np.abs(x).max() * 0.5 + 1e-4 * rng.standard_normal(32000), 16000)
    datadir.write(data, wav={utt: str(path) for utt, path in wav.items()}, utt2spk={utt: utt.split("-")[0] for utt in wav})


def make_feats(folder, speakers=6, utts=3, dim=3, seed=0, **changes):
    """A data directory of features with a mean of the speaker's own for each of four sounds; three frames of four are voiced."""
    rng = np.random.default_rng(seed)
    sounds = 4 * np.random.default_rng(9).standard_normal((4, dim))
    names = [f"s{s}-{n}" for s in range(speakers) for n in range(utts)]
    folder.mkdir(parents=True)
    own = {f"s{s}": rng.standard_normal((4, dim)) for s in range(speakers)}
    with ark.Writer(folder / "f.ark", folder / "feats.scp") as feats, ark.Writer(folder / "v.ark", folder / "vad.scp") as vad:
        for utt in names:
            which = rng.integers(0, 4, 120)
            feats.write(utt, (sounds + own[utt.split("-")[0]])[which] + 0.5 * rng.standard_normal((120, dim)))
            vad.write(utt, changes.get(utt, np.arange(120) % 4 > 0))
    table.write(folder / "utt2spk", {utt: utt.split("-")[0] for utt in names})
    table.write(folder / "spk2utt", datadir.invert(table.read(folder / "utt2spk")))
    table.write(folder / "utt2num_frames", {utt: 120 for utt in names})
    return folder


def margin(folder):
    """Mean cosine within speakers less that between them, and the number of embeddings."""
    names, x = embeddings.load(folder)
    x = (x - x.mean(0)) / np.linalg.norm(x - x.mean(0), axis=1, keepdims=True)
    same = np.array([[a.split("-")[0] == b.split("-")[0] for b in names] for a in names])
    other, scores = ~np.eye(len(names), dtype=bool), x @ x.T
    return scores[same & other].mean() - scores[~same].mean(), len(names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """data/train and data/test of features, and a system trained on the first by two jobs: exp/ubm, exp/iv, exp/emb."""
    recipe = make(tmp_path_factory.mktemp("ivector"))
    make_feats(recipe / "data/train")
    make_feats(recipe / "data/test", speakers=4, seed=1)
    run(recipe, "steps/train_ubm.sh", "--nj", 2, *SMALL, "data/train", "exp/ubm")
    run(recipe, "steps/train_ivector.sh", "--nj", 2, *SMALL, "data/train", "exp/ubm", "exp/iv")
    run(recipe, "steps/extract_ivectors.sh", "--nj", 2, "data/test", "exp/iv", "exp/emb")
    assert not [path for path in recipe.rglob("split*") if path.is_dir()]   # nothing is left, least of all in the data
    return recipe


@pytest.fixture
def recipe(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def program(name, *words):
    """Run a program of sslspk.bin in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, words)])
        importlib.import_module(f"sslspk.bin.{name}").main()


CONF = ("--conf", "conf/ivector_mfcc.yaml", *SMALL)


@pytest.mark.slow
def test_from_audio_to_embeddings(tmp_path, monkeypatch):
    recipe = make(tmp_path)
    monkeypatch.chdir(recipe)
    make_audio(tmp_path / "wav", recipe / "data/dev", ["a", "b", "c", "d", "e"], 0)
    make_audio(tmp_path / "wav", recipe / "data/eval", ["f", "g", "h"], 1)
    words = ("local/ivector_system.sh", "--nj", 2, *SMALL, "data/dev", "exp/iv", "data/eval")
    run(recipe, *words)
    for name, count in (("dev", 20), ("eval", 12)):
        found = margin(recipe / "exp/iv/emb_ivector" / name)
        assert found[0] > 0.5 and found[1] == count, found
    assert not (recipe / "data/dev/feats.scp").exists()   # that directory's own features stay what they are
    said = run(recipe, *words)
    assert said.count("skipped") == 8, said   # two of features, two of VAD, UBM, total variability, two of i-vectors


def test_embeddings_tell_speakers_and_where_they_come_from(recipe):
    assert margin("exp/emb")[0] > 0.5 and margin("exp/emb")[1] == 12
    row = json.loads((recipe / "exp/emb/provenance.json").read_text())
    assert (row["system"], row["weights"], row["trained_on"], row["labels"], row["seed"]) == ("iv", "ivector", "train", "none", 0)
    assert not (recipe / "exp/iv/stats").exists() and not (recipe / "exp/iv/state.npz").exists()
    for log, line in (("ubm/log/train_ubm.log", "full 2/2"), ("iv/log/train_ivector.log", "iteration 3/3")):
        assert f"{line}: log likelihood per frame -" in (recipe / "exp" / log).read_text()


def test_the_jobs_change_nothing(recipe):
    """One job where the fixture had two."""
    program("train_ubm", *CONF, "data/train", "exp/ubm1")
    assert (recipe / "exp/ubm1/final.npz").read_bytes() == (recipe / "exp/ubm/final.npz").read_bytes()
    program("train_ivector", "stats", *CONF, "data/train", "data/train", "exp/ubm1", "exp/s1/1")
    program("train_ivector", "em", *CONF, "--jobs", 1, "data/train", "exp/ubm1", "exp/s1/JOB", "exp/iv1")
    one, two = np.load(recipe / "exp/iv1/final.npz"), np.load(recipe / "exp/iv/final.npz")
    np.testing.assert_allclose(one["matrix"], two["matrix"], atol=1e-9)
    program("extract_ivectors", "data/test", "exp/iv", "exp/emb1/xvector.ark", "exp/emb1/xvector.scp")
    np.testing.assert_allclose(embeddings.load("exp/emb1")[1], embeddings.load("exp/emb")[1], atol=1e-6)


def killed(recipe, line, *words):
    """Run a program and kill it when it has printed `line`."""
    with subprocess.Popen(["bash", "-c", '. ./path.sh; exec "$@"', "_", sys.executable, "-m", *map(str, words)], cwd=recipe,
                          stdout=subprocess.PIPE, text=True) as job:
        for text in job.stdout:
            if text.startswith(line):
                break
        job.send_signal(signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL


def test_a_killed_job_goes_on_and_ends_the_same(recipe, capsys):
    killed(recipe, "diagonal 2/3", "sslspk.bin.train_ubm", *CONF, "data/train", "exp/again")
    assert (recipe / "exp/again/state.npz").exists() and not (recipe / "exp/again/final.npz").exists()
    program("train_ubm", *CONF, "data/train", "exp/again")
    assert "diagonal 1/3" not in capsys.readouterr().out
    assert (recipe / "exp/again/final.npz").read_bytes() == (recipe / "exp/ubm/final.npz").read_bytes()
    assert not (recipe / "exp/again/frames.npy").exists()

    derive.split("data/train", 2)
    for job in (1, 2):
        program("train_ivector", "stats", *CONF, "data/train", f"data/train/split2/{job}", "exp/ubm", f"exp/s2/{job}")
    em = ("em", *CONF, "--jobs", 2, "data/train", "exp/ubm", "exp/s2/JOB", "exp/goes_on")
    killed(recipe, "iteration 2/3", "sslspk.bin.train_ivector", *em)
    assert not (recipe / "exp/goes_on/final.npz").exists()
    program("train_ivector", *em)
    assert "iteration 1/3" not in capsys.readouterr().out
    assert (recipe / "exp/goes_on/final.npz").read_bytes() == (recipe / "exp/iv/final.npz").read_bytes()


def test_frames_made_anew_do_not_go_on_with_the_old_training(recipe):
    """Archives that were written again have tables with the very text of before; only their time tells."""
    make_feats(recipe / "data/anew", speakers=4)
    for name, words in (("train_ubm", ("data/anew", "exp/anew")),
                        ("train_ivector", ("em", "--jobs", 1, "data/anew", "exp/ubm", "exp/s4/JOB", "exp/anew_iv"))):
        if words[0] == "em":
            program("train_ivector", "stats", *CONF, "data/anew", "data/anew", "exp/ubm", "exp/s4/1")
        killed(recipe, "diagonal 2/3" if name == "train_ubm" else "iteration 2/3", f"sslspk.bin.{name}",
               *([words[0], *CONF, *words[1:]] if words[0] == "em" else [*CONF, *words]))
        for table_name in ("feats.scp", "vad.scp"):
            path = recipe / "data/anew" / table_name
            before = path.stat()
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
            with pytest.raises(InputError, match="of a training with other options or on other data"):
                program(name, *([words[0], *CONF, *words[1:]] if words[0] == "em" else [*CONF, *words]))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_only_the_longest_utterances_train(recipe):
    lengths = {utt: 120 + 10 * (utt in ("s1-0", "s4-2", "s4-1")) for utt in table.read("data/train/utt2spk")}
    table.write("data/train/utt2num_frames", lengths)
    derive.split("data/train", 2)
    few = (*CONF, *overrides("max_utterances=3", "ivector_dim=2"))
    for job in (1, 2):
        program("train_ivector", "stats", *few, "data/train", f"data/train/split2/{job}", "exp/ubm", f"exp/s3/{job}")
    program("train_ivector", "em", *few, "--jobs", 2, "data/train", "exp/ubm", "exp/s3/JOB", "exp/few")
    info = json.loads(str(np.load("exp/few/final.npz")["info"]))
    assert (info["utterances"], info["frames"], info["labels"], info["config"]["ivector_dim"]) == (3, 270, "none", 2)
    assert [len(np.load(recipe / f"exp/s3/{job}.counts.npy")) for job in (1, 2)] == [1, 2]


@pytest.mark.parametrize(("words", "parts"), [
    (("steps/train_ubm.sh", "data/bare", "exp/x"), ("data/bare has no feats.scp", "conf/mfcc_ivector.yaml")),
    (("steps/train_ivector.sh", "data/bare", "exp/ubm", "exp/x"), ("data/bare has no feats.scp", "conf/mfcc_ivector.yaml")),
    (("steps/extract_ivectors.sh", "data/bare", "exp/iv", "exp/x"), ("data/bare has no feats.scp", "conf/mfcc_ivector.yaml")),
    (("steps/train_ubm.sh", "data/novad", "exp/x"), ("data/novad has no vad.scp", "steps/compute_vad.sh")),
    (("steps/train_ubm.sh", "--conf", "conf/none.yaml", "data/train", "exp/x"), ("no configuration conf/none.yaml",)),
    (("steps/train_ivector.sh", *SMALL, "data/train", "exp/none", "exp/x"), ("no exp/none/final.npz", "steps/train_ubm.sh")),
    (("steps/extract_ivectors.sh", "data/test", "exp/none", "exp/x"), ("no exp/none/final.npz", "steps/train_ivector.sh")),
    (("steps/extract_ivectors.sh", "data/silent", "exp/iv", "exp/x"), ("s0-1: none of its 120 frames", "exp/x/log/extract.2.log")),
])
def test_a_step_refuses_in_a_sentence(recipe, words, parts):
    for name, missing in (("bare", "feats.scp"), ("novad", "vad.scp"), ("silent", None)):
        with contextlib.suppress(FileExistsError):
            folder = make_feats(recipe / "data" / name, speakers=1, **{"s0-1": np.zeros(120)})
            if missing:
                (folder / missing).unlink()
    done = sh(recipe, *words)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert all(part in done.stderr for part in parts), done.stderr
    assert not (recipe / "exp/x/final.npz").exists() and not (recipe / "exp/x/xvector.scp").exists()


@pytest.mark.parametrize(("words", "said"), [
    (("train_ubm", *overrides("num_gausians=4"), "data/train", "exp/x"), "num_gausians .did you mean num_gaussians"),
    (("train_ubm", *SMALL, "data/mute", "exp/x"), "^s0-1: none of its 120 frames is voiced; leave it out with utils/subset_data_dir"),
    (("train_ubm", *overrides("num_gaussians=4000"), "data/train", "exp/x"),
     "^1620 voiced frames were drawn, fewer than the 4000 Gaussians"),
    (("train_ivector", "stats", *SMALL, *overrides("num_gaussians=9"), "data/train", "data/train", "exp/ubm", "exp/x/1"),
     "^exp/ubm was trained with num_gaussians 8, but 9 is asked for"),
    (("train_ivector", "stats", *SMALL, "data/wide", "data/wide", "exp/ubm", "exp/x/1"),
     "^s0-0: its frames have 15 dimensions, those of exp/ubm 9"),
    (("extract_ivectors", "data/wide", "exp/iv", "exp/x/1.ark", "exp/x/1.scp"), "^s0-0: its frames have 15 dimensions, those of exp/iv 9"),
    (("extract_ivectors", "data/mute", "exp/iv", "exp/x/1.ark", "exp/x/1.scp"), "^s0-1: none of its 120 frames is voiced"),
])
def test_a_program_refuses_in_a_sentence(recipe, words, said):
    with contextlib.suppress(FileExistsError):
        make_feats(recipe / "data/wide", speakers=1, dim=5)
        make_feats(recipe / "data/mute", speakers=1, **{"s0-1": np.zeros(120)})
    with pytest.raises(InputError, match=said):
        program(*words)
    assert not list((recipe / "exp").glob("x/*.npz")) and not (recipe / "exp/x/1.scp").exists()


@pytest.mark.parametrize("option", ["--rounds=2", "--init-from=x", "--input=feats"])
def test_the_recipe_refuses_what_it_would_not_do(tmp_path, option):
    recipe = make(tmp_path)
    done = sh(recipe, "./run_ivector.sh", "--mini", "true", option)
    assert done.returncode == 1 and f"there is no option {option.partition('=')[0]}" in done.stderr and done.stderr.count("\n") == 1
    assert not (recipe / "data_mini").exists()


@pytest.mark.slow
def test_the_recipe_on_the_small_corpus(tmp_path, monkeypatch):
    recipe = make(tmp_path)
    monkeypatch.chdir(recipe)
    conf = recipe / "conf/mini"
    (conf / "ivector_mfcc.yaml").write_text("base: ../ivector_mfcc.yaml\nnum_gaussians: 8\nivector_dim: 4\ndiagonal_iterations: 2\n"
                                            "full_iterations: 1\niterations: 2\n")
    (conf / "cluster.yaml").write_text("method: kmeans\nclusters: 5\n")
    words = ("./run_ivector.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--cmd", "utils/run.pl", "--speakers", "5",
             "--tag", "x")
    run(recipe, *words, "--stop-stage", "1")
    assert len(table.read("data_mini/voxceleb1_dev_packed_spk5/wav.scp")) == 20 and not (recipe / "exp_mini").exists()
    run(recipe, *words, "--set", "ivector_dim=3", "--stage", "3")
    exp = recipe / "exp_mini/ivector_mfcc_spk5_x"
    row = json.loads((exp / "scores_ivector/result_trials_veri_test2.json").read_text())
    assert (row["system"], row["labels"], row["trained_on"]) == ("ivector_mfcc_spk5_x", "none", "voxceleb1_spk5")
    assert len(table.read(exp / "clusters/utt2spk")) == 20
    found = embeddings.load(str(exp / "emb_ivector/voxceleb1_test"))[1]
    assert found.shape[1] == 3
    run(recipe, "local/extract_system.sh", "--cuda-cmd", "utils/run.pl --gpu 1", "--nj", "1", "--weights", "ivector", "--from", exp,
        "elsewhere", "data_mini/voxceleb1_test")   # as recipes do with models of others
    assert np.array_equal(embeddings.load("elsewhere/emb_ivector/voxceleb1_test")[1], found)
    assert "| ivector_mfcc_spk5_x | ivector | cosine | voxceleb1_spk5 | none |" in (recipe / "exp_mini/RESULTS.md").read_text()
    mine = "data_mini/voxceleb1_test"
    said = run(recipe, "./run_ivector.sh", "--mini", "true", "--speakers", "5", "--tag", "x", "--nj", "1", "--test", mine,
               "--trials", f"{mine}/trials_veri_test2")
    again = json.loads((exp / "scores_ivector/result_trials_own_voxceleb1_test_trials_veri_test2.json").read_text())
    assert again["targets"] == row["targets"] and f"| {again['eer_percent']:.2f}" in said
    assert again["eer_percent"] == pytest.approx(row["eer_percent"], abs=1)   # of packed audio the samples are the same


def test_configurations():
    for name in ("ivector_mfcc", "ivector_short", "mini/ivector_mfcc"):
        config = load(IvectorConfig, VOXCELEB / f"conf/{name}.yaml")
        assert config.ubm_frames >= 100 * config.num_gaussians
    assert load(IvectorConfig, VOXCELEB / "conf/ivector_mfcc.yaml") == IvectorConfig()
    mfcc, vad = (load(FeatureOptions, VOXCELEB / f"conf/{name}.yaml") for name in ("mfcc_ivector", "mfcc"))
    assert mfcc == vad.model_copy(update={"num_ceps": 24})
