"""Noises and rooms on the device: places give the samples that the loader would have read, bit for bit."""
import numpy as np
import pytest
import torch
from packed_ramps import RATE, dataset, equal, make_dir

from sslspk.data import noise, resident
from sslspk.data.config_augment import AugmentConfig
from sslspk.data.loader import make_loader
from sslspk.data.noise import NoiseBank
from sslspk.errors import InputError

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
PLACED = ("noise", "speech", "rir")


def sounds(i, n):
    """A recording that is mostly loud; number 1 is mostly silent, number 2 just below or above what counts as silent."""
    rng = np.random.default_rng(i)
    wave = rng.normal(0, noise.SILENT_RMS if i == 2 else 900, n)
    return np.where(np.arange(n) < n // 9, wave, 0) if i == 1 else wave


@pytest.fixture
def lists(tmp_path):
    """Recordings far shorter and far longer than a crop, and of exactly its length."""
    for kind in ("noise", "music", "speech", "rir_small"):
        lengths = [90, 400, 40, 30] if kind.startswith("rir") else [700, 30000, 9000, 5000, 40000, 33]
        make_dir(tmp_path / "augment" / kind, lengths, ramp=sounds)
    return tmp_path / "augment"


def banks(lists, say=print, **kw):
    """The same bank twice, the second one's recordings in memory, and these."""
    options = {"rir_seconds": 0.08, "eq_prob": 0.5, "gain_db": (-6, 6), "speech_prob": 0.5, "noise_weights": {"speech": 1}, **kw}
    there = NoiseBank(lists, AugmentConfig(**options, on_device=True), RATE)
    return NoiseBank(lists, AugmentConfig(**options), RATE), there, resident.keep(there, CPU, say)


def heard(recordings, draw, size):
    """A draw with the samples of its places."""
    crop = {key: torch.from_numpy(np.asarray(value)[None]) for key, value in draw._asdict().items()}
    return draw._replace(**{key: recordings.heard(crop, size)[key][0].numpy() for key in PLACED})


@pytest.mark.parametrize("size", [20, 700, 5000, 9100])
def test_a_place_has_the_samples_that_would_have_been_read(lists, size):
    read, placed, recordings = banks(lists)
    rngs = [np.random.default_rng(1) for _ in range(2)]
    seen = set()
    for _ in range(500):
        a, b = read.pick(rngs[0], size), placed.pick(rngs[1], size)
        assert all(getattr(b, key).shape == (3,) for key in PLACED)
        seen |= {(key, getattr(a, key).any()) for key in PLACED}
        for x, y in zip(a, heard(recordings, b, size), strict=True):
            assert x.dtype == y.dtype and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    assert len(seen) == 6 and rngs[0].random() == rngs[1].random()
    for x, y in zip(read.nothing(size), heard(recordings, placed.nothing(size), size), strict=True):
        assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f")


def test_a_part_that_is_off_takes_no_space(lists):
    _, placed, recordings = banks(lists, speech_prob=0, reverb_prob=0)
    draw = placed.pick(np.random.default_rng(0), 500)
    assert draw.speech.shape == draw.rir.shape == (0,)
    assert heard(recordings, draw, 500).speech.shape == (0,)


def test_only_slices_that_may_be_silent_are_read(lists, monkeypatch):
    _, placed, _ = banks(lists, noise_prob=1)
    names = []
    monkeypatch.setattr(noise, "_samples", lambda index, which, part, size: names.append(which) or np.zeros(size, np.int16))
    for seed in range(300):
        placed.pick(np.random.default_rng(seed), 4000)
    assert set(names) == {0, 1, 2, 5}   # shorter than a block, silent or nearly so
    assert NoiseBank.describe(placed) == "noise 6, music 6, speech 6, another voice 6, rir_small 4; on the device, 0.000539 GB"


def test_batches_of_several_workers_are_the_same(lists, tmp_path):
    """What the front end mixes is equal, and the loader hands over a fraction of the bytes."""
    read, placed, recordings = banks(lists)
    data = make_dir(tmp_path / "data")
    sent = [[*make_loader(dataset(data, augment=bank), 0, 4, 2, False)] for bank in (read, placed)]
    for a, b in zip(*sent, strict=True):
        assert bytes_of(b) < 0.5 * bytes_of(a)
        for crop in b["crops"]:
            views = crop["wave"].shape[:2]
            flat = {key: crop[key].flatten(0, 1) for key in PLACED}
            crop.update({key: value.unflatten(0, views) for key, value in recordings.heard(flat, crop["wave"].shape[2]).items()})
        assert equal(a, b)


def bytes_of(batch):
    return sum(value.nbytes for crop in batch["crops"] for value in crop.values())


@pytest.mark.parametrize(("asked", "free", "kept"), [(None, 10.01, True), (None, 9.99, False), (True, 1.01, True), (False, 100, False)])
def test_on_a_gpu_recordings_are_kept_where_they_fit(monkeypatch, asked, free, kept):
    """free: bytes that the GPU has for each byte of the recordings."""
    said = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * 10 ** 9), 10 ** 12))
    assert resident._wanted(10 ** 9, asked, CUDA, said.append) == kept
    assert len(said) == (free == 9.99)
    if said:
        assert said[0].startswith("noises and rooms take 1 GB, more than a tenth of the 9.99 GB free on cuda:0") and len(said[0]) <= 160


def test_what_is_asked_for_and_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 ** 9, 10 ** 12))
    with pytest.raises(InputError, match=r"augment.on_device: .* take 12.6 GB, and cuda:0 has 1 GB") as refused:
        resident._wanted(12_600_000_000, True, CUDA, print)
    assert len(str(refused.value)) <= 160


def test_on_a_cpu_recordings_are_kept_only_if_asked_for(lists):
    bank = NoiseBank(lists, AugmentConfig(), RATE)
    assert resident.keep(bank, CPU, print) is None and bank.layout is None and "device" not in bank.describe()
    none = NoiseBank(None, AugmentConfig(noise_prob=0, reverb_prob=0, eq_prob=1, on_device=True), RATE)
    assert resident.keep(none, CPU, print) is None
