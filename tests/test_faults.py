"""Bad input given to the steps as a user would give it: one sentence, exit 1, and what was there before is still there."""
import os
import shutil
import subprocess

import numpy as np
import pytest
import recipe_copy
import soundfile
from recipe_copy import overrides, run, sh, snapshot
from tones import conf_text

from sslspk.io import ark, datadir, derive, table

CONF = conf_text(steps=4, log_every=1, save_every=1)
SPKS = 4
STEPS = {   # each of them reads data/X and owns what it writes
    "make_feats": ("steps/make_feats.sh", "--nj", "1", "--conf", "conf/fbank.yaml", "DATA"),
    "compute_vad": ("steps/compute_vad.sh", "--nj", "1", "DATA"),
    "pack_audio": ("steps/pack_audio.sh", "--nj", "1", "DATA", "DATA_packed"),
    "train": ("steps/train.sh", "--conf", "conf/tiny.yaml", "DATA", "exp/DATA"),
    "extract": ("steps/extract_embeddings.sh", "--nj", "1", "DATA", "exp/tiny", "exp/tiny/emb_DATA"),
}


def words(step, name):
    return [word.replace("exp/DATA", f"exp/{name}").replace("emb_DATA", f"emb_{name}").replace("DATA", f"data/{name}")
            for word in STEPS[step]]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe with 12 noisy tones packed in data/good, a model in exp/tiny, its embeddings, and scores of a list."""
    folder = recipe_copy.make(tmp_path_factory.mktemp("faults"))
    (folder / "conf/tiny.yaml").write_text(CONF)
    rng, wav = np.random.default_rng(0), {}
    (folder / "wav").mkdir()
    for spk in range(SPKS):
        for n in range(3):
            path = folder / f"wav/{spk}{n}.wav"
            tone = np.sin(2 * np.pi * (150 + 60 * spk) * np.arange(8000 + 800 * n) / 16000)
            soundfile.write(path, (3000 * tone + rng.normal(0, 800, len(tone))).astype(np.int16), 16000)
            wav[f"s{spk}-u{n}"] = str(path)
    datadir.write(str(folder / "data/plain"), wav=wav, utt2spk={utt: utt[:2] for utt in wav})
    run(folder, "steps/pack_audio.sh", "--nj", "1", "data/plain", "data/good")
    run(folder, "steps/train.sh", "--conf", "conf/tiny.yaml", "data/good", "exp/tiny")
    run(folder, "steps/extract_embeddings.sh", "--nj", "1", "data/good", "exp/tiny", "exp/tiny/emb")
    pairs = [(a, b) for a in wav for b in wav if a < b]
    (folder / "data/trials_x").write_text("".join(f"{a} {b} {'' if a[:2] == b[:2] else 'non'}target\n" for a, b in pairs))
    run(folder, "steps/score.sh", "data/trials_x", "exp/tiny/emb", "exp/tiny/emb", "exp/tiny/scores")
    return folder


def copy(recipe, name, source="good"):
    """A data directory of its own, with archives of its own."""
    new = recipe / "data" / name
    shutil.copytree(recipe / "data" / source, new)
    for path in [*new.glob("*.scp"), *new.glob("ark/*.scp")]:
        path.write_text(path.read_text().replace(f"/data/{source}/", f"/data/{name}/"))
    return new


def refused(done, *parts):
    """Exit 1; one line of stderr is the error, names these, and no traceback is shown."""
    assert done.returncode == 1, done.stderr + done.stdout
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1 and "Traceback" not in done.stderr + done.stdout, done.stderr
    for part in parts:
        assert part in errors[0], done.stderr


def lines(path, change):
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


FAULTS = {   # what is done to the data directory, and what the sentence names
    "duplicate": (lambda d: lines(d / "wav.scp", lambda x: [x[0], *x]), ("wav.scp:2", "s0-u0", "twice")),
    "missing": (lambda d: lines(d / "utt2spk", lambda x: x[:4] + x[5:]), ("utt2spk", "s1-u1")),
    "unsorted": (lambda d: lines(d / "wav.scp", lambda x: [*x[:2], x[3], x[2], *x[4:]]), ("wav.scp:4", "order")),
    "empty": (lambda d: (d / "wav.scp").write_text(""), ("wav.scp", "empty")),
    "pipe": (lambda d: lines(d / "wav.scp", lambda x: [x[0], "s0-u1 touch ran; cat x |\n", *x[2:]]), ("wav.scp:2", "s0-u1", "pipe")),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_bad_data_directory_stops_each_step(recipe, step):
    """After a good run, each fault in turn: the step names it, runs nothing, and the good run's output stays."""
    name = f"bad_{step}"
    data = copy(recipe, name)
    run(recipe, *words(step, name))
    (recipe / f"exp/{name}/final.pt").unlink(missing_ok=True)   # a run that is still going on
    for fault, (damage, parts) in FAULTS.items():
        good = {table.name: table.read_bytes() for table in (data / "wav.scp", data / "utt2spk")}
        damage(data)
        before = snapshot(recipe)
        refused(sh(recipe, *words(step, name)), *parts)
        after = snapshot(recipe)
        assert after == before, f"{fault}: {set(before.items()) ^ set(after.items())}"
        for table_name, content in good.items():
            (data / table_name).write_bytes(content)
    assert not (recipe / "ran").exists()
    run(recipe, *words(step, name))


@pytest.mark.parametrize(("conf", "parts"), [
    ("train: {stepz: 4}", ("conf/bad.yaml", "train.stepz", "steps")),
    ("encoder: {name: tdnnn}", ("conf/bad.yaml", "encoder", "tdnnn")),
    ("train: {steps: soon}", ("conf/bad.yaml", "train.steps", "'soon'")),
    ("data: {batch_size: [4]}", ("conf/bad.yaml", "data.batch_size")),
    ("data: {batch_size: 13}", ("12", "13", "batch")),
    ("method: {crops: [{count: 2, seconds: 9.0}, {count: 2, seconds: 0.3}]}\ndata: {short: drop}", ("0 of 12", "last 9 s")),
    ("train: {", ("conf/bad.yaml", "YAML")),
])
def test_a_configuration_that_cannot_be_meant(recipe, conf, parts):
    (recipe / "conf/bad.yaml").write_text(f"base: tiny.yaml\n{conf}\n")
    before = snapshot(recipe / "exp")
    refused(sh(recipe, "steps/train.sh", "--conf", "conf/bad.yaml", "data/good", "exp/new"), *parts)
    after = snapshot(recipe / "exp")
    assert {path: digest for path, digest in after.items() if not path.startswith("new/")} == before
    assert not (recipe / "exp/new/final.pt").exists()
    shutil.rmtree(recipe / "exp/new", ignore_errors=True)


def full_disk(recipe, folder, command, room):
    """Run `command` where `folder` has `room` KiB left, then with plenty; returns both results.

    A small file system of our own where this user may mount one, else a limit on the size of a file.
    """
    words = " ".join(command)
    spaces = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    mount = "mount -t tmpfs -o size=20m none"
    if subprocess.run([*spaces, *mount.split(), "/mnt"], capture_output=True, check=False).returncode == 0:
        script = (f"mkdir -p {folder}; {mount} {folder}; head -c {(20 * 1024 - room) * 1024} /dev/zero > {folder}/ballast\n"
                  f"{words} > first.out 2> first.err; echo $? > first.rc; find {folder} -name '.*.tmp*' -o -name '*.tmp' > left\n"
                  f"rm {folder}/ballast; {words}")
        second = sh(recipe, *spaces, "bash", "-c", script)
        first = subprocess.CompletedProcess(words, int((recipe / "first.rc").read_text()), (recipe / "first.out").read_text(),
                                            (recipe / "first.err").read_text())
        assert (recipe / "left").read_text() == ""
        return first, second
    return sh(recipe, "bash", "-c", f"ulimit -f {room}; {words}"), sh(recipe, *command)


@pytest.mark.parametrize(("folder", "command", "room"), [
    ("exp/full", ("steps/train.sh", "--conf", "conf/tiny.yaml", "data/good", "exp/full"), 120),
    ("data/full", ("steps/pack_audio.sh", "--nj", "1", "data/plain", "data/full"), 96),
    ("exp/emb_full", ("steps/extract_embeddings.sh", "--nj", "1", "data/plain", "exp/tiny", "exp/emb_full"), 8),
])
def test_no_space_left(recipe, folder, command, room):
    first, second = full_disk(recipe, folder, command, room)
    refused(first, "cannot write", folder, "free some space")
    assert second.returncode == 0, second.stderr


def cut(path, keep=0.6):
    os.truncate(path, int(path.stat().st_size * keep))


def test_a_truncated_archive_is_named(recipe):
    """Packed audio, features and embeddings that end early, each as the next step meets them."""
    data = copy(recipe, "cut")
    run(recipe, *words("make_feats", "cut"))
    feats = recipe / "data/cut_feats"
    derive.subset(str(data), str(feats), utts=list(table.read(data / "wav.scp")))
    (feats / "wav.scp").unlink()
    archive = table.read(data / "feats.scp")["s3-u2"].rpartition(":")[0]
    cut(data.parent / archive)
    refused(sh(recipe, "steps/extract_statistics.sh", "data/cut_feats", "data/plain", "exp/statistics"), archive)
    assert not (recipe / "exp/statistics/raw/xvector.scp").exists()
    cut(data / "ark/wav.1.ark")
    for step in ("extract", "make_feats"):
        refused(sh(recipe, *words(step, "cut")), "data/cut/ark/wav.1.ark")
    assert not (recipe / "exp/tiny/emb_cut/xvector.scp").exists() and not (data / "feats.scp").exists()
    refused(sh(recipe, *words("train", "cut")), "wav.1.ark", "1 %")   # more than 1 % cannot be read
    shutil.copytree(recipe / "exp/tiny/emb", recipe / "exp/emb_cut")
    lines(recipe / "exp/emb_cut/xvector.scp", lambda x: [line.replace("exp/tiny/emb/", "exp/emb_cut/") for line in x])
    cut(recipe / "exp/emb_cut/xvector.1.ark")
    refused(sh(recipe, "steps/score.sh", "data/trials_x", "exp/emb_cut", "exp/emb_cut", "exp/scores_cut"), "exp/emb_cut/xvector.1.ark")
    assert not list((recipe / "exp/scores_cut").glob("[!.]*trials_x*"))


def test_pipes_run_when_they_are_allowed(recipe):
    """Refused by default; allowed, the embeddings of the same audio through a pipe are the same, and so are the statistics."""
    data = copy(recipe, "pipes", "plain")
    lines(data / "wav.scp", lambda x: [f"{line.split()[0]} cat {line.split()[1]} |\n" for line in x])
    for words_ in ((*words("extract", "pipes"),), ("steps/make_feats.sh", "--nj", "1", "data/pipes")):
        refused(sh(recipe, *words_), "s0-u0", "--allow-pipes true")
        run(recipe, words_[0], "--allow-pipes", "true", *words_[1:])
    piped, packed = (ark.read_scp(recipe / f"exp/tiny/{name}/xvector.scp") for name in ("emb_pipes", "emb"))
    assert all(np.array_equal(ark.load(str(recipe / piped[utt])), ark.load(str(recipe / spec))) for utt, spec in packed.items())
    feats = recipe / "data/pipes_ref"
    shutil.copytree(data, feats)
    (feats / "feats.scp").unlink()
    step = ("steps/extract_statistics.sh", "--allow-pipes", "true", "data/pipes", "data/pipes_ref", "exp/pipes_statistics")
    refused(sh(recipe, step[0], *step[3:]), "--allow-pipes true")
    run(recipe, *step)


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_corrupt_model_is_named(recipe, damage):
    bad = recipe / f"exp/bad_{damage}/final.pt"
    bad.parent.mkdir()
    shutil.copy(recipe / "exp/tiny/final.pt", bad)
    if damage == "cut":
        cut(bad)
    else:
        bad.write_bytes({"empty": b"", "text": b"no model\n"}[damage])
    refused(sh(recipe, "steps/extract_embeddings.sh", "--nj", "1", "data/good", bad.parent.relative_to(recipe), f"exp/emb_{damage}"),
            f"exp/bad_{damage}/final.pt")
    assert not (recipe / f"exp/emb_{damage}/xvector.scp").exists()
    if damage == "cut":
        refused(sh(recipe, "steps/train.sh", "--conf", "conf/tiny.yaml", "--init-from", bad, "data/good", "exp/from_bad"),
                "exp/bad_cut/final.pt")


def test_lists_and_scores_that_do_not_fit(recipe):
    """A trial of an unknown utterance, a score that is no number: the scores of before stay."""
    trials, scores = recipe / "data/trials_x", recipe / "exp/tiny/scores"
    before, text = snapshot(scores), trials.read_text()
    trials.write_text(text + "s0-u0 s9-u9 nontarget\n")
    refused(sh(recipe, "steps/score.sh", "data/trials_x", "exp/tiny/emb", "exp/tiny/emb", "exp/tiny/scores"), "s9-u9", "exp/tiny/emb")
    trials.write_text(text)
    assert snapshot(scores) == before
    lines(scores / "scores_trials_x", lambda x: [*x[:5], " ".join([*x[5].split()[:2], "nan\n"]), *x[6:]])
    refused(sh(recipe, "steps/plot_det.sh", "--trials", "data/trials_x", "exp/det.png", "A=exp/tiny/scores"), "scores_trials_x:6", "'nan'")
    refused(sh(recipe, "bash", "-c", ". ./path.sh; python3 -m sslspk.bin.metrics data/trials_x exp/tiny/scores/scores_trials_x"),
            "scores_trials_x:6", "'nan'")
    shutil.copytree(recipe / "exp/tiny/scores", recipe / "exp/old")
    lines(recipe / "exp/old/scores_trials_x", lambda x: x[:5])
    for damaged, named in ((text.splitlines()[0] + "\n", ("exp/old/scores_trials_x:2", "is not in data/trials_x")),
                           (text.splitlines()[-1] + "\n", ("exp/old/scores_trials_x", "line 1 of data/trials_x")),
                           ("\0" * 20 + text[20:], ("data/trials_x:1: zero bytes",))):
        trials.write_text(damaged)
        refused(sh(recipe, "steps/plot_det.sh", "--trials", "data/trials_x", "exp/det.png", "A=exp/old"), *named)
    trials.write_text(text)
    assert not (recipe / "exp/det.png").exists()


def test_a_run_that_belongs_to_other_options_is_left_alone(recipe):
    before = snapshot(recipe / "exp/tiny")
    refused(sh(recipe, "steps/train.sh", "--conf", "conf/tiny.yaml", *overrides("train.steps=9"), "data/good", "exp/tiny"),
            "train.steps = 4, asked for 9")
    assert snapshot(recipe / "exp/tiny") == before


def test_no_number_is_put_into_a_name_that_holds_the_letters_job(recipe):
    """Of a machine, in a training on several, and of a fold; each of them is told to whoever runs the jobs."""
    (recipe / "told.sh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> told\n')
    (recipe / "told.sh").chmod(0o755)
    train = ("steps/train.sh", "--cmd", "./told.sh", "--nodes", "2", "--conf", "conf/tiny.yaml", "--set", "train.valid=data/JOB")
    refused(sh(recipe, *train, "data/good", "exp/JOB1 NODE"), "final.pt was not written")
    words = (recipe / "told").read_text().splitlines()
    assert words[:7] == ["--gpu", "0", "--together", "true", "JOB2=1:2", "exp/JOB1 NODE/log/train.nodeJOB2.log", "python3"]
    assert words[words.index("--node") + 1] == "JOB2" and words[-3:] == ["--set=train.valid=data/JOB", "data/good", "$'exp/JOB1\\040NODE'"]
    (recipe / "told").unlink()
    folds, labels = recipe / "data/folds_JOB", recipe / "data/utt2JOB"
    folds.mkdir()
    (folds / "num_folds").write_text("2\n")
    labels.write_text("s0-u0 a\n")
    done = sh(recipe, "local/finetune_folds.sh", "--cuda-cmd", "./told.sh", "--scratch", "conf/tiny.yaml", "--labels", labels,
              "--confs", recipe_copy.ROOT / "egs/iemocap/conf/ft", folds, "exp/folds")
    assert "there is no file exp/folds/fold_1/test/predictions.tsv" in done.stderr
    words = (recipe / "told").read_text().splitlines()
    assert "JOB1=1:2" in words and f"{folds}/JOB1/train" in words and "exp/folds/fold_JOB1" in words
    assert "$'data.labels=\\047utt2JOB\\047'" in words
