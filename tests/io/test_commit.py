"""What a killed change of several files has decided is completed, and a damaged note of it harms nothing."""
from sslspk.io import commit


def test_a_decided_change_is_completed(tmp_path):
    decided = tmp_path / "data" / commit.DECIDED
    decided.mkdir(parents=True)
    (tmp_path / "data/old").write_text("old")
    (decided / "new").write_text("new")
    (decided / commit.REMOVED).write_text("old\n")
    commit.settle(str(tmp_path / "data"))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["new"]


def test_a_damaged_list_removes_nothing_elsewhere(tmp_path):
    decided = tmp_path / "data" / commit.DECIDED
    decided.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (decided / commit.REMOVED).write_bytes(f"../precious\n{precious}\n..\n.\n".encode() + b"\xff\xfe\n")
    commit.settle(str(tmp_path / "data"))
    assert precious.read_text() == "mine" and not decided.exists()
