"""DSVAE: speaker and content of a recording as two latents (Lian, Zhang & Yu 2022, arXiv 2203.16705), in the sizes of C-DSVAE (Lian et al.
2022, arXiv 2205.05227, Table 1).

Three convolutions read standardised log-mel frames. From their output a bidirectional LSTM makes one Gaussian for the recording, q(z_s|X),
by its mean over time, and another one, with a plain recurrent layer behind it, one Gaussian for each frame, q(z_c|X). The decoder turns
both latents into log-mel frames again; it is AutoVC's (Qian et al. 2019). "InstanceNorm2D" is read as one mean and one variance for all
channels and frames of a recording, without gain. Ours, and off unless asked for: features without their correlations (ridge), means of
z_s of covariance I (whiten), a linear layer from both latents to the frames beside the decoder's LSTMs (skip).

Parameters with F features, C channels, kernel k, H hidden, latents S and Z, D and E the decoder's, L(a, h) = 4 h (a + h + 2) of an LSTM:
    shared   k F C + C + 2 (k C^2 + C)
    speaker  2 L(C, H) + 2 L(2H, H) + 2 (2H S + S)
    content  2 L(C, H) + 2 L(2H, H) + 2H H + H^2 + 2H + 2 (H Z + Z)
    decoder  k (S + Z) D + D + 2 (k D^2 + D) + L(D, D) + L(D, E) + L(E, E) + E F + F
    postnet  k F D + D + 3 (k D^2 + D) + k D F + F
    skip     (S + Z) F + F
With the paper's sizes and 80 features 758,528 + 9,584,768 + 10,306,688 + 19,830,352 + 4,343,888 = 44,824,224.
"""
import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.config_dsvae import DsvaeEncoderConfig
from sslspk.losses.precision import wide
from sslspk.nn.blocks import Stack
from sslspk.nn.standardise import Standardise
from sslspk.nn.whiten import Whiten

EPSILON = 1e-5
FLAT = 1e-3   # of the mean variance of z_s: directions with less are not blown up to the others' size, and rounding is not either
SMALL = 1e-3   # deviation of the last convolution's weights at the start
SHARED, PRENET = 3, 3   # convolutions


class WholeNorm(nn.Module):
    """Mean 0 and variance 1 over all channels and frames of a recording: (B, C, T) -> (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        x = wide(x)
        x = x - x.mean((1, 2), keepdim=True)
        return x * torch.rsqrt(x.square().mean((1, 2), keepdim=True) + EPSILON)


class Float32(nn.Module):
    """A recurrent network that autocast leaves alone, without its states: (B, T, C) -> (B, T, C')."""

    def __init__(self, network: nn.RNNBase):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.network(wide(x))[0]


def conv(channels: int, width: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(channels, width, kernel, padding=kernel // 2)


class Gaussian(nn.Module):
    """Mean and log-variance (..., D) each, float32, by a linear layer each."""

    def __init__(self, dim: int, latent: int):
        super().__init__()
        self.mean, self.log_variance = nn.Linear(dim, latent), nn.Linear(dim, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return wide(self.mean(x)), wide(self.log_variance(x))


class SpeakerBranch(nn.Module):
    """(B, C, T) -> q(z_s|X): mean and log-variance (B, S). whiten: the means have covariance I over training batches."""

    def __init__(self, channels: int, hidden: int, latent: int, whiten: bool):
        super().__init__()
        self.lstm = Float32(nn.LSTM(channels, hidden, num_layers=2, bidirectional=True, batch_first=True))
        self.latent = Gaussian(2 * hidden, latent)
        self.whiten = Whiten(latent, FLAT) if whiten else None

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.latent(self.lstm(maps.transpose(1, 2)).mean(1))
        return mean if self.whiten is None else self.whiten(mean), log_variance


class ContentBranch(nn.Module):
    """(B, C, T) -> q(z_c|X): mean and log-variance (B, T, Z)."""

    def __init__(self, channels: int, hidden: int, latent: int):
        super().__init__()
        self.lstm = Float32(nn.LSTM(channels, hidden, num_layers=2, bidirectional=True, batch_first=True))
        self.rnn = Float32(nn.RNN(2 * hidden, hidden, batch_first=True))
        self.latent = Gaussian(hidden, latent)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return self.latent(self.rnn(self.lstm(maps.transpose(1, 2))))


class Decoder(nn.Module):
    """z_s (B, S), z_c (B, T, Z) -> standardised log-mel frames (B, T, F), float32."""

    def __init__(self, config: DsvaeEncoderConfig, features: int):
        super().__init__()
        width, kernel = config.decoder_channels, config.kernel
        latents = config.embed_dim + config.content_dim
        prenet = [(WholeNorm(), conv(width if i else latents, width, kernel), nn.ReLU()) for i in range(PRENET)]
        self.prenet = Stack(*(layer for block in prenet for layer in block))
        self.first = Float32(nn.LSTM(width, width, batch_first=True))
        self.second = Float32(nn.LSTM(width, config.decoder_hidden, num_layers=2, batch_first=True))
        self.last = nn.Linear(config.decoder_hidden, features)
        self.skip = nn.Linear(latents, features) if config.skip else None
        postnet = [(conv(width if i else features, width, kernel), nn.Tanh(), WholeNorm()) for i in range(config.postnet)]
        self.postnet = Stack(*(layer for block in postnet for layer in block), conv(width, features, kernel)) if postnet else None
        if postnet:   # frames begin about as the LSTM gives them: of the first, nearly constant ones the norms amplify noise
            nn.init.normal_(self.postnet[-1].weight, std=SMALL)
            nn.init.zeros_(self.postnet[-1].bias)

    def forward(self, speaker: Tensor, content: Tensor) -> Tensor:
        both = torch.cat([content, speaker[:, None].expand(-1, content.shape[1], -1)], 2)
        coarse = wide(self.last(self.second(self.first(self.prenet(both.transpose(1, 2)).transpose(1, 2)))))
        coarse = coarse if self.skip is None else coarse + wide(self.skip(both))
        return coarse if self.postnet is None else coarse + wide(self.postnet(coarse.transpose(1, 2))).transpose(1, 2)


class DsvaeEncoder(Encoder):
    """(B, T, F) log-mel, not centred -> the mean of q(z_s|X), (B, S); frames: the means of q(z_c|X), (B, T, Z).

    standardise: of each feature, by the first training batches; with ridge without correlations. channels: of the shared convolutions.
    shared, speaker, content, decoder: the parts, which a method trains together.
    """

    def __init__(self, config: DsvaeEncoderConfig, num_features: int):
        super().__init__(num_features, config.embed_dim)
        self.channels, self.content_dim = config.channels, config.content_dim
        self.standardise = Standardise(num_features, config.statistics_batches, config.ridge, config.decorrelate == "means")
        blocks = [(conv(config.channels if i else num_features, config.channels, config.kernel), WholeNorm(), nn.ReLU())
                  for i in range(SHARED)]
        self.shared = Stack(*(layer for block in blocks for layer in block))
        self.speaker = SpeakerBranch(config.channels, config.hidden_dim, config.embed_dim, config.whiten)
        self.content = ContentBranch(config.channels, config.hidden_dim, config.content_dim)
        self.decoder = Decoder(config, num_features)

    @property
    def last_layers(self) -> list[nn.Module]:
        return [self.speaker.latent]

    def compile(self, *args, **kwargs) -> None:
        """torch.compile the stacks of convolutions, which a method calls one by one. The recurrent layers are kernels already."""
        for stack in (self.shared, self.decoder.prenet, self.decoder.postnet):
            if stack is not None:
                stack.compile(*args, **kwargs)

    def frames(self, x: Tensor) -> Tensor:
        return self.content(self._maps(self._checked(x)))[0]

    def _maps(self, x: Tensor) -> Tensor:
        return self.shared(self.standardise(x).transpose(1, 2))

    def _embed(self, maps: Tensor) -> Tensor:
        return self.speaker(maps)[0]
