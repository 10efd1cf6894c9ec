"""Labels of a crop's frames: the label whose time is nearest to the middle of each frame, wherever the crop lies."""
import numpy as np
import pytest

from sslspk.config import check
from sslspk.data.crop_labels import CropLabels
from sslspk.errors import InputError
from sslspk.features.config import FeatureOptions
from sslspk.io.alignments import LabelSet, Writer

RATE = 16000
SHIFT, WINDOW = 0.01, 0.025   # seconds, of the labels


class Keys:
    """Of an index the ids alone."""

    keys = ("a", "b")


def labelled(folder, seconds=(2.0, 0.5), kind="mel", utts=("a", "b"), more=0):
    """Label i of each utterance is i modulo 50."""
    about = LabelSet(kind=kind, classes=50, frame_shift=SHIFT, window=WINDOW, made_by="the test", digest="d")
    with Writer(folder, about) as out:
        for utt, length in zip(utts, seconds, strict=False):
            out.write(utt, np.arange(1 + round((length - WINDOW) / SHIFT) + more) % 50)
    return folder


def crops(folder, kinds=(), **options):
    return CropLabels(folder, Keys, check(FeatureOptions, {"frame_length": 64, "frame_shift": 16, **options}, "the test"), kinds)


@pytest.mark.parametrize("snip", [True, False])
def test_labels_are_the_nearest_in_time(tmp_path, snip):
    found, start, size = crops(labelled(tmp_path / "ali"), snip_edges=snip).at("a", 2 * RATE, 5000, 16000), 5000, 16000
    if snip:
        first = [start + t * 256 for t in range(1 + (size - 1024) // 256)]
    else:
        first = [start + t * 256 + 128 - 512 for t in range((size + 128) // 256)]
    middles = [(n + 512) / RATE for n in first]
    assert found.dtype == np.int64 and len(found) == len(middles)
    for label, middle in zip(found, middles, strict=True):
        nearest = min(range(198), key=lambda i: abs(i * SHIFT + WINDOW / 2 - middle))
        assert (label - nearest) % 50 in (0, 1, 49)
        assert abs(nearest * SHIFT + WINDOW / 2 - middle) <= SHIFT / 2 + 1e-6
    exact = np.rint((np.array(middles) - WINDOW / 2) / SHIFT + 1e-6).astype(int)
    assert np.array_equal(found, exact % 50)


def test_a_short_utterance_is_labelled_as_it_is_played_again(tmp_path):
    found = crops(labelled(tmp_path / "ali")).at("b", RATE // 2, 0, RATE)
    assert len(found) == 1 + (RATE - 1024) // 256
    middles = (np.arange(len(found)) * 0.016 + 0.032) % 0.5
    assert np.abs(found - (middles - WINDOW / 2) / SHIFT).max() <= 3.7, "half a label, and at the seam, where no frame is whole, 32 ms"


def test_what_does_not_fit_is_named(tmp_path):
    with pytest.raises(InputError, match=r"b has no labels in .*ali.scp"):
        crops(labelled(tmp_path / "one", utts=("a",)))
    with pytest.raises(InputError, match=r"labels of kind mel, but method.label_kinds says align, truth"):
        crops(labelled(tmp_path / "mel"), kinds=("align", "truth"))
    for more in (-9, 9):
        with pytest.raises(InputError, match=r"a has \d+ labels in .* frames of them were expected"):
            crops(labelled(tmp_path / f"ali{more}", more=more)).at("a", 2 * RATE, 0, 8000)
    assert len(crops(labelled(tmp_path / "near", more=-2)).at("a", 2 * RATE, 0, 8000))
