"""utils/make_folds.sh as a user runs it: who is where, what is refused, and that a rerun changes nothing."""
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sslspk.bin import make_folds
from sslspk.io import datadir, derive, table

ROOT = Path(__file__).resolve().parent.parent
EMOTIONS = ("ang", "hap", "neu", "sad")


def make(folder: Path, utt2spk: dict, **tables) -> Path:
    datadir.write(str(folder), wav={utt: f"/wav/{utt}.wav" for utt in utt2spk}, utt2spk=utt2spk, **tables)
    return folder


@pytest.fixture
def iemocap(tmp_path):
    """5 sessions of 2 speakers, each with 3 utterances of each of 4 emotions."""
    utts = {f"Ses{s}{g}-{e}{i}": (s, g, e) for s in range(1, 6) for g in "FM" for e in EMOTIONS for i in range(3)}
    return make(tmp_path / "data", {utt: f"Ses{s}{g}" for utt, (s, g, _) in utts.items()},
                utt2session={utt: f"Ses{s}" for utt, (s, _, _) in utts.items()}, utt2emotion={utt: e for utt, (_, _, e) in utts.items()})


@pytest.fixture
def adress(tmp_path):
    """24 subjects, 10 with ad and 14 without, of 1 to 7 segments."""
    utts = {f"s{s:02d}-{i}": f"s{s:02d}" for s in range(24) for i in range(1 + s % 7)}
    return make(tmp_path / "data", utts, utt2ad={utt: "ad" if spk < "s10" else "cn" for utt, spk in utts.items()})


def folds(*words: object) -> subprocess.CompletedProcess:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # python3 is the Python of the tests
    return subprocess.run([str(word) for word in (ROOT / "utils/make_folds.sh", *words)], text=True, capture_output=True,
                          timeout=60, env={**os.environ, "PATH": path}, check=False)


def made(*words: object) -> list[dict[str, dict[str, str]]]:
    """utt2spk of the parts of each fold, each part a valid data directory."""
    done = folds(*words)
    assert done.returncode == 0, done.stderr
    out = Path(words[-1])
    count = int((out / "num_folds").read_text())
    assert sorted(path.name for path in out.iterdir()) == sorted(["num_folds", *map(str, range(1, count + 1))])
    return [{part.name: datadir.validate(str(part))["utt2spk"] for part in (out / str(k)).iterdir()} for k in range(1, count + 1)]


def state(folder: Path) -> dict:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def refused(result: subprocess.CompletedProcess, *parts: str) -> None:
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    assert all(part in result.stderr for part in parts), result.stderr


@pytest.mark.parametrize(("by", "count", "held"), [("utt2session", 5, 2), ("utt2spk", 10, 1)])
def test_each_value_is_held_out_once(iemocap, tmp_path, by, count, held):
    everything = table.read(iemocap / "utt2spk")
    found = made("--by", by, "--labels", "utt2emotion", iemocap, tmp_path / "out")
    assert len(found) == count
    for number, fold in enumerate(found, 1):
        assert set(fold) == {"train", "test"} and len(set(fold["test"].values())) == held
        assert not set(fold["train"].values()) & set(fold["test"].values())
        assert fold["train"] | fold["test"] == everything
        assert number == 1 or by == "utt2spk" or set(fold["test"].values()) == {f"Ses{number}F", f"Ses{number}M"}
    assert Counter(utt for fold in found for utt in fold["test"]) == Counter(list(everything))
    assert table.read(tmp_path / "out/1/test/utt2emotion") == {u: e for u, e in table.read(iemocap / "utt2emotion").items()
                                                               if u in found[0]["test"]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dealt_folds_are_stratified_and_balanced(adress, tmp_path, seed):
    label = {spk: "ad" if spk < "s10" else "cn" for spk in table.read(adress / "spk2utt")}
    found = made("--num-folds", 4, "--labels", "utt2ad", "--seed", seed, adress, tmp_path / "out")
    speakers = [set(fold["test"].values()) for fold in found]
    assert sorted(spk for own in speakers for spk in own) == sorted(label)
    for kind, total in (("ad", 10), ("cn", 14)):
        counts = [sum(label[spk] == kind for spk in own) for own in speakers]
        assert sum(counts) == total and max(counts) - min(counts) == 1
    sizes = [len(fold["test"]) for fold in found]
    assert max(sizes) - min(sizes) <= 7, "no more than the largest subject"
    again = made("--num-folds", 4, "--labels", "utt2ad", "--seed", seed, adress, tmp_path / "again")
    assert again == found
    assert made("--num-folds", 4, "--labels", "utt2ad", "--seed", seed + 10, adress, tmp_path / "other") != found


def test_valid_parts_are_whole_speakers_of_every_label(adress, tmp_path):
    """18 of 24 subjects train in each of 4 folds, a third of them, 6, is for validation: of 7 or 8 with ad 2 or 3."""
    found = made("--num-folds", 4, "--labels", "utt2ad", "--valid-share", 1 / 3, adress, tmp_path / "out")
    for fold in found:
        people = {part: set(content.values()) for part, content in fold.items()}
        assert sum(map(len, people.values())) == 24 == len(set.union(*people.values()))
        assert len(people["valid"]) == round((24 - len(people["test"])) / 3)
        assert sum(spk < "s10" for spk in people["valid"]) in (2, 3)
    assert len({frozenset(fold["valid"]) for fold in found}) == 4, "drawn for each fold"


def test_speakers_of_many_labels_are_drawn_alike(iemocap, tmp_path):
    found = made("--by", "utt2session", "--labels", "utt2emotion", "--valid-share", 0.01, iemocap, tmp_path / "out")
    assert [len(set(fold["valid"].values())) for fold in found] == [1] * 5


def test_a_rerun_changes_nothing_and_mends_what_is_broken(iemocap, tmp_path):
    words = ("--by", "utt2session", "--valid-share", 0.2, iemocap, tmp_path / "out")
    made(*words)
    before = state(tmp_path / "out")
    made(*words)
    assert state(tmp_path / "out") == before
    (tmp_path / "out/num_folds").unlink()   # killed before the end
    (tmp_path / "out/3/train/utt2spk").unlink()
    (tmp_path / "out/4/test/wav.scp").write_text("")
    made(*words)
    assert {path: content for path, (_, content) in state(tmp_path / "out").items()} == {path: c for path, (_, c) in before.items()}


def test_num_folds_is_not_there_until_all_is(iemocap, tmp_path, monkeypatch):
    """Killed while other folds take the place of the first ones: num_folds is gone, and comes with the whole."""
    words = ["make_folds.sh", "--by", "utt2session", str(iemocap), str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    make_folds.main()
    whole, seen = derive.subset, []

    def killed(*args, **kwargs):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(args)
        return whole(*args, **kwargs)

    monkeypatch.setattr(derive, "subset", killed)
    monkeypatch.setattr(sys, "argv", [words[0], "--by", "utt2spk", *words[3:]])
    with pytest.raises(KeyboardInterrupt):
        make_folds.main()
    assert len(seen) == 3 and not (tmp_path / "out/num_folds").exists()
    monkeypatch.setattr(derive, "subset", whole)
    make_folds.main()
    assert made("--by", "utt2spk", iemocap, tmp_path / "fresh") == made("--by", "utt2spk", iemocap, tmp_path / "out")


def test_fewer_folds_leave_nothing_of_the_earlier(iemocap, tmp_path):
    made("--by", "utt2spk", "--valid-share", 0.2, iemocap, tmp_path / "out")
    (tmp_path / "out/10/mine").write_text("kept")
    assert folds("--by", "utt2session", iemocap, tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1", "10", "2", "3", "4", "5", "num_folds"]
    assert [path.name for path in (tmp_path / "out/10").iterdir()] == ["mine"] and not (tmp_path / "out/1/valid").exists()


def test_a_test_part_may_lack_a_class(tmp_path):
    data = make(tmp_path / "data", {f"{s}-{i}": s for s in "abc" for i in range(2)},
                utt2emotion={f"{s}-{i}": "sad" if s != "b" and i else "ang" for s in "abc" for i in range(2)})
    done = folds("--labels", "utt2emotion", data, tmp_path / "out")
    assert done.returncode == 0 and done.stderr == "make_folds.sh: warning: fold 2: the test part has no utterance of class sad\n"
    assert "fold 2: train 4, test 2 utterances (b)" in done.stdout


def test_a_table_by_its_path(iemocap, tmp_path):
    table.write(tmp_path / "elsewhere", {utt: str(int(spk < "Ses3")) for utt, spk in table.read(iemocap / "utt2spk").items()})
    assert len(made("--by", tmp_path / "elsewhere", iemocap, tmp_path / "out")) == 2


@pytest.mark.parametrize(("words", "parts"), [
    (("--by", "utt2sessions"), ("utt2sessions", "--by")),
    (("--labels", "utt2emotions"), ("utt2emotions", "--labels")),
    (("--labels", "/gone/table"), ("/gone/table", "--labels")),
    (("--num-folds", 1), ("1 fold;", "utt2spk", "10 values")),
    (("--num-folds", 11), ("11 folds", "10 values")),
    (("--by", "utt2half"), ("fold 1", "speaker Ses1F", "utt2half", "--by")),
    (("--by", "utt2one"), ("1 value,", "1 fold;")),
    (("--valid-share", 1), ("--valid-share is 1",)),
    (("--valid-share", -0.1), ("--valid-share is -0.1",)),
    (("--by", "utt2session", "--valid-share", 0.99), ("fold 1", "leaves no speaker")),
    (("--by", "utt2session", "--labels", "utt2rare"), ("fold 2", "class rare", "--by", "leave rare out")),
    (("--by", "utt2session", "--labels", "utt2short"), ("utt2short", "lacks Ses5M-sad2")),
])
def test_mistakes_are_one_sentence(iemocap, tmp_path, words, parts):
    utts = list(table.read(iemocap / "utt2spk"))
    table.write(iemocap / "utt2half", {utt: utt[-1] for utt in utts})
    table.write(iemocap / "utt2one", dict.fromkeys(utts, "one"))
    table.write(iemocap / "utt2rare", {utt: "rare" if utt.startswith("Ses2") else "often" for utt in utts})
    if "utt2short" in words:
        words = (*words[:-1], tmp_path / "utt2short")
        table.write(tmp_path / "utt2short", dict.fromkeys(utts[:-1], "a"))
    refused(folds(*words, iemocap, tmp_path / "out"), *parts)
    assert not (tmp_path / "out").exists()


def test_a_class_that_validation_takes(tmp_path):
    """Two of three speakers train, one with sad; where it goes to the valid part, the sentence says what to do."""
    data = make(tmp_path / "data", {f"{s}-{i}": s for s in "abc" for i in range(2)},
                utt2emotion={f"{s}-{i}": "sad" if s in "ab" else "ang" for s in "abc" for i in range(2)})
    refused(folds("--labels", "utt2emotion", "--valid-share", 0.5, data, tmp_path / "out"), "fold 1", "of class", "--valid-share")


def test_a_directory_that_does_not_agree(iemocap, tmp_path):
    (iemocap / "utt2emotion").write_text("Ses1F-ang0 ang\n")
    refused(folds(iemocap, tmp_path / "out"), "utt2emotion", "lacks")
    refused(folds(tmp_path / "gone", tmp_path / "out"), "gone")


def test_files_that_do_not_go_along_are_named_once(adress):
    (adress / "notes.txt").write_text("hello\n")
    done = folds("--num-folds", 3, adress, adress.parent / "folds")
    assert done.returncode == 0 and done.stdout.count("notes.txt") == 1, done.stdout + done.stderr
