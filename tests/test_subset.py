"""Random parts of a data directory, for studies of how much data a system needs: exact, nested, refused where impossible."""
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from sslspk.io import datadir, table

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def data(tmp_path):
    """A data directory of 3 speakers with 4, 2 and 3 utterances."""
    utts = {f"s{spk}-u{n}": f"s{spk}" for spk, count in ((1, 4), (2, 2), (3, 3)) for n in range(count)}
    datadir.write(str(tmp_path / "data"), wav={utt: f"/wav/{utt}.wav" for utt in utts}, utt2spk=utts,
                  spk2gender={"s1": "f", "s2": "m", "s3": "f"})
    return tmp_path / "data"


def subset(*words: object) -> subprocess.CompletedProcess:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # python3 is the Python of the tests
    return subprocess.run([str(word) for word in (ROOT / "utils/subset_data_dir.sh", *words)], text=True, capture_output=True,
                          timeout=60, env={**os.environ, "PATH": path})


def refused(result: subprocess.CompletedProcess, *parts: str) -> None:
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    assert all(part in result.stderr for part in parts), result.stderr


@pytest.mark.parametrize("seed", ["1", "2"])
def test_random_subsets_are_exact_and_nested(data, tmp_path, seed):
    """Speakers s1, s2, s3 have 4, 2, 3 utterances; utterance i of the nine lasts i + 1 minutes, 0.75 hours in all."""
    every = list(table.read(data / "wav.scp"))
    minutes = {utt: i + 1 for i, utt in enumerate(every)}
    (data / "utt2dur").write_text("".join(f"{utt} {60 * n}\n" for utt, n in minutes.items()))
    found = {}
    for option, value in (("--num-speakers", 1), ("--num-speakers", 2), ("--hours", 0.1), ("--hours", 0.3), ("--hours", 0.75)):
        out = tmp_path / f"{option}{value}"
        assert subset(option, value, "--seed", seed, data, out).returncode == 0
        datadir.validate(str(out))
        found[option, value] = set(table.read(out / "wav.scp"))
    for n in (1, 2):
        speakers = {utt.split("-")[0] for utt in found["--num-speakers", n]}
        assert len(speakers) == n and found["--num-speakers", n] == {utt for utt in every if utt.split("-")[0] in speakers}
    for n in (2, 5, 9):
        assert subset("--random", "--seed", seed, data, n, tmp_path / f"random{n}").returncode == 0
        found["--random", n] = set(table.read(tmp_path / f"random{n}/wav.scp"))
    assert found["--random", 2] < found["--random", 5] < found["--random", 9] == set(every)
    assert [len(found["--random", n]) for n in (2, 5)] == [2, 5]
    assert found["--num-speakers", 1] < found["--num-speakers", 2]
    assert found["--hours", 0.1] < found["--hours", 0.3] < found["--hours", 0.75] == set(every)
    for hours in (0.1, 0.3):
        total = sum(minutes[utt] for utt in found["--hours", hours])
        assert 60 * hours <= total < 60 * hours + 9, "the last one taken is the one that reached it"


def test_hours_from_samples_or_from_nothing(data, tmp_path):
    refused(subset("--hours", 1, data, tmp_path / "out"), "utt2dur", "missing")
    utts = list(table.read(data / "wav.scp"))
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    (data / "wav.scp").write_text("".join(f"{utt} {tmp_path}/a.wav\n" for utt in utts))
    (data / "utt2num_samples").write_text("".join(f"{utt} 8000\n" for utt in utts))
    assert subset("--hours", 4 / 3600, data, tmp_path / "out").returncode == 0
    assert len(table.read(tmp_path / "out/wav.scp")) == 4


def test_hours_from_segments(data, tmp_path):
    utts = list(table.read(data / "wav.scp"))
    (data / "segments").write_text("".join(f"{utt} r 0.5 {i + 1.5}\n" for i, utt in enumerate(utts)))
    (data / "wav.scp").write_text("r /wav/r.wav\n")
    assert subset("--hours", 45 / 3600, data, tmp_path / "all").returncode == 0   # 1 + 2 + ... + 9 seconds
    assert list(table.read(tmp_path / "all/segments")) == utts
    refused(subset("--hours", 45.1 / 3600, data, tmp_path / "out"), "lasts 0.0125 hours")
    (data / "segments").write_text("".join(f"{utt} r 0.5 -1\n" for utt in utts))
    refused(subset("--hours", 0.001, data, tmp_path / "out"), "utt2dur", "missing")


@pytest.mark.parametrize("value", ["x", "nan", "1_0", "-1", "inf"])
def test_hours_refuse_what_is_no_length(data, tmp_path, value):
    utts = list(table.read(data / "wav.scp"))
    (data / "utt2dur").write_text("".join(f"{utt} {value if utt == 's1-u1' else 1}\n" for utt in utts))
    refused(subset("--hours", 0.001, data, tmp_path / "out"), "utt2dur:2", "s1-u1", value)


@pytest.mark.parametrize("words, parts", [
    (("--num-speakers", 4), ("3 speakers", "4")),
    (("--num-speakers", 0), ("3 speakers", "0")),
    (("--hours", 3), ("hours", "3", "0.0025")),
])
def test_random_subsets_refuse_what_is_not_there(data, tmp_path, words, parts):
    (data / "utt2dur").write_text("".join(f"{utt} 1\n" for utt in list(table.read(data / "wav.scp"))))
    refused(subset(*words, data, tmp_path / "out"), *parts)
    assert subset("--hours", "nan", data, tmp_path / "out").returncode == 2 and not (tmp_path / "out").exists()
