"""DET plot of several systems on one trial list: `python3 -m sslspk.bin.plot_det --trials T --out det.png NAME=SCORES ...`.

SCORES is a score file, or a directory that holds scores_T as steps/score.sh names it. Both axes are probit scales, on which the
scores of two normal distributions give a straight line. The circle is the EER, the diamond the minDCF at --p-target.
The legend is in the order given. --out may end in .png, .svg or .pdf.
"""
import argparse
import os

from sslspk.errors import InputError, entry, real
from sslspk.report.draw import COLOURS

DASHES = ("-", "--", "-.", ":")
TICKS = (1, 10, 50, 0.1, 0.01, 5, 20, 80, 2, 0.5, 90, 30, 70, 0.2, 40, 60, 95, 0.05, 0.02)  # percent; the first win room
ENDS = tuple(sorted(TICKS))
FORMATS = ("png", "svg", "pdf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", required=True, metavar="FILE", help="the list that all systems scored")
    parser.add_argument("--out", required=True, metavar="FILE", help="the picture: .png, .svg or .pdf")
    parser.add_argument("--title", help="title above the plot (default: the list's file name)")
    parser.add_argument("--p-target", type=real, default=0.05, metavar="P", help="prior of minDCF (default 0.05)")
    parser.add_argument("systems", nargs="+", metavar="NAME=SCORES", help="what the legend says = score file or its directory")
    args = parser.parse_args()
    plot(args.trials, args.out, system_paths(args.systems, f"scores_{list_name(args.trials)}"), args.title, args.p_target)


def list_name(trials: str) -> str:
    """What a list is called in the names of its files."""
    return os.path.basename(trials).removesuffix(".txt")


def plot(trials: str, out: str, systems: dict[str, str], title: str | None = None, p_target: float = 0.05) -> None:
    """Draw the DET curves of score files (legend -> path) on one list into the picture `out`, whole or not at all.

    Raises InputError: an unknown kind of picture, a list or a score file that cannot be read, scores that are not the list's.
    """
    check_ending(out)
    from sslspk.io import scores as score_file
    from sslspk.io import trials as trial_list
    from sslspk.metrics import verification
    pairs = trial_list.read(trials)
    curves = {system: verification.det_curve(score_file.align(pairs, score_file.read(path), path, trials), pairs.target)
              for system, path in systems.items()}
    save(draw(curves, list_name(trials) if title is None else title, p_target), out)


def check_ending(out: str) -> str:
    """The kind of picture that a file name asks for (InputError: none that can be drawn)."""
    kind = os.path.splitext(out)[1][1:].lower()
    if kind not in FORMATS:
        raise InputError(f"--out {out} has no ending that says what to draw; end it in .{', .'.join(FORMATS)}.")
    return kind


def save(figure, out: str) -> None:
    """Write a matplotlib figure, whole or not at all, in the format that the ending of `out` names."""
    from sslspk.io import files
    kind = check_ending(out)
    with files.atomic_write(out, "wb") as file:
        # No date inside: the same scores give the same bytes.
        figure.savefig(file, format=kind, dpi=160, metadata={"png": {}, "svg": {"Date": None},
                                                             "pdf": {"CreationDate": None}}[kind])


def system_paths(systems: list[str], file_name: str) -> dict[str, str]:
    """Legend -> score file, from NAME=SCORES words. Raises InputError for a word without "=" and a name that comes twice."""
    out: dict[str, str] = {}
    for word in systems:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise InputError(f"'{word}' is not NAME=SCORES, for example DINO=exp/dino/scores; write both sides.")
        if name in out:
            raise InputError(f"two systems are called {name}; give each a name of its own.")
        out[name] = os.path.join(path, file_name) if os.path.isdir(path) else path
    return out


def draw(curves, title: str, p_target: float):
    """A matplotlib figure of DET curves (legend -> metrics.verification.Det)."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "sslspk", "font.size": 10, "text.parse_math": False}   # names hold any signs
    from matplotlib.figure import Figure
    from scipy.special import ndtri

    from sslspk.metrics import verification
    low, high = limits(curves)
    figure = Figure(figsize=(6.4, 6.8 + 0.2 * len(curves)), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(ndtri([low, high]), ndtri([low, high]), color="0.7", linewidth=0.8, zorder=1)
    for i, (name, det) in enumerate(curves.items()):
        rate, cost = verification.eer(det), verification.dcf(det.p_miss, det.p_fa, p_target)
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(_probit(det.p_fa), _probit(det.p_miss), DASHES[i // len(COLOURS) % len(DASHES)], color=colour,
                  linewidth=1.6, zorder=3,
                  label=f"{name}: EER {100 * rate:.2f} %, minDCF {cost.min():.3f}")
        best = int(cost.argmin())
        marks = {"linestyle": "none", "color": colour, "markeredgecolor": "white", "zorder": 4}
        axes.plot(_probit(rate), _probit(rate), "o", markersize=7, **marks)
        axes.plot(_probit(det.p_fa[best]), _probit(det.p_miss[best]), "D", markersize=6, **marks)
    labelled = ticks(low, high)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(labelled), [f"{100 * rate:g}" for rate in labelled])
    axes.set(xlim=ndtri([low, high]), ylim=ndtri([low, high]), aspect="equal", title=title,
             xlabel="false acceptance (%)", ylabel="miss (%)")
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    # Below the axes: inside it would hide the curves of a poor system, which reach every corner.
    figure.legend(loc="outside lower center", fontsize=9, frameon=False, title_fontsize=8, alignment="left",
                  title=f"circle: EER, diamond: minDCF at a prior of {p_target:g}")
    return figure


def limits(curves) -> tuple[float, float]:
    """Ends of both axes as rates: what the lists can resolve below, and a legible piece above the worst EER."""
    from sslspk.metrics import verification
    smallest = min(min(det.p_fa[det.p_fa > 0].min(), det.p_miss[det.p_miss > 0].min()) for det in curves.values())
    rates = [verification.eer(det) for det in curves.values()]
    below = [t / 100 for t in ENDS if t / 100 <= max(min(smallest, 0.01), min(rates) / 100)]
    above = [t / 100 for t in ENDS if t / 100 >= min(max(3 * max(rates), 0.4), 0.9)]
    return (below or [ENDS[0] / 100])[-1], above[0]


def ticks(low: float, high: float) -> list[float]:
    """Rates to be labelled, ascending, none nearer to another than a 22nd of the axis."""
    from scipy.special import ndtri
    room, chosen = (ndtri(high) - ndtri(low)) / 22, []
    for rate in (t / 100 for t in TICKS):
        if low <= rate <= high and all(abs(ndtri(rate) - ndtri(other)) >= room for other in chosen):
            chosen.append(rate)
    return sorted(chosen)


def _probit(rates):
    """Rates on the scale of the normal distribution; 0 and 1, which are infinitely far, stand outside the picture."""
    import numpy as np
    from scipy.special import ndtri
    return ndtri(np.clip(rates, 1e-7, 1 - 1e-7))


if __name__ == "__main__":
    entry(main)
