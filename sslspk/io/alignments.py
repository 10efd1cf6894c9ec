"""Labels of frames: a folder with ali.scp, ali*.ark (for each utterance a vector of int32 in Kaldi's form) and ali.json.

    known = Alignments("exp/labels", classes=50)
    known.of("utt1")                              # int32 (T,), frames as the labels' maker counted them
    known.of("utt1", 312)                         # ... for exactly 312 frames of the same shift
    known.at("utt1", 195, 0.016, 0.064)           # ... for 195 frames of 64 ms every 16 ms
    known.at("utt1", 100, 0.016, 0.064, 1.6)      # ... for a crop of 100 frames that begins at 1.6 s

Only ids and offsets are in memory; labels are read when asked for. The middle of frame t is at t * frame_shift + window / 2, in seconds.
An archive that ali.scp names without a folder lies next to ali.scp, so that the folder can be moved.
"""
import contextlib
import hashlib
import os
import struct
from collections.abc import Iterable
from typing import Literal

import numpy as np

from sslspk import reading
from sslspk.config import Config, Seconds, Size, check
from sslspk.errors import InputError, named
from sslspk.io import ark, files, table

SLACK = 2   # frames by which labels may be longer or shorter than the features
ENTRY = np.dtype([("bytes", "u1"), ("value", "<i4")])   # of a vector of int32: a byte that says 4, then the number
Kind = Literal["truth", "align", "mel", "bestrq", "frames"]


class LabelSet(Config):
    """What ali.json says about the labels 0 to classes - 1.

    kind: truth, known from synthesis; align, phones aligned by a recogniser; mel and frames, k-means of log-mel and of a model's
    frames; bestrq, a random projection of log-mel. frame_shift, window: seconds. made_by: the program, and the model if any. digest: of
    everything that decides what a label means; sets with the same digest can be mixed. labels: the labels used, as in provenance.json.
    names: of the classes, in order; empty if they have none.
    """

    kind: Kind
    classes: Size
    frame_shift: Seconds
    window: Seconds
    made_by: str
    digest: str
    labels: str = "none"
    names: tuple[str, ...] = ()


def digest_of(*parts: object) -> str:
    """A digest of 12 hex digits of arrays, bytes, or other values as `str` gives them."""
    found = hashlib.md5()
    for part in parts:
        part = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else part
        data = part if isinstance(part, bytes) else str(part).encode()
        found.update(struct.pack("<q", len(data)) + data)
    return found.hexdigest()[:12]


class Writer:
    """Write the labels of a folder; archive and table appear when both are whole, then `about` (if given) as ali.json.

    >>> with Writer("exp/labels", about) as out:
    ...     out.write("utt1", labels)          # ids in C byte order

    part: a job writes its own ali.PART.ark and ali.PART.scp, which `join` merges into ali.scp.
    """

    def __init__(self, folder: str | os.PathLike, about: LabelSet, part: str = ""):
        self._folder, self._about, self._part = os.fspath(folder), about, part
        self._name = f"ali.{part}" if part else "ali"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Writer":
        os.makedirs(self._folder, exist_ok=True)
        self._scp = self._stack.enter_context(files.atomic_write(os.path.join(self._folder, f"{self._name}.scp")))
        self._ark = self._stack.enter_context(files.atomic_write(os.path.join(self._folder, f"{self._name}.ark"), "wb"))
        return self

    def __exit__(self, *problem) -> None:
        self._stack.__exit__(*problem)
        if not self._part and problem[0] is None:
            write_about(self._folder, self._about)

    def write(self, utt: str, labels: np.ndarray) -> None:
        """Append labels (T,). Raises InputError naming the utterance if a label is not in 0 .. classes - 1."""
        table.check_key(utt, self._folder)
        labels = np.asarray(labels)
        _require_range(labels, self._about.classes, utt, self._folder)
        rows = np.empty(len(labels), ENTRY)
        rows["bytes"], rows["value"] = 4, labels
        self._ark.write(utt.encode() + b" ")
        self._scp.write(f"{utt} {self._name}.ark:{self._ark.tell()}\n")
        self._ark.write(b"\0B\4" + struct.pack("<i", len(rows)) + rows.tobytes())


def spread(length: int, count: int) -> np.ndarray:
    """int64 (min(length, count),): indices spread evenly over a sequence."""
    count = min(length, count)
    return (np.arange(count) * 2 + 1) * length // (2 * max(count, 1))


def join(folder: str | os.PathLike, parts: int, about: LabelSet) -> int:
    """Merge the jobs' ali.1.scp to ali.PARTS.scp into ali.scp, then write ali.json; returns the number of utterances.

    Raises InputError for a missing part, an utterance in two parts, and no utterance at all.
    """
    found: dict[str, str] = {}
    for part in range(1, parts + 1):
        path = os.path.join(folder, f"ali.{part}.scp")
        fresh = table.read(path) if not os.path.exists(path) or os.path.getsize(path) else {}   # a job may have had none
        twice = min(found.keys() & fresh.keys(), default=None)
        if twice is not None:
            raise InputError(f"{named(path)}: {table.named(twice)} is in another job's part too; run the step again.")
        found |= fresh
    if not found:
        raise InputError(f"{named(os.fspath(folder))}: no utterance got labels; look at the jobs' logs, then run the step again.")
    table.write(os.path.join(folder, "ali.scp"), found)
    write_about(folder, about)
    for part in range(1, parts + 1):
        os.unlink(os.path.join(folder, f"ali.{part}.scp"))
    return len(found)


def write_about(folder: str | os.PathLike, about: LabelSet) -> None:
    """Write ali.json."""
    with files.atomic_write(os.path.join(folder, "ali.json")) as file:
        file.write(about.model_dump_json(indent=1) + "\n")


def read_about(folder: str | os.PathLike) -> LabelSet:
    """The content of ali.json. Raises InputError if it is missing, or does not describe labels."""
    path = os.path.join(folder, "ali.json")
    about = check(LabelSet, reading.json_object(path, "make the labels again"), named(path))
    if about.names and len(about.names) != about.classes:
        raise InputError(f"{named(path)}: {len(about.names)} names are not those of {about.classes} classes; make the labels again.")
    return about


class Alignments:
    """The labels of a folder, read by utterance. about: its LabelSet.

    kind, classes, digest: what the labels must have, if given. Raises InputError for a folder with other labels.
    """

    def __init__(self, folder: str | os.PathLike, *, kind: str | None = None, classes: int | None = None, digest: str | None = None):
        self.folder, self.about = os.fspath(folder), read_about(folder)
        for name, wanted in (("kind", kind), ("classes", classes), ("digest", digest)):
            found = getattr(self.about, name)
            if wanted is not None and found != wanted:
                raise InputError(f"{named(self.folder)}/ali.json: {name} is {found} where {wanted} is needed; give the labels that the "
                                 "model was made with.")
        self._specs = ark.read_scp(os.path.join(self.folder, "ali.scp"))

    def __contains__(self, utt: str) -> bool:
        return utt in self._specs

    def require(self, utts: Iterable[str]) -> None:
        """Raise InputError naming the first of these utterances that has no labels."""
        missing = sorted(set(utts) - self._specs.keys())
        if missing:
            raise InputError(f"{table.named(missing[0])} has no labels in {named(self.folder)}/ali.scp ({len(missing)} lack them); make "
                             "the labels of this data directory, or leave such utterances out.")

    def of(self, utt: str, frames: int | None = None) -> np.ndarray:
        """Labels int32 (T,). `frames`: exactly this many; up to SLACK labels are cut, or the last one is repeated.

        Raises InputError: no labels, a length that does not match the frames, a label outside the classes, a damaged archive.
        """
        self.require([utt])
        labels = _read(self.folder, self._specs[utt])
        _require_range(labels, self.about.classes, utt, self.folder)
        if not len(labels):
            raise InputError(f"{table.named(utt)} has labels of no frame in {named(self.folder)}; leave it out, or make them again.")
        if frames is None:
            return labels
        if abs(len(labels) - frames) > SLACK:
            raise self._other_length(utt, len(labels), frames)
        return labels[np.minimum(np.arange(frames), len(labels) - 1)]

    def at(self, utt: str, frames: int, shift: float, window: float, start: float | None = None) -> np.ndarray:
        """Labels int32 (frames,) for frames of `window` seconds every `shift`, taken from the labelled frames with the nearest middles.

        start: where a crop of the utterance begins, in seconds; None: the frames are the whole utterance, and its length must match.
        Raises InputError as `of` does.
        """
        labels, about = self.of(utt), self.about
        middle = (start or 0.0) + np.arange(frames) * shift + window / 2
        place = np.rint((middle - about.window / 2) / about.frame_shift + 1e-6).astype(np.int64)
        reach = (frames - 1) * shift + window + (start or 0.0)                       # seconds
        wanted = 1 + round((reach - about.window) / about.frame_shift)
        alike = np.allclose((shift, window), (about.frame_shift, about.window), 1e-6, 0)
        in_a_frame = 0 if alike else int(np.ceil(max(shift, window - about.window) / about.frame_shift))   # labels
        if wanted - len(labels) > SLACK + in_a_frame or (start is None and len(labels) - wanted > SLACK + in_a_frame):
            raise self._other_length(utt, len(labels), wanted)
        return labels[place.clip(0, len(labels) - 1)]

    def _other_length(self, utt: str, found: int, frames: int) -> InputError:
        return InputError(f"{table.named(utt)} has {found} labels in {named(self.folder)}, but {frames} frames of them were expected; "
                          "make labels of the same audio.")


def _require_range(labels: np.ndarray, classes: int, utt: str, folder: str) -> None:
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(bad):
        raise InputError(f"{table.named(utt)} in {named(folder)}: label {labels[bad[0]]} of frame {bad[0]} is not in 0 to {classes - 1}; "
                         "make the labels again.")


def _read(folder: str, spec: str) -> np.ndarray:
    """The vector of int32 at "x.ark:20". Raises InputError if there is none, or it is cut."""
    path, offset = files.split_spec(spec)
    if files.is_pipe(spec) or offset is None:
        raise InputError(f"{named(folder)}/ali.scp: {named(spec, 90)} is no place in an archive; make the labels again.")
    archive = files.shared(os.path.join(folder, path) if "/" not in path else path)
    head = archive.pread(7, offset)
    count = struct.unpack_from("<i", head, 3)[0] if len(head) == 7 and head[:3] == b"\0B\4" else -1
    if not 0 <= count * ENTRY.itemsize <= ark.MOST_BYTES:
        raise InputError(f"{named(archive.path)}:{offset} is no vector of int32 in Kaldi's binary form; make the labels again.")
    rows = np.frombuffer(data := archive.pread(count * ENTRY.itemsize, offset + 7), ENTRY, len(data) // ENTRY.itemsize)
    if len(rows) < count or (rows["bytes"] != 4).any():
        raise InputError(f"{named(archive.path)}:{offset} is damaged or cut ({len(rows)} of {count} labels); make the labels again.")
    return rows["value"].astype(np.int32)
