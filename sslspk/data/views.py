"""Where the views of a recording lie, and how they are read: what training batches and plain crops share."""
import numpy as np
import torch

from sslspk.data.index import UtteranceIndex
from sslspk.errors import EXHAUSTED, InputError
from sslspk.features.augment import rows_to_filter
from sslspk.io import ark

IDLE = -1   # in place of a recording
ROWS = ("rooms", "equalised")   # of a batch's crop: numbers of rows, where all else has rows


class Unreadable(Exception):
    """A recording of the training set cannot be read. It is skipped and counted; all other bad input is an error."""


def note(dataset: object, unit: int) -> None:
    """Say which recording is about to be read, or IDLE; a worker process notes it (data.loader), so that its death can be explained."""
    if hasattr(dataset, "note"):
        dataset.note(unit)


def read(index: UtteranceIndex, form: str, utt: int, start: int, size: int) -> np.ndarray:
    """`size` samples int16 (S,) or frames float32 (T,F) of an utterance from `start`; a shorter one is played from its start on.

    Raises Unreadable.
    """
    count = min(size, int(index.length[utt]))
    try:
        x = index.samples(utt, start, count) if form == "wave" else ark.load_rows(index.spec(utt), start, count)
    except (InputError, OSError) as err:
        if getattr(err, "errno", None) in EXHAUSTED:   # no fault of the recording
            raise
        raise Unreadable(str(err)) from err
    return fill(x, size)


def fill(x: np.ndarray, size: int) -> np.ndarray:
    """x repeated from its start until it has `size` rows (a copy is made only when it is short)."""
    if len(x) >= size or not len(x):
        return x[:size]
    return np.resize(x, (size, *x.shape[1:]))


def disjoint(length: int, size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Starts (count,) of `count` parts of `size` that do not overlap, in random order; every such placement is equally likely.

    Where `length` is too short for that they are spread evenly, the first at the start and the last at the end.
    """
    free = length - count * size
    if free < 0:
        starts = np.rint(np.linspace(0, max(length - size, 0), count)).astype(np.int64)
    else:  # as if each part were one sample: distinct places in order, moved on by what the parts before them take
        starts = np.sort(rng.choice(free + count, count, replace=False)) + np.arange(count) * (size - 1)
    return rng.permutation(starts)


def stack(items: list[list[dict]]) -> dict[str, torch.Tensor]:
    """[B][V] dictionaries of arrays -> one dictionary of (V, B, ...) tensors, and with rooms the rows of (V B) that are filtered."""
    views = len(items[0])
    out = {key: torch.from_numpy(np.stack([np.stack([item[v][key] for item in items]) for v in range(views)]))
           for key in items[0][0]}
    if "has_rir" in out:
        out["rooms"], out["equalised"] = rows_to_filter(out["has_rir"], out["eq_db"])
    return out


def untouched(effects: dict, size: int, augment, degrade) -> dict:
    """The effects of a clean view of `size` samples beside one with these: the same change of level, and nothing else."""
    out = {}
    if "gain_db" in effects:
        out.update(augment.nothing(size)._replace(gain_db=effects["gain_db"])._asdict())
    if "degrade" in effects:
        out["degrade"] = degrade(None)
    if "masks" in effects:
        out["masks"] = np.zeros_like(effects["masks"])
    return out
