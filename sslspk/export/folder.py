"""A trained model as a folder for others: weights, configuration, model card, calibration, and the results that lie beside it."""
import json
import os
from pathlib import Path

from sslspk.api import comparison
from sslspk.api.about import about, fields
from sslspk.errors import InputError, named
from sslspk.export.card import card
from sslspk.io import files
from sslspk.io.files import atomic_write
from sslspk.train import folder, model

README = "README.md"


def write(path: str | os.PathLike, out: str | os.PathLike, weights: str | None = None, licence: str | None = None,
          language: str | None = None, url: str | None = None) -> list[str]:
    """Write the model `path` as the folder `out`, which sslspk.load reads back as the same model; returns the names of its files.

    weights: only this one of its encoders, which becomes the model's own choice; None: all. licence, language, url (where it is
    published): for the card; None: what the model says, if it was exported with them. Raises InputError: as sslspk.load, no such
    weights, something is in `out` already.
    """
    out, content = Path(out), model.read_content(path)
    facts = about(path, content)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{named(out)} is there already, and not empty; export into a new folder.")
    if weights is not None:
        state = model.state_of(content, path, weights)
        if weights != content["evaluate"]:
            facts["calibration"] = None   # which was made on the other one
        content |= {"encoders": {weights: state}, "evaluate": weights}
    facts["default_weights"], facts["calibration"] = content["evaluate"], facts["calibration"] and public(facts["calibration"])
    measured = figures(facts, content["encoders"])
    texts = {file: json.dumps(row, indent=2) for file, row in measured.items()}
    if facts["calibration"]:
        texts[comparison.FILE] = json.dumps(facts["calibration"], indent=2)
    said = fields(content["info"], licence=licence, language=language, url=url)
    texts[README] = card(facts, list(measured.values()), **said)
    for name, text in texts.items():
        with atomic_write(out / name) as file:
            file.write(text.rstrip("\n") + "\n")
    info = {key: value for key, value in content["info"].items() if key != "calibration"}   # which is a file of its own
    folder.write(out, {**content, "info": {**info, "system": facts["system"], "card": said}})
    return [*texts, folder.CONFIG, folder.WEIGHTS]


def figures(facts: dict, encoders: dict) -> dict[str, dict]:
    """Readable results beside the model, by file, if they are of these encoders or of the untrained one."""
    folder_of, found = Path(facts["file"]).parent, {}
    for row in facts["results"]:
        if "unreadable" not in row and row["weights"] in (*encoders, "untrained"):
            found[row["file"]] = public(files.read_object(folder_of / row["file"]))
    return found


def public(row: dict) -> dict:
    """Without the folders of the machine that it was made on."""
    row = {key: os.path.basename(value) if key == "trials" else value for key, value in row.items() if key != "commands"}
    if isinstance(row.get("machine"), dict):
        row["machine"] = {key: value for key, value in row["machine"].items() if key != "command"}
    return row
