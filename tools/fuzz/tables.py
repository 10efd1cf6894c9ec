"""Data directories: tables, segments and row ranges; no utterance is lost or renamed, or it is said."""
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, Check, Outcome, program, write

UTTS = ("s1-u1", "s1-u2", "s2-u1", "s2-u2")
SAMPLES = 8000
TABLES = {
    "utt2spk": "".join(f"{utt} {utt[:2]}\n" for utt in UTTS), "spk2utt": "s1 s1-u1 s1-u2\ns2 s2-u1 s2-u2\n",
    "text": "".join(f"{utt} hello there\n" for utt in UTTS), "utt2dur": "".join(f"{utt} 0.5\n" for utt in UTTS),
}


def prepare(base: Path) -> None:
    import numpy as np

    from sslspk.io import ark
    rng = np.random.default_rng(0)
    for utt in UTTS:
        samples = rng.normal(0, 3000, SAMPLES).astype("<i2").tobytes()
        head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data",
            len(samples))
        write(base / f"wav/{utt}.wav", head + samples)
    with ark.Writer(base / "feats.ark", base / "feats.scp") as out:
        for utt in UTTS:
            out.write(utt, np.arange(60, dtype=np.float32).reshape(20, 3))


def warm(base: Path) -> None:
    _make(base, {})
    program("sslspk.bin.validate_data_dir", "--no-feats", "data")()


def _make(base: Path, tables: dict[str, str | bytes | None], folder: str = "data") -> None:
    """A sound directory in `folder` with some tables in another state (None: not there)."""
    wav = "".join(f"{utt} {base}/wav/{utt}.wav\n" for utt in UTTS)
    for name, text in {**TABLES, "wav.scp": wav, **tables}.items():
        if text is not None:
            write(f"{folder}/{name}", text)


def keys(path: str) -> list[str]:
    """First words of the lines of a table, split at ASCII blanks alone."""
    lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line.split(b" ")[0].split(b"\t")[0].decode() for line in lines if line.strip()]


def holds(*utts: str, table: str = "data/utt2spk") -> Check:
    """The table has just these utterances."""
    def check(outcome: Outcome) -> str | None:
        found = keys(table)
        return None if found == sorted(utts) else f"{table} has {found}, not {sorted(utts)}"
    return check


def _validate(what: str, tables: dict, sound: bool = False, either_way: bool = False, options: tuple[str, ...] = (),
        names: tuple[str, ...] = ()):
    def make(base: Path) -> Case:
        _make(base, {name: text(base) if callable(text) else text for name, text in tables.items()})
        run = program("sslspk.bin.validate_data_dir", "--no-feats", *options, "data")
        check = (lambda outcome: None) if sound or either_way else None
        return Case(f"validate: {what}", run, check, not sound, names or tuple(tables))
    return make


def _fix(what: str, tables: dict, kept: tuple[str, ...] | None = UTTS, must: bool = False, tells: str = "", also: Callable | None = None):
    """fix_data_dir must keep these utterances under these names, and name or count what it drops."""
    def make(base: Path) -> Case:
        _make(base, tables)

        def check(outcome: Outcome) -> str | None:
            why = holds(*kept)(outcome) or (also() if also else None)
            return why or (f"it does not say {tells!r}: {outcome.out!r}" if tells and tells not in outcome.out + outcome.err else None)
        return Case(f"fix: {what}", program("sslspk.bin.fix_data_dir", "data"), check if kept is not None else None, not must,
            tuple(tables))
    return make


def _copy(tool: str, what: str, tables: dict, carried: dict[str, bool], must: bool = True):
    """subset, split and combine: each table of `carried` must be in what comes out (or the tool refuses, where must is false)."""
    def make(base: Path) -> Case:
        _make(base, {name: text(base) if callable(text) else text for name, text in tables.items()})
        write("list", "s1-u1\ns2-u1\n")
        words = {"subset": ("sslspk.bin.subset_data_dir", "--utt-list", "list", "data", "out"),
            "split": ("sslspk.bin.split_data", "data", "2"),
                 "combine": ("sslspk.bin.combine_data", "out", "data")}[tool]
        place = {"subset": "out", "split": "data/split2/1", "combine": "out"}[tool]

        def check(outcome: Outcome) -> str | None:
            told = outcome.out + outcome.err
            lost = [name for name in carried if not os.path.exists(f"{place}/{name}") and name not in told]
            return f"{place} has no {lost[0]}, and nobody said so: {told!r}" if lost else None
        return Case(f"{tool}: {what}", program(*words), check, not must, (*carried, "utt2spk"))
    return make


def _segmented(base: Path) -> dict[str, str]:
    wav = "".join(f"rec{i} {base}/wav/{utt}.wav\n" for i, utt in enumerate(UTTS))
    segments = "".join(f"{utt} rec{i} 0.1 0.35\n" for i, utt in enumerate(UTTS))
    return {"wav.scp": wav, "segments": segments, "utt2dur": None}


def _segments(what: str, change: Callable[[str], str | bytes], samples: int | None = 4000, must: bool = False):
    """Packing a directory with segments gives the samples of each segment, or the bad line is named."""
    def make(base: Path) -> Case:
        tables = _segmented(base)
        _make(base, {**tables, "segments": change(tables["segments"])})

        def check(outcome: Outcome) -> str | None:
            found = dict(line.split() for line in Path("w.scp.utt2num_samples").read_text().splitlines())
            if list(found) != list(UTTS):
                return f"it packed {list(found)}, not {list(UTTS)}"
            return None if all(abs(int(n) - samples) <= 1
                for n in found.values()) else f"the lengths are {list(found.values())}, not {samples}"
        run = program("sslspk.bin.pack_audio", "data", "w.ark", "w.scp")
        return Case(f"segments: {what}", run, check if samples is not None else None, not must, ("segments",))
    return make


def _ranges(what: str, suffix: str, rows: int | None):
    def make(base: Path) -> Case:
        scp = "".join(line + suffix + "\n" for line in (base / "feats.scp").read_text().splitlines())
        _make(base, {"feats.scp": scp})

        def main() -> None:
            from sslspk.io import ark, datadir
            tables = datadir.validate("data", need=("feats.scp",), check_files=True)
            print(*(ark.load(spec).shape[0] for spec in tables["feats.scp"].values()))
        from fuzz.case import as_program, either
        return Case(f"feats.scp: {what}", lambda: as_program("rows", main, []), either(" ".join([str(rows)] * 4)) if rows else None,
                    what != "rows 0 to 9", ("feats.scp", "feats.ark"))
    return make


def _in(name: str, old: str, new: str, count: int = -1) -> dict[str, str]:
    return {name: TABLES[name].replace(old, new, count)}


def _wav(old: str, new: str):
    return lambda base: "".join(f"{utt} {base}/wav/{utt}.wav\n" for utt in UTTS).replace(old, new)


BAD_VALUES = {"utt2dur": ("nan", "-1", "inf", "0x1", "1_0", "abc", "A" * 5000, "1 2", "9" * 400)}
CRAFTED = [
    _validate("the sound one", {}, True),
    _fix("a byte order mark at the head of utt2spk", {"utt2spk": "\ufeff" + TABLES["utt2spk"]}),
    _fix("a byte order mark at the head of text", {"text": "\ufeff" + TABLES["text"]}),
    _fix("an empty transcript", _in("text", "s1-u2 hello there", "s1-u2"), must=True),
    _fix("an empty transcript and a blank", _in("text", "s1-u2 hello there", "s1-u2 "), must=True),
    _fix("U+00A0 inside an id", {name: text.replace("s1-u1", "s1-\u00a0u1") for name, text in TABLES.items()}, UTTS[1:], tells="s1-u1"),
    _validate("an empty transcript", _in("text", "s1-u2 hello there", "s1-u2"), True),
    _validate("a byte order mark", {"utt2spk": "\ufeff" + TABLES["utt2spk"]}, either_way=True),
    _validate("U+00A0 as the blank", _in("utt2spk", " ", "\u00a0"), names=("utt2spk",)),
    _validate("U+2028 inside a transcript", _in("text", "hello there", "hello\u2028there"), True),
    _validate("U+0085 inside a transcript", _in("text", "hello there", "hello\u0085there"), True),
    _validate("a vertical tab inside a transcript", _in("text", "hello there", "hello\vthere"), either_way=True),
    _validate("tabs", {name: text.replace(" ", "\t", 4) for name, text in TABLES.items() if name != "spk2utt"}, either_way=True),
    _validate("CRLF", {name: text.replace("\n", "\r\n") for name, text in TABLES.items()}, either_way=True),
    _validate("latin-1", {"text": TABLES["text"].replace("hello", "é").encode("latin-1")}),
    _validate("UTF-16", {"utt2spk": TABLES["utt2spk"].encode("utf-16")}),
    _validate("a zero byte", _in("utt2spk", "s1-u2", "s1\0u2")),
    _validate("zero bytes at the end", {"utt2spk": TABLES["utt2spk"] + "\0" * 512}),
    _validate("cut in the last line", {"utt2spk": TABLES["utt2spk"][:-2]}), _validate("empty", {"utt2spk": ""}),
    _validate("one blank line", {"utt2spk": "\n"}), _validate("a key twice", {"utt2spk": TABLES["utt2spk"] + "s2-u2 s2\n"}),
    _validate("unsorted", {"utt2spk": "s2-u2 s2\n" + TABLES["utt2spk"][:-9]}),
    _validate("no utt2spk", {"utt2spk": None, "spk2utt": None}, either_way=True),
    _validate("no spk2utt", {"spk2utt": None}, either_way=True), _validate("no wav.scp", {"wav.scp": None}),
    _validate("a speaker of 5000 letters", {"utt2spk": TABLES["utt2spk"].replace("s2\n", "A" * 5000 + "\n")}, names=("utt2spk", "spk2utt")),
    _validate("an id of 5000 letters", {"utt2spk": "A" * 5000 + " s1\n" + TABLES["utt2spk"]},
        names=("utt2spk", "wav.scp", "text", "utt2dur")),
    _validate("a word of 5000 letters with no value", {"utt2spk": "A" * 5000 + "\n" + TABLES["utt2spk"]}),
    *[_validate(f"a length of {value[:20]}", _in("utt2dur", "0.5", value, 1)) for value in BAD_VALUES["utt2dur"]],
    _validate("a frame count of 1_0", {"utt2num_frames": "".join(f"{utt} 1_0\n" for utt in UTTS)}),
    _validate("a sample count of 5000 digits", {"utt2num_samples": "".join(f"{utt} {'9' * 5000}\n" for utt in UTTS)}),
    _validate("a sample count of Arabic digits", {"utt2num_samples": "".join(f"{utt} ١٢\n" for utt in UTTS)}),
    _validate("a pipe in wav.scp", {"wav.scp": lambda base: "".join(f"{utt} touch CANARY |\n" for utt in UTTS)},
        options=("--check-files",)),
    _validate("a pipe before the command", {"wav.scp": lambda base: "".join(f"{utt} | touch CANARY\n" for utt in UTTS)},
        options=("--check-files",)),
    _validate("files that are not there", {"wav.scp": _wav(".wav", ".no")}, options=("--check-files",)),
    _validate("a path of 5000 letters", {"wav.scp": lambda base: "".join(f"{utt} {'A' * 5000}\n" for utt in UTTS)},
        options=("--check-files",)),
    _validate("an offset of 5000 digits", {"wav.scp": _wav(".wav\n", ".wav:" + "9" * 5000 + "\n")}, options=("--check-files",)),
    _validate("an offset of Arabic digits", {"wav.scp": _wav(".wav\n", ".wav:١\n")}, options=("--check-files",)),
    _fix("a text of other utterances", {"text": TABLES["text"].replace("s2-u2", "s2-u9")}, UTTS[:3], tells="s2-u2"),
    _fix("the sound one", {}, must=True), _fix("unsorted", {"text": "".join(reversed(TABLES["text"].splitlines(True)))}, must=True),
    _fix("blank lines", {"utt2spk": TABLES["utt2spk"].replace("\n", "\n\n")}, must=True),
    _fix("CRLF", {name: text.replace("\n", "\r\n") for name, text in TABLES.items()}),
    _fix("a key with two values", {"utt2spk": TABLES["utt2spk"] + "s2-u2 s9\n"}, None),
    _fix("an utterance that is in wav.scp alone", {"wav.scp": "s0-u0 /a.wav\n" + "".join(f"{utt} /{utt}.wav\n" for utt in UTTS)},
        tells="wav.scp"),
    _fix("a speaker without utterance in spk2gender", {"spk2gender": "s1 m\ns2 f\ns9 m\n"},
        also=lambda: holds("s1", "s2", table="data/spk2gender")(None)),
    _fix("a file that no tool knows", {"reco2file_and_channel": "".join(f"{utt} {utt} A\n" for utt in UTTS)},
         also=lambda: None if os.path.exists("data/reco2file_and_channel") else "reco2file_and_channel is gone"),
    _fix("a zero byte", {"utt2spk": TABLES["utt2spk"].replace("s1-u2", "s1\0u2")}, None),
    _fix("latin-1", {"text": TABLES["text"].replace("hello", "é").encode("latin-1")}, None),
    _fix("an id of 5000 letters that one table lacks", {"text": TABLES["text"] + "z" * 5000 + " x\n"}, tells="text"),
    _fix("no utterance common", {"text": "x y\n"}, None), _fix("no utt2spk", {"utt2spk": None}, UTTS),
    _segments("the sound one", lambda text: text, must=True),
    _segments("an end beyond the recording", lambda text: text.replace("0.35", "9.35", 1), None),
    _segments("an end a hundredth beyond the recording", lambda text: text.replace("0.1 0.35", "0.26 0.51"), 3840),
    _segments("an end of -1, Kaldi's end of the recording", lambda text: text.replace("0.1 0.35", "0.25 -1"), must=False),
    _segments("start after end", lambda text: text.replace("0.1 0.35", "0.35 0.1", 1), None),
    _segments("of no length", lambda text: text.replace("0.1 0.35", "0.1 0.1", 1), None),
    _segments("a negative start", lambda text: text.replace("0.1 ", "-0.1 ", 1), None),
    _segments("a NaN", lambda text: text.replace("0.1", "nan", 1), None),
    _segments("an infinite end", lambda text: text.replace("0.35", "inf", 1), None),
    _segments("a comma for the point", lambda text: text.replace("0.1", "0,1", 1), None),
    _segments("underscores", lambda text: text.replace("0.35", "0_0.35", 1), None),
    _segments("three columns", lambda text: text.replace(" 0.35", "", 1), None),
    _segments("five columns", lambda text: text.replace("0.35", "0.35 x", 1), None),
    _segments("five columns, a channel", lambda text: text.replace("0.35", "0.35 0")),
    _segments("a recording that wav.scp lacks", lambda text: text.replace("rec1", "rec9"), None),
    _segments("a zero byte", lambda text: text.replace("rec1", "rec\0"), None),
    _segments("a recording of 5000 letters", lambda text: text.replace("rec1", "r" * 5000), None),
    _segments("a byte order mark", lambda text: "\ufeff" + text),
    _segments("CRLF", lambda text: text.replace("\n", "\r\n")),
    _segments("an utterance twice", lambda text: text + text.splitlines(True)[-1], None),
    _validate("segments with an utterance that utt2spk lacks", {name: (lambda base, name=name: _segmented(base)[name])
        for name in ("wav.scp",)}
              | {"segments": lambda base: _segmented(base)["segments"] + "s9-u9 rec0 0.1 0.2\n", "utt2dur": None}),
    _segments("cut", lambda text: text[:-3], None),
    _segments("1e-1", lambda text: text.replace("0.1 ", "1e-1 ")), _segments("empty", lambda text: "", None),
    *[_copy(tool, "segments", {name: (lambda base, name=name: _segmented(base)[name]) for name in ("wav.scp",
        "segments")} | {"utt2dur": None},
            {"segments": True, "wav.scp": True}) for tool in ("subset", "split", "combine")],
    *[_copy(tool, f"a file called {name}", {name: "".join(f"{key} x\n" for key in of)}, {name: True}, False)
      for tool in ("subset", "combine") for name, of in (("stm", UTTS), ("feats2.scp", UTTS), ("cmvn.scp", ("s1", "s2")),
          ("vad2spk", UTTS))],
    *[_copy(tool, "an empty transcript", _in("text", "s1-u1 hello there", "s1-u1"), {"text": True})
        for tool in ("subset", "split", "combine")],
    *[_copy(tool, "no utt2spk", {"utt2spk": None, "spk2utt": None}, {"wav.scp": True}, False) for tool in ("subset", "split", "combine")],
    _ranges("rows 0 to 9", "[0:9]", 10), _ranges("rows 5 to 19", "[5:19]", 15), _ranges("rows and columns", "[0:9,0:1]", 10),
    _ranges("columns alone", "[,0:1]", 20),
    _ranges("rows beyond the end", "[0:99]", None), _ranges("rows turned round", "[9:0]", None), _ranges("an open bracket", "[0:9", None),
    _ranges("negative rows", "[-1:3]", None), _ranges("words", "[a:b]", None), _ranges("5000 digits", "[0:" + "9" * 5000 + "]", None),
    _ranges("nothing", "[]", None),
    _ranges("all rows", "[:]", 20), _ranges("an Arabic digit", "[0:٩]", None),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """One damaged table, for validate or fix; what is accepted must hold the utterances of the other tables, no fewer."""
    name = rng.choice(("utt2spk", "text", "spk2utt", "utt2dur", "segments"))
    tables = _segmented(base) if name == "segments" else {}
    text = tables.get("segments") or TABLES[name]
    if rng.random() < 0.7:
        what, damaged = mutate.damage(rng, text.encode())
    else:
        lines = text.splitlines(True)
        row = rng.randrange(len(lines))
        words = lines[row].split(" ")
        field = rng.randrange(len(words))
        words[field] = rng.choice(mutate.AWKWARD) + ("\n" if words[field].endswith("\n") else "")
        lines[row] = " ".join(words)
        what, damaged = f"word {field + 1} of line {row + 1} is {words[field][:40]!r}", "".join(lines).encode("utf-8", "surrogateescape")
    _make(base, {**tables, name: damaged})
    if name == "segments" or rng.random() < 0.5:
        return Case(f"validate, {name}: {what}", program("sslspk.bin.validate_data_dir", "--no-feats", "data"), _same_utterances(name),
            True, (name, "utt2spk"))

    def check(outcome: Outcome) -> str | None:
        lost = [utt for utt in UTTS if utt not in keys("data/utt2spk")]
        strange = [utt for utt in keys("data/utt2spk") if utt not in UTTS]
        told = outcome.out + outcome.err
        if strange:
            return f"the id {strange[0]!r} is none that wav.scp has"
        return f"{lost[0]} is gone, and nobody said so: {told!r}" if lost and "lost" not in told and lost[0] not in told else None
    return Case(f"fix, {name}: {what}", program("sslspk.bin.fix_data_dir", "data"), check, True, (name, "utt2spk", "data"))


def _same_utterances(name: str) -> Check:
    wanted = ["s1", "s2"] if name == "spk2utt" else sorted(UTTS)

    def check(outcome: Outcome) -> str | None:
        found = keys(f"data/{name}")
        return None if found == wanted else f"it is called sound with {found!r:.100} in {name}"
    return check
