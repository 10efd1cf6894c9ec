"""A second survey reads only what is new or has changed."""
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sslspk.io import survey, surveyed
from sslspk.io.survey import Options, Source

NOISE = np.random.default_rng(1).integers(-9000, 9000, 16000, np.int16)


@pytest.fixture
def looked(monkeypatch):
    """Ids of the recordings that were examined."""
    seen, plain = [], survey.examine

    def examine(source, opts):
        seen.append(source.utt)
        return plain(source, opts)
    monkeypatch.setattr(survey, "examine", examine)
    return seen


@pytest.fixture
def corpus(tmp_path):
    """(sources, options, memory): a, in place; b, of another rate; c and d, parts of one file; e, silent."""
    for name, rate in (("a", 16000), ("b", 8000), ("cd", 16000)):
        soundfile.write(tmp_path / f"{name}.wav", NOISE, rate)
    soundfile.write(tmp_path / "e.wav", NOISE * 0, 16000)
    files = (("a", "a", None), ("b", "b", None), ("c", "cd", (0, 500)), ("d", "cd", (500, 1000)), ("e", "e", None))
    sources = [Source(utt, "s", str(tmp_path / f"{name}.wav"), utt, span) for utt, name, span in files]
    return sources, Options(str(tmp_path / "copies"), "wav", True, 1), str(tmp_path / "data/.survey")


def test_what_has_not_changed_is_not_read_again(corpus, looked):
    first = surveyed.survey_changed(*corpus)
    assert looked == ["a", "b", "c", "d", "e"] and [bool(one.reason) for one in first] == [False] * 4 + [True]
    looked.clear()
    again = surveyed.survey_changed(*corpus)
    assert looked == ["e"], "a bad one, which may be mended by other means"
    assert again == [first[0], *(one._replace(how="kept") for one in first[1:4]), first[4]]
    assert survey.survey(corpus[0], corpus[1]) == again, "as if all had been read"


@pytest.mark.parametrize(("change", "read"), [("time", "a"), ("content", "a"), ("copy gone", "b"), ("copy changed", "c"), ("new", "f")])
def test_what_has_changed_is_read(corpus, looked, change, read):
    sources, opts, memory = corpus
    surveyed.survey_changed(sources, opts, memory)
    looked.clear()
    if change == "time":
        os.utime(sources[0].path, (1, 1))
    elif change == "content":
        soundfile.write(sources[0].path, NOISE[:8000], 16000)
    elif change == "copy gone":
        os.unlink(opts.copy(sources[1]))
    elif change == "copy changed":
        os.truncate(opts.copy(sources[2]), 100)
    else:
        sources = [*sources, Source("f", "s", sources[0].path, "f", (0, 250))]
    found = surveyed.survey_changed(sources, opts, memory)
    assert looked == sorted([read, "e"])
    assert [one._replace(how="") for one in found] == [one._replace(how="") for one in survey.survey(sources, opts)]


@pytest.mark.parametrize("damage", ["", "[]\n", "{}\n[1, 2]\n", "no json", "half"])
def test_a_damaged_memory_is_not_used(corpus, looked, damage):
    sources, opts, memory = corpus
    first = surveyed.survey_changed(sources, opts, memory)
    file = Path(memory)
    whole = file.read_text()
    file.write_text(damage if damage != "half" else whole[:len(whole) // 2])
    looked.clear()
    assert [one.samples for one in surveyed.survey_changed(sources, opts, memory)] == [one.samples for one in first]
    assert looked == ["a", "b", "c", "d", "e"] and file.read_text() == whole


@pytest.mark.parametrize("more", [{"full": False}, {"channel": "mix"}, {"form": "flac"}])
def test_other_options_read_everything(corpus, looked, more):
    sources, opts, memory = corpus
    surveyed.survey_changed(sources, opts, memory)
    looked.clear()
    surveyed.survey_changed(sources, opts._replace(**more), memory)
    assert looked == ["a", "b", "c", "d", "e"]
