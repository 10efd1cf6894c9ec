#!/usr/bin/env python3
"""Make DATA_DIR/rirs_small, rirs_medium, rirs_large (simulated) and rirs_real, whichever are there, from RIRS_NOISES.

RIRS_DIR holds simulated_rirs/{small,medium,large}room/RoomNNN/*.wav and real_rirs_isotropic_noises/*.wav, each with
its rir_list; without a list all recordings count, except for noises. The "speaker" of a response is its room, and ids
begin with the kind ("small-Room001-00001"), since rooms of all kinds have the same names. Of several channels the
first is taken.
Bad recordings are listed in bad_files.txt of their data directory and left out; over 5 % of them are an error.
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import InputError, entry
from sslspk.io import files, prepare
from sslspk.io.survey import FORMATS, Source

SITE = "OpenSLR (resource 28)"
FOLDERS = {
    "small": os.path.join("simulated_rirs", "smallroom"),
    "medium": os.path.join("simulated_rirs", "mediumroom"),
    "large": os.path.join("simulated_rirs", "largeroom"),
    "real": "real_rirs_isotropic_noises",
}
ROOM = re.compile(r"--room-id\s+(\S+)")


def main() -> None:
    parser = prepare.command_line(__doc__, "rirs", SITE)
    parser.add_argument("--parts", help="some of small,medium,large,real (default: those that are there)")
    args = parser.parse_args()
    opts = prepare.options(args)
    parts = {}
    for kind in prepare.parse_parts(args.parts or ",".join(FOLDERS), tuple(FOLDERS)):
        sources = scan(args.corpus, kind)
        if sources:
            parts[f"rirs_{kind}"] = sources
        elif args.parts:
            raise missing(args.corpus, [kind])
    if not parts:
        raise missing(args.corpus, list(FOLDERS))
    prepare.run(args.data, parts, opts, lambda sources: {}, "room")


def scan(corpus: str, kind: str) -> list[Source]:
    """The responses of a kind, by its rir_list where it has one."""
    root = os.path.abspath(os.path.join(corpus, FOLDERS[kind]))
    listed = os.path.join(root, "rir_list")
    found = from_list(listed, os.path.abspath(corpus)) if os.path.isfile(listed) else from_folder(root)
    sources = []
    for room, path in dict.fromkeys(found):
        stem = os.path.splitext(os.path.basename(path))[0]
        spk = f"{kind}-{room}"
        utt = f"{kind}-{stem}" if stem.startswith(room) else f"{spk}-{stem}"
        sources.append(Source(utt, spk, path, os.path.join(kind, room, stem)))
    return sources


def from_list(path: str, corpus: str) -> list[tuple[str, str]]:
    """(room, path) of each line "--rir-id 00001 --room-id Room001 ... RIRS_NOISES/simulated_rirs/...wav"."""
    found = []
    for number, line in enumerate(files.read_bytes(path).decode("utf-8-sig", "replace").split("\n"), 1):
        if not line.strip():
            continue
        room, name = ROOM.search(line), line.strip().rpartition(" ")[2]
        if room is None or not name.lower().endswith(FORMATS):
            raise InputError(f"{path}:{number}: a line must hold --room-id NAME and end with a wav file; correct it, "
                             "or remove the list.")
        found.append((room[1], os.path.join(corpus, name.removeprefix("RIRS_NOISES/"))))
    return found


def from_folder(root: str) -> list[tuple[str, str]]:
    """(room, path) of each recording under a folder but noises; the room is the folder, or else the file itself."""
    paths = [path for path in prepare.find_audio(root) if "noise" not in os.path.basename(path).lower()]
    return [(_room(os.path.relpath(path, root)), path) for path in paths]


def _room(name: str) -> str:
    return os.path.dirname(name).replace(os.sep, "-") or os.path.splitext(name)[0]


def missing(corpus: str, kinds: list[str]) -> InputError:
    """The error for kinds of which nothing was found."""
    places = ", ".join(os.path.join(corpus, FOLDERS[kind]) for kind in kinds)
    return InputError(f"room impulse responses were looked for in {places}, and none was found; get rirs_noises.zip "
                      f"from {SITE}, unpack it, and give its folder RIRS_NOISES.")


if __name__ == "__main__":
    entry(main)
