"""Where views lie in a recording and what is done to them: layouts, the order of the draws, speed, and faults of noises."""
import collections
import itertools

import numpy as np
import pytest
import torch
from packed_ramps import LENGTHS, RATE, dataset, equal, make_dir, same, unreadable

from sslspk.config import check
from sslspk.data import speed
from sslspk.data.config import Crop
from sslspk.data.config_augment import AugmentConfig
from sslspk.data.loader import make_loader
from sslspk.data.noise import Draw, NoiseBank
from sslspk.data.views import ROWS, disjoint
from sslspk.errors import InputError
from sslspk.features import degrade, specaug
from sslspk.features.config_degrade import DegradeConfig
from sslspk.features.config_specaug import SpecAugmentConfig
from sslspk.io import table
from sslspk.train.config import SystemConfig

PAIR = (Crop(count=2, seconds=0.5, layout="disjoint"),)
THREE = (Crop(count=3, seconds=0.3, layout="disjoint"),)
TRIPLET = (Crop(count=3, seconds=0.4, layout="triplet"),)
MASKS = specaug.drawer(SpecAugmentConfig(), 20, lambda size: size // 10)


@pytest.fixture
def folder(tmp_path):
    """Utterance i counts from 0, so that a sample is its own place."""
    return make_dir(tmp_path / "data", ramp=lambda i, n: np.arange(n))


@pytest.fixture
def lists(tmp_path):
    for kind in ("noise", "rir_small"):
        make_dir(tmp_path / "augment" / kind, [700, 300], ramp=lambda i, n: 1000 * (i + 1) + np.arange(n))
    return tmp_path / "augment"


def bank(lists, **kw):
    return NoiseBank(lists, AugmentConfig(**{"rir_seconds": 0.05, "eq_prob": 0.5, "gain_db": (-6, 6), **kw}), RATE)


def starts_of(data, steps):
    """(unit, starts of its views) for every recording of these steps."""
    return [(int(unit), batch["crops"][0]["wave"][:, b, 0].tolist())
            for batch in (data[s] for s in range(steps)) for b, unit in enumerate(batch["unit"])]


@pytest.mark.parametrize(("crops", "count", "size"), [(PAIR, 2, 500), (THREE, 3, 300)])
def test_disjoint_views_never_overlap_where_there_is_room(folder, crops, count, size):
    for unit, starts in starts_of(dataset(folder, crops=crops), 60):
        low = sorted(starts)
        gaps = np.diff(low)
        if LENGTHS[unit] >= count * size:
            assert (gaps >= size).all() and low[0] >= 0 and low[-1] + size <= LENGTHS[unit]
        else:
            assert low[0] == 0 and low[-1] == max(LENGTHS[unit] - size, 0) and np.ptp(gaps) <= 1


def test_every_disjoint_placement_is_equally_likely():
    """Two parts of 2 in 6 samples: (0,2) (0,3) (0,4) (1,3) (1,4) (2,4), each in both orders."""
    rng = np.random.default_rng(0)
    counts = collections.Counter(tuple(disjoint(6, 2, 2, rng).tolist()) for _ in range(12000))
    expected = [pair for pair in itertools.permutations(range(5), 2) if abs(pair[0] - pair[1]) >= 2]
    assert len(expected) == 12 and counts.keys() == set(expected)
    assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 31.3   # chi-square of 11 degrees, 0.1 %


@pytest.mark.parametrize(("length", "size", "count", "expected"), [(8, 5, 2, [0, 3]), (10, 5, 3, [0, 2, 5]), (3, 5, 2, [0, 0]),
                                                                   (3, 5, 1, [0]), (10, 5, 2, [0, 5])])
def test_short_recordings_spread_their_views(length, size, count, expected):
    assert sorted(disjoint(length, size, count, np.random.default_rng(0)).tolist()) == expected


def test_disjoint_views_come_from_one_copy(tmp_path):
    folder = make_dir(tmp_path / "data", [1500] * 8, ramp=lambda i, n: np.full(n, i))
    table.write(folder / "utt2uniq", {utt: f"r{i // 2}" for i, utt in enumerate(table.read(folder / "wav.scp"))})
    seen = {tuple(row) for crops in (PAIR, TRIPLET) for s in range(20)
            for row in dataset(folder, crops=crops)[s]["crops"][0]["wave"][:, :, 0].T.tolist()}
    assert {len(set(row)) for row in seen} == {1} and {row[0] for row in seen} == set(range(8))


def test_triplet_shares_segment_and_augmentation_pairwise(folder, lists):
    data = dataset(folder, crops=TRIPLET, augment=bank(lists), spec_augment=MASKS, speeds=(0.9, 1.0, 1.1))
    differ = collections.Counter()
    for step in range(30):
        crop, units = data[step]["crops"][0], data[step]["unit"].tolist()
        filtered = crop["has_rir"] | (crop["eq_db"] != 0).any(-1)
        assert sorted([*crop["rooms"].tolist(), *crop["equalised"].tolist()]) == np.flatnonzero(filtered.flatten()).tolist()
        assert crop["has_rir"].flatten()[crop["rooms"]].all()
        for b, unit in enumerate(units):
            views = [{key: value[v, b].numpy() for key, value in crop.items() if key not in ROWS} for v in range(3)]
            assert np.array_equal(views[1]["wave"], views[2]["wave"]), "segment 2 twice"
            if LENGTHS[unit] >= 2 * speed.source_length(400, 1.1):
                assert not np.array_equal(views[0]["wave"], views[1]["wave"])
            for key in (*Draw._fields, "masks"):
                assert np.array_equal(views[0][key], views[1][key], equal_nan=key.endswith("_db")), "augmentation A twice"
                differ[key] += not np.array_equal(views[1][key], views[2][key], equal_nan=key.endswith("_db"))
    assert set(differ) == {*Draw._fields, "masks"} and differ["gain_db"] == 120, "augmentation B is another one"


def test_a_clean_crop_is_the_recording_alone(folder, lists):
    """Beside an augmented crop; the draws of the crops before it stay what they were."""
    crops = (Crop(count=2, seconds=0.3), Crop(count=1, seconds=0.2, clean=True))
    both = dataset(folder, crops=crops, augment=bank(lists), spec_augment=MASKS)
    alone = dataset(folder, crops=crops[:1], augment=bank(lists), spec_augment=MASKS)
    for step in range(5):
        noisy, clean = both[step]["crops"]
        assert set(clean) == {"wave"} and clean["wave"].shape[::2] == (1, 200) and "masks" in noisy and len(noisy) > 2
        assert (clean["wave"].diff() == 1).all()
        assert noisy.keys() == alone[step]["crops"][0].keys() and all(same(noisy[key], alone[step]["crops"][0][key]) for key in noisy)


TWIN = (Crop(count=2, seconds=0.4, layout="twin"), Crop(count=1, seconds=0.2))


def test_a_twin_is_the_same_stretch_without_what_was_done_to_it_but_the_level(folder, lists):
    options = {"augment": bank(lists, noise_prob=1, reverb_prob=1), "degrade": degrade.drawer(DegradeConfig(band_prob=1))}
    data, places = dataset(folder, crops=TWIN, speeds=(0.9, 1.1), **options), set()
    for step in range(20):
        twins, other = data[step]["crops"]
        assert torch.equal(twins["wave"][0], twins["wave"][1]) and torch.equal(twins["gain_db"][0], twins["gain_db"][1])
        for key in ("noise", "rir", "has_rir", "eq_db", "speech", "degrade"):
            assert not twins[key][1].any(), key
        assert twins["snr_db"][1].isnan().all() and not twins["snr_db"][0].isnan().any() and twins["degrade"][0].any(1).all()
        assert not other["snr_db"].isnan().any() and other["wave"].shape == (1, 4, 200)
        places |= set(twins["wave"][0, :, 0].tolist())
    assert len(places) > 40
    with pytest.raises(ValueError, match="set count to 2"):
        Crop(count=3, seconds=1.0, layout="twin")


def test_twins_of_waveforms_that_nothing_happens_to_are_the_samples_alone(folder):
    assert set(dataset(folder, crops=TWIN)[0]["crops"][0]) == {"wave"}


def test_triplet_is_three_views_of_waveforms():
    with pytest.raises(ValueError, match="set count to 3"):
        Crop(count=2, seconds=1.0, layout="triplet")
    tree = {"encoder": {"name": "tdnn"}, "data": {"input": "feats"},
            "method": {"name": "angular", "adversarial": 3.0, "crops": [{"count": 3, "seconds": 1.8, "layout": "triplet"}]}}
    with pytest.raises(InputError, match=r"triplet .*input is feats"):
        check(SystemConfig, tree, "test")


@pytest.mark.parametrize("crops", [PAIR, THREE, TRIPLET, TWIN[:1]])
@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_layouts_do_not_depend_on_ranks_parts_or_history(folder, lists, crops, world, accumulate):
    options = {"crops": crops, "augment": bank(lists), "spec_augment": MASKS, "speeds": (0.9, 1.1)}
    whole = dataset(folder, **options)[3]
    parts = [dataset(folder, rank=r, world=world, accumulate=accumulate, **options)[3 * accumulate + a]
             for a in range(accumulate) for r in range(world)]
    for key, value in whole["crops"][0].items():
        if key in ROWS:
            continue
        together = np.concatenate([part["crops"][0][key].numpy() for part in parts], axis=1)
        assert np.array_equal(together, value.numpy(), equal_nan=key.endswith("_db"))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_starts_again_in_the_middle_goes_on_with_the_same_batches(folder, lists, accumulate, workers):
    options = {"crops": TRIPLET, "augment": bank(lists), "accumulate": accumulate}
    once = list(make_loader(dataset(folder, **options), 0, 6 * accumulate, 0, False))
    again = list(make_loader(dataset(folder, **options), 3 * accumulate, 6 * accumulate, workers, False))
    assert all(equal(a, b) for a, b in zip(once[3 * accumulate:], again, strict=True))


def test_independent_crops_draw_in_the_order_that_old_runs_rely_on(folder, lists):
    """By hand: per crop the copies, then the starts, then the overlap's coin; then per view augmentation and masks."""
    crops, noises = (Crop(count=2, seconds=0.5), Crop(count=1, seconds=0.301)), bank(lists)
    batch = dataset(folder, crops=crops, augment=noises, spec_augment=MASKS, speeds=(1.0, 1.1), reduce_overlap_prob=0.5)[2]
    for b, unit in enumerate(batch["unit"].tolist()):
        rng = np.random.Generator(np.random.Philox(key=3, counter=[0, b, 2, 0]))
        factor = rng.choice([1.0, 1.1])
        for c, crop in enumerate(crops):
            size = round(1000 * crop.seconds)
            needed = speed.source_length(size, factor)
            rng.choice([unit], crop.count)
            free = max(LENGTHS[unit] - needed, 0)
            starts = rng.integers(0, np.full(crop.count, free + 1))
            if crop.count == 2 and rng.random() < 0.5:
                five = rng.integers(0, free + 1, 5)
                starts = rng.permutation([five.min(), five.max()])
            for v, start in enumerate(starts):
                source = np.resize(np.arange(start, min(start + needed, LENGTHS[unit])), needed).astype(np.int16)
                expected = {"wave": speed.change(source, factor)[:size], **noises.pick(rng, size)._asdict(), "masks": MASKS(rng, size)}
                for key, value in expected.items():
                    assert np.array_equal(batch["crops"][c][key][v, b].numpy(), value, equal_nan=key.endswith("_db")), key


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_crop_at_another_speed_is_the_right_stretch_of_the_recording(tmp_path, factor):
    """A rising ramp played faster rises faster: away from the edges sample n of the crop is start + factor * n."""
    folder = make_dir(tmp_path / "data", [3000] * 4, ramp=lambda i, n: np.arange(n))
    for crops in ((Crop(count=2, seconds=1.0),), (Crop(count=2, seconds=1.0, layout="disjoint"),)):
        waves = dataset(folder, crops=crops, speeds=(factor,))[0]["crops"][0]["wave"].numpy()
        for wave in waves.reshape(-1, 1000).astype(float):
            rise = np.polyfit(np.arange(200, 800), wave[200:800], 1)
            start = round(rise[1])
            assert rise[0] == pytest.approx(factor, abs=0.002)
            needed = speed.source_length(1000, factor)
            near = [speed.change(np.arange(s, s + needed).astype(np.int16), factor)[:1000] for s in range(start - 2, start + 3)]
            assert any(np.array_equal(wave, candidate) for candidate in near)


def test_a_crop_at_its_own_speed_beside_one_that_is_changed(tmp_path):
    folder = make_dir(tmp_path / "data", [3000] * 4, ramp=lambda i, n: np.arange(n))
    crops = (Crop(count=1, seconds=1.0), Crop(count=1, seconds=1.0, clean=True, own_speed=True))
    batch = dataset(folder, crops=crops, speeds=(0.9, 1.1))[0]
    rises = [np.polyfit(np.arange(200, 800), wave[200:800].astype(float), 1)[0]
             for crop in batch["crops"] for wave in crop["wave"].numpy().reshape(-1, 1000)]
    told = [percent / 100 for percent in batch["speed"].tolist()]
    assert rises == pytest.approx([*told, *[1.0] * len(told)], abs=0.002) and set(told) == {0.9, 1.1}
    assert "speed" not in dataset(folder, crops=crops)[0]


def test_a_broken_noise_is_not_the_recordings_fault(folder, lists):
    noises = bank(lists, noise_prob=1, reverb_prob=0)
    (lists / "noise/wav.ark").write_bytes(b"\0" * 100)
    data = dataset(folder, augment=noises)
    found = data[0]
    assert set(found) == {"error"} and found["error"].startswith("the augmentation recording s0-u0")
    assert str(lists / "noise/wav.ark") in found["error"] and "make_augment_lists.sh" in found["error"]
    (lists / "noise/wav.ark").unlink()
    assert "the augmentation recording s0-u0" in dataset(folder, augment=noises)[0]["error"]
    unreadable(folder, "s1-u03")
    assert any("gone.wav" in text for s in range(2) for text in dataset(folder)[s]["failed"])


def test_first_views_begin_with_the_recording(folder):
    """The ramps count from 0: a view's first sample is its place. What does not fit lies at the end."""
    crops = (Crop(count=3, seconds=0.5, layout="first"),)
    for unit, starts in starts_of(dataset(folder, crops=crops), 20):
        last = max(LENGTHS[unit] - 500, 0)
        assert starts == [0, min(500, last), min(1000, last)]


@pytest.mark.parametrize("world", [1, 2])
def test_several_draws_of_layout_first_are_the_crops_that_fit_each_once_an_epoch(folder, world):
    """1500 samples hold two crops of 600, 2000 and 3000 three; 800 and 400 give one. All 15 of them in an epoch, mixed."""
    crops = (Crop(count=1, seconds=0.6, layout="first"),)
    parts = [dataset(folder, crops=crops, draws_per_epoch=3, batch_size=2 * world, rank=rank, world=world) for rank in range(world)]
    fit = {unit: min(max(size // 600, 1), 3) for unit, size in enumerate(LENGTHS)}
    wanted = [(unit, 600 * turn) for unit, count in fit.items() for turn in range(count)]
    steps, orders = parts[0].steps_per_epoch, []
    assert steps == len(wanted) // (2 * world) and len(wanted) == 16
    for epoch in range(2):
        drawn = [(unit, starts[0]) for s in range(steps) for data in parts for unit, starts in starts_of(_from(data, epoch * steps + s), 1)]
        assert sorted(drawn) == sorted(wanted)
        orders.append(drawn)
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0], key=lambda one: one[1])   # not all first crops, then all second ones


def _from(data, step):
    """A data set that begins with this step."""
    return [data[step]]


def test_degradation_is_drawn_for_each_view_and_leaves_the_other_draws_alone(folder, lists):
    draws = {"augment": bank(lists), "spec_augment": MASKS}
    plain, degraded = dataset(folder, **draws), dataset(folder, **draws, degrade=degrade.drawer(DegradeConfig(band_prob=1)))
    first = degraded[3]["crops"][0]["degrade"]
    assert first.shape == (2, 4, 7) and len(first.flatten(0, 1).unique(dim=0)) == 8 and equal(degraded[3], degraded[3])
    assert same(plain[3]["crops"][0]["wave"][0, 0], degraded[3]["crops"][0]["wave"][0, 0])
    clean = dataset(folder, crops=(Crop(count=1, seconds=0.3, clean=True),), degrade=degrade.drawer(DegradeConfig()))
    assert set(clean[0]["crops"][0]) == {"wave"}
