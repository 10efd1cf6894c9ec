"""egs/voxceleb/run.sh as a user runs it, on a corpus of seconds: every stage, both inputs, three systems, what a rerun does."""
import json
import os
from pathlib import Path

import numpy as np
import pytest
import recipe_copy
from recipe_copy import SMALL, SYNTH, VOXCELEB, overrides, run, run_and_count, sh, snapshot

from sslspk.config import read_yaml
from sslspk.io import ark, datadir, derive, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list

LIST = "trials_veri_test2"
MINI = ("./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj")


def result(recipe, system, variant, name=LIST):
    return json.loads((recipe / f"exp_mini/{system}/scores_{variant}/result_{name}.json").read_text())


def vectors(folder):
    return {utt: ark.load(spec) for utt, spec in table.read(folder / "xvector.scp").items()}


def embeddings(recipe, data, system, out, *options):
    """steps/extract_embeddings.sh, and what came out: id -> (D,)."""
    run(recipe, "steps/extract_embeddings.sh", *options, data, f"exp_mini/{system}", out)
    return vectors(recipe / out)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.slow
def test_wave_input(tmp_path, monkeypatch):
    """Stages 0-2, then 3-6 of three systems on the same data, then everything again."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)   # scp files name archives relative to the recipe
    run(recipe, *MINI, "2", "--system", "dino_tdnn", "--stop-stage", "2")
    check_data(recipe)
    for system in ("dino_tdnn", "dino_ecapa", "supervised_tdnn"):
        small = [item for item in SMALL if system.startswith("dino") or not item.startswith("method.")]
        run(recipe, *MINI, "1", "--system", system, "--stage", "3", *overrides(*small))
        check_results(recipe, system)
    check_table(recipe)
    check_extraction(recipe)
    before = snapshot(recipe)
    again, started, heavy = run_and_count(recipe, tmp_path / "witness", *MINI, "2", "--system", "dino_tdnn", *overrides(*SMALL))
    assert len(started) <= 6 and not heavy, started + heavy   # nothing to do costs next to nothing
    assert again.count("skipped") == 3 + 4 + 1 + 3 + 6 and "nothing to do" in again   # corpora, data, statistics, embeddings, scores
    assert snapshot(recipe) == before
    assert "step 3" in (recipe / "exp_mini/dino_tdnn/log/train.log").read_text()
    refused = sh(recipe, *MINI, "2", "--system", "dino_tdnn", *overrides(*SMALL, "seed=1"))
    assert refused.returncode == 1 and "seed = 0, asked for 1" in refused.stderr
    assert snapshot(recipe) == before


def check_data(recipe):
    data = recipe / "data_mini"
    assert not (recipe / "exp_mini").exists()
    test = datadir.validate(str(data / "voxceleb1_test"), need=("wav.scp", "feats.scp", "vad.scp"), check_files=True)
    packed = datadir.validate(str(data / "voxceleb1_dev_packed"), need=("wav.scp", "utt2num_samples"), check_files=True)
    assert (len(test["wav.scp"]), len(packed["wav.scp"])) == (16, 24)
    assert not (data / "voxceleb1_dev/feats.scp").exists()   # the wave input needs them of the test set only
    kinds = {path.parent.name for path in (data / "augment").glob("*/wav.scp")}
    assert kinds >= {"noise", "music", "babble", "rir_small", "rir_medium", "rir_real"}


def check_results(recipe, system):
    """Models, embeddings, scores and what each result says about where it comes from."""
    exp = recipe / "exp_mini" / system
    assert (exp / "final.pt").exists() and read_yaml(exp / "config.yaml")["augment"]["dir"] == "data_mini/augment"
    variants = ("teacher", "student", "untrained") if system.startswith("dino") else ("encoder", "untrained")
    trials = trial_list.read(recipe / "data_mini/voxceleb1_test" / LIST)
    found = [vectors(exp / f"emb_{variant}/voxceleb1_test") for variant in variants]
    assert all(len(one) == 16 for one in found)
    for a, b in zip(found, [*found[1:], found[0]], strict=True):   # each variant is another encoder
        assert not any(np.allclose(a[utt], b[utt], rtol=1e-3) for utt in a)
    for variant, vector in zip(variants, found, strict=True):
        row = result(recipe, system, variant)
        labels = "speaker" if (system, variant) == ("supervised_tdnn", "encoder") else "none"
        expected = {"system": system, "trained_on": "voxceleb1", "labels": labels, "method": system.split("_")[0], "input": "wave",
                    "encoder": system.split("_")[1], "steps": 0 if variant == "untrained" else 3, "seed": 0, "backend": "cosine"}
        assert {key: row[key] for key in expected} == expected
        assert row["weights"] == variant and row["commit"] and row["config_hash"]
        assert row["training_data"].startswith("24 utterances") and row["targets"] + row["nontargets"] == len(trials.target)
        enrol, test, scores = score_file.read(exp / f"scores_{variant}/scores_{LIST}")
        for a, b, score in list(zip(enrol, test, scores, strict=True))[:5]:
            assert score == pytest.approx(cosine(vector[a], vector[b]), abs=1e-5)


def check_table(recipe):
    """RESULTS.md holds a short table, a row for each result, best first, a DET plot, and comparisons of systems."""
    text = (recipe / "exp_mini/RESULTS.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    rows, short, compared = ([row for row in rows if len(row) == cells][1:] for cells in (16, 6, 5))
    assert len(rows) == 3 + 3 + 2 + 3
    assert sorted(row[0] for row in short[:3]) == ["dino_ecapa, student", "dino_tdnn, student", "supervised_tdnn, encoder"]
    assert short[3][0].startswith("baseline: statistics, ") and short[4][0].endswith(", untrained") and short[4][4] == "0"
    assert len(short) == 5
    errors = [float(row[1].split()[0]) for row in short[:3]]
    assert float(short[0][5]) > 0 and errors == sorted(errors)
    assert ["dino_tdnn, student", "dino_tdnn, untrained"] in [row[:2] for row in compared]
    errors = [float(row[5].split()[0]) for row in rows]
    assert errors == sorted(errors)
    by_name = {(row[0], row[1]): row for row in rows}
    assert by_name["statistics", "deviation"][3:5] == ["none", "none"]
    assert by_name["dino_tdnn", "teacher"][3:5] == ["voxceleb1", "none"]
    assert by_name["dino_tdnn", "untrained"][3:5] == ["none", "none"]
    assert by_name["supervised_tdnn", "encoder"][2:5] == ["cosine", "voxceleb1", "speaker"]
    assert not any(row[11] for row in rows)   # the papers' figures are not about a synthetic corpus
    assert (recipe / "exp_mini/det_veri_test2.png").read_bytes().startswith(b"\x89PNG")
    assert "(det_veri_test2.png)" in text
    raw = json.loads((recipe / f"exp_mini/statistics/scores_raw/result_{LIST}.json").read_text())
    assert raw["eer_percent"] == pytest.approx(float(by_name["statistics", "raw"][5].split()[0]), abs=0.006)


def check_extraction(recipe):
    """An embedding depends on its recording and the model alone: not on --nj, nor on what else the directory holds."""
    whole = vectors(recipe / "exp_mini/dino_tdnn/emb_teacher/voxceleb1_test")
    few = sorted(whole)[3:6]
    derive.subset(str(recipe / "data_mini/voxceleb1_test"), str(recipe / "data_mini/few"), utts=few)
    for name, options in (("emb_1", ("--nj", "1", "--weights", "teacher")), ("emb_3", ("--nj", "3", "--weights", "teacher"))):
        found = embeddings(recipe, "data_mini/few", "dino_tdnn", name, *options)
        assert sorted(found) == few and all(np.array_equal(found[utt], whole[utt]) for utt in few)
    wrong = sh(recipe, "steps/extract_embeddings.sh", "--weights", "mentor", "data_mini/few", "exp_mini/dino_tdnn", "emb_no")
    assert wrong.returncode == 1 and "no weights called mentor" in wrong.stderr and not (recipe / "emb_no/xvector.scp").exists()


@pytest.mark.slow
def test_feats_input_and_lists_about_all_speakers(tmp_path, monkeypatch):
    """VoxCeleb2 for training, so that list E may be scored; features and noisy copies on disk; silence cut."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    corpora = recipe / "data_mini/corpora"
    run(recipe, "bash", "-c", f". ./path.sh; python3 $SSLSPK_ROOT/tools/make_synth_corpus.py {SYNTH} {corpora}")
    dev = sorted(path.relative_to(corpora / "VoxCeleb1/dev/wav") for path in corpora.glob("VoxCeleb1/dev/wav/*/*/*.wav"))
    pairs = [f"{int(a.parts[0] == b.parts[0])} {a} {b}\n" for a in dev[:6] for b in dev if a < b and a.parent != b.parent]
    (corpora / "VoxCeleb1/list_test_all2.txt").write_text("".join(pairs))
    words = (*MINI, "1", "--train", "voxceleb2", "--input", "feats", "--system", "dino_tdnn", "--lists", "veri_test2 list_test_all2",
             *overrides(*SMALL, "vad=true", "augment.noise_prob=1"))
    said = sh(recipe, *words)
    assert said.returncode == 0 and "GPU" not in said.stderr and "warning: " not in said.stderr, said.stderr
    assert "warning: " not in (recipe / "exp_mini/dino_tdnn/log/train.log").read_text()
    uncut = sh(recipe, "steps/extract_embeddings.sh", "--nj", "1", "data_mini/voxceleb1_test", "exp_mini/dino_tdnn", "emb_uncut")
    assert uncut.returncode == 0 and uncut.stderr.count("\n") == 1 and "expects audio without silence" in uncut.stderr
    noisy = recipe / "data_mini/voxceleb2_dev_vad_dino_tdnn"
    tables = datadir.validate(str(noisy), need=("wav.scp", "feats.scp", "utt2uniq", "utt2num_frames"), check_files=True)
    assert len(tables["wav.scp"]) == 2 * len(set(tables["utt2uniq"].values())) == 32
    for name, count in (("veri_test2", 16), ("list_test_all2", 40)):
        row = result(recipe, "dino_tdnn", "teacher", f"trials_{name}")
        assert (row["trained_on"], row["input"], row["labels"]) == ("voxceleb2", "feats", "none")
        assert f"## {name}\n" in (recipe / "exp_mini/RESULTS.md").read_text()
        place = {"veri_test2": "voxceleb1_test"}.get(name, "voxceleb1")
        assert len(vectors(recipe / f"exp_mini/dino_tdnn/emb_teacher/{place}")) == count
    again = run(recipe, *words)
    assert again.count("skipped") == 4 + 11 + 2 + 6 + 12 and "nothing to do" in again
    check_archives(recipe)


def check_archives(recipe):
    """What is extracted from audio is what is extracted from features on disk, but for one byte a value."""
    source, feats = recipe / "data_mini/voxceleb1_test_vad", recipe / "data_mini/as_feats"
    derive.subset(str(source), str(feats), utts=list(table.read(source / "wav.scp"))[:4])
    audio = embeddings(recipe, feats, "dino_tdnn", "emb_audio", "--nj", "1")
    features = {}
    for compress in ("false", "true"):
        run(recipe, "steps/make_feats.sh", "--nj", "1", "--compress", compress, "--conf",
            "data_mini/voxceleb2_dev_vad_dino_tdnn.features.yaml", feats)
        derive.subset(str(feats), str(recipe / f"only_{compress}"), utts=list(audio))
        (recipe / f"only_{compress}/wav.scp").unlink()
        lost = sh(recipe, "steps/extract_embeddings.sh", f"only_{compress}", "exp_mini/dino_tdnn", "exp_mini/lost")
        assert lost.returncode == 1 and "wav.scp, though" in lost.stderr   # what counts samples had audio: this may be an accident
        (recipe / f"only_{compress}/utt2num_samples").unlink()
        features[compress] = embeddings(recipe, f"only_{compress}", "dino_tdnn", f"emb_{compress}", "--nj", "1")
    for utt, vector in audio.items():
        np.testing.assert_allclose(features["false"][utt], vector, rtol=1e-3, atol=1e-4 * np.abs(vector).max())
        assert cosine(features["true"][utt], vector) > 0.999 and not np.array_equal(features["true"][utt], vector)


@pytest.mark.parametrize(("words", "named"), [
    (("--system", "dino_x"), ("conf/dino_x.yaml", "ls conf/*.yaml")),
    (("--mini", "true", "--system", "dino_lresnet34"), ("conf/mini/dino_lresnet34.yaml", "ls conf/mini/*.yaml")),
    (("--lists", "veri_test2 list_test_all2"), ("list_test_all2", "train on VoxCeleb2")),
    (("--lists", "list_test_hard"), ("list_test_hard", "train on VoxCeleb2")),
    (("--lists", "voxsrc2021_val", "--voxceleb2", "x", "--train", "voxceleb1"), ("voxsrc2021_val", "train on VoxCeleb2")),
    (("--train", "voxceleb3"), ("--train", "'voxceleb3'")),
    (("--rounds", "abc"), ("--rounds", "'abc'", "whole number")),
    (("--rounds", "-1"), ("--rounds", "'-1'")),
    (("--bootstrap", "plda"), ("--bootstrap", "ivector")),
    (("--input", "sea"), ("data.input", "'sea'")),
    (("--set", "method.outdim=3"), ("conf/dino_ecapa.yaml", "method.outdim (did you mean method.out_dim?)")),
    (("dino_tdnn",), ("'dino_tdnn'", "--help")),
    ((), ("--voxceleb1", "--mini true")),
    (("--voxceleb1", "nowhere"), ("looked for in nowhere",)),
    (("--stage", "1"), ("data/voxceleb1_test", "prepare")),
    (("--mini", "true", "--asnorm", "true", "--input", "feats"), ("--asnorm", "--input wave")),
])
def test_what_cannot_be_meant_is_refused_in_one_sentence(tmp_path, words, named):
    recipe = recipe_copy.make(tmp_path)
    done = sh(recipe, "./run.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named), done.stderr
    assert not (recipe / "exp").exists()


LIBRISPEECH = VOXCELEB.with_name("librispeech")
SYSTEMS = [path for recipe in (VOXCELEB, LIBRISPEECH, *map(VOXCELEB.with_name, ("voxlingua107", "disentangle")))
           for path in sorted([*recipe.glob("conf/*.yaml"), *recipe.glob("conf/mini/*.yaml")])
           if "\nreproduces:" in path.read_text()]
SHARED = {"short", "mini"}   # what systems start from, not systems
BUILT = set()   # networks with their methods, as JSON, that were built: some systems differ in their training alone


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: str(path.relative_to(VOXCELEB.parent)))
def test_every_system_can_be_built(path):
    """At its full size, with one step's worth of tiny views through it; its chain of earlier systems exists and fits."""
    import torch

    from sslspk.bin.show_config import chain
    from sslspk.config import load
    from sslspk.encoders import build as build_encoder
    from sslspk.methods import build
    from sslspk.methods.base import Batch, Corpus, Progress
    from sslspk.train.config import SystemConfig

    def read_model(_):   # that of another system of this recipe, fresh
        return build_encoder(config.encoder, 1).state_dict(), {"config": config.model_dump(mode="json"), "info": {}}
    group = {"moco": ["method.batch_norm_group=2"], "moco+dino": ["method.moco.batch_norm_group=2"]}
    config = load(SystemConfig, path, group.get(load(SystemConfig, path).method.name, []))
    for name in chain(path, config.after):
        earlier = load(SystemConfig, path.with_name(f"{name}.yaml"))
        assert earlier.encoder == config.encoder and earlier.features == config.features, "only the same encoder can be taken over"
    network = config.model_dump_json(include={"method", "encoder", "features"})
    if network in BUILT:
        return
    torch.manual_seed(0)
    shape = (20480,) if config.waveform else (40, config.num_features)
    method = build(config.method, config.encoder, config.num_features, Corpus(30000, 20, read_model, frame_classes=50))
    views = [torch.randn(crop.count, 2, *shape) for crop in method.crops]
    frames = torch.randint(50, (2, shape[0])) if config.reads_frame_labels else None
    figures = method(Batch(views, torch.tensor([0, 4]), torch.tensor([3, 5]), None, frames), Progress(0, 10, 5))
    figures["loss"].backward()
    assert torch.isfinite(figures["loss"])
    for encoder in method.encoders().values():
        assert encoder.eval()(torch.randn(1, *shape)).shape == (1, encoder.embed_dim)
    BUILT.add(network)


def test_the_systems_of_the_report_are_what_it_says():
    """Lepage 2021: crops of 20480 samples, batches of 64, 12 steps, the parameters of its tables, the chances of its table 4.1."""
    from sslspk.config import load
    from sslspk.encoders import build
    from sslspk.train.config import SystemConfig
    names = ("cpc_spk_1", "cpc_spk_2", "cpc_spk_3", "cpc_spk_4", "cpc_fb", "lim", "gim")
    found = {name: load(SystemConfig, LIBRISPEECH / f"conf/{name}.yaml") for name in names}
    for config in found.values():
        assert (config.method.crops[0].seconds * 16000, config.data.batch_size, config.data.short) == (20480, 64, "drop")
        assert (config.train.optimizer, config.train.epochs, config.train.lr_batch) == ("adam", 50, None)
    assert all(found[f"cpc_spk_{i}"].method.steps == 12 and found[f"cpc_spk_{i}"].train.lr == 1e-4 for i in (1, 2, 3, 4))
    encoder = build(found["cpc_spk_1"].encoder, 1)
    assert sum(p.numel() for p in encoder.contexts.parameters()) == 591_360
    assert sum(v.numel() for v in encoder.layers.state_dict().values() if v.is_floating_point()) == 5_260_800
    assert build(found["cpc_spk_3"].encoder, 1).embed_dim == 512
    assert (found["cpc_spk_3"].method.crops[0].layout, found["cpc_spk_3"].data.draws_per_epoch) == ("first", 2)
    augment = found["cpc_spk_4"].augment
    assert (augment.reverb_prob, augment.degrade.band_prob, augment.degrade.time_prob, augment.degrade.clip_prob) == (0.5, 0.4, 0.2, 0.2)
    assert (augment.noise_prob, augment.speech_prob, augment.noise_weights.speech) == (0.4, 0.1, 0)
    assert (found["lim"].method.context_length, found["gim"].method.context_length) == (1, 32)


def test_pase_is_what_its_authors_say():
    """Encoders, what the workers predict, rates, and the distortions that PASE+ hears."""
    from sslspk.config import load
    from sslspk.train.config import SystemConfig
    pase, plus = (load(SystemConfig, LIBRISPEECH / f"conf/{name}.yaml") for name in ("pase", "pase_plus"))
    sizes = [{worker.name: getattr(worker, "num_features", None) for worker in config.method.workers} for config in (pase, plus)]
    assert sizes[0] == {"cchunk": None, "lps": 1025, "mfcc": 20, "prosody": 4, "spc": None, "mi": None, "cmi": None}
    assert sizes[1] == {"cchunk": None, "lps": 3075, "lps_long": 3075, "fbank": 120, "fbank_long": 120, "gtn": 120, "gtn_long": 120,
                        "mfcc": 39, "mfcc_long": 60, "prosody": 12, "mi": None, "cmi": None}
    assert {worker.context for worker in plus.method.workers if hasattr(worker, "context")} == {7}
    assert all(worker.weight == 1 for config in (pase, plus) for worker in config.method.workers)
    assert (pase.encoder.embed_dim, pase.data.batch_size, pase.method.crops[0].seconds, pase.train.lr) == (100, 32, 1.0, 5e-4)
    assert (plus.data.batch_size, plus.method.crops[0].seconds, plus.train.lr, plus.train.encoder_lr) == (16, 2.0, 5e-4, 2)
    heard = plus.augment
    assert (heard.reverb_prob, heard.noise_prob, heard.speech_prob) == (0.5, 0.4, 0.1) and heard.snr_db.speech == (5, 10)
    degraded = heard.degrade
    assert (degraded.band_prob, degraded.time_prob, degraded.clip_prob, degraded.low_pass_prob) == (0.35, 0.2, 0.2, 0.25)
    assert degraded.clip_peaks == (0.1, 0.3, 0.5) and plus.method.crops[0].layout == "twin" and plus.method.crops[1].clean


def test_other_configurations_load():
    from sslspk.backend.config import BackendConfig
    from sslspk.backend.config_cluster import ClusterConfig
    from sslspk.config import load
    from sslspk.data.config_augment import AugmentConfig
    from sslspk.features.config import FeatureOptions, VadOptions
    from sslspk.ivector.config import IvectorConfig
    kinds = {"augment": AugmentConfig, "fbank": FeatureOptions, "fbank_jhu": FeatureOptions, "mfcc": FeatureOptions, "vad": VadOptions,
             "mfcc_ivector": FeatureOptions, "ivector_mfcc": IvectorConfig, "ivector_short": IvectorConfig, "backend": BackendConfig,
             "backend_short": BackendConfig, "cluster": ClusterConfig, "cluster_short": ClusterConfig, "cluster_lgl": ClusterConfig,
             "cohort": ClusterConfig, "cohort_short": ClusterConfig}
    mini = {"mini/backend": BackendConfig, "mini/cluster": ClusterConfig, "mini/cohort": ClusterConfig}
    for name, kind in {**kinds, **mini}.items():
        load(kind, VOXCELEB / f"conf/{name}.yaml")
    others = {path.stem for path in VOXCELEB.glob("conf/*.yaml")} - {path.stem for path in SYSTEMS}
    assert others - SHARED == {*kinds, "paper"}


def write_result(folder, **changes):
    row = {"system": "dino_tdnn", "weights": "teacher", "trained_on": "voxceleb1", "labels": "none", "commit": "abc", "targets": 3,
           "nontargets": 7, "trials_md5": "0", "eer_percent": 9.0, "min_dcf_0.01": 0.5, "min_dcf_0.05": 0.4} | changes
    folder.mkdir(parents=True)
    (folder / "result_trials_veri_test2.json").write_text(json.dumps({key: row[key] for key in row if row[key] is not None}))


def test_table_sets_the_papers_figures_beside_ours(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    show = ("bash", "-c", ". ./path.sh; exec python3 local/show_table.py \"$@\"", "_", "--paper", "conf/paper.yaml", "--out", "r.md")
    empty = sh(recipe, *show, "exp")
    assert empty.returncode == 1 and "stage 5" in empty.stderr and empty.stderr.count("\n") == 1
    write_result(recipe / "exp/a/scores_teacher")
    write_result(recipe / "exp/b/scores_untrained", weights="untrained", eer_percent=40.0)
    write_result(recipe / "exp/c/scores_teacher", trained_on="voxceleb2", eer_percent=6.0, eer_percent_low=5.0, eer_percent_high=7.5)
    run(recipe, *show, "exp")
    lines = [line for line in (recipe / "r.md").read_text().splitlines() if line.startswith("| dino") and line.count("|") == 17]
    assert ["6.00 (5.00-7.50)" in lines[0], "5.6, 0.51 (Zhang" in lines[0], "7.2, 0.76 (Zhang" in lines[1]] == [True] * 3
    assert "Zhang" not in lines[2]
    no_list = sh(recipe, *show, "--det", "det", "--data", "data", "exp")
    assert no_list.returncode == 1 and "trials_veri_test2" in no_list.stderr and no_list.stderr.count("\n") == 1
    write_result(recipe / "exp/d/scores_teacher", labels=None)
    silent = sh(recipe, *show, "exp")
    assert silent.returncode == 1 and "has no labels" in silent.stderr


@pytest.mark.slow
def test_real_speech(tmp_path, monkeypatch):
    """Stages 0 to 6 with conf/dino_short.yaml on a few speakers of the corpora that SSLSPK_CORPORA names."""
    corpora = os.environ.get("SSLSPK_CORPORA")
    if not corpora:
        pytest.skip("SSLSPK_CORPORA names no folder with VoxCeleb1, musan and RIRS_NOISES")
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    real = few_speakers(Path(corpora), tmp_path / "corpora")
    run(recipe, "./run.sh", "--system", "dino_short", "--voxceleb1", real / "VoxCeleb1", "--musan", real / "musan", "--rirs",
        real / "RIRS_NOISES", *overrides("train.steps=3", "data.batch_size=16", "train.log_every=1"))
    for variant in ("teacher", "student", "untrained"):
        row = json.loads((recipe / f"exp/dino_short/scores_{variant}/result_{LIST}.json").read_text())
        assert 0 < row["eer_percent"] < 100 and row["labels"] == "none"
    # In short: a system and two baselines. It is compared with the statistics and with its network untrained. Three encoders and three
    # kinds of statistics in the long table.
    assert len([line for line in (recipe / "exp/RESULTS.md").read_text().splitlines() if line.startswith("| ")]) == 4 + 3 + 1 + 3 + 3


def few_speakers(corpora, out):
    """Links to 8 dev and 4 test speakers, to four files of each kind of MUSAN and to the impulse responses."""
    vox, new = corpora / "VoxCeleb1", out / "VoxCeleb1"
    kept = set()
    for part, count in (("dev", 8), ("test", 4)):
        (new / part / "wav").mkdir(parents=True)
        for speaker in sorted((vox / part / "wav").iterdir())[:count]:
            (new / part / "wav" / speaker.name).symlink_to(speaker.resolve())
            kept.add(speaker.name)
    (new / "vox1_meta.csv").symlink_to((vox / "vox1_meta.csv").resolve())
    lines = (line for line in (vox / "veri_test2.txt").read_text().splitlines(keepends=True) if line.strip())
    (new / "veri_test2.txt").write_text("".join(line for line in lines if {w.split("/")[0] for w in line.split()[1:]} <= kept))
    for kind in ("noise", "speech", "music"):
        for path in sorted((corpora / "musan" / kind).rglob("*.wav"))[:4]:
            link = out / "musan" / path.relative_to(corpora / "musan")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    (out / "RIRS_NOISES").symlink_to((corpora / "RIRS_NOISES").resolve())
    return out
