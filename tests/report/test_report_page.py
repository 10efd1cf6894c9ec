"""sslspk report: one page with all that was measured, looked at in a real browser where there is one."""
import json
import re

import numpy as np
import pytest
import soundfile
from browser import CHROMIUM, look

from sslspk import cli
from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import report as figures
from sslspk.metrics import verification
from sslspk.report import draw, scored

ORIGIN = {"trained_on": "toy", "labels": "none", "commit": "abc", "seed": 0, "machine": {"threads": 1, "command": "train <me>"}}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """data/test with everything that is known of a list, and exp/{good,bad} with scores, embeddings, curves and configurations."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"s{s:02d}-u{u}" for s in range(10) for u in range(4)]
    data = tmp_path / "data/test"
    data.mkdir(parents=True)
    soundfile.write(data / "a.wav", rng.uniform(-0.1, 0.1, 4000), 16000)
    tables = {"wav.scp": lambda utt: str(data / "a.wav"), "utt2spk": lambda utt: utt[:3], "utt2session": lambda utt: utt[:3] + utt[-1],
              "utt2dur": lambda utt: f"{rng.uniform(1, 9):.2f}"}
    for name, value in tables.items():
        table.write(data / name, {utt: value(utt) for utt in ids})
    table.write(data / "spk2gender", {f"s{s:02d}": "mf"[s % 2] for s in range(10)})
    pairs = [(x, y) for i, x in enumerate(ids) for y in ids[i + 1:]]
    target = np.array([x[:3] == y[:3] for x, y in pairs])
    enrol, test = zip(*pairs, strict=True)
    trial_list.write(data / "trials_toy", enrol, test, target)
    for name, distance in {"good": 2.0, "bad<b>": 0.5}.items():
        exp = tmp_path / "exp" / name
        (exp / "scores_encoder").mkdir(parents=True)
        values = distance * target + rng.normal(size=len(pairs))
        score_file.write(exp / "scores_encoder/scores_trials_toy", enrol, test, values)
        row = {**ORIGIN, "system": name, "weights": "encoder", "trials": "data/test/trials_toy", "trials_md5": "0",
               **figures.report(trial_list.read(data / "trials_toy"), values, replicates=10)}
        (exp / "scores_encoder/result_trials_toy.json").write_text(json.dumps(row))
        (exp / "emb_encoder/test").mkdir(parents=True)
        with ark.Writer(exp / "emb_encoder/test/x.ark", exp / "emb_encoder/test/xvector.scp") as writer:
            for utt in ids:
                writer.write(utt, rng.normal(size=4).astype(np.float32))
        lines = [f'{{"step": {step}, "loss": {4 - step / 900}}}\n' for step in range(1, 1001)]
        (exp / "progress.jsonl").write_text("".join(lines) + '{"step": 1')
        (exp / "config.yaml").write_text(f"seed: 0\nmethod: {{name: dino, out_dim: {len(name)}}}\n")
    return tmp_path


def made(*words) -> str:
    cli.run(["report", *words])
    with open("report.html", encoding="utf-8") as file:
        return file.read()


def test_all_that_is_known_is_on_the_page(recipe):
    text = made("exp", "--audio", "2")
    for needed in ("<h2>toy</h2>", "780 trials, 60 of them target", "both speakers f", "target trials of two sessions", "method.out_dim",
                   "<code>6</code></td><td><code>4</code>", "train &lt;me&gt;", "bad&lt;b&gt;", "threshold of the EER"):
        assert needed in text, needed
    assert "<b>" not in text and "<code>seed</code>" not in text   # text is text; what is the same is not among the differences
    assert text.count("<audio") == 8 and text.count("data:audio/wav;base64,") == 8
    points = {int(count) for count in re.findall(r'class="curve" data-points="(\d+)"', text)}
    assert max(points) <= 300 and text.count("<circle") == 40
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in text
    assert made("exp/good").count('<tr><td>good</td>') == 2 and "bad" not in made("exp/good")


def test_without_the_list_the_table_remains(recipe):
    (recipe / "data/test/trials_toy").unlink()
    text = made("exp")
    assert "the list data/test/trials_toy is not there" in text and 'id="list0"' in text and "<h2>Training</h2>" in text
    with pytest.raises(InputError, match="data holds no scores"):
        cli.run(["report", "data"])
    with pytest.raises(InputError, match="none is no folder"):
        cli.run(["report", "none"])


def test_a_score_file_of_another_list_is_named(recipe):
    path = recipe / "exp/good/scores_encoder/scores_trials_toy"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "has no score; score this list again, or correct it." in made("exp")


def test_the_threshold_and_the_curve_are_those_of_the_scores(recipe):
    rows = [json.loads((recipe / "exp/good/scores_encoder/result_trials_toy.json").read_text())]
    rows[0] |= {"list": "toy", "scores": recipe / "exp/good/scores_encoder/scores_trials_toy"}
    found, _ = scored.read(rows, [recipe], 3)
    target, values = found.trials.target, found.scores[0]
    at = verification.eer_threshold(verification.det_curve(values, target))
    assert abs((values[target] < at).mean() - (values[~target] >= at).mean()) < 0.02
    curve = scored.det(found, 0)
    eer = 100 * verification.eer(verification.det_curve(values, target))
    assert min(abs(x - eer) + abs(y - eer) for x, y in curve) < 2 and len(curve) <= scored.CORNERS
    misses = [one for one in scored.worst(found, 0, 3) if one.kind == "miss"]
    assert [one.score for one in misses] == sorted(values[target])[:3]


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 10, [0, 2, 4, 6, 8, 10]), (0.13, 0.16, [0.13, 0.135, 0.14, 0.145, 0.15, 0.155, 0.16]), (5, 5, [5]),
    (-300, 900, [-200, 0, 200, 400, 600, 800])])
def test_ticks_are_round(low, high, expected):
    assert draw.nice(low, high) == pytest.approx(expected)


LOOK = """
told.points = {};
for (const curve of document.querySelectorAll('.curve')) told.points[curve.textContent] = curve.points.length;
const column = at => [...document.querySelectorAll('#list0 tbody tr')].filter(row => !row.hidden).map(row => row.cells[at].textContent);
const head = document.querySelectorAll('#list0 th')[5];
head.click(); told.up = column(0); head.click(); told.down = column(0);
const box = document.querySelector('input.filter');
box.value = 'GOOD'; box.oninput(); told.filtered = column(0);
const choice = document.querySelector('select.colour');
const fills = () => [...document.querySelectorAll('circle')].map(dot => dot.getAttribute('fill'));
told.speakers = new Set(fills()).size; choice.value = 'gender'; choice.onchange(); told.genders = new Set(fills()).size;
told.audio = document.querySelector('audio').src.length > 1000;
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: chromium)")
def test_a_browser_shows_sorts_and_filters_it(recipe):
    told = look(recipe, made("exp", "--audio", "1"), LOOK)
    assert told["errors"] == [] and told["fetched"] == 0
    assert (told["up"], told["down"], told["filtered"]) == (["good", "bad<b>"], ["bad<b>", "good"], ["good"])
    assert (told["speakers"], told["genders"], told["audio"]) == (7, 2, True)
    assert told["points"]["good"] > 200 and min(told["points"].values()) > 20
