"""Recordings that a report plays: each is in the page once, however many systems got it wrong."""
import base64
import io
import json
from pathlib import Path

import soundfile

from sslspk.errors import InputError
from sslspk.io import clips

SECONDS = 3.0    # of a recording
RATE = 16000
SCRIPT = """
const sounds = %s;
for (const player of document.querySelectorAll('audio')) player.src = 'data:audio/flac;base64,' + sounds[player.dataset.sound];
"""


class Sounds:
    """The recordings of one page. refused: whether one of the data directory that is open found no room."""

    def __init__(self):
        self.audio: list[str] = []
        self.refused, self._room, self._sources, self._numbers = False, 0, {}, {}

    def open(self, data: Path, most: int) -> None:
        """Take recordings from this data directory, at most so many."""
        self._sources = clips.read(data) if most and (data / "wav.scp").is_file() else {}
        self.refused, self._room, self._numbers = False, most, {}

    def number(self, utt: str) -> int | None:
        """The number of an utterance's recording on the page; None where it cannot be read, or no room is left."""
        if utt not in self._numbers and utt in self._sources:
            self.refused |= not self._room
            sound = _sound(utt, self._sources[utt]) if self._room else ""
            self._numbers[utt] = len(self.audio) if sound else None
            if sound:
                self.audio.append(sound)
                self._room -= 1
        return self._numbers.get(utt)

    def script(self) -> str:
        """What gives every player of the page its recording."""
        return SCRIPT % json.dumps(self.audio) if self.audio else ""


def _sound(utt: str, clip: clips.Clip) -> str:
    """The first seconds as FLAC in base64, about 70 kB; "" where they cannot be read."""
    try:
        samples = clips.utterance(utt, clip, RATE)[:round(SECONDS * RATE)]
    except InputError:
        return ""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()
