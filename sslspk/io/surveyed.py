"""What `survey` found out, kept beside the data directories, so that another run reads only new and changed recordings.

The file has a line of JSON for the options, then one for each good recording: its path, span and stem, size and time of its file and of the
file for wav.scp, and the outcome. Bad recordings are not in it: they are looked at each time.
"""
import json
from collections.abc import Sequence

from sslspk.errors import InputError
from sslspk.io import files
from sslspk.io.survey import Options, Outcome, Source, survey


def survey_changed(sources: Sequence[Source], opts: Options, memory: str) -> list[Outcome]:
    """`survey` for the recordings that the file `memory` does not know, or that have changed since; the others' outcomes are as they were.

    memory: path of the file, which is written again if there is something new to know.
    """
    known = _read(memory, opts)
    kept = [_unchanged(source, known.get(_key(source))) for source in sources]
    changed = [source for source, outcome in zip(sources, kept, strict=True) if outcome is None]
    found = survey(changed, opts)
    new = {_key(source): line for source, outcome in zip(changed, found, strict=True) if (line := _line(source, outcome))}
    if new:
        _write(memory, opts, known | new)
    fresh = iter(found)
    return [outcome or next(fresh) for outcome in kept]


def _unchanged(source: Source, line: list | None) -> Outcome | None:
    """The outcome that the file says, if both files are as they were."""
    if line is None:
        return None
    *versions, fields = line
    outcome = Outcome(*fields)
    return outcome if versions == _versions(source, outcome) else None


def _line(source: Source, outcome: Outcome) -> list | None:
    """What the file says of a recording after its key: both files' versions, and the outcome of the next look; nothing of a bad one."""
    if outcome.reason or not (versions := _versions(source, outcome)):
        return None
    return [*versions, outcome._replace(how="kept") if outcome.how == "converted" else outcome]


def _read(memory: str, opts: Options) -> dict[tuple, list]:
    """The lines of the file; none if there is no such file, or if it was written with other options or is damaged."""
    try:
        with open(memory, encoding="utf-8") as file:
            head, *lines = (json.loads(line) for line in file)
        known = {(path, tuple(span), stem): [was, used, outcome] for path, span, stem, was, used, outcome in lines}
        return known if head == _options(opts) and all(len(line[-1]) == len(Outcome._fields) for line in lines) else {}
    except (OSError, ValueError, TypeError):
        return {}


def _write(memory: str, opts: Options, known: dict[tuple, list]) -> None:
    with files.atomic_write(memory) as file:
        file.writelines(json.dumps(line) + "\n" for line in (_options(opts), *([*key, *line] for key, line in known.items())))


def _key(source: Source) -> tuple:
    return source.path, source.span or (), source.stem


def _options(opts: Options) -> dict:
    """All that an outcome depends on."""
    return {key: value for key, value in opts._asdict().items() if key != "nj"}


def _versions(source: Source, outcome: Outcome) -> list[str] | None:
    """The versions of the recording's file and of that for wav.scp; None if one is missing."""
    try:
        return [files.version(path) for path in (source.path, outcome.path)]
    except InputError:
        return None
