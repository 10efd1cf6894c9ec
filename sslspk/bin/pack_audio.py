"""Packs the audio of a data directory into one archive with random access."""
import argparse
from collections import Counter
from typing import TYPE_CHECKING

from sslspk.errors import InputError, entry, whole
from sslspk.io import channel

if TYPE_CHECKING:
    from sslspk.io.clips import Clip


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Packs the audio of data directory DIR into one archive. Beside SCP "
                                     "(for wav.scp) it writes SCP.utt2num_samples, SCP.utt2dur and SCP.counts (what was "
                                     "changed).")
    parser.add_argument("--format", choices=("pcm", "flac"), default="pcm",
                        help="pcm: any crop is one read; flac: half the space, decoded at each read (default: pcm)")
    parser.add_argument("--rate", type=whole, default=16000, help="samples per second in the archive (default: 16000)")
    parser.add_argument("--vad", choices=("true", "false"), default="false",
                        help="remove the frames that DIR/vad.scp marks as unvoiced (default: false)")
    parser.add_argument("--channel", type=channel.parse, default=channel.FIRST, metavar="N|mix", help=channel.HELP)
    parser.add_argument("--allow-pipes", choices=("true", "false"), default="false",
                        help="run the entries of wav.scp that are commands (default: false)")
    parser.add_argument("dir", metavar="DIR")
    parser.add_argument("ark", metavar="ARK", help="archive to write")
    parser.add_argument("scp", metavar="SCP", help="table to write: utterance, archive and offset")
    return parser


def prepare(clip: "Clip", vad: str | None, args: argparse.Namespace, counts: Counter):
    """Read one utterance: one channel, without unvoiced frames when `vad` is given, at args.rate: int16 (S,); and two strings, one
    when it cannot be speech, one when its speech is bad, saying why."""
    from sslspk.io import ark, audio, clips, quality
    chosen = 0 if args.channel == channel.FIRST else args.channel   # the step says how many were reduced
    samples, own_rate, channels, peak = clips.load(clip, args.allow_pipes == "true", chosen)
    counts["channels_dropped"] += channels > 1
    broken, suspect = quality.broken(samples, peak, channels), quality.suspect(samples)
    if vad is not None:
        voiced = audio.keep_voiced(samples, ark.load(vad), own_rate)
        counts["without_voice"] += not len(voiced)
        counts["seconds_cut"] += (len(samples) - len(voiced)) / own_rate if len(voiced) else 0
        # An utterance without a voiced frame stays as it is: every table must keep the same utterances.
        samples = voiced if len(voiced) else samples
    counts["resampled"] += own_rate != args.rate
    return audio.resample(samples, own_rate, args.rate), broken, suspect


def pack(args: argparse.Namespace) -> Counter:
    """Write the archive and its tables; returns what was counted."""
    from sslspk import progress
    from sslspk.io import audio, clips, silence, table
    sources = clips.read(args.dir)
    vad = table.read(f"{args.dir}/vad.scp") if args.vad == "true" else {}
    counts, lengths, broken, suspect = Counter(utterances=len(sources)), {}, {}, {}
    with audio.PackWriter(args.ark, args.scp, args.format) as archive:
        for utt, clip in progress.over(sources.items(), "utterances"):
            if vad and utt not in vad:
                raise InputError(f"{args.dir}/vad.scp lacks {utt}; run steps/compute_vad.sh again.")
            try:
                samples, broken[utt], suspect[utt] = prepare(clip, vad.get(utt), args, counts)
            except InputError as err:
                raise InputError(f"{utt}: {err}") from err
            archive.write(utt, samples, args.rate)
            lengths[utt] = len(samples)
        refuse(args.scp, broken, counts)
    silence.mark(args.ark, args.vad == "true" or silence.all_cut(sources.values()))
    counts["clipped"] = name(suspect, "is kept, but")
    table.write(f"{args.scp}.utt2num_samples", lengths)
    table.write(f"{args.scp}.utt2dur", {utt: f"{length / args.rate:.4f}" for utt, length in lengths.items()})
    return counts


def name(reasons: dict[str, str], verdict: str) -> int:
    """Print a line for each utterance that has a reason; returns how many have one."""
    named = {utt: reason for utt, reason in reasons.items() if reason}
    for utt, reason in named.items():
        print(f"pack_audio: {utt} {verdict} {reason}")
    return len(named)


def refuse(scp: str, broken: dict[str, str], counts: Counter) -> None:
    """Raises InputError when recordings cannot be speech, after naming all of them."""
    count = name(broken, "cannot be speech:")
    if count:
        utt = next(utt for utt, reason in broken.items() if reason)
        raise InputError(f"{count} of {counts['utterances']} recordings cannot be speech ({utt}: {broken[utt]}); leave out what the "
                         "log names.")


def main() -> None:
    """DIR -> ARK, SCP and the tables beside it."""
    args = options().parse_args()
    if args.rate < 1:
        raise InputError(f"--rate {args.rate} is no sampling rate; give samples per second, for example 16000.")
    counts = pack(args)
    from sslspk.io import table
    shown = {name: f"{counts[name]:.10g}"
             for name in ("utterances", "resampled", "channels_dropped", "without_voice", "seconds_cut", "clipped")}
    table.write(f"{args.scp}.counts", shown)
    print("pack_audio: " + ", ".join(f"{name} {count}" for name, count in shown.items()))


if __name__ == "__main__":
    entry(main)
