"""Plain crops: every recording once, from its middle, whatever the number of ranks."""
import numpy as np
import pytest
from packed_ramps import LENGTHS, make_dir, unreadable

from sslspk.data.index import UtteranceIndex
from sslspk.data.loader import make_loader
from sslspk.data.plain import PlainCrops
from sslspk.io import ark, table


@pytest.fixture
def folder(tmp_path):
    return make_dir(tmp_path / "data", ramp=lambda i, n: np.arange(n))


def rows(*parts, key="wave"):
    """unit -> its crop."""
    return {int(unit): crop for plain in parts for i in range(len(plain))
            for unit, crop in zip(plain[i]["unit"], plain[i]["crops"][0][key][0].numpy(), strict=True)}


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_every_unit_once_from_its_middle(folder, world, batch):
    index, units = UtteranceIndex(folder, "wave"), np.array([0, 1, 2, 3, 5, 6, 7])
    parts = [PlainCrops(index, units, 1000, "wave", batch, rank, world) for rank in range(world)]
    assert [len(part) for part in parts] == [-(-len(units[rank::world]) // batch) for rank in range(world)]
    for rank, part in enumerate(parts):
        batches = [part[i] for i in range(len(part))]
        assert np.concatenate([b["unit"] for b in batches]).tolist() == units[rank::world].tolist()
        assert all(b["crops"][0]["wave"].shape == (1, len(b["unit"]), 1000) and b["failed"] == [] for b in batches)
    found = rows(*parts)
    assert sorted(found) == units.tolist()
    for unit, crop in found.items():
        n = LENGTHS[unit]
        expected = np.arange((n - 1000) // 2, (n - 1000) // 2 + 1000) if n >= 1000 else np.arange(1000) % n
        assert crop.dtype == np.int16 and np.array_equal(crop, expected)


def test_the_loader_and_its_workers_change_nothing(folder):
    plain = PlainCrops(UtteranceIndex(folder, "wave"), np.arange(8), 600, "wave", 3)
    for workers in (0, 2):
        batches = list(make_loader(plain, 0, len(plain), workers, False))
        assert len(batches) == 3 and all((b["crops"][0]["wave"] == plain[i]["crops"][0]["wave"]).all() for i, b in enumerate(batches))


def test_what_cannot_be_read_is_zeros_and_named(folder):
    unreadable(folder, "s1-u03")
    batch = PlainCrops(UtteranceIndex(folder, "wave"), np.arange(8), 1000, "wave", 8)[0]
    assert len(batch["failed"]) == 1 and batch["failed"][0].startswith("s1-u03: ") and "gone.wav" in batch["failed"][0]
    assert batch["unit"].tolist() == list(range(8)), "its row stays"
    assert batch["crops"][0]["wave"][0].numpy().any(1).tolist() == [u != 3 for u in range(8)]


def test_features_of_the_first_copy(tmp_path):
    names = ["a", "a-noise", "b", "b-noise"]
    with ark.Writer(tmp_path / "f.ark", tmp_path / "feats.scp") as writer:
        for i, name in enumerate(names):
            writer.write(name, np.stack([np.arange(150), np.full(150, i)], 1).astype(np.float32))
    table.write(tmp_path / "utt2num_frames", dict.fromkeys(names, 150))
    table.write(tmp_path / "utt2uniq", {name: name[0] for name in names})
    specs = table.read(tmp_path / "feats.scp")
    found = rows(PlainCrops(UtteranceIndex(tmp_path, "feats"), np.arange(2), 100, "feats", 2), key="feats")
    assert {unit: crop[0].tolist() for unit, crop in found.items()} == {0: [25, 0], 1: [25, 2]}
    assert {crop.shape for crop in found.values()} == {(100, 2)} and found[0].dtype == np.float32
    table.write(tmp_path / "feats.scp", {**specs, "b": f"{tmp_path}/gone.ark:4"})
    broken = PlainCrops(UtteranceIndex(tmp_path, "feats"), np.arange(2), 100, "feats", 2)[0]
    assert len(broken["failed"]) == 1 and broken["failed"][0].startswith("b: ") and not broken["crops"][0]["feats"][0, 1].any()


def test_features_that_are_a_range_of_a_longer_matrix(tmp_path):
    """feats.scp of utterances cut from one recording, as Kaldi writes it: x.ark:20[first:last]."""
    with ark.Writer(tmp_path / "f.ark", tmp_path / "whole.scp") as writer:
        writer.write("r", np.arange(400).reshape(200, 2))
    spec = table.read(tmp_path / "whole.scp")["r"]
    table.write(tmp_path / "feats.scp", {"a": spec, "b": f"{spec}[10:49]", "c": f"{spec}[100:199]"})
    table.write(tmp_path / "utt2num_frames", {"a": 200, "b": 40, "c": 100})
    found = rows(PlainCrops(UtteranceIndex(tmp_path, "feats"), np.arange(3), 20, "feats", 3), key="feats")
    assert {unit: crop[:, 0].tolist() for unit, crop in found.items()} == {
        0: list(range(180, 220, 2)), 1: list(range(40, 80, 2)), 2: list(range(280, 320, 2))}
