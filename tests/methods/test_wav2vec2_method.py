"""wav2vec 2.0's objective as a whole against an independent version in loops; each option moves what it says."""
import math

import pytest
import torch

from sslspk.config import check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.config_waves import Wav2Vec2EncoderConfig
from sslspk.errors import InputError
from sslspk.losses.masked import anywhere, others
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.methods.config_wav2vec2 import Wav2Vec2Config
from sslspk.methods.wav2vec2 import NEGATIVES, NOISE, Wav2Vec2Pretraining
from sslspk.nn.draws import for_rows
from sslspk.nn.masks import span_masks
from sslspk.train.config import SystemConfig

CPU = torch.device("cpu")
SMALL = {"channels": 20, "kernels": (10, 8, 4), "strides": (5, 8, 4), "position_kernel": 8, "position_groups": 2, "layers": 2, "dim": 12,
         "heads": 2, "ff_dim": 20}
STILL = {"layer_drop": 0, "input_dropout": 0, "dropout": 0, "attention_dropout": 0}
OPTIONS = {"mask_span": 3, "num_negatives": 7, "codes": 6, "code_dim": 8, "out_dim": 10, "feature_dropout": 0}
ROWS, START = 3, Progress(0, 10, 2, log=True)


def make(**options):
    torch.manual_seed(0)
    encoder = Wav2Vec2EncoderConfig(**SMALL, **STILL)
    return Wav2Vec2Pretraining(Wav2Vec2Config(**{**OPTIONS, **options}), lambda: build_encoder(encoder, 1), Corpus(ROWS, 0)).double()


def batch(rows=ROWS, samples=3200, seed=1):
    waves = torch.randn(1, rows, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch([waves], torch.full((rows,), -1), torch.arange(rows))


def layer_norm(x, weight, bias):
    mean = x.sum() / len(x)
    return (x - mean) / ((x - mean).square().sum() / len(x) + 1e-5).sqrt() * weight + bias


def slow_quantiser(method, normed, places, noise, temperature):
    """Quantised and projected targets, codes, and perplexity, one hidden step and group at a time."""
    cfg, layer, book = method.config, method.quantiser.weight_proj[0], method.quantiser.vars
    targets, codes, shares = [], [], [[] for _ in range(cfg.groups)]
    for r in range(len(normed)):
        for k, t in enumerate(places[r].tolist()):
            parts, chosen = [], []
            for g in range(cfg.groups):
                rows = slice(g * cfg.codes, (g + 1) * cfg.codes)
                scores = layer.weight[rows] @ normed[r][t] + layer.bias[rows]
                shares[g].append(scores.exp() / scores.exp().sum())
                noised = (scores - torch.log(-torch.log(noise[r, k, g].double()))) / temperature
                soft, best = noised.exp() / noised.exp().sum(), int(noised.argmax())
                parts.append(book[g, best] + sum((soft[v] - soft[v].detach()) * book[g, v].detach() for v in range(cfg.codes)))
                chosen.append(best)
            targets.append(method.project_targets.weight @ torch.cat(parts) + method.project_targets.bias)
            codes.append(chosen)
    means = [torch.stack(share).mean(0) for share in shares]
    perplexity = sum(torch.exp(-(mean * (mean + 1e-7).log()).sum()) for mean in means)
    return targets, codes, perplexity


def slow_loss(method, waves, step=0):
    """The objective by loops: sums over hidden steps, divided by their number. Its draws are those of the step."""
    cfg, encoder = method.config, method.encoder
    z = encoder.model.feature_extractor(waves, None)[0]
    z = z * cfg.feature_gradient + (z * (1 - cfg.feature_gradient)).detach()
    places = span_masks(len(z), z.shape[1], cfg.mask_prob, cfg.mask_span, torch.Generator().manual_seed(step))
    hidden = places.shape[1]
    noise = for_rows(len(z), step, NOISE, CPU, lambda rng: torch.rand(hidden, cfg.groups, cfg.codes, generator=rng))
    draw = others if cfg.negatives == "own" else anywhere
    negatives = for_rows(len(z), step, NEGATIVES, CPU, lambda rng: draw(hidden, cfg.num_negatives, rng))
    norm, projection = encoder.model.encoder.feature_projection.layer_norm, encoder.model.encoder.feature_projection.projection
    normed = [[layer_norm(z[r, t], norm.weight, norm.bias) for t in range(z.shape[1])] for r in range(len(z))]
    x = torch.stack([torch.stack([method.mask if t in places[r].tolist() else projection.weight @ normed[r][t] + projection.bias
                                  for t in range(z.shape[1])]) for r in range(len(z))])
    context = encoder.model.encoder.transformer(x)
    targets, codes, perplexity = slow_quantiser(method, normed, places, noise, max(2 * 0.999995 ** step, 0.5))
    further = 0 if cfg.negatives == "own" else 1 + int(torch.randint(len(z) - 1, (), generator=torch.Generator().manual_seed(step)))
    total = 0.0
    for r in range(len(z)):
        for k in range(hidden):
            predicted = method.predict.weight @ context[r, places[r, k]] + method.predict.bias
            mine = r * hidden + k
            rivals = [(r + further) % len(z) * hidden + int(n) for n in negatives[r, k]]
            kept = [mine, *(rival for rival in rivals if codes[rival] != codes[mine])]
            scores = torch.stack([(predicted @ targets[j]) / (predicted.norm() * targets[j].norm()) / cfg.temperature for j in kept])
            total = total + torch.log(scores.exp().sum()) - scores[0]
    count, size = len(z) * hidden, cfg.codes * cfg.groups
    total = total + (cfg.diversity * (size - perplexity) / size + cfg.feature_penalty * (z ** 2).sum() / z.numel()) * count
    return total / count


@pytest.mark.parametrize("negatives", ["own", "other"])
@pytest.mark.parametrize("step", [0, 7])
def test_loss_and_gradients_are_those_of_the_independent_version(negatives, step):
    method, x = make(negatives=negatives), batch()
    loss, expected = method(x, Progress(step, 10, 2))["loss"], slow_loss(method, x.views[0][0], step)
    torch.testing.assert_close(loss, expected)
    weights = dict(method.named_parameters())
    ours, theirs = (torch.autograd.grad(value, list(weights.values())) for value in (loss, expected))
    for name, a, b in zip(weights, ours, theirs, strict=True):
        assert b.any() or name.endswith("k_proj.bias"), name
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9, msg=name)


def test_terms_add_up_and_each_has_its_weight():
    x = batch()
    out = make()(x, START)
    terms = {name: value.item() for name, value in out.items() if name.startswith("loss_")}
    assert set(terms) == {"loss_contrastive", "loss_diversity", "loss_features"} and all(value > 0 for value in terms.values())
    assert out["loss"].item() == pytest.approx(sum(terms.values()))
    twice = make(diversity=0.2, feature_penalty=20)(x, START)
    assert twice["loss_diversity"].item() == pytest.approx(2 * terms["loss_diversity"])
    assert twice["loss_features"].item() == pytest.approx(2 * terms["loss_features"])
    assert twice["loss_contrastive"].item() == terms["loss_contrastive"]
    assert 2 <= out["perplexity"] <= 12 and 2 <= out["code_perplexity"] <= 12 and 0 <= out["accuracy"] <= 1
    assert terms["loss_diversity"] == pytest.approx(0.1 * (12 - out["perplexity"].item()) / 12)


def test_the_convolutions_get_a_tenth_of_the_gradient():
    gradients = []
    for factor in (1.0, 0.1):
        method = make(feature_gradient=factor)
        method(batch(), START)["loss"].backward()
        gradients.append({name: weight.grad for name, weight in method.named_parameters()})
    for name, gradient in gradients[0].items():
        scale = 0.1 if "feature_extractor" in name else 1.0
        torch.testing.assert_close(gradients[1][name], scale * gradient, rtol=1e-6, atol=1e-12, msg=name)


def test_a_hidden_step_is_not_heard():
    """What the network is given does not depend on the hidden steps, and every step it hears matters."""
    method, given = make(), []
    contexts = method.encoder.contexts
    method.encoder.contexts = lambda x: (given.append(x), contexts(x))[1]
    method(batch(), START)
    places = span_masks(ROWS, given[0].shape[1], 0.65, 3, torch.Generator().manual_seed(0))
    hidden = torch.zeros(given[0].shape[:2], dtype=torch.bool).scatter(1, places, True)
    assert torch.equal(given[0][hidden], method.mask.expand(int(hidden.sum()), -1)) and not (given[0][~hidden] == method.mask).any()


def test_draws_change_with_the_step_and_stay_on_a_resume():
    method, x = make(), batch()
    first, again, later = (method(x, Progress(step, 10, 2))["loss"].item() for step in (0, 0, 1))
    assert first == again != later


def test_the_temperature_follows_the_step():
    """At the same draws another temperature changes the gradient alone, as the choice is hard."""
    gradients = []
    for end in (0.5, 2.0):
        method = make(gumbel_decay=1e-9, gumbel_end=end)
        loss = method(batch(), Progress(1, 10, 2))["loss"]
        gradients.append((loss.item(), torch.autograd.grad(loss, method.quantiser.weight_proj[0].weight)[0]))
    assert gradients[0][0] == gradients[1][0] and not torch.allclose(gradients[0][1], gradients[1][1])


def test_evaluation_draws_no_noise():
    """Masks and negatives are those of the step; codes are the likeliest ones."""
    method, x = make().eval(), batch()
    out = method(x, START)
    assert out["loss"].item() == method(x, START)["loss"].item() != make()(x, START)["loss"].item()
    assert math.isfinite(out["loss"].item())


def test_first_mask_vector_is_uniform():
    mask = Wav2Vec2Pretraining(Wav2Vec2Config(), lambda: build_encoder(Wav2Vec2EncoderConfig(layers=1), 1), Corpus(3, 0)).mask
    assert mask.shape == (768,) and 0 <= mask.min() < 0.02 and 0.98 < mask.max() <= 1


def test_the_base_model_has_the_published_number_of_parameters():
    with torch.device("meta"):
        method = Wav2Vec2Pretraining(Wav2Vec2Config(), lambda: build_encoder(Wav2Vec2EncoderConfig(), 1), Corpus(3, 0))
    assert sum(weight.numel() for weight in method.parameters()) == 95_044_608


def test_a_crop_without_room_for_masks_is_named():
    with pytest.raises(InputError, match=r"masks of 3 steps need 4, and a crop has 3; .*data.min_seconds"):
        make()(batch(samples=644), START)
    make()(batch(samples=165 + 3 * 160), START)
    with pytest.raises(InputError, match="at least two utterances"):
        make(negatives="other")(batch(rows=1), START)


ENCODER = {"name": "wav2vec2", **SMALL}
CROP = [{"count": 1, "seconds": 0.2}]


@pytest.mark.parametrize(("tree", "said"), [
    ({"method": {"name": "wav2vec2"}, "encoder": {"name": "tdnn"}}, r"set encoder: {name: wav2vec2}, not tdnn"),
    ({"method": {"name": "wav2vec2"}, "encoder": {**ENCODER, "pooling": "layers"}}, "set encoder.pooling: mean, not layers"),
    ({"method": {"name": "wav2vec2", "crops": CROP, "mask_span": 19}, "encoder": ENCODER},
     "a crop of 0.2 s has 19 steps, method.mask_span needs 20"),
    ({"method": {"name": "wav2vec2", "crops": CROP}, "encoder": {"name": "wav2vec2"}}, "a crop of 0.2 s has 9 steps, method.mask_span"),
    ({"method": {"name": "wav2vec2", "negatives": "other"}, "encoder": ENCODER, "data": {"batch_size": 1}}, "raise data.batch_size"),
    ({"method": {"name": "wav2vec2", "crops": [{"count": 2, "seconds": 1}]}, "encoder": ENCODER}, "within one crop of each utterance"),
    ({"method": {"name": "wav2vec2", "groups": 3}, "encoder": ENCODER}, r"code_dim \(256\) must be a multiple of groups \(3\)"),
    ({"method": {"name": "wav2vec2", "gumbel_end": 3.0}, "encoder": ENCODER}, r"gumbel_end \(3\) is above gumbel_start \(2\)")])
def test_impossible_configurations_are_refused(tree, said):
    with pytest.raises(InputError, match=said):
        check(SystemConfig, tree, "the test")
