"""How good embeddings are, without any label of speakers: `python3 -m sslspk.bin.judge_embeddings CROP2UTT EMB OUT.json`.

EMB holds the embeddings of crops, CROP2UTT the utterance of each, which has two at least (utils/cut_data_dir.sh --ends). Every pair of
crops is compared by the cosine. Two crops of one utterance should be closer than crops of two. Measured: the EER of this decision, with an
interval from a bootstrap over recordings; the AUC, the share of such comparisons that are right; the effective rank of the embeddings,
which is 1 if all lie on a line (Roy and Vetterli 2007). The figures reward a model that recognises the channel as much as one that
recognises the speaker, since both are constant within a recording. Two recordings of one speaker count as different. If several utterances
are from one recording, name the recordings with --recordings: then crops of two utterances of one recording are not compared.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sslspk.errors import InputError, count, entry

if TYPE_CHECKING:
    import numpy as np

MOST = 4000   # crops: eight million pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utterances", metavar="CROP2UTT", help="table with lines `crop utterance`")
    parser.add_argument("emb", type=Path, metavar="EMB", help="folder of embeddings; what its provenance.json says goes to OUT.json")
    parser.add_argument("out", metavar="OUT.json")
    parser.add_argument("--recordings", metavar="TABLE", help="table with lines `crop recording` (default: each utterance is one)")
    parser.add_argument("--bootstrap", type=count, default=200, metavar="N",
                        help="replicates of the bootstrap (default %(default)s; 0: no interval)")
    args = parser.parse_args()

    from sslspk.bin.metrics import save_json
    from sslspk.io import results
    from sslspk.metrics import label_free
    utts, x, utterances = load(args.emb, args.utterances)
    recordings = of_crops(args.recordings, utts, args.emb) if args.recordings else utterances
    found = label_free.judge(x, utterances, recordings, str(args.emb), args.bootstrap)
    save_json(results.origin(args.emb / "provenance.json") | found, args.out)
    low = f" ({found['eer_percent_low']:.2f}-{found['eer_percent_high']:.2f})" if args.bootstrap else ""
    print(f"same recording or not: EER {found['eer_percent']:.2f} %{low}, AUC {found['auc_percent']:.2f} %; effective rank "
          f"{found['effective_rank']:.1f} of {found['dimensions']}; {found['recordings']} recordings")


def load(emb: Path, table: str) -> tuple[list[str], "np.ndarray", list[str]]:
    """Names of crops, their embeddings (N, D) and what a table says of each. Raises InputError for one that it lacks, and for too many."""
    from sslspk.io import embeddings
    utts, x = embeddings.load(str(emb))
    if len(utts) > MOST:
        raise InputError(f"{emb} has {len(utts)} embeddings, more than {MOST}; hold out fewer recordings.")
    return utts, x, of_crops(table, utts, emb)


def of_crops(path: str, crops: list[str], emb: Path) -> list[str]:
    """What a table says of each crop. Raises InputError for one that it lacks."""
    from sslspk.io import table
    known = table.read(path)
    lost = next((crop for crop in crops if crop not in known), None)
    if lost is not None:
        raise InputError(f"{path} lacks {table.named(lost)}, which {emb} has; give the table of these crops.")
    return [known[crop] for crop in crops]


if __name__ == "__main__":
    entry(main)
