"""Kaldi's `segments`: which part of which recording an utterance is; lines "utterance recording start end [channel]"."""
import math
import os
from collections.abc import Mapping
from typing import NamedTuple

from sslspk.errors import InputError, shown
from sslspk.io import table

NAME = "segments"
FORM = "recording start end [channel]"


class Segment(NamedTuple):
    """A line of `segments`, in seconds of a recording. end: None for the recording's end. channel: from 0 on, None if not given."""

    recording: str
    start: float
    end: float | None
    channel: int | None


def parse(value: str) -> Segment | None:
    """The Segment in the value of a line of `segments`; None if it does not match FORM."""
    fields = table.words(value)
    if len(fields) not in (3, 4) or "_" in "".join(fields[1:]):
        return None
    try:
        start, end, channel = float(fields[1]), float(fields[2]), int(fields[3]) if len(fields) == 4 else -1
    except ValueError:
        return None
    if not (math.isfinite(start) and math.isfinite(end) and start >= 0 and (end > start or end == -1) and channel >= -1):
        return None
    return Segment(fields[0], start, None if end == -1 else end, None if channel < 0 else channel)


def check(path: str | os.PathLike, entries: Mapping[str, str]) -> dict[str, Segment]:
    """utterance -> Segment, in the file's order. Raises InputError naming file and line of the first that does not match FORM."""
    found = {}
    for line, (utt, value) in enumerate(entries.items(), 1):
        segment = parse(value)
        if segment is None:
            raise InputError(f"{os.fspath(path)}:{line}: {shown(value)} of {table.named(utt)} is not \"{FORM}\" with 0 <= start < end "
                             "(or end -1); correct it.")
        found[utt] = segment
    return found
