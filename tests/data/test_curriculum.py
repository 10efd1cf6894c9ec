"""Data that grow and augmentation that grows: who may be drawn when, how often, and that nothing but seed and step matters."""
import collections
import itertools

import numpy as np
import pytest
from packed_ramps import RATE, dataset, equal, make_dir, unreadable

from sslspk.config import check
from sslspk.data import curriculum
from sslspk.data.config import DataConfig, GrowConfig
from sslspk.data.config_augment import AugmentConfig, GrowShare
from sslspk.data.loader import make_loader
from sslspk.data.noise import NoiseBank
from sslspk.data.views import ROWS
from sslspk.errors import InputError
from sslspk.train.config import SystemConfig

GROW = {"start_share": 0.25, "epochs": 3}   # 0.25, 0.5, 0.75, 1, 1, ...
UNITS = 24


@pytest.fixture
def folder(tmp_path):
    """24 recordings; speakers s0 (12 of them), s1 (6), s2 (4), s3 (2)."""
    return make_dir(tmp_path / "data", [1200] * UNITS, ramp=lambda i, n: np.full(n, i),
                    speaker=lambda i: sum(i >= at for at in (12, 18, 22)))


@pytest.fixture
def lists(tmp_path):
    for kind in ("noise", "rir_small"):
        make_dir(tmp_path / "augment" / kind, [700, 300], ramp=lambda i, n: 1000 * (i + 1) + np.arange(n))
    return tmp_path / "augment"


def bank(lists, **kw):
    return NoiseBank(lists, AugmentConfig(**{"rir_seconds": 0.05, "noise_prob": 1, "reverb_prob": 1, "eq_prob": 1, "gain_db": (-6, -1),
                                             **kw}), RATE)


def epoch(data, number):
    """The units of each step of an epoch."""
    return [data[number * data.steps_per_epoch + s]["unit"].tolist() for s in range(data.steps_per_epoch)]


@pytest.mark.parametrize(("start", "epochs", "at", "expected"), [(0.25, 3, 0, 0.25), (0.25, 3, 1, 0.5), (0.25, 3, 2, 0.75), (0.25, 3, 3, 1),
                                                                 (0.25, 3, 9, 1), (0, 4, 0.5, 0.125), (1, 4, 0, 1)])
def test_share_rises_linearly(start, epochs, at, expected):
    assert curriculum.share(GrowShare(start_share=start, epochs=epochs), at) == pytest.approx(expected)


@pytest.mark.parametrize("seed", [3, 4])
def test_recordings_are_added_and_none_is_twice_in_a_batch(folder, seed):
    data = dataset(folder, grow=GROW, seed=seed)
    assert data.steps_per_epoch == UNITS // 4, "an epoch keeps its length"
    before: set[int] = set()
    for number, opened in enumerate((6, 12, 18, 24, 24)):
        steps = epoch(data, number)
        assert all(len(set(step)) == 4 for step in steps)
        counts = collections.Counter(itertools.chain(*steps))
        pool = set(data.pool(number).tolist())
        assert len(pool) == opened and counts.keys() <= pool and before <= pool
        before = pool
        passes = -(-UNITS // (opened - opened % 4))
        assert max(counts.values()) <= passes, "no recording comes more often than there are passes"
    whole = dataset(folder, seed=seed)
    assert epoch(data, 4) == epoch(whole, 4), "grown up, it is the plain training set"


def test_every_pass_is_a_new_order(folder):
    data = dataset(folder, grow={"start_share": 1 / 3, "epochs": 100}, draws_per_epoch=2)
    order = data.order(0)
    passes = order.reshape(-1, 8)
    assert len(order) == data.steps_per_epoch * 4 == 48
    assert all(sorted(p) == sorted(data.pool(0)) for p in passes) and len({tuple(p) for p in passes}) == 6


def test_the_seed_alone_decides_who_comes_first(folder):
    first = [set(dataset(folder, grow=GROW, seed=seed).pool(0).tolist()) for seed in range(6)]
    assert first[0] == set(dataset(folder, grow=GROW, seed=0, rank=1, world=2, accumulate=2).pool(0).tolist())
    assert len({frozenset(pool) for pool in first}) > 3


def test_speakers_are_added_whole(folder):
    speakers = np.repeat([0, 1, 2, 3], [12, 6, 4, 2])
    for seed in range(8):
        grow = {"start_share": 0.5, "epochs": 2, "by": "speaker"}
        data = dataset(folder, grow=grow, seed=seed, labels=True)
        for number, opened in enumerate((2, 3, 4)):
            pool = data.pool(number)
            inside = set(speakers[pool])
            assert len(inside) == opened and sorted(pool) == [u for u in range(UNITS) if speakers[u] in inside]
    with pytest.raises(ValueError, match="index with labels"):
        dataset(folder, grow=grow)
    assert DataConfig(grow=grow).reads_speakers
    assert not DataConfig(grow=GROW).reads_speakers and not DataConfig().reads_speakers


def test_too_small_a_start_is_refused(folder):
    with pytest.raises(InputError, match=r"start_share 0.1 opens 3 of 24 utterances .*batch_size is 4; raise"):
        dataset(folder, grow={"start_share": 0.1, "epochs": 2})


def test_a_replacement_comes_from_the_same_share(folder):
    for utt in ("s0-u03", "s0-u07", "s1-u15", "s2-u20", "s3-u23"):
        unreadable(folder, utt)
    data = dataset(folder, grow=GROW)
    batches = [data[s] for s in range(2 * data.steps_per_epoch)]
    assert any(batch["failed"] for batch in batches)
    for s, batch in enumerate(batches):
        assert set(batch["unit"].tolist()) <= set(data.pool(s // data.steps_per_epoch).tolist())


def test_growing_by_hand():
    """Five units in the order of the permutation; 2 of 5 by a share of 0.4, no third one by rounding."""
    units = np.array([3, 5, 7, 11, 13])
    growth = curriculum.Growth(units, np.full(5, -1), GrowConfig(start_share=0.2, epochs=4), seed=9)
    place = np.random.Generator(np.random.Philox(key=9, counter=[0, 0, 0, curriculum.GROWTH_STREAM])).permutation(5)
    order = units[np.argsort(place)].tolist()
    assert [growth.units(e).tolist() for e in range(6)] == [order[:1], order[:2], order[:3], order[:4], order, order]


def augmented(data, step):
    """(B,) whether each recording of a step is augmented; all its views must agree."""
    crops = data[step]["crops"]
    rows = []
    for crop in crops:
        parts = [~np.isnan(crop["snr_db"].numpy()), crop["has_rir"].numpy(), crop["eq_db"].numpy().any(-1), crop["gain_db"].numpy() != 0,
                 crop["noise"].numpy().any(-1), crop["rir"].numpy().any(-1)]
        rows += [row for part in parts for row in part]
    assert all((row == rows[0]).all() for row in rows)
    return rows[0]


def test_augmentation_grows_by_recordings(folder, lists):
    """From 0.2 over 100 epochs of 6 steps: the share of step s is 0.2 + 0.8 s / 600, and 1 from 600 on."""
    data = dataset(folder, augment=bank(lists, grow={"start_share": 0.2, "epochs": 100}))
    for first in (0, 300):
        shares = [0.2 + 0.8 * s / 600 for s in range(first, first + 100)]
        found = np.mean([augmented(data, s).mean() for s in range(first, first + 100)])
        assert found == pytest.approx(np.mean(shares), abs=4 * (0.25 / 400) ** 0.5)
    assert all(augmented(data, s).all() for s in range(600, 610))
    quick = dataset(folder, augment=bank(lists, grow={"start_share": 0, "epochs": 1}))
    found = [augmented(quick, s).sum() for s in range(7)]
    assert found[0] == 0 and sum(found[1:6]) > 0 and found[6] == 4, "it rises within an epoch too"


def test_without_growth_the_draws_stay_as_they_were(folder, lists):
    """A share that has reached 1 costs one draw; none is made where nothing grows."""
    plain, grown = dataset(folder, augment=bank(lists)), dataset(folder, augment=bank(lists, grow={"start_share": 1, "epochs": 1}))
    noises = bank(lists)
    for b in range(4):
        rng = np.random.Generator(np.random.Philox(key=3, counter=[0, b, 0, 0]))
        rng.choice(1, 2)
        rng.integers(0, [201, 201])
        rng.random()
        assert plain[0]["crops"][0]["gain_db"][0, b] == noises.pick(rng, 1000).gain_db
    assert augmented(grown, 0).all() and not equal(plain[0], grown[0])


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_growth_does_not_depend_on_ranks_parts_or_history(folder, lists, world, accumulate):
    options = {"grow": GROW, "augment": bank(lists, grow={"start_share": 0, "epochs": 3})}
    data = dataset(folder, **options)
    for step in (9, 2):
        whole = data[step]
        parts = [dataset(folder, rank=r, world=world, accumulate=accumulate, **options)[step * accumulate + a]
                 for a in range(accumulate) for r in range(world)]
        assert np.concatenate([part["unit"] for part in parts]).tolist() == whole["unit"].tolist()
        for c, crop in enumerate(whole["crops"]):
            for key, value in crop.items():
                if key in ROWS:
                    continue
                together = np.concatenate([part["crops"][c][key].numpy() for part in parts], axis=1)
                assert np.array_equal(together, value.numpy(), equal_nan=value.is_floating_point())


@pytest.mark.parametrize(("accumulate", "workers"), [(1, 0), (2, 0), (2, 2)])
def test_a_grown_run_that_starts_again_in_the_middle_of_an_epoch_goes_on_with_the_same_batches(folder, lists, accumulate, workers):
    options = {"grow": GROW, "augment": bank(lists, grow={"start_share": 0, "epochs": 3}), "accumulate": accumulate}
    once = list(make_loader(dataset(folder, **options), 0, 20 * accumulate, 0, False))
    again = list(make_loader(dataset(folder, **options), 10 * accumulate, 20 * accumulate, workers, False))
    assert all(equal(a, b) for a, b in zip(once[10 * accumulate:], again, strict=True))


def test_growing_noise_needs_waveforms():
    tree = {"encoder": {"name": "tdnn"}, "data": {"input": "feats"}, "method": {"name": "dino"}, "augment": {"grow": {"epochs": 3}}}
    with pytest.raises(InputError, match=r"augment.grow .*input is feats"):
        check(SystemConfig, tree, "test")
