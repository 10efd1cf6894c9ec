"""Training with classes: what is frozen stays, classes come from any table and are drawn evenly, the best epoch is kept, final.pt tells."""
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_loop import CPU, final_weights, same, train_here
from tones import make_data, run, tiny

from sslspk.api.about import about
from sslspk.bin import classify, extract_embeddings
from sslspk.config import check, to_yaml
from sslspk.data.config import Crop, DataConfig
from sslspk.data.dataset import BatchDataset
from sslspk.data.index import UtteranceIndex
from sslspk.encoders import build
from sslspk.encoders.config import EcapaConfig, LResNet34Config, ResNetSE34LConfig, TdnnConfig
from sslspk.errors import InputError
from sslspk.io import ark, derive, predictions, table
from sslspk.io.clips import Clip
from sslspk.losses.aam import am_logits
from sslspk.methods.classifier import Classifier
from sslspk.methods.config_supervised import SupervisedConfig
from sslspk.train import checkpoint, layers, loop, model
from sslspk.train.job import prepare
from sslspk.train.validation import Judgement

METHOD = {"name": "supervised", "crops": [{"count": 1, "seconds": 0.4}], "scale": 10.0, "margin": 0.1}
EMOTION = {"method": METHOD, "data.labels": "utt2emotion", "data.batch_size": 4, "train.steps": 9, "train.save_every": 100}
ENCODERS = {
    "tdnn": TdnnConfig(channels=8, pooled_channels=12, embed_dim=6, segment_layers=2),
    "ecapa": EcapaConfig(channels=16, mfa_channels=24, scale=4, se_channels=8, attention_channels=8, embed_dim=6),
    "resnetse34l": ResNetSE34LConfig(widths=(8, 8, 8, 8), embed_dim=6),
    "lresnet34": LResNet34Config(widths=(4, 4, 4, 4), embedding="affine", embed_dim=6),
}


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    """Twelve utterances of six speakers, nine of them glad and three sad, and the same again to judge by."""
    folder = make_data(tmp_path_factory.mktemp("finetune") / "data")
    utts = list(table.read(folder / "wav.scp"))
    table.write(folder / "utt2emotion", {utt: "sad" if i % 4 == 0 else "glad" for i, utt in enumerate(utts)})
    return folder


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("part", ["affine", "head"])
def test_what_is_frozen_does_not_move_a_bit(name, part):
    torch.manual_seed(0)
    encoder = build(ENCODERS[name], 20).train()
    encoder.freeze(encoder.last_layers if part == "affine" else [])
    encoder.train()
    moving = {key for layer in encoder.last_layers for key in layer.state_dict(prefix=next(
        n for n, m in encoder.named_modules() if m is layer) + ".")} if part == "affine" else set()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    trained = [p for p in encoder.parameters() if p.requires_grad]
    x = torch.randn(4, 40, 20, requires_grad=False)
    out = encoder(x)
    if trained:
        optimizer = torch.optim.SGD(trained, lr=1.0, weight_decay=0.1)
        out.square().sum().backward()
        optimizer.step()
    changed = {key for key, value in encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= moving and bool(changed) == bool(trained) == (part == "affine")
    if not trained:
        assert torch.equal(encoder.train()(x), encoder.eval()(x))


@pytest.mark.parametrize(("trainable", "moves"), [("head", set()), ("affine", {"segment"}), ("all", {"layers", "segment"})])
def test_only_what_is_trainable_is_trained(emotions, tmp_path, trainable, moves):
    train_here(tiny(**{"train.steps": 3}), emotions, tmp_path / "dino")
    start = final_weights(tmp_path / "dino")["teacher"]
    config = tiny(**EMOTION, **{"train.trainable": trainable, "train.init_from": str(tmp_path / "dino/final.pt"),
                                "train.weight_decay": 0.1})
    train_here(config, emotions, tmp_path / "ft")
    end = final_weights(tmp_path / "ft")["encoder"]
    assert {key.split(".")[0] for key in end if not torch.equal(end[key], start[key])} == moves


def test_second_step_takes_the_classifier_of_the_first(emotions, tmp_path):
    first = tiny(**EMOTION, **{"train.trainable": "affine"})
    train_here(first, emotions, tmp_path / "step1")
    second = tiny(**EMOTION, **{"train.init_from": str(tmp_path / "step1/final.pt"), "train.init_part": "everything"})
    job = prepare(second, emotions, tmp_path / "step2", CPU, print)
    assert torch.equal(job.method.classifier.weight, checkpoint.load(tmp_path / "step1/final.pt")["classifier"]["weight"])


def test_an_encoder_without_affine_layers_is_refused(emotions, tmp_path):
    pooled = {"name": "lresnet34", "widths": [4, 4, 4, 4], "embedding": "pooled"}
    config = tiny(**EMOTION, **{"train.trainable": "affine", "encoder": pooled})
    with pytest.raises(InputError, match="no affine layer above its pooling; use train"):
        prepare(config, emotions, tmp_path / "exp", CPU, print)


@pytest.mark.parametrize(("change", "said"), [
    ({"train.trainable": "head"}, "train.trainable is for method supervised, not dino"),
    ({"data.balance": "class"}, "data.balance is for method supervised"),
    ({"data.labels": "utt2emotion"}, "data.labels is for method supervised"),
    ({**EMOTION, "data.balance": "class", "data.grow": {"epochs": 2}}, "data.balance draws from all utterances"),
    ({**EMOTION, "train.patience": 2}, "nothing to judge it by; give train.valid"),
    ({**EMOTION, "train.valid": "x", "train.average": 2}, "leave one out"),
    ({**EMOTION, "method": {**METHOD, "loss": "softmax", "sub_centres": 2}}, "use loss aam or am"),
    ({**EMOTION, "method": {**METHOD, "loss": "am", "inter_margin": 0.1}}, "inter_margin belongs to loss aam"),
])
def test_what_cannot_be_is_said(change, said):
    with pytest.raises(InputError, match=said):
        tiny(**change)


def test_encoder_lr_scales_the_layers_below_the_last(emotions, tmp_path):
    """With plain SGD the first step's movement is the rate times the gradient: a tenth of the rate moves a tenth as far."""
    moved = {}
    for factor in (1.0, 0.1):
        config = tiny(**{**EMOTION, "train.steps": 1, "train.optimizer": "sgd", "train.momentum": 0.0, "train.weight_decay": 0.0,
                         "train.encoder_lr": factor})
        job = prepare(config, emotions, tmp_path / f"{factor:g}", CPU, print)
        before = {key: value.clone() for key, value in job.method.state_dict().items()}
        loop.train(job)
        moved[factor] = {key: value - before[key] for key, value in job.method.state_dict().items()}
    for key, ratio in (("encoder.layers.0.conv.weight", 0.1), ("encoder.segment.0.weight", 1.0), ("classifier.weight", 1.0)):
        assert torch.allclose(moved[0.1][key], ratio * moved[1.0][key], rtol=1e-3, atol=1e-7) and moved[1.0][key].any()


def test_labels_of_another_table(emotions, tmp_path):
    job = train_here(tiny(**EMOTION), emotions, tmp_path / "exp")
    content = checkpoint.load(tmp_path / "exp/final.pt")
    assert content["classes"] == ["glad", "sad"] == job.classes and content["info"]["labels"] == "emotion"
    assert content["classifier"]["weight"].shape == (2, 6)
    other = UtteranceIndex(emotions, "wave", True, "utt2emotion").fingerprint()
    assert other == content["info"]["data"] != UtteranceIndex(emotions, "wave").fingerprint()


def test_balanced_drawing(emotions):
    index = UtteranceIndex(emotions, "wave", True, "utt2emotion")
    data = BatchDataset(index, DataConfig(batch_size=6, workers=0, balance="class", labels="utt2emotion"), (Crop(count=1, seconds=0.3),),
                        seed=1, rate=16000)
    for epoch in range(3):
        order = data.order(epoch)
        drawn = index.label[order]
        assert len(order) == 12 and (drawn == 0).sum() == (drawn == 1).sum() == 6
        assert np.bincount(order[drawn == 1], minlength=12)[[0, 4, 8]].tolist() == [2, 2, 2]
        assert np.bincount(order[drawn == 0]).max() == 1
    assert not np.array_equal(data.order(0), data.order(1))
    plain = BatchDataset(index, DataConfig(batch_size=6, workers=0), (Crop(count=1, seconds=0.3),), seed=1, rate=16000)
    assert sorted(plain.order(0)) == list(range(12))


def wrong_way_round(emotions, valid):
    """The same recordings with the other label each."""
    derive.subset(str(emotions), str(valid), utts=list(table.read(emotions / "wav.scp")))
    flip = {"glad": "sad", "sad": "glad"}
    table.write(valid / "utt2emotion", {utt: flip[one] for utt, one in table.read(emotions / "utt2emotion").items()})
    return valid


@pytest.mark.parametrize(("warmup", "best", "last"), [(0, 0, 6), (12, 0, 18), (12, 9, 18), (12, 15, 21)])
def test_patience_begins_after_the_warm_up(emotions, tmp_path, warmup, best, last):
    """Twelve recordings in batches of four, three steps an epoch, two epochs of patience."""
    config = tiny(**{**EMOTION, "train.valid": str(emotions), "train.patience": 2, "train.steps": 60, "train.warmup_epochs": warmup / 3})
    job = prepare(config, emotions, tmp_path / "exp", CPU, print)
    job.best["step"] = best
    for job.step in (last - 1, last):
        assert loop._patience_is_out(job) == (job.step == last)


def test_best_epoch_is_kept_and_patience_ends_training(emotions, tmp_path, capsys):
    """Judged by data whose labels are the wrong way round: what is learnt makes it worse."""
    valid = wrong_way_round(emotions, tmp_path / "valid")
    config = tiny(**{**EMOTION, "train.steps": 90, "train.valid": str(valid), "train.patience": 2, "train.lr": 0.003, "train.keep": 1})
    job = train_here(config, emotions, tmp_path / "exp")
    recalls = [float(one) for one in re.findall(r"mean recall ([\d.]+)", capsys.readouterr().out)]
    best = max(range(len(recalls)), key=lambda i: (recalls[i], -i))
    assert job.step == 3 * len(recalls) == 3 * (best + 1 + 2) < 90 and recalls[best] == round(job.best["score"], 4)
    content = checkpoint.load(tmp_path / "exp/final.pt")
    assert content["info"]["step"] == job.best["step"] == 3 * (best + 1)
    assert about(tmp_path / "exp")["weights_from"] == f"step {job.best['step']}, the best on {valid}"
    kept = checkpoint.load(checkpoint.at(tmp_path / "exp", job.best["step"]))["method"]
    assert torch.equal(content["encoders"]["encoder"]["layers.0.conv.weight"], kept["encoder.layers.0.conv.weight"])


def test_second_step_starts_from_the_best_epoch_of_the_first(emotions, tmp_path):
    """Where the last epoch is another one, final.pt and what the second step takes are still the same weights."""
    valid = wrong_way_round(emotions, tmp_path / "valid")
    config = {**EMOTION, "train.steps": 90, "train.valid": str(valid), "train.patience": 2, "train.lr": 0.003, "train.save_every": 1}
    job = train_here(tiny(**config), emotions, tmp_path / "step1")
    assert job.best["step"] < job.step
    second = tiny(**config, **{"train.init_from": str(tmp_path / "step1/final.pt"), "train.init_part": "everything"})
    start, content = prepare(second, emotions, tmp_path / "step2", CPU, print).method, checkpoint.load(tmp_path / "step1/final.pt")
    assert torch.equal(start.classifier.weight, content["classifier"]["weight"])
    assert same({"encoder": start.encoder.state_dict()}, content["encoders"])


def test_early_stopping_survives_a_resume(emotions, tmp_path):
    """Twelve recordings in batches of four, three steps an epoch: resumed within an epoch, at its end, and after the last one."""
    config = tiny(**{**EMOTION, "train.valid": str(emotions), "train.patience": 2, "train.save_every": 1, "train.keep": 99,
                     "train.steps": 30})
    train_here(config, emotions, tmp_path / "exp")
    whole, paths = final_weights(tmp_path / "exp"), checkpoint.checkpoints(tmp_path / "exp")
    for stopped in (len(paths), 6, 4):
        for path in checkpoint.checkpoints(tmp_path / "exp")[stopped:]:
            path.unlink()
        (tmp_path / "exp/final.pt").unlink()
        train_here(config, emotions, tmp_path / "exp")
        assert same(final_weights(tmp_path / "exp"), whole)
        assert checkpoint.checkpoints(tmp_path / "exp") == paths


def test_validation_with_an_unknown_class(emotions, tmp_path):
    valid = tmp_path / "valid"
    derive.subset(str(emotions), str(valid), utts=list(table.read(emotions / "wav.scp")))
    table.write(valid / "utt2emotion", dict.fromkeys(table.read(valid / "wav.scp"), "angry"))
    with pytest.raises(InputError, match="has the class angry, which the training set lacks"):
        prepare(tiny(**EMOTION, **{"train.valid": str(valid)}), emotions, tmp_path / "exp", CPU, print)


def test_additive_margin():
    cosine, labels = torch.tensor([[0.5, 0.2], [-0.1, 0.9]]), torch.tensor([0, 1])
    assert torch.allclose(am_logits(cosine, labels, 10.0, 0.3), torch.tensor([[2.0, 2.0], [-1.0, 6.0]]))


@pytest.mark.parametrize("loss", ["aam", "am", "softmax"])
def test_each_loss_learns(emotions, tmp_path, loss, capsys):
    config = tiny(**{**EMOTION, "method": {**METHOD, "loss": loss, "hidden_dims": [5] if loss == "softmax" else []}, "train.steps": 60,
                     "data.labels": "utt2spk", "data.batch_size": 12, "train.valid": str(emotions), "train.lr": 0.02})
    job = train_here(config, emotions, tmp_path / "exp")
    assert job.best["score"] > 0.5    # chance is 1/6


def test_classifier_layers():
    """Cosines of the nearest of two centres; logits behind ReLU, BatchNorm, affine, ReLU, BatchNorm, by hand."""
    torch.manual_seed(0)
    x = torch.randn(5, 4)
    cosine = Classifier(4, 3, centres=2, scale=7.0).eval()
    pairs = torch.nn.functional.cosine_similarity(x[:, None], cosine.weight[None], dim=2).view(5, 3, 2).amax(2)
    assert torch.allclose(cosine(x), pairs, atol=1e-6)
    assert torch.allclose(cosine.log_posteriors(x), (7 * pairs).log_softmax(1), atol=1e-5)
    linear = Classifier(4, 3, linear=True, hidden_dims=(6,)).eval()
    small = 1 / (1 + 1e-5) ** 0.5
    y = linear.hidden[2](x.relu() * small).relu() * small
    assert torch.allclose(linear(x), y @ linear.weight.T + linear.bias, atol=1e-6)
    assert torch.allclose(linear.log_posteriors(x), linear(x).log_softmax(1))
    assert check(SupervisedConfig, {"hidden_dims": [512]}, "the test").hidden_dims == (512,)
    plain = Classifier(4, 3, linear=True, hidden_dims=(6, 5), hidden="relu")
    first, second = (layer for layer in plain.hidden if isinstance(layer, torch.nn.Linear))
    assert torch.allclose(plain(x), second(first(x).relu()).relu() @ plain.weight.T + plain.bias)
    affine = Classifier(4, 3, linear=True, hidden_dims=(6,), hidden="linear")
    assert torch.allclose(affine(x), affine.hidden[0](x) @ affine.weight.T + affine.bias)


@pytest.mark.parametrize(("changes", "constants", "linear", "mlp"), [
    ({}, 0, 6_518_818, 7_445_794), ({"bidirectional": True}, 0, 7_175_714, 8_168_226),
    ({"first": "sinc", "norm": "channel"}, 5, 6_509_095, 7_436_071)])
def test_the_parameters_of_lepages_tables(changes, constants, linear, mlp):
    """With 2338 speakers. As Keras does, this counts the running statistics of BatchNorm, and half the window of the Sinc filters."""
    from sslspk.encoders import build as build_encoder
    from sslspk.encoders.config import CpcEncoderConfig
    from sslspk.methods import classifier
    encoder = build_encoder(CpcEncoderConfig(**changes), 1)
    values = constants + sum(v.numel() for v in encoder.state_dict().values() if v.is_floating_point())
    # Keras' GRU has two biases as ours; the second direction is a GRU of its own.
    for hidden, dims, expected in (("linear", [256], linear), ("relu", [512, 512], mlp)):
        config = check(SupervisedConfig, {"loss": "softmax", "hidden": hidden, "hidden_dims": dims}, "the test")
        head = classifier.build(config, encoder.embed_dim, 2338)
        assert values + sum(p.numel() for p in head.parameters()) == expected


def call(program, *args):
    import sys
    sys.argv = ["program", *map(str, args)]
    return program.main()


def test_classify_and_extract_layers(emotions, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    exp, out = tmp_path / "exp", tmp_path / "out"
    out.mkdir()
    train_here(tiny(**EMOTION), emotions, exp)
    call(classify, emotions, exp / "final.pt", out)
    told = predictions.read(out / "predictions.tsv")
    loaded = model.load(exp / "final.pt")
    specs = table.read(emotions / "wav.scp")
    assert told.columns == ["glad", "sad"] and told.utts == sorted(specs)
    with torch.no_grad():
        x = loaded.features("s00-u00", Clip(specs["s00-u00"]), True)
        whole = loaded.classifier.log_posteriors(loaded.encoder(x)).exp()[0]
        halves = [loaded.classifier.log_posteriors(loaded.encoder(piece)).exp()[0] for piece in x.tensor_split(2, 1)]
        pooled = loaded.encoder.pooling(loaded.encoder.layers(x.transpose(1, 2)))
        inner = loaded.encoder.layers[1](loaded.encoder.layers[0](x.transpose(1, 2))).mean(2)
    assert np.allclose(told.values[0], whole, atol=1e-6)
    call(classify, emotions, exp / "final.pt", out, "--seconds", x.shape[1] / 100 / 2 + 0.05)
    assert np.allclose(predictions.read(out / "predictions.tsv").values[0], torch.stack(halves).mean(0), atol=1e-6)
    assert '"labels": "emotion"' in (out / "provenance.json").read_text()
    for layer, expected in (("pooling", pooled), ("layers.1", inner)):
        call(extract_embeddings, emotions, exp / "final.pt", out / "x.ark", out / "x.scp", "--layer", layer)
        assert np.allclose(ark.load(table.read(out / "x.scp")["s00-u00"]), expected[0], atol=1e-5)
        assert f"encoder ({layer})" in (out / "provenance.json").read_text()
    with pytest.raises(InputError, match="this encoder has no such layer; it has layers, pooling, segment"):
        layers.at_layer(loaded.encoder, "blocks", x)


def test_a_model_without_classes_is_refused(emotions, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    train_here(tiny(**{"train.steps": 2}), emotions, tmp_path / "exp")
    with pytest.raises(InputError, match="holds no classes; fine-tune it on labels first"):
        call(classify, emotions, tmp_path / "exp/final.pt", tmp_path)


def test_a_start_model_that_was_trained_anew_is_told(emotions, tmp_path):
    """Resumed or finished, a run does not mix the weights of two models that had one name; it says what it started from."""
    for seed in (0, 1):
        train_here(tiny(**{"train.steps": 2, "seed": seed}), emotions, tmp_path / f"dino{seed}")
    config = tiny(**EMOTION, **{"train.init_from": str(tmp_path / "dino0/final.pt")})
    train_here(config, emotions, tmp_path / "ft")
    info = checkpoint.load(tmp_path / "ft/final.pt")["info"]
    assert info["start"]["system"] == "dino0" and model.provenance(tmp_path / "ft/final.pt")["start"] == "dino0"
    second = tiny(**EMOTION, **{"train.init_from": str(tmp_path / "ft/final.pt"), "train.init_part": "everything"})
    train_here(second, emotions, tmp_path / "step2")
    assert model.provenance(tmp_path / "step2/final.pt")["start"] == "dino0", "the first one of a chain"
    (tmp_path / "dino0/final.pt").rename(tmp_path / "kept.pt")
    prepare(config, emotions, tmp_path / "ft", CPU, print)   # a model that is gone is not needed any more
    (tmp_path / "dino1/final.pt").rename(tmp_path / "dino0/final.pt")
    with pytest.raises(InputError, match="started from other weights of dino0"):
        prepare(config, emotions, tmp_path / "ft", CPU, print)
    conf = tmp_path / "conf.yaml"
    conf.write_text(to_yaml(config))
    done = run("--conf", conf, emotions, tmp_path / "ft")
    assert done.returncode == 1 and "started from other weights of dino0" in done.stderr and "Traceback" not in done.stderr


def test_what_a_model_was_trained_by_stays_behind(emotions, tmp_path, capsys, monkeypatch):
    """A fine-tuning's configuration is the same whatever the model's method, augmentation and optimizer were."""
    from sslspk.bin import show_config
    monkeypatch.setattr("sys.argv", [])
    conf = tmp_path / "once.yaml"
    conf.write_text("method: {name: supervised, crops: [{count: 1, seconds: 0.4}]}\n")
    shown = []
    for name, changes in (("dino", {}), ("aam", {"method": {**METHOD, "sub_centres": 2, "hidden_dims": []}, "augment.eq_prob": 0.5,
                                                 "train.clip_norm": 9.0, "vad": True})):
        train_here(tiny(**{"train.steps": 2, **changes}), emotions, tmp_path / name)
        call(show_config, "--conf", conf, "--encoder-of", tmp_path / name / "final.pt")
        shown.append(capsys.readouterr().out.partition("reproduces:")[2])
    assert shown[0] == shown[1] and "num_mel_bins: 20" in shown[0] and "pooled_channels: 12" in shown[0]


def test_a_fall_back_does_not_lose_the_best_epoch(emotions, tmp_path):
    """From the last two of six epochs, the fifth the best, to the fourth, with the first the best until then and patience all but out."""
    config = tiny(**{**EMOTION, "train.valid": str(emotions), "train.patience": 4, "train.steps": 18, "train.save_every": 3})

    def train_judged():
        job = prepare(config, emotions, tmp_path / "exp", CPU, print)
        recalls = [0.5, 0.4, 0.4, 0.4, 0.9, 0.3]
        job.validation = SimpleNamespace(judge=lambda _: Judgement(recalls[job.step // 3 - 1], {}, "judged"))
        assert loop.train(job) == 0
        return checkpoint.load(tmp_path / "exp/final.pt")

    final = train_judged()
    assert final["info"]["step"] == 15
    (tmp_path / "exp/final.pt").unlink()
    for path in checkpoint.checkpoints(tmp_path / "exp")[-2:]:
        path.write_bytes(path.read_bytes()[:-100])
    again = train_judged()
    told = [{key: value for key, value in one["info"].items() if key != "machine"} for one in (final, again)]   # CPU time differs
    assert told[0] == told[1] and same(again["encoders"], final["encoders"])


def test_every_kept_checkpoint_finds_its_best_one(tmp_path):
    """Steps 2, 4 and 9 were the best in turn; 5 and 10 are kept."""
    for step, bests in ((2, [0, 2]), (4, [0, 2, 4]), (5, [0, 2, 4]), (9, [0, 2, 4, 9]), (10, [0, 2, 4, 9])):
        checkpoint.save_step(tmp_path, step, {}, 2, 5, 20, [bests])
    assert [checkpoint.step_of(path) for path in checkpoint.checkpoints(tmp_path)] == [4, 5, 9, 10]


def test_a_best_epoch_whose_checkpoint_is_gone_is_told_and_looked_for_anew(emotions, tmp_path, capsys):
    config = tiny(**{**EMOTION, "train.valid": str(emotions), "train.patience": 1, "train.steps": 6, "train.save_every": 3})
    train_here(config, emotions, tmp_path / "exp")
    newest = checkpoint.checkpoints(tmp_path / "exp")[-1]
    checkpoint.save(newest, {**checkpoint.load(newest), "best": {"step": 1, "recall": 0.9}})   # as an earlier version left it
    (tmp_path / "exp/final.pt").unlink()
    train_here(config, emotions, tmp_path / "exp")
    assert "the best epoch so far, step 1, is gone" in capsys.readouterr().out
    assert checkpoint.load(tmp_path / "exp/final.pt")["info"]["step"] == checkpoint.step_of(newest)


def test_a_piece_has_no_negative_length(tmp_path):
    with pytest.raises(InputError, match="--seconds takes a length in seconds, or 0 for whole utterances, not -1"):
        call(classify, tmp_path, tmp_path / "final.pt", tmp_path, "--seconds", "-1")
