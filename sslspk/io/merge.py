"""Joins the tables that parallel jobs wrote into one sorted table, atomically."""
import os
from collections.abc import Collection, Mapping, Sequence

from sslspk.errors import InputError
from sslspk.io import ark, audio, files, table


def join(tables: Mapping[str, Sequence[str]], ids: Collection[str] | None = None, logs: str = "") -> int:
    """Write each table (a key of `tables`) from the jobs' parts of it; returns how many entries each has.

    All are read and checked before the first is written. They are written in the order given, so that the table whose
    presence means "complete" can come last. ids: what every table must hold; None: what the first holds. See `gather`.
    """
    found: dict[str, dict[str, str]] = {}
    for out, parts in tables.items():
        found[out] = gather(parts, out, ids, logs)
        ids = found[out].keys() if ids is None else ids
    for out, entries in found.items():
        table.write(out, entries)
    return len(ids or ())


def gather(parts: Sequence[str], out: str, ids: Collection[str] | None = None, logs: str = "") -> dict[str, str]:
    """The entries of all parts (a job may have had none), for the table `out`; for an scp, checks that its archives are whole.

    Raises InputError naming what is wrong: a missing part, an id in two parts, ids that are not exactly `ids`, no entry at
    all, an archive that ends too early. logs: where the jobs' logs are, for the message.
    """
    entries: dict[str, str] = {}
    for part in parts:
        if not os.path.exists(part):
            raise InputError(f"{part} is missing, which belongs to {out}; {_remedy(logs)}.")
        fresh = table.read(part) if os.path.getsize(part) else {}
        twice = min(fresh.keys() & entries.keys(), default=None)
        if twice is not None:
            raise InputError(f"{part}: {twice} is also in another job's part of {out}; {_remedy(logs)}.")
        entries |= fresh
    wanted = entries.keys() if ids is None else set(ids)
    odd = min(wanted ^ entries.keys(), default=None)
    if odd is not None or not entries:
        which = f" ({odd} is {'missing' if odd in wanted else 'not one of them'})" if odd is not None else ""
        raise InputError(f"{len(entries.keys() & wanted)} of {len(wanted)} entries came out for {out}{which}; {_remedy(logs)}.")
    if str(out).endswith(".scp"):
        check_whole(entries)
    return entries


def check_whole(scp: Mapping[str, str]) -> None:
    """Refuse a table with an archive that ends before its last entry does (a cut copy, a full disk).

    Entries that are whole files are not checked. Raises InputError naming the entry.
    """
    last: dict[str, int] = {}
    for spec in scp.values():
        path, offset = files.split_spec(files.split_range(spec)[0])
        if offset is not None:
            last[path] = max(last.get(path, 0), offset)
    for path, offset in last.items():
        spec, size = f"{path}:{offset}", files.size(path)
        end = ark.end(spec) if files.shared(path).pread(2, offset) == b"\0B" else audio.packed_end(spec)
        if size < end:
            raise InputError(f"{spec} is truncated ({max(size - offset, 0)} of {end - offset} bytes); run the step that wrote it again.")


def _remedy(logs: str) -> str:
    return f"look at the jobs' logs{f' in {os.fspath(logs)}' if logs else ''}, then run the step again"
