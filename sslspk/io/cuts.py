"""Makes data directories whose utterances are parts of another directory's, by `segments`: no audio is copied.

Tables of lengths and features are not copied, because they describe the whole utterances.
"""
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sslspk.errors import InputError, left_out
from sslspk.io import audio, clips, datadir, derive, segments, table
from sslspk.io.datadir import SPK2UTT, UTT2SPK, UTTERANCE, WAV, Tables
from sslspk.io.derive import Made

SHORTEST = 0.5   # seconds; shorter crops from an end are left out


class _Utterance(NamedTuple):
    """An utterance, its start in its recording in seconds, and its exact length, as samples and rate."""

    name: str
    recording: str
    start: float
    samples: int
    rate: int
    channel: int | None

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    def segment(self, start: float, end: float) -> str:
        """The value in `segments` of its part from `start` to `end`, in seconds from the utterance's start."""
        return f"{self.recording} {self.start + start:.10g} {self.start + end:.10g}" + ("" if self.channel is None else f" {self.channel}")


def first(folder: str, out: str, seconds: float) -> Made:
    """Write the first `seconds` of each utterance, under its own id; shorter ones are left out.

    Raises InputError as `clips.read` and `clips.places` do, or if nothing is left.
    """
    tables = datadir.read(folder)
    whole = list(_utterances(folder, tables))
    keep = [one.name for one in whole if one.samples >= round(seconds * one.rate)]
    if not keep:
        raise InputError(f"no utterance of {folder} lasts {seconds:g} s; give longer recordings, or fewer seconds.")
    kept = {**_kept(tables), segments.NAME: {one.name: one.segment(0, seconds) for one in whole}}
    notes = derive.write(folder, out, tables, kept, keep, datadir.label_source(folder))
    short = sorted({one.name for one in whole}.difference(keep))
    remedy = "use a smaller --first, or train on the whole utterances with data.short=repeat"
    return Made(len(keep), [*notes, *([left_out(len(short), len(whole), short[0], folder, seconds, remedy)] if short else [])])


def pieces(folder: str, out: str, seconds: float) -> Made:
    """Write utterances longer than `seconds` as pieces of equal length (UTT-001 ...), the others unchanged.

    Raises InputError as `clips.read` and `clips.places` do.
    """
    def cut(one: _Utterance) -> dict[str, str]:
        count = math.ceil(one.samples / (seconds * one.rate))
        if count <= 1:
            return {one.name: one.segment(0, one.seconds)}
        return {f"{one.name}-{i + 1:03d}": one.segment(i * one.seconds / count, (i + 1) * one.seconds / count) for i in range(count)}
    return _renamed(folder, out, cut, None)


def ends(folder: str, out: str, seconds: float) -> Made:
    """Write two crops of each utterance, UTT-a and UTT-b, with UTT as their "speaker": `seconds` from its beginning and from its end.

    An utterance shorter than twice `seconds` is halved; it is left out if a half is below 0.5 s. Raises InputError as `clips.read` and
    `clips.places` do, or if nothing is left.
    """
    def cut(one: _Utterance) -> dict[str, str]:
        length = min(seconds, one.seconds / 2)
        if length < SHORTEST:
            return {}
        return {f"{one.name}-a": one.segment(0, length), f"{one.name}-b": one.segment(one.seconds - length, one.seconds)}
    return _renamed(folder, out, cut, "recording")


WAYS = {"first": first, "pieces": pieces, "ends": ends}


def _utterances(folder: str, tables: Tables) -> Iterator[_Utterance]:
    own, cut = tables.get(segments.NAME), clips.read(folder)
    for (utt, clip), size in zip(cut.items(), clips.places(cut.values())[1].tolist(), strict=True):
        yield _Utterance(utt, utt if own is None else table.words(own[utt])[0], clip.start, size, audio.info(clip.spec)[1], clip.channel)


def _kept(tables: Tables) -> dict[str, dict[str, object]]:
    """The tables that are copied: none of features or lengths."""
    return {name: dict(content) for name, content in tables.items()
            if name == WAV or (not name.endswith(".scp") and not name.startswith(("utt2num_", "utt2dur")))}


def _renamed(folder: str, out: str, cut: Callable[[_Utterance], dict[str, str]], speakers: str | None) -> Made:
    """Write the parts of each utterance that `cut` returns, as id -> value in `segments`.

    speakers: None keeps the speakers; otherwise each part's speaker in utt2spk is its utterance, and this is the label source.
    """
    tables, lines, origin, short = datadir.read(folder), {}, {}, []
    whole = list(_utterances(folder, tables))
    for one in whole:
        parts = cut(one)
        short += [] if parts else [one.name]
        origin |= dict.fromkeys(parts, one.name)
        if twice := min(lines.keys() & parts.keys(), default=None):
            raise InputError(f"{folder}: two parts would be called {table.named(twice)}; rename that utterance.")
        lines |= parts
    if not lines:
        raise InputError(f"no utterance of {folder} is long enough; each crop needs {SHORTEST} s.")
    kept = {name: content for name, content in _kept(tables).items()
            if name != SPK2UTT and not (speakers and datadir.keyed_by(name) == datadir.SPEAKER)}
    told = {name: {part: content[utt] for part, utt in origin.items()} if name != WAV and datadir.keyed_by(name) == UTTERANCE else content
            for name, content in kept.items() if name != segments.NAME}
    told[segments.NAME] = lines
    if speakers:
        told[UTT2SPK] = origin
    derive.write_tables(out, derive.select(folder, told, sorted(lines)), speakers or datadir.label_source(folder))
    remedy = f"two crops of {SHORTEST:g} s need longer ones"
    return Made(len(lines), [left_out(len(short), len(whole), min(short), folder, 2 * SHORTEST, remedy)] if short else [])
