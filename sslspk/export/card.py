"""The model card of an exported folder: README.md, with a YAML head as Hugging Face reads it, figures, and snippets that run."""
from sslspk import plain_yaml
from sslspk.api import comparison
from sslspk.api.about import UNKNOWN
from sslspk.io import results

LABELS = {"none": "No label was used to train it: it is self-supervised."}
FIGURE_HEADS = ("list", "md5 of the list", "weights", "scoring", "EER % (95 % interval)", "minDCF 0.01", "minDCF 0.05", "labels used")


def card(facts: dict, rows: list[dict], licence: str = UNKNOWN, language: str = UNKNOWN, url: str = UNKNOWN) -> str:
    """The text. facts: what sslspk.api.about.about says of the model; rows: results as steps/score.sh writes them."""
    return f"---\n{plain_yaml.dump(head(facts, rows, licence, language))}---\n" + "\n".join(
        [f"# {facts['system']}", "", *summary(facts, licence), *([f"- published at {url}"] if url != UNKNOWN else []), "",
         "## Use", "", *use(facts), "", "## Figures", "", *figures(rows), "",
         "## How it was made", "", *origin(facts), "", "## Files", "", *files(facts), ""])


def head(facts: dict, rows: list[dict], licence: str, language: str) -> dict:
    """The YAML head."""
    known = {"license": "other" if licence == UNKNOWN else licence, "library_name": "sslspk",
             "tags": ["speech", "speaker-embeddings", "speaker-verification", facts["method"], facts["encoder"],
                      *(["self-supervised"] if facts["labels"] == "none" else [])],
             "datasets": [facts["trained_on"]] if facts["trained_on"] else [], "metrics": ["eer", "min_dcf"]}
    if language != UNKNOWN:
        known["language"] = language
    own = [result(row) for row in rows if row["weights"] != "untrained"]
    return known | ({"model-index": [{"name": facts["system"], "results": own}]} if own else {})


def result(row: dict) -> dict:
    """A figure as the head's model-index has it."""
    values = {"eer": ("EER %", row["eer_percent"]), "min_dcf": ("minDCF (P 0.05)", row.get("min_dcf_0.05"))}
    return {"task": {"type": "speaker-verification"},
            "dataset": {"name": row["trials"], "type": row["trials"], "revision": row["trials_md5"]},
            "metrics": [{"type": kind, "name": name, "value": round(value, 4)} for kind, (name, value) in values.items()
                        if value is not None]}


def summary(facts: dict, licence: str) -> list[str]:
    cut = "Silence is cut out first, as in its training; the toolkit does that by itself." if facts["silence_cut"] else ""
    size = f"{facts['parameters'] / 1e6:.2f} million parameters"
    return [f"A speech encoder: a recording in, an embedding of {facts['embedding_dim']} values out. Recordings of one speaker have "
            "embeddings that are alike by their cosine.", "",
            f"- method {facts['method']}, encoder {facts['encoder']}, {size}",
            f"- reads {facts['reads']} at {facts['sampling_rate']:g} Hz. {cut}".rstrip(),
            f"- trained on {facts['trained_on'] or 'data that it does not name'}. "
            + LABELS.get(facts["labels"], f"Labels that were used: {facts['labels'] or 'unknown'}."),
            "- licence: " + ("not named by its maker; ask before you use it" if licence == UNKNOWN else licence)]


def use(facts: dict) -> list[str]:
    decides = "print(found.llr, found.probability, found.same_speaker)" if facts["calibration"] else "# no calibration, no decision"
    return ["With sslspk installed, in this folder:", "", "```python", "import sslspk", "",
            'model = sslspk.load(".")', 'embedding = model.embed("a.wav")           # (D,); any usual format and rate',
            'found = model.compare("a.wav", "b.wav")', "print(found.cosine)", decides, "```", "", "```bash",
            "sslspk compare --model . a.wav b.wav", "sslspk embed --model . --out embeddings.csv a.wav b.wav",
            "sslspk export . --onnx model.onnx", "```", "",
            "Every step of the toolkit takes this folder where it takes a final.pt, and `--init-from` trains on from it."]


def figures(rows: list[dict]) -> list[str]:
    if not rows:
        return ["None were measured where it was exported. Score it: steps/score.sh."]
    lines = [f"| {' | '.join(FIGURE_HEADS)} |", "|" + "---|" * len(FIGURE_HEADS)]
    for row in rows:
        used = results.joined(row["labels"], *(row.get(f"{part}_labels", "none") for part in ("backend", "cohort", "calibration")))
        cells = (row["trials"], row["trials_md5"], row["weights"], results.scoring(row), results.interval(row), cost(row, "min_dcf_0.01"),
                 cost(row, "min_dcf_0.05"), used)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return [*lines, "", "The interval is a bootstrap over speakers. A figure is comparable with others on a list of the same md5."]


def cost(row: dict, key: str) -> str:
    return f"{row[key]:.3f}" if key in row else ""


def origin(facts: dict) -> list[str]:
    kept = ("reproduces", "training_data", "started_from", "steps", "weights_from", "seed", "config_hash", "commit", "default_weights")
    return [f"- {key.replace('_', ' ')}: {'unknown' if facts[key] is None else facts[key]}" for key in kept]


def files(facts: dict) -> list[str]:
    lines = ["- `model.safetensors`: the weights; loading it runs no code", "- `config.yaml`: everything that defines the training"]
    if facts["calibration"]:
        found = facts["calibration"]
        lines.append(f"- `calibration.json`: scores to likelihood ratios, made on {comparison.source(found)}")
        for prior, cosine in facts["thresholds"].items():
            lines.append(f"  - one speaker from a cosine of {cosine:.4f} on, with a prior of {prior}")
    return lines
