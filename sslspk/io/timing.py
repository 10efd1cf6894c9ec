"""The times of the frames in a feats.scp, from files that steps/make_feats.sh and steps/extract_frames.sh write next to it."""
import os
from typing import NamedTuple

from sslspk import reading
from sslspk.errors import InputError, named

SHIFT, WINDOW, OPTIONS = "frame_shift", "frame_window", os.path.join(".make_feats", "options")


class Timing(NamedTuple):
    """Seconds: the middle of frame t is at t * shift + window / 2. of_model: whether a model made the frames."""

    shift: float
    window: float
    of_model: bool


def of(folder: str | os.PathLike) -> Timing:
    """The timing of FOLDER/feats.scp. A frame of a model is in the middle of its shift, or of the window given by frame_window.

    Raises InputError if neither step has written it.
    """
    shift = _seconds(folder, SHIFT)
    if shift is not None:
        return Timing(shift, _seconds(folder, WINDOW) or shift, True)
    path = os.path.join(folder, OPTIONS)
    if not os.path.exists(path):
        raise InputError(f"{named(folder)} has neither {OPTIONS} nor {SHIFT}, so the times of its frames are unknown; run "
                         "steps/make_feats.sh or steps/extract_frames.sh.")
    words = reading.text(path).split("\n")
    found = reading.json_value(words[1] if len(words) > 1 else "", named(path), "run steps/make_feats.sh again")
    shift, window = (found.get(name) for name in ("frame_shift", "frame_length")) if isinstance(found, dict) else (None, None)
    if not all(isinstance(ms, int | float) and 0 < ms <= 1000 for ms in (shift, window)):
        raise InputError(f"{named(path)} says no frame_shift and frame_length; run steps/make_feats.sh again.")
    snip = found.get("snip_edges", True)   # otherwise the first frame is in the middle of the first shift
    return Timing(shift / 1000, (window if snip else shift) / 1000, False)


def _seconds(folder: str | os.PathLike, name: str) -> float | None:
    """The number in FOLDER/NAME; None if there is no such file. Raises InputError if it holds anything else."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    try:
        found = float(reading.text(path, 100).strip())
    except ValueError:
        found = 0.0
    if not 0 < found < 100:
        raise InputError(f"{named(path)} holds no number of seconds; run steps/extract_frames.sh again.")
    return found
