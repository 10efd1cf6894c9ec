"""A small encoder of every kind. A new encoder is one line in CONFIGS."""
import torch

from sslspk.encoders import build
from sslspk.encoders.base import Encoder
from sslspk.encoders.config import (
    CpcEncoderConfig,
    DsvaeEncoderConfig,
    EcapaConfig,
    LResNet34Config,
    PaseEncoderConfig,
    ResNetSE34LConfig,
    TdnnConfig,
    VqWav2vecEncoderConfig,
    Wav2Vec2EncoderConfig,
    reads_waveform,
)

F = 20
STEP = 160   # samples of a waveform encoder's step
NARROW = (8, 8, 12, 16)
SMALL = {"channels": 20, "kernels": (10, 8, 4), "strides": (5, 8, 4), "position_kernel": 8, "position_groups": 2, "layers": 2, "dim": 12,
         "heads": 2, "ff_dim": 20, "layer_drop": 0, "input_dropout": 0, "dropout": 0, "attention_dropout": 0}
MHFA = {"pooling": "mhfa", "pooling_heads": 3, "pooling_compress": 4, "embed_dim": 6}
PASE = {"channels": (20, 20, 24, 28), "kernels": (41, 20, 11, 11), "strides": (1, 10, 4, 4), "embed_dim": 12}
VQ = {"channels": 20, "kernels": (10, 8, 4, 1), "strides": (5, 8, 4, 1), "window_seconds": 0.2,
      "aggregator": {"name": "convolutions", "dim": 12, "kernels": (2, 3)}}
RELATE = {"name": "transformer", "layers": 2, "dim": 12, "heads": 2, "ff_dim": 20, "dropout": 0, "position_kernel": 8,
          "position_groups": 2}
CONFIGS = {
    "tdnn": TdnnConfig(channels=24, pooled_channels=40, embed_dim=12),
    "tdnn-attentive": TdnnConfig(channels=24, pooled_channels=40, embed_dim=12, segment_layers=1, pooling="attentive_context"),
    "ecapa": EcapaConfig(channels=32, mfa_channels=48, se_channels=8, attention_channels=8, embed_dim=12),
    "ecapa-local": EcapaConfig(channels=32, mfa_channels=48, scale=4, global_context=False, embed_dim=12),
    "ecapa-wespeaker": EcapaConfig(channels=32, mfa_channels=48, se_channels=8, attention_channels=8, embed_dim=12, variant="wespeaker"),
    "ecapa-speechbrain": EcapaConfig(channels=32, mfa_channels=48, scale=4, se_channels=8, attention_channels=8, embed_dim=12,
                                     variant="speechbrain"),
    "resnetse34l": ResNetSE34LConfig(widths=NARROW, se_reduction=2, embed_dim=12),
    "resnetse34l-channels-first": ResNetSE34LConfig(widths=NARROW, se_reduction=2, embed_dim=12, channels_last=False),
    "lresnet34-pooled": LResNet34Config(widths=NARROW),
    "lresnet34-pooled-attentive": LResNet34Config(widths=NARROW, pooling="attentive", attention_channels=8),
    "lresnet34-affine": LResNet34Config(widths=NARROW, embedding="affine", embed_dim=12),
    "lresnet34-image": LResNet34Config(widths=NARROW, embedding="image", embed_dim=12, channels_last=False),
    "lresnet34-unbiased": LResNet34Config(widths=NARROW, embedding="affine", embed_dim=12, unbiased=True),
    "cpc": CpcEncoderConfig(channels=20, context_dim=12),
    "cpc-bidirectional": CpcEncoderConfig(channels=20, context_dim=6, bidirectional=True, context="lstm", pooling="mean", peak=False),
    "cpc-sinc": CpcEncoderConfig(channels=20, context_dim=12, first="sinc", norm="channel", bidirectional=True, window_seconds=0.2),
    "dsvae": DsvaeEncoderConfig(channels=12, hidden_dim=10, embed_dim=6, content_dim=5, decoder_channels=8, decoder_hidden=9),
    "dsvae-ridge": DsvaeEncoderConfig(channels=12, hidden_dim=10, embed_dim=6, content_dim=5, decoder_channels=8, decoder_hidden=9,
                                      ridge=0.1, decorrelate="means", skip=True),
    "pase": PaseEncoderConfig(**PASE),
    "pase-plus": PaseEncoderConfig(**PASE, skips=True, context="qrnn", context_dim=10),
    "pase-skips": PaseEncoderConfig(**PASE, skips=True, window_seconds=0.2),
    "pase-forwards": PaseEncoderConfig(**PASE, context="qrnn", context_dim=10, bidirectional=False),
    "cpc-steps": CpcEncoderConfig(channels=20, context="none", pooling="mean"),
    "wav2vec2": Wav2Vec2EncoderConfig(**SMALL, window_seconds=0.5),
    "wav2vec2-layers": Wav2Vec2EncoderConfig(**SMALL, pooling="layers", conv_norm="every", conv_bias=True, norm_first=True, normalise=True),
    "wav2vec": VqWav2vecEncoderConfig(**VQ, quantiser=None, log_compression=True, activation="relu"),
    "vq-wav2vec": VqWav2vecEncoderConfig(**VQ, quantiser={"name": "gumbel", "codes": 6}),
    "vq-wav2vec-kmeans": VqWav2vecEncoderConfig(**VQ, quantiser={"name": "kmeans", "codes": 6}),
    "vq-wav2vec-seed": VqWav2vecEncoderConfig(**{**VQ, "aggregator": RELATE}, norm="channel", pooling="last",
                                              quantiser={"name": "gumbel", "codes": 6, "dim": 8, "depth": 1}),
    "wavlm": Wav2Vec2EncoderConfig(**SMALL, relative_buckets=16, relative_distance=20),
    "wavlm-mhfa": Wav2Vec2EncoderConfig(**SMALL, **MHFA, relative_buckets=16, relative_distance=20, window_seconds=0.5),
    "wavlm-mhfa-lora": Wav2Vec2EncoderConfig(**SMALL, **MHFA, relative_buckets=16, relative_distance=20,
                                             lora={"rank": 3, "targets": ["q"]}),
    "wav2vec2-lora": Wav2Vec2EncoderConfig(**SMALL, pooling="layers", lora={"rank": 2, "alpha": 3}),
}


def encoder_of(name: str) -> Encoder:
    torch.manual_seed(5)
    return build(CONFIGS[name], num_features(name))


def num_features(name: str) -> int:
    return 1 if reads_waveform(CONFIGS[name]) else F


def inputs(name: str, batch: int, frames: int, seed: int = 6) -> torch.Tensor:
    """Features (batch, frames, F), or waveforms of as many steps (batch, samples)."""
    shape = (batch, frames * STEP) if reads_waveform(CONFIGS[name]) else (batch, frames, F)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def settled(name: str) -> Encoder:
    """In eval mode, after a few training batches, so that BatchNorm's statistics are not the initial ones."""
    encoder = encoder_of(name)
    with torch.no_grad():
        for seed in range(3):
            encoder(inputs(name, 8, 40, seed))
    return encoder.eval()
