"""What is inside an encoder: the output of one of its layers, frame by frame or averaged over time."""
import textwrap
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslspk.encoders.base import Encoder
from sslspk.encoders.projected import Projected
from sslspk.encoders.windows import mean_embedding
from sslspk.errors import InputError, shown

NAMES = 50   # letters of the names of layers in a message


def layer_names(encoder: nn.Module) -> list[str]:
    """The names of an encoder's layers, as `at_layer` takes them, the outermost first."""
    return sorted((name for name, _ in encoder.named_modules() if name), key=lambda name: name.count("."))


@torch.no_grad()
def at_layer(encoder: Encoder | Projected, name: str, x: Tensor) -> Tensor:
    """(B, T, F) -> (B, D), the output of the layer called `name`: vectors as they are, maps (B, C, T) or (B, C, F, T) as means over time.

    Of an encoder that sees a waveform (B, S) in several windows, or in both directions, the mean over these. Of a Transformer `name` may
    be the number of a layer, as `frames_at` takes it.

    Raises InputError for a name that the encoder does not have, or a layer whose output is neither.
    """
    number = _number(encoder, name)
    if number is not None:
        bare = _bare(encoder)
        return mean_embedding(lambda part: bare.layers(part, number)[number].float().mean(1), x, bare.window, False)
    seen = _outputs(encoder, name, lambda: encoder(x))
    whole = all(isinstance(output, Tensor) and 2 <= output.ndim <= 4 for output in seen)
    if not seen or not whole or (x.ndim > 2 and len(seen) > 1):
        raise InputError(f"layer {name}: this layer does not give one vector or map an utterance; choose another one.")
    output = torch.cat(seen).float()
    output = output if output.ndim == 2 else output.mean(-1).flatten(1)
    return output.unflatten(0, (len(x), -1)).mean(1) if x.ndim == 2 else output


@torch.no_grad()
def frames_at(encoder: Encoder | Projected, name: str | None, x: Tensor) -> Tensor:
    """(B, T, F) or (B, S) -> (B, T', C): the frames that are pooled, or those of the layer called `name`, (B, C, T') or (B, C, F, T').

    Of a Transformer `name` may be a number: 0 is what enters its first layer, N the output of layer N. Raises InputError for a layer that
    the encoder does not have, or that gives no map of each utterance.
    """
    if name is None:
        return encoder.frames(x)
    number = _number(encoder, name)
    if number is not None:
        return _bare(encoder).layers(x, number)[number]
    seen = _outputs(encoder, name, lambda: encoder.frames(x))
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or seen[0].ndim not in (3, 4) or len(seen[0]) != len(x):
        raise InputError(f"layer {name}: this layer does not give one map an utterance; choose another one.")
    return seen[0].flatten(1, -2).transpose(1, 2)


def require(encoder: Encoder | Projected, name: str) -> None:
    """Raises InputError where the encoder has no layer, and no number of one, called `name`."""
    names = layer_names(encoder)
    if _number(encoder, name) is None and name not in names:
        first = textwrap.shorten(", ".join(names), NAMES, placeholder=" ...")
        raise InputError(f"layer {shown(name, 30)}: this encoder has no such layer; it has {first} (parts of parts, too).")


def _bare(encoder: Encoder | Projected) -> Encoder:
    return encoder.encoder if isinstance(encoder, Projected) else encoder


def _number(encoder: Encoder | Projected, name: str) -> int | None:
    """The number of a Transformer's layer; None where it is another encoder, or a name. Raises InputError for one that it lacks."""
    count = _bare(encoder).num_layers
    if not count or not (name.isascii() and name.isdigit()):
        return None
    if len(name) > 9 or int(name) > count:
        raise InputError(f"layer {name[:20]}: this encoder has the layers 0 (what enters the first one) to {count}; give one of them.")
    return int(name)


def _outputs(encoder: nn.Module, name: str, run: Callable[[], Tensor]) -> list:
    """What the layer called `name` gave, each time that it was called while `run` ran. Raises InputError for a name that is none."""
    require(encoder, name)
    seen: list = []
    hook = dict(encoder.named_modules())[name].register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        run()
    finally:
        hook.remove()
    return seen
