"""A link that leads nowhere, in the place of a table, is an error and not the lack of a table."""
import pytest

from sslspk.errors import InputError
from sslspk.io import clips, datadir


@pytest.mark.parametrize("name", ["label_source", "segments", "utt2spk", "spk2utt"])
@pytest.mark.parametrize("target", ["gone", None], ids=["to nothing", "to itself"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, name, target):
    (tmp_path / "wav.scp").write_text("u1 u1.wav\n")
    (tmp_path / name).symlink_to(target or tmp_path / name)
    read = {"label_source": datadir.label_source, "segments": clips.read}.get(name, lambda folder: datadir.read_table(folder, name))
    with pytest.raises(InputError, match=name):
        read(str(tmp_path))
