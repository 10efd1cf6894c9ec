"""Embed recordings: one vector for each, or with --window one for each window of it.

    sslspk embed --model exp/dino_ecapa/final.pt a.wav b.flac               csv on stdout
    sslspk embed --model exp/dino_ecapa/final.pt --out emb.npy recordings/  all audio below a folder
    sslspk embed --model exp/dino_ecapa/final.pt --out emb data/test        a Kaldi data directory; emb is for steps/score.sh
    find . -name '*.wav' | sslspk embed --model exp/dino_ecapa/final.pt --out emb.csv -

INPUT is a recording, a folder (of audio, or a Kaldi data directory with wav.scp and perhaps segments), a wav.scp, or - for a list of paths
on the standard input. A bad recording stops the command, and nothing is written or printed. With --skip-bad it is named and left out.
"""
import argparse
import itertools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sslspk.cli import model
from sslspk.cli.outputs import HELP
from sslspk.errors import InputError, counted, real

if TYPE_CHECKING:
    from sslspk.api.model import Model
    from sslspk.api.recordings import Recording
    from sslspk.cli.outputs import Row


def options(parser: argparse.ArgumentParser) -> None:
    model.options(parser)
    parser.add_argument("--out", metavar="OUT", help=HELP)
    parser.add_argument("--window", type=real, metavar="S", help="an embedding for each window of S seconds")
    parser.add_argument("--shift", type=real, metavar="S",
                        help="seconds from the start of a window to that of the next (default: half a window)")
    parser.add_argument("--skip-bad", action="store_true", help="name bad recordings on stderr and leave them out, rather than stop")
    parser.add_argument("inputs", nargs="+", metavar="INPUT")


def run(args: argparse.Namespace) -> None:
    from sslspk.api import windows
    from sslspk.cli import inputs, outputs, overwriting
    sources = inputs.gather(args.inputs, args.skip_bad)
    read = (overwriting.of_words(args.inputs), overwriting.of_specs(clip.spec for clip in sources.values()))
    outputs.check(args.out, sources, itertools.chain(*read))
    sources = {name: sources[name] for name in outputs.order(args.out, sources, args.window is not None)}
    if args.window is not None or args.shift is not None:
        windows.checked(args.window, args.shift)
    opened, refused = model.opened(args), []
    count = outputs.write(args.out, rows(opened, sources, args, refused))
    if args.out and outputs.is_folder(args.out):
        from sslspk.io import provenance
        from sslspk.train import model as models
        provenance.write(args.out, **models.provenance(opened.path, args.weights))
    if args.out:
        kept = f"{len(sources) - len(refused)} of " if refused else ""
        print(f"{counted(count, 'embedding')} of {kept}{counted(len(sources), 'recording')} in {args.out}"
              + (f"; {len(refused)} left out" if refused else ""))


def rows(opened: "Model", sources: dict, args: argparse.Namespace, refused: list) -> "Iterator[Row]":
    """(name, times or None, embedding) in the order of `sources`. refused: takes what is left out, whose errors are printed.

    Raises InputError for a bad recording unless --skip-bad is given, and where none is left.
    """
    def skip(recording: "Recording", err: InputError) -> None:
        refused.append(recording)
        print(f"left out: {err}", file=sys.stderr)

    wanted = model.recordings(args, sources)
    skipping = skip if args.skip_bad else None
    if args.window is None:
        for recording, x in opened.embeddings(wanted, args.channel, refused=skipping):
            yield recording.name, None, x
    else:
        for recording, found in opened.windowed(wanted, args.channel, args.window, args.shift, refused=skipping):
            for x, times in zip(found.embeddings, found.times.tolist(), strict=True):
                yield recording.name, tuple(times), x
    if len(refused) == len(wanted):
        raise InputError(f"none of the recordings ({len(wanted)}) can be embedded; the first one: {refused[0]}.")
