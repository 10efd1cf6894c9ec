"""local/prepare_voxlingua107.py on a tiny corpus, run as a user runs it: parts, draws, and what is refused."""
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.corpora import voxlingua107
from sslspk.io import datadir
from sslspk.io.survey import Source

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PARTS = ("train", "valid", "test", "dev")


def prepare(*args):
    return subprocess.run([sys.executable, str(ROOT / "local/prepare_voxlingua107.py"), "--nj", "1", *map(str, args)], env=ENV,
                          capture_output=True, text=True, check=False)


def good(*args):
    done = prepare(*args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def put(path, seed=0, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).integers(-9000, 9000, rate // 10, np.int16), rate, subtype="PCM_16")


def clip(folder, video, number):
    return folder / f"{video}__U__S{number}---{7.5 * number:08.3f}-{7.5 * number + 5:08.3f}.wav"


@pytest.fixture
def corpus(tmp_path):
    """Three languages of ten videos of two clips, and two videos of two of them in dev."""
    root = tmp_path / "VoxLingua107"
    for code in ("en", "haw", "zh"):
        for video in range(10):
            for number in (0, 12):
                put(clip(root / code, f"-{code}_{video}-abc", number), 100 * video + number)
    for code in ("en", "zh"):
        for video in "AB":
            put(clip(root / "dev" / code, f"dev{code}__U__{video}", 3), ord(video))
    (root / "dev" / ".hidden").mkdir()
    return root


def read(data, part):
    return datadir.read(str(data / f"voxlingua107_{part}"))


def test_the_original_layout(corpus, tmp_path):
    said = good(corpus, tmp_path / "data")
    found = {part: read(tmp_path / "data", part) for part in PARTS}
    assert {part: len(tables["utt2spk"]) for part, tables in found.items()} == {"train": 42, "valid": 12, "test": 6, "dev": 4}
    assert set(found["train"]) == {"wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2num_samples", "utt2lang"}
    for part in ("train", "valid", "test"):
        counts = Counter(found[part]["utt2lang"].values())
        assert set(counts) == {"en", "haw", "zh"} and len(set(counts.values())) == 1
    videos = [set(found[part]["utt2spk"].values()) for part in PARTS]
    assert sum(map(len, videos)) == len(set.union(*videos)) == 34
    utt = "haw--haw_7-abc__U__S12---0090.000-0095.000"
    mine = next(tables for tables in found.values() if utt in tables["utt2spk"])
    assert (mine["utt2spk"][utt], mine["utt2lang"][utt]) == ("haw--haw_7-abc", "haw")
    assert mine["wav.scp"][utt] == str(clip(corpus / "haw", "-haw_7-abc", 12))
    assert found["dev"]["utt2spk"]["en-deven__U__A__U__S3---0022.500-0027.500"] == "en-deven__U__A"   # the last mark tells
    assert "42 utterances, 21 videos" in said and "train: 3 languages, 14 to 14 utterances of each; the speakers are not known" in said
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    good(corpus, tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == times


def test_draws_and_parts_are_options(corpus, tmp_path):
    good("--utts-per-language", "6", "--seed", "3", "--languages", "haw en", "--test-share", "0", corpus, tmp_path / "data")
    found = {part: read(tmp_path / "data", part) for part in ("train", "valid", "dev")}
    assert Counter(found["train"]["utt2lang"].values()) + Counter(found["valid"]["utt2lang"].values()) == {"haw": 6, "en": 6}
    assert set(found["dev"]["utt2lang"].values()) == {"en"} and not (tmp_path / "data/voxlingua107_test").exists()
    shutil.rmtree(corpus / "dev")
    good("--parts", "languages", "--utts-per-language", "0", corpus, tmp_path / "all")
    assert len(read(tmp_path / "all", "train")["utt2spk"]) == 42 and not (tmp_path / "all/voxlingua107_dev").exists()


def test_a_language_is_left_out(corpus, tmp_path):
    """The remedy for one of a single clip, in the evaluation part as well."""
    only_one_clip(corpus)
    good("--without", "haw", corpus, tmp_path / "data")
    assert {part: set(read(tmp_path / "data", part)["utt2lang"].values()) for part in PARTS} == {part: {"en", "zh"} for part in PARTS}


def test_a_video_of_dev_is_in_no_other_part(corpus, tmp_path):
    put(clip(corpus / "dev/zh", "-en_4-abc", 5))   # wherever it is said to be
    assert "2 recordings of the languages' folders are of videos that dev has" in good(corpus, tmp_path / "data")
    assert not any("-en_4-abc" in spk for part in ("train", "valid", "test") for spk in read(tmp_path / "data", part)["utt2spk"].values())


def sources(videos):
    """Clips of one language; videos: how many each has."""
    return [Source(f"xx-{v:02d}__U__S{i}", f"xx-{v:02d}", f"{v}/{i}", "") for v, count in enumerate(videos) for i in range(count)]


@pytest.mark.parametrize("videos", [[1, 1, 1], [40, 1, 1], [1, 2, 50, 2, 30], [3] * 40, [100, *[1] * 20]])
@pytest.mark.parametrize("seed", range(5))
def test_parts_are_of_whole_videos_and_none_is_empty(videos, seed):
    own = sources(videos)
    parts = voxlingua107.split({"xx": own}, 0.2, 0.1, seed)
    assert sorted(source for part in parts.values() for source in part) == sorted(own)
    spoken = [{source.spk for source in part} for part in parts.values()]
    assert all(spoken) and sum(map(len, spoken)) == len(videos)
    if len(set(videos)) == 1 and len(videos) > 3:
        assert [len(parts[name]) / len(own) for name in ("train", "valid", "test")] == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    assert parts == voxlingua107.split({"xx": own}, 0.2, 0.1, seed)


def test_a_larger_draw_holds_a_smaller_one():
    own = {"xx": sources([2] * 30)}
    draws = [set(voxlingua107.draw(own, count, 5)["xx"]) for count in (7, 20, 60, 0)]
    assert [len(one) for one in draws] == [7, 20, 60, 60]
    assert draws[0] < draws[1] < draws[2] == draws[3]
    assert draws[0] != set(voxlingua107.draw(own, 7, 6)["xx"])


def only_one_clip(root):
    for path in (root / "haw").iterdir():
        if path.name != clip(root, "-haw_0-abc", 0).name:
            path.unlink()


@pytest.mark.parametrize(("damage", "words"), [
    (shutil.rmtree, ("voxlingua107 was looked for in", "is not a folder", "bark.phon.ioc.ee")),
    (lambda root: shutil.rmtree(root / "dev"), ("/dev, which is not a folder", "dev.zip", "--parts languages")),
    (lambda root: shutil.rmtree(root / "zh"), ("dev has the language zh", "zh.zip", "--without zh")),
    (lambda root: [shutil.rmtree(root / code) for code in ("en", "haw", "zh")] + [shutil.rmtree(root / "dev")], ("LANGUAGE/*.wav",)),
    (only_one_clip, ("language haw has 1 recording of 1 video", "--without haw")),
    (lambda root: [path.unlink() for path in (root / "haw").iterdir()], ("haw holds no recording", "haw.zip")),
    (lambda root: (root / "haw").rename(root / "Hawaiian"), ("'Hawaiian'", "no code of a language")),
    (lambda root: (root / "dev/en").rename(root / "dev/en old"), ("'en old'", "no code of a language")),
    (lambda root: put(root / "haw/talk.wav"), ("haw/talk.wav", "VIDEO__U__SN", "rename")),
    (lambda root: [path.write_bytes(b"") for path in (root / "haw").iterdir()], ("bad recordings:", "bad_files.txt")),
], ids=["no corpus", "no dev", "no language of dev", "nothing", "one clip", "empty", "strange folder", "strange folder in dev",
        "strange name", "bad recordings"])
def test_what_is_missing_is_named(corpus, tmp_path, damage, words):
    damage(corpus)
    done = prepare(*(["--parts", "languages"] if words == ("LANGUAGE/*.wav",) else []), corpus, tmp_path / "data")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    if "bad_files.txt" not in done.stderr:   # that one names three files
        assert len(done.stderr.partition("error: ")[2].replace(str(corpus.parent), "/corpora")) <= 160, done.stderr
    assert not list((tmp_path / "data").glob("*/utt2spk"))


@pytest.mark.parametrize(("options", "words"), [
    (("--parts", "train"), ("'train'", "languages, dev")),
    (("--languages", "en fi"), ("--languages names 'fi'", "no such folder")),
    (("--without", "fi"), ("--without names 'fi'", "no such folder")),
    (("--languages", "en", "--without", "en"), ("--languages and --without leave no language",)),
    (("--valid-share", "0.7", "--test-share", "0.3"), ("leave something to train on",)),
    (("--valid-share", "-0.1"), ("--valid-share -0.1",)),
    (("--utts-per-language", "2"), ("the parts train, valid, test", "--without")),
])
def test_options_that_make_no_sense(corpus, tmp_path, options, words):
    done = prepare(*options, corpus, tmp_path / "data")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr
