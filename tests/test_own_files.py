"""A step removes and writes over what it made itself, and nothing else that lies in the folder it is given."""
import pytest
import recipe_copy
from recipe_copy import sh

CALLS = [
    ("xvector.scp", "steps/extract_embeddings.sh", "data", "exp", "out"),
    ("feats.1.ark", "steps/extract_frames.sh", "data", "exp", "out"),
    ("xvector.1.ark", "steps/extract_ivectors.sh", "data", "exp", "out"),
    ("xvector.a&b.ark", "steps/extract_frame_model.sh", "wav2vec2_base", "random", "data", "out"),
    ("plda", "steps/train_backend.sh", "emb", "out"),
    ("noise", "steps/make_augment_lists.sh", "data", "out"),
]


@pytest.mark.parametrize(("name", "call"), [(call[0], call[1:]) for call in CALLS], ids=[call[1] for call in CALLS])
def test_what_another_program_left_stays(tmp_path, name, call):
    recipe = recipe_copy.make(tmp_path)
    for path in ("data/wav.scp", "data/feats.scp", "data/vad.scp", "data/utt2spk", "exp/final.pt", "exp/final.npz", "emb/xvector.scp",
                 f"out/{name}"):
        (recipe / path).parent.mkdir(exist_ok=True)
        (recipe / path).write_text("u1 s1\n")
    done = sh(recipe, *call)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"out/{name} is there and was not made by this step; move it away, or give another folder than out." in done.stderr
    assert [path.name for path in (recipe / "out").iterdir()] == [name] and (recipe / "out" / name).read_text() == "u1 s1\n"
    (recipe / "out/.done").touch()      # a step has written here
    assert "not made by this step" not in sh(recipe, *call).stderr
