"""Frame-level self-supervised models of raw audio, pooled over time: wav2vec 2.0, HuBERT and WavLM as torchaudio implements them.

Baevski et al. 2020, Hsu et al. 2021, Babu et al. 2021 (XLS-R), Chen et al. 2022. Weights come from a local file in torchaudio's
format: the state_dict that torchaudio.pipelines' bundles fetch, or what torchaudio.models.wav2vec2.utils makes of other formats.
"""
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio import models

from sslspk.errors import InputError
from sslspk.nn import saved

RATE, FULL_SCALE = 16000, 32768
RANDOM = "random"
POOLINGS = ("mean", "meanstd")
CONVERT = "torchaudio.models.wav2vec2.utils converts those of fairseq and Hugging Face"


class Arch(NamedTuple):
    """A torchaudio factory, and whether its published weights want waveforms of mean 0 and variance 1."""

    make: Callable[[], nn.Module]
    normalise: bool


# normalise: `_normalize_waveform` of the bundles of torchaudio.pipelines with pre-trained weights of this architecture, on which
# they agree (a test compares). It goes with the layer_norm extractor; wav2vec2_large, of LibriSpeech, has the group_norm one.
ARCHES = {
    "wav2vec2_base": Arch(models.wav2vec2_base, False),              # WAV2VEC2_BASE
    "wav2vec2_large": Arch(models.wav2vec2_large, False),            # WAV2VEC2_LARGE
    "wav2vec2_large_lv60k": Arch(models.wav2vec2_large_lv60k, True), # WAV2VEC2_LARGE_LV60K, WAV2VEC2_XLSR53
    "wav2vec2_xlsr_300m": Arch(models.wav2vec2_xlsr_300m, True),     # WAV2VEC2_XLSR_300M
    "wav2vec2_xlsr_1b": Arch(models.wav2vec2_xlsr_1b, True),         # WAV2VEC2_XLSR_1B
    "wav2vec2_xlsr_2b": Arch(models.wav2vec2_xlsr_2b, True),         # WAV2VEC2_XLSR_2B
    "hubert_base": Arch(models.hubert_base, False),                  # HUBERT_BASE
    "hubert_large": Arch(models.hubert_large, True),                 # HUBERT_LARGE
    "hubert_xlarge": Arch(models.hubert_xlarge, True),               # HUBERT_XLARGE
    "wavlm_base": Arch(models.wavlm_base, False),                    # WAVLM_BASE, WAVLM_BASE_PLUS
    "wavlm_large": Arch(models.wavlm_large, True),                   # WAVLM_LARGE
}


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
        self.receptive_field = 1
        for block in reversed(model.feature_extractor.conv_layers):
            self.receptive_field = (self.receptive_field - 1) * block.stride + block.kernel_size

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
    """The model that `arch` names, in eval mode, with the weights of the file `checkpoint`, or fresh ones of `seed` when it is "random".

    normalise: whether to layer_norm waveforms; None: as ARCHES says. Raises InputError naming file, first odd key and remedy.
    """
    if arch not in ARCHES:
        raise InputError(f"the architecture {arch!r} is unknown; choose one of {', '.join(ARCHES)}.")
    state = None if checkpoint == RANDOM else read_state(checkpoint)   # first, as it can fail fast
    torch.manual_seed(seed)
    model = ARCHES[arch].make()
    if state is not None:
        model.load_state_dict(_fitted(state, model.state_dict(), arch, checkpoint))
    return FrameModel(arch, model, ARCHES[arch].normalise if normalise is None else normalise).eval()


def read_state(path: str) -> dict[str, Tensor]:
    """A state_dict that torch.save wrote. No code of the file is run; InputError when it is missing, damaged or something else."""
    save = f"give a file that torch.save(model.state_dict(), FILE) made of a torchaudio model ({CONVERT})"
    try:
        state = saved.read(path, f"check the name, or give the word {RANDOM} for a fresh model", legacy=True)
    except saved.HoldsObjects:
        raise InputError(f"{path}: holds Python objects beside tensors, and loading those could run code; {save}.") from None
    except (saved.Unreadable, OSError) as err:
        raise InputError(f"{path}: damaged, or not a checkpoint ({err}); copy or download it again.") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds a {type(state).__name__}, not a state_dict; {save}.")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: not a state_dict, as its entry {key} is a {type(value).__name__} and not a tensor; {save}.")
    return state


def _fitted(state: dict[str, Tensor], own: dict[str, Tensor], arch: str, path: str) -> dict[str, Tensor]:
    """The state with the keys of `own`; InputError naming the first key that is missing, is too many, or has another shape."""
    state = {_current(key, own): value for key, value in state.items()}
    what = saved.misfit(state, own)
    if what is None:
        return state
    aux, rest = [key for key in state if key not in own], {key: value for key, value in state.items() if key in own}
    if aux and all(key.startswith("aux.") for key in aux) and saved.misfit(rest, own) is None:
        raise InputError(f"{path}: {aux[0]} tells that this model was fine-tuned on labels (speech recognition); give the weights "
                         "as they were before, of the bundle without ASR in its name.")
    raise InputError(f"{path}: not the weights of {arch}, as {what}; give the architecture that they are of, or a file in torchaudio's "
                     f"format ({CONVERT}).")


def _current(key: str, own: dict[str, Tensor]) -> str:
    """torchaudio's files hold the normed weight of the position convolution under the names that torch gave it before 2.0."""
    for old, new in ((".weight_g", ".parametrizations.weight.original0"), (".weight_v", ".parametrizations.weight.original1")):
        if key.endswith(old) and key.removesuffix(old) + new in own:
            return key.removesuffix(old) + new
    return key
