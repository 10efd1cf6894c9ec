"""From a corpus on disk to data directories: every recording is looked at once, in parallel, and converted where it must be.

Mono wav and flac at 16 kHz are pointed at where they lie. Everything else (m4a, another rate, several channels) is
decoded into a copy, once: a copy that is there and no older than its source is kept, so that a killed run goes on.
"""
import argparse
import collections
import concurrent.futures
import functools
import io
import multiprocessing
import multiprocessing.connection
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from sslspk.errors import InputError
from sslspk.io import audio, datadir, decode, files, riff, table

RATE = 16000
MAX_BAD_SHARE = 0.05
BAD_LIST = "bad_files.txt"
FORMATS = (".wav", ".flac", ".m4a")  # in order of preference, where one recording is there in several
CHUNK = 16
ORIGIN = re.compile(r"from (\d+) Hz, (\d+) channels?")
Tables = Mapping[str, Mapping[str, object]]


class Source(NamedTuple):
    """A recording as the corpus has it; `stem` is where a copy would go, without root and extension."""

    utt: str
    spk: str
    path: str
    stem: str


class Outcome(NamedTuple):
    """What became of a recording: the file to point at, its samples, the original's rate and channels; or why it is bad."""

    path: str = ""
    samples: int = 0
    rate: int = RATE
    channels: int = 1
    how: str = "in place"  # or "converted", "kept"
    reason: str = ""


class Options(NamedTuple):
    """How to go about it: root and format of the copies, whether to decode all, how many processes."""

    copies: str
    form: str
    full: bool
    nj: int

    def copy(self, source: Source) -> str:
        """Where the copy of a recording goes."""
        return os.path.join(self.copies, f"{source.stem}.{self.form}")


def positive(text: str) -> int:
    """A number of processes on the command line."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def command_line(description: str, corpus: str) -> argparse.ArgumentParser:
    """The options that all programs of local/prepare_*.py share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar=f"{corpus.upper()}_DIR", help="folder of the corpus")
    parser.add_argument("data", metavar="DATA_DIR", help="folder that gets the data directories")
    parser.add_argument("--nj", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="processes (default: as many as there are cores)")
    parser.add_argument("--out-wav", metavar="DIR",
                        help=f"folder for recordings that had to be converted (default: DATA_DIR/{corpus}_wav)")
    parser.add_argument("--format", choices=("wav", "flac"), default="wav", help="of converted recordings (default: wav)")
    parser.add_argument("--check", choices=("full", "header"), default="full",
                        help="full: decode every recording (16-bit wav needs no decoding, its header and length tell all); "
                        "header: read beginning and end only (default: full)")
    parser.set_defaults(corpus_name=corpus)
    return parser


def options(args: argparse.Namespace) -> Options:
    """What the shared options say. Raises InputError when the corpus is no folder."""
    if not os.path.isdir(args.corpus):
        raise InputError(f"{args.corpus} is not a folder; give the place where {args.corpus_name} is unpacked.")
    copies = args.out_wav or os.path.join(args.data, f"{args.corpus_name}_wav")
    return Options(os.path.abspath(copies), args.format, args.check == "full", args.nj)


def run(data: str, parts: Mapping[str, Sequence[Source]], opts: Options,
        tables: Callable[[Sequence[Source]], Tables]) -> dict[str, list[tuple[Source, Outcome]]]:
    """Check and convert all recordings and write a data directory data/NAME for each part; returns what was written.

    tables: gives the further tables of a directory (utt2session=..., spk2gender=...) for the recordings that are good.
    Raises InputError when over 5 % of all recordings are bad, after listing them in data/NAME/bad_files.txt.
    """
    sources = [source for part in parts.values() for source in part]
    _refuse_double(sources)
    outcomes = iter(survey(sources, opts))
    found = {name: [(source, next(outcomes)) for source in part] for name, part in parts.items()}
    for name, pairs in found.items():
        _list_bad(os.path.join(data, name, BAD_LIST), pairs)
    bad = sum(bool(outcome.reason) for pairs in found.values() for _, outcome in pairs)
    if bad > MAX_BAD_SHARE * len(sources):
        lists = ", ".join(os.path.join(data, name, BAD_LIST) for name, pairs in found.items() if any(o.reason for _, o in pairs))
        raise InputError(f"{bad} of {len(sources)} recordings are bad, more than {MAX_BAD_SHARE:.0%}; "
                         f"copy or download those listed in {lists} again.")
    good = {name: [pair for pair in pairs if not pair[1].reason] for name, pairs in found.items()}
    for name, pairs in good.items():
        write(os.path.join(data, name), pairs, tables([source for source, _ in pairs]))
        _report(os.path.join(data, name), found[name], opts)
    return good


def survey(sources: Sequence[Source], opts: Options) -> list[Outcome]:
    """`examine` for each recording, over `opts.nj` processes and with a progress bar on a terminal."""
    from tqdm import tqdm
    look = functools.partial(examine, opts=opts)
    bar = functools.partial(tqdm, total=len(sources), unit="file", disable=None)
    if opts.nj == 1 or len(sources) < 2 * CHUNK:
        return list(bar(map(look, sources)))
    # Spawned, not forked: a forked worker would keep its siblings' pipes open and outlive a parent that is killed.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(opts.nj, context, initializer=_end_with_parent) as pool:
        try:
            return list(bar(pool.map(look, sources, chunksize=CHUNK)))
        except BrokenProcessPool as err:
            raise InputError("a process that reads recordings was killed, perhaps for want of memory; run the same command "
                             "again with a smaller --nj, it goes on where it stopped.") from err
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def examine(source: Source, opts: Options) -> Outcome:
    """Check one recording, and convert it when it cannot be pointed at. A bad one comes back with its reason."""
    try:
        in_place = not source.path.lower().endswith(audio.AAC)
        if in_place:
            samples, rate, channels = audio.info(source.path)
            in_place = (rate, channels) == (RATE, 1)
        if not in_place:
            return _kept(source, opts) or _convert(source, opts)
        check(source.path, samples, opts.full)
        return Outcome(source.path, samples)
    except InputError as err:
        return Outcome(reason=str(err).removeprefix(source.path).strip())


def check(path: str, samples: int, full: bool) -> None:
    """Refuse a wav or flac, whose header promises `samples`, that cannot be decoded (full) or has no end (otherwise)."""
    if samples == 0:
        raise InputError(f"{path} holds no samples; record or download it again, or leave it out.")
    header = riff.parse(files.part(path, decode.HEADER_READ))
    if header is not None and header.encoding == riff.PCM:
        return  # its length was compared with the header, and any bytes are samples
    if full:
        audio.load(path)
    else:
        audio.read_segment(path, samples - 1, 1)


def write(folder: str, pairs: Iterable[tuple[Source, Outcome]], tables: Tables) -> None:
    """Write a data directory and validate it. One that already says the same is left as it is, with all that
    later steps added to it."""
    pairs = list(pairs)
    content = {
        "utt2spk": {source.utt: source.spk for source, _ in pairs},
        "utt2dur": {source.utt: f"{outcome.samples / RATE:.3f}" for source, outcome in pairs},
        "utt2num_samples": {source.utt: str(outcome.samples) for source, outcome in pairs},
        **tables,
    }
    wav = {source.utt: outcome.path for source, outcome in pairs}
    if not _says(folder, {"wav.scp": wav, **content}):
        datadir.write(folder, wav=wav, **content)
    datadir.validate(folder, need=("wav.scp", *content))


def _says(folder: str, content: Tables) -> bool:
    """Whether a directory holds exactly these tables, whatever else it holds."""
    try:
        return all(table.read(os.path.join(folder, name)) == entries for name, entries in content.items())
    except InputError:
        return False


def _kept(source: Source, opts: Options) -> Outcome | None:
    """The copy that an earlier run made, when it is whole and no older than its source."""
    import soundfile
    copy = opts.copy(source)
    try:
        if os.stat(copy).st_mtime_ns < os.stat(source.path).st_mtime_ns:
            return None
        samples, rate, channels = audio.info(copy)
        check(copy, samples, full=False)
        with soundfile.SoundFile(copy) as file:
            origin = ORIGIN.search(file.comment)
    except (FileNotFoundError, InputError):
        return None
    if (rate, channels) != (RATE, 1):
        return None
    was = (int(origin[1]), int(origin[2])) if origin else (RATE, 1)
    return Outcome(copy, samples, *was, how="kept")


def _convert(source: Source, opts: Options) -> Outcome:
    """Write the first channel at 16 kHz. What the recording was stands in the copy's comment, for the next run's report."""
    import soundfile
    recording = audio.load(source.path)
    samples = audio.resample(recording.samples, recording.rate, RATE)
    blob, copy = io.BytesIO(), opts.copy(source)
    with soundfile.SoundFile(blob, "w", RATE, 1, "PCM_16", format=opts.form.upper()) as file:
        if (recording.rate, recording.channels) != (RATE, 1):
            file.comment = f"from {recording.rate} Hz, {recording.channels} channel{'s' * (recording.channels > 1)}"
        file.write(samples)
    with files.atomic_write(copy, "wb") as out:
        out.write(blob.getvalue())
    return Outcome(copy, len(samples), recording.rate, recording.channels, how="converted")


def _end_with_parent() -> None:
    """In a worker: leave when the program is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
    threading.Thread(target=wait, daemon=True).start()


def _refuse_double(sources: Iterable[Source]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if seen.setdefault(source.utt, source.path) != source.path:
            raise InputError(f"{source.path} and {seen[source.utt]} would both be utterance {source.utt}; remove or rename one.")


def _list_bad(path: str, pairs: Iterable[tuple[Source, Outcome]]) -> None:
    """Write "path<TAB>reason" for each bad recording; no file when there is none."""
    lines = [f"{source.path}\t{outcome.reason}\n" for source, outcome in pairs if outcome.reason]
    if lines:
        with files.atomic_write(path) as file:
            file.writelines(lines)
    elif os.path.exists(path):
        os.unlink(path)


def _report(folder: str, pairs: Sequence[tuple[Source, Outcome]], opts: Options) -> None:
    """Say what a data directory holds, and what was done to the recordings."""
    good = [(source, outcome) for source, outcome in pairs if not outcome.reason]
    hours = sum(outcome.samples for _, outcome in good) / RATE / 3600
    print(f"{folder}: {len(good)} utterances of {len({source.spk for source, _ in good})} speakers, {hours:.2f} hours")
    if len(good) < len(pairs):
        print(f"  {len(pairs) - len(good)} of {len(pairs)} recordings are bad and left out, listed in {folder}/{BAD_LIST}")
    rates = collections.Counter(outcome.rate for _, outcome in good if outcome.rate != RATE)
    if rates:
        which = ", ".join(f"{count} of {rate} Hz" for rate, count in sorted(rates.items()))
        print(f"  {rates.total()} resampled to {RATE} Hz ({which})")
    several = sum(outcome.channels > 1 for _, outcome in good)
    if several:
        print(f"  {several} of several channels reduced to the first")
    how = collections.Counter(outcome.how for _, outcome in good)
    if how["converted"] or how["kept"]:
        print(f"  {how['converted']} converted now and {how['kept']} kept from an earlier run, in {opts.copies}")
