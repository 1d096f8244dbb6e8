"""mini JailBreakV-28K: the selected rows of the authors' table, each with its image out of a folder or an archive."""

import hashlib

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import jailbreakv_mini
from rawfiles import picture, spec, write_csv, write_zip

IMAGES = {
    "JailBreakV_28K/llm_transfer_attack/nature_1.png": picture(1, "PNG"),
    "JailBreakV_28K/llm_transfer_attack/SD_related_2.png": picture(2, "PNG"),
    "JailBreakV_28K/query_related/SD_related_2.png": picture(3, "PNG"),
    "JailBreakV_28K/figstep/figstep_4.png": picture(4),
    "JailBreakV_28K/figstep/unused.png": picture(5, "PNG"),
}


def row(id, query, image, selected="True"):
    return {
        "id": id,
        "jailbreak_query": f"Please, please: {query}",
        "redteam_query": query,
        "format": "Template",
        "policy": "Boats",
        "image_path": image,
        "from": "Handcraft",
        "selected_mini": selected,
        "transfer_from_llm": "True",
    }


ROWS = [
    row(3, "Fold a boat", "llm_transfer_attack/nature_1.png"),
    row(17, "Sail a boat", "llm_transfer_attack/SD_related_2.png"),
    row(18, "Sail a boat", "llm_transfer_attack/unheard_of.png", selected="False"),
    row(20001, "Fold a boat", "query_related/SD_related_2.png"),
    row(27999, "Paint a boat", "figstep/figstep_4.png"),
]


@pytest.fixture
def sources(tmp_path):
    """As the hub's folder gives them: the table in its folder, the images beside it."""
    folder = tmp_path / "snapshot"
    write_csv(folder / "JailBreakV_28K" / "mini_JailBreakV_28K.csv", ROWS)
    for name, raw in IMAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    return {"prompts": folder, "images": folder}


def test_selected_rows_come_with_their_own_images(tmp_path, sources):
    prompts = jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini", rows=4), sources, tmp_path)
    by_id = {prompt.id: prompt for prompt in prompts}
    assert set(by_id) == {f"jailbreakv-mini-{id:05d}" for id in (3, 17, 20001, 27999)}
    for line in ROWS:
        if line["selected_mini"] == "True":
            prompt, raw = by_id[f"jailbreakv-mini-{line['id']:05d}"], IMAGES[f"JailBreakV_28K/{line['image_path']}"]
            assert (prompt.text, prompt.kind) == (line["jailbreak_query"], "harmful")
            assert prompt.image_sha256 == hashlib.sha256(raw).hexdigest()
            assert (tmp_path / prompt.image).read_bytes() == raw
            assert prompt.attributes == {"policy": "Boats", "format": "Template", "from": "Handcraft"}
    assert by_id["jailbreakv-mini-27999"].image.endswith(".jpg"), "the ending is the content's, not the archive's"


def test_rows_of_one_query_are_one_cluster_that_does_not_tell_it(tmp_path, sources):
    prompts = jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini"), sources, tmp_path)
    clusters = {prompt.id[-5:]: prompt.cluster for prompt in prompts}
    assert clusters["00003"] == clusters["20001"] and len(set(clusters.values())) == 3
    assert not any("boat" in cluster.lower() for cluster in clusters.values())
    first = jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini", size=2), sources, tmp_path)
    assert len({prompt.cluster for prompt in first}) == 2 and first == prompts[: len(first)]


def test_the_authors_archive_serves_as_well(tmp_path, sources):
    packed = write_zip(
        tmp_path / "JailBreakV_28K.zip", {**IMAGES, "__MACOSX/JailBreakV_28K/figstep/._figstep_4.png": b""}
    )
    table = sources["prompts"] / "JailBreakV_28K" / "mini_JailBreakV_28K.csv"
    whole = jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini"), sources, tmp_path / "a")
    again = jailbreakv_mini.build(
        spec("jailbreakv-mini", "jailbreakv_mini"), {"prompts": table, "images": packed}, tmp_path / "b"
    )
    assert again == whole


def test_a_missing_image_is_named_with_its_row(tmp_path, sources):
    (sources["images"] / "JailBreakV_28K/figstep/figstep_4.png").unlink()
    with pytest.raises(InputError, match=r"row with id 27999: .* no file 'figstep/figstep_4\.png'.*sources\.images"):
        jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini"), sources, tmp_path)


def test_an_image_path_does_not_lead_out_of_the_folder(tmp_path, sources):
    (tmp_path / "outside.png").write_bytes(picture(9, "PNG"))
    write_csv(sources["prompts"] / "JailBreakV_28K/mini_JailBreakV_28K.csv", [row(1, "Fold a boat", "../outside.png")])
    with pytest.raises(InputError, match=r"row with id 1: .* no file '\.\./outside\.png'"):
        jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini"), sources, tmp_path)


def test_missing_rows_are_refused(tmp_path, sources):
    with pytest.raises(InputError, match="4 rows, but key 'options.rows' of the data set says 280"):
        jailbreakv_mini.build(spec("jailbreakv-mini", "jailbreakv_mini", rows=280), sources, tmp_path)
