"""What the logs of a training say of its CPU time."""
import pytest

from sslspk.train import cpu_time


def test_all_starts_count(tmp_path):
    assert cpu_time.of_experiment(tmp_path) is None
    (tmp_path / "log").mkdir()
    (tmp_path / "log/train.log").write_text("12:00:00 step 1\n")
    assert cpu_time.of_experiment(tmp_path) is None
    said = cpu_time.sentence()
    assert float(cpu_time.SAYS.fullmatch(said)[1]) > 0
    (tmp_path / "log/train.20260101-000000.log").write_text("12:00:00 CPU time of rank 0: 61.5 s\n")
    (tmp_path / "log/train.log").write_text("12:00:00 step 1\n12:00:00 CPU time of rank 0: 30.0 s\n# Ended\n")
    (tmp_path / "log/classify.1.log").write_text("CPU time of rank 0: 9.0 s\n")
    assert cpu_time.of_experiment(tmp_path) == pytest.approx(91.5)


@pytest.mark.parametrize(("seconds", "said"), [((), ""),
    ((2.1,), "0.035"), ((30.0, 50.0), "0.67"), ((754.0,), "12.6"), ((3600.0, 7200.0), "90.0")])
def test_a_table_says_the_mean_of_those_that_say_any(tmp_path, seconds, said):
    for n, value in enumerate(seconds):
        (tmp_path / f"exp{n}/log").mkdir(parents=True)
        (tmp_path / f"exp{n}/log/train.log").write_text(f"CPU time of rank 0: {value} s\n")
    assert cpu_time.minutes([tmp_path / "without", *sorted(tmp_path.glob("exp*"))]) == said


def test_what_the_logs_say_goes_to_results(tmp_path):
    assert cpu_time.logged(tmp_path) == {}
    (tmp_path / "log").mkdir()
    begin = "# OMP_NUM_THREADS=1 python3 -m sslspk.bin.train a b \n# Started at Sun\n#\n"
    (tmp_path / "log/train.log").write_text(begin + "CPU time of rank 0: 30.0 s\n")
    (tmp_path / "log/train.1.log").write_text("# earlier \n# Started at Sat\n#\nCPU time of rank 0: 60.5 s\n")
    assert cpu_time.logged(tmp_path) == {"cpu_seconds": 90.5, "command": "OMP_NUM_THREADS=1 python3 -m sslspk.bin.train a b"}
