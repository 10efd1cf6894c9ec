"""local/prepare_speechocean762.py on a tiny corpus in the original's layout, and VoxCeleb1's preparation on what it writes."""
import re

import numpy as np
import pytest
import soundfile
from recipe_copy import ROOT, run, sh

from sslspk.io import datadir, table

PROGRAM = ROOT / "local/prepare_speechocean762.py"
PEOPLE = {"train": {"0001": "m", "0005": "f", "0006": "f"}, "test": {"0003": "f", "9999": "m"}}


@pytest.fixture
def corpus(tmp_path):
    """Five speakers of eight recordings; text-phone has a line for each word, the tenth before the second, and test speakers first."""
    root, said = tmp_path / "speechocean762", []
    (root / "resource").mkdir(parents=True)
    for part in ("test", "train"):
        (root / part).mkdir()
        utts = {f"{speaker}{i:05d}": speaker for speaker in PEOPLE[part] for i in range(8)}
        for utt, speaker in utts.items():
            path = root / f"WAVE/SPEAKER{speaker}/{utt}.WAV"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = np.random.default_rng(int(utt)).integers(-9000, 9000, 4000, np.int16)
            soundfile.write(path, wave, 16000, format="WAV", subtype="PCM_16")
            said += [f"{utt}.0\tW_B IY0_E\n", f"{utt}.10\tAH0_S\n", f"{utt}.2\tZ_B IH1_I R_I OW2_E\n"]
        (root / part / "wav.scp").write_text("".join(f"{utt}\tWAVE/SPEAKER{speaker}/{utt}.WAV\n" for utt, speaker in utts.items()))
        (root / part / "utt2spk").write_text("".join(f"{utt} {speaker}\n" for utt, speaker in utts.items()))
        (root / part / "spk2gender").write_text("".join(f"{speaker}\t{sex}\n" for speaker, sex in PEOPLE[part].items()))
    (root / "resource/text-phone").write_text("".join(said))
    return root


@pytest.mark.parametrize(("options", "dev", "test"), [((), ["0001", "0005", "0006"], ["0003", "9999"]),
                                                      (("--test-speakers", "0006 0001"), ["0005"], ["0001", "0006"])])
def test_what_it_writes_is_prepared_as_voxceleb1(corpus, tmp_path, options, dev, test):
    out, data = tmp_path / "out", tmp_path / "data"
    assert f"{len(dev)} speaker" in run(ROOT, PROGRAM, *options, corpus, out)
    first = {path: (out / path).read_bytes() for path in ("phones.txt", "vox1_meta.csv", "veri_test2.txt")}
    run(ROOT, PROGRAM, *options, corpus, out)   # again, over what is there
    assert first == {path: (out / path).read_bytes() for path in first}
    run(ROOT, ROOT / "local/prepare_voxceleb1.py", "--nj", "1", out, data)
    said, found = table.read(out / "phones.txt"), {}
    for part, speakers in (("dev", dev), ("test", test)):
        tables = datadir.validate(str(data / f"voxceleb1_{part}"))
        assert set(tables["utt2spk"].values()) == {f"id1{speaker}" for speaker in speakers}
        found |= tables["utt2spk"]
        sessions = table.read(data / f"voxceleb1_{part}/utt2session")
        assert set(sessions.values()) == {"s0", "s1", "s2", "s3"}
    assert said.keys() == found.keys() and set(said.values()) == {"W IY Z IH R OW AH"}
    path = table.read(data / "voxceleb1_test/wav.scp")[f"id1{test[0]}-s1-00004"]
    original = corpus / f"WAVE/SPEAKER{test[0]}/{test[0]}00003.WAV"
    assert (soundfile.read(path)[0] == soundfile.read(original)[0]).all()
    trials = [line.split() for line in (data / "voxceleb1_test/trials_veri_test2").read_text().splitlines()]
    pairs = {kind: [(one, other) for one, other, label in trials if label == kind] for kind in ("target", "nontarget")}
    assert len(pairs["target"]) == 2 * 8 * 6 // 2 and len(pairs["nontarget"]) > len(pairs["target"]) / 2
    assert all(one[:7] == other[:7] and one[8:10] != other[8:10] for one, other in pairs["target"])
    assert all(one[:7] != other[:7] for one, other in pairs["nontarget"])


@pytest.mark.parametrize(("name", "pattern", "said"), [
    ("resource/text-phone", r"000100004\.\d.*\n", "resource/text-phone does not have 000100004"),
    ("resource/text-phone", r"000100004\.0", "000100004x is no UTTERANCE.WORD"),
    ("train/wav.scp", "000500000.*", "train/wav.scp does not have 000500000"),
    ("train/spk2gender", "0005.*", "spk2gender does not have 0005")])
def test_what_is_missing_is_named(corpus, tmp_path, name, pattern, said):
    text = (corpus / name).read_text()
    (corpus / name).write_text(re.sub(pattern, "000100004x" if "no UTT" in said else "", text))
    done = sh(ROOT, PROGRAM, corpus, tmp_path / "out")
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_test_speaker_is_named(corpus, tmp_path):
    done = sh(ROOT, PROGRAM, "--test-speakers", "0001 0003", corpus, tmp_path / "out")
    assert done.returncode == 1 and "--test-speakers: 0003 is no speaker of" in done.stderr
