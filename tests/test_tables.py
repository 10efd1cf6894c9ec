"""The papers' tables: their figures and systems in conf/paper.yaml, ours beside them, and the scripts that run a table."""
import importlib.util
import json
import re
from pathlib import Path

import pytest
import recipe_copy
from recipe_copy import SYNTH, VOXCELEB, overrides, run, sh, snapshot
from test_chain import shrink

from sslspk.bin.show_config import chain
from sslspk.config import load, read_yaml
from sslspk.errors import InputError
from sslspk.io import results, table
from sslspk.io.provenance import corpus
from sslspk.ivector.config import IvectorConfig
from sslspk.methods.config import weights
from sslspk.train.config import SystemConfig

PAPER = VOXCELEB / "conf/paper.yaml"
TABLES = ("run_table1.sh", "run_table2.sh", "run_table3.sh", "run_table4.sh", "run_k_sweep.sh")
SOTA = "run_table_sota.sh"


def system(name):
    return VOXCELEB / f"conf/{name}.yaml"


@pytest.mark.parametrize(("name", "expected"), [
    ("moco_ecapa", ()),
    ("c3moco_ecapa", ("moco_ecapa", "moco_reweighted_ecapa")),
    ("c3dino_ecapa", ("moco_ecapa", "moco_reweighted_ecapa", "c3moco_ecapa")),
    ("c3dino_from_moco_ecapa", ("moco_ecapa",)),
    ("c3dino_from_reweighted_ecapa", ("moco_ecapa", "moco_reweighted_ecapa")),
    ("c3dino_from_dino_ecapa", ("dino_best_ecapa",)),
    ("c3dino_multitask_ecapa", ()),
    ("ecapa_aam_from_dino", ("dino_ecapa", "ecapa_aam_from_dino_step1")),
    ("xvector_from_dino_tdnn", ("dino_tdnn", "xvector_from_dino_step1_tdnn")),
])
def test_chains_are_the_papers(name, expected):
    config = load(SystemConfig, system(name))
    assert tuple(chain(system(name), config.after)) == expected
    if expected and "from_dino_step1" in expected[-1]:
        step1 = load(SystemConfig, system(expected[-1]))
        assert (step1.train.trainable, step1.train.init_part, config.train.trainable, config.train.init_part) == (
            "affine", "encoder", "all", "everything")
    elif expected:
        assert config.train.init_part == ("encoder" if name.startswith("c3dino") else "everything")


@pytest.mark.parametrize(("name", "expected"), [
    ("moco_ecapa", "projected query key"), ("simclr_ecapa", "encoder"), ("dino_ecapa", "teacher student"),
    ("xvector_tdnn", "encoder"), ("siamese_resnetse34l", "encoder projected"), ("aat_resnetse34l", "encoder"),
    ("c3dino_multitask_ecapa", "teacher student projected"),
])
def test_encoders_that_are_evaluated(name, expected):
    assert " ".join(weights(load(SystemConfig, system(name)).method)) == expected


def test_what_the_confs_of_a_row_share_and_where_they_differ():
    """Table 2's systems 6 to 9 are system 4 but for their start; a stage is the one before it but for what the stage adds."""
    def differing(a, b):
        one, other = (load(SystemConfig, system(name)).model_dump(exclude={"reproduces", "after"}) for name in (a, b))
        return {key for key in one if one[key] != other[key]}

    for name in ("c3dino", "c3dino_from_moco", "c3dino_from_reweighted", "c3dino_from_dino"):
        assert differing("dino_best_ecapa", f"{name}_ecapa") == set()
    assert differing("moco_ecapa", "moco_reweighted_ecapa") == {"method", "train"} == differing("moco_reweighted_ecapa", "c3moco_ecapa")
    methods = [load(SystemConfig, system(name)).method for name in ("moco_ecapa", "moco_reweighted_ecapa", "c3moco_ecapa")]
    assert [(bool(m.reweight), bool(m.proto)) for m in methods] == [(False, False), (True, False), (True, True)]
    multi, best = load(SystemConfig, system("c3dino_multitask_ecapa")).method, load(SystemConfig, system("dino_best_ecapa")).method
    assert multi.dino == best and multi.moco.reweight and multi.moco.proto and multi.moco.queue_size == methods[0].queue_size


def test_every_figure_of_the_papers_that_is_ours_has_a_configuration():
    tables, figures = results.published(PAPER)
    assert [sum(figure.get("table") == number for figure in figures) for number in tables] == [12, 18, 14, 18, 22]
    for figure in figures:
        assert figure["source"] and (0 < figure["eer_percent"] < 50 if "eer_percent" in figure else figure["row"][1] == "ours")
        assert "table" not in figure or len(figure["row"]) == len(tables[figure["table"]]["keys"])
        if "script" in figure:
            assert load(IvectorConfig, system(figure["system"])) and (VOXCELEB / figure["script"]).exists()
        elif "system" in figure:
            assert load(SystemConfig, system(figure["system"])).reproduces
            assert figure["train"] in ("voxceleb1", "voxceleb2") and figure["list"] in ("veri_test2", "voxsrc2021_val")
    keys = [(figure.get("table"), *figure.get("row", [figure.get("system")]), figure.get("column")) for figure in figures]
    assert len(set(keys)) == len(keys)


def test_figures_were_copied_rightly():
    """The sums of the paper's columns, added up by hand."""
    _, figures = results.published(PAPER)

    def total(number, metric, column):
        return round(sum(f[metric] for f in figures if f.get("table") == number and f["column"] == column), 2)

    assert [total(1, "eer_percent", c) for c in ("TDNN", "R34L", "E-TDNN")] == [32.6, 30.5, 27.2]
    assert [total(1, "min_dcf_0.01", c) for c in ("TDNN", "R34L", "E-TDNN")] == [2.66, 2.56, 2.28]
    assert [total(2, "eer_percent", c) for c in ("Vox1 test", "VoxSRC21 Dev")] == [38.4, 126.5]
    assert total(3, "eer_percent", "Vox1 test") == 81.4
    assert round(sum(f["eer_percent"] for f in figures if f.get("table") == 5 and "eer_percent" in f), 2) == 54.89
    assert [total(4, "eer_percent", c) for c in ("2k", "4k", "6k", "8k", "10k", "12k")] == [20.0, 17.5, 15.9, 14.7, 13.8, 13.3]


@pytest.mark.parametrize(("text", "said"), [
    ("tables: {one: {source: a, title: b, keys: []}}", "tables.one.*integer"),
    ("tables: {1: {source: a, keys: []}}", "key tables.1.title is missing"),
    ("tables: [1]", "tables: "), ("figures: [3]", r"figures\[0\]: "), ("figures: {a: b}", "figures: "),
    ("common: {train: 3}", "common.train: "),
    ("common: {train: a, list: b}\nfigures: [{source: c, table: 1, row: [a]}]", r"figures\[0\] has no column"),
    ("figures: [{eer_percent: 3}]", r"figures\[0\] has no source"), ("figure: []", "unknown key figure .did you mean figures")])
def test_a_file_of_figures_that_does_not_say_what_it_should_is_told(tmp_path, text, said):
    (tmp_path / "paper.yaml").write_text(text)
    with pytest.raises(InputError, match=f"paper.yaml: {said}"):
        results.published(tmp_path / "paper.yaml")


def test_a_damaged_configuration_of_a_run_is_told(tmp_path):
    write_result(tmp_path, "dino", evaluate="[")
    (tmp_path / "exp/dino/config.yaml").write_text("method: dino\n")
    with pytest.raises(InputError, match=r"no key method\.evaluate"):
        results.is_own_choice(results.read_all(tmp_path / "exp")[0])


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_each_table_has_small_counterparts(tmp_path, number):
    recipe = recipe_copy.make(tmp_path)
    for encoder, folder in (("tdnn", "conf/mini"), ("short", "conf"))[number == 5:]:
        names = run(recipe, *show(number, "--encoder", encoder, "--systems", "true")).split()
        assert len(names) == len(set(names)) > 2
        for name in names:
            assert (recipe / folder / f"{name}.yaml").exists(), name


def show(number, *words):
    program = ". ./path.sh; exec local/show_paper_table.py \"$@\""
    return ("bash", "-c", program, "_", "--table", number, "--paper", "conf/paper.yaml", *words)


def write_result(recipe, name, weights="teacher", evaluate="teacher", folder="", **changes):
    row = {"system": name, "weights": weights, "trained_on": "voxceleb2", "labels": "none", "commit": "abc", "targets": 3, "nontargets": 7,
           "trials_md5": "0", "eer_percent": 9.0, "min_dcf_0.01": 0.5, "min_dcf_0.05": 0.4, "steps": 7, "seed": 1} | changes
    folder = recipe / f"exp/{name}/scores_{weights}{folder}"
    folder.mkdir(parents=True)
    (folder / f"result_trials_{changes.get('list', 'veri_test2')}.json").write_text(json.dumps(row))
    (folder.parent / "config.yaml").write_text(f"method: {{evaluate: {evaluate}}}\n")


def cells(text):
    """Row by row, without the line below the heads."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if set("".join(row)) != {"-"}]


def test_table_1_sets_ours_beside_the_papers(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    write_result(recipe, "dino_ecapa", eer_percent=4.123, eer_percent_low=3.9, eer_percent_high=4.4)
    write_result(recipe, "dino_ecapa", weights="student", eer_percent=4.0)      # better, but not what the conf says to evaluate
    write_result(recipe, "dino_ecapa", weights="untrained", eer_percent=3.0)
    write_result(recipe, "dino_tdnn_vox1", trained_on="voxceleb1", eer_percent=7.5)
    write_result(recipe, "moco_tdnn", weights="projected", evaluate="projected", trained_on="voxceleb1", eer_percent=12.0)   # no tag
    write_result(recipe, "moco_ecapa_k9", weights="projected", evaluate="projected", eer_percent=1.0)           # another variant
    said = run(recipe, *show(1, "--out", "t.md", "exp"))
    rows = cells((recipe / "t.md").read_text())
    assert rows[0] == ["training data", "method", "EER % TDNN", "EER % R34L", "EER % E-TDNN", "minDCF TDNN", "minDCF R34L", "minDCF E-TDNN"]
    assert rows[1] == ["Vox1", "MoCo", "11.3 / 12.00", "10.8 /", "9.8 /", "0.76 / 0.500", "0.72 /", "0.67 /"]
    assert rows[2] == ["Vox2", "MoCo", "8.5 /", "8.3 /", "7.3 /", "0.63 /", "0.62 /", "0.61 /"]
    assert rows[3] == ["Vox1", "DINO", "7.2 / 7.50", "6.8 /", "6.1 /", "0.76 / 0.500", "0.72 /", "0.52 /"]
    assert rows[4] == ["Vox2", "DINO", "5.6 /", "4.6 /", "4.0 / 4.12 (3.90-4.40)", "0.51 /", "0.50 /", "0.48 / 0.500"]
    text = (recipe / "t.md").read_text()
    assert "- dino_ecapa: teacher, trained on voxceleb2, 7 steps, seed 1" in text and "(systems of ours: 3)" in said
    assert "10 trials" in text and "37611" in text and "so the figures cannot be compared directly" in text


ELSEWHERE = "trained on voxceleb1, another corpus in its layout]"


def test_what_a_model_was_trained_on_stands_with_its_figure(tmp_path):
    """Processor, threads, versions, CPU time and command; a result of an earlier version says nothing of them and is read as before."""
    recipe = recipe_copy.make(tmp_path)
    machine = {"processor": "Toy 5", "threads": 2, "ranks": 1, "torch": "2.9", "numpy": "2.2", "cpu_seconds": 240, "command": "train me"}
    write_result(recipe, "moco_short", weights="query", evaluate="query", trained_on="voxceleb1", machine=machine)
    write_result(recipe, "old_short", weights="query", evaluate="query", trained_on="voxceleb1")
    made = "2 threads, 1 rank, of Toy 5, torch 2.9, numpy 2.2, 4 CPU minutes of rank 0: `train me`"
    run(recipe, *show(2, "--encoder", "short", "--out", "t2.md", "exp"))
    assert f"; {made}\n" in (recipe / "t2.md").read_text()
    run(recipe, "bash", "-c", '. ./path.sh; python3 local/show_table.py --out RESULTS.md exp')
    text = (recipe / "RESULTS.md").read_text()
    assert f"- moco_short: {made}\n" in text and "- old_short" not in text and "| old_short |" in text


def test_tables_2_and_3_with_other_encoders_labels_and_rows_that_are_not_run(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    write_result(recipe, "c3dino_short", trained_on="voxceleb1", eer_percent=20.0)
    write_result(recipe, "moco_supcon15_short", weights="query", evaluate="query", trained_on="voxceleb1", labels="speaker (15 %)")
    run(recipe, *show(2, "--encoder", "short", "--out", "t2.md", "exp"))
    rows = cells((recipe / "t2.md").read_text())
    assert rows[0] == ["system", "method", "EER % Vox1 test", "EER % VoxSRC21 Dev"] and len(rows) == 10
    assert rows[8] == ["8", "C3-DINO 2 (sys. 3 initial)", "2.5 / 20.00 [a stand-in: c3dino_short, scored by cosine, " + ELSEWHERE, "12.2 /"]
    run(recipe, *show(3, "--encoder", "short", "--out", "t3.md", "exp"))
    by_method = {row[1]: row[2] for row in cells((recipe / "t3.md").read_text())}
    assert by_method["i-vector (Huh et al. 2020)"] == "15.3 /"
    write_result(recipe, "ivector_short", weights="ivector", trained_on="voxceleb1", eer_percent=17.0)
    (recipe / "exp/ivector_short/config.yaml").write_text("num_gaussians: 128\n")   # nothing to choose from
    assert by_method["MoCo+SupCon, 15 % label (Xia et al.)"] == (
        "4.3 / 9.00 [a stand-in: moco_supcon15_short, scored by cosine, speaker (15 %), " + ELSEWHERE)
    assert by_method["C3-DINO 2 (system 8)"].startswith("2.5 / 20.00") and by_method["C3-DINO 2 (system 8 + LDA)"] == "2.2 /"
    for kind, rate in (("speaker", 10.0), ("pseudo", 15.0)):   # scored otherwise: neither stands where cosine does, nor for each other
        write_result(recipe, "c3dino_short", folder=f"lda_{kind}", trained_on="voxceleb1", eer_percent=rate, backend="lda",
                     backend_labels=kind)
    run(recipe, *show(3, "--encoder", "short", "--out", "t3.md", "exp"))
    by_method = {row[1]: row[2] for row in cells((recipe / "t3.md").read_text())}
    assert by_method["C3-DINO 2 (system 8)"].startswith("2.5 / 20.00")
    assert by_method["C3-DINO 2 (system 8 + LDA)"] == "2.2 / 15.00 [a stand-in: c3dino_short, scored by lda, pseudo, " + ELSEWHERE
    assert by_method["i-vector (Huh et al. 2020)"] == "15.3 / 17.00 [a stand-in: ivector_short, scored by cosine, " + ELSEWHERE
    unknown = sh(recipe, *show(7, "--out", "t.md", "exp"))
    assert unknown.returncode == 1 and "1, 2, 3, 4" in unknown.stderr and unknown.stderr.count("\n") == 1


def test_table_5_holds_runs_of_one_part_and_budget(tmp_path):
    """The i-vectors are those of the part; another budget and another part are other runs, another seed joins the mean."""
    recipe = recipe_copy.make(tmp_path)
    for name, rate in (("simclr_short_spk85_20min", 15.0), ("simclr_short_spk85_90min", 2.0), ("simclr_short_20min", 3.0),
                       ("simclr_short_spk85_20min_seed1", 4.0), ("simclr_short", 5.0)):
        write_result(recipe, name, weights="encoder", evaluate="encoder", trained_on="voxceleb1_spk85", eer_percent=rate)
    write_result(recipe, "ivector_short_spk85", weights="ivector", trained_on="voxceleb1_spk85", eer_percent=17.0)
    (recipe / "exp/ivector_short_spk85/config.yaml").write_text("num_gaussians: 128\n")
    run(recipe, *show(5, "--encoder", "short", "--part", "spk85", "--tag", "20min", "--out", "t5.md", "exp"))
    by_system = {row[0]: row[1:] for row in cells((recipe / "t5.md").read_text())}
    note = "scored by cosine, trained on voxceleb1_spk85, another corpus in its layout]"
    seeds = "mean of 2 seeds 9.50, 4.00 to 15.00"
    assert by_system["SimCLR"] == ["sslsv", f"6.41 / 15.00 [{seeds}, a stand-in: simclr_short_spk85_20min, {note}"]
    assert by_system["i-vector"] == ["Huh et al. 2020", f"15.30 / 17.00 [a stand-in: ivector_short_spk85, {note}"]
    assert by_system["MoCo + SSPS"] == ["ours", "none /"]
    run(recipe, "bash", "-c", '. ./path.sh; python3 local/show_table.py --paper conf/paper.yaml --out RESULTS.md exp')
    assert "| simclr_short_spk85_20min |" in (recipe / "RESULTS.md").read_text()


@pytest.mark.parametrize(("words", "said"), [
    ((), "--trainset names no corpus"), (("--trainset", "a/b=c"), "NAME=FOLDER"), (("--trainset", "a"), "NAME=FOLDER"),
    (("--minutes", "1h"), "'1h'"), (("--held-out", "150"), "'150'"), (("--seeds", "a"), "'a'"), (("moco",), "'moco'"),
    (("--trainset", "a=b", "--systems", "simclr_shrot"), "conf/simclr_shrot.yaml"),
    (("--trainset", "a=b", "--held-out", "0"), "--lists veri_test2"),
])
def test_what_the_table_of_the_field_cannot_do_is_said_at_once(tmp_path, words, said):
    recipe = recipe_copy.make(tmp_path)
    wrong = sh(recipe, f"./{SOTA}", *words)
    assert wrong.returncode == 1 and said in wrong.stderr and wrong.stderr.count("\n") == 1, wrong.stderr
    assert not (recipe / "sota").exists()


@pytest.mark.parametrize("name", [f"{kind}{stem}_{size}" for stem in ("simclr", "moco", "c3moco", "dino", "c3dino", "sdpn")
                                  for kind in ("", "ssps_", "oracle_") for size in ("short", "ecapa")])
def test_every_system_of_the_field_is_there_with_and_without_ssps(name):
    config = load(SystemConfig, system(name))
    kind, size = name.partition("_")[0], name.rpartition("_")[2]
    assert getattr(config.method.positives, "name", "none") == (kind if kind in ("ssps", "oracle") else "none")
    before = chain(system(name), config.after)
    assert all(other.endswith(size) for other in before)
    if kind in ("ssps", "oracle"):
        assert config.train.init_part == "everything" and load(SystemConfig, system(before[-1])).method.name == config.method.name


@pytest.mark.slow
def test_the_field_is_trained_for_a_time_and_judged_on_held_out_speakers(tmp_path, monkeypatch):
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    shrink(recipe)
    words = (f"./{SOTA}", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--minutes", "0.01",
             "--systems", "simclr_tdnn ssps_simclr_tdnn")
    said = run(recipe, *words)
    data, exps = recipe / "sota/mini/data_mini", recipe / "sota/mini/exp_mini"
    held, trained = (set(table.read(data / f"voxceleb1_{name}/utt2spk").values()) for name in ("heldout", "dev_packed_spk3"))
    assert (len(held), len(trained)) == (3, 3) and not held & trained
    assert sorted(path.name for path in exps.glob("*/final.pt") for path in [path.parent]) == [
        "simclr_tdnn_spk3_0.005min", "simclr_tdnn_spk3_0.01min", "ssps_simclr_tdnn_spk3_0.01min"]
    asked = {path.parent.name: read_yaml(path)["train"]["cpu_minutes"] for path in exps.glob("*/config.yaml")}
    assert asked == {"simclr_tdnn_spk3_0.005min": 0.005, "simclr_tdnn_spk3_0.01min": 0.01, "ssps_simclr_tdnn_spk3_0.01min": 0.005}
    found = json.loads((exps / "ssps_simclr_tdnn_spk3_0.01min/scores_encoder/result_trials_dev.json").read_text())
    assert found["trained_on"] == "voxceleb1_spk3" and found["machine"]["cpu_minutes"] == 0.005
    rows = {row[0]: row[2] for row in cells((exps / "TABLE_SOTA.md").read_text())}
    assert rows["SimCLR + SSPS"].startswith("2.57 / ") and "ssps_simclr_tdnn_spk3_0.01min" in rows["SimCLR + SSPS"]
    assert rows["SimCLR"] in said
    before = snapshot(exps / "simclr_tdnn_spk3_0.01min")
    run(recipe, *words)
    assert snapshot(exps / "simclr_tdnn_spk3_0.01min") == before


def test_table_4_sorts_ours_by_size(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    for part, rate in (("_spk1000", 8.0), ("_spk500", 9.0), ("", 4.0), ("_2.5h", 11.0)):
        write_result(recipe, "dino_ecapa" + part, trained_on="voxceleb2" + part, eer_percent=rate)
    write_result(recipe, "supcon_ecapa_spk500", weights="encoder", evaluate="encoder", labels="speaker", eer_percent=7.0)
    run(recipe, *show(4, "--out", "t.md", "exp"))
    rows = cells((recipe / "t.md").read_text())
    assert rows[:2] == [["method", *(f"EER % {n}k" for n in (2, 4, 6, 8, 10, 12))], ["MoCo", "8.5", "7.5", "6.8", "6.3", "5.7", "5.4"]]
    heads = [f"{part} of voxceleb2" for part in ("2.5 hours", "500 speakers", "1000 speakers", "all")]
    assert rows[4:] == [["ours: EER %", *heads], ["DINO", "11.00", "9.00", "8.00", "4.00"], ["SupCon", "", "7.00 [speaker]", "", ""]]


def test_k_sweep_prints_and_draws(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    words = ("bash", "-c", ". ./path.sh; exec local/show_k_sweep.py \"$@\"", "_", "--system", "dino_ecapa", "--out", "exp/k.md", "--plot",
             "exp/k.png", "exp")
    none = sh(recipe, *words)
    assert none.returncode == 1 and "run_k_sweep.sh" in none.stderr and none.stderr.count("\n") == 1
    write_result(recipe, "dino_ecapa_k65536", eer_percent=3.3, eer_percent_low=3.0, eer_percent_high=3.5)
    write_result(recipe, "dino_ecapa_k6000", eer_percent=4.5)
    write_result(recipe, "dino_ecapa_k6000", weights="student", eer_percent=4.4)
    write_result(recipe, "dino_ecapa", eer_percent=4.0)
    run(recipe, *words)
    rows = cells((recipe / "exp/k.md").read_text())
    assert [row[:3] for row in rows[1:]] == [["6000", "teacher", "4.50"], ["65536", "teacher", "3.30 (3.00-3.50)"]]
    assert (recipe / "exp/k.png").read_bytes().startswith(b"\x89PNG") and "(k.png)" in (recipe / "exp/k.md").read_text()


def test_only_plain_rows_stand_for_a_system(tmp_path):
    """No back-end, no cohort, no other encoder than the conf's own, whatever its figures; labels of training stand in the legend."""
    recipe = recipe_copy.make(tmp_path)
    name = "dino_ecapa_k60"
    write_result(recipe, name, eer_percent=9.0)
    write_result(recipe, name, weights="student", eer_percent=8.0)
    write_result(recipe, name, weights="untrained", eer_percent=40.0)
    write_result(recipe, name, weights="untrained", folder="_plda", eer_percent=2.0, backend="plda", backend_labels="speaker")
    for number, more in enumerate(({"backend": "plda", "backend_labels": "speaker"}, {"backend": "lda", "backend_labels": "pseudo"},
                                   {"snorm": "as", "cohort_labels": "pseudo"}, {"calibration": "c", "calibration_labels": "speaker"})):
        for rate in (1.0, 30.0):   # better and worse: neither the first row nor the last one is taken
            write_result(recipe, name, folder=f"_{number}_{rate}", eer_percent=rate, **more)
    write_result(recipe, "supcon_ecapa", weights="encoder", evaluate="encoder", labels="speaker", eer_percent=5.0)
    write_result(recipe, "statistics", weights="raw", eer_percent=45.0)
    (recipe / "exp/statistics/config.yaml").unlink()
    rows = results.read_all(recipe / "exp")
    assert [(row["system"], row["eer_percent"]) for row in rows if results.plain(row)] == [
        ("supcon_ecapa", 5.0), (name, 9.0), ("statistics", 45.0)]
    curves = program("show_table").det_curves(rows)
    assert {legend: Path(path).parent.relative_to(recipe / "exp").as_posix() for legend, path in curves.items()} == {
        "supcon_ecapa (labels: speaker)": "supcon_ecapa/scores_encoder", name: f"{name}/scores_teacher",
        f"{name} (untrained)": f"{name}/scores_untrained", "statistics": "statistics/scores_raw"}
    assert {k: row["eer_percent"] for k, row in program("show_k_sweep").sweep(rows, "dino_ecapa", "veri_test2").items()} == {60: 9.0}
    assert [row["eer_percent"] for row in program("show_paper_table").study_rows({"DINO": name}, rows).values()] == [9.0]


def program(name):
    """local/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(name, recipe_copy.ROOT / f"local/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("data", "expected"), [
    ("voxceleb2_dev_packed", "voxceleb2"), ("voxceleb1_dev_vad_spk500", "voxceleb1_spk500"),
    ("voxceleb2_dev_packed_2.5h", "voxceleb2_2.5h"), ("voxceleb2_dev_packed_spk500_dino_tdnn_spk500_k60", "voxceleb2_spk500"),
    ("voxceleb1_dev_vad_dino_short", "voxceleb1"),
])
def test_a_result_names_the_part_of_the_corpus(data, expected):
    assert corpus(data) == expected


@pytest.mark.parametrize("script", TABLES)
def test_scripts_explain_themselves_and_hand_mistakes_on(tmp_path, script):
    recipe = recipe_copy.make(tmp_path)
    assert "options of run.sh" in run(recipe, f"./{script}", "--help")
    wrong = sh(recipe, f"./{script}", "--nmu", "3")
    assert wrong.returncode == 1 and "--nmu" in wrong.stderr and "failed" in wrong.stderr.splitlines()[-1], wrong.stderr
    stray = sh(recipe, f"./{script}", "moco")
    assert stray.returncode == 1 and "'moco'" in stray.stderr and stray.stderr.count("\n") == 1


def test_part_is_speakers_or_hours(tmp_path):
    recipe = recipe_copy.make(tmp_path)
    done = sh(recipe, "./run.sh", "--speakers", "3", "--hours", "1")
    assert done.returncode == 1 and "two ways" in done.stderr and done.stderr.count("\n") == 1
    done = sh(recipe, "./run_table4.sh", "--by", "hours")
    assert done.returncode == 1 and "--sizes" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_scripts_run_a_table_on_the_small_corpus(tmp_path, monkeypatch):
    """Few systems of each, three steps; one that fails is named, and what was done before it stays."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    shrink(recipe)
    common = ("--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--stop-stage", "5")
    tiny = overrides("train.steps=3", "data.batch_size=8")
    exps = recipe / "exp_mini"

    absent = sh(recipe, "./run_table2.sh", *common, "--systems", "moco_tdnn c3dino_from_x_tdnn")
    assert absent.returncode == 1 and "there is no conf/mini/c3dino_from_x_tdnn.yaml" in absent.stderr and not exps.exists()
    (recipe / "conf/mini/broken_tdnn.yaml").write_text("base: moco_tdnn.yaml\ntrain: {init_from: none.pt}\n")
    broken = sh(recipe, "./run_table2.sh", *common, "--systems", "moco_tdnn broken_tdnn")
    assert broken.returncode == 1 and "broken_tdnn failed" in broken.stderr.splitlines()[-1]
    assert (exps / "moco_tdnn/final.pt").exists() and not (exps / "TABLE_2.md").exists()
    before = snapshot(exps / "moco_tdnn")
    said = run(recipe, "./run_table2.sh", *common, "--stage", "3", "--systems", "moco_tdnn c3dino_from_moco_tdnn")
    assert snapshot(exps / "moco_tdnn") == before and (exps / "table2_det_veri_test2.png").exists()
    rows = {row[1]: row[2] for row in cells((exps / "TABLE_2.md").read_text())}
    stand_in = r"7\.3 / \S+ \(\S+\) \[a stand-in: moco_tdnn, scored by cosine, trained on voxceleb1, another .*\]"
    assert re.fullmatch(stand_in, rows["MoCo"]) and rows["DINO"] == "3.3 /" and rows["MoCo"] in said
    assert rows["C3-DINO 2 (sys. 1 initial)"].startswith("2.9 / ")

    run(recipe, "./run_table1.sh", *common, "--methods", "dino", *tiny)
    ours = {tuple(row[:2]): row[2] for row in cells((exps / "TABLE_1.md").read_text())}
    assert all(re.fullmatch(r"\S+ / \S+ \(\S+\)( \[a stand-in: .*\])?", ours[key, "DINO"]) for key in ("Vox1", "Vox2"))

    run(recipe, "./run_table3.sh", *common, "--stage", "3", "--systems", "supervised_tdnn", *tiny)
    rows = {row[1]: row[2] for row in cells((exps / "TABLE_3.md").read_text())}
    assert "speaker, trained on voxceleb1" in rows["x-vector (Snyder et al. 2018)"]

    run(recipe, "./run_table4.sh", *common, "--systems", "supcon_tdnn", "--sizes", "3", *tiny)
    study = cells((exps / "TABLE_4.md").read_text())[4:]
    assert study[0] == ["ours: EER %", "3 speakers of voxceleb1", "all of voxceleb1", "all of voxceleb2"]
    assert [[row[0], *map(bool, row[1:])] for row in study[1:]] == [["MoCo", False, True, False], ["DINO", False, False, True],
                                                                    ["SupCon", True, False, False]]
    assert len(set(table.read(recipe / "data_mini/voxceleb1_dev_packed_spk3/utt2spk").values())) == 3
    row = json.loads(next(exps.glob("supcon_tdnn_spk3/scores_encoder/result_*.json")).read_text())
    assert (row["trained_on"], row["labels"]) == ("voxceleb1_spk3", "speaker") and row["training_data"].startswith("12 utterances")

    run(recipe, "./run_k_sweep.sh", *common, "--stage", "3", "--sizes", "64", *tiny)
    sizes = cells((exps / "K_SWEEP_dino_tdnn.md").read_text())
    assert [row[0] for row in sizes[1:]] == ["64"] and (exps / "k_sweep_dino_tdnn.png").exists()
    assert read_yaml(exps / "dino_tdnn_k64/config.yaml")["method"]["out_dim"] == 64

    run(recipe, "./run_curve.sh", "--data", "data_mini", "--out", "exp_mini/curve", "--nj", "1", "exp_mini/dino_tdnn_k64")
    steps = [row[1] for row in cells((exps / "CURVE.md").read_text())[1:]]
    last = json.loads(next(exps.glob("dino_tdnn_k64/scores_student/result_*.json")).read_text())["steps"]
    assert steps[0] == "0" and steps[-1] == str(last) and (exps / "curve.png").exists()

    run(recipe, "./run_sweep.sh", *common, "--stage", "3", "--system", "c3dino_from_moco_tdnn", "--tag", "s", "--over", "seed=3 4",
        "--over", "rate:train.lr=0.01", *tiny)
    made = {seed: read_yaml(exps / f"c3dino_from_moco_tdnn_s_seed{seed}_rate0.01/config.yaml") for seed in (3, 4)}
    assert {seed: (conf["seed"], conf["train"]["lr"]) for seed, conf in made.items()} == {3: (3, 0.01), 4: (4, 0.01)}
    assert len(list(exps.glob("c3dino_from_moco_tdnn_s_seed*_rate0.01/scores_*/result_*.json"))) >= 2
    log = (exps / "sweep_c3dino_from_moco_tdnn_s/log/train.2.log").read_text()
    assert "wrote exp_mini/c3dino_from_moco_tdnn_s_seed4_rate0.01/final.pt" in log
    wrong = sh(recipe, "./run_sweep.sh", "--over", "seed", "--system", "dino_tdnn", "--mini", "true")
    assert wrong.returncode == 1 and "not 'seed'" in wrong.stderr


@pytest.mark.slow
def test_hours_on_the_feats_road_with_vad_and_a_chain(tmp_path, monkeypatch):
    """The part is cut out of the packed audio, and its name is on data and experiments, those of the earlier systems too."""
    recipe = recipe_copy.make(tmp_path)
    monkeypatch.chdir(recipe)
    shrink(recipe)
    run(recipe, "./run.sh", "--mini", "true", f"--synth={SYNTH}", "--nj", "1", "--system", "c3dino_from_moco_tdnn", "--hours", "0.005",
        "--input", "feats", "--set", "vad=true", "--tag", "x")
    exps = recipe / "exp_mini"
    kept = table.read(recipe / "data_mini/voxceleb1_dev_vad_0.005h/utt2dur")
    assert 18 <= sum(map(float, kept.values())) < 21 and len(kept) < len(table.read(recipe / "data_mini/voxceleb1_dev_vad/utt2dur"))
    assert (exps / "moco_tdnn_0.005h/final.pt").exists() and (exps / "c3dino_from_moco_tdnn_0.005h_x/final.pt").exists()
    row = json.loads(next(exps.glob("c3dino_from_moco_tdnn_0.005h_x/scores_teacher/result_*.json")).read_text())
    assert (row["system"], row["trained_on"], row["input"]) == ("c3dino_from_moco_tdnn_0.005h_x", "voxceleb1_0.005h", "feats")
