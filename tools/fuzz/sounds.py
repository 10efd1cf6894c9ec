"""One recording in every container that libsndfile or PyAV writes, and some that only a byte editor does."""
import io
import math
import struct

RATE, SAMPLES = 16000, 42560   # 2.66 s
LOSSLESS = ("wav", "wavex", "wav24", "wavfloat", "stereo", "aiff", "au", "caf", "w64", "rf64", "flac", "sph", "voc", "alac", "matroska",
    "bext", "odd", "stream0", "streamF", "soxpipe",
            "flac0", "list")
LOSSY = ("ogg", "opus", "mp3", "mp3noxing", "mp3cbr", "m4a", "adts", "webm", "ulaw", "alaw", "adpcm", "wma", "wavpack", "tta", "mp4",
    "mov", "oggopus", "aacmkv", "mp3id3")
# where nothing in the file says how long the recording is: a cut one may pass for a shorter one
UNSAID = ("mp3noxing", "mp3cbr", "adts", "stream0", "streamF", "soxpipe", "adpcm", "webm", "aacmkv", "matroska", "wavpack", "tta", "mp3",
    "mp3id3")
NAMES = {"aiff": "aiff", "au": "au", "caf": "caf", "w64": "w64", "flac": "flac", "flac0": "flac", "sph": "sph", "voc": "voc",
    "alac": "m4a", "matroska": "mka", "ogg": "ogg",
         "opus": "opus", "mp3": "mp3", "mp3noxing": "mp3", "mp3cbr": "mp3", "mp3id3": "mp3", "m4a": "m4a", "adts": "aac", "webm": "webm",
         "wma": "wma", "mp4": "mp4", "mov": "mov",
         "oggopus": "ogg", "aacmkv": "mka", "wavpack": "wv", "tta": "tta"}
SNDFILE = {"wav": ("WAV", "PCM_16"), "wavex": ("WAVEX", "PCM_16"), "wav24": ("WAV", "PCM_24"), "wavfloat": ("WAV", "FLOAT"),
    "aiff": ("AIFF", "PCM_16"), "au": ("AU", "PCM_16"), "caf": ("CAF", "PCM_16"),
           "w64": ("W64", "PCM_16"), "rf64": ("RF64", "PCM_16"), "flac": ("FLAC", "PCM_16"), "sph": ("NIST", "PCM_16"),
           "voc": ("VOC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"),
           "mp3": ("MP3", "MPEG_LAYER_III"), "ulaw": ("WAV", "ULAW"), "alaw": ("WAV", "ALAW"), "adpcm": ("WAV", "IMA_ADPCM")}
AV = {"alac": ("ipod", "alac", {}), "matroska": ("matroska", "pcm_s16le", {}), "mp3noxing": ("mp3", "libmp3lame", {"write_xing": "0",
    "id3v2_version": "0"}), "mp3cbr": ("mp3", "libmp3lame", {"write_xing": "0"}),
      "m4a": ("ipod", "aac", {}), "adts": ("adts", "aac", {}), "webm": ("webm", "libopus", {}), "wma": ("asf", "wmav2", {}),
      "mp4": ("mp4", "aac", {}), "mov": ("mov", "pcm_s16le", {}),
      "oggopus": ("ogg", "libopus", {}), "aacmkv": ("matroska", "aac", {}), "wavpack": ("wv", "wavpack", {}), "tta": ("tta", "tta", {}),
          "mp3id3": ("mp3", "libmp3lame", {})}


def speech():
    """int16 (SAMPLES,): voiced stretches with pauses, so that a variable bit rate varies."""
    import numpy as np
    rng, t = np.random.default_rng(3), np.arange(SAMPLES) / RATE
    tone = sum(np.sin(2 * np.pi * f * t + f) / k for k, f in enumerate((120, 240, 480, 1200, 2400), 1))
    level = np.clip(np.sin(2 * np.pi * 0.9 * t), 0.0, 1) ** 2
    return (4000 * tone * level + rng.normal(0, 30 + 800 * level)).astype("<i2")


def make(name: str) -> bytes:
    """The recording in one of LOSSLESS or LOSSY."""
    x = speech()
    if name in SNDFILE or name == "stereo":
        import soundfile
        form, subtype = SNDFILE.get(name, ("WAV", "PCM_16"))
        out = io.BytesIO()
        soundfile.write(out, _two(x) if name == "stereo" else x / 32768 if subtype == "FLOAT" else x, RATE, format=form, subtype=subtype)
        return out.getvalue()
    if name in AV:
        return _av(x, *AV[name], variable=name == "mp3noxing")
    data = x.tobytes()
    if name == "flac0":   # as ffmpeg writes it into a pipe
        flac = bytearray(make("flac"))
        flac[21] &= 0xF0
        flac[22:26] = bytes(4)
        return bytes(flac)
    sizes = {"stream0": (0, 0), "streamF": (0xFFFFFFFF, 0xFFFFFFFF), "soxpipe": (0x7FFFF024, 0x7FFFF000)}
    riff, length = sizes.get(name, (None, len(data)))
    before = {"bext": _chunk(b"bext", bytes(70000)), "odd": _chunk(b"note", b"abc"), "list": _chunk(b"LIST",
        b"INFO" + bytes(120000))}.get(name, b"")
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    body = b"WAVE" + form + before + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def _two(x):
    import numpy as np
    return np.stack([x, -(x // 2)], 1)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _av(x, form: str, codec: str, options: dict[str, str], variable: bool) -> bytes:
    import av
    import numpy as np
    out = io.BytesIO()
    rate = 48000 if codec == "libopus" else RATE
    with av.open(out, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if variable:
            stream.codec_context.options = {"flags": "+qscale", "global_quality": str(4 * 118)}
        elif codec not in ("flac", "alac", "pcm_s16le", "wavpack", "tta"):
            stream.codec_context.bit_rate = 64000
        frame = av.AudioFrame.from_ndarray(x[None].astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate,
            frame_size=stream.codec_context.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()



def slack(name: str) -> int:
    """Samples at 16 kHz by which a lossy coder may lengthen a recording: its delay and its last frame."""
    return 0 if name in LOSSLESS else math.ceil(0.2 * RATE)
