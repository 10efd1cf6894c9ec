"""The shell half of a step: option parsing, skip stamps, and the data directory tools, each run as a user runs it."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UTILS = ROOT / "utils"
SCRIPT = f"""#!/usr/bin/env bash
set -euo pipefail
cmd=utils/run.pl       # where the jobs run
nj=4
ngpu=0
stage=0
stop_stage=6
compress=true          # true | false
name=
set=()                 # KEY=VALUE
help_message="usage: $0 [options] DATA
inside=the message is no option \\"quoted\\" either
nj=9"
. {UTILS}/parse_options.sh
printf '%s|' "$cmd" "$nj" "$ngpu" "$stage" "$compress" "$name" "${{#set[@]}}" ${{set[@]+"${{set[@]}}"}} "$#" "$@"
"""
DEFAULT = "utils/run.pl|4|0|0|true|"


def sh(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # python3 is the Python of the tests
    return subprocess.run([str(word) for word in words], cwd=cwd, text=True, capture_output=True, timeout=60,
                          env={**os.environ, "PATH": path, **environment})


def refused(result: subprocess.CompletedProcess, *parts: str) -> None:
    """Exit 1, nothing on stdout, one line on stderr that names these."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def step(tmp_path):
    (tmp_path / "step.sh").write_text(SCRIPT)
    return lambda *words, **environment: sh("bash", "./step.sh", *words, cwd=tmp_path, **environment)


@pytest.mark.parametrize("words, expected", [
    ((), DEFAULT + "|0|0|"),
    (("--nj", "8", "a", "b c"), "utils/run.pl|8|0|0|true||0|2|a|b c|"),
    (("--nj=8", "--name", "x=y", "--cmd=run.pl --mem 4G"), "run.pl --mem 4G|8|0|0|true|x=y|0|0|"),
    (("--set", "a=1", "--set=b=2 3", "--set", "", "d"), DEFAULT + "|3|a=1|b=2 3||1|d|"),
    (("--name", "", "--compress", "false"), "utils/run.pl|4|0|0|false||0|0|"),
    (("--name=--nj", "--", "--nj", "-x"), DEFAULT + "--nj|0|2|--nj|-x|"),
    (("--stage", "-1", "-"), "utils/run.pl|4|0|-1|true||0|1|-|"),
    (("a", "--", "--nj"), DEFAULT + "|0|3|a|--|--nj|"),
    (("--name", "$(touch pwned)`id`"), DEFAULT + "$(touch pwned)`id`|0|0|"),
    (("--set", '"; touch pwned; "$(id)'), DEFAULT + '|1|"; touch pwned; "$(id)|0|'),
])
def test_options_are_read(step, tmp_path, words, expected):
    result = step(*words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == expected
    assert not (tmp_path / "pwned").exists()


def test_hyphens_and_underscores_are_the_same(step):
    assert step("--stop-stage", "3").returncode == step("--stop_stage", "3").returncode == 0


@pytest.mark.parametrize("words, parts", [
    (("--nj",), ("--nj", "needs a value")),
    (("--nj", "--cmd", "x"), ("--nj", "--cmd", "needs a value")),
    (("--set",), ("--set", "needs a value")),
    (("--speed", "3"), ("--speed", "no option")),
    (("--names", "3"), ("--names", "is called --name;")),
    (("--stages=3",), ("--stages", "is called --stage;")),
    (("--speed",), ("--speed", "no option")),
    (("--speed=3",), ("--speed", "no option")),
    (("-n", "3"), ("-n", "no option")),
    (("--stage", "abc"), ("--stage", "'abc'", "whole number")),
    (("--stage", "1.5"), ("--stage", "'1.5'")),
    (("--stage", ""), ("--stage", "''")),
    (("--stop-stage", "08"), ("--stop-stage", "'08'")),
    (("--nj", "0"), ("--nj", "'0'")),
    *(((name, "9" * 20), (name, "whole number", f"'{'9' * 20}'")) for name in ("--nj", "--stage", "--ngpu")),
    (("--nj", "x" * 9999), ("--nj", "'" + "x" * 40 + "'")),
    (("--nj", "-2"), ("--nj", "'-2'")),
    (("--ngpu", "all"), ("--ngpu", "'all'")),
    (("--compress", "yes"), ("--compress", "true or false", "'yes'")),
    (("data", "--nj", "3"), ("--nj", "'data'", "options come first")),
    (("--nj", "3", "data", "out", "--compress=true"), ("--compress=true", "options come first")),
    (("data", "-n"), ("-n", "options come first")),
    (("--help-message", "x"), ("no option",)),
    (("--inside", "x"), ("no option",)),
    (("--PATH", "x"), ("no option",)),
])
def test_a_mistake_ends_in_one_sentence(step, words, parts):
    refused(step(*words), "./step.sh: error:", "--help", *parts)


def test_variables_of_the_environment_are_no_options_and_defaults_win(step):
    refused(step("--corpus", "x", corpus="y"), "--corpus", "no option")
    assert step(nj="7", name="z").stdout == DEFAULT + "|0|0|"


def test_help_shows_message_notes_and_defaults(step):
    result = step("--nj", "3", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["usage: ./step.sh [options] DATA", 'inside=the message is no option "quoted" either']
    assert "  --cmd                where the jobs run (default: utils/run.pl)" in lines
    assert "  --stop-stage         (default: 6)" in lines
    assert "  --set                KEY=VALUE (may be repeated)" in lines
    assert sum(line.startswith("  --nj ") for line in lines) == 1


def test_a_script_may_hand_on_what_it_does_not_know(tmp_path):
    (tmp_path / "outer.sh").write_text(f"set -euo pipefail\nnj=4\nset=()\nPASS=()\n. {UTILS}/parse_options.sh\n"
                                       'printf "<%s>" "$nj" "${set[@]}" "|" "${PASS[@]}" "|" "$@"\n')
    given = sh("bash", "outer.sh", "--ngpu", "2", "--nj=3", "--synth=--utts 2", "--set", "a=b c", "--max-jobs", "-1", "--", "--data",
               cwd=tmp_path)
    assert given.stdout == "<3><a=b c><|><--ngpu><2><--synth=--utts 2><--max-jobs><-1><|><--data>"
    refused(sh("bash", "outer.sh", "--ngpu", cwd=tmp_path), "--ngpu", "needs a value")
    refused(sh("bash", "outer.sh", "--ngpu", "--nj", "3", cwd=tmp_path), "--ngpu", "needs a value")


def test_parser_leaves_nothing_behind_and_works_without_options(tmp_path):
    (tmp_path / "bare.sh").write_text(f"set -euo pipefail\n. {UTILS}/parse_options.sh\n"
                                      "compgen -v _po_ || compgen -A function _po_ || echo \"$@\"\n")
    assert sh("bash", "bare.sh", "x", cwd=tmp_path).stdout == "x\n"
    refused(sh("bash", "bare.sh", "--nj", "3", cwd=tmp_path), "no option --nj")


STEP_WITH_STAMP = f"""set -euo pipefail
. {UTILS}/done.sh
opts=$1; shift
if done_skip out "$opts" "$@"; then echo skip; exit 0; fi
[ ! -e fail ] || exit 1
echo work
done_mark out "$opts" "$@"
"""


@pytest.fixture
def stamped(tmp_path):
    (tmp_path / "s.sh").write_text(STEP_WITH_STAMP)
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/utt2spk").write_text("a a\n")
    return lambda opts="nj=4", *inputs: sh("bash", "s.sh", opts, *(inputs or ("wav.scp", "data")), cwd=tmp_path)


def test_a_finished_step_is_skipped_until_something_changes(stamped, tmp_path):
    assert [stamped().stdout for _ in range(3)] == ["work\n", "skip\n", "skip\n"]
    assert [stamped("nj=5").stdout for _ in range(2)] == ["work\n", "skip\n"]
    assert stamped("nj=5", "wav.scp").stdout == "work\n"
    (tmp_path / "wav.scp").write_text("a b.wav\n")
    assert [stamped("nj=5", "wav.scp").stdout for _ in range(2)] == ["work\n", "skip\n"]
    os.utime(tmp_path / "wav.scp", (1, 1))
    assert stamped("nj=5", "wav.scp").stdout == "work\n"


def test_a_folder_stands_for_its_visible_files(stamped, tmp_path):
    stamped()
    (tmp_path / "data/.done").write_text("x")
    (tmp_path / "data/split4").mkdir()
    assert stamped().stdout == "skip\n"
    (tmp_path / "data/utt2dur").write_text("a 1\n")
    assert stamped().stdout == "work\n"


def test_a_file_of_any_name_is_looked_into(stamped, tmp_path):
    """Its content counts even where size and time are the old ones."""
    odd = tmp_path / "data/a\n$(touch canary) 'b\n"
    odd.write_text("1")
    os.utime(odd, (1, 1))
    assert [(done.stdout, done.stderr) for done in (stamped(), stamped())] == [("work\n", ""), ("skip\n", "")]
    odd.write_text("2")
    os.utime(odd, (1, 1))
    assert (stamped().stdout, (tmp_path / "canary").exists()) == ("work\n", False)


def test_a_step_that_failed_with_new_options_is_not_done_with_the_old(stamped, tmp_path):
    stamped()
    (tmp_path / "fail").touch()
    assert stamped("nj=5").returncode == 1
    (tmp_path / "fail").unlink()
    assert stamped().stdout == "work\n"


@pytest.mark.parametrize("change", [lambda out: out.unlink(), lambda out: out.write_text("")])
def test_a_lost_output_is_made_again(stamped, tmp_path, change):
    out = tmp_path / "xvector.scp"
    out.write_text("a x.ark:2\n")
    assert [stamped("nj=4", "wav.scp", "--", "xvector.scp").stdout for _ in range(2)] == ["work\n", "skip\n"]
    change(out)
    assert stamped("nj=4", "wav.scp", "--", "xvector.scp").stdout.endswith("again\nwork\n")


@pytest.mark.parametrize("change", [lambda folder: (folder / "xvector.scp").write_text("a x.ark:3\n"),
                                    lambda folder: (folder / "x.ark").write_bytes(b"half"),
                                    lambda folder: os.utime(folder / "x.ark", (1, 1)),
                                    lambda folder: quietly(folder / "x.ark", b"wHole"),
                                    lambda folder: (folder / "x.ark").unlink()])
@pytest.mark.parametrize("entry", ["x.ark:2", "x.ark:2[0:9]", "x.ark:2[0:9,0:3]"])
def test_an_output_or_archive_that_is_not_as_it_was_left_is_made_again(stamped, tmp_path, entry, change):
    (tmp_path / "xvector.scp").write_text(f"a {entry}\n")
    (tmp_path / "x.ark").write_bytes(b"whole")
    words = ("nj=4", "wav.scp", "--", "xvector.scp")
    assert [stamped(*words).stdout for _ in range(2)] == ["work\n", "skip\n"]
    change(tmp_path)
    assert [stamped(*words).stdout.splitlines()[-1] for _ in range(2)] == ["work", "skip"]


def test_a_step_that_is_killed_at_its_stamp_leaves_nothing(stamped, tmp_path):
    script = (tmp_path / "s.sh").read_text()
    (tmp_path / "s.sh").write_text("python3() { echo half > out/.done.tmp; kill -9 $$; }\n" + script)
    assert stamped().returncode == -signal.SIGKILL and not (tmp_path / "out/.done").exists()
    (tmp_path / "s.sh").write_text(script)
    assert stamped().stdout == "work\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".done", ".busy"}


def quietly(path, content):
    """Other bytes, of the same length, under the same time: a bit that flipped on the disk."""
    was = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert path.stat().st_size == was.st_size


@pytest.mark.parametrize("name", ["utt2spk", "feats.scp", "x.ark"])
def test_an_input_of_the_same_size_and_time_is_known_by_its_content(stamped, tmp_path, name):
    for path, text in (("utt2spk", "a s1\n"), ("feats.scp", "a x.ark:2\n"), ("x.ark", "whole")):
        (tmp_path / path).write_text(text)
    assert [stamped("nj=4", "utt2spk", "feats.scp").stdout for _ in range(2)] == ["work\n", "skip\n"]
    there = (tmp_path / name).read_bytes()
    quietly(tmp_path / name, there[:-2] + bytes([there[-2] ^ 1]) + there[-1:])
    assert [stamped("nj=4", "utt2spk", "feats.scp").stdout for _ in range(2)] == ["work\n", "skip\n"]


def test_a_large_input_is_known_by_size_and_time_alone(stamped, tmp_path):
    """Else a rerun would read archives of gigabytes."""
    with (tmp_path / "x.ark").open("wb") as archive:
        archive.truncate(8 * 1024 ** 2 + 1)
    (tmp_path / "feats.scp").write_text("a x.ark:2\n")
    assert stamped("nj=4", "feats.scp").stdout == "work\n"
    quietly(tmp_path / "x.ark", b"\1" + bytes(8 * 1024 ** 2))
    assert stamped("nj=4", "feats.scp").stdout == "skip\n"
    os.utime(tmp_path / "x.ark", (1, 1))
    assert stamped("nj=4", "feats.scp").stdout == "work\n"


def test_a_stamp_from_before_outputs_were_looked_at_still_counts(stamped, tmp_path):
    (tmp_path / "xvector.scp").write_text("a x.ark:2\n")
    words = ("nj=4", "wav.scp", "--", "xvector.scp")
    stamped(*words)
    stamp = tmp_path / "out/.done"
    stamp.write_text(stamp.read_text().splitlines()[0] + "\n")
    assert stamped(*words).stdout == "skip\n"


LOCKED = f"""set -euo pipefail
. {UTILS}/done.sh
if done_skip out opts wav.scp -- result; then echo skip; exit 0; fi
echo started; touch started
sleep 600 &   # stands for run.pl, which goes on when the shell alone is killed
echo $! > sleeper
wait || echo killed
echo finished > result
done_mark out opts wav.scp
"""


def test_a_second_command_waits_for_the_jobs_of_the_first_even_when_its_shell_was_killed(tmp_path):
    (tmp_path / "s.sh").write_text(LOCKED)
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    start = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(["bash", "s.sh"], **start)
    assert first.stdout.readline() == "started\n"
    second = subprocess.Popen(["bash", "s.sh"], **start)
    told = second.stderr.readline()
    assert f"out is being written by process {first.pid} (bash s.sh) on {os.uname().nodename};" in told and "waiting" in told
    sleeper(tmp_path)
    first.kill()
    first.wait()
    third = subprocess.Popen(["bash", "s.sh"], **start)
    assert f"by process {sleeper(tmp_path)} (sleep 600) on " in third.stderr.readline()   # what holds it now, not what wrote its name there
    third.kill()
    third.wait()
    (tmp_path / "started").unlink()
    assert second.poll() is None and not (tmp_path / "started").exists()
    os.kill(sleeper(tmp_path), signal.SIGKILL)   # now nobody is at work there
    (tmp_path / "sleeper").unlink()
    assert second.stdout.readline() == "started\n"
    os.kill(sleeper(tmp_path), signal.SIGKILL)
    assert second.wait() == 0 and (tmp_path / "result").exists()


def sleeper(folder):
    """The process id that the script writes."""
    while not (folder / "sleeper").exists() or not (folder / "sleeper").read_text().endswith("\n"):
        time.sleep(0.02)
    return int((folder / "sleeper").read_text())


def test_a_command_that_waited_finds_the_work_done(tmp_path):
    (tmp_path / "s.sh").write_text(LOCKED.replace("sleep 600", "while [ ! -e go ]; do sleep 0.05; done").replace("$!", "$!; touch up"))
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    first = subprocess.Popen(["bash", "s.sh"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not (tmp_path / "up").exists():
        assert first.poll() is None
    second = subprocess.Popen(["bash", "s.sh"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "waiting" in second.stderr.readline()
    (tmp_path / "go").touch()
    assert first.wait() == 0 and second.communicate()[0] == "skip\n"


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "s.sh").write_text(LOCKED)
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "out/.busy").mkdir(parents=True)   # unwritable for root, too
    refused(sh("bash", "s.sh", cwd=tmp_path), "cannot write to out", "permissions")


@pytest.mark.parametrize("folder", ["taken", "taken/a", "taken/a/b", "/dev/null/a"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, folder):
    (tmp_path / "s.sh").write_text(LOCKED.replace("out", folder))
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "taken").touch()
    refused(sh("bash", "s.sh", cwd=tmp_path), f" {folder.partition('/a')[0]} is in the place of a folder; move it away")


def test_a_missing_input_cannot_be_marked(stamped):
    result = stamped("nj=4", "wav.scp", "gone.scp")
    assert result.returncode == 1
    assert "gone.scp" in result.stderr and result.stderr.count("\n") == 1
    assert stamped("nj=4", "wav.scp", "gone.scp").stdout == "work\n"


@pytest.fixture
def data(tmp_path):
    """A data directory of 3 speakers with 4, 2 and 3 utterances."""
    utts = {f"s{spk}-u{n}": f"s{spk}" for spk, count in ((1, 4), (2, 2), (3, 3)) for n in range(count)}
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "utt2spk").write_text("".join(f"{utt} {spk}\n" for utt, spk in utts.items()))
    (folder / "wav.scp").write_text("".join(f"{utt} /wav/{utt}.wav\n" for utt in utts))
    (folder / "spk2gender").write_text("s1 f\ns2 m\ns3 f\n")
    (folder / "spk2utt").write_text("".join(f"{spk} {' '.join(utt for utt in utts if utts[utt] == spk)}\n"
                                            for spk in ("s1", "s2", "s3")))
    return folder


def util(name: str, *words: object, cwd: Path) -> subprocess.CompletedProcess:
    return sh(UTILS / name, *words, cwd=cwd)


def keys(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_validate_accepts_a_sound_directory(data, tmp_path):
    result = util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "9 utterances, 3 speakers" in result.stdout


@pytest.mark.parametrize("name, content, parts", [
    ("wav.scp", None, ("wav.scp", "missing")),
    ("wav.scp", "", ("wav.scp", "empty")),
    ("utt2spk", "b s1\na s1\n", ("utt2spk:2", "order")),
    ("utt2spk", "a s1\na s1\n", ("utt2spk:2", "twice")),
    ("utt2spk", "a s1\nb\n", ("utt2spk:2", "b")),
    ("feats.scp", "s1-u0 x.ark:5\n", ("feats.scp", "s1-u1")),
])
def test_validate_names_the_bad_entry(data, tmp_path, name, content, parts):
    if content is None:
        (data / name).unlink()
    else:
        (data / name).write_text(content)
    refused(util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path), *parts)


def test_validate_says_who_makes_spk2utt(data, tmp_path):
    (data / "spk2utt").unlink()
    done = util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path)
    assert done.returncode == 0 and f"there is no {data}/spk2utt; utils/fix_data_dir.sh makes it from utt2spk" in done.stdout


def test_validate_needs_features_unless_told_otherwise(data, tmp_path):
    refused(util("validate_data_dir.sh", data, cwd=tmp_path), "feats.scp", "missing")
    (data / "wav.scp").unlink()
    refused(util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path), "wav.scp", "missing")
    assert util("validate_data_dir.sh", "--no-feats", "--no-wav", data, cwd=tmp_path).returncode == 0


def test_validate_refuses_commands_in_wav_scp(data, tmp_path):
    text = (data / "wav.scp").read_text()
    (data / "wav.scp").write_text(text.replace("/wav/s1-u1.wav", "sox x.wav -t wav - |"))
    refused(util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path), "wav.scp:2", "s1-u1", "--allow-pipes")
    assert util("validate_data_dir.sh", "--no-feats", "--allow-pipes", "true", data, cwd=tmp_path).returncode == 0
    refused(util("validate_data_dir.sh", "--no-feats", "--allow-pipes", "true", "--check-files", data, cwd=tmp_path),
            "wav.scp:1", "/wav/s1-u0.wav")


def test_fix_sorts_drops_and_keeps_a_backup(data, tmp_path):
    lines = (data / "utt2spk").read_text().splitlines(keepends=True)
    (data / "utt2spk").write_text("".join(reversed(lines)) + lines[0] + "\n")
    (data / "wav.scp").write_text("".join(line for line in (data / "wav.scp").read_text().splitlines(keepends=True)
                                          if not line.startswith("s2")))
    result = util("fix_data_dir.sh", data, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "7 utterances" in result.stdout and "utt2spk: dropped 2, not in wav.scp: s2-u0, s2-u1" in result.stdout
    assert keys(data / "utt2spk") == keys(data / "wav.scp") == [f"s1-u{n}" for n in range(4)] + [
        f"s3-u{n}" for n in range(3)]
    assert keys(data / "spk2utt") == keys(data / "spk2gender") == ["s1", "s3"]
    assert len(keys(data / ".backup/spk2gender")) == 3
    assert util("validate_data_dir.sh", "--no-feats", data, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("pieces, sizes", [(1, [9]), (2, [4, 5]), (4, [2, 2, 2, 3]), (9, [1] * 9)])
def test_split_keeps_order_and_loses_nothing(data, tmp_path, pieces, sizes):
    assert util("split_data.sh", data, pieces, cwd=tmp_path).returncode == 0
    parts = [data / f"split{pieces}/{n}" for n in range(1, pieces + 1)]
    found = [keys(part / "wav.scp") for part in parts]
    assert [len(part) for part in found] == sizes
    assert [utt for part in found for utt in part] == keys(data / "wav.scp")
    for part in parts:
        assert util("validate_data_dir.sh", "--no-feats", part, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("pieces", ["0", "10", "-1"])
def test_split_into_more_pieces_than_utterances_is_refused(data, tmp_path, pieces):
    refused(util("split_data.sh", data, "--", pieces, cwd=tmp_path), "9 utterances")


@pytest.mark.parametrize("words, expected", [
    (("--first", "3"), ["s1-u0", "s1-u1", "s1-u2"]),
    (("--last", "2"), ["s3-u1", "s3-u2"]),
    (("--per-spk", "3"), ["s1-u0", "s1-u1", "s1-u2", "s2-u0", "s2-u1", "s3-u0", "s3-u1", "s3-u2"]),
    (("3",), ["s1-u0", "s1-u3", "s3-u0"]),
    (("9",), None),
])
def test_subset_by_number(data, tmp_path, words, expected):
    *options, count = words
    assert util("subset_data_dir.sh", *options, data, count, tmp_path / "out", cwd=tmp_path).returncode == 0
    assert keys(tmp_path / "out/wav.scp") == (expected or keys(data / "wav.scp"))
    assert util("validate_data_dir.sh", "--no-feats", tmp_path / "out", cwd=tmp_path).returncode == 0


def test_subset_of_whole_speakers(data, tmp_path):
    assert util("subset_data_dir.sh", "--speakers", data, 5, tmp_path / "out", cwd=tmp_path).returncode == 0
    kept = keys(tmp_path / "out/wav.scp")
    speakers = {utt.split("-")[0] for utt in kept}
    assert len(kept) >= 5 and len(speakers) == 2
    assert kept == [utt for utt in keys(data / "wav.scp") if utt.split("-")[0] in speakers]


def test_subset_by_lists(data, tmp_path):
    (tmp_path / "utts").write_text("s3-u1\ns1-u0 more words\n")
    (tmp_path / "spks").write_text("s2\n")
    assert util("subset_data_dir.sh", "--utt-list", "utts", data, "o1", cwd=tmp_path).returncode == 0
    assert util("subset_data_dir.sh", "--spk-list", "spks", data, "o2", cwd=tmp_path).returncode == 0
    assert keys(tmp_path / "o1/wav.scp") == ["s1-u0", "s3-u1"]
    assert keys(tmp_path / "o2/spk2gender") == ["s2"]
    (tmp_path / "utts").write_text("s9-u1\n")
    refused(util("subset_data_dir.sh", "--utt-list", "utts", data, "o3", cwd=tmp_path), "s9-u1")
    (tmp_path / "utts").write_text("s3-u1\n\n")
    refused(util("subset_data_dir.sh", "--utt-list", "utts", data, "o3", cwd=tmp_path), "utts:2", "blank")
    refused(util("subset_data_dir.sh", "--utt-list", "gone", data, "o3", cwd=tmp_path), "gone")


@pytest.mark.parametrize("words, parts", [
    (("--first", "10"), ("9 utterances", "10")),
    (("x",), ("whole number", "'x'")),
])
def test_subset_refuses_impossible_numbers(data, tmp_path, words, parts):
    *options, count = words
    refused(util("subset_data_dir.sh", *options, data, count, "out", cwd=tmp_path), *parts)


def test_combine_joins_what_subsets_cut(data, tmp_path):
    for which, out in (("--first", "a"), ("--last", "b")):
        assert util("subset_data_dir.sh", which, data, 4, tmp_path / out, cwd=tmp_path).returncode == 0
    assert util("subset_data_dir.sh", "--first", data, 5, "ab", cwd=tmp_path).returncode == 0
    assert util("combine_data.sh", "out", "b", "a", cwd=tmp_path).returncode == 0
    whole = keys(data / "wav.scp")
    assert keys(tmp_path / "out/wav.scp") == whole[:4] + whole[-4:]
    assert keys(tmp_path / "out/spk2gender") == ["s1", "s2", "s3"]
    refused(util("combine_data.sh", "out2", "a", "ab", cwd=tmp_path), "s1-u", "another directory")


@pytest.mark.parametrize("name", sorted(path.name for path in UTILS.glob("*_data*.sh")))
def test_tools_explain_themselves_and_refuse_a_missing_directory(name, tmp_path):
    assert "usage:" in util(name, "--help", cwd=tmp_path).stdout
    words = {"combine_data.sh": ("out", "gone"), "split_data.sh": ("gone", 2), "subset_data_dir.sh": ("gone", 2, "out"),
             "relabel_data_dir.sh": ("gone", "clusters", "out"), "divide_data_dir.sh": ("train=0.5 test=0.5", "gone", "out"),
             "cut_data_dir.sh": ("--pieces", 9, "gone", "out")}
    result = util(name, *words.get(name, ("gone",)), cwd=tmp_path)
    assert result.returncode == 1
    assert "gone" in result.stderr and "Traceback" not in result.stderr
