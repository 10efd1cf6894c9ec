"""The loader's promise: what is drawn depends on seed, step and place alone."""
import numpy as np
import pytest
import torch
from packed_ramps import CROPS, dataset, equal, make_dir, unreadable

from sslspk.config import check
from sslspk.data.config import Crop, DataConfig
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import Strings, UtteranceIndex
from sslspk.data.loader import make_loader
from sslspk.data.views import fill
from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.train.config import SystemConfig


@pytest.fixture
def folder(tmp_path):
    return make_dir(tmp_path / "data")


def test_shapes_and_content(folder):
    batch = dataset(folder, labels=True)[0]
    assert [tuple(c["wave"].shape) for c in batch["crops"]] == [(2, 4, 1000), (3, 4, 500)]
    for b, unit in enumerate(batch["unit"].tolist()):
        assert batch["label"][b] == unit // 2
        for crop in batch["crops"]:
            assert (crop["wave"][:, b] // 1000 == unit).all(), "every view comes from its own recording"


def test_two_calls_agree_and_steps_differ(folder):
    data = dataset(folder)
    assert equal(data[1], dataset(folder)[1])
    assert not equal(data[0], data[1])
    assert not equal(data[0], dataset(folder, seed=4)[0])


def test_an_epoch_draws_each_recording_once(folder):
    data = dataset(folder)
    assert data.steps_per_epoch == 2
    first = np.concatenate([data[i]["unit"].numpy() for i in (0, 1)])
    second = np.concatenate([data[i]["unit"].numpy() for i in (2, 3)])
    assert sorted(first) == sorted(second) == list(range(8)) and list(first) != list(second)


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (4, 1), (1, 2), (2, 2)])
def test_ranks_and_accumulation_share_one_batch(folder, world, accumulate):
    whole = dataset(folder)[1]
    parts = [dataset(folder, rank=r, world=world, accumulate=accumulate)[accumulate + a]
             for a in range(accumulate) for r in range(world)]
    for c in range(len(CROPS)):
        together = np.concatenate([p["crops"][c]["wave"] for p in parts], axis=1)
        assert (together == whole["crops"][c]["wave"].numpy()).all()


def test_worker_count_changes_nothing(folder):
    data = dataset(folder)
    for workers in (0, 1, 2):
        for step, batch in enumerate(make_loader(data, 1, 4, workers, False), 1):
            assert equal(batch, data[step])


@pytest.mark.parametrize(("short", "usable", "long", "brief"), [("repeat", 8, 1000, 500), ("drop", 6, 1000, 500), ("whole", 8, 400, 400)])
def test_short_recordings(folder, short, usable, long, brief):
    data = dataset(folder, short=short)
    assert len(data.units) == usable
    sizes = {tuple(c["wave"].shape[-1] for c in data[s]["crops"]) for s in range(data.steps_per_epoch)}
    assert (long, brief) in sizes


def test_min_seconds(folder):
    assert len(dataset(folder, min_seconds=1.2).units) == 5


def test_fill_repeats_from_the_start():
    assert fill(np.array([1, 2, 3]), 8).tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_reduced_overlap_moves_long_crops_apart(folder):
    """Over 1500 free positions two uniform draws lie 500 apart on average, the extremes of five draws 1000."""
    def distance(prob):
        data, rng = dataset(folder, reduce_overlap_prob=prob), np.random.default_rng(0)
        return np.mean([abs(np.diff(data._starts(np.array([2500, 2500]), 1000, rng, spread=True))) for _ in range(2000)])
    assert distance(0.0) == pytest.approx(500, rel=0.05)
    assert distance(1.0) == pytest.approx(1000, rel=0.05)


def test_fewer_recordings_than_a_batch(folder):
    with pytest.raises(InputError, match=r"data has 8 utterances .*batch_size is 16; lower it"):
        dataset(folder, batch_size=16)


def test_batch_not_divisible_by_ranks(folder):
    with pytest.raises(InputError, match="multiple of 3"):
        dataset(folder, world=3)


def test_unreadable_recording_is_replaced_and_named(folder):
    unreadable(folder, "s1-u03")
    data = dataset(folder)
    failed = [text for step in range(2) for text in data[step]["failed"]]
    assert len(failed) == 1 and failed[0].startswith("s1-u03: ") and "gone.wav" in failed[0]
    assert all(3 not in data[step]["unit"] for step in range(2))


def test_feats_road_draws_copies_of_one_recording(tmp_path):
    folder = tmp_path / "feats"
    folder.mkdir()
    names = ["a", "a-noise", "b", "b-noise", "c", "c-noise"]
    with ark.Writer(folder / "f.ark", folder / "feats.scp") as writer:
        for i, name in enumerate(names):
            writer.write(name, np.full((150, 2), i, np.float32))
    table.write(folder / "utt2num_frames", dict.fromkeys(names, 150))
    table.write(folder / "utt2uniq", {n: n[0] for n in names})
    index = UtteranceIndex(folder, "feats")
    assert index.num_units == 3 and index.unit_length().tolist() == [150] * 3
    data = BatchDataset(index, DataConfig(input="feats", batch_size=3), CROPS, seed=0, rate=100)
    batches = [data[s]["crops"][0]["feats"] for s in range(20)]
    assert tuple(batches[0].shape) == (2, 3, 100, 2)
    pairs = {tuple(b[:, i, 0, 0].int().tolist()) for b in batches for i in range(3)}
    assert all(x // 2 == y // 2 for x, y in pairs), "both views show one recording"
    assert any(x != y for x, y in pairs), "and may show different copies of it"


def test_index_refuses_tables_that_disagree(folder):
    sizes = table.read(folder / "utt2num_samples")
    sizes.pop("s1-u03")
    table.write(folder / "utt2num_samples", sizes)
    with pytest.raises(InputError, match="s1-u03: stands in only one"):
        UtteranceIndex(folder, "wave")


def test_strings_pack_any_text():
    items = ["", "a", "Ünïcödé", "id1-x"]
    packed = Strings(items)
    assert [packed[i] for i in range(len(packed))] == items


def test_ten_million_utterances_fit_in_a_gigabyte(folder):
    """Bytes per utterance of the arrays, for VoxCeleb-like keys in packed archives."""
    index = UtteranceIndex(folder, "wave")
    fixed = sum(a.dtype.itemsize for a in (index.path_of, index.offset, index.length, index.label, index.members, index.unit_start,
                                           index.keys.ends))
    assert (fixed + len("id10001-1zcIwhmdeo4-00001")) * 10 ** 7 < 10 ** 9


@pytest.mark.parametrize("batch_size", [2, 4, 6])
def test_batches_of_one_speaker(tmp_path, batch_size):
    """Twelve recordings, 6, 4 and 2 of three speakers: each batch is of one, and over epochs each recording comes equally often."""
    folder = make_dir(tmp_path / "data", [1500] * 12, speaker=lambda i: 0 if i < 6 else 1 if i < 10 else 2)
    data = dataset(folder, labels=True, batches="speaker", batch_size=batch_size)
    assert data.steps_per_epoch == 12 // batch_size
    drawn, speakers = [], []
    for step in range(20 * data.steps_per_epoch):
        batch = data[step]
        assert len(set(batch["label"].tolist())) == 1
        speakers.append(int(batch["label"][0]))
        drawn += batch["unit"].tolist()
        assert len(set(batch["unit"].tolist())) == min(batch_size, {0: 6, 1: 4, 2: 2}[speakers[-1]])
    counts = np.bincount(drawn, minlength=12)
    assert counts.min() > 12 and counts.max() < 28 and speakers != sorted(speakers)
    assert equal(data[3], dataset(folder, labels=True, batches="speaker", batch_size=batch_size)[3])


def test_batches_of_one_length_lose_little_to_the_shortest(tmp_path):
    """Of 64 recordings of 400 to 3000 samples batches of 8 keep nearly all up to the crop's 1500; of mixed ones, half of it."""
    lengths = [int(n) for n in np.linspace(400, 3000, 64)]
    folder = make_dir(tmp_path / "data", lengths, speaker=lambda i: 0)
    possible = sum(min(n, 1500) for n in lengths)
    kept, orders = {}, []
    for batches in ("length", "mixed"):
        data = dataset(folder, crops=(Crop(count=1, seconds=1.5),), short="whole", batches=batches, batch_size=8)
        epochs = [[data[step] for step in range(first, first + 8)] for first in (0, 8)]
        for epoch in epochs:
            assert sorted(unit for batch in epoch for unit in batch["unit"].tolist()) == list(range(64))
        kept[batches] = sum(batch["crops"][0]["wave"].numel() for batch in epochs[0]) / possible
        orders.append([[sorted(batch["unit"].tolist()) for batch in epoch] for epoch in epochs])
        parts = [dataset(folder, crops=(Crop(count=1, seconds=1.5),), short="whole", batches=batches, batch_size=8, rank=rank, world=2)[3]
                 for rank in range(2)]
        assert torch.equal(torch.cat([part["crops"][0]["wave"] for part in parts], 1), epochs[0][3]["crops"][0]["wave"])
    assert kept["length"] > 0.9 and kept["mixed"] < 0.6
    first, second = orders[0]
    assert first != sorted(first) and sorted(first) != sorted(second), "in random order, and of other neighbours in another epoch"


@pytest.mark.parametrize("changes", [{"short": "drop"}, {"draws_per_epoch": 2}, {"grow": {"epochs": 2}}, {"same": "utt2lang"}])
def test_batches_of_one_length_want_whole_recordings(changes):
    tree = {"encoder": {"name": "wav2vec2"}, "method": {"name": "wav2vec2"}}
    with pytest.raises(InputError, match=r"data\.batches of one length|data\.same draws"):
        check(SystemConfig, {**tree, "data": {"batches": "length", "short": "whole", **changes}}, "x.yaml")
    check(SystemConfig, {**tree, "data": {"batches": "length", "short": "whole"}}, "x.yaml")


@pytest.mark.parametrize("changes", [{"grow": {"epochs": 2}}, {"same": "utt2lang"}, {"balance": "class"}, {"draws_per_epoch": 2}])
def test_batches_of_one_speaker_go_with_no_other_way_to_draw(changes):
    tree = {"encoder": {"name": "cpc"}, "method": {"name": "cpc", "crops": [{"count": 1, "seconds": 1.28, "layout": "first"}]}}
    with pytest.raises(InputError, match=r"data\.(batches of one speaker|balance is for|same draws)"):
        check(SystemConfig, {**tree, "data": {"batches": "speaker", **changes}}, "x.yaml")
    check(SystemConfig, {**tree, "data": {"batches": "speaker"}}, "x.yaml")


def test_models_of_before_say_road():
    """Their configuration is read, and written with today's name."""
    config = check(DataConfig, {"road": "feats", "batch_size": 3}, "x")
    assert config.input == "feats" and "road" not in config.model_dump()
    with pytest.raises(InputError, match="road"):
        check(DataConfig, {"road": "feats", "input": "wave"}, "x")
