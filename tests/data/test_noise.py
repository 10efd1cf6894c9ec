"""What NoiseBank draws: how often, from where, and that the generator alone decides."""
import collections

import numpy as np
import pytest

from sslspk import plain_yaml
from sslspk.config import check, load
from sslspk.data import config_augment, noise, speed
from sslspk.data.config_augment import AugmentConfig
from sslspk.data.noise import NoiseBank
from sslspk.errors import InputError
from sslspk.io import audio, datadir, table

RATE = 1000
OFFSET = {"noise": 1000, "music": 2000, "babble": 3000, "rir_small": 4000, "rir_real": 5000}


def pack(folder, recordings):
    folder.mkdir(parents=True)
    with audio.PackWriter(folder / "wav.ark", folder / "pack.scp") as archive:
        for utt, samples in sorted(recordings.items()):
            archive.write(utt, samples.astype(np.int16), RATE)
    wav = table.read(folder / "pack.scp")
    datadir.write(str(folder), wav=wav, utt2spk={u: u for u in wav},
                  utt2num_samples={u: len(recordings[u]) for u in wav})


@pytest.fixture
def lists(tmp_path):
    """Every sample tells its kind (thousands) and its recording (units of 100) and its place in it."""
    for kind, base in OFFSET.items():
        lengths = (90, 400) if not kind.startswith("rir") else (30, 80)
        pack(tmp_path / kind, {f"r{i}": base + 100 * i + np.arange(n) % 100 for i, n in enumerate(lengths)})
    return tmp_path


def bank(folder, **kw):
    return NoiseBank(folder, AugmentConfig(rir_seconds=0.05, **kw), RATE)


def draws(source, n=3000, size=150, seed=0):
    rng = np.random.default_rng(seed)
    return [source.pick(rng, size) for _ in range(n)]


def test_shapes_types_and_probabilities(lists):
    found = draws(bank(lists, eq_prob=0.3, eq_points=5, gain_db=(-2, 1)))
    for d in found:
        assert d.noise.shape == (150,) and d.noise.dtype == np.int16
        assert d.rir.shape == (50,) and d.rir.dtype == np.int16
        assert d.eq_db.shape == (5,) and d.eq_db.dtype == np.float32
        assert d.snr_db.dtype == np.float32 and d.has_rir.dtype == np.bool_
        assert d.has_rir == d.rir.any() and np.isnan(d.snr_db) != d.noise.any()
        assert -2 <= d.gain_db <= 1
    assert np.mean([d.has_rir for d in found]) == pytest.approx(0.45, abs=0.03)
    assert np.mean([~np.isnan(d.snr_db) for d in found]) == pytest.approx(0.7, abs=0.03)
    assert np.mean([d.has_rir and ~np.isnan(d.snr_db) for d in found]) == pytest.approx(0.45 * 0.7, abs=0.03)
    assert np.mean([d.eq_db.any() for d in found]) == pytest.approx(0.3, abs=0.03)
    assert np.abs([d.eq_db for d in found]).max() <= 10


def test_kinds_follow_their_weights_and_snr_ranges(lists):
    found = draws(bank(lists, noise_prob=1, noise_weights={"noise": 2, "music": 1, "babble": 1},
                       snr_db={"music": [5, 6]}))
    snrs = collections.defaultdict(list)
    for d in found:
        snrs[int(d.noise[0]) // 1000].append(d.snr_db)
    shares = [len(snrs[kind]) / len(found) for kind in (1, 2, 3)]
    assert np.allclose(shares, [0.5, 0.25, 0.25], atol=0.03)
    for kind, low, high in ((1, 0, 18), (2, 5, 6), (3, 3, 18)):
        assert low <= min(snrs[kind]) and max(snrs[kind]) <= high
        assert np.ptp(snrs[kind]) > 0.9 * (high - low)
    rooms = collections.Counter(int(d.rir[0]) // 1000 for d in found if d.has_rir)
    assert rooms[4] / (rooms[4] + rooms[5]) == pytest.approx(0.5, abs=0.05)   # medium is not there


def test_slices_are_contiguous_and_short_noises_repeat(lists):
    seen = set()
    for d in draws(bank(lists, noise_prob=1), 300):
        place = d.noise.astype(int) % 100
        period = 90 if d.noise.max() % 1000 < 100 else 100
        assert ((np.diff(place) % period) == 1).all()
        seen.add((period, place[0]))
    assert len(seen) > 100


def test_another_voice_comes_whether_there_is_noise_or_not(lists):
    pack(lists / "speech", {f"r{i}": 6000 + 100 * i + np.arange(n) % 100 for i, n in enumerate((90, 400))})
    source = bank(lists, noise_prob=0.4, speech_prob=0.1, snr_db={"speech": [5, 10]})
    found = draws(source, 6000)
    noisy, spoken = (np.array([~np.isnan(getattr(d, key)) for d in found]) for key in ("snr_db", "speech_db"))
    assert noisy.mean() == pytest.approx(0.4, abs=0.03) and spoken.mean() == pytest.approx(0.1, abs=0.02)
    assert (noisy & spoken).mean() == pytest.approx(0.04, abs=0.01)
    for d, there in zip(found, spoken, strict=True):
        assert d.speech.shape == (150,) and d.speech.any() == there
        assert not there or (d.speech.min() >= 6000 and 5 <= d.speech_db <= 10)
    assert all(d.noise.max() < 4000 for d in found), "speech is no kind of noise here"
    assert "another voice 2" in source.describe()
    none = source.nothing(150)
    assert none.speech.shape == (150,) and not none.speech.any() and np.isnan(none.speech_db)


def test_without_another_voice_everything_is_drawn_as_before(lists):
    """The fields that were there first do not depend on it, and it takes no space."""
    pack(lists / "speech", {"r0": 6000 + np.arange(300)})
    plain, spoken = bank(lists, eq_prob=0.5, gain_db=(-2, 1)), bank(lists, eq_prob=0.5, gain_db=(-2, 1), speech_prob=1)
    for seed in range(50):
        a, b = (source.pick(np.random.default_rng(seed), 150) for source in (plain, spoken))
        assert all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a[:6], b[:6], strict=True))
        assert a.speech.shape == (0,) and np.isnan(a.speech_db) and b.speech.any()


def test_either_never_gives_room_and_noise(lists):
    found = draws(bank(lists, mode="either", reverb_prob=0.25, noise_prob=1))
    assert not any(d.has_rir and ~np.isnan(d.snr_db) for d in found)
    assert np.mean([~np.isnan(d.snr_db) for d in found]) == pytest.approx(0.75, abs=0.03)


def test_the_generator_alone_decides(lists):
    first, second = bank(lists, eq_prob=0.5), bank(lists, eq_prob=0.5)
    second.pick(np.random.default_rng(5), 90)
    for a, b in zip(draws(first, 50), draws(second, 50), strict=True):
        assert all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def test_silent_slices_are_drawn_again_and_given_up_in_the_end(tmp_path):
    half = np.zeros(400)
    half[:60] = 500
    pack(tmp_path / "noise", {"half": half})
    found = draws(bank(tmp_path, noise_prob=1), 300)
    assert all(noise.rms(d.noise) >= noise.SILENT_RMS for d in found if not np.isnan(d.snr_db))
    assert np.mean([~np.isnan(d.snr_db) for d in found]) == pytest.approx(1 - (191 / 251) ** noise.TRIES, abs=0.1)
    pack(tmp_path / "quiet" / "noise", {"quiet": np.ones(400)})
    assert all(np.isnan(d.snr_db) and not d.noise.any() for d in draws(bank(tmp_path / "quiet", noise_prob=1), 20))


def test_what_is_off_or_absent_takes_no_space(tmp_path):
    pack(tmp_path / "noise", {"a": 1000 + np.arange(300)})
    d = draws(bank(tmp_path), 1)[0]
    assert d.rir.shape == (0,) and d.eq_db.shape == (0,) and not d.has_rir
    d = draws(bank(tmp_path, noise_prob=0, reverb_prob=0, eq_prob=1), 1)[0]
    assert d.noise.shape == (0,) and np.isnan(d.snr_db) and d.eq_db.any()


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="make_augment_lists"):
        bank(tmp_path)


def test_a_kind_that_has_lost_its_table_is_not_left_out_in_silence(lists):
    (lists / "noise/wav.scp").unlink()
    with pytest.raises(InputError, match=r"noise.*wav\.scp"):
        bank(lists)


@pytest.mark.parametrize("line, message", [
    ("reverb_prob: 1.5", "reverb_prob"),
    ("snr_db: {noise: [18, 0]}", "runs backwards"),
    ("snr_db: {noize: [0, 18]}", "did you mean snr_db.noise"),
    ("rir_weights: {small: 0, medium: 0, large: 0, real: 0}", "rir_weights are 0"),
    ("speed_perturb: [0.1]", "speed_perturb"),
    ("mode: neither", "mode"),
    ("eq_points: 1", "eq_points"),
])
def test_bad_configurations_name_the_key(tmp_path, line, message):
    path = tmp_path / "augment.yaml"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=message):
        load(AugmentConfig, path)


def test_the_documented_presets_load():
    text = config_augment.__doc__
    preset = text.split("either a room (25 %) or a noise\n")[1].split("    JHU")[0]
    config = check(AugmentConfig, plain_yaml.parse(preset, "the docstring"), "the docstring")
    assert config.mode == "either" and config.reverb_prob == 0.25 and config.snr_db.speech == (13, 20)
    assert config.noise_weights.babble == 0


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_speed_moves_a_tone_and_fills_the_crop(factor):
    size = 16000
    n = speed.source_length(size, factor)
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(n) / 16000)).astype(np.int16)
    out = speed.change(tone, factor)
    assert out.dtype == np.int16 and size <= len(out) <= size + 1
    middle = out[500:15500] * np.hanning(15000)
    peak = np.abs(np.fft.rfft(middle, 1 << 19)).argmax() * 16000 / (1 << 19)
    assert peak == pytest.approx(440 * factor, abs=0.1)
    assert speed.draw(np.random.default_rng(0), (factor,)) == factor
    assert speed.draw(np.random.default_rng(0), ()) == 1.0
