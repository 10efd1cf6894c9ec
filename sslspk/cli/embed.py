"""Embed recordings: one vector for each, or with --window one for each stretch of it.

    sslspk embed --model exp/dino_ecapa/final.pt a.wav b.flac               csv on stdout
    sslspk embed --model exp/dino_ecapa/final.pt --out emb.npy recordings/  all audio below a folder
    sslspk embed --model exp/dino_ecapa/final.pt --out emb data/test        a Kaldi data directory; emb is for steps/score.sh
    find . -name '*.wav' | sslspk embed --model exp/dino_ecapa/final.pt --out emb.csv -

INPUT is a recording, a folder (of audio, or a Kaldi data directory with wav.scp and perhaps segments), a wav.scp, or - for a list of paths
on the standard input. Any bad recording stops the command, and nothing is written.
"""
import argparse

from sslspk.cli import model
from sslspk.cli.outputs import HELP
from sslspk.errors import real


def options(parser: argparse.ArgumentParser) -> None:
    model.options(parser)
    parser.add_argument("--out", metavar="OUT", help=HELP)
    parser.add_argument("--window", type=real, metavar="S", help="an embedding for each window of S seconds")
    parser.add_argument("--shift", type=real, metavar="S", help="from the start of a window to that of the next (default: half a window)")
    parser.add_argument("inputs", nargs="+", metavar="INPUT")


def run(args: argparse.Namespace) -> None:
    from sslspk.api import windows
    from sslspk.cli import inputs, outputs
    outputs.check(args.out)
    sources = inputs.gather(args.inputs)
    sources = {name: sources[name] for name in outputs.order(args.out, sources, args.window is not None)}
    if args.window is not None or args.shift is not None:
        windows.checked(args.window, args.shift)
    opened = model.opened(args)
    count = outputs.write(args.out, rows(opened, sources, args))
    if args.out and outputs.is_folder(args.out):
        from sslspk.io import provenance
        from sslspk.train import model as models
        provenance.write(args.out, **models.provenance(args.model, args.weights))
    if args.out:
        print(f"{count} embeddings of {len(sources)} recordings in {args.out}")


def rows(opened, sources: dict, args: argparse.Namespace):
    """(name, times or None, embedding) in the order of `sources`."""
    from sslspk.api import recordings
    wanted = [recordings.of(source) if isinstance(source, str) else recordings.Recording(name, source) for name, source in sources.items()]
    if args.window is None:
        for name, x in zip(sources, opened.embeddings(wanted, args.channel), strict=True):
            yield name, None, x
        return
    for name, found in zip(sources, opened.windowed(wanted, args.channel, args.window, args.shift), strict=True):
        for x, times in zip(found.embeddings, found.times.tolist(), strict=True):
            yield name, tuple(times), x
