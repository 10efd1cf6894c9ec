"""The report as one page of HTML that needs no network and no other file."""
import json
from pathlib import Path

from sslspk.config import differing
from sslspk.io import results
from sslspk.report import classes, draw, scored
from sslspk.report.collect import CURVES, System
from sslspk.report.html import figure, interval, sorted_table, table, text
from sslspk.report.scored import Scored, Worst

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1180px;padding:0 1em;color:#222}
h1{font-size:1.6em}h2{margin-top:2em;border-bottom:1px solid #ccc}table{border-collapse:collapse;margin:.6em 0}
th,td{padding:.25em .6em;border-bottom:1px solid #e3e3e3;text-align:left;vertical-align:top}td.n{text-align:right;white-space:nowrap}
th[data-sort]{cursor:pointer;white-space:nowrap}th[data-sort]:after{content:" \\2195";color:#aaa}.scroll{overflow-x:auto}
tr.labels td:first-child:after{content:" *";color:#D55E00}.note{color:#666}
svg text{font-size:11px;fill:#444}.grid{stroke:#e6e6e6}.mark{stroke:#222;stroke-dasharray:4 3}
.curve{fill:none;stroke-width:1.7}.bins{fill-opacity:.25;stroke-width:1.2}.legend span{margin-right:1.2em;white-space:nowrap;font-size:13px}
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
const colours = %s;
for (const choice of document.querySelectorAll('select.colour')) choice.onchange = () => {
  for (const dot of choice.closest('figure').querySelectorAll('circle')) dot.setAttribute('fill', colours[dot.dataset[choice.value]]);
};
"""
COLUMNS = (("EER %", "eer_percent", 2), ("minDCF .01", "min_dcf_0.01", 3), ("minDCF .05", "min_dcf_0.05", 3),
           ("same gender EER %", "eer_percent_same_gender", 2))


def page(title: str, systems: list[System], lists: list[tuple[list[dict], Scored | None, str]], audio: int, folders: list[Path]) -> str:
    """The whole page. lists: for each trial list the rows of its results, what could be read of it, and why not; audio: errors to hear;
    folders: where paths of results may start."""
    parts = [f"<h1>{text(title)}</h1>"]
    parts += [_list(number, *one, audio) for number, one in enumerate(lists)]
    parts += [classes.sections(systems, folders), _trainings(systems), _configurations(systems), _commands(systems)]
    script = SCRIPT % json.dumps(draw.COLOURS)
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title><link rel="icon" href="data:,">'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}<script>{script}</script></body></html>\n")


def _list(number: int, rows: list[dict], found: Scored | None, why: str, audio: int) -> str:
    """The section of one trial list."""
    first = rows[0]
    parts = [f"<h2>{text(first['list'])}</h2>", f"<p>{_trials(first)}. * : labels were used.</p>", _table(f"list{number}", rows)]
    if found is None:
        return "".join(parts) + f'<p class="note">{text(why)}</p>'
    names = [scored.legend(row) for row in found.rows]
    curves = {name: scored.det(found, i) for i, name in enumerate(names)}
    points = [point for curve in curves.values() for point in curve]
    if points:
        marks = scored.ticks(points)
        axes = draw.Axes(*[(min(values), max(values)) for values in zip(*points, strict=True)], scored.probit, scored.probit)
        parts.append(figure("DET curves", draw.lines(curves, "false alarms, %", "misses, %", axes, marks)))
    if not found.rows:
        return "".join(parts)
    edges, shares, threshold = scored.histogram(found, 0)
    parts.append(figure(f"Scores of {names[0]}", draw.histogram(edges, shares, {"threshold of the EER": threshold}, "score")))
    parts += [_map(found, names[0]), _groups(found, names[0]), _errors(scored.worst(found, 0, audio) if audio else [], names[0])]
    return "".join(parts)


def _trials(row: dict) -> str:
    known = row.get("targets", 0) + row.get("nontargets", 0)
    return (f"{known} trials, {row.get('targets', '?')} of them target, md5 {text(row.get('trials_md5', '?'))}; 95 % intervals over "
            f"{row.get('speakers', 'no')} speakers")


def _table(name: str, rows: list[dict]) -> str:
    """All rows of a list."""
    heads = ("system", "weights", "scoring", "trained on", "labels used", *(column[0] for column in COLUMNS), "seed")
    return sorted_table(name, heads, map(_row, rows))


def _row(row: dict) -> tuple[str, list[tuple[object, object]]]:
    trained = "untrained" if row["weights"] == "untrained" else row["trained_on"]
    cells = [(shown, None) for shown in (row["system"], row["weights"], results.scoring(row), trained, row["labels"])]
    cells += [(interval(row, key, digits), row.get(key)) for _, key, digits in COLUMNS]
    return "labels" if row["labels"] != "none" else "", [*cells, (row.get("seed", ""), row.get("seed"))]


def _map(found: Scored, name: str) -> str:
    places = scored.mapped(found, 0)
    if places is None:
        return ""
    points, names, groups = places
    options = "".join(f"<option>{kind}</option>" for kind in groups)
    choice = f'<p>coloured by <select class="colour">{options}</select></p>' if groups else ""
    return figure(f"Embeddings of {name}: two principal components", choice + draw.scatter(points, names, groups))


def _groups(found: Scored, name: str) -> str:
    rows = [(group, targets, others, f"{rate:.2f}") for group, targets, others, rate in scored.groups(found, 0)]
    return figure(f"Errors of {name} by group", table(("trials", "targets", "non-targets", "EER %"), rows)) if rows else ""


def _errors(worst: list[Worst], name: str) -> str:
    if not worst:
        return ""
    rows = "".join(f'<tr><td>{one.kind}</td><td class="n">{one.score:.4g}</td>'
                   + "".join(f"<td>{text(utt)}<br>{_player(sound)}</td>" for utt, sound in zip(one.ids, one.audio, strict=True)) + "</tr>"
                   for one in worst)
    return f"<h3>Worst errors of {text(name)}</h3><table><tr><th></th><th>score</th><th>enrol</th><th>test</th></tr>{rows}</table>"


def _player(sound: str) -> str:
    return f'<audio controls preload="none" src="{sound}"></audio>' if sound else ""


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
    """How each system was made."""
    made = {system.name: next((said for row in (*system.rows, *system.classified) if (said := results.made_on(row))), "")
            for system in systems}
    rows = "".join(f"<tr><td>{text(name)}</td><td><code>{text(said)}</code></td></tr>" for name, said in made.items() if said)
    return f"<h2>How they were trained</h2><table>{rows}</table>" if rows else ""
