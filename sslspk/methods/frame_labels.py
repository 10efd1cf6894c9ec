"""Labels of frames computed from the waveform: the targets of masked prediction.

    labels = build(config, encoder_config, read_model, recordings)
    labels.learn(embed_all)                     k-means on the training set, before the first step
    labels(waves (B, S), steps) -> int64 (B, steps), one for each step of the encoder

All of it is state: centroids, random vectors, and the model whose layer is clustered.
"""
import abc
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.config import Config, check
from sslspk.encoders import build as build_encoder
from sslspk.encoders.config import EncoderConfig, reads_waveform
from sslspk.errors import InputError
from sslspk.features.config_targets import TargetConfig
from sslspk.features.targets import Target
from sslspk.methods.base import Plain
from sslspk.methods.config_masked import LayerLabels, MfccLabels, RandomLabels
from sslspk.nn import saved
from sslspk.nn.kmeans import kmeans
from sslspk.nn.labellers import nearest, projected, random_vectors

ROWS = 16             # recordings whose features are, while clusters are learnt: a batch may be larger than a forward pass


class Clock:
    """Which frame of one grid lies next to each step of another: both have a step and the middle of the first frame, in samples."""

    def __init__(self, step: int, middle: float, own_step: int, own_middle: float):
        self.step, self.middle, self.own_step, self.own_middle = step, middle, own_step, own_middle

    def places(self, steps: int, frames: int, device: torch.device) -> Tensor:
        """int64 (steps,), each in 0 .. frames - 1."""
        time = torch.arange(steps, device=device, dtype=torch.float64) * self.step + self.middle
        return ((time - self.own_middle) / self.own_step).round().long().clamp(0, frames - 1)


def middle_of(config: Config) -> float:
    """The middle of an encoder's first step, in samples; of a padded one, of the samples that the step is for."""
    return (getattr(config, "field_samples", config.step_samples) - 1) / 2


class Features(nn.Module, abc.ABC):
    """forward(waves (B, S), steps) -> (B, steps, dim) float32: features of each step of the encoder. labels: that their making has seen."""

    dim: int
    labels = "none"

    @abc.abstractmethod
    def forward(self, waves: Tensor, steps: int) -> Tensor:
        """(B, S) in -1 to 1 -> (B, steps, dim)."""


class Cepstra(Features):
    """MFCC with first and second differences of the frame of 10 ms that lies next to the middle of each step."""

    def __init__(self, config: MfccLabels, encoder: Config):
        super().__init__()
        hop = encoder.rate // 100
        self.dim = 3 * config.ceps
        self.target = Target(TargetConfig(name="mfcc", bins=config.ceps, deltas=True), encoder.rate, hop)
        self.clock = Clock(encoder.step_samples, middle_of(encoder), hop, (hop - 1) / 2)

    def forward(self, waves: Tensor, steps: int) -> Tensor:
        frames = self.target(waves)
        return frames[:, self.clock.places(steps, frames.shape[1], waves.device)]


class Layer(Features):
    """Frames of a trained encoder, or what a layer of its Transformer gives. Raises InputError for a model that gives none that fit."""

    def __init__(self, config: LayerLabels, encoder: Config, read_model: Callable[[str], tuple[dict, dict]]):
        super().__init__()
        (state, content), path = read_model(config.model), config.model
        found = check(_Trained, {"encoder": content["config"].get("encoder")}, path).encoder
        _require_model(found, config, encoder)
        self.encoder, self.layer, self.labels = build_encoder(found, 1), config.layer, content["info"].get("labels", "none")
        wrong = saved.misfit(state, self.encoder.state_dict())
        if wrong:
            raise InputError(f"{path}: its weights do not match its configuration ({wrong}); take another file.")
        if not next(iter(self.encoder.parameters())).is_meta:
            self.encoder.load_state_dict(state)
        self.encoder.freeze()
        self.dim = self.encoder.embed_dim
        self.clock = Clock(encoder.step_samples, middle_of(encoder), found.step_samples, middle_of(found))

    @torch.no_grad()
    def forward(self, waves: Tensor, steps: int) -> Tensor:
        with torch.autocast(waves.device.type, enabled=False):
            frames = self.encoder.frames(waves) if self.layer is None else self.encoder.layers(waves, self.layer)[self.layer]
        return frames[:, self.clock.places(steps, frames.shape[1], waves.device)]


class Clusters(nn.Module):
    """forward(waves (B, S), steps) -> int64 (B, steps): the nearest of K centroids, which `learn` finds. labels: as of the features."""

    def __init__(self, features: Features, config: MfccLabels | LayerLabels, recordings: int):
        super().__init__()
        self.features, self.classes, self.labels = features, config.clusters, features.labels
        self.iterations, self.each, self.seed = config.iterations, max(1, config.points // max(recordings, 1)), torch.initial_seed()
        self.register_buffer("centroids", torch.zeros(config.clusters, features.dim))

    def forward(self, waves: Tensor, steps: int) -> Tensor:
        with torch.autocast(waves.device.type, enabled=False):
            return nearest(self.features(waves, steps).to(self.centroids.dtype), self.centroids)

    @torch.no_grad()
    def learn(self, embed_all: Callable[[nn.Module], Plain], steps_of: Callable[[int], int]) -> dict[str, Tensor]:
        """K-means on frames of the training set, as many of each recording and evenly spread; the same for every number of ranks.

        steps_of: how many steps the encoder has of so many samples. Returns figures to log: label_distance, the mean square of the
        distances; label_entropy, in nats: the loss by chance, where only the frequency of each label is known. Raises InputError where
        there are fewer frames than clusters.
        """
        plain = embed_all(_Sample(self.features, self.each, steps_of))
        points = plain.embeddings.unflatten(1, (-1, self.features.dim))                            # (N, n, F)
        index = plain.units[:, None] * points.shape[1] + torch.arange(points.shape[1], device=points.device)
        found = kmeans(points.flatten(0, 1), self.classes, index=index.flatten(), iterations=self.iterations, seed=self.seed)
        self.centroids.copy_(found.centroids)
        entropy = torch.special.entr(found.count.double() / found.count.sum()).sum()
        return {"label_distance": entropy.new_tensor(found.objective / float(found.count.sum())), "label_entropy": entropy}


class _Sample(nn.Module):
    """(B, S) -> (B, n F): the features of n steps of each recording, evenly spread. What an encoder is to `embed_all`."""

    input = "wave"

    def __init__(self, features: Features, each: int, steps_of: Callable[[int], int]):
        super().__init__()
        self.features, self.each, self.steps_of = features, each, steps_of

    def forward(self, waves: Tensor) -> Tensor:
        steps = self.steps_of(waves.shape[1])
        count = min(self.each, steps)
        places = (torch.arange(count, device=waves.device) * 2 + 1) * steps // (2 * count)
        with torch.autocast(waves.device.type, enabled=False):
            return torch.cat([self.features(part, steps)[:, places].flatten(1) for part in waves.split(ROWS)])


class RandomProjection(nn.Module):
    """forward(waves (B, S), steps) -> int64 (B, steps): the random unit vector next to the projected frames of each step (BEST-RQ).

    Log-mel frames of 10 ms have mean 0 and variance 1 over the crop, bin by bin; those of one step are put together, projected by a matrix
    of Xavier's distribution, and brought to length 1 (Chiu et al. 2022, arXiv 2202.01855, section 3.1).
    """

    labels = "none"

    def __init__(self, config: RandomLabels, encoder: Config):
        super().__init__()
        hop, self.classes = encoder.rate // 100, config.codes
        self.target, self.together = Target(TargetConfig(name="fbank", bins=config.bins), encoder.rate, hop), encoder.step_samples // hop
        projection, codes = random_vectors(config.codes, config.dim, self.together * config.bins)
        self.register_buffer("projection", projection)
        self.register_buffer("codes", codes)

    @torch.no_grad()
    def forward(self, waves: Tensor, steps: int) -> Tensor:
        with torch.autocast(waves.device.type, enabled=False):
            frames = self.target(waves)
            frames = (frames - frames.mean(1, keepdim=True)) / frames.std(1, correction=0, keepdim=True).clamp_min(1e-5)
            places = torch.arange(steps * self.together, device=waves.device).clamp(max=frames.shape[1] - 1)
            stacked = frames[:, places].unflatten(1, (steps, -1)).flatten(2)                        # (B, steps, r bins)
            return projected(stacked, self.projection, self.codes)

    def learn(self, embed_all: Callable[[nn.Module], Plain], steps_of: Callable[[int], int]) -> dict[str, Tensor]:
        """Nothing is."""
        return {}


def build(config: Config, encoder: Config, read_model: Callable[[str], tuple[dict, dict]], recordings: int) -> Clusters | RandomProjection:
    """The labels that `config.name` names, for an encoder with this configuration.

    read_model: as Corpus has it. recordings: of the training set.
    """
    if config.name == "random_projection":
        return RandomProjection(config, encoder)
    return Clusters(Cepstra(config, encoder) if config.name == "mfcc" else Layer(config, encoder, read_model), config, recordings)


class _Trained(Config):
    """The part of a model's configuration that is needed."""

    encoder: EncoderConfig


def _require_model(found: Config, config: LayerLabels, encoder: Config) -> None:
    """Raises InputError for a model that has no labels for this encoder."""
    path = config.model
    if not reads_waveform(found):
        raise InputError(f"{path}: encoder {found.name} reads features; labels are taken from a model of waveforms.")
    if found.rate != encoder.rate:
        raise InputError(f"{path}: a model of {found.rate} Hz, and encoder.rate is {encoder.rate}; take labels from one of the same rate.")
    if found.step_samples > encoder.step_samples:
        raise InputError(f"{path}: gives a label every {found.step_samples} samples, and the encoder has a step every "
                         f"{encoder.step_samples}; take a model of shorter steps.")
    layers = found.layers if found.name == "wav2vec2" else -1
    if config.layer is not None and config.layer > layers:
        has = f"layers 0 to {layers}" if layers >= 0 else "no Transformer"
        raise InputError(f"{path}: has {has}, and method.targets.layer is {config.layer}; "
                         f"{'correct it' if layers >= 0 else 'leave it out, for the frames that the model ends with'}.")
