"""Damage that any file may meet: bytes that change, go, come or are repeated."""
import random

AWKWARD = ("", "0", "-1", "nan", "inf", "-inf", "1e999", "1e-999", "0x10", "007", "1_000", "٣", "true", "null", "~", "[]", "{}", "'", '"',
           "\\", "%s", "{0}", "$HOME", "`touch CANARY`", "$(touch CANARY)", "; touch CANARY", "| touch CANARY", "touch CANARY |", "..",
           "/", "*", "a b", "a\tb", "é", "\u00a0", "\u2028", "\ufeff", "\udcff", "A" * 5000, "9" * 5000, "[" * 3000,
               "!!python/object/apply:os.system ['touch CANARY']")


def damage(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """What was done, and the bytes after it, which are never the same as before."""
    kinds = (_flip, _cut, _drop, _insert, _repeat, _zeros, _swap)
    for _ in range(20):
        what, out = rng.choice(kinds)(rng, data)
        if out != data:
            return what, out
    return "one byte more", data + b"x"


def _flip(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    if not data:
        return "nothing", data
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    return f"bit {bit} of byte {place} flipped", data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1:]


def _cut(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    place = rng.randrange(len(data) or 1)
    return f"cut at byte {place} of {len(data)}", data[:place]


def _drop(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    place = rng.randrange(len(data) or 1)
    count = rng.choice((1, 2, 7, 64))
    return f"{count} bytes gone at byte {place}", data[:place] + data[place + count:]


def _insert(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    place, fresh = rng.randrange(len(data) + 1), bytes(rng.randrange(256) for _ in range(rng.choice((1, 3, 16))))
    return f"{fresh!r} at byte {place}", data[:place] + fresh + data[place:]


def _repeat(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    place = rng.randrange(len(data) or 1)
    end = place + rng.choice((1, 8, 100))
    return f"bytes {place} to {end} twice", data[:end] + data[place:end] + data[end:]


def _zeros(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    place, count = rng.randrange(len(data) or 1), rng.choice((1, 8, 512))
    return f"{count} zero bytes over byte {place}", data[:place] + bytes(min(count, len(data) - place)) + data[place + count:]


def _swap(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return f"lines {a + 1} and {b + 1} exchanged", b"\n".join(lines)
