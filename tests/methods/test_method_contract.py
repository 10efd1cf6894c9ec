"""What every method keeps to: gradients reach what is trained, all state is saved, monitors and unread labels change nothing."""
import copy

import pytest
import torch
from torch import nn

from sslspk.config import check
from sslspk.encoders.base import Encoder
from sslspk.errors import InputError
from sslspk.methods import build
from sslspk.methods.angular import Angular
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config import reads_labels, weights
from sslspk.methods.in_batch import InBatch
from sslspk.methods.moco import Moco
from sslspk.methods.supervised import Supervised
from sslspk.train.config import SystemConfig
from sslspk.train.watch import Watch

PAIR = [{"count": 2, "seconds": 0.3}]
ONE = [{"count": 1, "seconds": 0.2}]
MOCO = {"name": "moco", "crops": PAIR, "projection": {"hidden_dim": 6, "out_dim": 5}, "queue_size": 10, "momentum": 0.5,
        "batch_norm_group": 2}
DINO = {"name": "dino", "crops": [{"count": 2, "seconds": 0.3}, {"count": 1, "seconds": 0.2}], "out_dim": 12, "hidden_dim": 6,
        "bottleneck_dim": 4, "head_batch_norm": True, "freeze_last_layer_epochs": 0}
SDPN = {"name": "sdpn", "crops": [{"count": 1, "seconds": 0.3, "clean": True}, {"count": 2, "seconds": 0.2}], "prototypes": 12,
        "hidden_dim": 6, "bottleneck_dim": 4}
WAV2VEC2 = {"name": "wav2vec2", "crops": ONE, "mask_span": 3, "num_negatives": 7, "codes": 6, "code_dim": 8, "out_dim": 10,
            "feature_dropout": 0}
VQ = {"name": "vq_wav2vec", "crops": ONE, "steps": 3, "num_negatives": 4, "mask_span": 3}
SSPS = {"name": "ssps", "clusters": 3, "queue_size": 10, "seconds": 0.3}
ORACLE = {"name": "oracle", "queue_size": 10}
METHODS = {
    "dino": DINO,
    "dino ssps": {**DINO, "positives": {**SSPS, "neighbours": 0}},
    "dino oracle": {**DINO, "positives": ORACLE},
    "supervised": {"name": "supervised", "crops": PAIR},
    "supervised near its start": {"name": "supervised", "crops": PAIR, "near_start": {"weight": 0.1}},
    "supervised gated": {"name": "supervised", "crops": [*PAIR, {"count": 1, "seconds": 0.3, "clean": True}], "sub_centres": 2,
                         "inter_margin": 0.1, "gate": {"start_epochs": 0.5, "correct_epochs": 0.5, "correct_confidence": 0.3}},
    "supervised relabelled": {"name": "supervised", "crops": [*PAIR, {"count": 1, "seconds": 0.3, "clean": True}],
                              "relabel": {"start_epochs": 0.5, "queue": 2, "teacher_momentum": 0.5}},
    "supervised limited": {"name": "supervised", "crops": [*PAIR, {"count": 1, "seconds": 0.3, "clean": True}],
                           "gate": {"start_epochs": 0.5, "correct_epochs": 0.5, "correct_confidence": 0.3, "kind": "fixed",
                                    "threshold": 0.1, "least_believed": 0.5, "correct_growth": 0.5}},
    "simclr": {"name": "simclr", "crops": PAIR},
    "simclr ssps": {"name": "simclr", "crops": PAIR, "positives": SSPS},
    "simclr oracle": {"name": "simclr", "crops": PAIR, "positives": ORACLE},
    "simclr projected": {"name": "simclr", "crops": PAIR, "projection": {"hidden_dim": 6, "out_dim": 5}, "evaluate": "projected"},
    "supcon": {"name": "supcon", "crops": PAIR},
    "gcl": {"name": "gcl", "crops": PAIR, "labelled_share": 0.5},
    "angular": {"name": "angular", "crops": [{"count": 2, "seconds": 0.2, "layout": "disjoint"}]},
    "aat": {"name": "angular", "crops": [{"count": 3, "seconds": 0.2, "layout": "triplet"}], "adversarial": 3.0, "hidden_dim": 5},
    "siamese": {"name": "siamese", "crops": PAIR, "hidden_dim": 6, "out_dim": 5, "predictor_dim": 4, "regulariser": 0.5},
    "byol": {"name": "byol", "crops": PAIR, "projection": {"hidden_dim": 6, "out_dim": 5}, "predictor_dim": 4},
    "vicreg": {"name": "vicreg", "crops": PAIR, "projection": {"hidden_dim": 6, "out_dim": 5, "layers": 3}},
    "vicreg without projection": {"name": "vicreg", "crops": PAIR, "projection": None},
    "barlow twins": {"name": "barlow_twins", "crops": PAIR, "projection": {"hidden_dim": 6, "out_dim": 5}, "evaluate": "projected"},
    "sdpn": SDPN,
    "sdpn ssps": {**SDPN, "positives": SSPS},
    "sdpn frobenius": {**SDPN, "regularise": {"name": "frobenius"}, "koleo": 0, "me_max": 0, "sinkhorn_iterations": 0},
    "dino rdino": {**DINO, "regularise": {"name": "rdino", "expander": {"hidden_dim": 7, "out_dim": 9}}},
    "dino off diagonal": {**DINO, "regularise": {"name": "off_diagonal", "of": "correlation"}},
    "moco": MOCO,
    "moco without projection": {**MOCO, "projection": None, "evaluate": "query"},
    "moco symmetric": {**MOCO, "symmetric": True},
    "c3moco": {**MOCO, "reweight": {"false_weight": 0.5}, "proto": {"clusters": [2, 3]}},
    "moco queue prototypes": {**MOCO, "queue_proto": {"max_clusters": 4, "refresh_steps": 2}},
    "moco symmetric ssps": {**MOCO, "symmetric": True, "positives": {**SSPS, "neighbours": 2}},
    "moco oracle": {**MOCO, "positives": ORACLE},
    "c3moco ssps": {**MOCO, "reweight": {"false_weight": 0.5}, "positives": {**SSPS, "mask_negatives": True, "keep": 0.5}},
    "moco supcon": {**MOCO, "labelled_share": 0.5},
    "cpc": {"name": "cpc", "crops": ONE, "steps": 3},
    "cpc everywhere": {"name": "cpc", "crops": ONE, "steps": 3, "positions": "every", "negatives": "anywhere", "num_negatives": 5,
                       "score": "mean", "bias": False},
    "lim": {"name": "lim", "crops": ONE, "hidden_dim": 16},
    "gim nce": {"name": "lim", "crops": ONE, "hidden_dim": 16, "context_length": 5, "objective": "nce"},
    "lim mine": {"name": "lim", "crops": ONE, "hidden_dim": 16, "objective": "mine"},
    "hubert": {"name": "masked_prediction", "crops": ONE, "mask_span": 3, "out_dim": 10, "unmasked_weight": 0.5,
               "targets": {"name": "mfcc", "clusters": 5, "points": 50}},
    "bestrq": {"name": "masked_prediction", "crops": ONE, "mask_span": 3, "fill": "noise", "head": "linear",
               "targets": {"name": "random_projection", "codes": 9}},
    "vq-wav2vec": VQ,
    "vq-wav2vec kmeans": {**VQ, "negative_weight": 1.0},
    "vq-wav2vec seed": {**VQ, "seed": True},
    "wav2vec2": WAV2VEC2,
    "wav2vec2 other": {**WAV2VEC2, "negatives": "other", "quantiser_depth": 2, "combine_groups": True},
    "pase": {"name": "pase", "crops": [*ONE, *ONE], "workers": [
        {"name": "cchunk", "channels": [6, 5], "kernels": [8, 20], "strides": [8, 20], "hidden_dim": 4},
        {"name": "lps", "bins": 257, "hidden_dim": 8}, {"name": "mfcc", "hidden_dim": 8}, {"name": "prosody", "hidden_dim": 8},
        {"name": "spc", "hidden_dim": 8, "length": 2, "gap": 2}, {"name": "mi", "hidden_dim": 8}, {"name": "cmi", "hidden_dim": 8}]},
    "pase plus": {"name": "pase", "crops": [{**ONE[0], "count": 2, "layout": "twin"}, *ONE], "statistics_batches": 2, "workers": [
        {"name": "gtn_long", "bins": 9, "deltas": True, "context": 3, "hidden_dim": 8}, {"name": "mi", "symmetric": True, "hidden_dim": 8},
        {"name": "cmi", "symmetric": True, "hidden_dim": 8}]},
    "moco+dino": {"name": "moco+dino", "moco": {**MOCO, "symmetric": True, "proto": {"clusters": [2]}}, "dino": DINO},
    "dsvae": {"name": "dsvae", "crops": [{"count": 2, "seconds": 0.2, "layout": "twin"}], "prior_dim": 7},
    "dsvae mean": {"name": "dsvae", "crops": ONE, "prior_dim": 7, "reconstruction": "mean", "evaluate": "content"},
    "cdsvae": {"name": "cdsvae", "crops": ONE, "prior_dim": 7},
    "cdsvae masked": {"name": "cdsvae", "crops": ONE, "prior_dim": 7, "masked_prediction": {"mask_prob": 0.3, "mask_span": 3}},
}
RECORDINGS, BATCH, BINS = 8, 4, 6
FRAME_CLASSES = 5   # of data.frame_labels
each = pytest.mark.parametrize("name", METHODS)


TDNN = {"name": "tdnn", "channels": 8, "pooled_channels": 8, "embed_dim": 6, "segment_layers": 1}
WAVE = {"name": "cpc", "channels": 12, "context_dim": 6, "bidirectional": True}
PASE = {"name": "pase", "channels": [12, 20, 20], "kernels": [21, 20, 17], "strides": [1, 10, 16], "embed_dim": 6, "skips": True,
        "context": "qrnn", "context_dim": 5}
TRANSFORMER = {"name": "wav2vec2", "channels": 32, "kernels": [10, 8, 4], "strides": [5, 8, 4], "position_kernel": 8, "position_groups": 2,
               "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "layer_drop": 0, "input_dropout": 0, "dropout": 0, "attention_dropout": 0}
CODES = {"name": "vq_wav2vec", "channels": 32, "kernels": [10, 8, 4], "strides": [5, 8, 4], "quantiser": {"name": "gumbel", "codes": 6},
         "aggregator": {"name": "convolutions", "dim": 10, "kernels": [2, 3]}}
RELATE = {"name": "transformer", "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "dropout": 0, "position_kernel": 8, "position_groups": 2}
# of methods of waveforms, or of one of METHODS
LATENTS = {"name": "dsvae", "channels": 12, "hidden_dim": 10, "embed_dim": 6, "content_dim": 5, "decoder_channels": 8, "decoder_hidden": 9,
           "statistics_batches": 2}
ENCODERS = {"cdsvae": LATENTS, "dsvae": LATENTS,
            "cpc": WAVE, "lim": WAVE, "masked_prediction": TRANSFORMER, "pase": PASE, "vq_wav2vec": CODES, "wav2vec2": TRANSFORMER,
            "vq-wav2vec kmeans": {**CODES, "quantiser": {"name": "kmeans", "codes": 6}},
            "vq-wav2vec seed": {**CODES, "aggregator": RELATE}}


def make(name, seed=0, **options):
    encoder = ENCODERS.get(name, ENCODERS.get(METHODS[name]["name"], TDNN))
    tree = {"method": {**METHODS[name], **options}, "encoder": encoder, "features": {"num_mel_bins": BINS}}
    config = check(SystemConfig, tree, "the test")
    torch.manual_seed(seed)
    corpus = Corpus(RECORDINGS, 4 if reads_labels(config.method) else 0, frame_classes=FRAME_CLASSES)
    return build(config.method, config.encoder, config.num_features, corpus)


def inputs(method, *shape, seconds, seed):
    """What the method's encoder reads of crops of a length: features (..., T, F), or samples (..., S)."""
    waves = method.backbones()[0].input == "wave"
    last = (round(seconds * 16000),) if waves else (round(seconds * 100), BINS)
    return torch.randn(*shape, *last, generator=torch.Generator().manual_seed(seed))


def batch(method, step, labels=True, watched=None):
    views = [inputs(method, crop.count, BATCH, seconds=crop.seconds, seed=step + 100 * i) for i, crop in enumerate(method.crops)]
    units = torch.arange(BATCH) + BATCH * (step % 2)
    frames = torch.randint(FRAME_CLASSES, (BATCH, views[0].shape[2]), generator=torch.Generator().manual_seed(step)) \
        if method.config.name == "cdsvae" else None
    return Batch(views, units // 2 if labels else torch.full((BATCH,), -1), units, watched, frames)


def embed_all(encoder):
    """Every recording's features, as the loop would give them, through the encoder."""
    from sslspk.methods.base import Plain
    shape = (3200,) if getattr(encoder, "input", "feats") == "wave" else (20, BINS)
    x = torch.randn(RECORDINGS, *shape, generator=torch.Generator().manual_seed(99))
    encoder.eval()
    with torch.no_grad():
        out = encoder(x)
    encoder.train()
    return Plain(out, torch.arange(RECORDINGS))


def steps(method, first=0, count=3, optimizer=None, log=True, **kw):
    """A few steps as the loop makes them; the losses."""
    optimizer, losses = optimizer or torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05), []
    for step in range(first, first + count):
        progress = Progress(step, 10, 2, log=log)
        if step % 2 == 0:
            method.before_epoch(embed_all, progress)
        out = method(batch(method, step, **kw), progress)
        out["loss"].backward()
        method.after_backward(progress)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        method.after_step(progress)
        losses.append(out["loss"].item())
    return losses


@each
def test_gradients_reach_all_that_is_trained(name):
    method = make(name)
    method.before_epoch(embed_all, Progress(0, 10, 2))
    out = method(batch(method, 0), Progress(0, 10, 2, log=True))
    out["loss"].backward()
    missing = [key for key, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing and all(torch.isfinite(value).all() and value.ndim == 0 for value in out.values())
    dead = [key for key, p in method.named_parameters() if p.requires_grad and key.endswith("weight") and p.ndim > 1 and not p.grad.any()]
    assert not dead


@each
def test_every_term_of_the_loss_is_there_and_watched(name):
    """A term that is 0 for an epoch is told by its name: one called loss_X, and the loss itself, which may be the only one."""
    method = make(name)
    steps(method, count=3)   # after which a bank of prototypes has some
    terms = {key: value.item() for key, value in method(batch(method, 3), Progress(3, 10, 2, log=True)).items() if "loss" in key}
    assert all(terms.values()), terms
    for key in terms:
        watch, told = Watch(None), []
        for epochs in (0.5, 1.0, 1.5):
            told.append(watch.idle({**terms, key: 0.0}, epochs))
        assert told[0] is told[2] is None and told[1].startswith(f"{key} has been 0 for a whole epoch")


@pytest.mark.parametrize(("name", "options", "term"), [
    ("wav2vec2", {"diversity": 0}, "loss_diversity"), ("wav2vec2", {"feature_penalty": 0}, "loss_features"),
    ("hubert", {"feature_penalty": 0}, "loss_features"), ("hubert", {"unmasked_weight": 0}, "loss_unmasked"),
    ("vq-wav2vec kmeans", {"commitment": 0}, "loss_commitment"), ("vq-wav2vec kmeans", {"codes_weight": 0}, "loss_codes"),
    ("vq-wav2vec seed", {"diversity": 0}, "loss_diversity"), ("vq-wav2vec seed", {"feature_penalty": 0}, "loss_features")])
def test_a_term_that_was_left_out_by_its_weight_is_not_warned_of(name, options, term):
    """It is no figure; the others add up to the loss, and every parameter has a gradient all the same, as two ranks want it."""
    outs = []
    for changes in ({}, options):
        method = make(name, **changes)
        method.before_epoch(embed_all, Progress(0, 10, 2))
        outs.append(method(batch(method, 0), Progress(0, 10, 2)))
        outs[-1]["loss"].backward()
        assert not [key for key, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert term in outs[0] and term not in outs[1]
    assert outs[1]["loss"].item() == pytest.approx(sum(value.item() for key, value in outs[1].items() if key.startswith("loss_")))


@each
def test_the_encoder_changes_and_learns(name):
    method = make(name)
    before = copy.deepcopy(method.backbones()[0].state_dict())
    steps(method)
    after = method.backbones()[0].state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


DRAWING = ["cpc everywhere", "lim", "hubert", "bestrq", "vq-wav2vec", "vq-wav2vec seed", "wav2vec2", "wav2vec2 other", "pase",
           "dsvae", "cdsvae masked"]


def drawn_losses(name, *progresses):
    """The loss of one method on one batch in each pass; dropout, which is not what is asked about, is the same in all."""
    method, losses = make(name).train(), []
    if name == "hubert":
        method.before_epoch(embed_all, Progress(0, 9, 2))
    for progress in progresses:
        torch.manual_seed(0)
        losses.append(float(method(batch(method, 0), progress)["loss"].detach()))
    return losses


@pytest.mark.parametrize("name", DRAWING)
def test_every_part_of_an_accumulated_step_has_draws_of_its_own(name):
    losses = drawn_losses(name, Progress(2, 9, 2), Progress(1, 9, 2, part=0, parts=2), Progress(1, 9, 2, part=1, parts=2))
    assert losses[0] == losses[1] != losses[2], "the third pass is the third whatever a step is made of; the fourth differs"


@pytest.mark.parametrize("name", DRAWING)
def test_what_is_drawn_depends_on_the_seed(name):
    losses = drawn_losses(name, *(Progress(2, 9, 2, seed=seed) for seed in (0, *range(6))))
    assert losses[0] == losses[1] and len(set(losses)) > 1, losses   # of few recordings two seeds may draw the same


def test_every_pass_of_every_seed_draws_by_a_number_of_its_own():
    numbers = [Progress(step, 9, 2, part=part, parts=2, seed=seed).draw
               for seed in (0, 1, 2, 2 ** 32, 2 ** 40) for step in (0, 5) for part in (0, 1)]
    assert len(set(numbers)) == len(numbers) and all(0 <= number < 2 ** 63 for number in numbers)



@each
def test_everything_that_must_survive_is_state(name):
    """Saved after three steps and loaded into another method of another seed: the next steps give the same bits."""
    method, other = make(name), make(name, seed=1)
    steps(method, count=3)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    assert steps(method, first=3) == steps(other, first=3)
    for key, value in method.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@each
def test_monitors_change_nothing(name):
    method, watched = make(name), make(name)
    assert steps(method, log=False) == steps(watched, watched=torch.tensor([0, 0, 1, 1]))
    for key, value in method.state_dict().items():
        if "watched" not in key:
            assert torch.equal(value, watched.state_dict()[key]), key


@each
def test_who_says_it_reads_no_labels_reads_none(name):
    method = make(name)
    if method.labels == "none":
        assert steps(method) == steps(make(name), labels=False)
    else:
        assert method.labels.startswith("speaker")
        assert name.startswith("supervised") or steps(method, count=4) != steps(make(name), count=4, labels=False)


@pytest.mark.parametrize("name", ["dino", "supervised", "simclr", "supcon", "gcl", "angular", "siamese", "moco", "cpc", "lim", "pase",
                                  "sdpn", "vicreg", "barlow_twins", "byol"])
def test_no_crops_are_refused(name):
    with pytest.raises(InputError, match="crops"):
        check(SystemConfig, {"method": {"name": name, "crops": []}, "encoder": {"name": "tdnn"}}, "the test")


@each
def test_encoders_are_named_and_embed(name):
    method = make(name)
    found = method.encoders()
    assert method.evaluate in found and set(found) == set(weights(method.config))
    for encoder in found.values():
        out = encoder.eval()(inputs(method, 3, seconds=0.2, seed=0))
        assert out.shape == (3, encoder.embed_dim)
    assert all(isinstance(encoder, nn.Module) for encoder in method.backbones())
    names = {id(module): name for name, module in method.named_modules(remove_duplicate=False)}
    assert all(id(encoder) in names for encoder in [*found.values(), *method.backbones()]), "final.pt finds them by their place"


@each
def test_half_precision_trains(name):
    """bf16 autocast: figures are float32, the loss is about that of float32, gradients are finite."""
    exact, half, progress = make(name), make(name), Progress(0, 10, 2, log=True)
    for method in (exact, half):
        method.before_epoch(embed_all, progress)
    wanted = exact(batch(exact, 0), progress)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        out = half(batch(half, 0), progress)
    out["loss"].backward()
    half.after_backward(progress)
    half.after_step(progress)
    assert all(value.dtype == torch.float32 for value in out.values())
    assert out["loss"].item() == pytest.approx(wanted.item(), rel=0.02, abs=0.01)
    assert all(p.grad.isfinite().all() and p.dtype == torch.float32 for p in half.parameters() if p.grad is not None)


class Average(Encoder):
    """The mean over time, with a gain to learn: nothing of it is rounded under autocast."""

    def __init__(self):
        super().__init__(BINS, BINS)
        self.gain = nn.Parameter(torch.ones(BINS))

    def _maps(self, x):
        return x.transpose(1, 2)

    def _embed(self, maps):
        return maps.mean(2) * self.gain


@pytest.mark.parametrize(("name", "kind"), [("simclr", InBatch), ("supcon", InBatch), ("gcl", InBatch), ("angular", Angular),
                                            ("supervised", Supervised), ("moco without projection", Moco)])
def test_what_follows_the_embedding_is_float32_under_autocast(name, kind):
    """A cosine of bfloat16 divided by 0.07 would be off by a tenth: the loss of exact embeddings is that without autocast."""
    config = make(name).config
    def loss(half):
        torch.manual_seed(0)
        method = kind(config, Average, Corpus(RECORDINGS, 4))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return method(batch(method, 0), Progress(0, 10, 2))["loss"].item()
    assert loss(True) == pytest.approx(loss(False), rel=1e-6)


def test_partial_labels_are_those_of_the_same_speakers_in_every_system():
    """The draw depends on the seed alone, and 25 % are among the 50 %: a chain of systems sees no more labels than it says."""
    def chosen(kind, name, share, seed=0):
        config = make(name).config.model_copy(update={"labelled_share": share})
        torch.manual_seed(seed)
        return set(kind(config, Average, Corpus(RECORDINGS, 40)).known.chosen.nonzero().flatten().tolist())
    half = chosen(Moco, "moco without projection", 0.5)
    assert len(half) == 20 and half == chosen(InBatch, "gcl", 0.5) and half != chosen(InBatch, "gcl", 0.5, seed=1)
    assert len(chosen(InBatch, "supcon", 0.25)) == 10 and chosen(InBatch, "supcon", 0.25) < half
