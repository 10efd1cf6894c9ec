"""Scoring while training: no bit of the weights changes, the figures are those of the steps, and the best weights are kept and named."""
import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tones import make_data, tiny

from sslspk.backend.cosine import Cosine
from sslspk.encoders import together
from sslspk.errors import InputError
from sslspk.io import clips, cuts, table
from sslspk.io import trials as trial_list
from sslspk.metrics import label_free, verification
from sslspk.train import board, checkpoint, evaluation, loop, model, of_checkpoint
from sslspk.train.config import config_hash
from sslspk.train.job import prepare

CPU, ENCODED = torch.device("cpu"), together.encoded
STEPS = {"train.steps": 9, "train.save_every": 2, "train.keep": 1, "train.log_every": 1}


def trained(data, exp, **changes):
    assert loop.train(prepare(tiny(**STEPS, **changes), data, exp, CPU, print)) == 0
    return exp


def rows(exp, key="eval_"):
    lines = [json.loads(line) for line in (exp / "progress.jsonl").read_text().splitlines()]
    return [{"step": line["step"], **{k: v for k, v in line.items() if k.startswith(key)}} for line in lines
            if any(name.startswith(key) for name in line)]


def weights(exp):
    return checkpoint.load(exp / "final.pt")["encoders"]


def same(a, b):
    return all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])


@pytest.fixture(scope="module")
def heldout(tmp_path_factory):
    """Recordings that nothing is trained on, long enough for crops, and a list of all their pairs."""
    folder = make_data(tmp_path_factory.mktemp("heldout") / "data", 8)
    utts = list(table.read(folder / "wav.scp"))
    pairs = [(a, b) for i, a in enumerate(utts) for b in utts[i + 1:]]
    trial_list.write(folder / "trials_all", *zip(*pairs, strict=True), [a[:3] == b[:3] for a, b in pairs])
    return folder


@pytest.fixture(scope="module")
def runs(data, heldout, tmp_path_factory):
    """The same training without and with scoring, by a list and by crops (an epoch has three steps)."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "SHORTEST", 0.1)   # seconds: the tones last less than one
        return {"plain": trained(data, folder / "plain"),
                "list": trained(data, folder / "list", **{"train.eval_list": str(heldout / "trials_all"), "train.eval_every": 1}),
                "crops": trained(data, folder / "crops", **{"train.eval_data": str(heldout), "train.eval_every": 2})}


def test_no_bit_of_the_weights_changes(runs):
    assert same(weights(runs["plain"]), weights(runs["list"])) and same(weights(runs["plain"]), weights(runs["crops"]))
    state = [checkpoint.load_newest(runs[name]) for name in ("plain", "list")]
    assert state[0]["optimizer"]["state"].keys() == state[1]["optimizer"]["state"].keys()
    assert rows(runs["plain"], "loss") == rows(runs["list"], "loss") and not rows(runs["plain"])
    assert config_hash(tiny()) == config_hash(tiny(**{"train.eval_data": "x", "train.eval_every": 3}))


def test_random_state_and_modes_stay_as_they_are():
    part = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.BatchNorm1d(2).eval())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with evaluation.undisturbed(part, CPU, False):
        assert not any(one.training for one in part.modules())
        torch.rand(5)
    assert torch.equal(before, torch.get_rng_state()) and [one.training for one in part.modules()] == [True, True, False]


def test_the_figures_are_those_of_the_steps(runs, heldout):
    """EER as steps/score.sh has it of the embeddings of final.pt."""
    assert [row["step"] for row in rows(runs["list"])] == [3, 6, 9] and [row["step"] for row in rows(runs["crops"])] == [6, 9]
    found, sources = model.load(runs["list"] / "final.pt"), clips.read(heldout)
    trials = trial_list.read(heldout / "trials_all")
    with torch.no_grad():
        x = {utt: found.encoder(found.features(utt, clip))[0].numpy() for utt, clip in sources.items()}
    scores = [Cosine().score(x[a][None], x[b][None])[0, 0] for a, b in zip(trials.enrol, trials.test, strict=True)]
    det = verification.det_curve(np.array(scores), trials.target)
    assert rows(runs["list"])[-1]["eval_eer_percent"] == pytest.approx(100 * verification.eer(det))
    assert rows(runs["list"])[-1]["eval_min_dcf_0.01"] == pytest.approx(verification.min_dcf(det, 0.01))


def test_crops_are_those_of_the_recipe_that_judges_without_labels(runs, heldout, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "SHORTEST", 0.1)
    monkeypatch.setattr(cuts, "SHORTEST", 0.1)
    cuts.ends(str(heldout), str(tmp_path / "crops"), evaluation.SECONDS)
    found, of = model.load(runs["crops"] / "final.pt"), table.read(tmp_path / "crops/utt2spk")
    with torch.no_grad():
        x = np.stack([found.encoder(found.features(utt, clip))[0].numpy() for utt, clip in clips.read(tmp_path / "crops").items()])
    expected = label_free.judge(x, list(of.values()), list(of.values()), "crops")
    job = prepare(tiny(**STEPS, **{"train.eval_data": str(heldout)}), heldout, tmp_path / "exp", CPU, print)
    job.method.encoders()[job.method.evaluate].load_state_dict(found.encoder.state_dict())
    figures = job.evaluation.measure(job.method).figures
    assert figures["eval_auc_percent"] == pytest.approx(expected["auc_percent"], abs=0.5)
    assert figures["eval_effective_rank"] == pytest.approx(expected["effective_rank"], rel=0.02)


def test_the_best_weights_are_kept_and_named(runs):
    best = min(rows(runs["list"]), key=lambda row: row["eval_eer_percent"])
    said = model.load(runs["list"] / "final.pt").info["evaluated"]
    assert (said["best_step"], said["percent"]) == (best["step"], best["eval_eer_percent"]) and said["by"].startswith("trials_all, md5 ")
    assert checkpoint.at(runs["list"], best["step"]).exists()   # though train.keep is 1
    folder = of_checkpoint.write(runs["list"], "best")
    assert folder.name == f"list_step{best['step']}" and model.load(folder / "final.pt").info["step"] == best["step"]
    with pytest.raises(InputError, match="was never scored"):
        of_checkpoint.write(runs["plain"], "best")


def test_a_resumed_run_has_the_same_curve(data, heldout, runs, tmp_path):
    config = tiny(**STEPS, **{"train.eval_list": str(heldout / "trials_all"), "train.eval_every": 1})
    job = prepare(config, data, tmp_path / "parts", CPU, print)
    steps = loop.optimizer_step

    class Killed(RuntimeError):
        pass

    def until_seven(*args):
        if job.step == 7:
            raise Killed
        return steps(*args)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(loop, "optimizer_step", until_seven)
        loop.train(job)
    job = prepare(config, data, tmp_path / "parts", CPU, print)
    assert job.step == 6 and loop.train(job) == 0
    assert rows(tmp_path / "parts") == rows(runs["list"]) and same(weights(tmp_path / "parts"), weights(runs["list"]))
    assert model.load(tmp_path / "parts/final.pt").info["evaluated"] == model.load(runs["list"] / "final.pt").info["evaluated"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"train.eval_list": "{}/nowhere"}, "nowhere"), ({"train.eval_data": "{}/nowhere"}, "nowhere"),
    ({"train.eval_list": "{}/targets"}, "there is no non-target trial"), ({"train.eval_list": "{}/strangers"}, "the trials name x, which"),
])
def test_what_cannot_be_scored_is_told_before_the_first_step(data, heldout, tmp_path, changes, said):
    (heldout / "targets").write_text("s00-u00 s00-u01 target\n")
    (heldout / "strangers").write_text("s00-u00 x nontarget\ns00-u00 s00-u01 target\n")
    with pytest.raises(InputError, match=said):
        prepare(tiny(**{key: value.format(heldout) for key, value in changes.items()}), data, tmp_path / "exp", CPU, print)


def test_embeddings_without_a_direction_stop_nothing(data, heldout, tmp_path, capsys):
    job = prepare(tiny(**{"train.eval_list": str(heldout / "trials_all")}), data, tmp_path / "exp", CPU, print)
    for weight in job.method.encoders()[job.method.evaluate].parameters():
        weight.data.zero_()
    assert np.isnan(job.evaluation.measure(job.method).score) and "warning: the encoder could not be scored" in capsys.readouterr().out


def test_tensorboard_has_groups_and_the_configuration(runs):
    events = EventAccumulator(str(runs["list"] / "tensorboard")).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"loss/loss", "collapse/teacher_entropy", "collapse/ln_K", "collapse/effective_rank", "speed/utterances_per_second",
            "schedule/lr", "evaluation/eval_eer_percent"} <= tags and not [name for name in tags if "/" not in name]
    assert [event.step for event in events.Scalars("evaluation/eval_eer_percent")] == [3, 6, 9]
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "    encoder:" in text and "out_dim: 16" in text
    assert "held_out" in (runs["list"] / "tensorboard/projector_config.pbtxt").read_text()
    assert len((runs["list"] / "tensorboard/00009/held_out/metadata.tsv").read_text().splitlines()) == 9
    assert b"collapse/student_entropy" in b"".join(path.read_bytes() for path in (runs["list"] / "tensorboard").glob("events*"))


@pytest.mark.parametrize(("figure", "tag"), [
    ("loss_dino", "loss/loss_dino"), ("valid_loss", "evaluation/valid_loss"), ("lr", "schedule/lr"), ("accuracy", "method/accuracy"),
    ("code_perplexity", "collapse/code_perplexity")])
def test_figures_stand_in_groups(figure, tag):
    assert board.tag(figure) == tag


def test_on_a_gpu_crops_of_one_length_are_embedded_together(data, heldout, tmp_path, monkeypatch):
    """What a GPU would do is done here: the figures are the same, and the encoder is called a few times."""
    monkeypatch.setattr(evaluation, "SHORTEST", 0.1)
    found = []
    for alone in (True, False):
        monkeypatch.setattr(evaluation.together, "encoded", lambda encode, inputs, alone, want=alone: ENCODED(encode, inputs, want))
        job = prepare(tiny(**STEPS, **{"train.eval_data": str(heldout)}), data, tmp_path / f"exp{alone}", CPU, print)
        encoder, calls = job.method.encoders()[job.method.evaluate], []
        encoder.register_forward_hook(lambda module, inputs, output, calls=calls: calls.append(len(output)))
        found.append((job.evaluation.measure(job.method).figures, calls))
    assert found[0][0] == pytest.approx(found[1][0], rel=0.005) and set(found[0][1]) == {1} and max(found[1][1]) > 1
    assert sum(found[0][1]) == sum(found[1][1])
