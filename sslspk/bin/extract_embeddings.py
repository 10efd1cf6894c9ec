"""Embeddings of whole utterances: `python3 -m sslspk.bin.extract_embeddings DATA MODEL OUT.ark OUT.scp`.

On a CPU one utterance is encoded at a time, so the result does not depend on how the data were split. On a GPU utterances of equal length
are encoded together. The features are configured by the model file. provenance.json beside OUT.scp says where the embeddings come from.
Reads DATA/wav.scp, or DATA/feats.scp where there is no audio.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslspk.errors import entry, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sslspk.train.model import Model


def main() -> int:
    args = command_line(__doc__, "averaged over time, in place of its embedding").parse_args()
    from sslspk import progress
    from sslspk.api.model import encoder_of
    from sslspk.encoders import together
    from sslspk.io import ark, provenance
    model, sources = opened(args)
    with ark.Writer(args.ark, args.scp) as writer:
        inputs = progress.over(inputs_of(model, sources, args), "utterances", len(sources))
        for utt, embedding in zip(sources, together.encoded(encoder_of(model, args.layer), inputs, alone=True), strict=True):
            writer.write(utt, embedding)
    provenance.write(args.scp.parent, **origin(args))
    return 0


def command_line(description: str, what: str) -> argparse.ArgumentParser:
    """The options of programs that run a trained model over a data directory; what: becomes of the layer that --layer names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("model", type=Path, metavar="MODEL", help="final.pt of a training run, its folder, or one that sslspk export wrote")
    parser.add_argument("ark", type=Path)
    parser.add_argument("scp", type=Path)
    parser.add_argument("--weights", help="one of the model's encoders (DINO: teacher, student); default: its own choice")
    parser.add_argument("--untrained", action="store_true", help="the same architecture with its initial weights: a baseline")
    parser.add_argument("--layer",
                        help=f"a layer inside the encoder, {what}; e.g. pooling, blocks.1, or the number of a Transformer's layer")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of wav.scp that are commands (default: false)")
    parser.add_argument("--gpu", type=whole, default=-1, help="GPU number, -1: CPU")
    return parser


def opened(args: argparse.Namespace) -> tuple["Model", dict]:
    """The model on its device, and utterance -> its audio, or its entry of feats.scp where there is no audio."""

    from sslspk.io import clips, silence, table
    from sslspk.train import distributed
    from sslspk.train import model as models
    device = distributed.device_of_job(args.gpu)
    model = models.load(args.model, args.weights, device, args.untrained)
    sources = clips.read(args.data) if (args.data / "wav.scp").exists() else table.read(args.data / "feats.scp")
    if said := silence.warning(str(args.model), model.config.vad, sources.values(), args.data):
        print(said, flush=True)
    return model, sources


def inputs_of(model: "Model", sources: dict, args: argparse.Namespace) -> "Iterator":
    """(1, T, F), or (1, S), of each utterance, on the model's device; what comes next is read by a thread meanwhile."""
    from sslspk.io.ahead import ahead
    read = ahead((model.stored(utt, source, args.allow_pipes == "true") for utt, source in sources.items()), lambda x: x.size)
    for (utt, source), stored in zip(sources.items(), read, strict=True):
        yield model.features_of(utt, source, stored)


def origin(args: argparse.Namespace) -> dict:
    """What provenance.json says of what was extracted."""
    from sslspk.train import model as models
    found = models.provenance(args.model, args.weights, args.untrained)
    if args.layer:
        found["weights"] += f" ({args.layer})"
    return found


if __name__ == "__main__":
    entry(main)
