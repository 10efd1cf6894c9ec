"""The labels of a crop's frames: from a folder of labels of whole utterances to the places where crops lie."""
from pathlib import Path

import numpy as np

from sslspk.data.index import UtteranceIndex
from sslspk.errors import InputError, named
from sslspk.features.config import FeatureOptions
from sslspk.io.alignments import Alignments


class CropLabels:
    """at(utterance, start, size) -> int64 (T,): for each frame of the features of `size` samples from `start` the label nearest in time.

    The samples of an utterance shorter than `size` repeat, as data.views.fill has it, and so do its labels. kinds: what the labels may be;
    none: any. Raises InputError where the folder holds others, or none of some utterance of the index; on reading, where an
    utterance's labels are of another length.
    """

    def __init__(self, folder: str | Path, index: UtteranceIndex, features: FeatureOptions, kinds: tuple[str, ...] = ()):
        self.known, self.features = Alignments(folder), features
        self.about = self.known.about
        if kinds and self.about.kind not in kinds:
            raise InputError(f"{named(str(folder))}/ali.json: labels of kind {self.about.kind}, but method.label_kinds says "
                             f"{', '.join(kinds)}; give other labels with data.frame_labels, or another system.")
        self.known.require(index.keys)

    @property
    def fingerprint(self) -> str:
        """A fingerprint of the labels, to be added to that of the data."""
        return f", frame labels {self.about.kind} {self.about.digest}"

    def at(self, utt: str, length: int, start: int, size: int) -> np.ndarray:
        """length: samples of the whole utterance."""
        o, rate = self.features, self.features.sample_frequency
        shift, window = o.shift_samples / rate, o.window_samples / rate
        early = 0.0 if o.snip_edges else (shift - window) / 2   # seconds at which the first frame begins
        whole = self.known.at(utt, max(1, o.num_frames(length)), shift, window)
        if length >= size:
            return self.known.at(utt, o.num_frames(size), shift, window, start / rate + early).astype(np.int64)
        middle = (np.arange(o.num_frames(size)) * shift + window / 2 + early) % (length / rate)
        place = np.rint((middle - window / 2 - early) / shift).astype(np.int64)
        return whole[place.clip(0, len(whole) - 1)].astype(np.int64)
