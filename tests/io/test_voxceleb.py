"""VoxCeleb's ids, metadata and lists."""
import pytest

from sslspk.errors import InputError
from sslspk.io import voxceleb
from sslspk.io.voxceleb import Speaker

ROWS = {"id10001": Speaker("m", "dev"), "id10270": Speaker("f", "test")}


@pytest.mark.parametrize("name", [
    "id10270/5r0dWxy17C8/00001.wav", "voxceleb1/id10270/5r0dWxy17C8/00001.wav", "./wav/id10270/5r0dWxy17C8/00001.flac",
    "id10270/5r0dWxy17C8/00001", "id10270-5r0dWxy17C8-00001",
])
def test_path_styles_of_lists(name):
    assert voxceleb.utterance_of(name) == "id10270-5r0dWxy17C8-00001"


@pytest.mark.parametrize("text", [
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA.J._Buckley\tm\tIreland\tdev\n"
    "id10270\tEartha_Kitt\tf\tUSA\ttest",
    "\ufeffVoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \r\nid10001 ,n000012 ,m ,dev \r\n"
    " id10270 ,n000013 ,F ,test\t\r\n\r\n",
    "ID,Set,Gender,\nid10001,dev,m,\nid10270,test,f,\nid10001,dev,m,\n",
], ids=["tabs, no last newline", "commas, byte order mark, blanks", "other order, a row twice"])
def test_metadata(tmp_path, text):
    (tmp_path / "meta.csv").write_text(text, newline="")
    assert voxceleb.read_metadata(str(tmp_path / "meta.csv"), "VoxCeleb") == ROWS


@pytest.mark.parametrize(("text", "message"), [
    ("", "meta.csv:1: the header has no columns"),
    ("id10001\tx\tm\tUK\tdev\n", "meta.csv:1: the header has no columns"),
    ("ID\tGender\tSet\nid10001\tm\n", "meta.csv:2: 2 fields where the header has 3"),
    ("ID\tGender\tSet\nid10001\tm\tdev\nid10002\tdev\tm\n", "meta.csv:3: gender 'dev'"),
    ("ID\tGender\tSet\nid10001\tm\tdev\nid10001\tf\tdev\n", "meta.csv:3: id10001 is there twice"),
])
def test_bad_metadata(tmp_path, text, message):
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        voxceleb.read_metadata(str(tmp_path / "meta.csv"), "VoxCeleb")


def test_every_trial_names_a_bad_recording(tmp_path):
    (tmp_path / "veri_test.txt").write_text("1 id1/v/1.wav id1/v/2.wav\n")
    trial_list = voxceleb.read_list(str(tmp_path / "veri_test.txt"), {"id1-v-1", "id1-v-2"}, "the corpus")
    with pytest.raises(InputError, match=r"all of its trials \(1\) name"):
        voxceleb.write_list(trial_list, {"id1-v-1"}, str(tmp_path))
