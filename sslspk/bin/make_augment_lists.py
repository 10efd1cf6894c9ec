"""Packs noises, babble and impulse responses for augmentation: `pack` writes one job's part, `merge` joins the parts."""
import argparse
from pathlib import Path

from sslspk.errors import InputError, count, counted, entry, real, whole

SOURCES = {"noise": "musan_noise", "music": "musan_music", "speech": "musan_speech", "babble": "musan_speech",
           "rir_small": "rirs_small", "rir_medium": "rirs_medium", "rir_large": "rirs_large", "rir_real": "rirs_real"}
SPEAKERS = (3, 10)        # of one babble
LEAD_SECONDS = 0.0025     # kept before the peak of an impulse response: the direct path is not one sample wide
BABBLE_RMS = 2000.0       # on the int16 scale; far from clipping with ten speakers
SLICES = 4                # places tried in a recording before a silent slice is taken as it is
BABBLE_STREAM = 3         # last word of the random counter: no other use of the seed shares it


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Packs the noises and impulse responses below DATA_ROOT into packed data "
                                                 "directories OUT/KIND.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="pack|merge")
    pack = actions.add_parser("pack", help="write this job's part of every kind")
    pack.add_argument("--job", type=whole, default=1, help="number of this job, from 1 on (default: 1)")
    pack.add_argument("--jobs", type=whole, default=1, help="number of jobs (default: 1)")
    pack.add_argument("--rate", type=whole, default=16000, help="samples per second; others are resampled (default: 16000)")
    pack.add_argument("--rir-seconds", type=real, default=1.0, help="seconds after which impulse responses are cut (default: 1.0)")
    pack.add_argument("--num-babble", type=whole, default=0, help="babbles to make; 0: as many as there is speech (default: 0)")
    pack.add_argument("--babble-seconds", type=real, default=20.0, help="length of a babble (default: 20)")
    pack.add_argument("--seed", type=count, default=0, help="seed of the babble (default: 0)")
    merge = actions.add_parser("merge", help="join the parts of all jobs, and count")
    merge.add_argument("--jobs", type=whole, default=1, help="number of parts (default: 1)")
    for sub in (pack, merge):
        sub.add_argument("data_root", metavar="DATA_ROOT")
        sub.add_argument("out", metavar="OUT")
    return parser


def kinds(data_root: str) -> dict[str, str]:
    """kind -> data directory, for those that are there."""
    found = {kind: f"{data_root}/{name}" for kind, name in SOURCES.items() if Path(data_root, name, "wav.scp").exists()}
    if not found:
        raise InputError(f"{data_root} holds none of {', '.join(sorted(set(SOURCES.values())))}; run local/prepare_musan.py "
                         "or local/prepare_rirs.py first.")
    return found


def trim_rir(samples, rate: int, seconds: float):
    """From just before the largest value of int16 (S,) for `seconds`, scaled to the int16 range: int16 (L,)."""
    import numpy as np
    wave = samples.astype(np.float64)
    peak = int(np.abs(wave).argmax())
    start = max(peak - round(LEAD_SECONDS * rate), 0)
    wave = wave[start:peak + max(round(seconds * rate), 1)]
    return np.rint(wave * (32767 / np.abs(samples[peak].astype(np.float64)))).astype(np.int16)


def make_babble(sources: list, number: int, size: int, rate: int, seed: int):
    """Sum of 3-10 random recordings at equal level, `size` samples: int16 (size,). Depends on seed and number alone."""
    import numpy as np

    from sslspk.data.noise import SILENT_RMS, rms
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, number, BABBLE_STREAM]))
    count = min(int(rng.integers(SPEAKERS[0], SPEAKERS[1] + 1)), len(sources))
    total = np.zeros(size)
    for which in rng.choice(len(sources), count, replace=False):
        slice_ = _slice(sources[which], size, rate, rng).astype(np.float64)
        total += slice_ / max(rms(slice_), SILENT_RMS)
    gain = BABBLE_RMS / max(rms(total), 1e-9)
    return np.rint(np.clip(total * gain, -32768, 32767)).astype(np.int16)


def _slice(clip, size: int, rate: int, rng):
    """A slice of one recording that is not silent if that can be had; a short recording is repeated."""
    import numpy as np

    from sslspk.data.noise import SILENT_RMS, rms
    from sslspk.io import audio, clips
    first, length = (int(values[0]) for values in clips.places([clip]))
    if audio.info(clip.spec)[1] != rate or length <= size:
        whole = audio.resample(*clips.load(clip)[:2], rate)
        whole = np.roll(np.resize(whole, max(size, len(whole))), int(rng.integers(len(whole))))
        return whole[:size]
    for _ in range(SLICES):
        found = audio.read_segment(clip.spec, first + int(rng.integers(length - size + 1)), size)
        if rms(found) >= SILENT_RMS:
            break
    return found


def items(kind: str, source: str, args: argparse.Namespace):
    """Yield (id, int16 samples) of this job's part of one kind."""
    from sslspk.io import audio, clips, files
    sources = clips.read(source)
    if kind == "babble":
        size, speech = round(args.babble_seconds * args.rate), list(sources.values())
        for number in files.share(range(args.num_babble or len(speech)), args.job, args.jobs):
            yield f"babble-{number:06d}", make_babble(speech, number, size, args.rate, args.seed)
        return
    for utt in files.share(list(sources), args.job, args.jobs):
        try:
            samples = audio.resample(*clips.load(sources[utt])[:2], args.rate)
        except InputError as err:
            raise InputError(f"{source}: {utt}: {err}") from err
        yield utt, trim_rir(samples, args.rate, args.rir_seconds) if kind.startswith("rir_") and samples.any() else samples


def pack(args: argparse.Namespace) -> None:
    """One archive and one table of lengths for each kind; silent recordings are left out and named in the log."""
    from sslspk.data.noise import SILENT_RMS, rms
    from sslspk.io import audio, files
    for kind, source in kinds(args.data_root).items():
        name = Path(args.out).resolve() / kind / "ark" / f"wav.{args.job}"
        lengths = []
        with audio.PackWriter(f"{name}.ark", f"{name}.scp") as archive:
            for utt, samples in items(kind, source, args):
                if not samples.any() or (rms(samples) < SILENT_RMS and not kind.startswith("rir_")):
                    print(f"{kind}: left out, silent: {utt}")
                    continue
                archive.write(utt, samples, args.rate)
                lengths.append(f"{utt} {len(samples)}\n")
        with files.atomic_write(f"{name}.lengths") as out:
            out.writelines(lengths)
        print(f"{kind}: {counted(len(lengths), 'recording')}")


def join(args: argparse.Namespace) -> None:
    """OUT/KIND becomes a data directory."""
    from sslspk.io import datadir, merge
    for kind, source in kinds(args.data_root).items():
        folder = Path(args.out, kind)
        scps = [str(folder / "ark" / f"wav.{job}.scp") for job in range(1, args.jobs + 1)]
        scp = merge.gather(scps, f"{folder}/wav.scp", logs=f"{args.out}/log")
        lengths = merge.gather([f"{name.removesuffix('.scp')}.lengths" for name in scps], f"{folder}/utt2num_samples", scp,
                               logs=f"{args.out}/log")
        datadir.write(str(folder), wav=scp, utt2spk={utt: utt for utt in scp}, utt2num_samples=lengths)
        print(f"make_augment_lists: {folder}: {counted(len(scp), 'recording')} from {source}")


def main() -> None:
    """pack or merge."""
    args = options().parse_args()
    if args.action == "merge":
        join(args)
        return
    if not 1 <= args.job <= args.jobs:
        raise InputError(f"--job {args.job} is not between 1 and --jobs {args.jobs}; correct one of them.")
    if args.rir_seconds <= 0 or args.babble_seconds <= 0 or args.rate <= 0 or args.num_babble < 0 or args.seed < 0:
        raise InputError("--rir-seconds, --babble-seconds and --rate must be above 0, --num-babble and --seed not below 0; "
                         "correct the one that is not.")
    pack(args)


if __name__ == "__main__":
    entry(main)
