"""Joining the tables of parallel jobs: sorted, whole or not at all; and the program that the steps call for it."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sslspk.errors import InputError
from sslspk.io import ark, audio, merge, table

ROOT = Path(__file__).resolve().parents[2]
UTTS = [f"u{n}" for n in range(5)]


def write_parts(folder, kind):
    """Two jobs' archives of three and two utterances, each with a table of lengths; the names of the scp files."""
    for job, utts in ((1, UTTS[:3]), (2, UTTS[3:])):
        names = f"{folder}/f.{job}.ark", f"{folder}/f.{job}.scp"
        if kind in ("pcm", "flac"):
            with audio.PackWriter(*names, kind) as pack:
                for utt in utts:
                    pack.write(utt, np.random.default_rng(1).integers(-99, 99, 500).astype(np.int16), 16000)
        else:
            with ark.Writer(*names, compress=kind == "compressed") as writer:
                for utt in utts:
                    writer.write(utt, np.ones(30) if kind == "vector" else np.random.default_rng(1).normal(size=(30, 4)))
        table.write(f"{folder}/f.{job}.length", {utt: 30 for utt in utts})
    return [f"{folder}/f.1.scp", f"{folder}/f.2.scp"]


@pytest.mark.parametrize("order", [1, -1])
def test_parts_become_one_sorted_table(tmp_path, order):
    scps = write_parts(tmp_path, "matrix")
    out, lengths = tmp_path / "data/feats.scp", tmp_path / "data/lengths"
    tables = {str(lengths): [name.replace("scp", "length") for name in scps][::order], str(out): scps[::order]}
    assert merge.join(tables, UTTS[::-1]) == 5
    assert out.read_text() == Path(scps[0]).read_text() + Path(scps[1]).read_text()
    assert list(table.read(out)) == list(table.read(lengths)) == UTTS
    (tmp_path / "f.3.scp").touch()   # a job that had nothing to do
    assert list(merge.gather([*scps, f"{tmp_path}/f.3.scp"], "out")) == UTTS


@pytest.mark.parametrize(("change", "message"), [
    (lambda d: os.unlink(d / "f.2.scp"), r"f\.2\.scp is missing, which belongs to .*feats\.scp; look at the jobs' logs in LOGS"),
    (lambda d: table.write(d / "f.2.length", {"u3": 1}), r"4 of 5 entries came out for .*lengths \(u4 is missing\)"),
    (lambda d: table.write(d / "f.2.length", {"u3": 1, "u4": 1, "v": 1}), r"5 of 5 entries .*lengths \(v is not one of them\)"),
    (lambda d: table.write(d / "f.2.length", {"u2": 1, "u3": 1, "u4": 1}), r"f\.2\.length: u2 is also in another job's part"),
    (lambda d: (d / "f.1.length").write_text("u1 1\nu0 1\nu2 1\n"), r"f\.1\.length:2: u0 comes after u1"),
    (lambda d: os.truncate(d / "f.2.ark", (d / "f.2.ark").stat().st_size - 1), r"f\.2\.ark:\d+ is truncated"),
    (lambda d: os.unlink(d / "f.1.ark"), r"f\.1\.ark"),
])
@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_written_unless_all_is_whole(tmp_path, change, message, known):
    scps = write_parts(tmp_path, "matrix")
    change(tmp_path)
    tables = {f"{tmp_path}/out/feats.scp": scps, f"{tmp_path}/out/lengths": [name.replace("scp", "length") for name in scps]}
    with pytest.raises(InputError, match=message):
        merge.join(tables, UTTS if known else None, "LOGS")
    assert not (tmp_path / "out").exists()


def test_no_entry_at_all_is_refused(tmp_path):
    (tmp_path / "f.1.scp").touch()
    with pytest.raises(InputError, match="0 of 0 entries came out for out"):
        merge.gather([f"{tmp_path}/f.1.scp"], "out")


@pytest.mark.parametrize("kind", ["matrix", "compressed", "vector", "pcm", "flac"])
def test_an_archive_ends_where_its_last_entry_says(tmp_path, kind):
    """Against reading: the archive is whole to the byte, and one byte less is noticed, as is a cut in an earlier entry."""
    scp = {utt: spec for name in write_parts(tmp_path, kind) for utt, spec in table.read(name).items()}
    end = audio.packed_end if kind in ("pcm", "flac") else ark.end
    path, size = f"{tmp_path}/f.2.ark", os.stat(f"{tmp_path}/f.2.ark").st_size
    assert end(scp["u4"]) == size
    assert end(scp["u3"]) == int(scp["u4"].rpartition(":")[2]) - len("u4 ")
    merge.check_whole(scp)
    for cut in (1, size - end(scp["u3"]) + 1, size):
        os.truncate(path, size - cut)
        with pytest.raises(InputError, match=r"f\.2\.ark:\d+"):
            merge.check_whole(scp)


def test_files_of_their_own_are_let_pass():
    merge.check_whole({"a": "/nowhere/a.wav", "b": "/nowhere/b.flac"})


def program(folder, *words):
    return subprocess.run([sys.executable, "-m", "sslspk.bin.merge_tables", *words], cwd=folder, text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)


def test_the_program_of_the_steps(tmp_path):
    write_parts(tmp_path, "pcm")
    table.write(tmp_path / "utt2spk", {utt: "s" for utt in UTTS})
    words = ["--jobs", "2", "--ids", "utt2spk", "f.JOB.length", "lengths", "f.JOB.scp", "wav.scp"]
    done = program(tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, "merge_tables: wrote 5 entries to lengths and wav.scp\n"), done.stderr
    assert list(table.read(tmp_path / "wav.scp")) == list(table.read(tmp_path / "lengths")) == UTTS
    before = (tmp_path / "wav.scp").read_bytes()
    (tmp_path / "f.2.scp").unlink()
    done = program(tmp_path, *words)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "f.2.scp is missing" in done.stderr
    assert (tmp_path / "wav.scp").read_bytes() == before


@pytest.mark.parametrize("words", [["--jobs", "2", "f.JOB.scp"], ["--jobs", "2", "f.scp", "out"], ["f.JOB.scp", "out"],
                                   ["--jobs", "0", "f.JOB.scp", "out"], ["--jobs", "2", "f.JOB.scp", "out", "g.JOB.scp", "out"]])
def test_mistakes_on_the_command_line(tmp_path, words):
    done = program(tmp_path, *words)
    assert done.returncode == 2 and "usage" in done.stderr and not list(tmp_path.iterdir())
