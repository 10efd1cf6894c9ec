"""The options that name a model and say how it reads recordings, of all subcommands that embed."""
import argparse
import os
from typing import TYPE_CHECKING

from sslspk.errors import InputError
from sslspk.io import channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sslspk.api.model import Model
    from sslspk.api.recordings import Recording
    from sslspk.io.clips import Clip

VARIABLE = "SSLSPK_MODEL"


def options(parser: argparse.ArgumentParser) -> None:
    """--model, --device, --weights, --layer, --channel, --allow-pipes."""
    parser.add_argument("--model", metavar="FILE",
                        help=f"final.pt of a training, its folder, or one that sslspk export wrote (default: the variable {VARIABLE})")
    parser.add_argument("--device", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--weights", help="one of the model's encoders (DINO: teacher, student); default: its own choice")
    parser.add_argument("--layer", help="a layer inside the encoder, averaged over time, in place of its embedding")
    parser.add_argument("--channel", type=channel.parse, metavar="N|mix",
                        help="which channel to take: a number from 0 on, or mix, the mean of all (default: recordings have one)")
    parser.add_argument("--allow-pipes", choices=("true", "false"),
                        help="run what is a command and no file, as an entry \"sox x.wav -t wav - |\" of wav.scp (default: false)")


def named(args: argparse.Namespace) -> str | None:
    """The model that the options or the environment name."""
    return args.model or os.environ.get(VARIABLE)


def recordings(args: argparse.Namespace, sources: "Mapping[str, Clip]") -> "list[Recording]":
    """What the model is to read, by name."""
    from sslspk.api.recordings import Recording
    return [Recording(name, clip, pipes=args.allow_pipes == "true") for name, clip in sources.items()]


def opened(args: argparse.Namespace) -> "Model":
    """The model that the options name. Raises InputError."""
    if not named(args):
        raise InputError(f"which model? Give --model FILE, the final.pt of a training, or set {VARIABLE}.")
    from sslspk.api import model
    return model.load(named(args), args.device or "cpu", weights=args.weights, layer=args.layer)
