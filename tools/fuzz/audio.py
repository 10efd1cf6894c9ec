"""Recordings in all containers, whole and cut, each under its own and under a wrong name, and samples that cannot be speech."""
import random
import struct
from collections.abc import Callable
from pathlib import Path

from fuzz import mutate, sounds
from fuzz.case import Case, Check, Outcome, as_program, program, write

ALL = (*sounds.LOSSLESS, *sounds.LOSSY)


def prepare(base: Path) -> None:
    for name in ALL:
        write(base / name, sounds.make(name))


def warm(base: Path) -> None:
    _pack(base / "wav", "x.wav")()
    _pack(base / "m4a", "x.m4a")()


def _pack(content: Path | bytes, name: str, *options: str) -> Callable[[], Outcome]:
    write(f"audio/{name}", content if isinstance(content, bytes) else content.read_bytes())
    write("data/wav.scp", f"u1 audio/{name}\n")
    write("data/utt2spk", "u1 u1\n")
    write("data/spk2utt", "u1 u1\n")
    return program("sslspk.bin.pack_audio", *options, "data", "w.ark", "w.scp")


def whole(name: str, least: int = sounds.SAMPLES) -> Check:
    """What was packed is the recording: every sample where nothing was lost in coding, else as long and alike."""
    def check(outcome: Outcome) -> str | None:
        import numpy as np
        x, data = sounds.speech(), np.frombuffer(Path("w.ark").read_bytes()[3 + 44:], "<i2")
        if not least - 2 * sounds.slack(name) // 3 <= len(data) <= len(x) + sounds.slack(name):
            return f"{len(data)} samples where {len(x)} were recorded"
        if name in sounds.LOSSLESS:
            return None if least < len(x) or np.abs(data.astype(int) - x).max() <= 1 else "the samples are not those that were recorded"
        return None if _alike(data, x[:len(data)]) else "what was read does not sound like what was recorded"
    return check


def _alike(a, b) -> bool:
    import numpy as np
    n = 1 << 17
    cross = np.fft.irfft(np.fft.rfft(a.astype(float), n) * np.conj(np.fft.rfft(b.astype(float), n)), n)
    return np.abs(cross).max() > 0.6 * np.sqrt((a.astype(float) ** 2).sum() * (b.astype(float) ** 2).sum())


def _file(kind: str, named: str | None = None, share: float = 1.0, must: bool = True):
    """A container under a name, whole or cut to a share of its bytes."""
    def make(base: Path) -> Case:
        data = (base / kind).read_bytes()
        name = f"x.{sounds.NAMES.get(kind, 'wav')}" if named is None else named
        what = f"{kind} called {name}" + (f", cut to {share:.0%}" if share < 1 else "")
        if share == 1:
            return Case(what, _pack(data, name), whole(kind), not must, (name,))
        allowed = whole(kind, int(share * sounds.SAMPLES * 0.5)) if kind in sounds.UNSAID else None
        return Case(what, _pack(data[:int(share * len(data))], name), allowed, True, (name,))
    return make


def _wav(what: str, change: Callable[[bytearray], bytes | bytearray | None], answer: Check | None = None, must: bool = False):
    """A 44-byte header and samples, with bytes changed."""
    def make(base: Path) -> Case:
        data = bytearray((base / "wav").read_bytes())
        return Case(f"wav: {what}", _pack(bytes(change(data) or data), "x.wav"), answer, not must, ("x.wav", "u1"))
    return make


def _samples(what: str, make_samples: Callable, form: str = "FLOAT", told: tuple[str, ...] = (), prepare_says: bool = False):
    """Samples that cannot be speech: packing must refuse them, or name the utterance and count it."""
    def make(base: Path) -> Case:
        import io

        import soundfile
        out = io.BytesIO()
        soundfile.write(out, make_samples(sounds.speech()), sounds.RATE, format="WAV", subtype=form)

        def check(outcome: Outcome) -> str | None:
            text = outcome.out + outcome.err
            return None if any(word in text for word in told) and ("u1" in text or "x.wav" in text) else f"nobody is told: {text!r}"
        return Case(f"samples: {what}", _pack(out.getvalue(), "x.wav"), check if told else None, True, ("u1", "x.wav"))
    return make


def _at(place: int, form: str, *values: int):
    def change(data: bytearray) -> None:
        struct.pack_into(form, data, place, *values)
    return change


def _packed(what: str, change: Callable[[bytes], bytes], answer: Check | None = None, spec: str = "p.ark:3"):
    """An archive of packed audio, read by its offset."""
    def make(base: Path) -> Case:
        write("p.ark", change(b"u1 " + (base / "wav").read_bytes()))

        def main() -> None:
            from sslspk.io import audio
            print(len(audio.load(spec)[0]))
        return Case(f"packed: {what}", lambda: as_program("load", main, []), answer, True, ("p.ark",))
    return make


def _count(*numbers: int) -> Check:
    return lambda outcome: None if outcome.out.strip() in map(str, numbers) else f"{outcome.out.strip()} samples, not {numbers[0]}"


def _resized(rate: int) -> Check:
    def check(outcome: Outcome) -> str | None:
        found = (Path("w.ark").stat().st_size - 47) // 2
        right = -(-sounds.SAMPLES * 16000 // rate)
        return None if found == right else f"{found} samples, not {right}"
    return check


def _flac(length: int):
    return b"u1 AUDIO\x08" + struct.pack("<Q", length)


CLIPPED = ("clip", "scale", "range", "beyond")
DEAD = ("zero", "silen", "constant", "dead")
CRAFTED = [
    _file("flac0"), _file("mp3noxing"), _file("mp3"), _file("mp3id3"), _file("stream0"), _file("sph", share=0.5),
    _file("sph", "x.WAV", 0.5), _file("bext", share=0.6),
    _file("wav", "x.WAVE", 0.5), _file("wav", "x", 0.5), _file("wav", "x.flac", 0.5), _file("m4a", "x.wav"), _file("list", share=0.7),
    _file("mp4", "x.flac"),
    _samples("float on the int16 scale", lambda x: x.astype("f4"), "FLOAT", CLIPPED),
    _samples("all zeros", lambda x: x * 0, "PCM_16", DEAD),
    _samples("one value all along", lambda x: x * 0 + 77, "PCM_16", DEAD), _samples("NaN", lambda x: x * float("nan"), "FLOAT"),
    _samples("infinite", lambda x: x / 1e-9 * 1e300 * 1e300, "DOUBLE"),
    _samples("one NaN", lambda x: [*(x[:99] / 32768.0), float("nan")], "FLOAT"),
    _samples("doubles on the int16 scale", lambda x: x.astype("f8"), "DOUBLE", CLIPPED),
    _samples("a square wave at full scale", lambda x: (x > 0) * 65534 - 32767.0, "DOUBLE", CLIPPED),
    _samples("int32 in a float", lambda x: x * 65536.0, "FLOAT", CLIPPED),
    _samples("nothing at all", lambda x: x[:0], "PCM_16"), _samples("a thousandth of the scale", lambda x: x / 32768 / 1e6, "FLOAT", DEAD),
    *[_file(kind, must=kind not in ("wavpack", "tta")) for kind in ALL if kind not in ("flac0", "mp3noxing", "mp3", "mp3id3", "stream0")],
    *[_file(kind, name, must=False) for kind, name in (("m4a", "x"), ("flac", "x.wav"), ("wav", "x.flac"), ("wav", "x.m4a"), ("ogg",
        "x.wav"), ("mp3", "x.wav"), ("wav", "x.mp3"), ("sph", "x.wav"), ("webm", "x.ogg"),
                                                       ("wav", "x.ogg"), ("wav", "x.opus"), ("flac", "x.ogg"), ("mp3", "x.ogg"),
                                                           ("adts", "x.m4a"), ("mp3", "x.m4a"), ("oggopus", "x.webm"), ("alac", "x.flac"),
                                                               ("wav", "x.mp4"), ("sph", "x.m4a"))],
    *[_file(kind, share=share) for kind in ALL if kind not in ("sph", "bext", "list") for share in ((0.5,) if kind in sounds.LOSSY
        else (0.6,))],
    *[_file(kind, name, 0.7) for kind, name in (("ogg", "x.wav"), ("opus", "x"), ("m4a", "x.wav"), ("flac", "x.m4a"), ("wav", "x.ogg"),
        ("aiff", "x.wav"), ("w64", "x.wav"), ("rf64", "x"), ("caf", "x.m4a"), ("au", "x.wav"))],
    _wav("data size 0, sound RIFF size", _at(40, "<I", 0), whole("wav")),
    _wav("RIFF size 0, sound data size", _at(4, "<I", 0), whole("wav"), True),
    _wav("data size one too many", _at(40, "<I", 2 * sounds.SAMPLES + 2)),
    _wav("data size odd", _at(40, "<I", 2 * sounds.SAMPLES - 1), whole("wav", sounds.SAMPLES - 1)),
    _wav("bytes after data that are no chunk", lambda data: data + b"x" * 999, whole("wav")),
    _wav("a data chunk twice", lambda data: data + b"data" + struct.pack("<I", 4) + b"\1\0\1\0", whole("wav")),
    _wav("no channels", _at(22, "<H", 0)), _wav("65535 channels", _at(22, "<H", 65535)),
    _wav("rate 0", _at(24, "<I", 0)), _wav("rate 2^32 - 1", _at(24, "<I", 2 ** 32 - 1)), _wav("rate 1", _at(24, "<I", 1)),
    _wav("rate 8000", _at(24, "<II", 8000, 16000), _resized(8000)),
    _wav("0 bits", _at(34, "<H", 0)), _wav("65535 bits", _at(34, "<H", 65535)), _wav("an unknown encoding", _at(20, "<H", 0x7777)),
    _wav("a fmt chunk of 2^32 - 1 bytes", _at(16, "<I", 2 ** 32 - 1)),
    _wav("a chunk of 2^32 - 9 bytes before data", lambda data: data[:36] + b"junk" + struct.pack("<I", 2 ** 32 - 9) + data[36:]),
    _wav("data before fmt", lambda data: data[:12] + data[36:] + data[12:36]),
    _wav("zeros for the first 64 bytes", lambda data: bytes(64) + data[64:]), _wav("only the header", lambda data: data[:44]),
    _wav("half a header", lambda data: data[:20]), _wav("one byte", lambda data: data[:1]),
    _wav("a web page", lambda data: b"<!DOCTYPE html><title>404</title>" * 99), _wav("text", lambda data: b"hello " * 999),
    _wav("a zip", lambda data: b"PK\3\4" + bytes(4096)), _wav("a playlist", lambda data: b"#EXTM3U\nfile:///etc/passwd\n"),
    _wav("an ffconcat", lambda data: b"ffconcat version 1.0\nfile /etc/passwd\n"),
    _wav("an HLS list of a network address",
        lambda data: b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"),
    _wav("an SDP", lambda data: b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"),
    _packed("the sound one", lambda data: data, _count(sounds.SAMPLES)), _packed("cut", lambda data: data[:-9999]),
    _packed("data of 2^32 - 1", lambda data: data[:43] + b"\xff" * 4 + data[47:]),
    _packed("data size 0", lambda data: data[:43] + bytes(4) + data[47:], _count(sounds.SAMPLES)),
    _packed("AUDIO of 2^63 bytes", lambda data: _flac(2 ** 63)), _packed("AUDIO of 2^64 - 1 bytes", lambda data: _flac(2 ** 64 - 1)),
    _packed("AUDIO of 16 GB", lambda data: _flac(16 << 30)),
    _packed("AUDIO of 255 length bytes", lambda data: b"u1 AUDIO\xff" + b"\xff" * 300),
    _packed("AUDIO of no length", lambda data: b"u1 AUDIO\0" + bytes(64)),
    _packed("an offset of 2^64", lambda data: data, spec=f"p.ark:{2 ** 64}"),
    _packed("an offset behind the end", lambda data: data, spec="p.ark:999999"),
    _packed("a wrong offset", lambda data: data, spec="p.ark:5"),
    _packed("rows of audio", lambda data: data, spec="p.ark:3[0:9]"),
]


def mutated(base: Path, rng: random.Random) -> Case:
    """Damage to the head, to the middle or to the name of a container: the whole recording, or a refusal."""
    kind = rng.choice(ALL)
    data = (base / kind).read_bytes()
    place = rng.choice((0, 0, 0, rng.randrange(len(data))))
    part = data[place:place + 256]
    what, damaged = mutate.damage(rng, part)
    cut = what.startswith("cut")
    data = data[:place] + damaged + (b"" if cut else data[place + 256:])
    name = rng.choice((f"x.{sounds.NAMES.get(kind, 'wav')}",) * 3 + ("x", "x.wav", "x.m4a", "x.ogg"))

    def check(outcome: Outcome) -> str | None:
        found = (Path("w.ark").stat().st_size - 47) // 2
        if cut and kind not in sounds.UNSAID and found < sounds.SAMPLES - 700:
            return f"{found} of {sounds.SAMPLES} samples, and nobody said so"
        return f"{found} samples of a recording of {sounds.SAMPLES}" if found > 40 * sounds.SAMPLES else None
    return Case(f"{kind} called {name}: {what}, counted from byte {place}", _pack(data, name), check, True, (name, "u1"))
