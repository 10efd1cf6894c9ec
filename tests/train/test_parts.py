"""The loop's parts by themselves: checkpoints, model files, learning rate, collapse watch, front end."""
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tones import tiny

from sslspk.errors import InputError
from sslspk.features.augment import WaveAugment
from sslspk.features.fbank import Extractor
from sslspk.methods.base import Progress
from sslspk.train import checkpoint, loop, model
from sslspk.train import job as job_module
from sslspk.train.config import differences
from sslspk.train.frontend import FrontEnd
from sslspk.train.job import prepare
from sslspk.train.optim import build_optimizer, clip_gradients, learning_rate
from sslspk.train.watch import Watch


def whole(step):
    """A checkpoint with all its parts."""
    return {"step": step, "config": {}, "data": "d", "labels": "none", "start": None, "method": {"x": torch.arange(3.0)},
            "optimizer": {"state": {}, "param_groups": []}, "bad": []}


def test_checkpoint_round_trip_and_pruning(tmp_path):
    for step in (5, 10, 15):
        checkpoint.save_step(tmp_path, step, whole(step), keep=2, every=5, total=20)
    assert [p.name for p in checkpoint.checkpoints(tmp_path)] == ["step-00000010.pt", "step-00000015.pt"]
    assert checkpoint.load_newest(tmp_path)["step"] == 15
    assert checkpoint.load_newest(tmp_path / "nothing") is None


def test_what_cannot_be_read_just_now_is_not_passed_over(tmp_path):
    """Only what is damaged is; without the right to read there would be no checkpoint left."""
    checkpoint.save_step(tmp_path, 5, whole(5), keep=2, every=5, total=20)
    checkpoint.at(tmp_path, 10).mkdir()
    with pytest.raises(InputError, match=r"step-00000010\.pt is a folder, not a file"):
        checkpoint.load_newest(tmp_path)


def test_ranks_go_on_from_the_same_checkpoint(data, tmp_path, monkeypatch):
    """Another rank has read that of step 2, this one none."""
    others = iter([2, -2])
    monkeypatch.setattr(job_module.comm, "max_over_ranks", lambda x: torch.maximum(x, torch.tensor(next(others))))
    with pytest.raises(InputError, match=r"can read the checkpoint of step -1, others that of step 2; see that all nodes"):
        prepare(tiny(), data, tmp_path / "exp", torch.device("cpu"), print)


@pytest.mark.parametrize(("step", "logged", "heard"), [(10, False, True), (11, False, False), (11, True, True)])
def test_ranks_on_gpus_hear_of_a_stop_within_ten_steps(step, logged, heard, monkeypatch):
    monkeypatch.setattr(loop.comm, "world_size", lambda: 2)
    monkeypatch.setattr(loop.comm, "max_over_ranks", lambda x: torch.tensor(True))
    job = SimpleNamespace(step=step, device=torch.device("meta"))
    assert loop._agreed({"stop": False}, Progress(step - 1, 100, 10, log=logged), job) is heard


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_flipped_byte_is_found(tmp_path, place):
    path = tmp_path / "x.pt"
    checkpoint.save(path, {"x": torch.arange(5000.0)})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"x\.pt: not a readable model"):
        checkpoint.load(path)


def test_a_pickle_with_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))
    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="not a readable model"):
        checkpoint.load(tmp_path / "evil.pt")


def test_average_keeps_types():
    states = [{"w": torch.tensor([0.0, 2.0]), "n": torch.tensor(1)}, {"w": torch.tensor([1.0, 4.0]), "n": torch.tensor(7)}]
    mean = checkpoint.average(states)
    assert mean["w"].tolist() == [0.5, 3.0] and mean["w"].dtype == torch.float32 and mean["n"] == 7


def test_model_file_carries_its_features(tmp_path):
    config = tiny()
    job_encoder = model.build_encoder(config.encoder, 20)
    model.write(tmp_path / "final.pt", config, 20, {"teacher": job_encoder.state_dict()}, "teacher", {"labels": "none"})
    loaded = model.load(tmp_path / "final.pt")
    wave = torch.from_numpy(np.random.default_rng(0).normal(0, 1000, 8000).astype(np.int16))
    x = loaded.front_end.whole(wave)
    assert x.shape == (1, Extractor(config.features).num_frames(8000), 20)
    assert torch.allclose(loaded.encoder(x), job_encoder.eval()(x))
    with pytest.raises(InputError, match="no weights called student; it holds teacher"):
        model.load(tmp_path / "final.pt", "student")


def test_untrained_is_the_seeds_encoder(tmp_path):
    config = tiny(seed=5)
    encoder = model.build_encoder(config.encoder, 20)
    model.write(tmp_path / "final.pt", config, 20, {"teacher": encoder.state_dict()}, "teacher", {})
    a, b = (model.load(tmp_path / "final.pt", untrained=True).encoder.state_dict() for _ in range(2))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], v) for k, v in encoder.state_dict().items())


def test_learning_rate_scales_with_the_batch():
    config = tiny(**{"train.lr": 0.5, "train.lr_batch": 8, "train.warmup_epochs": 2.0, "train.schedule": "cosine", "train.final_lr": 0.0})
    rates = [learning_rate(config, step, 20, 2) for step in range(20)]
    peak = 0.5 * 4 / 8
    assert rates[:4] == pytest.approx([peak / 4, peak / 2, 3 * peak / 4, peak])
    assert rates[4] == pytest.approx(peak) and rates[12] == pytest.approx(peak * (1 + math.cos(math.pi * 0.5)) / 2)


def test_exponential_schedule_holds_then_halves():
    config = tiny(**{"train.lr": 1.0, "train.schedule": "exponential", "train.warmup_epochs": 1, "train.hold_epochs": 1,
                     "train.halve_epochs": 2, "train.final_lr": 0.2})
    rates = [learning_rate(config, step, 100, 10) for step in (19, 40, 60, 99)]
    assert rates == pytest.approx([1.0, 0.5, 0.25, 0.2])


def test_no_weight_decay_on_vectors():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2, bias=False))
    for undecayed, counts in (([], [2, 3]), ([net[2].weight], [1, 4])):
        net.undecayed = lambda found=undecayed: found
        groups = build_optimizer(net, tiny(**{"train.weight_decay": 0.1})).param_groups
        assert [len(g["params"]) for g in groups] == counts and [g["weight_decay"] for g in groups] == [0.1, 0.0]


@pytest.mark.parametrize("clip", ["all", "each"])
def test_gradients_are_clipped_together_or_one_by_one(clip):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    before = [torch.randn_like(p) * scale for p, scale in zip(net.parameters(), (9.0, 0.1, 2.0, 0.0, 5.0, 0.2), strict=True)]
    for p, gradient in zip(net.parameters(), before, strict=True):
        p.grad = gradient.clone()
    net[2].bias.grad = None   # frozen
    whole = math.sqrt(sum(float(g.square().sum()) for g in before[:5]))
    found = clip_gradients(net, tiny(**{"train.clip": clip, "train.clip_norm": 3.0}).train)
    assert found.item() == pytest.approx(whole)
    for p, gradient in zip(list(net.parameters())[:5], before, strict=False):
        norm = whole if clip == "all" else float(gradient.norm())
        torch.testing.assert_close(p.grad, gradient * min(1.0, 3.0 / max(norm, 1e-12)), rtol=1e-4, atol=1e-6)


TOP = math.log(1024)


@pytest.mark.parametrize(("figures", "epochs", "said"), [
    ({"teacher_entropy": 0.999 * TOP}, 2.0, "lower method.teacher_temp"),
    ({"teacher_entropy": 0.001 * TOP}, 2.0, "raise method.teacher_temp"),
    ({"teacher_entropy": 0.5 * TOP, "effective_rank": 1.2}, 2.0, "effective rank 1.2"),
    ({"teacher_entropy": 0.5 * TOP, "effective_rank": 40.0}, 2.0, None),
    ({"teacher_entropy": 0.999 * TOP}, 0.5, None),
    ({"teacher_entropy": 0.001 * TOP, "teacher_information": 0.5 * TOP}, 2.0, None),
    ({"teacher_entropy": 0.5 * TOP, "teacher_information": 0.001 * TOP}, 2.0, "raise method.sinkhorn_iterations"),
])
def test_collapse_watch(figures, epochs, said):
    watch = Watch(1024)
    warning = watch.collapse(figures, epochs)
    assert (warning is None) if said is None else (said in warning and len(warning) <= 160)
    assert watch.collapse(figures, epochs) is None, "each warning once"


def test_collapse_watch_of_a_method_without_prototypes():
    """Only the rank is judged; a knob that the method does not have is not named."""
    watch = Watch(None)
    assert watch.collapse({"teacher_entropy": 0.0, "effective_rank": 9.0}, 2.0) is None
    assert watch.collapse({"effective_rank": 1.2}, 0.5) is None
    warning = watch.collapse({"effective_rank": 1.2}, 2.0)
    assert "effective rank 1.2" in warning and "data.batch_size" in warning and "last_layer" not in warning and len(warning) <= 160


def test_collapse_watch_of_embeddings_that_are_one():
    """Scattered about a point they have a high rank all the same."""
    watch = Watch(None)
    assert watch.collapse({"uniformity": -0.01, "effective_rank": 40.0}, 0.5) is None
    assert watch.collapse({"uniformity": -0.4, "effective_rank": 40.0}, 2.0) is None
    assert "almost equal (uniformity -0.01)" in watch.collapse({"uniformity": -0.01, "effective_rank": 40.0}, 2.0)


def test_collapse_watch_of_label_correction():
    """A run of rounds on pseudo-labels that corrected 98 % of its labels ended worse than it began."""
    watch = Watch(None)
    assert watch.collapse({"corrected": 0.5, "believed": 0.4}, 2.0) is None
    assert "98 % of the labels" in watch.collapse({"corrected": 0.98, "believed": 0.02}, 2.0)


def test_a_term_of_the_loss_that_stays_0_is_told_once_after_an_epoch():
    """loss_b is 0 from epoch 0.5 on, but for one line; loss_a never for as long as an epoch; what is no term does not count.

    A loss that has no other terms is one itself.
    """
    watch, told = Watch(None), []
    for quarter in range(1, 17):
        figures = {"loss": 1.0, "loss_a": float(quarter % 4 == 0), "loss_b": float(quarter in (1, 2, 5)), "accuracy": 0.0}
        told.append(watch.idle(figures, quarter / 4))
    assert [i for i, text in enumerate(told) if text] == [8] and told[8].startswith("loss_b has been 0 for a whole epoch")
    both = Watch(None).idle({"loss": 0.0, "loss_a": 0.0, "loss_b": 1e-9}, 1.0)
    assert both.startswith("loss, loss_a have been 0 for a whole epoch: ") and len(both) <= 160


@pytest.mark.parametrize(("method", "shown"), [("dino", True), ("siamese", False)])
def test_ln_k_is_shown_where_there_are_prototypes(data, tmp_path, method, shown):
    """out_dim of a Siamese network is the width of its projection."""
    tree = {"name": "siamese", "crops": [{"count": 2, "seconds": 0.4}], "hidden_dim": 8, "out_dim": 16, "predictor_dim": 4}
    config = tiny(**({"method": tree} if method == "siamese" else {}), **{"train.steps": 2})
    assert loop.train(prepare(config, data, tmp_path / "exp", torch.device("cpu"), print)) == 0
    line = json.loads((tmp_path / "exp/progress.jsonl").read_text().splitlines()[-1])
    assert line.get("ln_K") == (pytest.approx(math.log(16)) if shown else None)


def test_differences_ignore_bookkeeping():
    assert differences(tiny(), tiny(**{"data.workers": 3, "train.keep": 9})) == []
    assert differences(tiny(), tiny(**{"method.out_dim": 32})) == ["method.out_dim = 16, asked for 32"]


def test_front_end_equals_its_parts():
    config = tiny(**{"augment.specaug": {"num_time_masks": 1, "max_time": 5, "num_freq_masks": 0, "fill": "zero"}})
    front_end = FrontEnd(config.features, config.cmvn, config.augment.specaug)
    rng = np.random.default_rng(0)
    wave = torch.from_numpy(rng.normal(0, 1000, (2, 3, 4800)).astype(np.int16))
    noise = torch.from_numpy(rng.normal(0, 1000, (2, 3, 4800)).astype(np.int16))
    snr = torch.full((2, 3), 10.0)
    masks = torch.zeros(2, 3, 1, 3, dtype=torch.int32)
    masks[..., 1], masks[..., 2] = 4, 3
    out = front_end({"wave": wave, "noise": noise, "snr_db": snr, "masks": masks})
    noisy = WaveAugment()(wave[1, 2][None].float(), noise[1, 2][None], snr[1, 2][None])
    x = Extractor(config.features)(noisy)[0]
    x = x - x.mean(0)
    x[4:7] = 0
    assert out.shape[:2] == (2, 3) and torch.allclose(out[1, 2], x, atol=1e-4)


def test_a_projection_is_part_of_the_model_file(data, tmp_path):
    """Extraction gives the projected embedding, and --init-from the bare encoder below it."""
    pair = [{"count": 2, "seconds": 0.4}]
    config = tiny(method={"name": "simclr", "crops": pair, "projection": {"hidden_dim": 7, "out_dim": 5}, "evaluate": "projected"})
    job = prepare(config, data, tmp_path / "exp", torch.device("cpu"), print)
    assert loop.train(job) == 0
    path, x = tmp_path / "exp/final.pt", torch.randn(1, 30, 20)
    method = job.method.eval()
    assert torch.equal(model.load(path).encoder(x), method.network(x)) and model.load(path).encoder(x).shape == (1, 5)
    assert torch.equal(model.load(path, "encoder").encoder(x), method.network.encoder(x))
    assert model.load(path, untrained=True).encoder(x).shape == (1, 5)
    bare, _ = model.read_encoder_state(path, bare=True)
    assert all(torch.equal(value, bare[key]) for key, value in method.network.encoder.state_dict().items())


def test_a_bit_that_turns_anywhere_in_the_directory_of_the_file_is_damage(tmp_path):
    """Which may make the rest of it look like a file that cannot be read just now, or of another kind."""
    path = tmp_path / "x.pt"
    checkpoint.save(path, {"x": torch.arange(3.0)})
    good = path.read_bytes()
    begin, verdicts = good.index(b"PK\1\2"), set()
    for place in range(begin, len(good)):
        content = bytearray(good)
        content[place] ^= 0x40
        path.write_bytes(bytes(content))
        try:
            checkpoint.load(path)
        except InputError as err:
            verdicts.add(type(err))
    assert verdicts == {checkpoint.Damaged}
