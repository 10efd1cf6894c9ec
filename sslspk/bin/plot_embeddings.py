"""Pictures of embeddings in two dimensions: `python3 -m sslspk.bin.plot_embeddings --labels FILE [options] EMB_DIR OUT`.

Draws the utterances of a few labels of EMB_DIR/xvector.scp by PCA and by t-SNE (van der Maaten & Hinton 2008), each label in a colour.
PCA is that of the utterances drawn; its axes say their share of the variance. Writes OUT/embeddings.png and OUT/embeddings.tsv.
"""
import argparse
import os
import random
from collections.abc import Mapping

from sslspk.errors import InputError, count, counted, entry, whole

COLOURS = 10   # of matplotlib's tab10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, metavar="FILE", help="table of each utterance's label: speaker, language, ...")
    parser.add_argument("--num-labels", type=whole, default=6, metavar="N", help="most labels to plot, drawn at random (6; up to 10)")
    parser.add_argument("--per-label", type=whole, default=50, metavar="N",
                        help="most utterances of each label, drawn at random (default 50)")
    parser.add_argument("--perplexity", type=whole, default=30, metavar="P",
                        help="perplexity of t-SNE, a third of the utterances at most (30)")
    parser.add_argument("--seed", type=count, default=0, help="seed of everything random (default 0)")
    parser.add_argument("--title", default="", help="title above the picture")
    parser.add_argument("emb", metavar="EMB_DIR")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    if not 1 <= args.num_labels <= COLOURS or args.per_label < 2 or args.perplexity < 1:
        raise InputError(f"--num-labels takes 1 to {COLOURS}, --per-label 2 or more, --perplexity 1 or more.")
    from sslspk.io import embeddings, table
    chosen = choose(table.read(args.labels), set(table.read(os.path.join(args.emb, "xvector.scp"))), args)
    utts, x = embeddings.load(args.emb, set(chosen))
    labels = [chosen[utt] for utt in utts]
    flat, shares, near = project(x, args)
    from sslspk.bin.plot_det import save
    from sslspk.io import files
    save(draw(labels, flat, shares, near, args.title), os.path.join(args.out, "embeddings.png"))
    with files.atomic_write(os.path.join(args.out, "embeddings.tsv")) as file:
        file.write("utt\tlabel\tpca_1\tpca_2\ttsne_1\ttsne_2\n")
        for utt, label, a, b in zip(utts, labels, flat, near, strict=True):
            file.write("\t".join((utt, label, *(f"{value:.5g}" for value in (*a, *b)))) + "\n")
    print(f"{counted(len(utts), 'embedding')} of {counted(len(set(labels)), 'label')}; PCA shows {100 * sum(shares):.1f} % of their "
          "variance")


def choose(labels: Mapping[str, str], there: set[str], args: argparse.Namespace) -> dict[str, str]:
    """Utterance -> label of what is drawn: labels of two utterances or more. Raises InputError where there is none."""
    groups: dict[str, list[str]] = {}
    for utt in sorted(labels.keys() & there):
        groups.setdefault(labels[utt], []).append(utt)
    names, rng = sorted(name for name, utts in groups.items() if len(utts) > 1), random.Random(args.seed)
    if not names:
        raise InputError(f"no label of {args.labels} has two utterances in {args.emb}; give the labels of these embeddings.")
    drawn = rng.sample(names, min(args.num_labels, len(names)))
    chosen = {name: rng.sample(groups[name], min(args.per_label, len(groups[name]))) for name in drawn}
    return {utt: name for name in sorted(chosen) for utt in sorted(chosen[name])}


def project(x, args: argparse.Namespace) -> tuple:
    """Embeddings (N, D) -> by PCA (N, 2), the shares of the variance (2,), by t-SNE (N, 2)."""
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    from sslspk.backend.base import as_matrix
    x = as_matrix(x)
    if not np.isfinite(x).all() or not x.std(0).any():
        raise InputError(f"the embeddings in {args.emb} are all the same, or not finite; look at the model that they come from.")
    kept = min(2, *x.shape)
    pca = PCA(kept, svd_solver="full").fit(x)
    flat = np.zeros((len(x), 2))
    flat[:, :kept] = pca.transform(x)
    perplexity = min(args.perplexity, max(1, (len(x) - 1) // 3))
    model = TSNE(2, perplexity=perplexity, init=flat / flat[:, 0].std() * 1e-4, learning_rate="auto", random_state=args.seed)
    return flat, [*pca.explained_variance_ratio_, 0.0][:2], model.fit_transform(x)


def draw(labels: list[str], flat, shares: list[float], near, title: str):
    """A matplotlib figure of both projections side by side."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["text.parse_math"] = False   # names hold any signs
    import numpy as np
    from matplotlib.figure import Figure
    figure, names = Figure(figsize=(11, 5), layout="constrained"), np.array(labels)
    for axes, points, what in zip(figure.subplots(1, 2), (flat, near), ("PCA", "t-SNE"), strict=True):
        for number, name in enumerate(sorted(set(labels))):
            mine = points[names == name]
            axes.scatter(mine[:, 0], mine[:, 1], s=18, color=matplotlib.colormaps["tab10"](number), label=name)
        axes.set(title=what)
        axes.set_aspect("equal", "datalim")
        if what == "PCA":
            axes.set(xlabel=f"{100 * shares[0]:.1f} % of the variance", ylabel=f"{100 * shares[1]:.1f} %")
        else:
            axes.set(xticks=[], yticks=[])   # distances of t-SNE have no scale
            axes.legend(fontsize=8, loc="best")
    if title:
        figure.suptitle(title)
    return figure


if __name__ == "__main__":
    entry(main)
