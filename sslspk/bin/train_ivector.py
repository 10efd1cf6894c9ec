"""Train the total variability of an i-vector system: `stats` of one job's utterances, then `em` on what all jobs wrote.

No label is read. `em` writes EXP/config.yaml, EXP/state.npz after each iteration, and EXP/final.npz at the end.
Started again after any interruption, it resumes from the last whole iteration.
"""
import argparse
from pathlib import Path

from sslspk.bin.train_ubm import add_common, show
from sslspk.errors import InputError, entry, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True, metavar="stats|em")
    stats = actions.add_parser("stats", help="statistics of the utterances of PART (DATA, or a piece of it) as PREFIX.*")
    em = actions.add_parser("em", help="the training, on the statistics PREFIX.* of jobs 1 to N, PREFIX with JOB in it")
    for sub in (stats, em):
        add_common(sub)
        sub.add_argument("data", type=Path, metavar="DATA")
    stats.add_argument("part", type=Path, metavar="PART")
    em.add_argument("--jobs", type=whole, required=True, metavar="N")
    for sub in (stats, em):
        sub.add_argument("ubm", type=Path, metavar="UBM_DIR")
        sub.add_argument("prefix", metavar="PREFIX")
    em.add_argument("exp", type=Path, metavar="EXP")
    args = parser.parse_args()

    from sslspk.config import load
    from sslspk.ivector.config import IvectorConfig
    config = load(IvectorConfig, args.conf, args.set)
    {"stats": write_statistics, "em": train}[args.action](args, config, load_ubm(args.ubm, config))


def load_ubm(folder: Path, config):
    """The UBM, where it was trained with these options as far as it depends on them."""
    from sslspk.ivector import ubm
    from sslspk.ivector.config import EXTRACTOR_KEYS
    model, old = ubm.load(folder)
    for name, value in old.model_dump(exclude=EXTRACTOR_KEYS).items():
        if getattr(config, name) != value:
            raise InputError(f"{folder} was trained with {name} {value}, but {getattr(config, name)} is asked for; give the configuration "
                             "of the UBM, or train another one with steps/train_ubm.sh.")
    return model


def longest(data: Path, count: int) -> set[str]:
    """The `count` utterances of a data directory with the most frames (ties by name)."""
    from sslspk.io import table
    frames = table.read(data / "utt2num_frames")
    return set(sorted(frames, key=lambda utt: (-int(frames[utt]), utt))[:count])


def write_statistics(args: argparse.Namespace, config, ubm) -> None:
    from sslspk.ivector import frames, stats
    keep = longest(args.data, config.max_utterances)
    specs = {utt: spec for utt, spec in frames.read_specs(args.part).items() if utt in keep}
    print(f"statistics of {stats.write(specs, ubm, config, args.prefix, str(args.ubm))} utterances")


def train(args: argparse.Namespace, config, ubm) -> None:
    from sslspk.config import digest, to_yaml
    from sslspk.io import files, provenance
    from sslspk.ivector import extractor, state
    from sslspk.ivector.stats import Statistics
    tables = (args.data / "feats.scp", args.data / "vad.scp")   # made again they have the old text, but other frames behind it
    key = " ".join([digest(config), *map(files.version, tables), files.md5(args.ubm / "final.npz")])
    state.resume(args.exp, key)   # refuses another training's, before anything of it is written over
    statistics = Statistics([str(job).join(args.prefix.rsplit("JOB", 1)) for job in range(1, args.jobs + 1)])
    with files.atomic_write(args.exp / "config.yaml") as file:
        file.write(to_yaml(config))
    print(f"{len(statistics)} utterances, {statistics.counts_.sum():.0f} frames, i-vectors of {config.ivector_dim} dimensions", flush=True)
    show(extractor.train(args.exp, statistics, ubm, config, key, args.nj, provenance.corpus(args.data.name)))


if __name__ == "__main__":
    entry(main)
