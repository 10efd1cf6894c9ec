"""Joins the tables that the jobs of a step wrote: `python3 -m sslspk.bin.merge_tables --jobs 4 w.JOB.scp data/x/wav.scp`.

PARTS is the name of a job's table with JOB (the last one, where a folder holds it as well) in place of its number, OUT the table to
write. Every OUT is sorted; all of them are checked before the first is written, in the order given: a missing or unknown id, an id
that comes twice and an archive that ends too early stop the program. Where several are given they must hold the same ids.
"""
import argparse

from sslspk.errors import entry, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=whole, required=True, metavar="N", help="number of parts of each table")
    parser.add_argument("--ids", metavar="TABLE", help="every OUT must have the ids of this table, such as DATA/utt2spk")
    parser.add_argument("--logs", default="", metavar="DIR", help="where the jobs' logs are, for the message")
    parser.add_argument("tables", nargs="+", metavar="PARTS OUT", help="two words for each table")
    args = parser.parse_args()
    patterns, outs = args.tables[0::2], args.tables[1::2]
    if len(patterns) != len(outs) or len(set(outs)) != len(outs) or not all("JOB" in pattern for pattern in patterns):
        parser.error("the words must be PARTS OUT, PARTS OUT ..., with JOB in each PARTS and no OUT twice")
    if args.jobs < 1:
        parser.error(f"--jobs takes a number from 1 on, not {args.jobs}")

    from sslspk.io import merge, table
    parts = ([str(job).join(pattern.rsplit("JOB", 1)) for job in range(1, args.jobs + 1)] for pattern in patterns)
    count = merge.join(dict(zip(outs, parts, strict=True)), table.read(args.ids) if args.ids else None, args.logs)
    print(f"merge_tables: wrote {count} entries to {' and '.join(outs)}")


if __name__ == "__main__":
    entry(main)
