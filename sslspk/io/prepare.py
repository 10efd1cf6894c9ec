"""From a corpus on disk to data directories: the code that all local/prepare_*.py share, from the command line to the report."""
import argparse
import collections
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from sslspk.errors import InputError, counted
from sslspk.io import channel, datadir, files, table
from sslspk.io.survey import FORMATS, RATE, Options, Outcome, Source
from sslspk.io.surveyed import survey_changed

MAX_BAD_SHARE = 0.05
BAD_LIST = "bad_files.txt"
MEMORY = ".survey"   # of what was found out about recordings, in the folder of the first part
Tables = Mapping[str, Mapping[str, object]]
Pair = tuple[Source, Outcome]


def positive(text: str) -> int:
    """A number of processes on the command line."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def command_line(description: str, corpus: str, site: str) -> argparse.ArgumentParser:
    """The options that all local/prepare_*.py share; `site`: where the corpus comes from, in words."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar=f"{corpus.upper()}_DIR", help="folder of the corpus")
    parser.add_argument("data", metavar="DATA_DIR", help="folder that gets the data directories")
    parser.add_argument("--nj", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="processes (default: as many as there are cores)")
    parser.add_argument("--out-wav", metavar="DIR",
                        help=f"folder for recordings that had to be converted (default: DATA_DIR/{corpus}_wav)")
    parser.add_argument("--format", choices=("wav", "flac"), default="wav",
                        help="audio format of recordings that had to be converted (default: wav)")
    parser.add_argument("--check", choices=("full", "header"), default="full",
                        help="full: decode every recording and look for samples that cannot be speech; "
                        "header: read beginning and end only (default: full). What an earlier run found good and has not changed is not "
                        "read again; remove DATA_DIR/*/.survey to have it read")
    parser.add_argument("--channel", type=channel.parse, default=channel.FIRST, metavar="N|mix", help=channel.HELP)
    parser.set_defaults(corpus_name=corpus, site=site)
    return parser


def parse_parts(text: str, known: Sequence[str]) -> list[str]:
    """The parts in --parts a,b. Raises InputError for an unknown one."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise InputError(f"--parts {text}: there is no part {name!r}; choose from {', '.join(known)}.")
    return list(dict.fromkeys(names))


def find_audio(root: str) -> list[str]:
    """All recordings under a folder, sorted, each in one format; hidden files and folders are skipped.

    Raises OSError for a folder that exists but cannot be read: it must not count as empty.
    """
    best: dict[str, str] = {}
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for extension in FORMATS:
            for name in names:
                if name.lower().endswith(extension) and not name.startswith("."):
                    path = os.path.join(folder, name)
                    best.setdefault(os.path.splitext(path)[0], path)
    return sorted(best.values())


def _refuse(err: OSError) -> None:
    if not isinstance(err, FileNotFoundError):
        raise err


def options(args: argparse.Namespace) -> Options:
    """The shared options. Raises InputError if the corpus is not a folder."""
    if not os.path.isdir(args.corpus):
        raise InputError(f"{args.corpus_name} was looked for in {args.corpus}, which is not a folder; give its place, "
                         f"or get it from {args.site}.")
    return settings(args)


def settings(args: argparse.Namespace) -> Options:
    """The shared options, without a check of the corpus."""
    copies = args.out_wav or os.path.join(args.data, f"{args.corpus_name}_wav")
    return Options(os.path.abspath(copies), args.format, args.check == "full", args.nj, args.channel)


def run(data: str, parts: Mapping[str, Sequence[Source]], opts: Options,
        tables: Callable[[Sequence[Source]], Tables], group: str = "speaker") -> dict[str, list[Pair]]:
    """Check and convert all recordings and write a data directory data/NAME for each part; returns what was written.

    Recordings that have not changed since an earlier run are not read again.

    tables: returns the other tables of a directory (utt2session=..., spk2gender=...) for the good recordings.
    group: what a value of utt2spk is, for the report.
    Raises InputError if over 5 % of all recordings are bad, after listing them in data/NAME/bad_files.txt.
    """
    sources = [source for part in parts.values() for source in part]
    _refuse_double(sources)
    print(f"checking {counted(len(sources), 'recording')} for {', '.join(os.path.join(data, name) for name in parts)}", flush=True)
    outcomes = iter(survey_changed(sources, opts, os.path.join(data, next(iter(parts), ""), MEMORY)))
    found = {name: [(source, next(outcomes)) for source in part] for name, part in parts.items()}
    for name, pairs in found.items():
        list_bad(os.path.join(data, name, BAD_LIST), pairs)
    bad = sum(bool(outcome.reason) for pairs in found.values() for _, outcome in pairs)
    if bad > MAX_BAD_SHARE * len(sources):
        lists = ", ".join(os.path.join(data, name, BAD_LIST) for name, pairs in found.items()
                          if any(outcome.reason for _, outcome in pairs))
        first = next(source.path for pairs in found.values() for source, outcome in pairs if outcome.reason)
        raise InputError(f"bad recordings: {bad} of {len(sources)}, more than {MAX_BAD_SHARE:.0%} (the first is {first}); "
                         f"{lists} says why of each; replace or remove them.")
    good = {name: [pair for pair in pairs if not pair[1].reason] for name, pairs in found.items()}
    for name, pairs in good.items():
        write(os.path.join(data, name), pairs, tables([source for source, _ in pairs]))
        _report(os.path.join(data, name), found[name], opts, group)
    return good


def write(folder: str, pairs: Iterable[Pair], tables: Tables) -> None:
    """Write a data directory and validate it; without utt2spk if the speakers are unknown. A directory that already has this content is
    left alone, with everything that later steps added to it."""
    pairs = list(pairs)
    content = {
        **({"utt2spk": {source.utt: source.spk for source, _ in pairs}} if any(source.spk for source, _ in pairs) else {}),
        "utt2dur": {source.utt: f"{outcome.samples / RATE:.3f}" for source, outcome in pairs},
        "utt2num_samples": {source.utt: str(outcome.samples) for source, outcome in pairs},
        **tables,
    }
    wav = {source.utt: outcome.path for source, outcome in pairs}
    said = {"wav.scp": wav, **({"spk2utt": datadir.invert(content["utt2spk"])} if "utt2spk" in content else {}), **content}
    del said["utt2dur"]   # steps/make_feats.sh writes it too, with other digits; utt2num_samples is exact
    if not _says(folder, said):
        datadir.write(folder, wav=wav, **content)
    elif not os.path.exists(os.path.join(folder, "utt2dur")):   # steps/make_feats.sh was killed after it had taken the old table away
        table.write(os.path.join(folder, "utt2dur"), content["utt2dur"])
    datadir.validate(folder, need=("wav.scp", *content))


def _says(folder: str, content: Tables) -> bool:
    """Whether a directory holds these tables with exactly this content; other files do not matter."""
    try:
        return all(table.read(os.path.join(folder, name)) == entries for name, entries in content.items())
    except InputError:
        return False


def _refuse_double(sources: Iterable[Source]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if seen.setdefault(source.utt, source.path) != source.path:
            raise InputError(f"{source.path} and {seen[source.utt]} would both be utterance {source.utt}; "
                             "remove or rename one.")


def list_bad(path: str, pairs: Iterable[Pair]) -> None:
    """Write "path<TAB>reason" for each bad recording, "path<TAB>kept: reason" for a doubtful one; no file if there are none."""
    lines = [f"{source.path}\t{outcome.reason or f'kept: {outcome.note}'}\n" for source, outcome in pairs if outcome.reason or outcome.note]
    if lines:
        with files.atomic_write(path) as file:
            file.writelines(lines)
    elif os.path.exists(path):
        os.unlink(path)


def _report(folder: str, pairs: Sequence[Pair], opts: Options, group: str) -> None:
    """Print what a data directory holds, and what was done to the recordings."""
    good = [(source, outcome) for source, outcome in pairs if not outcome.reason]
    hours = sum(outcome.samples for _, outcome in good) / RATE / 3600
    speakers = {source.spk for source, _ in good if source.spk}
    print(f"{folder}: {counted(len(good), 'utterance')}, {counted(len(speakers), group) + ', ' if speakers else ''}{hours:.2f} hours")
    if len(good) < len(pairs):
        bad, first = len(pairs) - len(good), next(source.path for source, outcome in pairs if outcome.reason)
        print(f"  bad recordings: {bad} of {len(pairs)}, left out and listed in {folder}/{BAD_LIST} (the first is {first})")
    rates = collections.Counter(outcome.rate for _, outcome in good if outcome.rate != RATE)
    if rates:
        which = ", ".join(f"{count} of {rate} Hz" for rate, count in sorted(rates.items()))
        print(f"  {rates.total()} resampled to {RATE} Hz ({which})")
    doubtful = [source.path for source, outcome in good if outcome.note]
    if doubtful:
        print(f"  {len(doubtful)} badly clipped and kept, listed in {folder}/{BAD_LIST} (the first is {doubtful[0]})")
    several = sum(outcome.channels > 1 for _, outcome in good)
    if several:
        print(f"  {several} of several channels reduced to the first (--channel chooses another)" if opts.channel == channel.FIRST else
              f"  {several} of several channels reduced by --channel {opts.channel}")
    how = collections.Counter(outcome.how for _, outcome in good)
    if how["converted"] or how["kept"]:
        print(f"  {how['converted']} converted now and {how['kept']} kept from an earlier run, in {opts.copies}")
