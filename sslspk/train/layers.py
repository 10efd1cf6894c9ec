"""Embeddings from inside an encoder: what one of its layers gives, averaged over time."""
import torch
from torch import Tensor, nn

from sslspk.errors import InputError


def layer_names(encoder: nn.Module) -> list[str]:
    """The names of an encoder's layers, as `at_layer` takes them, the outermost first."""
    return sorted((name for name, _ in encoder.named_modules() if name), key=lambda name: name.count("."))


@torch.no_grad()
def at_layer(encoder: nn.Module, name: str, x: Tensor) -> Tensor:
    """(B, T, F) -> (B, D), the output of the layer called `name`: vectors as they are, maps (B, C, T) or (B, C, F, T) as means over time.

    Of an encoder that sees a waveform (B, S) in several windows, or in both directions, the mean over these.

    Raises InputError for a name that the encoder does not have, or a layer whose output is neither.
    """
    layers = dict(encoder.named_modules())
    if not name or name not in layers:
        raise InputError(f"--layer {name}: this encoder has no such layer; it has {', '.join(layer_names(encoder)[:24])} ... "
                         "(parts of parts too, as blocks.1.se).")
    seen: list[Tensor] = []
    hook = layers[name].register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        encoder(x)
    finally:
        hook.remove()
    whole = all(isinstance(output, Tensor) and 2 <= output.ndim <= 4 for output in seen)
    if not seen or not whole or (x.ndim > 2 and len(seen) > 1):
        raise InputError(f"--layer {name}: this layer does not give one vector or map an utterance; choose another one.")
    output = torch.cat(seen).float()
    output = output if output.ndim == 2 else output.mean(-1).flatten(1)
    return output.unflatten(0, (len(x), -1)).mean(1) if x.ndim == 2 else output
