"""Archives, tables, draws and images, as the builders of real data sets read them."""

import hashlib
import zipfile

import pytest

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, expect, padded, table
from layerwise.prompts.draws import draw, in_turn
from layerwise.prompts.images import images_beside, numbered_images, save_image
from rawfiles import numbered, picture, write_csv, write_zip


def test_zip_and_folder_read_alike(tmp_path):
    members = {"top/figstep/a.png": b"one", "top/other/a.png": b"two"}
    packed = Archive(write_zip(tmp_path / "x.zip", members))
    for name, raw in members.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(raw)
    plain = Archive(tmp_path / "x")
    assert packed.names == plain.names == sorted(members)
    for archive in (packed, plain):
        assert archive.read(archive.find("figstep/a.png")) == b"one"
        with pytest.raises(InputError, match="2 files 'a.png'"):
            archive.find("a.png")
        with pytest.raises(InputError, match="no file 'step/a.png'"):
            archive.find("step/a.png")


def test_links_to_files_are_read_as_a_hub_cache_needs(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "abc").write_bytes(b"content")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "a.png").symlink_to("../blobs/abc")
    archive = Archive(tmp_path / "snapshot")
    assert archive.read(archive.find("a.png")) == b"content"


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "figstep/../../secret.png", "", ".."])
def test_no_path_leads_out_of_a_folder(tmp_path, path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "x" / "figstep").mkdir(parents=True)
    (tmp_path / "x" / "figstep" / "a.png").write_bytes(b"one")
    with pytest.raises(InputError, match="holds no file"):
        Archive(tmp_path / "x").find(path)


def test_a_folder_behind_a_link_is_not_entered(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(b"secret")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "inside").symlink_to(tmp_path / "outside")
    assert Archive(tmp_path / "x").names == []


def test_a_damaged_member_is_named(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"good")
        archive.writestr("b.png", b"content that is stored as it is")
    path.write_bytes(path.read_bytes().replace(b"that is stored", b"that is broken"))
    archive = Archive(path)
    assert archive.read("a.png") == b"good"
    with pytest.raises(InputError, match=r"x\.zip: member 'b\.png' is damaged and cannot be read \(Bad CRC"):
        archive.read("b.png")


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"<html>not found</html>")
    for path in (tmp_path / "x.zip", tmp_path / "absent.zip"):
        with pytest.raises(InputError, match=f"{path.name}: neither a zip archive nor a folder"):
            Archive(path)


def test_tables_are_read_alone_or_in_an_archive(tmp_path):
    rows = [{"id": "1", "prompt": 'with "quotes", a comma\nand a second line'}]
    alone = write_csv(tmp_path / "any-name.csv", rows)
    inside = write_zip(tmp_path / "x.zip", {"data/prompts.csv": b"\xef\xbb\xbf" + alone.read_bytes()})
    assert table(alone, "prompts.csv", ["id"]) == table(inside, "prompts.csv", ["id"]) == rows


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"id,question\n1,hello\n", "no column prompt; found: id, question"),
        (b"id,prompt\n1,hello\n2,\n", "line 3: column 'prompt' is empty"),
        (b"id,prompt\n1\n", "line 2: 1 cells, but the header has 2"),
        (b"id,prompt\n1,kill, please\n", "line 2: 3 cells, but the header has 2. Is a text with a comma"),
        (b"#a\n#b\nid,prompt\n1,a\n2,kill\nit\n", "line 6: 1 cells"),
        (b"id,prompt,id\n1,hello,2\n", "header has column 'id' twice"),
        (b"id,prompt\n1,a\n2,hel\0lo\n", "line 3: a NUL byte"),
        (b"key,prompt\n1,hello\n", "no column id; found: key, prompt"),
        (b"id;prompt\n1;hello\n", "found: id;prompt. Its cells are separated by ';'"),
        (b"id,prompt\n", "a header, but no rows"),
        (b"id,prompt\n1,a\n1,b\n", "line 3: id '1' was used before .line 2."),
        (b"id,prompt\n7,a\n007,b\n", "line 3: id '007' was used before .line 2."),
        (b"id,prompt\n../../x,a\n", "line 2: '../../x' is no id"),
        (b"id,prompt\na b,a\n", "line 2: 'a b' is no id"),
        ("id,prompt\n1,hello\n".encode("utf-16"), "not a CSV table in UTF-8 .it is text in UTF-16"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "not a CSV table in UTF-8 .it is a gzip file"),
        (b"PAR1\x15\x04\xff", "not a CSV table in UTF-8 .it is a Parquet table"),
        (b"", "no column id, prompt; found: none"),
        (b'id,prompt\n1,"hello\n', "not a CSV table"),
        (b"id,prompt\n1,\xff\xfe\n", "not a CSV table in UTF-8"),
    ],
)
def test_a_damaged_table_says_where(tmp_path, raw, message):
    (tmp_path / "x.csv").write_bytes(raw)
    with pytest.raises(InputError, match=f"x.csv.*{message}"):
        table(tmp_path / "x.csv", "x.csv", ["prompt"], id="id")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_ids_are_text_and_only_whole_numbers_get_zeros(tmp_path, ending):
    lines = ["id,prompt", "1,a", "v2-001,b", "1.0,c", "2e3,d", "", "12345,e"]
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + ending.join(lines).encode())
    rows = table(tmp_path / "x.csv", "x.csv", ["prompt"], id="id")
    assert [padded(row["id"], 3) for row in rows] == ["001", "v2-001", "1.0", "2e3", "12345"]


def test_a_table_cut_short_is_refused(tmp_path):
    with pytest.raises(InputError, match="x.csv: 2 rows, but key 'options.rows' of the data set says 3"):
        expect([{}, {}], 3, tmp_path / "x.csv")


def test_the_draw_is_the_documented_one():
    def rank(item):
        return hashlib.sha256(f"7:{item}".encode()).hexdigest()

    assert draw(range(100), 7) == sorted(range(100), key=rank)
    assert draw(range(100), 7) != draw(range(100), 8)


def test_the_draw_keeps_clusters_whole_and_grows_with_size():
    items = [(cluster, n) for n in range(3) for cluster in "abcdef"]
    few, more = (draw(items, 0, size, cluster=lambda item: item[0]) for size in (2, 4))
    assert len(few) == 6 and more[:6] == few
    assert [n for _, n in few] == [0, 1, 2] * 2 and len({cluster for cluster, _ in few}) == 2


def test_groups_take_turns_and_drop_out_when_they_are_used_up():
    assert in_turn(["abcd", [], "xy"]) == ["a", "x", "b", "y", "c", "d"]


def test_numbered_images_are_found_by_name_and_shown_in_the_order_drawn(tmp_path):
    shapes = numbered(tmp_path / "shapes", 12)
    (shapes / "images" / ".DS_Store").write_bytes(b"")
    assert numbered_images(Archive(shapes)) == {n: f"images/{n}.png" for n in range(12)}
    spec = {"dataset": "boats", "builder": "boat", "seed": 3, "image": "own", "options": {}}
    fields = images_beside(["a", "b"], spec, {"images": shapes}, tmp_path)
    shown = [picture(n, "PNG") for n in draw(range(12), 3, 2)]
    assert [(tmp_path / "images/boats" / name).read_bytes() for name in ("a.png", "b.png")] == shown
    assert [field["image"] for field in fields] == ["images/boats/a.png", "images/boats/b.png"]


def test_images_keep_their_bytes_and_get_the_ending_of_their_content(tmp_path):
    raw = picture(1, "PNG")
    fields = save_image(raw, tmp_path, "boats", "boats-1", "x.zip: a.jpg")
    assert fields == {"image": "images/boats/boats-1.png", "image_sha256": hashlib.sha256(raw).hexdigest()}
    assert (tmp_path / fields["image"]).read_bytes() == raw


@pytest.mark.parametrize("raw", [b"", b"no image", picture(1)[:-200], picture(1, "PNG")[:-200]])
def test_what_is_no_whole_image_is_named(tmp_path, raw):
    with pytest.raises(InputError, match="x.zip: a.jpg: not a complete image"):
        save_image(raw, tmp_path, "boats", "boats-1", "x.zip: a.jpg")
    assert not (tmp_path / "images").exists()
