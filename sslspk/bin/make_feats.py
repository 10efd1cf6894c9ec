"""Computes fbank or MFCC features: `extract` one job's part, `options` checks and prints the conf."""
import argparse

from sslspk.errors import counted, entry
from sslspk.io import channel


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Computes Kaldi's fbank or MFCC features of the recordings of a data directory.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="options|extract")
    show = actions.add_parser("options", help="check the configuration and print all of it as one line")
    extract = actions.add_parser("extract", help="features of the recordings of DIR/wav.scp into one archive")
    for sub in (show, extract):
        sub.add_argument("--conf", help="YAML file with Kaldi's options (see conf/fbank.yaml); default: Kaldi's own, 80 bins")
        sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key; may be repeated")
    extract.add_argument("--compress", choices=("true", "false"), default="false",
                         help="one byte per value, as Kaldi's --compress (default: false)")
    extract.add_argument("--channel", type=channel.parse, default=channel.FIRST, metavar="N|mix", help=channel.HELP)
    extract.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                         help="run the entries of wav.scp that are commands (default: false)")
    extract.add_argument("dir", metavar="DIR")
    extract.add_argument("ark", metavar="ARK", help="archive to write")
    extract.add_argument("scp", metavar="SCP", help="table to write; SCP.utt2num_frames and SCP.utt2dur appear beside it")
    return parser


def main() -> None:
    """One of the two actions."""
    args = options().parse_args()
    from sslspk.config import load
    from sslspk.features.config import FeatureOptions
    features = load(FeatureOptions, args.conf, args.set)
    if args.action == "options":
        print(features.model_dump_json())
        return
    from sslspk.features import extract
    from sslspk.features.fbank import Extractor
    count = extract.write(args.dir, Extractor(features), args.ark, args.scp, lambda feats: feats,
                          compress=args.compress == "true", allow_pipes=args.allow_pipes == "true", channel=args.channel)
    from sslspk.io import silence, table
    silence.mark(args.ark, silence.all_cut(table.read(f"{args.dir}/wav.scp").values()))
    print(f"make_feats: {counted(count, 'utterance')} in {args.ark}")


if __name__ == "__main__":
    entry(main)
