"""The utterance index: a data directory as packed arrays, shared by all loader processes without a Python object per utterance."""
import hashlib
from pathlib import Path

import numpy as np

from sslspk.data import kept
from sslspk.errors import InputError, shown
from sslspk.io import audio, channel, clips, datadir, files, lines, segments, table

ARRAYS = ("first", "path_of", "offset", "length", "label", "same", "members", "unit_start")


class Strings:
    """An immutable list of strings in two arrays (bytes, offsets): 10 million keys in a few hundred megabytes."""

    def __init__(self, items):
        encoded = [item.encode() for item in items]
        self.bytes = np.frombuffer(b"".join(encoded), np.uint8)
        self.ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    @classmethod
    def of(cls, data: np.ndarray, ends: np.ndarray) -> "Strings":
        """The list whose bytes, and ends in them, are given."""
        made = cls([])
        made.bytes, made.ends = data, ends
        return made

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, i: int) -> str:
        if not 0 <= i < len(self.ends):
            raise IndexError(i)   # ends iteration over the list
        start = self.ends[i - 1] if i else 0
        return self.bytes[start:self.ends[i]].tobytes().decode()


class UtteranceIndex:
    """Where every utterance of a training set lies.

    keys     utterance ids
    paths    the files that hold them (a packed archive once, however many utterances it holds)
    ranges   the rows (and columns) of feats.scp entries that name a part of a matrix, "" for a whole one; None where all are whole
    first    (N,) int64: where in its file an utterance of `segments` begins (samples); None where all begin at the first
    path_of  (N,) int32     offset (N,) int64, -1 for a file of its own     length (N,) int64: samples (wave) or frames (feats)
    label    (N,) int32: index into `classes` in sorted order, all -1 when labels were not asked for
    label_source  what these labels are: "speaker", or "pseudo" and the like where utils/relabel_data_dir.sh made them; of another
             table than utt2spk its name ("emotion" of utt2emotion)
    same     (N,) int32: entries of the table `same`, as numbers; None where there is no such table asked for
    unit_of  (N,) int32: units; noisy copies of one utterance (utt2uniq) form one unit, else every utterance is its own
    """

    def __init__(self, data_dir: str | Path, form: str, labels: bool = False, table_name: str = "utt2spk",
                 same: str | None = None):
        """form: wave or feats. labels: read `table_name`, a table keyed by utterance, as `label` and `classes`; same: another one.

        A large index is kept beside the data (see `kept`), and whatever process asks for the same one later maps that file.
        """
        self.data = data = Path(data_dir)
        self.labels, self.same_table = data / table_name, data / same if same else None
        self.label_source = datadir.label_source(data) if table_name == "utt2spk" else table_name.removeprefix("utt2")
        wave = form == "wave"
        sources = ("wav.scp", "utt2num_samples", segments.NAME) if wave else ("feats.scp", "utt2num_frames")
        used = [*sources, "utt2uniq", *([table_name] if labels else []), *([same] if same else [])]
        asked = {"form": form, "labels": table_name if labels else None, "same": same}
        place = data / kept.NAME.format(hashlib.md5(repr(asked).encode(), usedforsecurity=False).hexdigest()[:8])
        stamp = kept.stamp(data, used, asked)
        held = kept.load(place, stamp)
        if held is not None:
            self._restore(held)
            return
        if not self._from_lines(data / sources[0], data / sources[1], labels):
            self._from_tables(data / sources[0], data / sources[1], wave, labels)
        if len(self.keys) >= kept.LEAST:
            kept.save(place, stamp, self._arrays())
            if (held := kept.load(place, stamp)) is not None:   # of which all ranks and workers share one copy
                self._restore(held)

    def _from_lines(self, source: Path, lengths: Path, labels: bool) -> bool:
        """Read regular tables as arrays; False where one is of another kind, or they disagree, which `_from_tables` says."""
        named = [*([self.labels] if labels else []), *([self.same_table] if self.same_table else [])]
        others = (segments.NAME, "utt2uniq") if source.name == "wav.scp" else ("utt2uniq",)
        if any((self.data / name).exists() for name in others) or not all(path.exists() for path in (source, lengths, *named)):
            return False
        specs = lines.read(source)
        if specs is None or (source.name != "wav.scp" and (specs.data == ord("[")).any()):
            return False
        located, key, strings = _located(specs), specs.key, Strings.of(*specs.key_bytes())
        del specs   # the largest table, out of the memory before the next one is read
        found = []
        for path in (lengths, *named):
            more = lines.read(path)
            if more is None or not np.array_equal(key, more.key):
                return False
            found.append(more.numbers() if path == lengths else _coded(more))
            del more
        if found[0] is None or located is None:
            return False
        self.first, self.ranges, self.length, self.keys = None, None, found[0], strings
        self.path_of, self.offset, self.paths = located
        self.label, self.classes = found[1] if labels else (np.full(len(key), -1, np.int32), [])
        self.same = found[-1][0] if self.same_table else None
        self.members, self.unit_start = np.arange(len(key), dtype=np.int32), np.arange(len(key) + 1, dtype=np.int64)
        return True

    def _arrays(self) -> dict[str, np.ndarray]:
        """All of the index, for `_restore`."""
        found = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        for name, strings in (("keys", self.keys), ("paths", self.paths), ("ranges", self.ranges), ("classes", Strings(self.classes))):
            if strings is not None:
                found |= {f"{name}.bytes": strings.bytes, f"{name}.ends": strings.ends}
        return found

    def _restore(self, held: dict[str, np.ndarray]) -> None:
        for name in ARRAYS:
            setattr(self, name, held.get(name))
        found = {name: Strings.of(held[f"{name}.bytes"], held[f"{name}.ends"]) if f"{name}.ends" in held else None
                 for name in ("keys", "paths", "ranges", "classes")}
        self.keys, self.paths, self.ranges, self.classes = found["keys"], found["paths"], found["ranges"], list(found["classes"])

    def _from_tables(self, source: Path, lengths: Path, wave: bool, labels: bool) -> None:
        """Read any tables. Raises InputError about what is wrong with them."""
        data = self.data
        if wave and (data / segments.NAME).exists():
            source, cut = data / segments.NAME, clips.read(data)
            specs = {utt: clip.spec for utt, clip in cut.items()}
            self.first, self.length = clips.places(cut.values())
        else:
            specs, sizes = table.read(source), table.read(lengths)
            _same_keys(specs, sizes, source, lengths)
            self.first, self.length = None, _lengths(sizes, lengths)
        self.keys = Strings(specs)
        ranges = ["" if wave else files.split_range(spec)[1] for spec in specs.values()]
        self.ranges = Strings(ranges) if any(ranges) else None
        self.path_of, self.offset, self.paths = _locate(spec[:len(spec) - len(span) - 2] if span else spec
                                                        for spec, span in zip(specs.values(), ranges, strict=True))
        self.label, self.classes = np.full(len(specs), -1, np.int32), []
        if labels:
            values = datadir.read_table(data, self.labels.name)
            _same_keys(specs, values, source, self.labels)
            self.classes = sorted(set(values.values()))
            self.label = _codes(values.values(), self.classes)
        self.same = None
        if self.same_table:
            values = datadir.read_table(data, self.same_table.name)
            _same_keys(specs, values, source, self.same_table)
            self.same = _codes(values.values(), sorted(set(values.values())))
        self._group(data, specs)

    def _group(self, data: Path, specs: dict) -> None:
        if not (data / "utt2uniq").exists():
            self.members = np.arange(len(specs), dtype=np.int32)
            self.unit_start = np.arange(len(specs) + 1, dtype=np.int64)
            return
        uniq = table.read(data / "utt2uniq")
        _same_keys(specs, uniq, data / "feats.scp", data / "utt2uniq")
        unit_of = _codes(uniq.values(), sorted(set(uniq.values())))
        self.members = np.argsort(unit_of, kind="stable").astype(np.int32)
        self.unit_start = np.concatenate([[0], np.cumsum(np.bincount(unit_of))])

    @property
    def num_units(self) -> int:
        """How many recordings there are (copies of one recording count once)."""
        return len(self.unit_start) - 1

    def unit(self, i: int) -> np.ndarray:
        """The utterances (positions in `keys`) of recording i."""
        return self.members[self.unit_start[i]:self.unit_start[i + 1]]

    def of_units(self, values: np.ndarray) -> np.ndarray:
        """Select from values of all utterances (N,) the value of each recording's first utterance: (units,)."""
        return values[self.members[self.unit_start[:-1]]]

    def numbers_of(self, table_name: str) -> np.ndarray | None:
        """(units,) int32: the entry of each recording's first utterance in a table such as utt2session, as a number, -1 where
        it has none; None without such a table."""
        if not (self.data / table_name).exists():
            return None
        values = datadir.read_table(self.data, table_name)
        code = {value: i for i, value in enumerate(sorted(set(values.values())))}
        return self.of_units(np.array([code.get(values.get(key), -1) for key in self.keys], np.int32))

    def unit_length(self) -> np.ndarray:
        """(units,) the length of each recording's shortest copy."""
        return np.minimum.reduceat(self.length[self.members], self.unit_start[:-1])

    def fingerprint(self) -> str:
        """A fingerprint of the data: the number of utterances, and a digest of ids and lengths (and of labels that are not speakers, and of
        the table `same`)."""
        digest = hashlib.md5(self.keys.bytes)
        digest.update(np.ascontiguousarray(self.length))
        if self.label_source != "speaker":
            digest.update(self.labels.read_bytes())
        if self.same_table:
            digest.update(self.same_table.read_bytes())
        return f"{len(self.keys)} utterances, digest {digest.hexdigest()[:12]}"

    def require_rate(self, rate: float, count: int = 16) -> None:
        """Look at the first recording of up to `count` of the files; InputError names one that has another sampling rate."""
        first = np.unique(self.path_of, return_index=True)[1]
        for i in first[np.linspace(0, len(first) - 1, min(count, len(first))).astype(int)]:
            try:
                _, found, channels = audio.info(self.spec(int(i)))
            except InputError:
                continue  # a recording that cannot be read is skipped and counted when it is drawn
            channel.say_once(self.spec(int(i)), channels, "steps/pack_audio.sh --channel chooses another")
            if found != rate:
                raise InputError(f"{self.keys[int(i)]}: {self.spec(int(i))} has {found} Hz and the configuration says {rate:g}; "
                                 "resample with steps/pack_audio.sh --rate, or set features.sample_frequency.")

    def samples(self, i: int, start: int, count: int) -> np.ndarray:
        """`count` samples of utterance i from `start` on, int16 (count,). Raises InputError as audio.read_segment does."""
        return audio.read_segment(self.spec(i), start if self.first is None else int(self.first[i]) + start, count)

    def spec(self, i: int) -> str:
        """What sslspk.io needs to read utterance i: PATH, PATH:OFFSET, or PATH:OFFSET[RANGE]."""
        path = self.paths[self.path_of[i]]
        place = path if self.offset[i] < 0 else f"{path}:{self.offset[i]}"
        return place if self.ranges is None or not self.ranges[i] else f"{place}[{self.ranges[i]}]"


def _lengths(sizes: dict[str, str], path: Path) -> np.ndarray:
    for line, (key, text) in enumerate(sizes.items(), 1):
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise InputError(f"{path}:{line}: the value of {table.named(key)} is {shown(text)}, not a length; make the table again.")
    return np.fromiter(map(int, sizes.values()), np.int64, len(sizes))


def _locate(specs) -> tuple[np.ndarray, np.ndarray, Strings]:
    seen: dict[str, int] = {}
    path_of, offsets = [], []
    for spec in specs:
        path, offset = files.split_spec(spec)
        path_of.append(seen.setdefault(path, len(seen)))
        offsets.append(-1 if offset is None else offset)
    return np.array(path_of, np.int32), np.array(offsets, np.int64), Strings(seen)


def _located(specs: lines.Lines) -> tuple[np.ndarray, np.ndarray, Strings] | None:
    """`_locate`, of the lines of an scp; None where one ends in more digits than `lines.whole` reads."""
    colons = np.append(-1, lines.places(specs.data, ord(":")))
    colon = colons[np.searchsorted(colons, specs.end) - 1]
    offset = np.full(len(specs), -1, np.int64)
    rows = np.flatnonzero(colon > specs.blank + 1)
    size = specs.end[rows] - colon[rows] - 1
    if size.max(initial=0) > lines.DIGITS and (lines.whole(specs.data, specs.end[rows] - 1, specs.end[rows]) >= 0).any():
        return None
    for part in np.array_split(rows, max(1, len(rows) // 100_000)):
        offset[part] = lines.whole(specs.data, colon[part] + 1, specs.end[part])
    paths, at = specs.runs(np.where(offset >= 0, colon, specs.end))
    seen: dict[str, int] = {}
    codes = np.array([seen.setdefault(path, len(seen)) for path in paths], np.int32)
    return np.repeat(codes, np.diff(np.append(at, len(specs)))), offset, Strings(seen)


def _coded(found: lines.Lines) -> tuple[np.ndarray, list[str]]:
    """(N,) int32: each value as a number, and the values in the order of their numbers, sorted."""
    values, at = found.runs()
    names = sorted(set(values))
    return np.repeat(_codes(values, names), np.diff(np.append(at, len(found)))), names


def _codes(values, names: list[str]) -> np.ndarray:
    code = {name: i for i, name in enumerate(names)}
    return np.fromiter((code[v] for v in values), np.int32)


def _same_keys(a: dict, b: dict, path_a: Path, path_b: Path) -> None:
    if a.keys() != b.keys():
        odd = next(iter(a.keys() ^ b.keys()))
        raise InputError(f"{odd}: stands in only one of {path_a} and {path_b}; run utils/fix_data_dir.sh {path_a.parent}.")
