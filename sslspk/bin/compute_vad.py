"""Energy-based voice activity detection: `extract` one job's part, `options` checks the confs."""
import argparse

from sslspk.errors import InputError, counted, entry
from sslspk.io import channel


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kaldi's energy-based voice activity detection of a data directory.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="options|extract")
    show = actions.add_parser("options", help="check the configurations and print all of them as one line")
    extract = actions.add_parser("extract", help="the VAD of the recordings of DIR/wav.scp into one archive")
    for sub in (show, extract):
        sub.add_argument("--conf", help="YAML file with Kaldi's VAD options (see conf/vad.yaml); default: Kaldi's own")
        sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a VAD key; may be repeated")
        sub.add_argument("--feats-conf", required=True, help="features whose first column is the energy (see conf/mfcc.yaml)")
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
    from sslspk.features.config import FeatureOptions, VadOptions
    vad_options, features = load(VadOptions, args.conf, args.set), load(FeatureOptions, args.feats_conf)
    if features.feature_type != "mfcc" and not features.use_energy:
        raise InputError(f"{args.feats_conf}: the first column of these features is no energy; give MFCCs (conf/mfcc.yaml) "
                         "or use_energy: true.")
    if args.action == "options":
        print(vad_options.model_dump_json(), features.model_dump_json())
        return
    from sslspk.features import extract, vad
    from sslspk.features.fbank import Extractor
    count = extract.write(args.dir, Extractor(features), args.ark, args.scp,
                          lambda feats: vad.compute_vad(feats[:, 0], vad_options), allow_pipes=args.allow_pipes == "true",
                          channel=args.channel)
    print(f"compute_vad: {counted(count, 'utterance')} in {args.ark}")


if __name__ == "__main__":
    entry(main)
