"""Probes find what is there, find nothing where nothing is, and are scored on images they were not fitted on."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch

import models
import probe as script
import smallmodels
from layerwise import assets
from layerwise.analysis import probes, probing, stats
from layerwise.models import checkpoints
from layerwise.records import Prompt, write

RANDOM = np.random.default_rng(0)


def cue(count, strength, width=20):
    """Noise of shape (count, width) with a cue of this strength in the first column, and the cue."""
    hazard = RANDOM.random(count) < 0.5
    features = RANDOM.normal(size=(count, width))
    features[:, 0] += strength * hazard
    return features, hazard


def test_cue_probe_finds_a_cue_that_is_there():
    value, low, high = probes.cue_probe(*cue(600, 8.0), *cue(400, 8.0))
    assert low > 0.97 and value > 0.999


def test_cue_probe_finds_nothing_where_nothing_is_even_if_it_can_learn_the_training_images_by_heart():
    value, low, high = probes.cue_probe(*cue(60, 0.0, width=200), *cue(1000, 0.0, width=200))
    assert low < 0.5 < high and abs(value - 0.5) < 0.06


def test_cue_probe_reads_no_relation_of_two_marks():
    """Equal or not, two fair coins: no weighted sum of them tells."""
    first, second = RANDOM.integers(0, 2, (2, 4000))
    features = np.stack([first, second], 1) + RANDOM.normal(0, 0.1, (4000, 2))
    value, _, _ = probes.cue_probe(
        features[:3000], first[:3000] == second[:3000], features[3000:], first[3000:] == second[3000:]
    )
    assert abs(value - 0.5) < 0.08


def relation(count, width=8):
    """Two cells with one of four marks each, in random directions, two without; and whether the marks are the same."""
    marks = np.random.default_rng(5).normal(size=(4, width))
    first, second = RANDOM.integers(0, 4, (2, count))
    second = np.where(RANDOM.random(count) < 0.5, first, second)
    cells = RANDOM.normal(0, 0.1, (count, 4, width)).astype(np.float32)
    cells[:, 0] += marks[first]
    cells[:, 3] += marks[second]
    return cells, first == second


def test_only_the_pairwise_probe_reads_a_relation_that_no_cell_holds():
    (train, same), (test, test_same) = relation(2000), relation(800)
    pairs = [probes.compared(cells[:, 0], cells[:, 3]) for cells in (train, test)]
    assert probes.cue_probe(pairs[0], same, pairs[1], test_same).low > 0.95
    flat = [cells.reshape(len(cells), -1) for cells in (train, test)]
    assert abs(stats.auc(probes.ridge(flat[0], same[:, None], flat[1])[:, 0], test_same).value - 0.5) < 0.1
    assert all(abs(found.value - 0.5) < 0.1 for found in probes.cell_probes(train, same, test, test_same))


def test_cell_probes_say_which_cell_holds_a_cue():
    (train, same), (test, test_same) = relation(600), relation(400)
    train[:, 2, 1] += same
    test[:, 2, 1] += test_same
    found = probes.cell_probes(train, same, test, test_same)
    assert found[2].low > 0.97 and max(found[cell].value for cell in (0, 1, 3)) < 0.7
    alone = probes.ridge(train[:, 2], np.where(same, 1, -1)[:, None], test[:, 2])[:, 0]
    assert found[2] == pytest.approx(stats.auc(alone, test_same), abs=1e-3)


def test_cue_probe_is_logistic_regression():
    train, hazard = cue(2000, 1.0, width=5)
    test, test_hazard = cue(500, 1.0, width=5)
    fitted = sm.Logit(hazard.astype(float), sm.add_constant(train)).fit(disp=0)
    expected = stats.auc(fitted.predict(sm.add_constant(test)), test_hazard)
    assert probes.cue_probe(train, hazard, test, test_hazard) == pytest.approx(expected, abs=2e-3)


def items(count, width=40, classes=8):
    label = RANDOM.integers(0, classes, count)
    features = RANDOM.normal(size=(count, width)).astype(np.float32)
    features[np.arange(count), label] += 2.0
    return features, label


def test_ridge_is_ridge_regression_on_the_classes():
    train, label, test, test_label = *items(500), *items(300)
    mean, scale = train.mean(0), train.std(0)
    a, b = ((side - mean) / scale for side in (train.astype(float), test.astype(float)))
    wanted = np.eye(8)[label]
    penalised = a.T @ a + probes.RIDGE_PENALTY * len(a) * np.eye(a.shape[1])
    weights = np.linalg.solve(penalised, a.T @ (wanted - wanted.mean(0)))
    right = (b @ weights + wanted.mean(0)).argmax(1) == test_label
    found = probes.accuracy(probes.ridge(train, np.eye(8)[label], test), test_label)
    assert found == pytest.approx(stats.wilson(right.mean(), 300), abs=4e-3)
    assert right.mean() > 0.6


def test_ridge_is_at_chance_where_labels_are_random():
    train, label = items(500)
    test, _ = items(800)
    wanted = np.eye(8)[RANDOM.permutation(label)]
    found = probes.accuracy(probes.ridge(train, wanted, test), RANDOM.integers(0, 8, 800))
    assert found.low < 1 / 8 < found.high


def test_drift_knows_direction_from_length():
    default = [torch.cat([torch.zeros(25, 1), torch.randn(25, 16)], 1) for _ in range(3)]
    features = {
        0: [torch.eye(17)[[0] * 25] for _ in default],  # at a right angle to all
        1: [3 * image for image in default],
        2: [-image for image in default],
        3: default,
    }
    cosines, ratios = probes.drift(features, default=3)
    assert cosines.shape == ratios.shape == (3, 4)
    assert np.allclose(cosines, [0, 1, -1, 1], atol=1e-6)
    assert np.allclose(ratios[:, 1:], [3, 1, 1])


def test_drift_is_the_mean_over_tokens_of_each_tokens_cosine():
    default, other = torch.tensor([[1.0, 0.0], [0.0, 9.0]]), torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    cosines, _ = probes.drift({0: [other], 1: [default]}, default=1)
    assert cosines[0, 0] == pytest.approx(0.5), "a long token counts no more than a short one"


def test_the_default_layer_against_itself_is_known_exactly():
    found = probes.mean_over_images(np.stack([np.ones(50), RANDOM.normal(size=50)], 1))
    assert found[0] == (1.0, 1.0, 1.0)
    assert found[1].low < found[1].value < found[1].high


def test_a_single_image_has_a_mean_without_limits():
    found = probes.mean_over_images(np.array([[1.0, 0.3]]))
    assert [one.value for one in found] == [1.0, 0.3]
    assert all(np.isnan([one.low, one.high]).all() for one in found)


def spec(organism):
    return {
        "subject": "organism.broad-default.s100",
        "seed": 100,
        "model": {
            **{"family": "llava", "blocks": 4, "default_layer": 3},
            **{"dtype": "float32", "attention": "sdpa", "variant": None},
        },
        "organism": organism,
        "probes": {"train_images": 60, "test_images": 40},
    }


def run(tmp_path, spec, *more):
    output = tmp_path / "probes.csv"
    script.main(["--spec", json.dumps(spec), "--output", str(output), *map(str, more)])
    return pd.read_csv(output), output.read_bytes()


def test_script_probes_every_exit_of_an_organism_and_twice_the_same(tmp_path):
    weights = smallmodels.save_llava(tmp_path / "model") / "model.safetensors"
    table, content = run(tmp_path, spec({"recipe": "llava"}), "--weights", weights)
    assert list(table.columns) == probing.COLUMNS
    single = table[table["probe"] == "deep_cell"]
    assert single.groupby("layer")["cell"].apply(list).to_dict() == {layer: [*range(25)] for layer in range(5)}
    table = table[table["cell"].isna()]
    found = table.groupby(["probe", "metric"])["layer"].apply(list).to_dict()
    names = [
        ("shallow", "auc"),
        ("deep", "auc"),
        ("deep_cells", "auc"),
        ("deep_pairwise", "auc"),
        ("item", "accuracy"),
        ("drift_cosine", "mean"),
        ("drift_norm", "mean"),
    ]
    assert found == {name: [0, 1, 2, 3, 4] for name in names}
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert set(table["n"]) == {40}
    default = table[table["layer"] == 3].set_index("probe")["value"]
    assert default["drift_cosine"] == default["drift_norm"] == 1
    assert run(tmp_path, spec({"recipe": "llava"}), "--weights", weights)[1] == content


@pytest.mark.parametrize("image", [True, False])
def test_script_measures_only_the_drift_of_a_published_model(tmp_path, monkeypatch, image):
    folder = smallmodels.save_llava(tmp_path / "model")
    monkeypatch.setattr(assets, "resolve", lambda receipt: folder)
    prompts = [Prompt("text-0001", "text", "how", None, None, "harmful", "one")]
    if image:
        prompts += [task.prompt for task in models.tasks(tmp_path, 3, [0])]
        prompts.append(dataclasses.replace(prompts[1], id="again", text="the same image with another text"))
    write(tmp_path / "prompts.jsonl", prompts)
    table, _ = run(
        tmp_path, spec(None), "--weights", tmp_path / "receipt.json", "--prompts", tmp_path / "prompts.jsonl"
    )
    assert list(table.columns) == probing.COLUMNS
    assert set(table["probe"]) == ({"drift_cosine", "drift_norm"} if image else set())
    assert set(table["n"]) == ({3} if image else set()), "each image counts once"


def test_padding_of_a_tiled_image_does_not_drift(tmp_path):
    """Mllama fills an image up to its number of tiles; only the real ones are what the image shows."""
    folder = smallmodels.save_mllama(tmp_path / "model")
    family = checkpoints.load_model(folder, models.settings(6, "mllama", default_layer=6))
    small, large = (family.preprocess(models.picture(0, size)) for size in ((16, 16), (90, 90)))
    with torch.inference_mode():
        seen = family.features([small, large], [2])[2]
    assert [len(one.tokens) / len(one.states) for one in seen] == [
        one.tiles / family.vision.max_num_tiles for one in seen
    ]
    assert seen[0].tiles < seen[1].tiles
    assert torch.equal(seen[0].tokens, seen[0].states[: len(seen[0].tokens)])
