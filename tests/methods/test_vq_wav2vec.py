"""vq-wav2vec around its losses: who predicts what, what is distinguished from what, which terms there are, and the published sizes."""
import math

import pytest
import torch

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods import build
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.nn import draws
from sslspk.train.config import SystemConfig

CHANNELS, CONTEXT, CODES, STEPS, ROWS, SAMPLES = 12, 10, 6, 3, 4, 3200
OFFSET, SIZE = 2, 19   # fields of 165 samples, one every 160
ENCODER = {"name": "vq_wav2vec", "channels": CHANNELS, "kernels": [10, 8, 4, 1], "strides": [5, 8, 4, 1]}
CONVOLUTIONS = {"name": "convolutions", "dim": CONTEXT, "kernels": [2, 3]}
TRANSFORMER = {"name": "transformer", "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "dropout": 0, "position_kernel": 8,
               "position_groups": 2}
QUANTISERS = {"none": None, "kmeans": {"name": "kmeans", "codes": CODES}, "gumbel": {"name": "gumbel", "codes": CODES, "dim": 8}}
START = Progress(0, 10, 2, log=True)


def make(quantiser="gumbel", seed=False, **options):
    encoder = {**ENCODER, "quantiser": QUANTISERS[quantiser], "aggregator": TRANSFORMER if seed else CONVOLUTIONS}
    method = {"name": "vq_wav2vec", "steps": STEPS, "num_negatives": 4, "mask_span": 3, "seed": seed,
              "crops": [{"count": 1, "seconds": SAMPLES / 16000}], **options}
    config = check(SystemConfig, {"encoder": encoder, "method": method}, "the test")
    torch.manual_seed(0)
    return build(config.method, config.encoder, 1, Corpus(ROWS, 0))


def batch(rows=ROWS, samples=SAMPLES):
    waves = torch.randn(1, rows, samples, generator=torch.Generator().manual_seed(1))
    return Batch([waves], torch.full((rows,), -1), torch.arange(rows))


def slow_loss(method, x, weight):
    """One recording, predictor and step at a time, from what the encoder says of whole waveforms in eval mode."""
    encoder = method.encoder
    with torch.no_grad():
        z = encoder.latents(x.views[0][0])
        q = z if encoder.quantiser is None else encoder.quantise(z).values
        c = encoder.context(q)
        table = method.predictor.weight.view(STEPS, encoder.latent_dim, encoder.context_dim)
        losses, right = [], []
        for b in range(ROWS):
            generator = draws.for_rows(ROWS, 0, 1, c.device, lambda rng: torch.randint(SIZE - 1, (SIZE, 4), generator=rng))[b]
            for k in range(STEPS):
                for t in range(SIZE - OFFSET - k):
                    ahead = t + OFFSET + k
                    predicted = table[k] @ c[b, t] + method.bias
                    places = [int(place) + (int(place) >= ahead) for place in generator[ahead]]
                    own, others = float(predicted @ q[b, ahead]), [float(predicted @ q[b, place]) for place in places]
                    assert ahead not in places
                    losses.append(math.log1p(math.exp(-own)) + weight * sum(math.log1p(math.exp(other)) for other in others))
                    right.append((own > 0) / 2 + sum(other < 0 for other in others) / 8)
    return sum(losses) / len(losses), sum(right) / len(right)


@pytest.mark.parametrize("quantiser", QUANTISERS)
@pytest.mark.parametrize(("options", "weight"), [({}, 1 / 4), ({"negative_weight": 1.0}, 1.0)])
def test_predictions_are_told_from_other_steps_of_the_recording(quantiser, options, weight):
    """In eval mode, where the Gumbel quantiser takes the likeliest code word, as the slow version does."""
    method, x = make(quantiser, **options).eval(), batch()
    out = method(x, START)
    loss, accuracy = slow_loss(method, x, weight)
    assert out["loss_prediction"].item() == pytest.approx(loss, rel=1e-5)
    assert out["accuracy"].item() == pytest.approx(accuracy, abs=1e-6)
    assert method.encoder.offset == OFFSET and method.encoder.latents(x.views[0][0]).shape[1] == SIZE


TERMS = {("none", False): {"loss_prediction"}, ("gumbel", False): {"loss_prediction"},
         ("kmeans", False): {"loss_prediction", "loss_codes", "loss_commitment"},
         ("gumbel", True): {"loss_prediction", "loss_diversity", "loss_features"}}


@pytest.mark.parametrize(("quantiser", "seed"), TERMS)
def test_terms_add_up_to_the_loss_and_each_is_there(quantiser, seed):
    out = make(quantiser, seed)(batch(), START)
    terms = {name: float(value) for name, value in out.items() if name.startswith("loss_")}
    assert set(terms) == TERMS[quantiser, seed] and min(terms.values()) > 0
    assert out["loss"].item() == pytest.approx(sum(terms.values()), rel=1e-6)


@pytest.mark.parametrize(("quantiser", "seed", "option", "terms"), [
    ("kmeans", False, "codes_weight", {"loss_codes": 2, "loss_commitment": 2}), ("kmeans", False, "commitment", {"loss_commitment": 2}),
    ("gumbel", True, "diversity", {"loss_diversity": 2}), ("gumbel", True, "feature_penalty", {"loss_features": 2})])
def test_weights_scale_the_terms_that_they_are_of(quantiser, seed, option, terms):
    default = getattr(make(quantiser, seed).config, option)
    one, two = make(quantiser, seed)(batch(), START), make(quantiser, seed, **{option: 2 * default})(batch(), START)
    for name in TERMS[quantiser, seed]:
        assert two[name].item() == pytest.approx(terms.get(name, 1) * one[name].item(), rel=1e-5)


def test_a_context_knows_nothing_of_what_it_predicts():
    """Without GroupNorm, which goes over time: the steps that a prediction is of depend on no sample that its context has seen."""
    method = make("none")
    for module in [*method.encoder.layers, *method.encoder.aggregator.layers]:
        for name, part in module.named_children():
            if isinstance(part, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
    waves = batch().views[0][0].clone().requires_grad_(True)
    method.encoder.context(method.encoder.latents(waves))[:, 5].sum().backward()
    last = 5 * 160 + 165
    assert waves.grad[:, last:].eq(0).all() and waves.grad[:, last - 1].ne(0).any()
    assert (5 + OFFSET) * 160 >= last > (5 + OFFSET - 1) * 160


def test_the_draw_cools_down_and_is_another_one_in_each_step():
    method, x = make(gumbel_decay=0.5), batch()
    outs = [method(x, Progress(step, 10, 2)) for step in (0, 0, 1, 9)]
    assert [out["temperature"].item() for out in outs] == [2.0, 2.0, 1.0, 0.5]
    assert outs[0]["loss"] == outs[1]["loss"] != outs[2]["loss"]


def test_the_seed_tells_recordings_apart_from_its_last_context():
    """Nothing masked, in eval mode: log softmax over the futures of the batch, at the last of all but STEPS steps."""
    method, x = make(seed=True).eval(), batch()
    with torch.no_grad():
        q = method.encoder.quantise(method.encoder.latents(x.views[0][0])).values
        c = method.encoder.context(q[:, :-STEPS])[:, -1]
        predicted = method.predictor(c).view(ROWS, STEPS, -1)
        losses = []
        for k in range(STEPS):
            for b in range(ROWS):
                scores = [math.exp(float(q[j, SIZE - STEPS + k] @ predicted[b, k])) for j in range(ROWS)]
                losses.append(-math.log(scores[b] / sum(scores)))
    assert method(x, START)["loss_prediction"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert method.train()(x, START)["loss_prediction"].item() != pytest.approx(sum(losses) / len(losses), rel=1e-3), "masked, and drawn"


@pytest.mark.parametrize(("quantiser", "total", "own"), [("gumbel", 34_063_488, 1_263_232), ("kmeans", 33_014_272, 214_016)])
def test_the_published_models_have_so_many_parameters(quantiser, total, own):
    config = check(SystemConfig, {"encoder": {"name": "vq_wav2vec", "quantiser": {"name": quantiser}},
                                  "method": {"name": "vq_wav2vec"}}, "the test")
    with torch.device("meta"):
        method = build(config.method, config.encoder, 1, Corpus(10, 0))
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())
    parts = method.encoder
    assert count(method) == total and count(parts.quantiser) == own
    assert count(parts.layers) == 512 * (10 + 512 * (8 + 3 * 4 + 3)) + 8 * 1024 == 6_042_624
    assert count(parts.aggregator) == 12 * (512 + 1024) + 512 * 512 * sum(range(2, 14)) == 23_611_392
    assert parts.offset == 3 and parts.min_frames == 465


@pytest.mark.parametrize(("tree", "said"), [
    ({"encoder": {"name": "cpc"}}, "set encoder: {name: vq_wav2vec}, not cpc"),
    ({"encoder": {"name": "tdnn"}}, "set encoder: {name: vq_wav2vec}, not tdnn"),
    ({"method": {"seed": True}}, "method.seed: true needs encoder.aggregator: {name: transformer}"),
    ({"encoder": {"aggregator": TRANSFORMER}}, "false needs convolutions"),
    ({"method": {"seed": True}, "encoder": {"aggregator": TRANSFORMER, "quantiser": None}}, "set encoder.quantiser: {name: gumbel}"),
    ({"method": {"crops": [{"count": 1, "seconds": 0.1}]}}, "0.1 s has 8 steps, method.steps needs 16"),
    ({"method": {"seed": True, "mask_span": 200}, "encoder": {"aggregator": TRANSFORMER}}, "126 steps, method.mask_span needs 213"),
    ({"method": {"crops": [{"count": 2, "seconds": 1.0}]}}, "within one crop of each utterance"),
    ({"method": {"gumbel_end": 3.0}}, "gumbel_end .3. is above gumbel_start .2.; lower it"),
    ({"encoder": {"kernels": [10, 8]}}, "there are 2 kernels and 8 strides; give as many of both"),
    ({"encoder": {"quantiser": {"name": "gumbel", "groups": 3}}}, "512 channels cannot be shared by 3 groups"),
    ({"encoder": {"window_seconds": 0.03}}, "window_seconds is shorter than two steps"),
    ({"data": {"input": "feats"}}, "reads waveforms.*data.input=wave")])
def test_impossible_systems_of_code_words_are_refused(tree, said):
    whole = {"encoder": {"name": "vq_wav2vec", **tree.get("encoder", {})}, "method": {"name": "vq_wav2vec", **tree.get("method", {})},
             "data": tree.get("data", {})}
    with pytest.raises(InputError, match=said) as refused:
        check(SystemConfig, whole, "the test")
    assert len(str(refused.value)) <= 160


def test_a_crop_of_too_few_steps_is_refused():
    with pytest.raises(InputError, match=r"a crop has 4 steps, and to predict 3 ahead takes 6; leave short recordings out with data.min_s"):
        make()(batch(samples=740), START)
