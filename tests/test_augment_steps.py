"""steps/make_augment_lists.sh and steps/augment_data.sh as a recipe calls them, on a tiny corpus."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.bin import make_augment_lists
from sslspk.io import audio, clips, datadir, derive, table

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000


def corpus(folder, samples, prefix=""):
    folder.mkdir(parents=True)
    for utt, wave in samples.items():
        soundfile.write(folder / f"{utt}.wav", wave, RATE, subtype="PCM_16")
    wav = {prefix + utt: str(folder / f"{utt}.wav") for utt in samples}
    lengths = {prefix + utt: len(wave) for utt, wave in samples.items()}
    datadir.write(str(folder), wav=wav, utt2spk={u: u.split("-")[0] for u in wav}, utt2num_samples=lengths,
                  utt2session={u: "s1" for u in wav})


def gauss(rng, seconds, level=1000):
    return rng.normal(0, level, round(seconds * RATE)).astype(np.int16)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe directory with noises, rooms and six utterances of two speakers, and lists made by two jobs."""
    folder, rng = tmp_path_factory.mktemp("recipe"), np.random.default_rng(0)
    for name in ("steps", "utils"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "conf").mkdir()
    (folder / "conf/augment.yaml").write_text("reverb_prob: 0.5\nnoise_prob: 1\n")
    data = folder / "data"
    silent = {"n3": np.zeros(RATE, np.int16)}
    corpus(data / "musan_noise", {f"n{i}": gauss(rng, 0.5 + i) for i in range(3)} | silent)
    corpus(data / "musan_speech", {f"s{i}": gauss(rng, 1 + i, 300 * (i + 1)) for i in range(4)})
    decay = np.exp(-np.arange(2 * RATE) / 800)
    for size, delay in (("small", 500), ("real", 3)):
        rir = np.zeros(2 * RATE + delay)
        rir[delay:] = decay * rng.normal(0, 1000, 2 * RATE)
        rir[delay] = -9000
        corpus(data / f"rirs_{size}", {"r0": rir.round().astype(np.int16), "r1": rir.round().astype(np.int16)})
    corpus(data / "train", {f"a-u{i}": gauss(rng, 1.1, 700) for i in range(3)} | {f"b-u{i}": gauss(rng, 0.7) for i in range(3)})
    done = run(folder, "steps/make_augment_lists.sh", "--nj", "2", "--babble-seconds", "3", "data", "data/augment")
    assert done.returncode == 0, done.stderr
    return folder


def run(folder, *words):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
                   "LC_ALL": "C"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def read_all(folder):
    return {utt: audio.read(spec)[0] for utt, spec in table.read(folder / "wav.scp").items()}


def test_lists_are_packed_data_directories(recipe):
    lists = recipe / "data/augment"
    expected = {"noise": 3, "speech": 4, "babble": 4, "rir_small": 2, "rir_real": 2}
    assert sorted(p.name for p in lists.iterdir() if (p / "wav.scp").exists()) == sorted(expected)
    for kind, count in expected.items():
        tables = datadir.validate(str(lists / kind), need=("wav.scp", "utt2num_samples"), check_files=True)
        assert len(tables["wav.scp"]) == count
        for utt, samples in read_all(lists / kind).items():
            assert len(samples) == int(tables["utt2num_samples"][utt])
    assert np.array_equal(read_all(lists / "noise")["n1"], soundfile.read(recipe / "data/musan_noise/n1.wav", dtype="int16")[0])


def test_impulse_responses_start_at_their_peak(recipe):
    for kind, lead in (("rir_small", 40), ("rir_real", 3)):
        for samples in read_all(recipe / "data/augment" / kind).values():
            assert np.abs(samples.astype(int)).argmax() == lead and samples[lead] == -32767
            assert len(samples) == lead + RATE


def test_rerun_skips_and_the_number_of_jobs_changes_nothing(recipe, tmp_path):
    words = ["steps/make_augment_lists.sh", "--babble-seconds", "3", "--nj"]
    assert "skipped" in run(recipe, *words, "2", "data", "data/augment").stdout
    one = str(tmp_path / "one")
    for jobs in ("2", "1"):   # what the first run leaves must not show in the second
        (tmp_path / "one/.done").unlink(missing_ok=True)
        done = run(recipe, *words, jobs, "data", one)
        assert done.returncode == 0 and "skipped" not in done.stdout
        assert "left out: musan_music rirs_medium rirs_large" in done.stdout and "1 silent" in done.stdout
    assert "skipped" in run(recipe, *words, "2", "data", one).stdout, "the number of jobs is no reason to start again"
    for kind in ("babble", "rir_real", "noise"):
        before, after = read_all(recipe / "data/augment" / kind), read_all(tmp_path / "one" / kind)
        assert after.keys() == before.keys() and all(np.array_equal(after[u], before[u]) for u in after)


def test_babble_is_a_sum_at_equal_level(recipe):
    specs = list(clips.read(recipe / "data/musan_speech").values())
    sources = [clips.load(spec).samples.astype(float) for spec in specs]
    found = make_augment_lists.make_babble(specs, 1, 8000, RATE, seed=4).astype(float)
    assert np.sqrt(np.mean(found ** 2)) == pytest.approx(2000, rel=0.01)
    levels = []
    for source in sources:   # each recording is white noise, so a correlation finds its place and its weight
        turns = np.concatenate([source, source])
        at = np.correlate(turns, found, "valid")
        place = np.abs(at).argmax()
        part = turns[place:place + 8000]
        weight = part.dot(found) / part.dot(part)
        if weight * np.sqrt(np.mean(part ** 2)) > 300:
            levels.append(weight * np.sqrt(np.mean(part ** 2)))
    assert 3 <= len(levels) <= 4 and np.ptp(levels) < 0.1 * np.mean(levels)
    assert np.array_equal(found, make_augment_lists.make_babble(specs, 1, 8000, RATE, seed=4))
    assert not np.array_equal(found, make_augment_lists.make_babble(specs, 2, 8000, RATE, seed=4))


def test_nothing_to_pack_is_said_and_no_error(recipe, tmp_path):
    (tmp_path / "empty").mkdir()
    done = run(recipe, "steps/make_augment_lists.sh", str(tmp_path / "empty"), str(tmp_path / "out"))
    assert done.returncode == 0 and "nothing to pack" in done.stdout
    assert not (tmp_path / "out/.done").exists()


@pytest.mark.parametrize("root", ["musan", "data"])
def test_folders_that_the_step_did_not_make_stay(recipe, tmp_path, root):
    """OUT is a corpus with the same folders, given by mistake; with and without anything to pack."""
    for name in ("noise", "speech"):
        (tmp_path / "musan" / name).mkdir(parents=True)
        (tmp_path / "musan" / name / "x.wav").write_bytes(b"RIFF")
    done = run(recipe, "steps/make_augment_lists.sh", str(tmp_path / root) if root == "musan" else root, str(tmp_path / "musan"))
    assert done.returncode == 1 and "musan/noise is there and was not made by this step; move it away" in done.stderr
    assert [path.read_bytes() for path in sorted(tmp_path.glob("musan/*/x.wav"))] == [b"RIFF"] * 2


def test_noisy_copies(recipe, tmp_path):
    step = ["steps/augment_data.sh", "--copies", "2", "--nj"]
    done = run(recipe, *step, "3", "data/train", "data/augment", str(tmp_path / "three"))
    assert done.returncode == 0, done.stderr
    assert run(recipe, *step, "1", "data/train", "data/augment", str(tmp_path / "one")).returncode == 0
    tables = datadir.validate(str(tmp_path / "three"), need=("wav.scp", "utt2uniq", "utt2num_samples"), check_files=True)
    assert len(tables["wav.scp"]) == 18 and tables["spk2utt"]["a"].split()[:3] == ["a-u0", "a-u0-noise1", "a-u0-noise2"]
    assert set(tables["utt2session"].values()) == {"s1"}
    audio_of, alone = read_all(tmp_path / "three"), read_all(tmp_path / "one")
    clean = read_all(recipe / "data/train")
    for utt, samples in audio_of.items():
        source = tables["utt2uniq"][utt]
        assert source == utt.split("-noise")[0] and tables["utt2spk"][utt] == utt[0]
        assert len(samples) == len(clean[source]) == int(tables["utt2num_samples"][utt])
        assert np.array_equal(samples, clean[source]) == (utt == source)
        assert np.std(samples.astype(float)) == pytest.approx(np.std(clean[source].astype(float)), rel=0.02)
        assert np.array_equal(samples, alone[utt])   # whatever the number of jobs
    assert not np.array_equal(audio_of["a-u0-noise1"], audio_of["a-u0-noise2"])
    assert "skipped" in run(recipe, *step, "3", "data/train", "data/augment", str(tmp_path / "three")).stdout


def test_noisy_copies_of_clusters_are_no_speakers(recipe, tmp_path):
    utts = table.read(recipe / "data/train/utt2spk")
    derive.relabel(str(recipe / "data/train"), str(tmp_path / "clustered"), dict.fromkeys(utts, "c1"), "pseudo")
    done = run(recipe, "steps/augment_data.sh", "--nj", "1", str(tmp_path / "clustered"), "data/augment", str(tmp_path / "noisy"))
    assert done.returncode == 0 and datadir.label_source(tmp_path / "noisy") == "pseudo", done.stderr


@pytest.mark.parametrize("words, message", [
    (["--copies", "0", "data/train", "data/augment", "OUT"], "--copies"),
    (["data/train", "data/nothing", "OUT"], "make_augment_lists.sh"),
    (["--set", "noise_probb=1", "data/train", "data/augment", "OUT"], "did you mean noise_prob"),
    (["--set", "speed_perturb=[0.9]", "data/train", "data/augment", "OUT"], "wave input"),
    (["--set", "grow={epochs: 3}", "data/train", "data/augment", "OUT"], "grow counts epochs"),
    (["--set", "on_device=true", "data/train", "data/augment", "OUT"], "on_device is for a training"),
    (["--conf", "conf/none.yaml", "data/train", "data/augment", "OUT"], "conf/none.yaml"),
    (["data/train", "data/augment", "data/train"], "OUT is DATA"),
    (["data/train", "data/augment"], "usage"),
])
def test_mistakes_are_named(recipe, tmp_path, words, message):
    done = run(recipe, "steps/augment_data.sh", *(w.replace("OUT", str(tmp_path / "out")) for w in words))
    assert done.returncode == 1 and message in done.stderr + done.stdout
    assert not (tmp_path / "out/.done").exists()
