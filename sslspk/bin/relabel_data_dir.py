"""Copies a data directory with clusters in place of speakers."""
import argparse
import os

from sslspk.errors import InputError, counted, entry


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Copies a Kaldi data directory with the clusters that steps/cluster.sh found in place of its speakers; utterances "
                    "without a cluster are left out. What is trained on OUT says that it has seen pseudo-labels.",
        usage="relabel_data_dir.sh DIR CLUSTERS OUT")
    parser.add_argument("source", metavar="DIR")
    parser.add_argument("clusters", metavar="CLUSTERS", help="utt2spk and info.json, as steps/cluster.sh writes them")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    from sslspk.io import datadir, derive, results, table
    datadir.table_names(args.source)
    path = os.path.join(args.clusters, "info.json")
    labels = results.origin(path).get("labels")
    if not isinstance(labels, str) or not labels:
        raise InputError(f"{path} does not say which labels had part in the clusters; run steps/cluster.sh again.")
    source = results.joined("pseudo", labels)
    count, notes = derive.relabel(args.source, args.out, table.read(os.path.join(args.clusters, "utt2spk")), source)
    for note in notes:
        print(f"relabel_data_dir.sh: {note}")
    print(f"relabel_data_dir.sh: {args.out} has {counted(count, 'utterance')} of {args.source} (labels: {source})")


if __name__ == "__main__":
    entry(main)
