"""What a folder calibration/ of stage 6 must keep apart."""
import json

from sslspk.io import table
from sslspk.io import trials as trial_list


def check(folder, utt2session=None):
    """No recording of the trials is in what the scores' back-ends, clusters or cohort were made of; no session is on both sides."""
    parts = {part: set(table.read(next(folder.glob(f"embeddings/{part}/*/xvector.scp")))) for part in ("others", "heldout")}
    sessions = utt2session or {utt: utt for part in parts.values() for utt in part}
    of = {part: {sessions[utt] for utt in utts} for part, utts in parts.items()}
    assert of["others"] and of["heldout"] and not of["others"] & of["heldout"]
    trials, pseudo = trial_list.read(folder / "trials"), table.read(folder / "clusters_heldout/utt2spk")
    assert {*trials.enrol, *trials.test} <= set(pseudo) <= parts["heldout"]
    for a, b, target in zip(*trials, strict=True):
        assert target == (pseudo[a] == pseudo[b]) and not (target and sessions[a] == sessions[b] and a != b)
    for made in ("clusters_heldout", "clusters_others", "cohort_others", "backend"):
        source = "heldout" if made == "clusters_heldout" else "others"
        info = json.loads((folder / made / "info.json").read_text())
        assert f"/embeddings/{source}/" in info["trained_on" if made == "backend" else "embeddings"], (made, info)
        assert made == "backend" or set(table.read(folder / made / "utt2spk")) <= parts[source]
    scored = {name: json.loads((folder / name / "result_trials.json").read_text()) for name in ("cosine", "asnorm", "plda")}
    assert scored["plda"]["backend_model"].endswith("calibration/backend")
    assert scored["asnorm"]["cohort_utt2spk"].endswith("cohort_others/utt2spk") and scored["asnorm"]["cohort_in_trials"] == 0
    assert "/embeddings/others/" in scored["asnorm"]["backend_mean"] and scored["cosine"]["backend_mean"] is None
