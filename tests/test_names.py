"""Names and values that a shell would take for more: every step hands them to its jobs as they stand, and nothing is executed.

The launcher here is one that reads the words as run.pl does, but whose jobs tell what they were given instead of doing it.
"""
import os
import re
import sys

import numpy as np
import pytest
import recipe_copy
import soundfile
from recipe_copy import ROOT, run, sh

from sslspk.io import datadir, table

N = "R&D;x it's $(touch canary)`touch canary` \"q\" {a,b} *?[a] ~#!|>c \\n JOB $HOME \u00e9"
SET = "reproduces=x$(touch${IFS}canary)"
DATA, CONF, EMB, OUT, FILE = f"data/{N}", f"conf/{N}", f"emb/{N}", f"exp/{N}", f"files/{N}"
STEPS = {
    "align_phones": ["--conf", f"{CONF}/fbank.yaml", "--set", SET, "--phones", FILE, "--lexicon", FILE, "--test", DATA,
                     "--nj", "2", DATA, OUT],
    "apply_calibration": ["--utt2dur", FILE, "--embeddings", EMB, "--provenance", FILE, "--utt2spk", FILE, "--spk2gender", FILE,
                          "--bootstrap", N, FILE, FILE, FILE, OUT],
    "augment_data": ["--conf", f"{CONF}/augment.yaml", "--set", SET, "--nj", "2", DATA, "files", OUT],
    "classify": ["--seconds", N, DATA, EMB, OUT],
    "cluster": ["--conf", f"{CONF}/cluster.yaml", "--set", SET, "--truth", FILE, "--model", EMB, "--max-gb", N, EMB, OUT],
    "compare_systems": ["--utt2spk", FILE, "--bootstrap", N, "--seed", N, "--trials-shown", N, FILE, EMB, EMB, OUT],
    "compute_vad": ["--conf", f"{CONF}/vad.yaml", "--feats-conf", f"{CONF}/mfcc.yaml", "--nj", "2", DATA, f"log/{N}", OUT],
    "convert": ["--pairs", FILE, "--identity", "true", "--iterations", N, DATA, EMB, OUT],
    "extract_embeddings": ["--weights", N, "--layer", N, "--nj", "2", DATA, EMB, OUT],
    "extract_frame_model": ["--nj", "2", N, FILE, DATA, OUT],
    "extract_frames": ["--weights", N, "--layer", N, "--window", N, "--margin", N, "--nj", "2", DATA, EMB, OUT],
    "extract_ivectors": ["--nj", "2", DATA, EMB, OUT],
    "extract_statistics": ["--conf", f"{CONF}/fbank.yaml", DATA, DATA, OUT],
    "import_shards": ["--speaker", N, "--nj", "2", EMB, OUT],
    "judge_embeddings": ["--recordings", FILE, FILE, EMB, OUT],
    "judge_round": [FILE, EMB, EMB, OUT],
    "make_augment_lists": ["--nj", "2", "--rir-seconds", N, "--num-babble", N, "--babble-seconds", N, "--seed", N, "files", OUT],
    "make_feats": ["--conf", f"{CONF}/fbank.yaml", "--nj", "2", DATA, f"log/{N}", OUT],
    "make_frame_labels": ["--kind", N, "--classes", N, "--normalise", N, "--points", N, "--iterations", N, "--dim", N, "--seed", N,
                          "--nj", "2", DATA, OUT],
    "make_trials": ["--num-trials", N, "--seed", N, "--utt2session", FILE, "--across", FILE, FILE, OUT],
    "pack_audio": ["--rate", N, "--nj", "2", DATA, OUT],
    "plot_embeddings": ["--labels", FILE, "--num-labels", N, "--per-label", N, "--perplexity", N, "--seed", N, "--title", N, EMB, OUT],
    "plot_det": ["--trials", FILE, "--title", f" {N}\n", "--p-target", N, OUT, f"{N}={FILE}"],
    "probe": ["--classifier", N, "--conf", f"{CONF}/fbank.yaml", "--set", SET, "--labels", FILE, "--target", N, "--train", DATA,
              "--test", DATA, EMB, OUT],
    "probe_frames": ["--labels", EMB, "--train", DATA, "--test", DATA, "--frames", N, "--test-frames", N, "--ignore", N, "--weight", N,
                     "--bootstrap", N, DATA, OUT],
    "score": ["--backend", N, "--model", EMB, "--mean", EMB, "--enrol-map", FILE, "--snorm", N, "--cohort", EMB, "--cohort-utt2spk", FILE,
              "--cohort-label-kind", N, "--top-n", N, "--provenance", FILE, "--utt2spk", FILE, "--spk2gender", FILE, "--bootstrap", N,
              FILE, EMB, EMB, OUT],
    "score_classes": ["--labels", FILE, "--pool", N, "--groups", FILE, "--utt2spk", FILE, "--bootstrap", N, FILE, FILE, OUT],
    "train": ["--conf", f"{CONF}/dino_tdnn.yaml", "--set", SET, "--set", "", "--set", "-x={\"a\": [1,\n2]}", "--init-from", FILE,
              "--nodes", "2", "--wait", N, DATA, OUT],
    "train_backend": ["--conf", f"{CONF}/fbank.yaml", "--set", SET, "--labels", FILE, "--label-kind", N, "--adapt", EMB, EMB, OUT],
    "train_calibration": ["--p-target", N, "--label-kind", N, "--made-on", N, "--utt2dur", FILE, "--embeddings", EMB, FILE, FILE, FILE,
                          OUT],
    "train_ivector": ["--conf", f"{CONF}/ivector_mfcc.yaml", "--set", SET, "--nj", "2", DATA, EMB, OUT],
    "train_ubm": ["--conf", f"{CONF}/ivector_mfcc.yaml", "--set", SET, DATA, OUT],
}
TELL = f"""import os, subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from sslspk.launch.request import log_path, parse, shell_line
request = parse(sys.argv)
for number in request.numbers:
    os.makedirs(os.path.dirname(log_path(request, number)), exist_ok=True)
    code = 'python3() {{ printf "%s\\\\0" "$@" END >> told; }}; ' + shell_line(request, number)
    subprocess.run(["bash", "-c", os.fsencode(code)], check=True, stdout=open(log_path(request, number), "w"))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """One with what the steps look for before they start a job; of what is in these files they read little."""
    recipe = recipe_copy.make(tmp_path_factory.mktemp("names"))
    os.symlink(recipe / "conf", recipe / CONF)
    (recipe / "tell.py").write_text(TELL)
    for folder in (DATA, EMB, "files/musan_noise", "files/noise"):
        (recipe / folder).mkdir(parents=True)
    for path in (FILE, *(f"{EMB}/{name}" for name in ("xvector.scp", "provenance.json", "transform.mat", "final.pt", "final.npz",
                                                          "ali.scp", "ali.json", "a.tar", f"scores_{os.path.basename(FILE)}"))):
        (recipe / path).write_text("u1 x\nu2 x\n")
    return recipe


@pytest.fixture(autouse=True)
def data(recipe):
    """Its data directories, sound again."""
    for name, lines in {"wav.scp": "u1 /a.ark:3\nu2 /b.ark:3\n", "utt2spk": "u1 s\nu2 s\n", "spk2utt": "s u1 u2\n"}.items():
        for folder in (DATA, "files/musan_noise", "files/noise"):
            (recipe / folder / name).write_text(lines)
    for name in ("feats.scp", "vad.scp"):
        (recipe / DATA / name).write_text("u1 /a.ark:3\nu2 /b.ark:3\n")


def told(recipe) -> list[list[str]]:
    """The words that each job was given."""
    path = recipe / "told"
    text = path.read_bytes().decode(errors="surrogateescape") if path.exists() else ""
    path.unlink(missing_ok=True)
    return [job.split("\0")[:-1] for job in text.split("END\0")[:-1]]


def test_no_step_is_forgotten():
    assert set(STEPS) == {path.stem for path in (ROOT / "steps").glob("*.sh")}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_hands_on_what_it_was_given(recipe, step):
    words = STEPS[step]
    done = sh(recipe, f"steps/{step}.sh", "--cmd", f"{sys.executable} tell.py", *words)
    jobs = told(recipe)
    assert jobs and all(job[:2] == ["-m", f"sslspk.bin.{step}"] for job in jobs), done.stderr
    given = {word.removeprefix("--set=") for job in jobs for word in job}
    own = {word for word in words if re.fullmatch(r"--[a-z0-9-]+", word)} | {"2", f"log/{N}"}   # options, numbers of jobs, folders of logs
    if any("/split2/" in word for word in given):   # pieces of the data directory lie below OUT, and the jobs read these
        own.add(DATA)
    # Of a folder the job may be told what is in it, or where it really is.
    assert [word for word in words if word not in own and not any(word == have or f"{word}/" in have for have in given)] == [], jobs
    assert not [path for path in [recipe, *recipe.rglob("*")] if path.name == "canary"]


@pytest.mark.slow
def test_a_chain_in_folders_and_with_ids_of_any_name(tmp_path):
    """From wav to scores by run.pl: the ids of the tables are those that were given, and nothing is executed."""
    from tones import conf_text
    (tmp_path / N).mkdir()
    recipe, rng, wav = recipe_copy.make(tmp_path / N), np.random.default_rng(0), {}
    (recipe / "conf/tiny.yaml").write_text(conf_text(steps=2, log_every=1, save_every=1))
    (recipe / f"wav {N}").mkdir()
    for i in range(12):
        path = recipe / f"wav {N}/{i}.wav"
        soundfile.write(path, rng.normal(0, 2000, 9000 + 300 * i).astype(np.int16), 16000)
        wav[f"s{i // 3}$(touch${{IFS}}canary)*'\"`id`\\n?[a]&;-u{i:02d}"] = str(path)
    datadir.write(str(recipe / "plain"), wav=wav, utt2spk={utt: utt.rpartition("-")[0] for utt in wav})
    ids = sorted(wav)
    (recipe / f"trials {N}").write_text("".join(f"{a} {b} {'' if a[:2] == b[:2] else 'non'}target\n" for a in ids for b in ids if a < b))
    run(recipe, "steps/pack_audio.sh", "--nj", "2", "plain", DATA)
    run(recipe, "steps/train.sh", "--conf", "conf/tiny.yaml", "--set", SET, DATA, OUT)
    run(recipe, "steps/extract_embeddings.sh", "--nj", "2", DATA, OUT, f"{OUT}/emb")
    run(recipe, "steps/score.sh", "--mean", f"{OUT}/emb", "--utt2spk", f"{DATA}/utt2spk", f"trials {N}", f"{OUT}/emb", f"{OUT}/emb", OUT)
    assert list(table.read(recipe / DATA / "wav.scp")) == list(table.read(recipe / OUT / "emb/xvector.scp")) == ids
    scored = [line.split()[:2] for line in (recipe / OUT / f"scores_trials {N}").read_text().splitlines()]
    assert scored == [[a, b] for a in ids for b in ids if a < b]
    assert f"reproduces: {SET.partition('=')[2]}" in (recipe / OUT / "config.yaml").read_text()
    assert not list(tmp_path.rglob("canary"))
