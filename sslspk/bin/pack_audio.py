"""Packs the audio of a data directory into one archive with random access."""
import argparse
from collections import Counter

from sslspk.errors import InputError, entry


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Packs the audio of data directory DIR into one archive. Beside SCP "
                                     "(for wav.scp) it writes SCP.utt2num_samples, SCP.utt2dur and SCP.counts (what was "
                                     "changed).")
    parser.add_argument("--format", choices=("pcm", "flac"), default="pcm",
                        help="pcm: any crop is one read; flac: half the space, decoded at each read (default: pcm)")
    parser.add_argument("--rate", type=int, default=16000, help="samples per second in the archive (default: 16000)")
    parser.add_argument("--vad", choices=("true", "false"), default="false",
                        help="cut the frames out that DIR/vad.scp marks as unvoiced (default: false)")
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of wav.scp that are commands (default: false)")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("ark", metavar="ARK", help="archive to write")
    parser.add_argument("scp", metavar="SCP", help="table to write: utterance, archive and offset")
    return parser


def prepare(spec: str, vad: str | None, rate: int, allow_pipes: bool, counts: Counter):
    """Read one recording: its first channel, without unvoiced frames when `vad` is given, at `rate`: int16 (S,)."""
    from sslspk.io import ark, audio
    samples, own_rate, channels = audio.load(spec, allow_pipes)
    counts["channels_dropped"] += channels > 1
    if vad is not None:
        voiced = audio.keep_voiced(samples, ark.load(vad), own_rate)
        counts["without_voice"] += not len(voiced)
        counts["seconds_cut"] += (len(samples) - len(voiced)) / own_rate if len(voiced) else 0
        # An utterance without a voiced frame stays as it is: every table must keep the same utterances.
        samples = voiced if len(voiced) else samples
    counts["resampled"] += own_rate != rate
    return audio.resample(samples, own_rate, rate)


def pack(args: argparse.Namespace) -> Counter:
    """Write the archive and its tables; returns what was counted."""
    from tqdm import tqdm

    from sslspk.io import audio, table
    wav = table.read(f"{args.dir}/wav.scp")
    vad = table.read(f"{args.dir}/vad.scp") if args.vad == "true" else {}
    counts, lengths = Counter(utterances=len(wav)), {}
    with audio.PackWriter(args.ark, args.scp, args.format) as archive:
        for utt, spec in tqdm(wav.items(), desc="packing", unit="utt", disable=None):
            if vad and utt not in vad:
                raise InputError(f"{args.dir}/vad.scp lacks {utt}; run steps/compute_vad.sh again.")
            try:
                samples = prepare(spec, vad.get(utt), args.rate, args.allow_pipes == "true", counts)
            except InputError as err:
                raise InputError(f"{utt}: {err}") from err
            archive.write(utt, samples, args.rate)
            lengths[utt] = len(samples)
    table.write(f"{args.scp}.utt2num_samples", lengths)
    table.write(f"{args.scp}.utt2dur", {utt: f"{length / args.rate:.4f}" for utt, length in lengths.items()})
    return counts


def main() -> None:
    """DIR -> ARK, SCP and the tables beside it."""
    args = options().parse_args()
    if args.rate < 1:
        raise InputError(f"--rate {args.rate} is no sampling rate; give samples per second, for example 16000.")
    counts = pack(args)
    from sslspk.io import table
    shown = {name: f"{counts[name]:.10g}"
             for name in ("utterances", "resampled", "channels_dropped", "without_voice", "seconds_cut")}
    table.write(f"{args.scp}.counts", shown)
    print("pack_audio: " + ", ".join(f"{name} {count}" for name, count in shown.items()))


if __name__ == "__main__":
    entry(main)
