"""Models and statistics on disk that are not what was written, and numbers that are not finite: one sentence each."""
import io
import json
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import ark
from sslspk.ivector import extractor, frames, state, stats, ubm
from sslspk.ivector import model as tv
from sslspk.ivector.config import IvectorConfig
from sslspk.ivector.gmm import Gmm

CONFIG = IvectorConfig(num_gaussians=2, diagonal_iterations=2, full_iterations=1, top_gaussians=2, ivector_dim=2, iterations=2)
C, D, R = 2, 3, 2
EYE = np.tile(np.eye(D), (C, 1, 1))
MIXTURE = {"weights": np.full(C, 0.5), "means": np.arange(6.0).reshape(C, D), "covariances": EYE}
INFO = {"config": CONFIG.model_dump(mode="json"), "trained_on": "c", "labels": "none", "utterances": 3, "frames": 9}
EXTRACTOR = {"matrix": np.ones((C, D, R)), "covariances": EYE, "shift": np.zeros((C, D)),
             **{f"ubm_{key}": value for key, value in MIXTURE.items()}}


def npy(shape="(2,)", descr="'<f8'", data=bytes(16), order="False"):
    head = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + data


def zipped(members, kind=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def pickled():
    file = io.BytesIO()
    np.savez(file, weights=np.array([{}], object))
    return file.getvalue()


FILES = {
    "empty": b"", "text": b"weights", "zeros": bytes(1000), "an npy": npy(),
    "10^12 rows": zipped({"weights.npy": npy("(1000000000000,)")}),
    "negative rows": zipped({"weights.npy": npy("(-2,)")}), "more than there is": zipped({"weights.npy": npy("(3,)")}),
    "less than there is": zipped({"weights.npy": npy("(1,)")}), "no header": zipped({"weights.npy": b"\x93NUMPY\1\0\xff\xff{"}),
    "header of code": zipped({"weights.npy": npy("__import__('os')")}), "nested header": zipped({"weights.npy": npy("(" * 60 + ")" * 60)}),
    "half a string": zipped({"weights.npy": npy("'''")}), "version 9": zipped({"weights.npy": npy().replace(b"NUMPY\1", b"NUMPY\t")}),
    "objects": pickled(), "void": zipped({"weights.npy": npy(descr="'|V8'")}), "dates": zipped({"weights.npy": npy(descr="'<M8[s]'")}),
    "compressed": zipped({"weights.npy": npy("(4000000,)", data=bytes(32000000))}, zipfile.ZIP_DEFLATED),
    "another member": zipped({"../x": b"x"}),
    "no arrays": zipped({}), "shape of text": zipped({"weights.npy": npy("('a',)")}),
    "damaged": zipped({"weights.npy": npy()}).replace(bytes(16), b"\1" * 16),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "final.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"final.npz is no whole model \(") as caught:
        state.load(tmp_path / "final.npz", weights="C")
    assert len(str(caught.value)) - len(str(tmp_path)) < 200 and str(caught.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"x" * 200, npy("(1000000000000,)"), npy("(-2,)"), npy(descr="'|O'"), npy()[:40], npy("(1, 2)")])
def test_an_array_that_is_not_whole_is_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(npy(order="True"))
    assert state.mapped(tmp_path / "a.npy", (2,)).tolist() == [0, 0]
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"a.npy (is not whole|has the shape)"):
        state.mapped(tmp_path / "a.npy", (2,))


def changed(arrays, **changes):
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize(("changes", "said"), [
    ({"weights": None}, "it has no weights"),
    ({"weights": np.full(3, 1 / 3)}, r"means has the shape \(2, 3\)"),
    ({"means": np.zeros(3)}, "means has the shape"), ({"means": np.array(["a"])}, "means holds no numbers"),
    ({"means": np.full((C, D), np.nan)}, "means holds NaN"),
    ({"covariances": np.full((C, D), np.inf)}, "covariances holds NaN or infinity"),
    ({"covariances": -EYE}, "not positive definite"), ({"covariances": np.zeros((C, D))}, "not positive definite"),
    ({"weights": np.array([0.0, 1.0])}, "a weight is not above 0"), ({"config": np.array(3)}, "config is no text"),
    ({"config": np.array("[1]")}, "config is no JSON object"), ({"config": np.array("{")}, "its config is not valid JSON"),
    ({"config": np.array('{"num_gaussians": "x"}')}, "num_gaussians"), ({"config": np.array("[" * 100000)}, "nested too deeply"),
])
def test_a_mixture_of_another_structure_is_refused(tmp_path, changes, said):
    np.savez(tmp_path / "final.npz", **changed(MIXTURE, config=np.array(CONFIG.model_dump_json())))
    assert ubm.load(tmp_path)[1] == CONFIG
    np.savez(tmp_path / "final.npz", **changed({**MIXTURE, "config": np.array(CONFIG.model_dump_json())}, **changes))
    with pytest.raises(InputError, match=said):
        ubm.load(tmp_path)


@pytest.mark.parametrize(("changes", "said"), [
    ({"matrix": np.ones((C, 5, R))}, "has the shape"), ({"shift": None}, "it has no shift"),
    ({"matrix": np.full((C, D, R), np.nan)}, "matrix holds NaN"),
    ({"ubm_means": np.zeros((3, D))}, "has the shape"), ({"info": np.array("{}")}, "info lacks"),
    ({"info": np.array(json.dumps({**INFO, "frames": "many"}))}, "info lacks"), ({"covariances": 0 * EYE}, "not positive definite"),
])
def test_an_extractor_of_another_structure_is_refused(tmp_path, changes, said):
    whole = {**EXTRACTOR, "info": np.array(json.dumps(INFO))}
    np.savez(tmp_path / "final.npz", **whole)
    assert extractor.load(tmp_path)[2] == CONFIG
    np.savez(tmp_path / "final.npz", **changed(whole, **changes))
    with pytest.raises(InputError, match=said):
        extractor.load(tmp_path)


def write_statistics(prefix, counts, first, second=EYE, utterances=None):
    np.save(f"{prefix}.counts.npy", counts.astype(np.float32))
    np.save(f"{prefix}.first.npy", first.astype(np.float32))
    state.save(prefix.with_suffix(".npz"), counts=counts.sum(0), second=second, utterances=np.array(utterances or len(counts)))


def test_statistics_that_do_not_go_together_or_are_not_finite_are_refused(tmp_path):
    counts, first = np.ones((4, C)), np.ones((4, C, D))
    write_statistics(tmp_path / "a", counts, first)
    assert stats.Statistics([str(tmp_path / "a")]).rows(1, 3)[1].shape == (2, C, D)
    for change, said in (({"utterances": 5}, r"a\.counts.npy has the shape \(4, 2\)"),
                         ({"first": first[:, :, :2]}, r"a\.first.npy has the shape"),
                         ({"second": np.ones((C, D, 2))}, "second has the shape")):
        write_statistics(tmp_path / "a", **{"counts": counts, "first": first, **change})
        with pytest.raises(InputError, match=said):
            stats.Statistics([str(tmp_path / "a")])
    write_statistics(tmp_path / "a", counts, np.full((4, C, D), np.nan))
    with pytest.raises(InputError, match="hold NaN or infinite values"):
        stats.Statistics([str(tmp_path / "a")]).rows(0, 4)
    write_statistics(tmp_path / "b", np.ones((4, 3)), np.ones((4, 3, D)), np.ones((3, D, D)))
    with pytest.raises(InputError, match="are others than those of"):
        stats.Statistics([str(tmp_path / "a"), str(tmp_path / "b")])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["feats", "vad"])
def test_features_that_are_not_finite_are_refused_by_name(tmp_path, monkeypatch, bad, which):
    arrays = {"feats": np.random.default_rng(0).standard_normal((9, 1)).astype(np.float32), "vad": np.ones(9, np.float32)}
    arrays[which][3] = bad
    monkeypatch.setattr(ark, "load", arrays.__getitem__)
    with pytest.raises(InputError, match="u: its features or its VAD hold NaN"):
        frames.voiced("u", ("feats", "vad"), CONFIG)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_loop_takes_what_is_not_finite(tmp_path, bad):
    x = np.random.default_rng(0).standard_normal((200, D)).astype(np.float32)
    x[7, 1] = bad
    with pytest.raises(InputError, match="dimension 1 of the frames is NaN or infinite"):
        list(ubm.train(tmp_path, x, CONFIG, "k", 1))
    mixture, floor = Gmm(**MIXTURE), np.full(D, 1e-3)
    with ThreadPoolExecutor(1) as pool, np.errstate(all="ignore"):
        for step in (lambda: ubm.diagonal_step(mixture.diagonal(), x, floor, pool),
                     lambda: ubm.full_step(mixture, x, np.tile(np.arange(C), (200, 1)), floor, pool)):
            with pytest.raises(InputError, match="likelihood of the frames became NaN"):
                step()
        held = type("Held", (), {"counts_": np.ones(C), "second_": EYE, "__len__": lambda self: 3,
                                 "rows": lambda self, first, last: (np.ones((3, C)), np.full((3, C, D), bad))})()
        with pytest.raises(InputError, match="likelihood of the statistics became NaN"):
            extractor.step(tv.initial(EYE, R, 0), held, floor, pool)
    with pytest.raises(InputError, match="the means became NaN"):
        state.save(tmp_path / "state.npz", means=np.array([bad]))
    assert not (tmp_path / "final.npz").exists() and not (tmp_path / "state.npz").exists()


def test_a_state_of_other_frames_is_not_gone_on_from(tmp_path):
    x = np.random.default_rng(0).standard_normal((200, D)).astype(np.float32)
    steps = ubm.train(tmp_path, x, CONFIG, "k", 1)
    for _ in range(3):   # the last has chosen the Gaussians of each frame
        next(steps)
    kept = state.load(tmp_path / "state.npz")
    for change in ({"chosen": kept["chosen"] + 1}, {"chosen": kept["chosen"][:9]}, {"means": kept["means"][:1], "weights": np.ones(1),
                                                                                 "covariances": EYE[:1]}):
        state.save(tmp_path / "state.npz", **{**kept, **change})
        with pytest.raises(InputError, match=r"state.npz is of other frames or Gaussians; remove it"):
            list(ubm.train(tmp_path, x, CONFIG, "k", 1))
