"""sslspk report: one page with all that was measured; where there is a browser, it is used there."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import complaints, needs_browser, opened, requested

from sslspk import cli
from sslspk.errors import InputError
from sslspk.io import ark, table
from sslspk.io import scores as score_file
from sslspk.io import trials as trial_list
from sslspk.metrics import report as figures
from sslspk.metrics import verification
from sslspk.report import draw, page, scored

ORIGIN = {"trained_on": "toy", "labels": "none", "commit": "abc", "seed": 0, "machine": {"threads": 1, "command": "train <me>"},
          "commands": {"extraction": "extract <me>", "scoring": "score me & you"}}


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
                   "<code>6</code></td><td><code>4</code>", "train &lt;me&gt;", "bad&lt;b&gt;",
                   "threshold of the EER: ", "threshold of the minDCF(0.01): ", "<code>extract &lt;me&gt;</code>",
                   "<td>scores, toy</td><td><code>score me &amp; you</code>"):
        assert needed in text, needed
    assert "<b>" not in text and "<code>seed</code>" not in text   # text is text; what is the same is not among the differences
    assert text.count("<audio") > 8 and text.count("ZkxhQ") == len(set(re.findall(r'data-sound="(\d+)"', text))) <= 16   # once each
    points = {int(count) for count in re.findall(r'class="curve" data-points="(\d+)"', text)}
    assert max(points) <= 300 and text.count("<circle") == 80
    assert len(text) < 1_000_000
    assert not re.search(r'(src|href)="(?!data:)', text) and "http" not in text
    assert made("exp/good").count('<tr><td>good</td>') == 4 and "bad" not in made("exp/good")


def test_only_the_first_system_is_heard_where_room_is_short(recipe, monkeypatch):
    monkeypatch.setattr(page, "SOUNDS", 1)
    text = made("exp", "--audio", "1")
    assert "have fewer recordings to listen to" in text and text.count("ZkxhQ") <= 4
    assert text.partition("Scores of bad")[0].count("<audio") == 4
    assert "have fewer recordings" not in made("exp/good", "--audio", "1")
    assert "<audio" not in made("exp", "--audio", "0") and "const sounds" not in made("exp", "--audio", "0")


def test_embeddings_of_packed_audio_are_mapped(recipe):
    """local/test_system.sh extracts from DATA_packed what is scored by a list of DATA."""
    folder = recipe / "exp/good/emb_encoder/test"
    table_of = (folder / "xvector.scp").read_text()
    folder.rename(f"{folder}_packed")
    (recipe / "exp/good/emb_encoder/test_packed/xvector.scp").write_text(table_of.replace("/test/", "/test_packed/"))
    assert made("exp/good").count("<circle") == 40


def test_a_column_without_any_figure_is_left_out(recipe):
    assert "same gender EER %" not in made("exp")
    path = recipe / "exp/good/scores_encoder/result_trials_toy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eer_percent_same_gender": 12.25}))
    text = made("exp")
    assert "same gender EER %" in text and 'data-value="12.25">12.25</td>' in text


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
    curve = scored.det(verification.det_curve(values, target))
    eer = 100 * verification.eer(verification.det_curve(values, target))
    assert min(abs(x - eer) + abs(y - eer) for x, y in curve) < 2 and len(curve) <= scored.CORNERS
    misses = [one for one in scored.worst(found, 0, at, 3) if one.kind == "miss"]
    assert [one.score for one in misses] == sorted(values[target])[:3]


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0, 10, [0, 2, 4, 6, 8, 10]), (0.13, 0.16, [0.13, 0.135, 0.14, 0.145, 0.15, 0.155, 0.16]), (5, 5, [5]),
    (-300, 900, [-200, 0, 200, 400, 600, 800])])
def test_ticks_are_round(low, high, expected):
    assert draw.nice(low, high) == pytest.approx(expected)


def read(recipe, name: str = "good") -> scored.Scored:
    row = json.loads((recipe / f"exp/{name}/scores_encoder/result_trials_toy.json").read_text())
    row |= {"list": "toy", "scores": recipe / f"exp/{name}/scores_encoder/scores_trials_toy"}
    return scored.read([row], [recipe], 1)[0]


def test_the_thresholds_of_the_costs_have_these_costs(recipe):
    found = read(recipe)
    target, values = found.trials.target, found.scores[0]
    curve = verification.det_curve(values, target)
    for p, x in zip((0.01, 0.05), list(scored.histogram(values, target, curve).thresholds.values())[1:], strict=True):
        rates = (values[target] < x).mean(), (values[~target] >= x).mean()
        assert (p * rates[0] + (1 - p) * rates[1]) / p == pytest.approx(verification.min_dcf(curve, p))


def test_only_wrong_decisions_are_errors(recipe):
    """Of a system with one miss and one false alarm nothing else is shown; of one without any, that there are none."""
    found = read(recipe)
    target = found.trials.target
    values = np.where(target, 5.0, -5.0) + np.linspace(0, 1, len(target))
    miss, alarm = np.flatnonzero(target)[3], np.flatnonzero(~target)[7]
    values[miss], values[alarm] = -6.0, 7.0
    one = found._replace(scores=[values])
    assert [(error.kind, error.score) for error in scored.worst(one, 0, 0.0, 5)] == [("miss", -6.0), ("false alarm", 7.0)]
    values[miss], values[alarm] = 5.0, -5.0
    assert scored.worst(one, 0, 0.0, 5) == []
    path = recipe / "exp/good/scores_encoder/scores_trials_toy"
    score_file.write(path, found.trials.enrol, found.trials.test, values)
    text = made("exp/good")
    assert "no misses</p>" in text and "no false alarms</p>" in text and "<audio" not in text


def test_a_map_gives_each_of_twenty_speakers_a_colour_and_tells_of_the_others():
    few = draw.palette(["b", "a", "b"])
    assert few == ([1, 0, 1], ["a", "b"], list(draw.COLOURS[:2]), 0)
    twenty = draw.palette([f"s{n:02d}" for n in range(20)])
    assert len(set(twenty.colours)) == 20 and twenty.number == list(range(20)) and twenty.more == 0
    many = draw.palette([f"s{n:02d}" for n in range(25) for _ in range(1 + (n >= 5))])   # s00 to s04 have one utterance each
    assert many.names == [f"s{n:02d}" for n in range(5, 25)] and many.number[:6] == [-1] * 5 + [0] and many.more == 5
    assert "5 others; the 20 with the most points have a colour" in draw.scatter(
        [(n, n) for n in range(45)], ["x"] * 45, {"speaker": [many.names[k] if k >= 0 else f"z{i}" for i, k in enumerate(many.number)]})


@needs_browser
def test_in_a_browser_the_page_is_sorted_and_filtered(recipe, tmp_path):
    made("exp", "--audio", "1")
    with opened(recipe / "report.html", tmp_path / "browser") as driver:
        def column() -> list[str]:
            cells = driver.find_elements("css selector", "#list0 tbody tr td:first-child")
            return [cell.text for cell in cells if cell.is_displayed()]
        head = driver.find_elements("css selector", "#list0 th")[5]
        assert head.text.startswith("EER")
        head.click()
        assert column() == ["good", "bad<b>"]
        head.click()
        assert column() == ["bad<b>", "good"]
        driver.find_element("css selector", "input.filter").send_keys("GOOD")
        assert column() == ["good"]
        assert complaints(driver) == [] and requested(driver) == [(recipe / "report.html").as_uri()]


@needs_browser
def test_in_a_browser_every_plot_has_its_points(recipe, tmp_path):
    made("exp", "--audio", "1")
    with opened(recipe / "report.html", tmp_path / "browser") as driver:
        def numbers(script: str) -> list:
            return driver.execute_script(f"return {script}")
        curves = numbers("[...document.querySelectorAll('.curve')].map(one => [one.textContent, one.points.length, one.dataset.points])")
        assert [name for name, _, _ in curves] == ["good encoder, cosine", "bad<b> encoder, cosine", "bad<b>", "good"]   # DET, then losses
        assert all(drawn == int(said) > 20 for _, drawn, said in curves)
        bins = numbers("[...document.querySelectorAll('.bins')].map(one => one.points.length)")
        assert bins == [2 * scored.BINS + 2] * 4
        for plot in driver.find_elements("css selector", "svg.plot, svg.map"):
            assert plot.rect["width"] > 300 or not plot.is_displayed()
        assert numbers("[...document.querySelectorAll('svg.map')].map(one => one.querySelectorAll('circle').length)") == [40, 40]
        assert min(numbers("[...document.querySelectorAll('audio')].map(one => one.src.length)")) > 1000


@needs_browser
def test_in_a_browser_the_reader_chooses_system_and_colours(recipe, tmp_path):
    made("exp", "--audio", "1")
    with opened(recipe / "report.html", tmp_path / "browser") as driver:
        def shown() -> list[str]:
            captions = driver.find_elements("css selector", ".chooser figcaption")
            return [one.text.partition(" encoder")[0] for one in captions if one.is_displayed()]

        def colours() -> tuple[int, int]:
            dots = {dot.get_attribute("fill") for dot in driver.find_elements("css selector", "svg.map circle") if dot.is_displayed()}
            names = [one for one in driver.find_elements("css selector", "[data-kind] span") if one.is_displayed()]
            return len(dots), len(names)
        assert shown() == ["Scores of good", "Errors of good", "Embeddings of good"]
        driver.find_elements("css selector", "select.block option")[1].click()
        assert shown() == ["Scores of bad<b>", "Errors of bad<b>", "Embeddings of bad<b>"]
        assert colours() == (10, 10)
        kinds = [one for one in driver.find_elements("css selector", "select.colour option") if one.is_displayed()]
        for kind, count in (("gender", (2, 2)), ("session", (21, 21)), ("speaker", (10, 10))):
            next(one for one in kinds if one.text == kind).click()
            assert colours() == count
        assert complaints(driver) == [] and requested(driver) == [(recipe / "report.html").as_uri()]


@needs_browser
def test_the_browser_tells_what_is_wrong_with_a_page(tmp_path):
    """The probes of the tests above see an error and a request when there is one."""
    page = tmp_path / "page.html"
    page.write_text('<body><img src="http://127.0.0.1:9/x.png"><script>nothing.here</script></body>')
    with opened(page, tmp_path / "browser") as driver:
        assert any("nothing is not defined" in said for said in complaints(driver))
        assert "http://127.0.0.1:9/x.png" in requested(driver)


def test_without_a_browser_its_tests_are_skipped_and_say_so(tmp_path):
    tests = Path(__file__)
    one = f"{tests}::test_the_browser_tells_what_is_wrong_with_a_page"
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one],
                          cwd=tests.parents[2], env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "without Debian's chromium, Debian's chromium-driver" in done.stdout and "(tools/test.sh --browser installs them)" in done.stdout


def test_systems_of_one_name_are_told_apart(recipe):
    """In pictures, tables and the list of commands, which have names as keys."""
    shutil.copytree(recipe / "exp/good", recipe / "other/good")
    text = made("exp/good", "other/good")
    curves = re.findall(r'class="curve"[^>]*><title>([^<]*)', text)
    assert sorted(curves) == sorted(["exp/good encoder, cosine", "other/good encoder, cosine", "exp/good", "other/good"])
    assert text.count("<td>other/good</td>") == text.count("<td>exp/good</td>") == 4


def test_what_was_judged_without_labels_is_shown(recipe):
    """Of a recipe without any list of trials (egs/own)."""
    row = {"weights": "encoder", "auc_percent": 91.25, "eer_percent": 16.0, "eer_percent_low": 12.0, "eer_percent_high": 20.0,
           "effective_rank": 8.04, "recordings": 30, "labels": "none"}
    for name, changes in (("mine", {}), ("worse", {"auc_percent": 60.5}), ("damaged", {"recordings": None})):
        folder = recipe / f"own/{name}/judged_encoder"
        folder.mkdir(parents=True)
        kept = {key: value for key, value in (row | changes).items() if value is not None}
        (folder / "result.json").write_text(json.dumps(kept))
    text = made("own/mine", "own/worse")
    assert re.search(r"mine</td>.*91\.25</td>.*16\.00 \(12\.00-20\.00\)</td>.*>8\.0</td>.*worse</td>.*60\.50</td>", text)
    with pytest.raises(InputError, match="damaged holds no scores"):
        cli.run(["report", "own/damaged"])
