"""The synthetic languages: the layout of VoxLingua107, and that a language has its own sounds, syllables and rhythm."""
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.corpora import voxlingua107

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tools" / "make_synth_corpus.py"
sys.path.insert(0, str(ROOT / "tools"))

from synth import language, phones  # noqa: E402

SMALL = ("--only", "voxlingua107", "--languages", "2", "--videos", "4", "--utts", "2", "--seconds", "0.5", "0.7")


def make(out, *more):
    return subprocess.run([sys.executable, PROGRAM, *SMALL, *more, out], capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_layout_is_the_originals_and_depends_on_the_seed_alone(tmp_path):
    assert make(tmp_path / "a", "--nj", "2").returncode == 0 and make(tmp_path / "b", "--nj", "1").returncode == 0
    made = [{str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / folder).rglob("*.wav")}
            for folder in ((tmp_path / "a"), (tmp_path / "b"))]
    assert made[0] == made[1] and len(set(made[0].values())) == 2 * (4 + 1) * 2
    own, dev = (voxlingua107.scan(str(tmp_path / "a/VoxLingua107"), part) for part in voxlingua107.PARTS)
    assert {code: (len(own[code]), len(dev[code])) for code in own} == {"en": (8, 2), "es": (8, 2)}
    assert voxlingua107.without_videos(own, dev) == own and len({s.spk for one in own.values() for s in one}) == 8
    done = make(tmp_path / "c", "--languages", "13")
    assert done.returncode == 1 and "--languages is 13" in done.stderr and done.stderr.count("\n") == 1


def test_a_language_keeps_to_its_sounds():
    drawn = [language.draw(code, 0) for code in language.CODES]
    assert drawn == [language.draw(code, 0) for code in language.CODES] and drawn[0] != language.draw("en", 1)
    assert len({(one.vowels, one.sonorants, one.fricatives, one.bursts) for one in drawn}) == len(drawn)
    for one in drawn:
        numbers, _ = phones.sequence(60.0, 1.0, np.random.default_rng(0), one)
        said = {phones.PHONES[i] for i in numbers}
        allowed = {*one.vowels, *one.sonorants, *one.fricatives, *one.bursts, phones.CLOSURE, phones.MURMUR, phones.PAUSE}
        assert said <= allowed and set(one.vowels) <= said


def test_rhythm_and_syllables_are_the_languages():
    def of(**changes):
        numbers, frames = phones.sequence(120.0, 1.0, np.random.default_rng(3), phones.Language(**changes))
        vowel = phones.IS_VOWEL[numbers]
        return float(frames[vowel].mean()), float(vowel.mean())

    length, share = of()
    assert of(vowel=1.5)[0] == pytest.approx(1.5 * length, rel=0.1)
    assert of(coda=0.0)[1] > share > of(coda=0.8)[1]


def test_no_language_is_what_it_always_was():
    numbers, frames = phones.sequence(5.0, 1.0, np.random.default_rng(1))
    assert (int(numbers.sum()), int(frames.sum())) == (670, 627)
