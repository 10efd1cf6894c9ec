"""egs/transfer/run_study.sh: what each study asks of the recipes, which result stands in which cell of its table, and what it refuses.

The run.sh of the recipes are the real ones; what they call from stage 3 on only notes how it was called and leaves a result, the
number of the call.
"""
import re

import pytest
import recipe_copy
import torch
from recipe_copy import ROOT, run, sh

from sslspk.config import load
from sslspk.train.config import SystemConfig

TASKS = ("voxceleb", "iemocap", "adress")
NOTE = r"""#!/usr/bin/env bash
set -euo pipefail
calls=../../calls
printf '%s\t' "${PWD##*/}" "${0##*/}" "$@" >> $calls; echo >> $calls
number=$(wc -l < $calls) out=${!#}
case ${0##*/} in
  finetune_folds.sh) result=$out/result.json ;;
  probe_folds.sh) result=$out/logistic/result.json ;;
  score_system.sh) result=$out/scores_encoder/result_trials_veri_test2.json ;;
  probe_languages.sh) result=$out/language_encoder/dev_logistic/result.json ;;
  *) exit 0 ;;
esac
mkdir -p "${result%/*}"
echo "{\"ua_percent\": $number, \"eer_percent\": $number, \"system\": \"s\", \"weights\": \"encoder\", \"trained_on\": \"t\",
  \"labels\": \"l\", \"commit\": \"c\"}" > "$result"
"""
STUBS = {"local": ("finetune_folds.sh", "embed.sh", "probe_folds.sh", "train_system.sh", "extract_system.sh", "score_system.sh",
                   "probe_languages.sh"),
         "steps": ("extract_statistics.sh",)}
FROM = [f"--{task}=--stage 3" for task in TASKS]   # what lies before makes data, which no study varies
ONE = ("--seeds", "0")
CLASSES = ("--tasks", "iemocap adress")


def make(folder, tasks=TASKS):
    """The recipes of the tasks, and a model; returns egs/transfer."""
    for task in tasks:
        recipe = recipe_copy.make(folder, task)
        for name, programs in STUBS.items():
            (recipe / name).unlink()
            (recipe / name).mkdir()
            for program in programs:
                (recipe / name / program).write_text(NOTE)
                (recipe / name / program).chmod(0o755)
        for program in ("show_classes.py", "show_table.py", "show_languages.py"):
            (recipe / "local" / program).touch()
    for name in ("dino", "xvector"):
        model = folder / f"egs/voxceleb/exp/{name}/final.pt"
        model.parent.mkdir(parents=True)
        model.write_text("weights")
    return recipe_copy.make(folder, "transfer")


MODEL = ("--init-from", "../voxceleb/exp/dino/final.pt")
XVECTOR = ("--init-from", "../voxceleb/exp/xvector/final.pt")


def calls(study):
    """number -> recipe, program, options (those of --set as one list), the experiment."""
    found = {}
    path = study.parents[1] / "calls"
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        recipe, program, *words = line.split("\t")[:-1]
        options = {"--set": []}
        while words[0].startswith("--"):
            name, value, *words = words
            if name == "--set":
                options[name].append(value)
            else:
                options[name] = value
        found[number] = recipe, program, options, words[-1]
    return found


def number_of(found, recipe, exp, program="finetune_folds.sh"):
    """The number of the one call that made an experiment, and its options."""
    [(number, options)] = [(n, call[2]) for n, call in found.items() if (call[0], call[1], call[3]) == (recipe, program, exp)]
    return number, options


def table_of(said):
    """variant -> task -> the number in the cell."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("| ")]
    if rows[0][-1] == "labels used":
        rows = [row[:-1] for row in rows]
    tasks = [head.split(",")[0] for head in rows[0][1:]]
    return {row[0]: {task: cell if cell == "not run" else float(cell.split()[0].rstrip(",")) for task, cell in
                     zip(tasks, row[1:], strict=True)} for row in rows[1:]}


def tuned(study, variants, exps="exp"):
    """variant -> task -> number of the call, options; variants: name -> suffixes of the experiments of iemocap and adress."""
    found = calls(study)
    return {variant: {task: number_of(found, task, f"{exps}/{name}/seed0") for task, name in zip(("iemocap", "adress"), both, strict=True)}
            for variant, both in variants.items()}


def check_cells(said, expected):
    """Every cell is the number of the call that made its experiment."""
    shown = table_of(said)
    assert shown.keys() == expected.keys()
    for variant, row in expected.items():
        for task, (number, _) in row.items():
            assert shown[variant][task] == number, (variant, task)
    return shown


def verified(study, said, variant, exp):
    """The cell of speaker verification is the score of that experiment; returns the options of its training."""
    found = calls(study)
    assert table_of(said)[variant]["voxceleb"] == number_of(found, "voxceleb", exp, "score_system.sh")[0]
    return number_of(found, "voxceleb", exp, "train_system.sh")[1]


def names(*suffixes):
    return tuple(f"dino_{suffix}" for suffix in suffixes)


def test_chunks(tmp_path):
    study = make(tmp_path)
    said = run(study, "./run_study.sh", *MODEL, *ONE, *FROM, "--tasks", "voxceleb iemocap adress")
    variants = {f"{s} s": names(f"once_session_{s}s", f"once_{s}s_cv5") for s in (1, 2, 4, 8)}
    expected = tuned(study, variants | {"whole": names("once_session_fulls", "once_fulls_cv5")})
    shown = check_cells(said, expected)
    assert shown["whole"]["voxceleb"] == "not run" and (study / "exp/STUDY_chunks.md").read_text() in said
    for variant, row in expected.items():
        for _, options in row.values():
            assert options["--seconds"] == {"whole": "full"}.get(variant, variant[0]) and options["--init"] == "true"
            assert (options["--ft"], options["--init-from"]) == ("once", str(tmp_path / "egs/voxceleb/exp/dino/final.pt"))
    for seconds in (1, 2, 4, 8):
        options = verified(study, said, f"{seconds} s", f"exp/supervised_from_dino_once_short_{seconds}s")
        assert f"method.crops=[{{count: 1, seconds: {seconds}}}]" in options["--set"]
    assert not [call for call in calls(study).values() if call[1] == "probe_folds.sh"]


def test_augment_with_tags_of_the_user(tmp_path):
    study = make(tmp_path)
    said = run(study, "./run_study.sh", "--study", "augment", *MODEL, *ONE, "--tasks", "iemocap voxceleb", "--iemocap=--stage 3 --tag a",
               "--voxceleb=--tag=b --stage 3", "--mini", "true")
    found = calls(study)
    clean, noisy = (number_of(found, "iemocap", f"exp_mini/dino_once_session{part}_a/seed0") for part in ("", "_noisy"))
    check_cells(said, {"clean": {"iemocap": clean}, "noisy": {"iemocap": noisy}})
    assert "augment.dir=data_mini/augment" in noisy[1]["--set"] and clean[1]["--set"] == ["seed=0"]
    system = "exp_mini/supervised_from_dino_once_tdnn"
    assert "augment.noise_prob=0" in verified(study, said, "clean", f"{system}_b_clean")["--set"]
    assert verified(study, said, "noisy", f"{system}_b")["--set"] == []
    assert {call[0] for call in found.values()} == {"iemocap", "voxceleb"}


@pytest.mark.parametrize(("mini", "system"), [("true", None), ("false", "ecapa_aam_from_dino_once")])
def test_steps(tmp_path, mini, system):
    """Each system is trained once and stands in one row; what is trained at once stands beside the two steps with as many epochs."""
    study = make(tmp_path)
    said = run(study, "./run_study.sh", "--study", "steps", *MODEL, *ONE, *FROM, "--tasks", "adress iemocap voxceleb", "--mini", mini,
               *(["--system", system] if system else []))
    exps = "exp_mini" if mini == "true" else "exp"
    long = "once, as long as both"
    expected = tuned(study, {ft: names(f"{ft}_session", f"{ft}_cv5") for ft in ("once", "step1", "step2")} |
                     {long: names("once_session_long", "once_long_cv5")}, exps)
    shown = check_cells(said, expected)
    assert list(shown) == ["once", long, "step1", "step2"] and shown["once"]["voxceleb"] == "not run"
    for variant, row in expected.items():
        for _, options in row.values():
            assert options["--ft"] == ("once" if variant == long else variant)
            assert [item for item in options["--set"] if item != "seed=0"] == (["train.epochs=40"] if variant == long else [])
    of = (lambda part: f"ecapa_aam_from_dino{part}") if system else (lambda part: f"supervised_from_dino{part}_tdnn")
    for variant, part in ((long, "_once"), ("step1", "_step1"), ("step2", "")):
        verified(study, said, variant, f"{exps}/{of(part)}")


def test_as_long_as_both_steps():
    """40 epochs are twice those of conf/ft, and the systems of egs/voxceleb that are trained at once are as long as both steps."""
    for task in ("iemocap", "adress"):
        conf = ROOT / "egs" / task / "conf"
        once, *both = (load(SystemConfig, conf / f"ft/{ft}.yaml", under=conf / "scratch.yaml").train for ft in ("once", "step1", "step2"))
        assert once.epochs == 20 and sum(step.epochs for step in both) == 40
    conf = ROOT / "egs/voxceleb/conf"
    for once in ("ecapa_aam_from_dino_once", "mini/supervised_from_dino_once_tdnn", "supervised_from_dino_once_short"):
        whole, *both = (load(SystemConfig, conf / f"{once.replace('_once', part)}.yaml") for part in ("_once", "_step1", ""))
        for length in ("steps", "epochs"):
            if getattr(whole.train, length) and not (length == "epochs" and whole.train.steps):
                assert getattr(whole.train, length) == sum(getattr(step.train, length) for step in both)
        assert whole.after == both[0].after and whole.train.trainable == "all" and both[0].train.trainable == "affine"
        assert whole.method.margin_warmup_epochs == both[0].method.margin_warmup_epochs


def test_longer_than_what_the_user_asks_for(tmp_path):
    study = make(tmp_path)
    run(study, "./run_study.sh", "--study", "steps", *MODEL, *ONE, *CLASSES,
        "--iemocap=--stage 3 --set train.steps=7 --set seed=4 --tag few", "--adress=--stage 3 --cv loso --set=train.epochs=5e-1")
    found = calls(study)
    iemocap = number_of(found, "iemocap", "exp/dino_once_session_few_long/seed0")[1]
    assert iemocap["--set"] == ["train.steps=7", "seed=4", "train.steps=14", "seed=0"]
    assert number_of(found, "adress", "exp/dino_once_long_cvloso/seed0")[1]["--set"] == ["seed=0", "train.epochs=5e-1", "train.epochs=1"]


def test_init(tmp_path):
    """Two models, each from fresh weights too, and a frame-level one whose file has another name than *.pt."""
    study = make(tmp_path)
    (study / "w.v1.ckpt").write_text("weights")
    said = run(study, "./run_study.sh", "--study", "init", *XVECTOR, *MODEL, "--init-from", "wavlm_base w.v1.ckpt", *ONE,
               "--iemocap=--stage 3 --folds speaker", "--adress=--stage 3 --speech participant --probes knn")
    found = calls(study)
    expected = {}
    for name in ("xvector", "dino", "wavlm_base_w.v1"):
        from_ = f"wavlm_base {study / 'w.v1.ckpt'}" if "." in name else str(tmp_path / f"egs/voxceleb/exp/{name}/final.pt")
        for variant, fresh in ((f"{name} (fresh)", "_fresh"), (name, "")):
            expected[variant] = {"iemocap": number_of(found, "iemocap", f"exp/{name}{fresh}_once_speaker/seed0"),
                                 "adress": number_of(found, "adress", f"exp/{name}{fresh}_once_participant_cv5/seed0")}
            for _, options in expected[variant].values():
                assert options["--init"] == ("false" if fresh else "true")
                assert options["--init-from"] == from_
    probed = [n for n, call in found.items() if call[3] == "exp/probes_wavlm_base_w.v1_participant_cv5"]   # with --probes of the user, too
    expected["wavlm_base_w.v1 (probe)"] = {
        "iemocap": number_of(found, "iemocap", "exp/probes_wavlm_base_w.v1_speaker", "probe_folds.sh"), "adress": (max(probed), {})}
    check_cells(said, expected)
    embedded = [call[2]["--model"] for call in found.values() if call[1] == "embed.sh" and call[2]["--untrained"] == "false"]
    assert embedded.count(f"wavlm_base {study / 'w.v1.ckpt'}") == 3


def test_init_of_a_part(tmp_path):
    study = make(tmp_path)
    said = run(study, "./run_study.sh", "--study", "init", *MODEL, "--tasks", "adress", *ONE, *FROM)
    assert table_of(said).keys() == {"dino (fresh)", "dino"}
    said = run(study, "./run_study.sh", "--study", "init", "--init-from", "hubert_base random", "--tasks", "iemocap", *ONE, *FROM)
    expected = number_of(calls(study), "iemocap", "exp/probes_hubert_base_random_session", "probe_folds.sh")
    assert table_of(said)["hubert_base_random (probe)"]["iemocap"] == expected[0] and len(table_of(said)) == 3


def test_init_of_verification(tmp_path):
    """One system with labels, from each model and from scratch. A recipe looks into a model for what its encoder is."""
    study = make(tmp_path)
    config = load(SystemConfig, ROOT / "egs/voxceleb/conf/supervised_short.yaml").model_dump(mode="json")
    for name in ("xvector", "dino"):
        torch.save({"format": 1, "config": config, "num_features": 80, "encoders": {"encoder": {"weight": torch.ones(1)}},
                    "evaluate": "encoder", "info": {}}, tmp_path / f"egs/voxceleb/exp/{name}/final.pt")
    said = run(study, "./run_study.sh", "--study", "init", *XVECTOR, *MODEL, "--tasks", "voxceleb iemocap", *ONE, *FROM)
    for name in ("xvector", "dino"):
        options = verified(study, said, name, f"exp/supervised_short_from_{name}")
        assert options["--init-from"] == str(tmp_path / f"egs/voxceleb/exp/{name}/final.pt") and options["--part"] == f"_from_{name}"
    assert verified(study, said, "supervised_short from scratch", "exp/supervised_short")["--init-from"] == ""
    assert table_of(said)["xvector (fresh)"]["voxceleb"] == "not run"


def test_seeds_are_counted_and_an_experiment_without_result_is_named(tmp_path):
    study = make(tmp_path)
    words = ("./run_study.sh", "--study", "augment", *MODEL, "--tasks", "adress")
    done = sh(study, *words, "--adress=--stage 3 --stop-stage 2")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "../adress/exp/dino_once_cv5 was run" in done.stderr, done.stderr
    said = run(study, *words, *FROM)
    assert said.count(", 3 seeds |") == 2 and len(calls(study)) == 2 * 2 * 3
    done = sh(study, "./run_study.sh", "--study", "init", "--init-from", "hubert_base random", *words[-2:], "--adress=--stop-stage -1")
    assert done.returncode == 1 and "../adress/exp/hubert_base_random_fresh_once_cv5 was run" in done.stderr, done.stderr
    done = sh(study, *words[:-1], "voxceleb", "--voxceleb=--stop-stage -1")
    assert done.returncode == 1 and "exp/supervised_from_dino_once_short_clean was run" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    return make(tmp_path_factory.mktemp("studies"))


VOXCELEB = (*MODEL, "--tasks", "voxceleb", "--study", "steps")


@pytest.mark.parametrize(("words", "named"), [
    (("--study", "layers", *MODEL), ("--study", "'layers'", "init")),
    (("chunks",), ("'chunks'", "--help")),
    ((*MODEL, "--tasks", " "), ("--tasks",)),
    ((*MODEL, "--tasks", "iemocap singing"), ("--tasks", "'singing'")),
    ((), ("--init-from", "egs/voxceleb/run.sh")),
    (("--init-from", "nowhere.pt"), ("there is no model nowhere.pt", "egs/voxceleb/run.sh")),
    ((*MODEL, *XVECTOR), ("one --init-from", "--study chunks")),
    ((*MODEL, "--iemocap", "--nj 3"), ("--iemocap=",)),
    ((*MODEL, "--iemocap=--folds dialog"), ("--folds", "'dialog'")),
    (("--study", "init"), ("--init-from", "egs/voxceleb/run.sh")),
    (("--study", "init", *MODEL, "--init-from", "nowhere.pt"), ("nowhere.pt",)),
    (("--study", "init", *MODEL, "--init-from", "../voxceleb/exp/dino/../dino/final.pt"), ("two of --init-from", "dino")),
    (("--study", "init", "--init-from", "wavlm_base"), ("there is no model wavlm_base",)),
    (("--study", "init", "--init-from", "wavlm_base nowhere.pt"), ("'nowhere.pt'", "random", "ARCH CHECKPOINT")),
    ((*VOXCELEB, "--system", "supervised_from_dino_short"), ("--system", "_once", "'supervised_from_dino_short'")),
    ((*VOXCELEB, "--system", "moco_once_short"), ("there is no ../voxceleb/conf/moco_once_short.yaml",)),
    ((*VOXCELEB, "--system", "ecapa_aam_from_dino_once", "--mini", "true"), ("conf/mini/ecapa_aam_from_dino_once.yaml",)),
    ((*VOXCELEB, "--voxceleb=--nj 3 --speakers 500"), ("--voxceleb", "--speakers")),
])
def test_what_cannot_be_meant_is_refused_in_one_sentence(refusing, words, named):
    done = sh(refusing, "./run_study.sh", *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in named), done.stderr
    assert not calls(refusing) and not (refusing / "exp").exists()


@pytest.mark.parametrize(("task", "words", "names"), [
    ("iemocap", (), ("exp/scratch_once_session", "exp/probes_scratch_session")),
    ("iemocap", ("--folds", "speaker", "--tag", "t", "--layer", "pooling", "--mini", "true", "--seconds", "2"),
     ("exp_mini/scratch_once_speaker_2s_t", "exp_mini/probes_scratch_speaker_pooling_t")),
    ("iemocap", (*MODEL, "--init", "false", "--augment", "true"), ("exp/dino_fresh_once_session_noisy", "exp/probes_dino_fresh_session")),
    ("iemocap", ("--init-from", "wavlm_base ../a.b/weights"),
     ("exp/wavlm_base_weights_once_session", "exp/probes_wavlm_base_weights_session")),
    ("adress", (*MODEL, "--cv", "loso", "--speech", "all", "--ft", "step2"),
     ("exp/dino_step2_all_cvloso", "exp/probes_dino_all_cvloso")),
    ("adress", ("--init-from", "wavlm_base ../a.b/w.v1.ckpt"), ("exp/wavlm_base_w.v1_once_cv5", "exp/probes_wavlm_base_w.v1_cv5")),
])
def test_names_are_printed_and_nothing_is_done(tmp_path, task, words, names):
    recipe = make(tmp_path).parent / task
    for name in ("weights", "w.v1.ckpt"):
        (recipe.parent / "a.b").mkdir(exist_ok=True)
        (recipe.parent / "a.b" / name).write_text("weights")
    assert run(recipe, "./run.sh", *words, "--print-name", "true").split() == list(names)
    assert not (recipe / "data").exists() and not (recipe / "exp").exists() and not (tmp_path / "calls").exists()


def test_the_example_in_the_header_can_be_typed(refusing):
    """It gets as far as the model that is not there."""
    text = (ROOT / "egs/transfer/run_study.sh").read_text()
    example = re.search(r"^#   (\./run_study\.sh .*\\)\n#     (.*)\n", text, re.MULTILINE)
    done = sh(refusing, "bash", "-c", f"{example[1]}\n{example[2]}")
    assert "there is no model ../voxceleb/exp/dino_lresnet34/final.pt; train it" in done.stderr


PRETEXT = ("voxlingua107", "iemocap", "ravdess")


def pretext_models(folder, *names):
    for name in names:
        model = folder / f"egs/librispeech/exp/{name}/final.pt"
        model.parent.mkdir(parents=True)
        model.write_text("weights")
        (model.parent / "config.yaml").write_text("encoder: {name: tdnn}\nmethod: {name: simclr}\n")
        yield f"--init-from=../librispeech/exp/{name}/final.pt"


def test_which_pretext_task_for_which_task(tmp_path):
    """Seeds of a system are one row; each model is asked as it is for every task, and fine-tuned for those of --tuned."""
    study = make(tmp_path, PRETEXT)
    models = [*pretext_models(tmp_path, "cpc", "cpc_seed1", "lim")]
    vectors = tmp_path / "egs/voxceleb/exp/ivector_mfcc/scores_ivector/result_trials_veri_test2.json"
    vectors.parent.mkdir(parents=True)
    vectors.write_text('{"eer_percent": 17, "system": "i", "weights": "ivector", "trained_on": "t", "labels": "none", "commit": "c"}')
    said = run(study, "./run_pretext.sh", *models, "--voxlingua107=--stage 4 --voxceleb1 there", "--iemocap=--stage 3",
               "--ravdess=--stage 3", "--tuned", "ravdess", "--beside", "../voxceleb/exp/ivector_mfcc")
    found, shown = calls(study), table_of(said)

    def of(recipe, exp, program):
        return number_of(found, recipe, exp, program)[0]

    def mean(recipe, program, exps):
        return sum(of(recipe, exp, program) for exp in exps) / len(exps)

    assert shown["ivector_mfcc"] == dict.fromkeys(shown["cpc"], "not run") | {"speaker": 17}
    assert list(shown) == ["ivector_mfcc", "cpc", "lim"] and (study / "exp/PRETEXT.md").read_text() in said
    for row, names in (("cpc", ("cpc", "cpc_seed1")), ("lim", ("lim",))):
        assert shown[row] == {
            "speaker": mean("voxlingua107", "score_system.sh", [f"exp/{name}" for name in names]),
            "language": mean("voxlingua107", "probe_languages.sh", [f"exp/{name}" for name in names]),
            "iemocap frozen": mean("iemocap", "probe_folds.sh", [f"exp/probes_{name}_session" for name in names]),
            "ravdess frozen": mean("ravdess", "probe_folds.sh", [f"exp/probes_{name}_group" for name in names]),
            "ravdess": mean("ravdess", "finetune_folds.sh", [f"exp/{name}_once_group/seed0" for name in names])}


def test_the_untrained_networks_are_asked_the_same(tmp_path):
    """Once for all seeds of a system."""
    study = make(tmp_path, PRETEXT)
    run(study, "./run_pretext.sh", *pretext_models(tmp_path, "cpc", "cpc_seed1"), "--voxlingua107=--stage 4", "--iemocap=--stage 3",
        "--tasks", "voxlingua107 iemocap", "--untrained", "true")
    made = {(call[0], call[1], call[3]) for call in calls(study).values()}
    tuned = [("iemocap", "finetune_folds.sh", f"exp/{name}_once_session/seed0") in made for name in ("cpc", "cpc_fresh", "cpc_seed1_fresh")]
    probed = [("iemocap", "probe_folds.sh", f"exp/probes_{name}_session") in made for name in ("cpc", "cpc_fresh", "cpc_seed1_fresh")]
    assert tuned == probed == [True, True, False]
    text = (study / "exp/PRETEXT.md").read_text()
    assert "| cpc, untrained |" in text and "seed1, untrained" not in text


@pytest.mark.parametrize(("options", "words"), [
    ([], "--init-from names no model"),
    (["--init-from=../librispeech/exp/none/final.pt"], "there is no model ../librispeech/exp/none/final.pt"),
    (["--init-from=hubert_base random"], "'hubert_base random' is no final.pt"),
    (["--tasks", "adress"], "take voxlingua107, iemocap and ravdess, not 'adress'"),
    (["--tuned", "voxlingua107"], "--tuned takes iemocap and ravdess"),
    (["--mini", "true", "--tasks", "ravdess"], "ravdess has no synthetic corpus"),
    (["--tuned="], "--voxlingua107 is empty"),
    (["--mini", "true", "--beside", "../voxceleb/exp/dino"], "../voxceleb/exp/dino holds no scores of veri_test2"),
    (["--tasks", "voxlingua107", "--voxlingua107=--stage 4", "--tuned", "ravdess"], "--ravdess is empty"),
    (["--tasks", " "], "--tasks names no task")])
def test_what_run_pretext_refuses(tmp_path, options, words):
    study = make(tmp_path, PRETEXT)
    model = [*pretext_models(tmp_path, "cpc")] if options and "--init-from" not in options[0] else []
    done = sh(study, "./run_pretext.sh", *model, *options)
    assert done.returncode == 1 and words in done.stderr and max(map(len, done.stderr.splitlines())) <= 180 and not calls(study)
