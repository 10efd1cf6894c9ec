"""Makes noisy copies of a data directory on disk: `copy` augments one job's part, `merge` writes the new directory."""
import argparse
import hashlib

from sslspk.errors import InputError, count, counted, entry, whole

RATE = 16000
LEFT_OUT = ("feats.scp", "cmvn.scp", "utt2num_frames", "wav.scp", "spk2utt")   # features are made again, the rest is made here
COPY_STREAM = 4   # last word of the random counter: no other use of the seed shares it


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes noisy copies of the utterances of a data directory.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="copy|merge")
    copy = actions.add_parser("copy", help="augment the utterances of DIR into one archive")
    copy.add_argument("--conf", help="YAML file with the keys of `augment` (see conf/augment.yaml)")
    copy.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key; may be repeated")
    copy.add_argument("--seed", type=count, default=0, help="another seed gives other noises (default: 0)")
    copy.add_argument("dir", metavar="DIR")
    copy.add_argument("lists", metavar="AUGDIR", help="what steps/make_augment_lists.sh wrote")
    copy.add_argument("ark", metavar="ARK")
    copy.add_argument("scp", metavar="SCP")
    merge = actions.add_parser("merge", help="write OUT from DATA and the tables of all jobs")
    merge.add_argument("data", metavar="DATA")
    merge.add_argument("out", metavar="OUT")
    merge.add_argument("scps", metavar="SCP", nargs="+")
    for sub in (copy, merge):
        sub.add_argument("--copies", type=whole, choices=range(1, 10), default=1, metavar="N",
                         help="noisy copies of each utterance, 1 to 9 (default: 1)")
    return parser


def names(utt: str, copies: int) -> list[str]:
    """Ids of the copies of one utterance; they sort after it and keep its speaker as prefix."""
    return [f"{utt}-noise{number}" for number in range(1, copies + 1)]


def generator(utt: str, number: int, seed: int):
    """Random numbers of one copy: they depend on the id, the copy and the seed, not on the job that makes it."""
    import numpy as np
    digest = hashlib.md5(utt.encode(), usedforsecurity=False).digest()
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, number, int.from_bytes(digest[:8], "big"), COPY_STREAM]))


def noisy(samples, bank, augment, rng):
    """One augmented copy of a whole utterance: int16 (S,) -> int16 (S,)."""
    import numpy as np
    import torch
    draw = {name: torch.from_numpy(np.asarray(value)[None]) for name, value in
            bank.pick(rng, len(samples))._asdict().items()}
    wave = augment(torch.from_numpy(samples)[None], **draw)[0].numpy()
    return np.clip(np.rint(wave), -32768, 32767).astype(np.int16)


def copy(args: argparse.Namespace) -> None:
    """Write the copies of all utterances of DIR, sorted by id."""
    from sslspk import progress
    from sslspk.config import load
    from sslspk.data.config_augment import AugmentConfig
    config = load(AugmentConfig, args.conf, args.set)
    if config.speed_perturb:
        raise InputError(f"{args.conf or '--set'}: speed_perturb belongs to the wave input, where all crops of a recording "
                         "share one speed; remove it here.")
    if config.grow:
        raise InputError(f"{args.conf or '--set'}: grow counts epochs, and copies are made before any; remove it here.")
    if config.on_device:
        raise InputError(f"{args.conf or '--set'}: on_device is for a training; remove it here.")
    from sslspk.data.noise import NoiseBank
    from sslspk.features.augment import WaveAugment
    from sslspk.io import audio, clips, silence
    bank, augment = NoiseBank(args.lists, config, RATE), WaveAugment()
    print(f"augment_data: {bank.describe()}")
    sources = clips.read(args.dir)
    todo = sorted((name, utt, number) for utt in sources for number, name in enumerate(names(utt, args.copies)))
    with audio.PackWriter(args.ark, args.scp) as archive:
        for name, utt, number in progress.over(todo, "copies"):
            samples = clips.utterance(utt, sources[utt], RATE)   # the rate of the noises
            archive.write(name, noisy(samples, bank, augment, generator(utt, number, args.seed)), RATE)
    silence.mark(args.ark, silence.all_cut(sources.values()))


def join(args: argparse.Namespace) -> None:
    """OUT: the utterances of DATA and their copies; utt2uniq maps each to the utterance it was made from."""
    from sslspk.io import datadir, extras, merge, segments
    tables = datadir.validate(args.data)
    originals = list(tables[datadir.leading(tables)])
    copies = [name for utt in originals for name in names(utt, args.copies)]
    clash = min(set(copies) & {*originals, *tables["wav.scp"]}, default=None)
    if clash is not None:
        raise InputError(f"{args.data} already holds {clash}; start from the directory without noisy copies.")
    noisy = merge.gather(args.scps, f"{args.out}/wav.scp", copies, f"{args.out}/log")
    tables.setdefault("utt2uniq", {utt: utt for utt in originals})
    segmented = segments.NAME in tables
    kept = {}
    for name, content in tables.items():
        kind = datadir.keyed_by(name, segmented)
        if name in LEFT_OUT or kind == datadir.RECORDING:
            continue
        kept[name.removesuffix(".scp")] = content if kind == datadir.SPEAKER else {   # vad: copies are not delayed
            new: value for utt, value in content.items() for new in (utt, *names(utt, args.copies))}
    if segmented:   # a copy is a recording of its own
        kept[segments.NAME] = tables[segments.NAME] | {name: f"{name} 0 -1" for name in copies}
    left = [*sorted(name for name in tables if name.startswith("reco2")), *extras.names(args.data)]
    datadir.write(args.out, wav=tables["wav.scp"] | noisy, labels=datadir.label_source(args.data), **kept)
    print(f"augment_data: {args.out}: {counted(len(originals), 'utterance')} and {len(copies)} noisy copies"
          + (f"; left out, since they say nothing of the copies: {extras.some(left)}" if left else ""))


def main() -> None:
    """copy or merge."""
    args = options().parse_args()
    if args.action == "copy" and args.seed < 0:
        raise InputError(f"--seed {args.seed} is negative; give a whole number from 0 on.")
    (copy if args.action == "copy" else join)(args)


if __name__ == "__main__":
    entry(main)
