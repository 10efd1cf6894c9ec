"""The report as one page of HTML that needs no network and no other file."""
from pathlib import Path

from sslspk import progress
from sslspk.config import differing
from sslspk.io import results
from sslspk.metrics import verification
from sslspk.metrics.verification import Det
from sslspk.report import classes, draw, groups, scored
from sslspk.report.collect import CURVES, System
from sslspk.report.groups import Group
from sslspk.report.html import chooser, figure, interval, sorted_table, table, text
from sslspk.report.scored import Scored
from sslspk.report.sounds import Sounds

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1260px;padding:0 1em;color:#222}
h1{font-size:1.6em}h2{margin-top:2em;border-bottom:1px solid #ccc}table{border-collapse:collapse;margin:.6em 0}
th,td{padding:.25em .6em;border-bottom:1px solid #e3e3e3;text-align:left;vertical-align:top}td.n{text-align:right;white-space:nowrap}
th[data-sort]{cursor:pointer;white-space:nowrap}th[data-sort]:after{content:" \\2195";color:#aaa}.scroll{overflow-x:auto}
tr.labels td:first-child:after{content:" *";color:#D55E00}.note{color:#666}
svg{overflow:visible}svg text{font-size:11px;fill:#444}.grid{stroke:#e6e6e6}.mark{stroke:#222}
.curve{fill:none;stroke-width:1.7}.bins{fill-opacity:.25;stroke-width:1.2}
.legend span{margin-right:1.2em;display:inline-block;font-size:13px}
details{margin:.6em 0}
figure{display:inline-block;margin:0 1em 1em 0;vertical-align:top;max-width:560px}figcaption{font-weight:600}
.share{stroke:#fff}.count{font-size:11px;text-anchor:middle}
code{font-size:13px;word-break:break-all}audio{height:30px;width:230px}
"""
SCRIPT = """
for (const head of document.querySelectorAll('th[data-sort]')) head.onclick = () => {
  const body = head.closest('table').tBodies[0], at = head.cellIndex, up = head.dataset.sort !== 'up';
  head.dataset.sort = up ? 'up' : 'down';
  const value = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const order = (a, b) => { const x = parseFloat(value(a)), y = parseFloat(value(b));
    return isNaN(x) || isNaN(y) ? value(a).localeCompare(value(b)) : x - y; };
  [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)).forEach(row => body.append(row));
};
for (const box of document.querySelectorAll('input.filter')) box.oninput = () => {
  for (const row of document.getElementById(box.dataset.table).tBodies[0].rows)
    row.hidden = !row.textContent.toLowerCase().includes(box.value.toLowerCase());
};
for (const choice of document.querySelectorAll('select.colour')) choice.onchange = () => {
  const figure = choice.closest('figure'), kind = choice.value;
  for (const legend of figure.querySelectorAll('.legend')) legend.hidden = legend.dataset.kind !== kind;
  const colours = JSON.parse(figure.querySelector(`.legend[data-kind=${kind}]`).dataset.colours);
  for (const dot of figure.querySelectorAll('circle')) dot.setAttribute('fill', colours[dot.dataset[kind]] ?? '%s');
};
for (const choice of document.querySelectorAll('select.block')) choice.onchange = () => {
  choice.closest('.chooser').querySelectorAll('div.block').forEach((block, at) => { block.hidden = at !== choice.selectedIndex; });
};
"""
SOUNDS = 40   # recordings to listen to, about 70 kB each
COLUMNS = (("EER %", "eer_percent", 2), ("minDCF .01", "min_dcf_0.01", 3), ("minDCF .05", "min_dcf_0.05", 3),
           ("same gender EER %", "eer_percent_same_gender", 2))


def page(title: str, systems: list[System], lists: list[tuple[list[dict], Scored | None, str]], audio: int, folders: list[Path]) -> str:
    """The whole page. lists: for each trial list the rows of its results, what could be read of it, and why not; audio: errors to hear;
    folders: where paths of results may start."""
    sounds, maps = Sounds(), sum(len(found.rows) for _, found, _ in lists if found)
    parts = [f"<h1>{text(title)}</h1>"]
    for number, (rows, found, why) in enumerate(lists):
        if found is not None:
            sounds.open(found.data, audio and max(4 * audio, SOUNDS // len(lists)))   # enough for the list's first system
        parts.append(_list(number, (rows, found, why), audio, sounds, maps))
    parts += [_judged(systems), classes.sections(systems, folders), _trainings(systems), _configurations(systems), _commands(systems)]
    script = SCRIPT % draw.GREY + sounds.script()
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title><link rel="icon" href="data:,">'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}<script>{script}</script></body></html>\n")


def _list(number: int, one: tuple[list[dict], Scored | None, str], audio: int, sounds: Sounds, maps: int) -> str:
    """The section of one trial list, as `page` has it."""
    (rows, found, why), first = one, one[0][0]
    parts = [f"<h2>{text(first['list'])}</h2>", f"<p>{_trials(first)}. * : labels were used.</p>", _table(f"list{number}", rows)]
    if found is None:
        return "".join(parts) + f'<p class="note">{text(why)}</p>'
    if not found.rows:
        return "".join(parts)
    of, curves, blocks = groups.find(found.trials, found.data), {}, []
    for i, row in progress.over(list(enumerate(found.rows)), "systems"):
        name, curve = scored.legend(row), verification.det_curve(found.scores[i], found.trials.target)
        curves[name] = scored.det(curve)
        blocks.append((name, _system(found, i, name, curve, of, maps) + (_errors(found, i, name, curve, audio, sounds) if audio else "")))
    parts += [_det(curves), "<h3>Scores, errors and embeddings by system</h3>", chooser("system", blocks)]
    if sounds.refused:
        parts.append('<p class="note">The systems that come later in the list have fewer recordings to listen to, to keep the page small: '
                     "name fewer folders, or lower --audio.</p>")
    return "".join(parts)


def _judged(systems: list[System]) -> str:
    """A table of what was judged without labels."""
    rows = [(system.name, row) for system in systems for row in system.judged]
    if not rows:
        return ""
    body = [("", [(name, None), (row["weights"], None), (interval(row, "auc_percent", 2), row["auc_percent"]),
                  (interval(row, "eer_percent", 2), row["eer_percent"]), (f"{row['effective_rank']:.1f}", row["effective_rank"]),
                  (row["recordings"], row["recordings"]), (row["labels"], None)])
            for name, row in sorted(rows, key=lambda one: -one[1]["auc_percent"])]
    heads = ("system", "weights", "AUC %", "EER %", "effective rank", "recordings", "labels used")
    return ("<h2>Without labels</h2><p>How often two crops of one held-out recording are closer than crops of two.</p>"
            + sorted_table("judged", heads, body))


def _det(curves: dict[str, list[tuple[float, float]]]) -> str:
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return ""
    axes = draw.Axes(*[(min(values), max(values)) for values in zip(*points, strict=True)], scored.probit, scored.probit)
    return figure("DET curves", draw.lines(curves, "false alarms, %", "misses, %", axes, scored.ticks(points)))


def _system(found: Scored, number: int, name: str, curve: Det, of: list[Group], maps: int) -> str:
    """Histogram, errors by group and map of one row."""
    said = scored.histogram(found.scores[number], found.trials.target, curve)
    marks = {f"threshold of the {key}": value for key, value in said.thresholds.items()}
    return "".join([figure(f"Scores of {name}", draw.histogram(said.edges, said.shares, marks, "score")), _groups(found, number, name, of),
                    _map(found, number, name, maps)])


def _trials(row: dict) -> str:
    known = row.get("targets", 0) + row.get("nontargets", 0)
    return (f"{known} trials, {row.get('targets', '?')} of them target, md5 {text(row.get('trials_md5', '?'))}; 95 % intervals over "
            f"{row.get('speakers', 'no')} speakers")


def _table(name: str, rows: list[dict]) -> str:
    """All rows of a list."""
    columns = [column for column in COLUMNS if any(column[1] in row for row in rows)]
    heads = ("system", "weights", "scoring", "trained on", "labels used", *(column[0] for column in columns), "seed")
    return sorted_table(name, heads, [_row(row, columns) for row in rows])


def _row(row: dict, columns: list[tuple[str, str, int]]) -> tuple[str, list[tuple[object, object]]]:
    trained = "untrained" if row["weights"] == "untrained" else row["trained_on"]
    cells = [(shown, None) for shown in (row["system"], row["weights"], results.scoring(row), trained, row["labels"])]
    cells += [(interval(row, key, digits), row.get(key)) for _, key, digits in columns]
    return "labels" if row["labels"] != "none" else "", [*cells, (row.get("seed", ""), row.get("seed"))]


def _map(found: Scored, number: int, name: str, maps: int) -> str:
    places = scored.mapped(found, number, maps)
    if places is None:
        return ""
    points, names, groups = places
    options = "".join(f"<option>{kind}</option>" for kind in groups)
    choice = f'<p>coloured by <select class="colour">{options}</select></p>' if groups else ""
    return figure(f"Embeddings of {name}: two principal components", choice + draw.scatter(points, names, groups))


def _groups(found: Scored, number: int, name: str, of: list[Group]) -> str:
    rates = [groups.rate(group, found.scores[number], found.trials.target) for group in of]
    rows = [(one.name, one.targets, one.nontargets, f"{one.eer:.2f}", "" if one.low is None else f"{one.low:.2f}-{one.high:.2f}")
            for one in rates]
    heads = ("trials", "targets", "non-targets", "EER %", "95 % interval")
    return figure(f"Errors of {name} by group", table(heads, rows)) if rows else ""


def _errors(found: Scored, number: int, name: str, curve: Det, audio: int, sounds: Sounds) -> str:
    """The worst misses and false alarms, or that there are none."""
    threshold = verification.eer_threshold(curve)
    worst = scored.worst(found, number, threshold, audio)
    parts = [f"<h3>Worst errors of {text(name)}</h3>", f"<p>At the threshold of the EER, {threshold:.4g}.</p>"]
    rows = "".join(f'<tr><td>{one.kind}</td><td class="n">{one.score:.4g}</td>'
                   + "".join(f"<td>{text(utt)}<br>{_player(sounds.number(utt))}</td>" for utt in one.ids) + "</tr>" for one in worst)
    if rows:
        parts.append(f"<table><tr><th></th><th>score</th><th>enrol</th><th>test</th></tr>{rows}</table>")
    for kind, none in (("miss", "no misses"), ("false alarm", "no false alarms")):
        if not any(one.kind == kind for one in worst):
            parts.append(f'<p class="note">{none}</p>')
    return "".join(parts)


def _player(sound: int | None) -> str:
    return "" if sound is None else f'<audio controls preload="none" data-sound="{sound}"></audio>'


def _trainings(systems: list[System]) -> str:
    """A picture for each figure that any training wrote."""
    pictures = [figure(key, draw.lines(series, "step", key)) for key in CURVES
                if (series := {system.name: system.curves[key] for system in systems if key in system.curves})]
    return "<h2>Training</h2>" + "".join(pictures) if pictures else ""


def _configurations(systems: list[System]) -> str:
    configured = [system for system in systems if system.config]
    rows = "".join("<tr>" + "".join(f"<td><code>{text(cell)}</code></td>" for cell in (key, *values)) + "</tr>"
                   for key, values in differing([system.config for system in configured], missing="").items())
    if not rows:
        return ""
    heads = "".join(f"<th>{text(system.name)}</th>" for system in configured)
    return f'<h2>Where the configurations differ</h2><div class="scroll"><table><tr><th>key</th>{heads}</tr>{rows}</table></div>'


def _commands(systems: list[System]) -> str:
    """How each system was trained, and how its embeddings and scores were made."""
    trained = {system.name: next((said for row in (*system.rows, *system.classified) if (said := results.made_on(row))), "")
               for system in systems}
    rows = "".join(f"<tr><td>{text(name)}</td><td><code>{text(said)}</code></td></tr>" for name, said in trained.items() if said)
    parts = [f"<h2>How they were trained</h2><table>{rows}</table>"] if rows else []
    made = [(system.name, what, said) for system in systems for what, said in _made(system)]
    if made:
        rows = "".join(f"<tr><td>{text(name)}</td><td>{text(what)}</td><td><code>{text(said)}</code></td></tr>"
                       for name, what, said in made)
        parts.append(f"<h2>How they were scored</h2><details><summary>{len(made)} commands</summary><table>{rows}</table></details>")
    return "".join(parts)


def _made(system: System) -> list[tuple[str, str]]:
    """(what it made, command) of each extraction, once, and of each scoring that its results tell."""
    found: dict[str, str] = {}   # command -> what it made
    for row in (*system.rows, *system.classified):
        said = row.get("commands")
        for what in ("extraction", "scoring"):
            if isinstance(said, dict) and isinstance(said.get(what), str):
                of = "embeddings, the first job" if what == "extraction" else f"scores, {row.get('list', row.get('experiment'))}"
                found.setdefault(said[what], of)
    return [(what, command) for command, what in found.items()]
