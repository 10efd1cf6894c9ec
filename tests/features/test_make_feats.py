"""steps/make_feats.sh and steps/compute_vad.sh as a recipe calls them: Kaldi's values on disk, skipping, and every bad recording."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch

from sslspk.config import load
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.io import ark, audio, datadir, table
from sslspk.train.frontend import FrontEnd

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/feats"
KALDI = np.load(GOLDEN / "kaldi.npz")
WAVES = {"spk2-u2": "spk2-u2.flac", "spk3-u3": "spk3-u3.wav", "spk4-u4": "edge-400.wav"}


def run(folder, *words):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    return subprocess.run([str(word) for word in words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def make_recipe(folder, waves):
    """A recipe directory with the confs of egs/voxceleb and data/x of these recordings (utterance: path or command)."""
    for name in ("steps", "utils"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "conf").mkdir()
    for name in ("fbank", "fbank_jhu", "mfcc", "vad"):
        shutil.copy(ROOT / f"egs/voxceleb/conf/{name}.yaml", folder / "conf")
    datadir.write(folder / "data/x", wav={utt: str(spec) for utt, spec in waves.items()},
                  utt2spk={utt: utt.split("-")[0] for utt in waves})
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Three recordings, their uncompressed features by two jobs, and their VAD."""
    folder = make_recipe(tmp_path_factory.mktemp("recipe"), {utt: GOLDEN / name for utt, name in WAVES.items()})
    done = run(folder, "steps/make_feats.sh", "--nj", 2, "--compress", "false", "data/x")
    assert done.returncode == 0, done.stderr
    done = run(folder, "steps/compute_vad.sh", "--nj", 1, "data/x")
    assert done.returncode == 0, done.stderr
    return folder


def test_kaldis_own_reader_finds_kaldis_values(recipe):
    feats = kaldiio.load_scp(str(recipe / "data/x/feats.scp"))
    assert list(feats) == list(WAVES)
    for key, found in (("fbank80/spk3-u3", feats["spk3-u3"]), ("fbank80_every5/spk2-u2", feats["spk2-u2"][::5])):
        difference = found - KALDI[key]
        assert np.sqrt(np.mean(difference ** 2)) < 1e-4 and np.abs(difference).max() < 0.02
    assert table.read(recipe / "data/x/utt2num_frames") == {utt: str(len(feats[utt])) for utt in WAVES}
    assert table.read(recipe / "data/x/utt2num_frames") == {"spk2-u2": "664", "spk3-u3": "135", "spk4-u4": "1"}
    assert table.read(recipe / "data/x/utt2dur") == {"spk2-u2": "6.6550", "spk3-u3": "1.3699", "spk4-u4": "0.0250"}
    datadir.validate(recipe / "data/x", need=("wav.scp", "feats.scp", "vad.scp", "utt2num_frames", "utt2dur"))


def test_vad_on_disk_is_kaldis(recipe):
    decisions = kaldiio.load_scp(str(recipe / "data/x/vad.scp"))
    for utt in ("spk2-u2", "spk3-u3"):
        np.testing.assert_array_equal(decisions[utt], KALDI[f"vad_v2/{utt}"])


def contents(folder):
    return {str(path.relative_to(folder)): (path.is_file() and path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_the_data_are_only_read_where_another_folder_is_named(recipe):
    """--work becomes a copy of the tables and gets both results; what it is the copy of cannot be mistaken."""
    datadir.write(recipe / "data/plain", wav={utt: str(GOLDEN / name) for utt, name in WAVES.items()},
                  utt2spk={utt: utt.split("-")[0] for utt in WAVES})
    before = contents(recipe / "data/plain")
    steps = [("steps/make_feats.sh", "--nj", 2, "--compress", "false"), ("steps/compute_vad.sh", "--nj", 1)]
    for words in steps:
        done = run(recipe, *words, "--work", "work/plain", "data/plain")
        assert done.returncode == 0, done.stderr
    assert contents(recipe / "data/plain") == before
    feats, expected = (kaldiio.load_scp(str(recipe / folder / "feats.scp")) for folder in ("work/plain", "data/x"))
    assert list(feats) == list(expected) and all((feats[utt] == expected[utt]).all() for utt in feats)
    assert table.read(recipe / "work/plain/utt2spk") == table.read(recipe / "data/x/utt2spk")
    datadir.validate(recipe / "work/plain", need=("wav.scp", "feats.scp", "vad.scp", "utt2num_frames", "utt2dur"))
    made = contents(recipe / "work/plain")
    for words in steps:
        assert "is up to date, skipped" in run(recipe, *words, "--work", "work/plain", "data/plain").stdout
    assert {name: found for name, found in contents(recipe / "work/plain").items() if not name.endswith(".busy")} == {
        name: found for name, found in made.items() if not name.endswith(".busy")}
    for other in ("data/x", "work/plain"):   # another data directory, and the copy of another one
        done = run(recipe, *steps[1], "--work", other, "data/plain" if other == "data/x" else "data/x")
        assert done.returncode == 1 and f"{other} is no copy of data/" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("steps/make_feats.sh",), ("steps/compute_vad.sh",), ("utils/split_data.sh", "data/closed", 2)])
def test_a_directory_that_cannot_be_written_is_named_with_the_way_out(recipe, words):
    datadir.write(recipe / "data/closed", wav={utt: str(GOLDEN / name) for utt, name in WAVES.items()},
                  utt2spk={utt: utt.split("-")[0] for utt in WAVES})
    spaces = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    closed = "mount --bind data/closed data/closed && mount -o remount,ro,bind data/closed"
    if run(recipe, *spaces, "bash", "-c", closed).returncode:
        pytest.skip("nothing can be mounted here")
    done = run(recipe, *spaces, "bash", "-c", f'{closed}; exec "$@"', "_", *(words if len(words) > 1 else (*words, "data/closed")))
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "data/closed cannot be written; " in done.stderr and "--work DIR" in done.stderr


@pytest.mark.parametrize("cmn", ["none", "utterance", "sliding"])
def test_training_computes_the_same_features(recipe, cmn):
    """What the encoder reads from audio, in training without noise and at extraction, is what it would read from disk."""
    front = FrontEnd(load(FeatureOptions, recipe / "conf/fbank.yaml"), CmvnOptions(cmn=cmn))
    stored = {utt: torch.from_numpy(ark.load(spec)) for utt, spec in table.read(recipe / "data/x/feats.scp").items()}
    for utt, feats in stored.items():
        wave, expected = torch.from_numpy(audio.read(str(GOLDEN / WAVES[utt]))[0]), front({"feats": feats[None, None]})[0]
        torch.testing.assert_close(front.whole(wave), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(front({"wave": wave[None, None]})[0], expected, rtol=0, atol=1e-5)
    crops = torch.from_numpy(audio.read(str(GOLDEN / WAVES["spk2-u2"]))[0])[:2 * 3 * 16000].view(2, 3, 16000)
    first = FrontEnd(load(FeatureOptions, recipe / "conf/fbank.yaml"), CmvnOptions(cmn="none"))({"wave": crops})[0, 0]
    torch.testing.assert_close(first, stored["spk2-u2"][:98], rtol=0, atol=1e-5)


def test_a_step_runs_again_only_when_something_changed(tmp_path):
    recipe = make_recipe(tmp_path, {"spk4-u4": GOLDEN / "edge-400.wav"})
    os.rename(recipe / "data/x", recipe / "data/R&D")   # bash 5.2 knows & in replacements
    (recipe / "data/RD").mkdir()
    (recipe / "data/RD/utt2dur").write_text("another's\n")
    step = ["steps/make_feats.sh", "--nj", 1, "--conf", "conf/fbank_jhu.yaml", "data/R&D"]

    def columns():
        done = run(recipe, *step)
        assert done.returncode == 0, done.stderr
        return "skipped" in done.stdout, kaldiio.load_scp(str(recipe / "data/R&D/feats.scp"))["spk4-u4"].shape

    assert columns() == (False, (3, 80))
    assert columns() == (True, (3, 80))
    base = recipe / "conf/fbank.yaml"   # of fbank_jhu.yaml
    base.write_text(base.read_text().replace("use_energy: false", "use_energy: true"))
    assert columns() == (False, (3, 81))
    with (recipe / "conf/fbank_jhu.yaml").open("a") as file:
        file.write("num_mel_bins: 24\n")
    assert columns() == (False, (3, 25))
    assert columns() == (True, (3, 25))
    assert (recipe / "data/RD/utt2dur").read_text() == "another's\n"


def test_compressed_features_are_close_and_small(tmp_path):
    recipe = make_recipe(tmp_path, {"spk3-u3": GOLDEN / "spk3-u3.wav"})
    assert run(recipe, "steps/make_feats.sh", "data/x", "logs", "arks").returncode == 0
    assert (recipe / "logs/make_feats.1.log").is_file()
    assert sum(path.stat().st_size for path in (recipe / "arks").glob("*.ark")) < 135 * 80 * 1.1
    found = ark.load(table.read(recipe / "data/x/feats.scp")["spk3-u3"])
    assert np.abs(found - KALDI["fbank80/spk3-u3"]).mean() < 0.05


def cut_wav(path):
    path.write_bytes((GOLDEN / "spk3-u3.wav").read_bytes()[:30000])
    return path


def other_rate(path):
    soundfile.write(path, np.zeros(8000, np.int16), 8000)
    return path


BAD = {
    "missing": (lambda folder: folder / "gone.wav", "gone.wav"),
    "cut": (lambda folder: cut_wav(folder / "cut.wav"), "cut.wav is truncated"),
    "pipe": (lambda folder: f"cat {GOLDEN / 'spk3-u3.wav'} |", "--allow-pipes true"),
    "rate": (lambda folder: other_rate(folder / "slow.wav"), "slow.wav has 8000"),
    "short": (lambda folder: GOLDEN / "edge-399.wav", "399 samples"),
}


@pytest.mark.parametrize("step, kind", [*(("make_feats", kind) for kind in BAD), ("compute_vad", "cut")])
def test_a_bad_recording_stops_the_step_and_is_named(tmp_path, step, kind):
    make, message = BAD[kind]
    waves = {"spk3-u3": GOLDEN / "spk3-u3.wav", "spk5-bad": make(tmp_path), "spk6-u6": GOLDEN / "edge-400.wav"}
    recipe = make_recipe(tmp_path, waves)
    done = run(recipe, f"steps/{step}.sh", "--nj", 1, "data/x")
    assert done.returncode == 1
    sentences = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(sentences) == 1 and "spk5-bad" in sentences[0] and message in sentences[0], done.stderr
    assert "Traceback" not in done.stderr
    left = [path.name for path in recipe.rglob("*") if path.is_file()]
    assert not [name for name in left if name.startswith(("feats", "vad_", "vad.scp"))], left
    assert not {"utt2num_frames", "utt2dur", ".done"} & set(left)


def test_a_channel_is_chosen_and_the_first_is_told(tmp_path):
    waves = np.random.default_rng(3).integers(-5000, 5000, (8000, 2)).astype(np.int16)
    soundfile.write(tmp_path / "both.wav", waves, 16000)
    recipe = make_recipe(tmp_path, {"a-both": tmp_path / "both.wav"})
    for chosen, words, told in ((0, (), True), (1, ("--channel", "1"), False)):
        done = run(recipe, "steps/make_feats.sh", "--nj", 1, "--compress", "false", *words, "data/x")
        assert done.returncode == 0 and ("both.wav has 2 channels, and the first is taken" in done.stdout) == told, done.stderr
        expected = Extractor(load(FeatureOptions, recipe / "conf/fbank.yaml"))(torch.from_numpy(waves[None, :, chosen].copy()))[0].numpy()
        np.testing.assert_allclose(kaldiio.load_scp(str(recipe / "data/x/feats.scp"))["a-both"], expected, rtol=1e-5)
