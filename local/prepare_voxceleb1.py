#!/usr/bin/env python3
"""Make the data directories DATA_DIR/voxceleb1_dev and voxceleb1_test, and the trials files, from VoxCeleb1.

VOXCELEB1_DIR holds vox1_meta.csv, {dev,test}/wav/idNNNNN/<video>/NNNNN.wav (or wav/idNNNNN/... when both archives
were unpacked in one place) and official trial lists. veri_test.txt and veri_test2.txt become trials_veri_test and
trials_veri_test2 in voxceleb1_test. list_test_all(2).txt, list_test_hard(2).txt and voxsrc2021_val.txt are about dev
and test speakers: they go to DATA_DIR/voxceleb1, the two parts together, written where such a list is there.

Recordings of another rate or of several channels are converted (16 kHz, one channel). Bad ones (0 bytes, truncated,
undecodable, nothing but zeros) are listed in bad_files.txt of their data directory and left out, their trials with them; over 5 % of
them are an error.
The program can be stopped and run again.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))   # this checkout comes before any other sslspk
from sslspk.errors import counted, entry
from sslspk.io import prepare, voxceleb
from sslspk.io.survey import Source


def main() -> None:
    parser = prepare.command_line(__doc__, "voxceleb1", voxceleb.SITE)
    parser.add_argument("--parts", default="dev,test", help="dev, test or dev,test (default)")
    parser.add_argument("--lists", metavar="DIR", help="folder of the trial lists (default: VOXCELEB1_DIR)")
    args = parser.parse_args()
    opts, names = prepare.options(args), prepare.parse_parts(args.parts, voxceleb.PARTS)
    meta = os.path.join(args.corpus, "vox1_meta.csv")
    speakers = voxceleb.read_metadata(meta, "VoxCeleb1")
    parts = {}
    for name in names:
        parts[f"voxceleb1_{name}"] = voxceleb.scan(args.corpus, name, speakers, meta, args.nj)
        if not parts[f"voxceleb1_{name}"]:
            raise voxceleb.missing_part(args.corpus, name, 1, meta)
    lists = read_lists(args.lists or args.corpus, args.corpus, parts) if "test" in names else {}

    def tables(sources: list[Source]) -> dict[str, dict[str, str]]:
        return {"utt2session": voxceleb.sessions(sources), "spk2gender": voxceleb.spk2gender(sources, speakers, meta)}

    # A gap in the metadata shows here, before hours of work.
    tables([source for part in parts.values() for source in part])
    good = prepare.run(args.data, parts, opts, tables)
    if "voxceleb1" in lists:
        pairs = good["voxceleb1_dev"] + good["voxceleb1_test"]
        good["voxceleb1"] = pairs
        prepare.write(os.path.join(args.data, "voxceleb1"), pairs, tables([source for source, _ in pairs]))
        print(f"{args.data}/voxceleb1: {counted(len(pairs), 'utterance')}, the two together")
    for name, those in lists.items():
        utts = {source.utt for source, _ in good[name]}
        for trial_list in those:
            voxceleb.write_list(trial_list, utts, os.path.join(args.data, name))


def read_lists(folder: str, corpus: str,
               parts: dict[str, list[Source]]) -> dict[str, list[voxceleb.TrialList]]:
    """The lists to write into each data directory, read before the long work so that a wrong one is found at once."""
    test = {source.utt for source in parts["voxceleb1_test"]}
    everyone = {source.utt for part in parts.values() for source in part}
    found: dict[str, list[voxceleb.TrialList]] = {}
    for path in voxceleb.find_lists(folder):
        if os.path.basename(path).removesuffix(".txt") in voxceleb.LISTS_TEST:
            trial_list = voxceleb.read_list(path, test, f"{corpus}'s test part")
            found.setdefault("voxceleb1_test", []).append(trial_list)
        elif len(parts) == 2:
            found.setdefault("voxceleb1", []).append(voxceleb.read_list(path, everyone, corpus))
        else:
            print(f"{path} is passed over: it is about dev and test speakers, and --parts names only one of them")
    return found


if __name__ == "__main__":
    entry(main)
