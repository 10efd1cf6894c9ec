"""A few archives at a time: every recording once an epoch, from few archives at once, the same for all ranks and after a resume."""
import numpy as np
import pytest
from packed_ramps import RATE, dataset, equal, make_dir

from sslspk.data.config import Crop
from sslspk.data.loader import make_loader
from sslspk.errors import InputError
from sslspk.io import audio, datadir, table

ARCHIVES, EACH, AT_ONCE = 7, 5, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """35 recordings in 7 archives; those of an archive do not follow each other in the tables."""
    folder, wav = tmp_path_factory.mktemp("archives"), {}
    for a in range(ARCHIVES):
        with audio.PackWriter(folder / f"{a}.ark", folder / f"{a}.scp") as pack:
            for n in range(EACH):
                pack.write(f"u{n}-a{a}", (1000 * (a + ARCHIVES * n) % 30000 + np.arange(1500) % 1000).astype(np.int16), RATE)
        wav |= table.read(folder / f"{a}.scp")
    datadir.write(folder, wav=wav, utt2spk={utt: utt[:2] for utt in wav}, utt2num_samples=dict.fromkeys(wav, 1500))
    return folder


def archives_of(data, units):
    return np.array([int(data.index.keys[unit].rpartition("a")[2]) for unit in units])


def units(data, steps, rank=None):
    return np.concatenate([data[step]["unit"].numpy() for step in steps])


def test_an_epoch_takes_few_archives_at_a_time_and_each_recording_once(folder):
    data = dataset(folder, archives_at_once=AT_ONCE, batch_size=5)
    orders = [data.order(epoch).copy() for epoch in range(3)]
    for order in orders:
        assert sorted(order) == list(range(ARCHIVES * EACH))
        found = archives_of(data, order)
        groups = [found[i:i + AT_ONCE * EACH] for i in range(0, len(found), AT_ONCE * EACH)]
        assert [len(set(group)) for group in groups] == [2, 2, 2, 1] and len(set(found)) == ARCHIVES
        assert all((np.diff(group) != 0).sum() > 1 for group in groups[:3]), "not one after the other, but mixed"
    assert len({tuple(archives_of(data, order[::EACH])) for order in orders}) == 3, "archives come in another order each epoch"
    assert sorted(units(data, range(7))) == list(range(35)) and data.steps_per_epoch == 7


def test_the_seed_alone_says_what_is_drawn(folder):
    """Not the process that asks, nor where it begins: a resume at any step, with any number of workers, goes on with the same batches."""
    data = dataset(folder, archives_at_once=AT_ONCE)
    whole = [data[step] for step in range(20)]
    assert all(equal(dataset(folder, archives_at_once=AT_ONCE)[step], whole[step]) for step in (0, 7, 8, 19))
    for workers in (1, 2):
        loader = make_loader(dataset(folder, archives_at_once=AT_ONCE), 5, 12, workers, False)
        assert all(equal(batch, whole[step]) for step, batch in enumerate(loader, 5))
    assert not equal(dataset(folder, archives_at_once=AT_ONCE, seed=4)[0], whole[0])
    assert not equal(dataset(folder)[0], whole[0])


def test_two_ranks_share_each_batch_and_no_recording(folder):
    whole = dataset(folder, archives_at_once=AT_ONCE)
    for step in range(10):
        one, two = (dataset(folder, archives_at_once=AT_ONCE, rank=rank, world=2)[step]["unit"].tolist() for rank in (0, 1))
        assert not set(one) & set(two) and one + two == whole[step]["unit"].tolist()


def test_several_draws_and_first_crops_come_from_the_same_archives(folder):
    data = dataset(folder, archives_at_once=3, draws_per_epoch=2)
    assert sorted(data.order(0)) == sorted([*range(35)] * 2) and len(set(archives_of(data, data.order(0)[:15]))) == 3
    data = dataset(folder, archives_at_once=3, draws_per_epoch=2, crops=(Crop(count=1, seconds=0.7, layout="first"),))
    assert sorted(data.order(0)) == sorted([*range(35)] * 2) and len(set(archives_of(data, data.order(0)[:30]))) == 3


def bytes_read():
    with open("/proc/self/io", encoding="ascii") as file:
        return int(file.readline().split()[1])


def test_archives_are_read_ahead_of_their_turn(folder):
    """At the first batch those of its group; within a group, at the first batch from which the next one is in sight, the next ones."""
    data = dataset(folder, archives_at_once=AT_ONCE, batch_size=5)
    order, size = data.order(0), (folder / "0.ark").stat().st_size
    for start, count in ((0, 2), (1, None), (10, None), (11, None)):
        before, thread = bytes_read(), data._archives.read_ahead(order, start)
        near = set(archives_of(data, order[start:start + 10]))
        if count:
            thread.join()
            assert count * size <= bytes_read() - before < count * size + 4096
        assert {int(one) for one in near} == {int(data.index.paths[code].rpartition("/")[2][0]) for code in data._archives._near}


@pytest.mark.parametrize(("options", "said"), [({"archives_at_once": 1, "batch_size": 6}, "hold 5 utterances, fewer than a batch"),
                                               ({"archives_at_once": 2, "batches": "length"}, "batches: mixed"),
                                               ({"archives_at_once": 2, "balance": "class"}, "without balance"),
                                               ({"archives_at_once": 2, "same": "utt2spk"}, "and same")])
def test_where_mixing_few_archives_is_no_use(folder, options, said):
    with pytest.raises((InputError, ValueError), match=said):
        dataset(folder, **options)


def test_recordings_in_files_of_their_own_are_no_archives(tmp_path):
    folder = make_dir(tmp_path / "data")
    wav = table.read(folder / "wav.scp")
    datadir.write(folder, wav=wav | {min(wav): "/a.wav"}, utt2num_samples=table.read(folder / "utt2num_samples"))
    with pytest.raises(InputError, match=r"files of their own; pack them"):
        dataset(folder, archives_at_once=1)
