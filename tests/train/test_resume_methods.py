"""Every kind of state survives: queue, prototypes, curricula, accumulated steps; and what a run takes over from another one."""
import json
import shutil

import pytest
import torch
from test_loop import CPU, final_weights, same, train_here
from tones import make_data, tiny

from sslspk.errors import InputError
from sslspk.io.results import joined
from sslspk.train import checkpoint, loop
from sslspk.train.job import prepare

PAIR = [{"count": 2, "seconds": 0.4}]
MOCO = {"name": "moco", "crops": PAIR, "projection": {"hidden_dim": 8, "out_dim": 5}, "queue_size": 10, "momentum": 0.9,
        "batch_norm_group": 2}
C3MOCO = {**MOCO, "reweight": {"false_weight": 0.5}, "proto": {"clusters": [3]}}
DINO = {"name": "dino", "out_dim": 16, "hidden_dim": 8, "bottleneck_dim": 4, "crops": PAIR}
SSPS = {"name": "ssps", "clusters": 5, "queue_size": 10, "seconds": 0.4}
LATENTS = {"name": "dsvae", "channels": 8, "hidden_dim": 6, "embed_dim": 5, "content_dim": 4, "decoder_channels": 6, "decoder_hidden": 7,
           "statistics_batches": 5, "ridge": 0.1, "decorrelate": "means", "whiten": True, "skip": True}
RUNS = {
    "dsvae": {"encoder": LATENTS, "cmvn.cmn": "none", "augment.eq_prob": 1.0, "augment.eq_db": 6.0, "method": {
        "name": "dsvae", "crops": [{"count": 2, "seconds": 0.3, "layout": "twin"}], "prior_dim": 5, "warmup_steps": 6}},
    "moco": {"method": MOCO},
    "c3moco": {"method": C3MOCO},
    "queue prototypes": {"method": {**MOCO, "queue_proto": {"max_clusters": 4, "refresh_steps": 2}}},
    "ssps": {"method": {"name": "simclr", "crops": PAIR, "positives": {**SSPS, "start_epoch": 1}}, "train.analyse": True},
    "dino ssps": {"method": {**DINO, "positives": SSPS}},
    "moco ssps in two parts": {"method": {**MOCO, "positives": {**SSPS, "mask_negatives": True}}, "train.accumulate": 2},
    "moco in two parts": {"method": {**MOCO, "symmetric": True}, "train.accumulate": 2},
    "dino in two parts": {"train.accumulate": 2},
    "curricula": {"data.grow": {"start_share": 0.5, "epochs": 2}, "augment.grow": {"start_share": 0.2, "epochs": 2},
                  "augment.eq_prob": 1.0, "augment.eq_db": 6.0},
    "aat": {"method": {"name": "angular", "crops": [{"count": 3, "seconds": 0.2, "layout": "triplet"}], "adversarial": 3.0}},
    "moco+dino": {"method": {"name": "moco+dino", "moco": C3MOCO, "dino": DINO}},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_ends_with_the_same_bits(data, tmp_path, name):
    """Twelve recordings in batches of four: resumed in the middle of the second epoch, and at its end."""
    config = tiny(**{**RUNS[name], "train.steps": 9, "train.save_every": 1, "train.keep": 9})
    train_here(config, data, tmp_path / "exp")
    whole = final_weights(tmp_path / "exp")
    for stopped in (4, 6):
        for path in checkpoint.checkpoints(tmp_path / "exp")[stopped:]:
            path.unlink()
        (tmp_path / "exp/final.pt").unlink()
        train_here(config, data, tmp_path / "exp")
        assert same(final_weights(tmp_path / "exp"), whole)


def test_no_correction_is_moco_bit_for_bit(data, tmp_path):
    """omega 2 = 1 and alpha = 0, with all of the machinery at work."""
    corrected = {**MOCO, "reweight": {"false_weight": 1.0}, "proto": {"clusters": [3], "weight": 0.0},
                 "queue_proto": {"max_clusters": 4, "refresh_steps": 1, "weight": 0.0}}
    for name, method in (("plain", MOCO), ("corrected", corrected)):
        train_here(tiny(**{"method": method, "train.steps": 8}), data, tmp_path / name)
    assert same(final_weights(tmp_path / "plain"), final_weights(tmp_path / "corrected"))


def test_correction_changes_the_weights(data, tmp_path):
    """The same runs with the correction on differ, so that the test above can fail."""
    for name, method in (("plain", MOCO), ("proto", {**MOCO, "proto": {"clusters": [3], "weight": 0.5}}),
                         ("reweighted", {**MOCO, "reweight": {"false_weight": 0.0, "floor": -1.0, "ratio": 0.01}})):
        train_here(tiny(**{"method": method, "train.steps": 8}), data, tmp_path / name)
    plain = final_weights(tmp_path / "plain")
    assert not same(plain, final_weights(tmp_path / "proto")) and not same(plain, final_weights(tmp_path / "reweighted"))


def first_state(config, data, exp, said=None):
    return prepare(config, data, exp, CPU, (said if said is not None else []).append).method.state_dict()


def test_everything_or_the_encoder_alone_is_taken_over(data, tmp_path):
    train_here(tiny(method=MOCO), data, tmp_path / "moco")
    model, said = str(tmp_path / "moco/final.pt"), []
    old = checkpoint.load_newest(tmp_path / "moco")["method"]
    c3 = first_state(tiny(**{"method": C3MOCO, "train.init_from": model, "train.init_part": "everything"}), data, tmp_path / "c3", said)
    assert all(torch.equal(c3[key], value) for key, value in old.items() if key != "queue.step")
    assert (old["queue.step"] >= 0).all() and (c3["queue.step"] == -1).all(), "this run counts its steps anew: no key comes from its future"
    assert set(c3) - set(old) and all(key.startswith("banks.") for key in set(c3) - set(old))
    assert any("new: banks" in line for line in said)
    dino = first_state(tiny(**{"method": DINO, "train.init_from": model}), data, tmp_path / "dino")
    encoder = checkpoint.part(old, "query.encoder")
    for network in ("student", "teacher"):
        assert all(torch.equal(dino[f"{network}.encoder.{key}"], value) for key, value in encoder.items())
    fresh = first_state(tiny(method=DINO), data, tmp_path / "fresh")
    assert all(torch.equal(dino[key], fresh[key]) for key in dino if ".head." in key or key == "centre")
    alone = first_state(tiny(**{"method": MOCO, "train.init_from": model}), data, tmp_path / "alone")
    assert torch.equal(alone["query.encoder.embedding.weight"] if "query.encoder.embedding.weight" in alone else alone[
        next(key for key in alone if key.startswith("query.encoder"))], old[next(key for key in old if key.startswith("query.encoder"))])
    assert not torch.equal(alone["queue.keys"], old["queue.keys"])


def test_ssps_goes_on_from_a_finished_run_and_logs_sessions(data, tmp_path):
    """Queue and key encoder are those of MoCo, the positives are new, and monitors know the sessions of utt2session."""
    folder = tmp_path / "data"
    shutil.copytree(data, folder)
    utts = [line.split()[0] for line in (folder / "utt2spk").read_text().splitlines()]
    (folder / "utt2session").write_text("".join(f"{utt} {utt[:3]}-{i % 4 // 2}\n" for i, utt in enumerate(utts) if i))
    train_here(tiny(method=MOCO), folder, tmp_path / "moco")
    old, said = checkpoint.load_newest(tmp_path / "moco")["method"], []
    more = tiny(**{"method": {**MOCO, "positives": SSPS}, "train.init_from": str(tmp_path / "moco/final.pt"), "train.analyse": True,
                   "train.init_part": "everything"})
    job = prepare(more, folder, tmp_path / "ssps", CPU, said.append)
    new = job.method.state_dict()
    assert all(torch.equal(new[key], value) for key, value in old.items() if key != "queue.step")
    assert any(line.endswith("new: known, positives") for line in said)
    assert job.method.positives.watched_sessions.tolist() == [-1, *(i // 2 for i in range(1, 12))]
    assert loop.train(job) == 0
    logged = {}
    for line in (tmp_path / "ssps/progress.jsonl").read_text().splitlines():
        logged.update(json.loads(line))
    assert 0 < logged["positives_coverage"] <= 1 and {"positives_speaker_accuracy", "positives_session_accuracy", "positives_nmi_speaker",
                                                      "positives_nmi_session", "positives_purity"} <= logged.keys()


def test_what_cannot_be_taken_over_is_named(data, tmp_path):
    train_here(tiny(), data, tmp_path / "dino")
    wanted = tiny(**{"method": MOCO, "train.init_from": str(tmp_path / "dino/final.pt"), "train.init_part": "everything"})
    with pytest.raises(InputError, match=r"dino: its method does not hold .*init_part=encoder"):
        prepare(wanted, data, tmp_path / "moco", CPU, print)
    other = make_data(tmp_path / "other", count=14)
    with pytest.raises(InputError, match=r"dino: was trained on other data .*init_part=encoder"):
        prepare(wanted, other, tmp_path / "moco1", CPU, print)
    with pytest.raises(InputError, match=r"init_from names no model; give --init-from"):
        prepare(tiny(**{"train.init_part": "everything"}), data, tmp_path / "moco3", CPU, print)
    for path in checkpoint.checkpoints(tmp_path / "dino"):
        path.unlink()
    with pytest.raises(InputError, match="holds no checkpoint"):
        prepare(wanted, data, tmp_path / "moco2", CPU, print)


def test_labels_are_never_forgotten(data, tmp_path):
    """A system that starts from one which saw labels says so, and so do partial labels and a curriculum over speakers."""
    train_here(tiny(method={**MOCO, "labelled_share": 0.5}), data, tmp_path / "semi")
    config = tiny(**{"method": DINO, "train.init_from": str(tmp_path / "semi/final.pt"),
                     "data.grow": {"start_share": 0.5, "epochs": 2, "by": "speaker"}})
    train_here(config, data, tmp_path / "dino")
    labels = [checkpoint.load(tmp_path / name / "final.pt")["info"]["labels"] for name in ("semi", "dino")]
    assert labels == ["speaker (50 %)", "speaker (curriculum) + speaker (50 %)"]
    assert joined("none", "none") == "none" and joined("speaker", "none", "speaker") == "speaker"


def test_labels_read_for_monitors_change_nothing(data, tmp_path):
    for name, analyse in (("plain", False), ("watched", True)):
        train_here(tiny(**{"method": C3MOCO, "train.analyse": analyse}), data, tmp_path / name)
    assert same(final_weights(tmp_path / "plain"), final_weights(tmp_path / "watched"))
    figures = [(tmp_path / name / "progress.jsonl").read_text() for name in ("plain", "watched")]
    assert "purity_3" not in figures[0] and "purity_3" in figures[1] and "false_negative_precision" in figures[1]
    assert checkpoint.load(tmp_path / "watched/final.pt")["info"]["labels"] == "none"


def test_a_system_that_starts_from_another_is_not_started_from_nothing(data, tmp_path):
    with pytest.raises(InputError, match=r"starts from moco_x.*--init-from"):
        prepare(tiny(after="moco_x"), data, tmp_path / "exp", CPU, print)


def test_a_run_goes_on_without_the_model_that_it_started_from(data, tmp_path):
    train_here(tiny(method={**MOCO, "labelled_share": 0.5}), data, tmp_path / "semi")
    model = tmp_path / "semi/final.pt"
    config = tiny(**{"method": DINO, "train.init_from": str(model), "train.save_every": 1})
    train_here(config, data, tmp_path / "dino")
    whole = final_weights(tmp_path / "dino")
    for path in (model, tmp_path / "dino/final.pt", *checkpoint.checkpoints(tmp_path / "dino")[-2:]):
        path.unlink()
    train_here(config, data, tmp_path / "dino")
    final = checkpoint.load(tmp_path / "dino/final.pt")
    assert same(final["encoders"], whole) and final["info"]["labels"] == "speaker (50 %)"


def test_a_curriculum_needs_something_to_mix_in(data, tmp_path):
    with pytest.raises(InputError, match="nothing to augment with"):
        prepare(tiny(**{"augment.grow": {"start_share": 0.2, "epochs": 2}}), data, tmp_path / "exp", CPU, print)
