"""The architectures of wav2vec 2.0, HuBERT and WavLM, as torchaudio implements them, and their weights in local files.

Baevski et al. 2020, Hsu et al. 2021, Babu et al. 2021 (XLS-R), Chen et al. 2022. Files are in torchaudio's format: the state_dict that
torchaudio.pipelines' bundles fetch, or what torchaudio.models.wav2vec2.utils makes of other formats.
"""
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchaudio import models
from torchaudio.models.wav2vec2.wavlm_attention import WavLMSelfAttention

from sslspk.encoders.config_waves import LoraConfig, Wav2Vec2EncoderConfig
from sslspk.errors import InputError
from sslspk.nn import low_rank, onednn, saved

RATE = 16000
RANDOM = "random"
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


def make(config: Wav2Vec2EncoderConfig) -> nn.Module:
    """torchaudio's model of these sizes, with the initial weights that fairseq pre-trains from.

    Linear layers of the Transformer N(0, 0.02^2) without bias, convolutions He's normal, the one that tells positions
    N(0, 4 / (kernel dim)); all else as torch makes it.
    """
    sizes = {
        "extractor_mode": "group_norm" if config.conv_norm == "first" else "layer_norm",
        "extractor_conv_layer_config": [(config.channels, *layer) for layer in zip(config.kernels, config.strides, strict=True)],
        "extractor_conv_bias": config.conv_bias, "encoder_embed_dim": config.dim, "encoder_projection_dropout": config.input_dropout,
        "encoder_pos_conv_kernel": config.position_kernel, "encoder_pos_conv_groups": config.position_groups,
        "encoder_num_layers": config.layers, "encoder_num_heads": config.heads, "encoder_attention_dropout": config.attention_dropout,
        "encoder_ff_interm_features": config.ff_dim, "encoder_ff_interm_dropout": config.ff_dropout, "encoder_dropout": config.dropout,
        "encoder_layer_norm_first": config.norm_first, "encoder_layer_drop": 0.0, "aux_num_out": None}
    if config.relative_buckets:
        model = models.wavlm_model(**sizes, encoder_num_buckets=config.relative_buckets, encoder_max_distance=config.relative_distance)
    else:
        model = models.wav2vec2_model(**sizes)
    for layer in model.encoder.transformer.layers.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    for block in model.feature_extractor.conv_layers:
        nn.init.kaiming_normal_(block.conv.weight)
    conv = model.encoder.transformer.pos_conv_embed.conv
    conv.weight = nn.init.normal_(torch.empty_like(conv.weight), std=2 / (config.position_kernel * config.dim) ** 0.5)
    nn.init.zeros_(conv.bias)
    return onednn.take_over(model)


def add_lora(model: nn.Module, config: LoraConfig) -> None:
    """Freeze a model, and learn LoRA on the projections of its attention."""
    model.requires_grad_(False)
    blocks = [("q", "k", "v").index(target) for target in dict.fromkeys(config.targets)]
    for layer in model.encoder.transformer.layers:
        if isinstance(layer.attention, WavLMSelfAttention):   # whose three projections are the blocks of one matrix
            low_rank.add(layer.attention.attention, "in_proj_weight", config.rank, config.alpha, 3, blocks)
            continue
        for target in dict.fromkeys(config.targets):
            low_rank.add(getattr(layer.attention, f"{target}_proj"), "weight", config.rank, config.alpha)


def build(arch: str, checkpoint: str, seed: int = 0) -> nn.Module:
    """The model that `arch` names with the weights of the file `checkpoint`, or fresh ones of `seed` when it is "random".

    Raises InputError naming file, first odd key and remedy.
    """
    if arch not in ARCHES:
        raise InputError(f"the architecture {arch!r} is unknown; choose one of {', '.join(ARCHES)}.")
    state = None if checkpoint == RANDOM else read_state(checkpoint)   # first, as it can fail fast
    torch.manual_seed(seed)
    model = ARCHES[arch].make()
    if state is not None:
        model.load_state_dict(_fitted(state, model.state_dict(), arch, checkpoint))
    return onednn.take_over(model)


def config_of(arch: str) -> Wav2Vec2EncoderConfig:
    """The sizes of an architecture and the probabilities of its dropouts, as the options of an encoder that is trained."""
    with torch.device("meta"):   # takes no memory
        model = ARCHES[arch].make()
    blocks, net = model.feature_extractor.conv_layers, model.encoder.transformer
    layer, positions = net.layers[0], net.pos_conv_embed
    attention = layer.attention.attention if isinstance(layer.attention, WavLMSelfAttention) else layer.attention
    relative = {"relative_buckets": layer.attention.num_buckets, "relative_distance": layer.attention.max_distance} \
        if isinstance(layer.attention, WavLMSelfAttention) else {}
    return Wav2Vec2EncoderConfig(
        rate=RATE, normalise=ARCHES[arch].normalise, channels=blocks[0].conv.out_channels, kernels=tuple(x.kernel_size for x in blocks),
        strides=tuple(x.stride for x in blocks), conv_norm="first" if isinstance(blocks[0].layer_norm, nn.GroupNorm) else "every",
        conv_bias=blocks[0].conv.bias is not None, position_kernel=positions.kernel_size, position_groups=positions.conv.groups,
        layers=len(net.layers), dim=positions.embed_dim, heads=layer.attention.num_heads,
        ff_dim=layer.feed_forward.intermediate_dense.out_features, norm_first=layer.layer_norm_first, layer_drop=net.layer_drop,
        input_dropout=model.encoder.feature_projection.dropout.p, dropout=layer.dropout.p, attention_dropout=attention.dropout,
        ff_dropout=layer.feed_forward.intermediate_dropout.p, **relative)


def read_state(path: str, kind: str = f"a torchaudio model ({CONVERT})",
               remedy: str = f"check the name, or give the word {RANDOM} for a fresh model") -> dict[str, Tensor]:
    """A state_dict that torch.save wrote. No code of the file is run; InputError when it is missing, damaged or something else.

    kind: of what model it should be; remedy: for a file that is missing.
    """
    save = f"give a file that torch.save(model.state_dict(), FILE) made of {kind}"
    try:
        state = saved.read(path, remedy, legacy=True)
    except saved.HoldsObjects:
        raise InputError(f"{path}: holds Python objects beside tensors, and loading those could run code; {save}.") from None
    except (saved.Unreadable, OSError) as err:
        raise InputError(f"{path}: damaged, or not a checkpoint ({err}); copy or download it again.") from None
    if isinstance(state, dict) and {"format", "config", "encoders"} <= state.keys():
        raise InputError(f"{path}: a model of this toolkit, not a state_dict; name it alone, without an architecture before it.")
    if not isinstance(state, dict):
        raise InputError(f"{path}: holds a {type(state).__name__}, not a state_dict; {save}.")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: not a state_dict, as its entry {key} is a {type(value).__name__}; {save}.")
    return state


def _fitted(state: dict[str, Tensor], own: dict[str, Tensor], arch: str, path: str) -> dict[str, Tensor]:
    """The state with the keys of `own`; InputError naming the first key that is missing, is too many, or has another shape."""
    state = {_current(key, own): value for key, value in state.items()}
    what = saved.misfit(state, own)
    if what is None:
        return state
    aux, rest = [key for key in state if key not in own], {key: value for key, value in state.items() if key in own}
    if aux and all(key.startswith("aux.") for key in aux) and saved.misfit(rest, own) is None:
        raise InputError(f"{path}: {aux[0]} shows that this model was fine-tuned on labels (speech recognition); give the weights "
                         "as they were before, of the bundle without ASR in its name.")
    raise InputError(f"{path}: not the weights of {arch}, as {what}; give the architecture that they are of, or a file in torchaudio's "
                     f"format ({CONVERT}).")


def _current(key: str, own: dict[str, Tensor]) -> str:
    """torchaudio's files hold the normed weight of the position convolution under the names that torch gave it before 2.0."""
    for old, new in ((".weight_g", ".parametrizations.weight.original0"), (".weight_v", ".parametrizations.weight.original1")):
        if key.endswith(old) and key.removesuffix(old) + new in own:
            return key.removesuffix(old) + new
    return key
