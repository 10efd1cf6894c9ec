"""Kaldi's archives and the scp files that point into them: the numbers that were written, or a sentence."""
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

from fuzz import mutate
from fuzz.case import Case, Check, as_program, either, write

ROWS, COLS = 12, 5


def prepare(base: Path) -> None:
    import numpy as np

    from sslspk.io import ark
    x = np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS)
    for name, packed in (("plain", False), ("packed", True)):
        with ark.Writer(base / f"{name}.ark", base / f"{name}.scp", compress=packed) as out:
            out.write("u1", x)
            out.write("u2", x[:, 0])
            out.write("u3", x + 1)


def warm(base: Path) -> None:
    write("x.ark", (base / "plain.ark").read_bytes())
    _load("x.ark:3")()


def _load(spec: str) -> Callable:
    def main() -> None:
        from sslspk.io import ark
        x = ark.load(spec)
        print(*x.shape, float(x.sum()))
    return lambda: as_program("load", main, [])


def _rows(spec: str, start: int, count: int) -> Callable:
    def main() -> None:
        from sslspk.io import ark
        print(*ark.load_rows(spec, start, count).shape)
    return lambda: as_program("rows", main, [])


def _bytes(what: str, data: Callable[[bytes], bytes], spec: str = "x.ark:3", answer: str | None = None, call: Callable = _load,
        size: int = 0):
    """The plain archive, changed; size: made that long by a hole."""
    def make(base: Path) -> Case:
        path = write("x.ark", data((base / "plain.ark").read_bytes()))
        if size:
            with path.open("r+b") as file:
                file.truncate(size)
        return Case(what, call(spec), either(answer) if answer else None, True, (spec[:20], "x.ark"))
    return make


def _spec(what: str, spec: str, answer: str | None = None, names: tuple[str, ...] = ()):
    return lambda base: (write("x.ark", (base / "plain.ark").read_bytes()), Case(what, _load(spec), either(answer) if answer else None,
        True, names or (spec[:15],)))[1]


def _head(kind: bytes, *numbers: int) -> bytes:
    return b"u1 \0B" + kind + b" " + b"".join(b"\4" + struct.pack("<i", number) for number in numbers)


def _packed(kind: bytes, rows: int, cols: int) -> bytes:
    return b"u1 \0B" + kind + b" " + struct.pack("<ffii", 0.0, 1.0, rows, cols)


def _scp(what: str, change: Callable[[str], str | bytes], check: Check | None = None):
    """xvector.scp of scoring, through sslspk.io.embeddings."""
    def make(base: Path) -> Case:
        write("e/xvector.scp", change(f"u2 {base}/plain.ark:{_offset(base)}\n"))

        def main() -> None:
            from sslspk.io import embeddings
            names, x = embeddings.load("e")
            print(*names, *x.shape)
        return Case(f"xvector.scp: {what}", lambda: as_program("embeddings", main, []), check, True, ("xvector.scp", "plain.ark", "touch"))
    return make


def _offset(base: Path) -> str:
    return (base / "plain.scp").read_text().splitlines()[1].rpartition(":")[2]


SUM = f"{ROWS} {COLS} {float(sum(range(ROWS * COLS)))}"
HUGE = 2 ** 31 - 1
CRAFTED = [
    _bytes("the sound one", lambda data: data, answer=SUM),
    _bytes("2 GB of zeros", lambda data: b"", "x.ark:10", size=2 << 30),
    _bytes("2 GB of zeros at 0", lambda data: b"", "x.ark:0", size=2 << 30),
    _bytes("2 GB of zeros, no offset", lambda data: b"", "x.ark", size=2 << 30),
    _bytes("64 GB of zeros", lambda data: b"", "x.ark:10", size=64 << 30),
    _bytes("text without an end", lambda data: b"u1  [\n" + b" 1 2\n" * 200000, "x.ark:2"),
    _bytes("text of one line of 30 MB", lambda data: b"u1  [ " + b"1 " * 15000000, "x.ark:2"),
    _bytes("text, sound", lambda data: b"u1  [\n  1 2\n  3 4 ]\n", "x.ark:2", "2 2 10.0"),
    _bytes("text, a vector", lambda data: b"u1  [ 1 2 3 ]\n", "x.ark:2", "3 6.0"),
    _bytes("text with rows of other lengths", lambda data: b"u1  [\n  1 2\n  3 ]\n", "x.ark:2"),
    _bytes("text with a word", lambda data: b"u1  [\n  1 two\n  3 4 ]\n", "x.ark:2"),
    _bytes("text with nan", lambda data: b"u1  [\n  1 nan\n  3 4 ]\n", "x.ark:2", "2 2 nan"),
    _bytes("text, empty", lambda data: b"u1  [ ]\n", "x.ark:2", "0 0.0"),
    _bytes("a text of code", lambda data: b"u1 __import__('os').system('touch CANARY')\n", "x.ark:3"),
    _bytes("a pickle", lambda data: b"u1 cos\nsystem\n(S'touch CANARY'\ntR.", "x.ark:3"),
    _bytes("rows -1", lambda data: _head(b"FM", -1, 5) + data[18:]), _bytes("cols -1", lambda data: _head(b"FM", 12, -1) + data[18:]),
    _bytes("rows and cols -1", lambda data: _head(b"FM", -1, -1) + data[18:]),
    _bytes("rows 2^31 - 1", lambda data: _head(b"FM", HUGE, 1) + data[18:]),
    _bytes("rows and cols 2^31 - 1", lambda data: _head(b"FM", HUGE, HUGE) + data[18:]),
    _bytes("rows 0, cols 2^31 - 1", lambda data: _head(b"FM", 0, HUGE) + data[18:], answer=f"0 {HUGE} 0.0"),
    _bytes("a vector of -1", lambda data: _head(b"FV", -1) + data[18:]),
    _bytes("a vector of 2^31 - 1", lambda data: _head(b"FV", HUGE) + data[18:]),
    _bytes("a vector of doubles, 2^31 - 1", lambda data: _head(b"DV", HUGE) + data[18:]),
    _bytes("a vector of 2^31 - 1 in a file with a hole", lambda data: _head(b"FV", HUGE), size=20 << 30),
    _bytes("a compressed matrix of 2^31 - 1", lambda data: _packed(b"CM", HUGE, HUGE) + data[18:]),
    _bytes("a compressed matrix of -1", lambda data: _packed(b"CM", -1, 5) + data[18:]),
    _bytes("CM2 of -5 rows", lambda data: _packed(b"CM2", -5, -5) + data[18:]),
    _bytes("CM3 of 2^31 - 1 in a file with a hole", lambda data: _packed(b"CM3", HUGE, 1), size=20 << 30),
    _bytes("the size byte is 8, not 4", lambda data: data[:8] + b"\x08" + data[9:]),
    _bytes("the second size byte is 0", lambda data: data[:13] + b"\0" + data[14:]),
    _bytes("a type of its own, XM", lambda data: data.replace(b"BFM", b"BXM", 1)),
    _bytes("an int matrix, IM", lambda data: data.replace(b"BFM", b"BIM", 1)),
    _bytes("a WAV where features belong", lambda data: b"u1 RIFF\x24\0\0\0WAVEfmt " + bytes(40)),
    _bytes("an AUDIO entry", lambda data: b"u1 AUDIO\x01\x04fLaC" + bytes(64)),
    _bytes("cut in the numbers", lambda data: data[:60]), _bytes("cut in the header", lambda data: data[:9]),
    _bytes("cut behind the key", lambda data: data[:3]),
    _bytes("empty", lambda data: b""),
    _bytes("NaN among the numbers", lambda data: data[:18] + struct.pack("<f", float("nan")) + data[22:], answer=f"{ROWS} {COLS} nan"),
    _bytes("rows 3 to 5", lambda data: data, answer=f"2 {COLS}", call=lambda spec: _rows(spec, 3, 2)),
    _bytes("rows 3 to 99", lambda data: data, call=lambda spec: _rows(spec, 3, 96)),
    _bytes("rows -3 to 1", lambda data: data, call=lambda spec: _rows(spec, -3, 4)),
    _bytes("rows of a vector of -1", lambda data: _head(b"FV", -1), call=lambda spec: _rows(spec, 0, 0)),
    _bytes("-1 rows", lambda data: data, call=lambda spec: _rows(spec, 3, -1)),
    _bytes("rows of a matrix of -1 cols", lambda data: _head(b"FM", 12, -1) + data[18:], call=lambda spec: _rows(spec, 0, 2)),
    _spec("an offset beyond the end", "x.ark:99999"), _spec("an offset of 2^63", f"x.ark:{2 ** 63}"),
    _spec("an offset of 2^64", f"x.ark:{2 ** 64}"),
    _spec("an offset of 5000 digits", "x.ark:" + "9" * 5000, names=("999999",)), _spec("an offset of 4000 digits", "x.ark:" + "9" * 4000,
        names=("999999",)),
    _spec("a negative offset", "x.ark:-3"),
    _spec("a wrong offset", "x.ark:4"), _spec("no file", "no.ark:3", names=("no.ark",)), _spec("a path of 5000 letters", "A" * 5000),
    _spec("a zero byte in the path", "x\0.ark:3", names=("x", "ark")),
    _spec("a pipe", "touch CANARY |"), _spec("a pipe in front", "| touch CANARY"),
    _spec("a pipe of 5000 letters", "touch CANARY" + "A" * 5000 + " |"),
    _spec("an empty name", "", names=("",)), _spec("a colon alone", ":", names=("",)), _spec("an offset without a name", ":3", names=("",)),
    _spec("a folder", ".:3", names=(".",)),
    _spec("standard input", "-", names=("-",)), _spec("a newline in the name", "x.ark\n:3", names=("x.ark",)),
    _spec("a surrogate in the name", "\udcff.ark:3", names=("ark",)),
    _scp("the sound one", lambda line: line, either(f"u2 1 {ROWS}")),
    _scp("a matrix among vectors", lambda line: line + line.replace("u2", "u3").rpartition(":")[0] + ":3\n"),
    _scp("a byte order mark", lambda line: "\ufeff" + line, either(f"u2 1 {ROWS}")),
    _scp("U+00A0 inside an id", lambda line: line.replace("u2", "u\u00a02"), either(f"u\u00a02 1 {ROWS}")),
    _scp("an empty file", lambda line: ""), _scp("the same id twice", lambda line: line + line), _scp("cut", lambda line: line[:-2]),
    _scp("a zero byte", lambda line: line.replace("u2", "u\0")),
    _scp("a blank in front", lambda line: " " + line), _scp("latin-1", lambda line: line.replace("u2", "é").encode("latin-1")),
    _scp("CRLF", lambda line: line.replace("\n", "\r\n"), either(f"u2 1 {ROWS}")),
    _scp("a pipe", lambda line: "u2 touch CANARY |\n"),
    _scp("an id of 5000 letters with a bad offset", lambda line: "A" * 5000 + line[2:-1] + "9999\n"),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """A damaged archive: the entry is of a size that the file holds, or is refused."""
    name = rng.choice(("plain", "packed"))
    data = (base / f"{name}.ark").read_bytes()
    what, damaged = mutate.damage(rng, data[:400])
    write("x.ark", damaged + data[400:] if not what.startswith("cut") else damaged)

    def check(outcome) -> str | None:
        shape = [int(size) for size in outcome.out.split()[:-1]]   # a header's size may have changed to another that fits
        return None if math.prod(shape) <= len(data) else f"a shape of {shape}, more than the file holds"
    offsets = [line.rpartition(":")[2] for line in (base / f"{name}.scp").read_text().splitlines()]
    return Case(f"{name}: {what}", _load(f"x.ark:{rng.choice(offsets)}"), check, True, ("x.ark",))
