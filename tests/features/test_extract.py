"""What the jobs of make_feats.sh and compute_vad.sh share: merging their tables, and the steps' ways with archives and confs."""
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


def test_the_tables_of_all_jobs_become_those_of_the_directory(jobs):
    scps = [write(jobs, part, num_mel_bins=20) for part in "12"]
    assert extract.merge(jobs / "data", "feats.scp", scps) == 3
    tables = datadir.validate(jobs / "data", need=("wav.scp", "feats.scp", "utt2num_frames", "utt2dur"))
    assert tables["utt2num_frames"] == {"s0-u": "8", "s1-u": "18", "s2-u": "28"}
    assert tables["utt2dur"] == {"s0-u": "0.1000", "s1-u": "0.2000", "s2-u": "0.3000"}
    assert [ark.load(spec).shape for spec in tables["feats.scp"].values()] == [(8, 20), (18, 20), (28, 20)]
    assert not list(jobs.glob("*.utt2*"))


def test_vad_counts_frames_only_where_there_are_no_features(jobs):
    scps = [write(jobs, part, lambda feats: feats[:, 0], snip_edges=False) for part in "12"]
    extract.merge(jobs / "data", "vad.scp", scps)
    assert table.read(jobs / "data/utt2num_frames")["s0-u"] == "10"
    scps = [write(jobs, part) for part in "12"]
    extract.merge(jobs / "data", "feats.scp", scps)
    scps = [write(jobs, part, lambda feats: feats[:, 0], snip_edges=False) for part in "12"]
    extract.merge(jobs / "data", "vad.scp", scps)
    assert table.read(jobs / "data/utt2num_frames")["s0-u"] == "8"


def test_a_missing_utterance_or_a_cut_archive_stops_the_merge(jobs):
    scps = [write(jobs, part) for part in "12"]
    before = sorted(os.listdir(jobs / "data"))
    with pytest.raises(InputError, match=r"2 of 3 utterances came out for .*feats\.scp \(s2-u is missing\)"):
        extract.merge(jobs / "data", "feats.scp", scps[:1])
    whole = (jobs / "f.2.ark").read_bytes()
    (jobs / "f.2.ark").write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"f\.2\.ark:5 is truncated"):
        extract.merge(jobs / "data", "feats.scp", scps)
    assert sorted(os.listdir(jobs / "data")) == before


def test_a_failed_job_leaves_nothing(jobs):
    with pytest.raises(InputError, match=r"s0-u: .* has 16000 Hz and the features are for 8000 Hz"):
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
