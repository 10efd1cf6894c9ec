"""Kaldi's model files: bytes as Kaldi writes them, and back."""
import struct

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import kaldi_model as km

PLDA = km.PldaFile(np.array([0.1, -2.0]), np.array([[1.0, 2.5], [1 / 3, -4e-7]]), np.array([5.0, 0.0]))


def test_bytes_are_kaldis(tmp_path):
    """Plda::Write: token, mean, transform, psi in double precision, token; sizes behind a byte that says how long they are."""
    km.write_plda(tmp_path / "plda", PLDA)
    expected = (b"\0B<Plda> DV \4\2\0\0\0" + struct.pack("<2d", 0.1, -2.0) + b"DM \4\2\0\0\0\4\2\0\0\0"
                + struct.pack("<4d", 1.0, 2.5, 1 / 3, -4e-7) + b"DV \4\2\0\0\0" + struct.pack("<2d", 5.0, 0.0) + b"</Plda> ")
    assert (tmp_path / "plda").read_bytes() == expected


def test_text_is_kaldis(tmp_path):
    km.write_plda(tmp_path / "plda", PLDA, binary=False)
    assert (tmp_path / "plda").read_text() == "<Plda>  [ 0.1 -2.0 ]\n [\n  1.0 2.5 \n  0.3333333333333333 -4e-07 ]\n [ 5.0 0.0 ]\n</Plda> "


@pytest.mark.parametrize("binary", [True, False])
def test_round_trips(tmp_path, binary):
    rng = np.random.default_rng(0)
    plda = km.PldaFile(rng.normal(size=7), rng.normal(size=(7, 7)), rng.random(7))
    km.write_plda(tmp_path / "plda", plda, binary)
    assert all(np.array_equal(a, b) for a, b in zip(km.read_plda(tmp_path / "plda"), plda, strict=True))
    for x in (rng.normal(size=(3, 5)), rng.normal(size=4)):
        km.write(tmp_path / "x", x, binary)
        np.testing.assert_allclose(km.read(tmp_path / "x"), x, rtol=0 if binary else 1e-6)


def test_single_precision_and_kaldis_own_text_are_read(tmp_path):
    """BaseFloat is float in Kaldi; it prints six digits and a blank before the bracket."""
    (tmp_path / "m").write_bytes(b"\0BFM \4\1\0\0\0\4\2\0\0\0" + struct.pack("<2f", 1.5, -2.0))
    assert km.read(tmp_path / "m").tolist() == [[1.5, -2.0]] and km.read(tmp_path / "m").dtype == np.float64
    (tmp_path / "v").write_text(" [ 1.5 2 -3e-05 ]\n")
    np.testing.assert_allclose(km.read(tmp_path / "v"), [1.5, 2, -3e-5], rtol=1e-6)
    (tmp_path / "p").write_text("<Plda>  [ 1 2 ]\n [\n  1 0 \n  0 1 ]\n [ 3 0.5 ]\n</Plda> ")
    assert km.read_plda(tmp_path / "p").psi.tolist() == [3, 0.5]
    (tmp_path / "f").write_bytes(b"\0B<Plda> FV \4\1\0\0\0" + struct.pack("<f", 2) + b"FM \4\1\0\0\0\4\1\0\0\0" + struct.pack("<f", 3)
                                 + b"FV \4\1\0\0\0" + struct.pack("<f", 4) + b"</Plda> ")
    assert [part.item() for part in km.read_plda(tmp_path / "f")] == [2, 3, 4]


@pytest.mark.parametrize("binary", [True, False])
def test_every_truncation_is_refused(tmp_path, binary):
    km.write_plda(tmp_path / "plda", PLDA, binary)
    whole = (tmp_path / "plda").read_bytes()
    for length in range(len(whole.rstrip())):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(InputError, match="cut"):
            km.read_plda(tmp_path / "cut")


def test_what_is_no_plda_is_refused(tmp_path):
    with pytest.raises(InputError, match="gone"):
        km.read_plda(tmp_path / "gone")
    km.write(tmp_path / "matrix", np.eye(2))
    with pytest.raises(InputError, match="matrix"):
        km.read_plda(tmp_path / "matrix")
    km.write_plda(tmp_path / "odd", PLDA._replace(psi=np.ones(3)))
    with pytest.raises(InputError, match="psi of 3"):
        km.read_plda(tmp_path / "odd")
