"""Every recording of a training set once, as it is: what memory banks and clusterings are made of."""
import numpy as np
import torch

from sslspk.data import views
from sslspk.data.index import UtteranceIndex
from sslspk.io import ark


class PlainCrops(torch.utils.data.Dataset):
    """`plain[i]` is this rank's i-th batch: the middle of each recording's first utterance, without augmentation.

    crops   one dictionary: wave int16 (1,B,S) or feats float32 (1,B,T,F)
    unit    (B,) int64: positions of the recordings in the index
    failed  "utterance: reason" of each recording that could not be read; its crop is zeros, so that no row is missing
    """

    def __init__(self, index: UtteranceIndex, units: np.ndarray, size: int, form: str, batch_size: int, rank: int = 0, world: int = 1):
        """units (N,): the recordings of all ranks, of which this one takes every world-th from `rank` on. size: samples or frames."""
        self.index, self.size, self.form, self.batch_size = index, size, form, batch_size
        self.units = np.asarray(units[rank::world], np.int64)
        self._blank = np.zeros(size, np.int16) if form == "wave" else np.zeros((size, _width(index)), np.float32)

    def __len__(self) -> int:
        """How many batches this rank has; the last one may be smaller."""
        return -(-len(self.units) // self.batch_size)

    def __getitem__(self, i: int) -> dict:
        units = self.units[i * self.batch_size:(i + 1) * self.batch_size]
        failed: list[str] = []
        items = [[{self.form: self._middle(int(unit), failed)}] for unit in units]
        views.note(self, views.IDLE)
        return {"crops": [views.stack(items)], "unit": torch.from_numpy(units), "failed": failed}

    def _middle(self, unit: int, failed: list[str]) -> np.ndarray:
        utt = int(self.index.unit(unit)[0])
        views.note(self, unit)
        start = max(int(self.index.length[utt]) - self.size, 0) // 2
        try:
            return views.read(self.index, self.form, utt, start, self.size)
        except views.Unreadable as err:
            failed.append(f"{self.index.keys[utt]}: {err}")
            return self._blank


def _width(index: UtteranceIndex) -> int:
    """F of the first utterance: the archive's features, which the training job has checked."""
    return ark.load_rows(index.spec(0), 0, 1).shape[1]
