"""Labels of frames: which frame belongs to which step, clusters that do not depend on the ranks, random projections, models of others."""
import math

import numpy as np
import pytest
import torch

from sslspk.encoders import build as build_encoder
from sslspk.encoders.config import CpcEncoderConfig, EcapaConfig, Wav2Vec2EncoderConfig
from sslspk.errors import InputError
from sslspk.features.config_targets import TargetConfig
from sslspk.features.targets import Target
from sslspk.methods import frame_labels
from sslspk.methods.base import Plain
from sslspk.methods.config_masked import LayerLabels, MfccLabels, RandomLabels
from sslspk.nn.kmeans import kmeans

BASE = Wav2Vec2EncoderConfig(channels=16, layers=2, dim=12, heads=2, ff_dim=20, position_kernel=8, position_groups=2)
RATE, SAMPLES = 16000, 8000


def waves(rows=6, samples=SAMPLES, seed=1):
    return 0.1 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


def over(x, parts=1):
    """embed_all of a training set x, as one rank sees its share."""
    def embed_all(module):
        shares = [torch.arange(len(x))[i::parts] for i in range(parts)]
        return Plain(torch.cat([module(x[share]) for share in shares]), torch.cat(shares))
    return embed_all


def kmeans_of(labels, x, steps):
    """Of ten steps of each of six recordings, evenly spread."""
    picked = [(2 * i + 1) * steps // 20 for i in range(10)]
    return kmeans(labels.features(x, steps)[:, picked].flatten(0, 1), 5, seed=labels.seed)


def model_of(config, seed=3, labels="none", shrink=False):
    torch.manual_seed(seed)
    encoder = build_encoder(config, 1)
    state = encoder.state_dict()
    if shrink:
        state.popitem()
    content = {"config": {"encoder": config.model_dump(mode="json")}, "info": {"labels": labels}}
    return encoder.eval(), lambda path: (state, content)


def test_cepstra_are_those_of_the_frame_in_the_middle_of_a_step():
    """A step sees samples 320 i to 320 i + 400: its middle lies in the second of its two frames of 10 ms."""
    x, steps = waves(), BASE.steps(SAMPLES)
    features = frame_labels.Cepstra(MfccLabels(), BASE)(x, steps)
    frames = Target(TargetConfig(name="mfcc", bins=13, deltas=True), RATE, 160)(x)
    assert features.shape == (6, 24, 39) and steps == 24
    for i in range(steps):
        middle = 320 * i + 199.5
        nearest = min(range(frames.shape[1]), key=lambda t: abs(160 * t + 79.5 - middle))
        assert nearest == 2 * i + 1
        assert torch.equal(features[:, i], frames[:, nearest])


def test_clusters_are_k_means_of_the_training_set_and_labels_the_nearest_centroids():
    x, steps = waves(), BASE.steps(SAMPLES)
    torch.manual_seed(0)
    labels = frame_labels.build(MfccLabels(clusters=5, points=60), BASE, None, 6)
    figures = labels.learn(over(x), BASE.steps)
    share = torch.bincount(kmeans_of(labels, x, steps).assignment, minlength=5) / 60
    assert float(figures["label_entropy"]) == pytest.approx(-sum(p * math.log(p) for p in share.tolist() if p), rel=1e-5)
    features = labels.features(x, steps)
    found = kmeans_of(labels, x, steps)
    torch.testing.assert_close(labels.centroids, found.centroids)
    assert float(figures["label_distance"]) == pytest.approx(found.objective / 60, rel=1e-5)
    told = labels(x, steps)
    for b in range(6):
        for t in range(steps):
            distance = [float((features[b, t] - centroid).square().sum()) for centroid in labels.centroids]
            assert told[b, t] == int(np.argmin(distance))
    assert len(told.unique()) > 2


def test_clusters_are_the_same_however_the_training_set_is_shared_out():
    torch.manual_seed(0)
    one, two = (frame_labels.build(MfccLabels(clusters=5, points=60), BASE, None, 6) for _ in range(2))
    one.learn(over(waves()), BASE.steps)
    two.learn(over(waves(), parts=2), BASE.steps)
    torch.testing.assert_close(one.centroids, two.centroids)


def test_more_clusters_than_frames_are_refused():
    labels = frame_labels.build(MfccLabels(clusters=61, points=60), BASE, None, 6)
    with pytest.raises(InputError, match="k = 61 clusters are more than there are points, 60; lower k"):
        labels.learn(over(waves()), BASE.steps)


@pytest.mark.parametrize("steps_ms", [10, 20])
def test_random_projection_is_the_nearest_unit_vector(steps_ms):
    """One utterance and step at a time: frames of 10 ms with mean 0 and variance 1 bin by bin, put together, projected, of length 1."""
    encoder = BASE if steps_ms == 20 else BASE.model_copy(update={"strides": (5, 2, 2, 2, 2, 2, 1)})
    torch.manual_seed(0)
    labels = frame_labels.build(RandomLabels(codes=7, dim=4, bins=20), encoder, None, 6)
    x, steps, together = waves(), encoder.steps(SAMPLES), steps_ms // 10
    told = labels(x, steps)
    assert told.shape == (6, steps) and labels.projection.shape == (4, 20 * together)
    frames = Target(TargetConfig(name="fbank", bins=20), RATE, 160)(x).double()
    for b in range(6):
        z = (frames[b] - frames[b].mean(0)) / frames[b].std(0, correction=0)
        for t in range(steps):
            v = labels.projection.double() @ torch.cat([z[min(together * t + i, len(z) - 1)] for i in range(together)])
            distance = [(code.double() - v / v.norm()).norm().item() for code in labels.codes]
            assert told[b, t] == int(np.argmin(distance))
    torch.testing.assert_close(labels.codes.norm(dim=1), torch.ones(7))
    assert labels.projection.abs().max() <= math.sqrt(6 / (4 + 20 * together)) and not list(labels.parameters())
    assert labels.learn(None, None) == {} and len(told.unique()) > 3


@pytest.mark.parametrize("layer", [0, 1, 2, None])
def test_labels_of_a_layer_are_clusters_of_what_it_gives(layer):
    encoder, read = model_of(BASE)
    labels = frame_labels.build(LayerLabels(model="m.pt", layer=layer, clusters=4), BASE, read, 6)
    x, steps = waves(), BASE.steps(SAMPLES)
    features = labels.features(x, steps)
    torch.testing.assert_close(features, encoder.layers(x)[-1 if layer is None else layer])
    labels.learn(over(x), BASE.steps)
    assert labels(x, steps).shape == (6, steps) and labels.labels == "none"
    labels.train()
    assert torch.equal(labels.features(x, steps), features), "in eval mode, whatever it is told"
    assert not any(parameter.requires_grad for parameter in labels.parameters())
    assert any("features.encoder" in key for key in labels.state_dict()), "the model is part of the state"


def test_a_model_of_shorter_steps_gives_the_label_next_to_the_middle():
    config = CpcEncoderConfig(channels=8, context_dim=5, peak=False)
    encoder, read = model_of(config, labels="speaker")
    labels = frame_labels.build(LayerLabels(model="m.pt", clusters=4), BASE, read, 6)
    x, steps = waves(), BASE.steps(SAMPLES)
    torch.testing.assert_close(labels.features(x, steps), encoder.frames(x)[:, 1::2][:, :steps])
    assert labels.labels == "speaker", "that the model has seen labels is passed on"


@pytest.mark.parametrize(("config", "layer", "said"), [
    (EcapaConfig(), None, "encoder ecapa reads features; labels are taken from a model of waveforms"),
    (BASE.model_copy(update={"rate": 8000}), None, "a model of 8000 Hz, and encoder.rate is 16000; take labels from one of the same rate"),
    (BASE.model_copy(update={"strides": (5, 2, 2, 2, 2, 2, 4), "kernels": (10, 3, 3, 3, 3, 2, 4)}), None,
     "a label every 640 samples, and the encoder has a step every 320; take a model of shorter steps"),
    (BASE, 3, "has layers 0 to 2, and method.targets.layer is 3; correct it"),
    (CpcEncoderConfig(channels=8, context_dim=5), 1, "has no Transformer, and method.targets.layer is 1; leave it out")])
def test_models_without_labels_for_the_encoder_are_refused(config, layer, said):
    content = {"config": {"encoder": config.model_dump(mode="json")}, "info": {}}
    with pytest.raises(InputError, match=r"exp/m/final\.pt: .*" + said) as refused:
        frame_labels.build(LayerLabels(model="exp/m/final.pt", layer=layer), BASE, lambda path: ({}, content), 6)
    assert len(str(refused.value)) <= 160


def test_weights_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"m.pt: its weights do not match its configuration \(.* is missing\); take another file"):
        frame_labels.build(LayerLabels(model="m.pt"), BASE, model_of(BASE, shrink=True)[1], 6)
