"""Masked prediction around its labels: what is hidden, with what, what is told, which terms there are, and the published sizes."""
import math

import pytest
import torch

from sslspk.config import check
from sslspk.errors import InputError
from sslspk.methods import build
from sslspk.methods.base import Batch, Corpus, Plain, Progress
from sslspk.methods.masked_prediction import NOISE
from sslspk.nn import draws, masks
from sslspk.train.config import SystemConfig

ENCODER = {"name": "wav2vec2", "channels": 16, "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "position_kernel": 8, "position_groups": 2,
           "layer_drop": 0, "input_dropout": 0, "dropout": 0, "attention_dropout": 0}
START, ROWS, SAMPLES, STEPS = Progress(0, 10, 2, log=True), 4, 16000, 49
CLUSTERS = {"targets": {"name": "mfcc", "clusters": 6, "points": 80}, "out_dim": 10}
BEST_RQ = {"targets": {"name": "random_projection", "codes": 9, "dim": 4, "bins": 20}, "fill": "noise", "head": "linear"}


def make(**options):
    method = {"name": "masked_prediction", "crops": [{"count": 1, "seconds": 1.0}], "mask_span": 4, **(options or CLUSTERS)}
    config = check(SystemConfig, {"encoder": ENCODER, "method": method}, "the test")
    torch.manual_seed(0)
    method = build(config.method, config.encoder, 1, Corpus(ROWS, 0))
    waves = batch().views[0][0]
    with torch.no_grad():
        method.before_epoch(lambda module: Plain(module(waves), torch.arange(ROWS)), START)
    return method


def batch(rows=ROWS, samples=SAMPLES):
    waves = 0.1 * torch.randn(1, rows, samples, generator=torch.Generator().manual_seed(1))
    return Batch([waves], torch.full((rows,), -1), torch.arange(rows))


def slow_losses(method, x, fill):
    """(hidden, shown): mean cross-entropies, one step at a time, and how many hidden ones were told right."""
    encoder, waves, cfg = method.encoder, x.views[0][0], method.config
    with torch.no_grad():
        places = masks.span_masks(ROWS, STEPS, cfg.mask_prob, cfg.mask_span, torch.Generator().manual_seed(0)).tolist()
        labels, normed = method.targets(waves, STEPS), encoder.norm(encoder.latents(waves))
        given = encoder.project(normed)
        for b in range(ROWS):
            for t in places[b]:
                given[b, t] = fill(b, t)
        context, losses, right = encoder.contexts(given)[-1], {True: [], False: []}, 0
        for b in range(ROWS):
            for t in range(STEPS):
                out = method.predict(context[b, t])
                if method.codes is not None:
                    out = torch.stack([out @ code / (out.norm() * code.norm()) / cfg.temperature for code in method.codes])
                exps = [math.exp(float(value)) for value in out]
                losses[t in places[b]].append(-math.log(exps[labels[b, t]] / sum(exps)))
                right += t in places[b] and int(out.argmax()) == int(labels[b, t])
    return [sum(part) / len(part) for part in (losses[True], losses[False])], right / len(losses[True])


def test_clusters_of_hidden_steps_are_told_by_cosine():
    method, x = make(**CLUSTERS, unmasked_weight=0.5), batch()
    (hidden, shown), accuracy = slow_losses(method, x, lambda b, t: method.mask)
    out = method(x, START)
    assert out["loss_masked"].item() == pytest.approx(hidden, rel=1e-5) and out["accuracy"].item() == pytest.approx(accuracy)
    assert out["loss_unmasked"].item() == pytest.approx(0.5 * shown, rel=1e-5)
    labels = method.targets(x.views[0][0], STEPS)
    assert 1 < out["label_perplexity"].item() <= len(labels.unique())


def test_random_labels_of_steps_filled_with_noise_are_told_by_a_linear_layer():
    method, x = make(**BEST_RQ), batch()
    noise = 0.1 * draws.for_rows(ROWS, 0, NOISE, torch.device("cpu"), lambda rng: torch.randn(STEPS, 16, generator=rng))
    (hidden, _), accuracy = slow_losses(method, x, lambda b, t: method.encoder.project(noise[b, t]))
    out = method(x, START)
    assert out["loss_masked"].item() == pytest.approx(hidden, rel=1e-5) and out["accuracy"].item() == pytest.approx(accuracy)
    assert not any(key.startswith("mask") or key == "codes" for key, _ in method.named_parameters())


def test_all_terms_of_masked_prediction_add_up_and_each_is_there():
    out = make(**CLUSTERS, unmasked_weight=0.5)(batch(), START)
    terms = {name: value.item() for name, value in out.items() if name.startswith("loss_")}
    assert set(terms) == {"loss_masked", "loss_unmasked", "loss_features"} and min(terms.values()) > 0
    assert out["loss"].item() == pytest.approx(sum(terms.values()), rel=1e-6)
    doubled = make(**CLUSTERS, feature_penalty=20.0)(batch(), START)
    assert doubled["loss_features"].item() == pytest.approx(2 * terms["loss_features"], rel=1e-5)
    assert "loss_unmasked" not in doubled


def test_the_convolutions_get_a_share_of_their_gradient():
    gradients = []
    for share in (1.0, 0.1):
        method = make(**CLUSTERS, feature_gradient=share, feature_penalty=0.0)
        method(batch(), START)["loss"].backward()
        gradients.append(method.encoder.model.feature_extractor.conv_layers[0].conv.weight.grad)
    torch.testing.assert_close(gradients[1], 0.1 * gradients[0], rtol=1e-4, atol=1e-9)


def test_labels_are_learnt_before_the_first_step_alone():
    method = make()
    before = method.targets.centroids.clone()
    assert method.before_epoch(None, Progress(2, 10, 2)) == {}
    assert torch.equal(method.targets.centroids, before) and before.any()


@pytest.mark.parametrize(("targets", "own"), [
    ({}, 768 + 769 * 256 + 100 * 256), ({"targets": {"name": "random_projection"}, "fill": "noise", "head": "linear"}, 769 * 8192)])
def test_the_published_sizes(targets, own):
    """HuBERT's base encoder has the 94,370,944 parameters of wav2vec 2.0's; what is counted besides: mask, head and code embeddings."""
    config = check(SystemConfig, {"encoder": {"name": "wav2vec2"}, "method": {"name": "masked_prediction", **targets}}, "the test")
    with torch.device("meta"):
        method = build(config.method, config.encoder, 1, Corpus(10, 0))
    assert sum(parameter.numel() for parameter in method.parameters()) == 94_370_944 + own
    if targets:
        assert method.targets.codes.shape == (8192, 16) and method.targets.projection.shape == (16, 160)


@pytest.mark.parametrize(("tree", "said"), [
    ({"encoder": {"name": "cpc"}}, "set encoder: {name: wav2vec2}, not cpc"),
    ({"encoder": {"name": "wav2vec2", "pooling": "layers"}}, "pre-trains encoder.pooling: mean, not layers"),
    ({"method": {"crops": [{"count": 1, "seconds": 0.2}]}}, "0.2 s has 9 steps, method.mask_span needs 11; use longer crops"),
    ({"method": {"targets": {"name": "layer"}}}, "names no model to take labels from; give --set method.targets.model=EXP/final.pt"),
    ({"encoder": {"name": "wav2vec2", "strides": [5, 2, 2, 2, 2, 2, 1]}, "method": {"targets": {"name": "mfcc", "ceps": 41}}},
     "should be less than or equal to 40, not 41"),
    ({"encoder": {"name": "wav2vec2", "kernels": [10, 3], "strides": [7, 3]}}, "every 10 ms, and a step of the encoder has 1.3125 ms"),
    ({"method": {"crops": [{"count": 2, "seconds": 2.0}]}}, "within one crop of each utterance")])
def test_impossible_systems_of_labels_are_refused(tree, said):
    whole = {"encoder": {"name": "wav2vec2"}, **tree, "method": {"name": "masked_prediction", **tree.get("method", {})}}
    with pytest.raises(InputError, match=said) as refused:
        check(SystemConfig, whole, "the test")
    assert len(str(refused.value)) <= 160


def test_a_mask_longer_than_the_utterance_is_refused():
    """data.short: whole gives crops that are shorter than the configuration says."""
    with pytest.raises(InputError, match=r"masks of 4 steps need 5, and a crop has 4; leave short recordings out"):
        make()(batch(samples=400 + 3 * 320), START)
