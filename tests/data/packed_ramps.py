"""A packed data directory whose samples say where they come from."""
import numpy as np

from sslspk.data.config import Crop, DataConfig
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.io import audio, datadir, table

RATE = 1000
LENGTHS = [1500, 2000, 800, 3000, 1200, 1000, 400, 2500]
CROPS = (Crop(count=2, seconds=1.0), Crop(count=3, seconds=0.5))


def make_dir(folder, lengths=LENGTHS, ramp=lambda i, n: 1000 * i + np.arange(n) % 1000, speaker=lambda i: i // 2):
    """Utterance i holds ramp(i, n), by default 1000 i, 1000 i + 1, ..., and belongs to speaker(i)."""
    folder.mkdir(parents=True)
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as pack:
        for i, n in enumerate(lengths):
            pack.write(f"s{speaker(i)}-u{i:02d}", ramp(i, n).astype(np.int16), RATE)
    wav = table.read(folder / "pack.scp")
    datadir.write(folder, wav=wav, utt2spk={u: u.split("-")[0] for u in wav},
                  utt2num_samples=dict(zip(wav, lengths, strict=True)))
    return folder


def dataset(folder, *, seed=3, labels=False, crops=CROPS, **kw):
    """BatchDataset of batches of 4; fields of DataConfig and of BatchDataset alike may be given."""
    config = {k: kw.pop(k) for k in list(kw) if k in DataConfig.model_fields}
    config = DataConfig(**{"batch_size": 4, "workers": 0, **config})
    return BatchDataset(UtteranceIndex(folder, "wave", labels, same=config.same), config, crops, seed=seed, rate=RATE, **kw)


def same(a, b):
    """Whether two tensors are equal, NaN being equal to NaN."""
    return np.array_equal(a.numpy(), b.numpy(), equal_nan=a.dtype.is_floating_point)


def equal(a, b):
    """Whether two batches are equal in everything."""
    return (same(a["unit"], b["unit"]) and same(a["label"], b["label"]) and a["failed"] == b["failed"] and all(
        x.keys() == y.keys() and all(same(x[k], y[k]) for k in x) for x, y in zip(a["crops"], b["crops"], strict=True)))


def unreadable(folder, utt):
    """Let an utterance name a file that is not there."""
    specs = table.read(folder / "wav.scp")
    specs[utt] = str(folder / "gone.wav")
    table.write(folder / "wav.scp", specs)
