"""data.same: views of one draw from several recordings that share an entry of a table, and what results say of it."""
import collections

import pytest
from packed_ramps import LENGTHS, dataset, equal, make_dir, unreadable

from sslspk.config import check
from sslspk.data.config import Crop
from sslspk.data.index import UtteranceIndex
from sslspk.data.loader import make_loader
from sslspk.errors import InputError
from sslspk.io import table
from sslspk.train.config import SystemConfig, config_hash

CROPS = (Crop(count=2, seconds=0.5), Crop(count=2, seconds=0.3))
LANGUAGE = "abcaabca"   # of utterance i; the second "c" is the seventh, 400 samples long


@pytest.fixture
def folder(tmp_path):
    made = make_dir(tmp_path / "data")
    utts = sorted(table.read(made / "utt2spk"))
    table.write(made / "utt2lang", dict(zip(utts, LANGUAGE, strict=True)))
    return made


def owners(data, steps):
    """(unit, recordings of its views, crop by crop) of every draw."""
    for step in range(steps):
        batch = data[step]
        for b, unit in enumerate(batch["unit"].tolist()):
            yield unit, [(crop["wave"][:, b, 0] // 1000).tolist() for crop in batch["crops"]]


def test_views_come_from_all_recordings_of_the_entry_and_the_first_from_the_drawn_one(folder):
    seen = collections.defaultdict(collections.Counter)
    for unit, (long, short) in owners(dataset(folder, crops=CROPS, same="utt2lang"), 150):
        assert long[0] == unit
        seen[unit].update([long[1], *short])
    for unit, counts in seen.items():
        mates = {i for i, one in enumerate(LANGUAGE) if one == LANGUAGE[unit]}
        assert set(counts) == mates
        assert min(counts.values()) > 0.4 * sum(counts.values()) / len(mates)   # equally often, nearly
    assert set(seen) == set(range(len(LENGTHS)))


def test_without_the_option_views_are_of_one_recording(folder):
    assert all(set(long + short) == {unit} for unit, (long, short) in owners(dataset(folder, crops=CROPS), 20))


def test_a_recording_that_is_too_short_is_nobodys_mate(folder):
    for unit, views in owners(dataset(folder, crops=CROPS, same="utt2lang", short="drop"), 60):
        assert 6 not in views[0] + views[1] and unit != 6


def test_draws_depend_neither_on_workers_nor_on_ranks_nor_on_where_one_resumes(folder):
    whole = [dataset(folder, crops=CROPS, same="utt2lang")[step] for step in range(6)]
    for step, batch in enumerate(make_loader(dataset(folder, crops=CROPS, same="utt2lang"), 2, 6, 2, False, 60), 2):
        assert equal(batch, whole[step])
    for rank in (0, 1):
        part = dataset(folder, crops=CROPS, same="utt2lang", rank=rank, world=2)[3]
        rows = slice(2 * rank, 2 * rank + 2)
        assert part["unit"].tolist() == whole[3]["unit"][rows].tolist()
        assert all((mine["wave"] == all_["wave"][:, rows]).all() for mine, all_ in zip(part["crops"], whole[3]["crops"], strict=True))


def test_a_mate_that_cannot_be_read_is_named_itself(folder):
    broken = "s1-u03"   # of language a
    unreadable(folder, broken)
    data, units = dataset(folder, crops=CROPS, same="utt2lang"), []
    for step in range(40):
        batch = data[step]
        assert all(text.startswith(f"{broken}: ") for text in batch["failed"])
        units += batch["failed"]
    assert len(units) > 20


def test_the_table_must_name_every_recording_and_is_part_of_the_data(folder):
    before = UtteranceIndex(folder, "wave", same="utt2lang").fingerprint()
    assert before != UtteranceIndex(folder, "wave").fingerprint()
    said = table.read(folder / "utt2lang")
    table.write(folder / "utt2lang", said | {"s0-u00": "c"})
    assert UtteranceIndex(folder, "wave", same="utt2lang").fingerprint() != before
    table.write(folder / "utt2lang", {utt: one for utt, one in said.items() if utt != "s0-u00"})
    with pytest.raises(InputError, match="s0-u00"):
        dataset(folder, crops=CROPS, same="utt2lang")
    (folder / "utt2lang").unlink()
    with pytest.raises(InputError, match="utt2lang"):
        dataset(folder, crops=CROPS, same="utt2lang")


BASE = {"encoder": {"name": "tdnn"}, "method": {"name": "dino"}}


@pytest.mark.parametrize(("changes", "words"), [
    ({"method": {"name": "supervised"}}, "method supervised compares no views"),
    ({"encoder": {"name": "cpc"}, "method": {"name": "cpc"}}, "method cpc compares no views"),
    ({"method": {"name": "simclr", "crops": [{"count": 2, "seconds": 2, "layout": "disjoint"}]}}, "layout disjoint"),
    ({"data": {"same": "utt2lang", "grow": {"epochs": 2}}}, "data.grow"),
    ({"data": {"same": "spk2gender"}}, "data.same"),
])
def test_what_makes_no_sense_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        check(SystemConfig, {**BASE, "data": {"same": "utt2lang"}, **changes}, "x.yaml")


def test_results_say_which_labels_were_read():
    def config(**data):
        return check(SystemConfig, {**BASE, "data": data}, "x.yaml")

    ways = ({}, {"same": "utt2lang"}, {"same": "utt2spk"}, {"grow": {"epochs": 1, "by": "speaker"}}, {"batches": "speaker"})
    said = [config(**data).data.drawn_by for data in ways]
    assert said == ["none", "lang (views)", "speaker (views)", "speaker (curriculum)", "speaker (batches)"]
    assert config_hash(config()) != config_hash(config(same="utt2lang"))
