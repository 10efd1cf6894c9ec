"""Labels of frames: Kaldi's bytes as kaldiio reads them, frames of another shift, and what is refused."""
import json

import kaldiio
import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import files, timing
from sslspk.io.alignments import Alignments, LabelSet, Writer, digest_of, join

ABOUT = LabelSet(kind="mel", classes=5, frame_shift=0.01, window=0.025, made_by="a test", digest="abc")
LABELS = {"a": np.arange(98) // 10 % 5, "b": np.zeros(40, int), "c": np.array([3])}


@pytest.fixture
def folder(tmp_path):
    with Writer(tmp_path / "ali", ABOUT) as out:
        for utt, labels in LABELS.items():
            out.write(utt, labels)
    return tmp_path / "ali"


def test_what_is_written_is_read_wherever_the_folder_lies(folder, tmp_path):
    folder.rename(tmp_path / "moved")
    known = Alignments(tmp_path / "moved", kind="mel", classes=5, digest="abc")
    assert known.about == ABOUT and "a" in known and "d" not in known
    for utt, labels in LABELS.items():
        found = known.of(utt)
        assert found.dtype == np.int32 and (found == labels).all()


def test_kaldiio_reads_our_archive_and_we_read_its(folder):
    found = dict(kaldiio.load_ark(str(folder / "ali.ark")))
    assert found.keys() == LABELS.keys() and all((found[utt] == LABELS[utt]).all() and found[utt].dtype == np.int32 for utt in LABELS)
    kaldiio.save_ark(str(folder / "x.ark"), {utt: x.astype(np.int32) for utt, x in LABELS.items()}, scp=str(folder / "ali.scp"))
    assert all((Alignments(folder).of(utt) == LABELS[utt]).all() for utt in LABELS)


def test_two_frames_more_or_less_are_cut_or_filled(folder):
    known = Alignments(folder)
    assert (known.of("a", 96) == LABELS["a"][:96]).all()
    assert (known.of("a", 100) == [*LABELS["a"], 4, 4]).all()
    for frames in (95, 101):
        with pytest.raises(InputError, match=f"a has 98 labels in .* but {frames} frames"):
            known.of("a", frames)


def test_frames_of_another_shift_get_the_label_with_the_nearest_middle(folder):
    """98 labels of 25 ms are a second; against a search for each frame."""
    known, middles = Alignments(folder), np.arange(98) * 0.01 + 0.0125
    for shift, window, frames in ((0.016, 0.064, 59), (0.01, 0.01, 100), (0.02, 0.025, 49), (0.01, 0.025, 98)):
        want = [LABELS["a"][np.abs(middles - (t * shift + window / 2)).argmin()] for t in range(frames)]
        assert (known.at("a", frames, shift, window) == want).mean() > 0.97   # halfway between two middles either will do
        alike = (shift, window) == (0.01, 0.025)
        if alike:
            assert known.at("a", frames + 2, shift, window).tolist() == [*want, want[-1], want[-1]]
            assert known.at("a", frames - 2, shift, window).tolist() == want[:-2]
        for wrong in (frames - 3, frames + 3) if alike else (frames - 8, frames + 8):
            with pytest.raises(InputError, match="frames of them were expected"):
                known.at("a", wrong, shift, window)
    assert (known.at("a", 98, 0.01, 0.025) == LABELS["a"]).all()
    assert (known.at("a", 30, 0.01, 0.025, 0.4) == LABELS["a"][40:70]).all()
    with pytest.raises(InputError, match="expected"):
        known.at("a", 30, 0.01, 0.025, 0.8)


def test_other_labels_are_refused(folder):
    for name, value in {"kind": "align", "classes": 6, "digest": "abd"}.items():
        with pytest.raises(InputError, match=rf"ali.json: {name} is {getattr(ABOUT, name)} where {value} is needed"):
            Alignments(folder, **{name: value})


def test_a_missing_utterance_and_a_label_outside_are_named(folder):
    with pytest.raises(InputError, match=r"d has no labels in .*ali.scp \(1 lack them\)"):
        Alignments(folder).of("d")
    with pytest.raises(InputError, match=r"b in .*: label 5 of frame 1 is not in 0 to 4"), Writer(folder, ABOUT) as out:
        out.write("b", np.array([0, 5]))
    assert (Alignments(folder).of("b") == 0).all()   # the old ones are as they were
    about = json.loads((folder / "ali.json").read_text()) | {"classes": 4}
    (folder / "ali.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="label 4 of frame 40 is not in 0 to 3"):
        Alignments(folder).of("a")


def test_a_damaged_folder_is_one_sentence(folder):
    data = (folder / "ali.ark").read_bytes()
    for damaged, sentence in ((data[:300], "no vector of int32|damaged or cut"), (data.replace(b"B\4", b"C\4"), "no vector of int32"),
                              (data[:40] + b"\5" * 30 + data[70:], "damaged or cut|not in 0")):
        (folder / "ali.ark").write_bytes(damaged)
        with pytest.raises(InputError, match=sentence):
            for utt in LABELS:
                Alignments(folder).of(utt)
    (folder / "ali.json").write_text('{"kind": "mel"}')
    with pytest.raises(InputError, match=r"ali.json: "):
        Alignments(folder)


def test_one_name_for_each_class(folder):
    (folder / "ali.json").write_text(json.dumps(ABOUT.model_dump() | {"names": ["a", "b"]}))
    with pytest.raises(InputError, match="2 names are not those of 5 classes"):
        Alignments(folder)


def test_the_digest_is_of_all_parts():
    assert digest_of("ab", "c") != digest_of("a", "bc") and digest_of(np.arange(3)) == digest_of(np.arange(3))


def test_times_of_frames_come_from_the_step_that_made_them(tmp_path):
    with pytest.raises(InputError, match=r"neither .make_feats/options nor frame_shift"):
        timing.of(tmp_path)
    (tmp_path / ".make_feats").mkdir()
    for snip, window in (("true", 0.025), ("false", 0.01)):
        (tmp_path / ".make_feats/options").write_text(f'x\n{{"frame_shift": 10.0, "frame_length": 25, "snip_edges": {snip}}}\n')
        assert timing.of(tmp_path) == (0.01, window, False)
    for text in ("x\n", 'x\n{"frame_shift": 0, "frame_length": 25}\n', "x\n[1]\n"):
        (tmp_path / ".make_feats/options").write_text(text)
        with pytest.raises(InputError, match="options"):
            timing.of(tmp_path)
    (tmp_path / "frame_shift").write_text("0.02\n")
    assert timing.of(tmp_path) == (0.02, 0.02, True)
    for text in ("", "nan\n", "-1\n"):
        (tmp_path / "frame_shift").write_text(text)
        with pytest.raises(InputError, match="holds no number of seconds"):
            timing.of(tmp_path)


def test_parts_of_jobs_become_one_folder(tmp_path):
    utts = [f"u{i}" for i in range(5)]
    assert [list(files.share(utts, part, 3)) for part in (1, 2, 3)] == [["u0"], ["u1", "u2"], ["u3", "u4"]]
    for part in (1, 2, 3):
        with Writer(tmp_path, ABOUT, str(part)) as out:
            for utt in files.share(utts, part, 3):
                out.write(utt, np.full(3, part))
    assert not (tmp_path / "ali.json").exists()
    assert join(tmp_path, 3, ABOUT) == 5 and [int(Alignments(tmp_path).of(utt)[0]) for utt in utts] == [1, 2, 2, 3, 3]
    with pytest.raises(InputError, match=r"ali.1.scp"):
        join(tmp_path, 3, ABOUT)
