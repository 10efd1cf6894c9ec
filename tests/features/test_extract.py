"""What the jobs of make_feats.sh and compute_vad.sh share: features of a recording, and the steps' ways with tables and archives."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.features import extract
from sslspk.features.config import FeatureOptions
from sslspk.features.fbank import Extractor
from sslspk.io import ark, audio, datadir, table
from sslspk.io.clips import Clip

ROOT = Path(__file__).resolve().parents[2]


def tone(seconds, rate=16000):
    return (3000 * np.sin(np.arange(round(seconds * rate)) / 7)).astype(np.int16)


@pytest.fixture
def jobs(tmp_path):
    """data/ of three packed recordings, and data/split/{1,2} of two and one of them."""
    with audio.PackWriter(tmp_path / "wav.ark", tmp_path / "pack.scp") as pack:
        for number in range(3):
            pack.write(f"s{number}-u", tone(0.1 * (number + 1)), 16000)
    wav = table.read(tmp_path / "pack.scp")
    datadir.write(tmp_path / "data", wav=wav, utt2spk={utt: utt[:2] for utt in wav})
    for part, utts in (("1", list(wav)[:2]), ("2", list(wav)[2:])):
        datadir.write(tmp_path / part, wav={utt: wav[utt] for utt in utts}, utt2spk={utt: utt[:2] for utt in utts})
    return tmp_path


def write(folder, part, finish=lambda feats: feats, **changes):
    extractor = Extractor(check(FeatureOptions, changes, "the test"))
    extract.write(folder / part, extractor, folder / f"f.{part}.ark", folder / f"f.{part}.scp", finish)
    return folder / f"f.{part}.scp"


def test_a_job_writes_tables_beside_its_archive(jobs):
    scp = write(jobs, "1", num_mel_bins=20)
    assert [ark.load(spec).shape for spec in table.read(scp).values()] == [(8, 20), (18, 20)]
    assert table.read(f"{scp}.utt2num_frames") == {"s0-u": "8", "s1-u": "18"}
    assert table.read(f"{scp}.utt2dur") == {"s0-u": "0.1000", "s1-u": "0.2000"}


def test_a_recording_is_named_when_it_cannot_be_used(jobs):
    spec = table.read(jobs / "data/wav.scp")["s0-u"]
    extractor = Extractor(FeatureOptions())
    feats, seconds = extract.recording(lambda wave: extractor(wave[None]), 16000, "s0-u", Clip(spec))
    assert feats.shape == (1, 8, 80) and seconds == 0.1
    for compute, rate, where, message in (
            (lambda wave: extractor(wave[None]), 8000, spec, r"s0-u: .* has 16000 Hz where 8000 Hz .*pack_audio\.sh --rate 8000"),
            (lambda wave: extractor(wave[None, :399]), 16000, spec, r"s0-u: .* less than one frame; leave it out"),
            (extractor, 16000, f"{jobs}/gone.wav", r"s0-u: .*gone\.wav"), (extractor, 16000, "cat x |", r"s0-u: .*--allow-pipes")):
        with pytest.raises(InputError, match=message):
            extract.recording(compute, rate, "s0-u", Clip(where))


def test_a_failed_job_leaves_nothing(jobs):
    with pytest.raises(InputError, match=r"s0-u: .* has 16000 Hz where 8000 Hz are needed"):
        write(jobs, "1", sample_frequency=8000)
    assert not list(jobs.glob("f.*"))


def step(folder, name, *words):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    return subprocess.run([f"steps/{name}.sh", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def recipe(jobs):
    for name in ("steps", "utils"):
        (jobs / name).symlink_to(ROOT / name)
    (jobs / "conf").symlink_to(ROOT / "egs/voxceleb/conf")
    return jobs


def test_the_tables_of_all_jobs_become_those_of_the_directory(recipe):
    done = step(recipe, "make_feats", "--nj", "2", "data")
    assert done.returncode == 0 and done.stdout.startswith("steps/make_feats.sh --nj 2 data\n"), done.stderr
    tables = datadir.validate(recipe / "data", need=("wav.scp", "feats.scp", "utt2num_frames", "utt2dur"))
    assert tables["utt2num_frames"] == {"s0-u": "8", "s1-u": "18", "s2-u": "28"}
    assert tables["utt2dur"] == {"s0-u": "0.1000", "s1-u": "0.2000", "s2-u": "0.3000"}
    left = sorted(path.name for path in (recipe / "data/data").iterdir())
    assert left == [f"feats_data.{n}.{end}" for n in "12" for end in ("ark", "scp")]


def test_vad_counts_frames_only_where_there_are_no_features(recipe):
    assert step(recipe, "compute_vad", "--nj", "2", "data").returncode == 0
    assert table.read(recipe / "data/utt2num_frames") == {"s0-u": "10", "s1-u": "20", "s2-u": "30"}
    assert not list((recipe / "data/data").glob("*.utt2*"))
    assert step(recipe, "make_feats", "--nj", "2", "data").returncode == 0
    done = step(recipe, "compute_vad", "--nj", "1", "--set", "vad_energy_threshold=5", "data")
    assert done.returncode == 0 and "skipped" not in done.stdout
    assert table.read(recipe / "data/utt2num_frames")["s0-u"] == "8"
    assert not list((recipe / "data/data").glob("*.utt2*"))


def test_directories_may_share_an_archive_folder(recipe):
    """data and data.1: the archives of one are not taken for the other's, and neither step touches the other's."""
    datadir.write(recipe / "data.1", wav={"s2-u": table.read(recipe / "2/wav.scp")["s2-u"]}, utt2spk={"s2-u": "s2"})
    for folder in ("data.1", "data"):
        done = step(recipe, "make_feats", "--nj", "1", "--compress", "false", folder, "log", "arks")
        assert done.returncode == 0, done.stderr
    assert ark.load(table.read(recipe / "data.1/feats.scp")["s2-u"]).shape == (28, 80)
    assert "skipped" in step(recipe, "make_feats", "--nj", "1", "--compress", "false", "data.1", "log", "arks").stdout
    (recipe / "arks/feats_data.1.1.ark").unlink()  # a lost archive is noticed
    assert "skipped" not in step(recipe, "make_feats", "--nj", "1", "--compress", "false", "data.1", "log", "arks").stdout
    assert ark.load(table.read(recipe / "data.1/feats.scp")["s2-u"]).shape == (28, 80)


def test_a_wrong_conf_is_refused_before_anything_is_removed(recipe):
    (recipe / "data/feats.scp").write_text("".join(f"s{n}-u old.ark:{n}\n" for n in range(3)))
    for name, words, message in (
            ("make_feats", ["--set", "num_mel_bin=40"], "did you mean num_mel_bins"), ("make_feats", ["--conf", "no.yaml"], "no.yaml"),
            ("compute_vad", ["--feats-conf", "conf/fbank.yaml"], "first column of these features is no energy"),
            ("compute_vad", ["--set", "vad_frames_context=-1"], "vad_frames_context")):
        done = step(recipe, name, *words, "data")
        assert done.returncode == 1 and message in done.stderr, done.stderr
    assert (recipe / "data/feats.scp").is_file() and not (recipe / "data/log").exists()
