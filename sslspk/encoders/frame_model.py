"""Frame-level self-supervised models of raw audio, pooled over time: wav2vec 2.0, HuBERT and WavLM (sslspk.encoders.architectures)."""
import torch
from torch import Tensor, nn
from torch.nn import functional

from sslspk.encoders import architectures
from sslspk.encoders.config_waves import receptive_field
from sslspk.errors import InputError

FULL_SCALE = 32768
POOLINGS = ("mean", "meanstd")


class FrameModel(nn.Module):
    """int16 samples (S,) at 16 kHz in; frames (T, C) of a layer, or one embedding (D,), out.

    num_layers: the transformer layers are 1 to num_layers. receptive_field: the samples that the first frame sees; what is shorter
    is padded with zeros at its end. normalise: layer_norm the waveform, as the published weights of the architecture want it.
    A layer's output is what torchaudio's extract_features gives: without the layer norm that some architectures end with.
    """

    def __init__(self, name: str, model: nn.Module, normalise: bool):
        super().__init__()
        self.name, self.model, self.normalise = name, model, normalise
        self.num_layers = len(model.encoder.transformer.layers)
        blocks = model.feature_extractor.conv_layers
        self.receptive_field = receptive_field([block.kernel_size for block in blocks], [block.stride for block in blocks])

    def check_layer(self, layer: str) -> int | None:
        """The number of a layer, None for `mean`; InputError for one that the model does not have."""
        if layer == "mean":
            return None
        if not (layer.isascii() and layer.isdigit() and 1 <= int(layer) <= self.num_layers):
            raise InputError(f"--layer {layer}: {self.name} has the layers 1 to {self.num_layers}; give one of them, or mean.")
        return int(layer)

    def frames(self, samples: Tensor, layer: str = "mean") -> Tensor:
        """int16 (S,) -> (T, C): a layer's output, or with `mean` the mean of all layers'."""
        number = self.check_layer(layer)
        wave = samples.float() / FULL_SCALE
        if self.normalise:
            wave = functional.layer_norm(wave, wave.shape)
        wave = functional.pad(wave, (0, max(0, self.receptive_field - len(wave))))
        outputs, _ = self.model.extract_features(wave[None], num_layers=number)      # of layers 1 to `number`, each (1, T, C)
        return (sum(outputs) / len(outputs) if number is None else outputs[-1])[0]

    def forward(self, samples: Tensor, layer: str = "mean", pooling: str = "mean") -> Tensor:
        """int16 (S,) -> (D,): the mean over time, D = C; with meanstd the standard deviation (over T, not T - 1) too, D = 2 C."""
        if pooling not in POOLINGS:
            raise InputError(f"the pooling {pooling!r} is unknown; choose {' or '.join(POOLINGS)}.")
        frames = self.frames(samples, layer)
        if pooling == "mean":
            return frames.mean(0)
        return torch.cat([frames.mean(0), frames.std(0, correction=0)])


def build(arch: str, checkpoint: str, seed: int = 0, normalise: bool | None = None) -> FrameModel:
    """`architectures.build` in eval mode. normalise: whether to layer_norm waveforms; None: as the published weights want it."""
    model = architectures.build(arch, checkpoint, seed)
    return FrameModel(arch, model, architectures.ARCHES[arch].normalise if normalise is None else normalise).eval()
