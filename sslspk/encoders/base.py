"""The interface of an encoder: it reads features or a waveform, and gives frames or one embedding per utterance."""
import abc
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslspk.errors import InputError


class Encoder(nn.Module, abc.ABC):
    """One encoder of features (B, T, F), or of waveforms (B, S) of S samples in -1 to 1.

    Features arrive normalised (CMN), and an encoder of features has no normalisation of its own.

    frames(x) -> (B, T', C)   what is pooled; T' <= T
    forward(x) -> (B, D)      the embedding, without length normalisation
    num_layers: of a Transformer, whose layers(x) gives 1 + num_layers of (B, T', C), what enters the first layer and each one's output;
        layers(x, n) computes the first n layers alone. Of other encoders 0
    optional: names of weights, and of parts, that depend on the pooling, so that a model with another one lacks them.
    embed_dim D, num_features F; input: "feats", or "wave" (then F is 1); min_frames: the least T, or S, for which T' >= 1.

    Fewer frames than min_frames are padded by repeating the first and the last frame (half each), so that a very short
    recording has an embedding. InputError for no frames at all and for another number of features.
    In eval mode the result does not depend on the rest of the batch.
    """

    input = "feats"
    min_frames = 1
    num_layers = 0
    optional: tuple[str, ...] = ()

    def __init__(self, num_features: int, embed_dim: int):
        super().__init__()
        self.num_features, self.embed_dim = num_features, embed_dim
        self._trained: tuple[nn.Module, ...] | None = None   # of a frozen encoder: the parts that are not

    @property
    def last_layers(self) -> list[nn.Module]:
        """The affine layers above the pooling, which fine-tuning may train alone; none where the embedding is what was pooled."""
        return []

    @property
    def depths(self) -> list[list[nn.Module]]:
        """The parts from the input on, by depth, for learning rates by layer; none where an encoder has no such order."""
        return []

    @property
    def blocks_to_recompute(self) -> list[nn.Module]:
        """The parts whose inner results need not be kept for the backward pass (train.recompute). None of them changes its input."""
        return []

    def adopted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state of another model in the form of this one's: of what depends on the pooling, where that differs, this one's own."""
        own = self.state_dict()

        def depends(key: str) -> bool:
            return any(key == name or key.startswith(f"{name}.") for name in self.optional)
        return {**{key: value for key, value in state.items() if not depends(key) or key in own},
                **{key: value for key, value in own.items() if depends(key) and key not in state}}

    def freeze(self, but: Sequence[nn.Module] = ()) -> None:
        """Freeze all weights and BatchNorm statistics except those of the parts `but`, whatever train() is called with."""
        self._trained = tuple(but)
        self.requires_grad_(False)
        for part in self._trained:
            part.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Encoder":
        if self._trained is None:
            return super().train(mode)
        super().train(False)
        for part in self._trained:
            part.train(mode)
        return self

    def frames(self, x: Tensor) -> Tensor:
        return self._maps(self._checked(x)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self._embed(self._maps(self._checked(x)))

    @abc.abstractmethod
    def _maps(self, x: Tensor) -> Tensor:
        """(B, T, F) or (B, S) -> (B, C, T'), the layout of the convolutions."""

    @abc.abstractmethod
    def _embed(self, maps: Tensor) -> Tensor:
        """(B, C, T') -> (B, D)."""

    def _checked(self, x: Tensor) -> Tensor:
        if self.input == "wave" and x.ndim != 2:
            raise InputError(f"the encoder reads waveforms (recordings, samples) and was given an array of shape {tuple(x.shape)}; use "
                             "the configuration that it was trained with.")
        if self.input == "feats" and (x.ndim != 3 or x.shape[2] != self.num_features):
            raise InputError(f"the encoder was built for frames of {self.num_features} features and was given an array of shape "
                             f"{tuple(x.shape)}; use the feature configuration that it was trained with.")
        if x.shape[1] == 0:
            raise InputError("an utterance without any frame or sample has no embedding; leave it out of the data directory.")
        missing = self.min_frames - x.shape[1]
        if torch.onnx.is_in_onnx_export():   # in tracing, x.shape holds tensors: an `if` would be fixed to the example
            missing = missing.clamp(min=0)
        elif missing <= 0:
            return x
        position = torch.arange(x.shape[1] + missing, device=x.device) - missing // 2
        return x[:, position.clamp(min=0).clamp(max=x.shape[1] - 1)]
