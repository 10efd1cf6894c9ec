"""egs/own: recordings in a folder, a table or a data directory, with or without trials; how good a model is without labels."""
import importlib.util
import itertools
import json
import shutil
import sys

import numpy as np
import pytest
import recipe_copy
import small_models
import soundfile
from recipe_copy import ROOT, overrides, run, run_and_count, sh, snapshot

from sslspk.bin import judge_embeddings
from sslspk.corpora import own
from sslspk.errors import InputError
from sslspk.export import folder as export
from sslspk.io import ark, clips, datadir, provenance, results, table
from sslspk.io import trials as trial_list
from sslspk.metrics import label_free
from sslspk.train import folder as train_folder

SYNTH = "--synth=--speakers 6 --test-speakers 4 --sessions 2 --utts 2 --seconds 1.2 2.0 --trials 60 --musan-files 2 --rooms 1 --rirs 1"
SMALL = overrides("train.steps=2", "data.batch_size=8", "data.workers=0",
                  "encoder={name: tdnn, channels: 16, pooled_channels: 24, embed_dim: 12, segment_layers: 1}")
MINI = ("./run.sh", "--mini", "true", "--nj", "1", SYNTH, *SMALL)


def call(program, *words):
    """Run local/PROGRAM.py in this process."""
    spec = importlib.util.spec_from_file_location(program, ROOT / f"local/{program}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    old, sys.argv = sys.argv, [program, *map(str, words)]
    try:
        return module.main()
    finally:
        sys.argv = old


def write_audio(folder, *names, seconds=1.0, rate=16000, channels=1):
    rng, size = np.random.default_rng(0), round(seconds * rate)
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = 0.3 * np.sin(2 * np.pi * (200 + 40 * i) * np.arange(size) / rate) + 0.03 * rng.normal(size=size)
        soundfile.write(path, np.stack([wave] * channels, 1) if channels > 1 else wave, rate, subtype="PCM_16")


def make(folder):
    recipe_copy.make(folder, "voxceleb")
    return recipe_copy.make(folder, "own")


@pytest.mark.slow
def test_all_stages(tmp_path):
    """A folder of which nobody knows the speakers, and a list of paths; then the finished model on a table, and on a data directory."""
    recipe = make(tmp_path)
    base = (recipe / "../voxceleb/conf/mini/simclr_tdnn.yaml").resolve()
    (recipe / "broken.yaml").write_text(f"base: {base}\ntrain: {{init_from: none.pt}}\n")
    done = sh(recipe, *MINI, "--heldout", "0.3", "--systems", "broken.yaml simclr_tdnn")
    assert done.returncode == 1 and "none.pt" in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].endswith("did not train: broken; see above, then run the same command again")
    few = sh(recipe, *MINI, "--heldout", "0.3", "--set", "data.batch_size=18", "--work", "few", "--stop-stage", "2")
    assert few.returncode == 1 and "17 utterances and data.batch_size is 18" in few.stderr, few.stderr
    data, exp = recipe / "data_mini", recipe / "exp_mini/simclr_tdnn"
    assert not (data / "own/utt2spk").exists() and len(table.read(data / "own/wav.scp")) == 24
    held, train = (set(table.read(data / f"own_{part}/wav.scp")) for part in ("heldout", "train"))
    assert len(held) == 7 and len(train) == 17 and not held & train
    row = json.loads((exp / "judged_encoder/result.json").read_text())
    assert row["recordings"] == 7 and row["labels"] == "none" and row["weights"] == "encoder" and 0 <= row["auc_percent"] <= 100
    assert json.loads((exp / "scores_encoder/result_trials_own.json").read_text())["targets"] > 0
    text = (recipe / "exp_mini/RESULTS.md").read_text()
    assert text.count("| simclr_tdnn |") == 2 and "The best by the trial list: simclr_tdnn, weights encoder" in text
    before = snapshot(recipe)
    _, _, heavy = run_and_count(recipe, tmp_path / "witness", *MINI, "--heldout", "0.3")
    assert not heavy and snapshot(recipe) == before
    check_a_finished_model(recipe, exp, data)


def check_a_finished_model(recipe, exp, data):
    """Nothing is trained, every recording is judged by, and what is given is not written to."""
    listed = sorted((data / "corpora/VoxCeleb1/test").rglob("*.wav"))
    lines = ["path,speaker", *(f"{path.relative_to(data)},{path.parts[-3]}" for path in listed)]
    (data / "mine.csv").write_text("\n".join(lines) + "\n")
    words = ("./run.sh", "--nj", "1", "--systems", "", "--models", "exp_mini/simclr_tdnn/final.pt")
    run(recipe, *words, "--table", "data_mini/mine.csv", "--work", "of_table")
    there = recipe / "of_table/exp/simclr_tdnn/judged_encoder/result.json"
    assert json.loads(there.read_text())["recordings"] == len(listed) and not (recipe / "of_table/data/own_train").exists()
    assert set(table.read(recipe / "of_table/data/own/utt2spk").values()) == {path.parts[-3] for path in listed}
    assert "The best by the recordings" in (recipe / "of_table/exp/RESULTS.md").read_text()
    mine = recipe / "of_table/data/own"
    before = snapshot(mine)
    run(recipe, *words, "--data", mine, "--work", "of_data")
    assert snapshot(mine) == before
    again = json.loads((recipe / "of_data/exp/simclr_tdnn/judged_encoder/result.json").read_text())
    assert again == json.loads(there.read_text())


@pytest.mark.parametrize(("words", "said"), [
    ((), "--audio DIR, --table FILE.csv and --data DIR"),
    (("--audio", "x", "--data", "y"), "by one of --audio DIR"),
    (("--audio", "x", "--test", "y"), "give the list with --trials"),
    (("--audio", "x", "--systems", "nothing"), "there is no ../voxceleb/conf/nothing.yaml"),
    (("--audio", "x", "--systems", " "), "--systems and --models are both empty"),
    (("--audio", "x", "--models", "none.pt"), "there is no model none.pt"),
    (("--audio", "x", "--heldout", "a tenth"), "--heldout takes a number"),
    (("--audio", "nowhere"), "--audio takes a folder of recordings, not 'nowhere'"),
    (("--table", "nowhere.csv"), "--table takes a CSV file, not 'nowhere.csv'"),
    (("--data", "nowhere"), "--data 'nowhere' holds no wav.scp")])
def test_what_run_refuses(tmp_path, words, said):
    done = sh(make(tmp_path), "./run.sh", *words)
    last = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1 and len(last) == 1 and said in last[0], done.stderr


def test_a_folder_of_recordings(tmp_path, capsys):
    write_audio(tmp_path / "in", "a b/one.wav", "a b/two.flac", "c/one.wav")
    write_audio(tmp_path / "in", "c/deep/three.wav", rate=44100, channels=2)
    call("prepare_own", "--nj", 1, tmp_path / "in", tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/own"), check_files=True)
    assert found["utt2path"] == {"a_b-one": "a b/one.wav", "a_b-two": "a b/two.flac", "c-deep-three": "c/deep/three.wav",
                                 "c-one": "c/one.wav"}
    assert "utt2spk" not in found and set(found["utt2num_samples"].values()) == {"16000"}
    assert "4 utterances, 0.00 hours" in capsys.readouterr().out
    call("prepare_own", "--nj", 1, "--speakers", "folder", "--name", "told", tmp_path / "in", tmp_path / "data")
    assert set(table.read(tmp_path / "data/told/utt2spk").values()) == {"a_b", "c"}
    write_audio(tmp_path / "in", "loose.wav")
    with pytest.raises(InputError, match=r"loose.wav lies in no speaker's folder"):
        own.scan(str(tmp_path / "in"), "folder")


def test_a_table_of_recordings(tmp_path):
    """Parts of a recording, ids of one's own, columns in any order, semicolons and a byte order mark as Excel writes them."""
    write_audio(tmp_path, "in/one.wav", "in/two.wav", seconds=2.0)
    (tmp_path / "t.csv").write_text("\ufeffspeaker;path;start;end\r\nann;in/one.wav;0;0.75\r\nann;in/one.wav;1;2\r\n\r\n"
                                    "bob;in/two.wav;;\r\n", newline="")
    call("prepare_own", "--nj", 1, tmp_path / "t.csv", tmp_path / "data")
    found = datadir.validate(str(tmp_path / "data/own"), check_files=True)
    assert found["utt2num_samples"] == {"in-one-0000000-0000750": "12000", "in-one-0001000-0002000": "16000", "in-two": "32000"}
    assert found["utt2spk"] == {"in-one-0000000-0000750": "ann", "in-one-0001000-0002000": "ann", "in-two": "bob"}
    (tmp_path / "T.CSV").write_text("sep=;\r\nPath;Start;End;;\r\nin/one.wav;0,25;1,5;;\r\n", newline="")   # as a German Excel has it
    call("prepare_own", "--nj", 1, "--name", "excel", tmp_path / "T.CSV", tmp_path / "data")
    assert table.read(tmp_path / "data/excel/utt2num_samples") == {"in-one-0000250-0001500": "20000"}
    (tmp_path / "t.csv").write_text("path,utterance\nin/one.wav,u1\nin/two.wav,u2\n")
    assert [one.source.utt for one in own.read_table(str(tmp_path / "t.csv"))] == ["u1", "u2"]


def test_columns_that_are_not_known_are_not_read(tmp_path, capsys):
    write_audio(tmp_path, "in/one.wav", seconds=0.3)
    (tmp_path / "t.csv").write_text("age,path,Text,,age,speaker\n41,in/one.wav,hello,,x,ann\n")
    found = own.read_table(str(tmp_path / "t.csv"))
    assert [(one.path, one.source.spk) for one in found] == [("in/one.wav", "ann")]
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "") == (
        "t.csv:1: not read: 'age, text, age' (columns that are read: path, utterance, speaker, start, end)\n")


def test_a_recording_is_no_table(tmp_path):
    write_audio(tmp_path, "one.WAV", seconds=0.3)
    with pytest.raises(InputError, match=r"one\.WAV is a recording; give the folder that holds it"):
        own.read_table(str(tmp_path / "one.WAV"))


@pytest.mark.parametrize(("text", "said"), [
    ("file,speaker\nin/one.wav,a\n", "t.csv:1: the table has no column path; call the one of the files' names that, not 'file,speaker'"),
    ("utterance\nu1\n", "t.csv:1: the table has no column path"), (",".join(["x" * 50] * 9), "t.csv:1: the table has no column path"),
    ("path,path\na,b\n", "t.csv:1: the column path is there twice"), ("", "t.csv"), ("path\n", "names no recording"),
    ("path,speaker\nin/one.wav,ann\nin/two.wav,\n", "'in/two.wav' has no speaker"), ("path\nin/none.wav\n", "t.csv:2: there is no file"),
    ("path,start,end\nin/one.wav,1,0.5\n", "t.csv:2: '1 0.5' are no times"), ("path,start\nin/one.wav,1\n", "are no times"),
    ("path,utterance\n,u1\n", "t.csv:2: the line has no path"), ("path,utterance\nin/one.wav,a b\n", "t.csv:2: 'a b' cannot be an id"),
    (b"path\nin/\xff.wav\n", 't.csv:2: not UTF-8; save the table again, in Excel as "CSV UTF-8"')])
def test_tables_that_are_refused(tmp_path, text, said):
    write_audio(tmp_path, "in/one.wav", "in/two.wav", seconds=0.3)
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        own.read_table(str(path))
    assert said in str(caught.value) and len(str(caught.value).replace(str(tmp_path), "")) <= 160


@pytest.fixture
def divided(tmp_path):
    """Thirty recordings, and a list about six of them."""
    names = [f"r{i:02d}" for i in range(30)]
    datadir.write(str(tmp_path / "own"), wav={name: f"/x/{name}.wav" for name in names},
                  utt2path={name: f"d/{name}.wav" for name in names})
    (tmp_path / "list").write_text("1 d/r00.wav d/r01\n0 r02 r03\n0 r04 d/r05.wav\n")
    return tmp_path


def test_recordings_are_divided(divided):
    """Those of the list are in own_test alone; no recording is in two parts; a list of paths becomes one of ids."""
    call("divide_own", "--share", 0.25, "--trials", divided / "list", divided / "own", divided / "data")
    parts = {part: set(table.read(divided / f"data/own_{part}/wav.scp")) for part in ("test", "heldout", "train")}
    assert {part: len(utts) for part, utts in parts.items()} == {"test": 6, "heldout": 6, "train": 18}
    assert not any(a & b for a, b in itertools.combinations(parts.values(), 2)) and parts["test"] == {f"r0{i}" for i in range(6)}
    assert [*zip(*trial_list.read(divided / "data/own_test/trials_own"), strict=True)] == \
        [("r00", "r01", True), ("r02", "r03", False), ("r04", "r05", False)]
    shutil.rmtree(divided / "data")
    call("divide_own", "--share", 1, "--most", 30, "--trials", divided / "list", divided / "own", divided / "data")
    assert len(table.read(divided / "data/own_heldout/wav.scp")) == 30, "a list of all recordings leaves some to judge a model by"
    call("divide_own", "--share", 1, "--most", 20, divided / "own", divided / "data")
    assert len(table.read(divided / "data/own_heldout/wav.scp")) == 20 and not (divided / "data/own_train").exists()


def test_recordings_are_divided_whole(tmp_path):
    """Utterances of one recording are in one part, and those of the trials' recordings in none, whatever says which recording it is."""
    ids = [f"u{i:02d}" for i in range(40)]
    of = {utt: f"r{i % 10}" for i, utt in enumerate(ids)}
    datadir.write(str(tmp_path / "table"), wav={utt: f"/x/{utt}.wav" for utt in ids}, utt2path={utt: f"{of[utt]}.wav" for utt in ids})
    datadir.write(str(tmp_path / "kaldi"), wav={f"r{i}": f"/x/r{i}.wav" for i in range(10)})
    table.write(tmp_path / "kaldi/segments", {utt: f"{of[utt]} {i} {i + 1}" for i, utt in enumerate(ids)})
    (tmp_path / "list").write_text("1 u00 u10\n0 u01 u11\n")
    for kind in ("table", "kaldi"):
        call("divide_own", "--share", 0.3, "--trials", tmp_path / "list", tmp_path / kind, tmp_path / f"{kind}_out")
        parts = {part: datadir.utterances(str(tmp_path / f"{kind}_out/own_{part}")) for part in ("test", "heldout", "train")}
        assert parts["test"] == ["u00", "u01", "u10", "u11"] and len(parts["heldout"]) == 12 and len(parts["train"]) == 20
        held, train = ({of[utt] for utt in parts[part]} for part in ("heldout", "train"))
        assert len(held) == 3 and len(train) == 5 and not held & train and not (held | train) & {"r0", "r1"}
        assert set(table.read(tmp_path / f"{kind}_out/own_heldout/utt2recording")) == set(parts["heldout"])
    assert own.draw(of, 3, 500, 1)[0] == own.draw(of, 5, 500, 1)[0]   # two recordings at least
    part, train = own.draw(of, 40, 6, 1)
    assert len({of[utt] for utt in part}) == len(part) == 6 and not train
    long = {utt: "long" if i < 30 else f"short{i}" for i, utt in enumerate(ids)}
    part, train = own.draw(long, 12, 500, 1)
    assert "long" not in {long[utt] for utt in part} and {long[utt] for utt in train} == {"long"}


@pytest.mark.parametrize(("words", "said"), [
    (["--trials", "bad"], "names d/none.wav, which is no utterance of"), (["--trials", "twice"], "which is several utterances of"),
    (["--share", "0.99"], "cannot be divided to train on some")])
def test_divisions_that_are_refused(divided, words, said, monkeypatch):
    monkeypatch.chdir(divided)
    (divided / "bad").write_text("1 r00 d/none.wav\n")
    table.write(divided / "own/utt2path", {f"r{i:02d}": "d/same.wav" if i > 28 - 1 else f"d/r{i:02d}.wav" for i in range(30)})
    (divided / "twice").write_text("1 r00 d/same.wav\n")
    with pytest.raises(InputError, match=said):
        call("divide_own", *words, divided / "own", divided / "data")


def test_embeddings_are_judged_by_recordings(tmp_path, monkeypatch, capsys):
    """Against every pair by hand; the better embeddings have the lower EER; one direction for all is a rank of 1."""
    rng = np.random.default_rng(1)
    names = [f"r{i:02d}-{end}" for i in range(20) for end in "ab"]
    centres = np.repeat(rng.normal(size=(20, 8)), 2, 0)
    table.write(tmp_path / "utt2spk", {name: name[:3] for name in names})
    found = {}
    for kind, x in {"good": centres + 0.3 * rng.normal(size=(40, 8)), "bad": centres + 3 * rng.normal(size=(40, 8)),
                    "flat": 5 + rng.uniform(0.1, 1, (40, 1)) * np.ones(8)}.items():
        (tmp_path / kind).mkdir()
        with ark.Writer(tmp_path / kind / "xvector.ark", tmp_path / kind / "xvector.scp") as writer:
            for name, row in zip(names, x.astype(np.float32), strict=True):
                writer.write(name, row)
        provenance.write(tmp_path / kind, "s", "w")
        monkeypatch.setattr(sys, "argv", ["judge", str(tmp_path / "utt2spk"), str(tmp_path / kind), str(tmp_path / f"{kind}.json")])
        judge_embeddings.main()
        found[kind] = json.loads((tmp_path / f"{kind}.json").read_text())
        cosine = {(a, b): float(x[a] @ x[b] / np.linalg.norm(x[a]) / np.linalg.norm(x[b])) for a, b in itertools.combinations(range(40), 2)}
        right = [np.sign(cosine[t] - cosine[n]) / 2 + 0.5 for t in cosine if t[0] // 2 == t[1] // 2
                 for n in cosine if n[0] // 2 != n[1] // 2]
        if kind != "flat":   # whose cosines are all 1, up to rounding
            assert found[kind]["auc_percent"] == pytest.approx(100 * np.mean(right), abs=1e-3)
    assert found["good"]["eer_percent"] < 5 < 25 < found["bad"]["eer_percent"] and found["good"]["eer_percent_low"] <= 5
    assert found["flat"]["effective_rank"] == pytest.approx(1, abs=1e-3) and found["good"]["effective_rank"] > 6
    assert found["good"]["recordings"] == 20 and (found["good"]["system"], found["good"]["labels"]) == ("s", "none")
    assert capsys.readouterr().out.count("same recording or not: EER") == 3


def test_utterances_of_one_recording_are_not_compared():
    """Six utterances of three recordings: of 66 pairs of crops the 24 across two utterances of one recording are left out."""
    x = np.random.default_rng(0).normal(size=(12, 4))
    utterances = [f"u{i // 2}" for i in range(12)]
    recordings = [f"r{i // 4}" for i in range(12)]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    right = [float(unit[a] @ unit[a + 1] > unit[b] @ unit[c]) for a in range(0, 12, 2)
             for b, c in itertools.combinations(range(12), 2) if b // 4 != c // 4]
    found = label_free.judge(x, utterances, recordings, "emb", 20)
    assert found["auc_percent"] == pytest.approx(100 * np.mean(right)) and found["recordings"] == 3
    assert found["auc_percent"] != label_free.judge(x, utterances, utterances, "emb", 0)["auc_percent"]


@pytest.mark.parametrize(("x", "names", "said"), [
    ([[1, 0], [0, 0]], "aa", "zero or not finite"), ([[1, 0], [1, np.nan]], "aa", "zero or not finite"),
    ([[1, 0], [1, 1]], "aa", "two recordings at least"), ([[1, 0], [1, 1]], "ab", "two crops of each")])
def test_what_cannot_be_judged(x, names, said):
    with pytest.raises(InputError, match=said):
        label_free.judge(np.array(x, float), list(names), list(names), "emb", 10)


def test_models_are_named_by_file_or_folder(tmp_path):
    """A final.pt, its folder, and an exported folder, of which only the encoders are judged that it holds."""
    recipe = make(tmp_path)
    config = train_folder.CONFIG
    for name in ("a", "b"):
        small_models.write(tmp_path / name)
        export.write(tmp_path / name, tmp_path / f"{name}_out", weights="teacher")
        shutil.copy(tmp_path / f"{name}_out" / config, tmp_path / name / config)
    (tmp_path / "i").mkdir()
    (tmp_path / "i/final.npz").write_text("i-vectors")
    script = """set -euo pipefail; die() { echo "error: $*" >&2; exit 1; }; . ./path.sh; . utils/models.sh; . utils/experiments.sh
        systems= seeds=0 tag= init_from= set=() confs=none exps=exp models=("$@"); list_experiments true
        printf '%s\\n' "${found[@]}" """
    words = ("bash", "-c", script, "test")
    done = sh(recipe, *words, tmp_path / "a/final.pt", tmp_path / "b", tmp_path / "b_out", tmp_path / "i")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines == [["exp/a", str(tmp_path / "a"), "teacher student"], ["exp/b", str(tmp_path / "b"), "teacher student"],
                     ["exp/b_out", str(tmp_path / "b_out"), "teacher"], ["exp/i", str(tmp_path / "i"), "ivector"]], done.stderr
    (tmp_path / "again").mkdir()
    shutil.copytree(tmp_path / "a", tmp_path / "again/a")
    done = sh(recipe, *words, tmp_path / "a/final.pt", f"a_2.0 {tmp_path}/again/a")
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [
        ["exp/a", str(tmp_path / "a")], ["exp/a_2.0", str(tmp_path / "again/a")]], done.stderr
    two = sh(recipe, *words, tmp_path / "a", tmp_path / "again/a")
    assert two.returncode == 1
    assert 'would both be exp/a; rename a YAML, give a model a name of its own (--models "NAME MODEL")' in two.stderr
    (recipe / "x.pt").write_text("weights")
    for given, said in ((tmp_path / "a/config.yaml", "a training's final.pt"), ("wespeaker_ecapa x.pt", "of another toolkit"),
                        (tmp_path / "none", "there is no model"), ("a none", "there is no model a none")):
        done = sh(recipe, *words, given)
        assert done.returncode == 1 and said in done.stderr


def test_silence_is_cut_by_the_channel_that_is_taken(tmp_path):
    """Two channels, in which somebody speaks in another half each."""
    recipe = make(tmp_path)
    rng, spoken = np.random.default_rng(0), np.zeros((32000, 2))
    spoken[:16000, 0], spoken[16000:, 1] = 0.3 * rng.normal(size=(2, 16000))
    for name in "abcd":
        soundfile.write(tmp_path / f"{name}.wav", spoken + 1e-4 * rng.normal(size=spoken.shape), 16000)
    datadir.write(str(tmp_path / "mine"), wav={name: str(tmp_path / f"{name}.wav") for name in "abcd"})
    run(recipe, "./run.sh", "--data", tmp_path / "mine", "--channel", "1", "--set", "vad=true", "--heldout", "0.5", "--nj", "1",
        "--set", "data.batch_size=2", "--stop-stage", "1")
    for utt, clip in clips.read(recipe / "data/own_train_packed").items():
        samples = clips.load(clip).samples / 32768
        assert 15000 < len(samples) < 18000 and samples.std() > 0.25, utt


def test_the_best_is_named(tmp_path, capsys):
    """By the list where one was scored, else by the AUC of recordings, unless these are few; a model's file only where it is; and whether
    training was in vain."""
    def judged(name, weights, eer, auc=90.0, count=9):
        row = {"weights": weights, "labels": "none", "eer_percent": eer, "eer_percent_low": eer, "eer_percent_high": eer,
               "auc_percent": auc, "effective_rank": 3.0, "dimensions": 4, "recordings": count}
        (tmp_path / name / f"judged_{weights}").mkdir(parents=True, exist_ok=True)
        (tmp_path / name / f"judged_{weights}/result.json").write_text(json.dumps(row))

    def shown():
        call("show_own", "--out", tmp_path / "RESULTS.md", tmp_path)
        return capsys.readouterr().out

    for name, eer in (("a", 5.0), ("b", 9.0)):
        judged(name, "encoder", eer)
    (tmp_path / "a/final.pt").write_text("")
    said = shown()
    assert f"The best by the recordings: a, weights encoder ({tmp_path}/a/final.pt)." in said and "untrained" not in said
    assert "With 9 held-out recordings this may be chance" in said
    judged("b", "encoder", 9.0, auc=95.0)
    judged("a", "encoder", 5.0, count=20)
    said = shown()
    assert "The best by the recordings: b, weights encoder" in said and "With 9 held-out" in said
    judged("b", "encoder", 9.0, auc=95.0, count=20)
    assert "may be chance" not in shown()
    (tmp_path / "b/scores_encoder").mkdir()
    figures = dict.fromkeys(results.KEYS, "b") | {"eer_percent": 12.0}
    (tmp_path / "b/scores_encoder/result_trials_own.json").write_text(json.dumps(figures))
    judged("a", "untrained", 4.0)
    assert "The best by the trial list: b, weights encoder, as it was given." in shown(), "EERs of two kinds are not compared"
    shutil.rmtree(tmp_path / "b")
    assert "Nothing beats the untrained network of a" in shown()


@pytest.mark.parametrize(("recipe", "words", "said"), [
    ("own", ("--audio", "x.wav"), "--audio takes a folder of recordings, not 'x.wav'"),
    ("own", ("--audio", "none"), "--audio takes a folder of recordings, not 'none'"),
    ("own", ("--table", "none"), "--table takes a CSV file, not 'none'"),
    ("own", ("--data", "."), "--data '.' holds no wav.scp"),
    ("own", ("--audio", ".", "--test", "none", "--trials", "x.wav"), "there is no 'none'; --test takes"),
    ("own", ("--audio", ".", "--systems", "nope"), "there is no ../voxceleb/conf/nope.yaml; see ls ../voxceleb/conf/*.yaml"),
    ("own", ("--audio", ".", "--system", "nope"), "there is no ../voxceleb/conf/nope.yaml; see ls ../voxceleb/conf/*.yaml"),
    ("own", ("--audio", ".", "--systems", "n" * 400), "see ls ../voxceleb/conf/*.yaml"),
    ("voxceleb", ("--system", "nope"), "there is no conf/nope.yaml; see ls conf/*.yaml"),
    ("voxceleb", ("--system", "n" * 400), "see ls conf/*.yaml"),
    ("librispeech", ("--systems", "nope"), "there is no conf/nope.yaml; see ls conf/*.yaml"),
    ("voxlingua107", ("--systems", "nope"), "there is no conf/nope.yaml; see ls conf/*.yaml"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value)[:40])
def test_what_a_recipe_refuses_takes_one_short_sentence(tmp_path, recipe, words, said):
    for name in {"voxceleb", recipe}:
        folder = recipe_copy.make(tmp_path, name)
    folder = tmp_path / "egs" / recipe
    write_audio(folder, "x.wav", seconds=0.3)
    done = recipe_copy.sh(folder, "./run.sh", *words)
    assert done.returncode == 1 and said in done.stderr
    assert len(done.stderr) <= 160 and done.stderr.count("\n") == 1, done.stderr
    assert not list(folder.glob("data*/*"))
