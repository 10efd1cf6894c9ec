"""Batched augmentation against slow, separately written arithmetic, one item at a time in float64."""
import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from sslspk.features import augment
from sslspk.features.augment import WaveAugment, equaliser

RNG = np.random.default_rng(7)


def speech(n, size):
    return RNG.normal(0, 1500, (n, size)).round()


def room(n, length, peak):
    tail = RNG.normal(0, 1, (n, length)) * np.exp(-np.arange(length) / (length / 5)) * 6000
    tail[:, :peak] *= 0.01
    tail[:, peak] = 30000 * RNG.choice([-1, 1], n)
    return tail.round()


def curve(points, frequency):
    """Gain in dB at one frequency in Hz (16 kHz audio), point by point as the docstring describes it."""
    place = np.log1p(frequency / 700) / np.log1p(8000 / 700) * (len(points) - 1)
    left = min(int(place), len(points) - 2)
    share = (1 - np.cos(np.pi * (place - left))) / 2
    return points[left] * (1 - share) + points[left + 1] * share


def oracle(wave, noise, snr_db, rir, has_rir, eq_db, gain_db, speech, speech_db):
    out = wave.astype(np.float64)
    if has_rir:
        peak = int(np.argmax(np.abs(rir)))
        out = fftconvolve(out, rir / np.abs(rir[peak]))[peak:peak + len(wave)]
    if np.any(eq_db):
        gains = [10 ** (curve(eq_db, f) / 20) for f in np.linspace(0, 8000, 2049)]
        response = np.fft.fftshift(np.fft.irfft(gains))       # zero phase, so its centre is time zero
        out = fftconvolve(out, response)[2048:2048 + len(wave)]
    filtered = out
    for sound, level in ((noise, snr_db), (speech, speech_db)):
        if not np.isnan(level):
            wanted = np.mean(filtered ** 2) / 10 ** (level / 10)
            out = out + sound * np.sqrt(wanted / np.mean(sound ** 2))
    return out * np.sqrt(np.mean(wave ** 2) / np.mean(out ** 2)) * 10 ** (gain_db / 20)


def batch(n=12, size=6000, length=1500, points=6):
    snr = RNG.uniform(0, 18, n)
    snr[::3] = np.nan
    eq = RNG.uniform(-10, 10, (n, points))
    eq[1::2] = 0
    other = RNG.uniform(5, 10, n)
    other[1::3] = np.nan
    return {"wave": speech(n, size), "noise": RNG.normal(0, 300, (n, size)).round(), "snr_db": snr,
            "rir": room(n, length, 37), "has_rir": np.arange(n) % 4 < 2, "eq_db": eq, "gain_db": RNG.uniform(-3, 3, n),
            "speech": RNG.normal(0, 2000, (n, size)).round(), "speech_db": other}


def run(items):
    return WaveAugment()(**{k: torch.from_numpy(np.asarray(v)) if k == "has_rir" else torch.tensor(v, dtype=torch.float32)
                            for k, v in items.items()})


def relative(found, expected):
    return np.sqrt(((found - expected) ** 2).mean(-1) / (expected ** 2).mean(-1))


@pytest.mark.parametrize("size, length", [(6000, 1500), (4001, 799), (1000, 3000)])
def test_matches_the_oracle(size, length):
    items = batch(size=size, length=length)
    found = run(items).numpy()
    expected = np.stack([oracle(*(items[k][i] for k in items)) for i in range(len(found))])
    # The room and the equaliser are one filter here and two truncated ones in the oracle: the end of a crop differs a little.
    both = items["has_rir"] & items["eq_db"].any(1)
    assert relative(found[~both], expected[~both]).max() < 1e-3
    assert relative(found[both, :-64], expected[both, :-64]).max() < 2e-2


def test_room_alone_is_exact():
    items = batch()
    items["eq_db"] = np.zeros((12, 0))
    expected = np.stack([oracle(*(items[k][i] for k in items)) for i in range(12)])
    assert relative(run(items).numpy(), expected).max() < 1e-5


def test_nothing_asked_leaves_the_wave_bit_for_bit():
    items = batch() | {"snr_db": np.full(12, np.nan), "has_rir": np.zeros(12, bool), "eq_db": np.zeros((12, 6)),
                       "gain_db": np.zeros(12), "speech_db": np.full(12, np.nan)}
    assert np.array_equal(run(items).numpy(), items["wave"].astype(np.float32))
    bare = WaveAugment()(torch.tensor(items["wave"]), torch.zeros(12, 0), torch.full((12,), torch.nan))
    assert np.array_equal(bare.numpy(), items["wave"].astype(np.float32))


def test_an_item_does_not_depend_on_its_batch():
    items = batch()
    whole = run(items)
    for i in (0, 1, 4):
        alone = run({k: v[i:i + 1] for k, v in items.items()})
        assert relative(whole[i].numpy(), alone[0].numpy()) < 1e-6


def test_direct_path_is_not_delayed():
    wave = np.zeros((1, 2000))
    wave[0, 700] = 8000
    out = run({"wave": wave, "noise": np.zeros((1, 0)), "snr_db": [np.nan], "rir": room(1, 400, 55), "has_rir": [True]})
    assert int(out.abs().argmax()) == 700


def test_snr_and_level_as_asked():
    items = batch() | {"has_rir": np.zeros(12, bool), "eq_db": np.zeros((12, 6)), "gain_db": np.zeros(12),
                       "speech_db": np.full(12, np.nan)}
    items["snr_db"] = np.linspace(-5, 20, 12)
    out = run(items).numpy()
    assert np.allclose(np.sqrt((out ** 2).mean(1)), np.sqrt((items["wave"] ** 2).mean(1)), rtol=1e-5)
    for i in range(12):  # the mixture is a x speech + b x noise: find a and b by least squares
        basis = np.stack([items["wave"][i], items["noise"][i]], 1)
        (a, b), *_ = np.linalg.lstsq(basis, out[i], rcond=None)
        snr = 10 * np.log10(np.mean((a * basis[:, 0]) ** 2) / np.mean((b * basis[:, 1]) ** 2))
        assert snr == pytest.approx(items["snr_db"][i], abs=1e-3)


@pytest.mark.parametrize("silent", ["wave", "noise", "rir"])
def test_silence_stays_finite(silent):
    items = batch()
    items["snr_db"][:] = 5
    items["has_rir"][:] = True
    items[silent] = np.zeros_like(items[silent])
    out = run(items)
    assert out.isfinite().all()
    assert (out.abs().amax(1) > 0).all() == (silent != "wave")


def test_never_beyond_the_int16_range():
    items = batch() | {"gain_db": np.full(12, 60.0)}
    assert run(items).abs().max() <= 32768 * (1 + 1e-6)


def test_equaliser_at_its_points_and_between():
    points = np.array([6.0, -3.0, 0.0, 9.0])
    gains = 20 * torch.log10(equaliser(torch.tensor(points)[None].float(), 8001))[0].numpy()   # one bin per Hz
    mels = np.linspace(0, np.log1p(8000 / 700), 4)
    at = np.round(700 * np.expm1(mels)).astype(int)
    assert np.allclose(gains[at], points, atol=0.01)
    for f in (100, 555, 1234, 5000, 7900):
        assert gains[f] == pytest.approx(curve(points, f), abs=1e-3)


def test_rows_are_filtered_as_in_a_whole_batch():
    """Bit for bit as where all rows go through both transforms, those without a room with a unit impulse; from the loader's numbers too."""
    items = batch(n=80)
    wave, rir, eq_db = (torch.tensor(items[key], dtype=torch.float32) for key in ("wave", "rir", "eq_db"))
    has_rir = torch.from_numpy(items["has_rir"])
    length = augment._period(wave.shape[1] + rir.shape[1])
    impulse = torch.zeros_like(rir)
    impulse[:, 0] = 1
    whole = augment._convolve(wave, torch.where(has_rir[:, None], rir, impulse), eq_db, length)
    wanted = (has_rir | (eq_db != 0).any(1))[:, None]
    rows = augment.rows_to_filter(has_rir, eq_db)
    assert [len(one) for one in rows] == [40, 20]
    for numbers in (rows, (None, None)):
        assert torch.equal(augment._filter(wave, rir, has_rir, eq_db, numbers), torch.where(wanted, whole, wave))


def test_a_device_is_not_waited_for_where_the_rows_are_known():
    """On "meta", where a look at a value raises. The rows are as many as the host knows, padded."""
    items = {key: torch.empty(np.asarray(value).shape, device="meta") for key, value in batch().items()}
    items["has_rir"] = items["has_rir"].bool()
    rows = {"rooms": torch.empty(6, dtype=torch.int64, device="meta"), "equalised": torch.empty(0, dtype=torch.int64, device="meta")}
    assert WaveAugment()(**items, **rows).shape == (12, 6000)
    assert len(augment._padded(rows["rooms"])) == augment.BLOCK and not len(augment._padded(rows["equalised"]))
    with pytest.raises((RuntimeError, NotImplementedError)):
        WaveAugment()(**items)
