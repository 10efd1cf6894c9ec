"""What `survey` found out, kept beside the data directories, so that another run reads only new and changed recordings.

The file has a line of JSON for the options, then one for each good recording: its path, span and stem, size and time of its file and of the
file for wav.scp, and the outcome. Bad recordings are not in it: they are looked at each time.
"""
import contextlib
import json
import os
from collections.abc import Iterable, Sequence

from sslspk.io import files
from sslspk.io.survey import Options, Outcome, Source, survey


def survey_changed(sources: Sequence[Source], opts: Options, memory: str) -> list[Outcome]:
    """`survey` for the recordings that the file `memory` does not know, or that have changed since; the others' outcomes are as they were.

    memory: path of the file, which is written again.
    """
    known = _read(memory, opts)
    kept = [_unchanged(source, known.get(_key(source))) for source in sources]
    fresh = iter(survey([source for source, outcome in zip(sources, kept, strict=True) if outcome is None], opts))
    outcomes = [outcome or next(fresh) for outcome in kept]
    _write(memory, opts, zip(sources, outcomes, strict=True))
    return outcomes


def _unchanged(source: Source, line: list | None) -> Outcome | None:
    """The outcome that a line of the file says, if both files are as they were."""
    if line is None:
        return None
    was, used, outcome = line[3], line[4], Outcome(*line[5])
    if [_stamp(source.path), _stamp(outcome.path)] != [was, used]:
        return None
    return outcome


def _read(memory: str, opts: Options) -> dict[tuple, list]:
    """The lines of the file; none if there is no such file, or if it was written with other options or is damaged."""
    try:
        with open(memory, encoding="utf-8") as file:
            head, *lines = (json.loads(line) for line in file)
        known = {(path, tuple(span), stem): [path, span, stem, was, used, outcome] for path, span, stem, was, used, outcome in lines}
        return known if head == _options(opts) and all(len(line[-1]) == len(Outcome._fields) for line in lines) else {}
    except (OSError, ValueError, TypeError):
        return {}


def _write(memory: str, opts: Options, found: Iterable[tuple[Source, Outcome]]) -> None:
    """Write the file, unless it says so already."""
    lines = [_options(opts)]
    for source, outcome in found:
        if not outcome.reason:
            how = "kept" if outcome.how == "converted" else outcome.how
            lines.append([*_key(source), _stamp(source.path), _stamp(outcome.path), outcome._replace(how=how)])
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with contextlib.suppress(OSError, ValueError), open(memory, encoding="utf-8") as file:
        if file.read() == text:
            return
    with files.atomic_write(memory) as file:
        file.write(text)


def _key(source: Source) -> tuple:
    return source.path, source.span or (), source.stem


def _options(opts: Options) -> dict:
    return {"copies": opts.copies, "form": opts.form, "full": opts.full, "channel": opts.channel}


def _stamp(path: str) -> list[int] | None:
    """Size and time of a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
