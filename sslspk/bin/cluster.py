"""Cluster embeddings into pseudo-speakers: `python3 -m sslspk.bin.cluster --conf conf/cluster.yaml EMB_DIR OUT`.

Reads EMB_DIR/xvector.scp and writes OUT/utt2spk ("utt cluster-00012"), OUT/spk2utt, and OUT/info.json: configuration, number and sizes of
the clusters, number of utterances left out, and which labels were used (in training the model of the embeddings, or --model). Utterances of
too small clusters, and those above the largest allowed size, are not in utt2spk. With --truth, OUT/report.json says how well clusters and
speakers agree; the clusters do not depend on it.
"""
import argparse
import os
import time
from typing import TYPE_CHECKING

from sslspk.errors import InputError, entry, real, whole

if TYPE_CHECKING:
    from sslspk.backend.config_cluster import ClusterConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", help="YAML of the scheme (see conf/cluster.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, e.g. clusters=100 (repeatable)")
    parser.add_argument("--truth", metavar="UTT2SPK", help="true speakers, for OUT/report.json alone")
    parser.add_argument("--model", metavar="DIR", help="plda_ahc: PLDA by steps/train_backend.sh, instead of one trained on the clusters")
    parser.add_argument("--max-gb", type=real, metavar="GB", help="GB (10^9 bytes) that the distances may take (default: the free memory)")
    parser.add_argument("--gpu", type=whole, default=-1, help="GPU number for k-means, -1: CPU")
    parser.add_argument("emb", metavar="EMB_DIR")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()

    from sslspk import config as configuration
    from sslspk.backend import clustering, clustering_schemes, labels_seen, load
    from sslspk.backend.config_cluster import ClusterConfig
    from sslspk.io import ark, embeddings, table
    config = configuration.load(ClusterConfig, args.conf, args.set)
    if args.model and config.method != "plda_ahc":
        raise InputError(f"--model is for plda_ahc; the method is {config.method}, so leave it out.")
    truth = table.read(args.truth) if args.truth else None
    utterances = len(ark.read_scp(os.path.join(args.emb, "xvector.scp")))
    points = clustering_schemes.check(config, utterances, args.max_gb)
    if config.method != "kmeans":
        nearest = clustering.nearest_of(points, config.neighbours)
        among = f" among {nearest} neighbours of each" if nearest else f" takes {clustering.tree_bytes(points) / 1e9:.2f} GB at most"
        print(f"{config.method}: a tree of {points:,} points{among}", flush=True)
    names, x = embeddings.load(args.emb)
    plda, labels = (load(args.model, "plda"), labels_seen(args.model)) if args.model else (None, "none")
    begin = time.time()
    found = clustering_schemes.cluster(x, names, config, kmeans_on(args.gpu, config), plda=plda, max_gb=args.max_gb)
    save(args, config, names, found, labels, truth)
    print(f"{time.time() - begin:.1f} s", flush=True)


def kmeans_on(gpu: int, config: "ClusterConfig"):
    """What does k-means for the backend, which has no torch."""
    def kmeans(rows, k: int):
        import torch

        from sslspk.nn.kmeans import kmeans
        from sslspk.train import distributed
        points = torch.from_numpy(rows).float().to(distributed.device_of_job(gpu))
        found = kmeans(points, k, iterations=config.kmeans_iterations, init="random", seed=config.seed)
        used = int((found.count > 0).sum())
        print(f"k-means: {used:,} centroids, objective {found.objective:.6g}, {found.iterations} iterations", flush=True)
        return found.assignment.cpu().numpy()
    return kmeans


def save(args: argparse.Namespace, config: "ClusterConfig", names: list[str], found, labels: str, truth: dict[str, str] | None) -> None:
    """Write OUT/*, utt2spk last, and print what matters."""
    from sslspk.bin.metrics import save_json
    from sslspk.config import digest
    from sslspk.io import datadir, provenance, results, table
    from sslspk.metrics import clustering as measures
    width = max(5, len(str(found.group.max())))
    utt2spk = {name: f"cluster-{group:0{width}}" for name, group in zip(names, found.group.tolist(), strict=True) if group >= 0}
    origin = os.path.join(args.emb, "provenance.json")
    source = results.origin(origin) if os.path.exists(origin) else {}
    # Without provenance.json it is unknown which labels the embeddings' model has read; this is never guessed.
    labels = results.joined(source.get("labels", "unknown"), labels)
    info = {"method": config.method, "clusters": len(set(utt2spk.values())), "utterances": len(utt2spk),
            "left_out": found.small + found.capped, "left_out_small": found.small, "left_out_capped": found.capped,
            "sizes": measures.sizes(list(utt2spk.values())), "notes": found.notes, "labels": labels,
            "trained_on": provenance.corpus(os.path.basename(os.path.abspath(args.emb))), "embeddings": args.emb, "embeddings_of": source,
            "plda": args.model, "config_hash": digest(config), "config": config.model_dump(mode="json"), "commit": provenance.git_commit()}
    os.makedirs(args.out, exist_ok=True)
    lines = [f"clusters: {info['clusters']:,} of {len(utt2spk):,} utterances; {found.small:,} left out with small clusters, "
             f"{found.capped:,} above the cap"]
    if truth is not None:
        figures = against(utt2spk, truth, args.truth)
        save_json(figures, os.path.join(args.out, "report.json"))
        lines.append("purity: {purity:.4f}, inverse purity {inverse_purity:.4f}, NMI {nmi:.4f} "
                     "against the labels, for analysis only".format(**figures))
    elif os.path.exists(stale := os.path.join(args.out, "report.json")):
        os.remove(stale)
    save_json(info, os.path.join(args.out, "info.json"))
    table.write(os.path.join(args.out, "spk2utt"), datadir.invert(utt2spk))
    table.write(os.path.join(args.out, "utt2spk"), utt2spk)
    print("\n".join([*lines, *(f"note: {note}" for note in found.notes)]))


def against(utt2spk: dict[str, str], truth: dict[str, str], path: str) -> dict:
    """What metrics.clustering says of those utterances whose speaker `truth`, read from `path`, knows."""
    from sslspk.metrics import clustering as measures
    known = [utt for utt in utt2spk if utt in truth]
    if not known:
        raise InputError(f"{path} knows the speaker of none of {len(utt2spk)} utterances; give the utt2spk of the clustered data.")
    return {**measures.report([utt2spk[utt] for utt in known], [truth[utt] for utt in known]),
            "unknown_utterances": len(utt2spk) - len(known), "truth": path,
            "note": "for analysis: the clusters do not depend on these labels"}


if __name__ == "__main__":
    entry(main)
