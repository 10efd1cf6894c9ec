"""Audio in the tars of other toolkits: wespeaker's shards, WebDataset, Lhotse Shar. Each recording is read where it lies in its tar.

A member NAME.wav, NAME.flac and so on is an utterance. What is known of it stands in members NAME.spk (wespeaker), NAME.json or NAME.cls
(WebDataset, where NAME may end before the first dot of the base name: 17.audio.wav and 17.json); of Lhotse Shar in the line of
cuts.NNNNNN.jsonl whose id is NAME. A Shar's tar.idx is not needed: it serves only to check the size of its tar.
"""
import contextlib
import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from sslspk import reading
from sslspk.errors import InputError, named, shown
from sslspk.io import files, table, tar
from sslspk.io.survey import FORMATS

AUTO, NONE = "auto", "none"
SPEAKER_KEYS = ("speaker", "speaker_id", "spk", "spk_id")   # of a JSON object
LABELS = ("spk", "json", "cls")                             # members that may say who speaks, in the order in which they are asked
PLACEHOLDER = "nodata"                                       # of a cut without a recording, in a Shar
LABEL_BYTES = 1 << 20
LINE_BYTES = 16 << 20                                       # of a manifest
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4")
CUTS = re.compile(r"cuts(.*)\.jsonl(\.gz)?")
NO_FILE = re.compile(r"(pipe:|[a-z0-9+]+://)")


class Shard(NamedTuple):
    """A tar, and the manifest of Lhotse's cuts in it, "" where there is none."""

    path: str
    cuts: str = ""


class Sample(NamedTuple):
    """An utterance. name: as its shard calls it. spec: entry of wav.scp, "" where it has no audio of a known format."""

    name: str
    speaker: str
    spec: str


def find(source: str) -> list[Shard]:
    """The shards of a folder, a list of tars (wespeaker's shard.list), a manifest of Lhotse's cuts, or one tar.

    Raises InputError naming what is not there, or no file of this machine.
    """
    if os.path.isdir(source):
        paths = [os.path.join(source, name) for name in sorted(os.listdir(source))]
        cuts = [path for path in paths if CUTS.fullmatch(os.path.basename(path))]
        found = cuts or [path for path in paths if path.lower().endswith(TARS)]
        if not found:
            raise InputError(f"{named(source)} holds no .tar and no cuts.*.jsonl; give the folder in which the shards lie.")
    elif CUTS.fullmatch(os.path.basename(source)) or source.lower().endswith(TARS):
        found = [source]
    else:
        found = _listed(source)
    shards = [_shard(os.path.abspath(path)) for path in found]
    twice = next((one.path for one, other in zip(sorted(shards), sorted(shards)[1:], strict=False) if one.path == other.path), None)
    if twice:
        raise InputError(f"{named(source)} names {named(twice)} twice; remove one of the two.")
    return shards


def _listed(path: str) -> list[str]:
    """The files that a list names, one a line, from the folder of the list where they are not found from here."""
    found = []
    for line, text in enumerate(table.read_lines(path), 1):
        text = text.strip()
        if NO_FILE.match(text):
            raise InputError(f"{named(path)}:{line}: {shown(text, 60)} is no file; download the shard, and name the copy.")
        here = text if os.path.exists(text) else os.path.join(os.path.dirname(path), text)
        if text and not os.path.isfile(here):
            raise InputError(f"{named(path)}:{line}: there is no file {shown(text, 90)}; correct the line, or mount its disk.")
        found += [here] if text else []
    return found


def _shard(path: str) -> Shard:
    """The shard that a tar or a manifest of cuts belongs to; the tar's index, where there is one, must be of this tar."""
    cuts, match = "", CUTS.fullmatch(os.path.basename(path))
    if match:
        cuts, path = path, os.path.join(os.path.dirname(path), f"recording{match[1]}.tar")
        if not os.path.isfile(path):
            raise InputError(f"{named(cuts)} belongs to {named(os.path.basename(path))}, which is not beside it; write the Shar with its "
                             "field recording.")
    index, size = f"{path}.idx", files.size(path)
    if os.path.exists(index):
        last = files.part(index, 8, max(files.size(index) - 8, 0))
        if len(last) < 8 or struct.unpack("<Q", last)[0] != size:
            raise InputError(f"{named(index)} is not of this tar of {size} bytes, perhaps cut; copy the tar again, or remove the .idx.")
    return Shard(path, cuts)


def samples(shard: Shard, speaker: str = AUTO) -> Iterator[Sample]:
    """The utterances of a shard in the order of its tar.

    speaker: "auto": from the cuts, or NAME.spk, NAME.json (SPEAKER_KEYS) or NAME.cls; "none": unknown; else the ending of the member
    that says it, such as "txt", or "json:KEY.KEY".
    Raises InputError: as `tar.members`, no audio at all, two recordings of one name, a recording without a speaker.
    """
    audio, labels = _sorted_out(shard.path)
    cuts = _speakers(shard.cuts) if shard.cuts else {}
    odd = min((cuts.keys() - audio.keys() - labels.keys()) | (audio.keys() - cuts.keys()), default=None)
    if shard.cuts and odd is not None:
        raise InputError(f"{named(odd, 60)} is in only one of {named(shard.cuts, 90)} and its tar; copy both again.")
    for name, member in audio.items():
        spoken = "" if speaker == NONE else cuts[name] if shard.cuts and speaker == AUTO else _said(shard.path, name, labels, speaker)
        if not spoken and speaker != NONE:
            where = f" ({', '.join(f'.{ending}' for ending in LABELS)}, cuts)" if speaker == AUTO else f" in {speaker}"
            raise InputError(f"{named(shard.path, 90)}: {shown(name, 60)} has no speaker{where}; say where it stands (--speaker txt, "
                             "json:KEY), or --speaker none.")
        yield Sample(name, re.sub(r"\s+", "_", spoken), f"{shard.path}:{member.offset}")
    known, telling = {_base(name) for name in audio}, {*LABELS, PLACEHOLDER, speaker}
    yield from (Sample(name, "", "") for name, found in sorted(labels.items()) if _base(name) not in known and telling & found.keys())


def _sorted_out(path: str) -> tuple[dict[str, tar.Member], dict[str, dict[str, tar.Member]]]:
    """The recordings of a tar by name, and what else it holds: name -> ending -> member. Hidden files are passed over."""
    audio: dict[str, tar.Member] = {}
    labels: dict[str, dict[str, tar.Member]] = {}
    for member in tar.members(path):
        name, ending = os.path.splitext(member.name.removeprefix("./"))
        if os.path.basename(name).startswith("."):
            continue
        if ending.lower() not in FORMATS:
            labels.setdefault(name, {})[ending[1:]] = member
        elif name in audio:
            raise InputError(f"{named(path)} holds two recordings {shown(name, 60)} (bytes {audio[name].offset} and {member.offset}); "
                             "rename one, or leave it out.")
        else:
            audio[name] = member
    if not audio:
        endings = sorted({f".{ending}" for found in labels.values() for ending in found})
        raise InputError(f"{named(path)} holds no audio of a known format (but {shown(', '.join(endings) or 'nothing', 40)}); convert it "
                         "to wav or flac, or leave this tar out.")
    return audio, labels


def _base(name: str) -> str:
    """The sample that WebDataset counts a member to: its name up to the first dot of its base name."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.split(".")[0])


def _said(path: str, name: str, labels: dict[str, dict[str, tar.Member]], speaker: str) -> str:
    """Who speaks, as members of the tar say; "" where none does."""
    wanted, _, key = speaker.partition(":")
    for at in dict.fromkeys((name, _base(name))):
        for ending in LABELS if speaker == AUTO else (wanted,):
            member = labels.get(at, {}).get(ending)
            text = "" if member is None else _text(path, member)
            if member is not None and ending == "json":
                text = _value(text, key.split(".") if key else SPEAKER_KEYS, bool(key), f"{named(path)}: {shown(member.name, 60)}")
            if text:
                return text
    return ""


def _text(path: str, member: tar.Member) -> str:
    try:
        return tar.content(path, member, LABEL_BYTES).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(f"{named(path)}: {shown(member.name, 60)} is no UTF-8 text; write it again, or use --speaker none.") from None


def _value(text: str, keys: list[str] | tuple[str, ...], nested: bool, where: str) -> str:
    """A string or whole number of a JSON object: under `keys` one in the other, or else under the first of them that is there."""
    found = reading.json_value(text, where)
    if nested:
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
    else:
        found = next((found[key] for key in keys if found.get(key) not in (None, "")), None) if isinstance(found, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _speakers(path: str) -> dict[str, str]:
    """The speaker of each of Lhotse's cuts by its id, "" where none is named.

    Raises InputError naming the line: no cut, one that begins within its recording, one of several speakers, an id that comes twice.
    """
    found: dict[str, str] = {}
    for number, text in enumerate(_manifest_lines(path), 1):
        where = f"{named(path)}:{number}"
        cut = reading.json_value(text, where)
        if not isinstance(cut, dict) or not isinstance(cut.get("id"), str) or not isinstance(cut.get("supervisions") or [], list):
            raise InputError(f"{where} is no cut of Lhotse's; give the cuts that SharWriter wrote.")
        if cut.get("start"):
            raise InputError(f"{where}: the cut begins {shown(cut['start'], 20)} s after its recording; write the Shar again.")
        said = [one.get("speaker") for one in cut.get("supervisions") or [] if isinstance(one, dict)]
        speakers = {str(one) for one in said if one not in (None, "")}
        if len(speakers) > 1:
            raise InputError(f"{where}: the cut has {len(speakers)} speakers; cut it to its supervisions (trim_to_supervisions) first.")
        if cut["id"] in found:
            raise InputError(f"{where}: the cut {shown(cut['id'], 60)} is there twice; rename one, or leave it out.")
        found[cut["id"]] = next(iter(speakers), "")
    return found


def _manifest_lines(path: str) -> Iterator[bytes]:
    """The lines of a text file, which may be compressed with gzip."""
    with os.fdopen(reading.descriptor(path), "rb") as raw, gzip.open(raw) if path.endswith(".gz") else contextlib.nullcontext(raw) as file:
        try:
            while line := file.readline(LINE_BYTES):
                if len(line) == LINE_BYTES:
                    raise InputError(f"{named(path)} has a line of more than {LINE_BYTES >> 20} MB; give the cuts that SharWriter wrote.")
                yield line
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(f"{named(path)} is truncated, or no gzip file; copy or download it again.") from None
