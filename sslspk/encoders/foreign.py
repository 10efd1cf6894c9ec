"""Speaker embedding models of wespeaker and speechbrain, read into ours: their weights in local files, and their features.

Names and shapes of weights are mapped from their state_dicts. Differences of their computation are options of our encoders
(EcapaConfig.variant, LResNet34Config.unbiased). A bias before a softmax over time has no effect, and is left out.
"""
import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sslspk.encoders import architectures, build
from sslspk.encoders.config import EcapaConfig, LResNet34Config
from sslspk.errors import InputError
from sslspk.features.config import CmvnOptions, FeatureOptions
from sslspk.nn import saved

Names = tuple[tuple[str, str], ...]   # pattern of their names, ours; no name of ours: left out
State = dict[str, Tensor]
WESPEAKER_ECAPA: Names = (
    (r"layer1\.conv\.(.*)", r"first.conv.\1"), (r"layer1\.bn\.(.*)", r"first.norm.\1"),
    (r"layer(\d)\.se_res2block\.([02])\.conv\.(.*)", r"blocks.\1.layers.\2.conv.\3"),
    (r"layer(\d)\.se_res2block\.([02])\.bn\.(.*)", r"blocks.\1.layers.\2.norm.\3"),
    (r"layer(\d)\.se_res2block\.1\.convs\.(.*)\.(.*)", r"blocks.\1.layers.1.layers.\2.conv.\3"),
    (r"layer(\d)\.se_res2block\.1\.bns\.(.*)\.(.*)", r"blocks.\1.layers.1.layers.\2.norm.\3"),
    (r"layer(\d)\.se_res2block\.3\.linear1\.(.*)", r"blocks.\1.layers.3.squeeze.\2"),
    (r"layer(\d)\.se_res2block\.3\.linear2\.(.*)", r"blocks.\1.layers.3.excite.\2"),
    (r"conv\.(.*)", r"aggregate.\1"), (r"pool\.linear1\.(.*)", r"pooling.hidden.\1"), (r"pool\.linear2\.weight", "pooling.scores.weight"),
    (r"pool\.linear2\.bias", ""), (r"bn\.(.*)", r"norm.\1"), (r"linear\.(.*)", r"affine.\1"), (r"projection\..*", ""))
WESPEAKER_RESNET: Names = (
    (r"conv1\.(.*)", r"conv.\1"), (r"bn1\.(.*)", r"norm.\1"), (r"layer(\d)\.(\d+)\.conv(\d)\.(.*)", r"stages.\1.\2.conv\3.\4"),
    (r"layer(\d)\.(\d+)\.bn(\d)\.(.*)", r"stages.\1.\2.norm\3.\4"),
    (r"layer(\d)\.(\d+)\.shortcut\.0\.(.*)", r"stages.\1.\2.shortcut.conv.\3"),
    (r"layer(\d)\.(\d+)\.shortcut\.1\.(.*)", r"stages.\1.\2.shortcut.norm.\3"), (r"seg_1\.(.*)", r"affine.\1"), (r"projection\..*", ""))
SPEECHBRAIN_ECAPA: Names = (
    (r"blocks\.0\.conv\.conv\.(.*)", r"first.conv.\1"), (r"blocks\.0\.norm\.norm\.(.*)", r"first.norm.\1"),
    (r"blocks\.(\d)\.tdnn1\.(conv|norm)\.\2\.(.*)", r"blocks.\1.layers.0.\2.\3"),
    (r"blocks\.(\d)\.tdnn2\.(conv|norm)\.\2\.(.*)", r"blocks.\1.layers.2.\2.\3"),
    (r"blocks\.(\d)\.res2net_block\.blocks\.(\d+)\.(conv|norm)\.\3\.(.*)", r"blocks.\1.layers.1.layers.\2.\3.\4"),
    (r"blocks\.(\d)\.se_block\.conv1\.conv\.(.*)", r"blocks.\1.layers.3.squeeze.\2"),
    (r"blocks\.(\d)\.se_block\.conv2\.conv\.(.*)", r"blocks.\1.layers.3.excite.\2"),
    (r"mfa\.conv\.conv\.(.*)", r"aggregate.\1"), (r"mfa\.norm\.norm\.(.*)", r"aggregate_norm.\1"),
    (r"asp\.tdnn\.conv\.conv\.(.*)", r"pooling.hidden.\1"), (r"asp\.tdnn\.norm\.norm\.(.*)", r"pooling.norm.\1"),
    (r"asp\.conv\.conv\.weight", "pooling.scores.weight"), (r"asp\.conv\.conv\.bias", ""), (r"asp_bn\.norm\.(.*)", r"norm.\1"),
    (r"fc\.conv\.(.*)", r"affine.\1"))


class Foreign(NamedTuple):
    """An encoder of ours with another toolkit's weights, and the features that these were trained on."""

    encoder: EcapaConfig | LResNet34Config
    features: FeatureOptions
    cmvn: CmvnOptions
    state: State


def read(arch: str, checkpoint: str) -> Foreign:
    """The model `arch` (one of ARCHES) whose state_dict is in the file. Raises InputError: as architectures.read_state; other weights."""
    theirs = architectures.read_state(checkpoint, f"a model of {arch.partition('_')[0]}", "give the file of its weights")
    try:
        found = ARCHES[arch](theirs)
    except KeyError as err:
        raise misfit(checkpoint, arch, f"{err.args[0]} is missing") from None
    except (IndexError, ValueError, RuntimeError):   # which an array of another shape leads to
        raise misfit(checkpoint, arch, "its arrays have other shapes") from None
    with torch.device("meta"):   # takes no memory
        own = build(found.encoder, found.features.num_features).state_dict()
    wrong = saved.misfit(found.state, own)
    if wrong:
        raise misfit(checkpoint, arch, wrong)
    return found


def misfit(checkpoint: str, arch: str, why: str) -> InputError:
    return InputError(f"{checkpoint}: not the weights of {arch}, as {why}; give the architecture that they are of.")


def renamed(theirs: State, names: Names) -> State:
    """With our names; a name that no pattern knows stays as it is."""
    found = {}
    for key, value in theirs.items():
        name = next((re.sub(pattern, ours, key) for pattern, ours in names if re.fullmatch(pattern, key)), key)
        if name:
            found[name] = value
    return found


def shifted(state: State, prefix: str, by: int) -> State:
    """Numbers of blocks behind the prefix, less `by`."""
    return {re.sub(rf"^{prefix}\.(\d)", lambda found: f"{prefix}.{int(found[1]) - by}", key): value for key, value in state.items()}


def ecapa(state: State, variant: str) -> tuple[EcapaConfig, State]:
    """Sizes from shapes; 1x1 convolutions become linear layers, and the attention's is parted into that of frames and that of context."""
    hidden, channels = state["pooling.hidden.weight"], state["aggregate.weight"].shape[0]
    for key in [key for key in state if re.search(r"(squeeze|excite|affine)\.weight$", key)]:
        state[key] = state[key].flatten(1)
    if hidden.shape[1] > channels:
        state["pooling.context.weight"] = hidden[:, channels:].flatten(1)
    state["pooling.hidden.weight"] = hidden[:, :channels]
    scale = 1 + len({key for key in state if re.fullmatch(r"blocks\.0\.layers\.1\.layers\.\d+\.conv\.weight", key)})
    config = EcapaConfig(
        channels=state["first.conv.weight"].shape[0], mfa_channels=channels, scale=scale, attention_channels=hidden.shape[0],
        se_channels=state["blocks.0.layers.3.squeeze.weight"].shape[0], global_context=hidden.shape[1] > channels,
        embed_dim=state["affine.weight"].shape[0], variant=variant)
    return config, state


def wespeaker_features(bins: int) -> tuple[FeatureOptions, CmvnOptions]:
    return FeatureOptions(num_mel_bins=bins, window_type="hamming"), CmvnOptions()


def wespeaker_ecapa(theirs: State) -> Foreign:
    """Their Res2 blocks pass the last group of channels on, ours the first: the groups change places before and after."""
    config, state = ecapa(shifted(renamed(theirs, WESPEAKER_ECAPA), "blocks", 2), "wespeaker")
    width = config.channels // config.scale
    for key in state:
        if re.fullmatch(r"blocks\.\d\.layers\.0\..*", key) and state[key].ndim:
            state[key] = state[key].roll(width, 0)
        elif re.fullmatch(r"blocks\.\d\.layers\.2\.conv\.weight", key):
            state[key] = state[key].roll(width, 1)
    return Foreign(config, *wespeaker_features(state["first.conv.weight"].shape[1]), state)


def wespeaker_resnet34(theirs: State) -> Foreign:
    """Stages of blocks become one row of blocks."""
    state, first = renamed(theirs, WESPEAKER_RESNET), (0, 0, 3, 7, 13)
    state = {re.sub(r"^stages\.([1-4])\.(\d+)", lambda found: f"stages.{first[int(found[1])] + int(found[2])}", key): value
             for key, value in state.items()}
    width, (dim, pooled) = state["conv.weight"].shape[0], state["affine.weight"].shape
    config = LResNet34Config(widths=(width, 2 * width, 4 * width, 8 * width), embedding="affine", embed_dim=dim, unbiased=True)
    return Foreign(config, *wespeaker_features(pooled // (16 * width) * 8), state)


def speechbrain_ecapa(theirs: State) -> Foreign:
    config, state = ecapa(shifted(renamed(theirs, SPEECHBRAIN_ECAPA), "blocks", 1), "speechbrain")
    features = FeatureOptions(feature_type="fbank_db", num_mel_bins=state["first.conv.weight"].shape[1], low_freq=0)
    return Foreign(config, features, CmvnOptions(), state)


ARCHES: dict[str, Callable[[State], Foreign]] = {
    "wespeaker_ecapa": wespeaker_ecapa, "wespeaker_resnet34": wespeaker_resnet34, "speechbrain_ecapa": speechbrain_ecapa}
