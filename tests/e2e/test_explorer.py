"""The explorer of the smoke experiment in a real browser, against the files that it was made from."""

import csv
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

import browser as browsers
from layerwise.analysis import stats
from layerwise.runs import provenance

pytest.importorskip("selenium", reason="selenium is not installed: run make")
pytestmark = pytest.mark.skipif(not browsers.installed(), reason=browsers.MISSING)

SCREENS = ("map", "prompt", "cell", "flips", "judges", "predictions", "numbers", "compare")
RESULTS = "results/smoke"
MARK = {"refusal": "refusal", "asr": "harmful", "off_target": "off_target", "vqa_accuracy": "right", "margin": "margin"}


@pytest.fixture(scope="module")
def browser():
    one = browsers.Browser()
    yield one
    one.quit()


@pytest.fixture(scope="module")
def page(finished):
    return finished.folder / RESULTS / "explorer.html"


@pytest.fixture(scope="module")
def rebuilt(finished, tmp_path_factory):
    """A function that runs the explorer's own job again, with parts of its spec changed; it returns the page."""

    def build(**changes):
        made = provenance.jobs(finished.folder)[f"{RESULTS}/explorer.html"]
        output = tmp_path_factory.mktemp("page") / "explorer.html"
        command = made.command.split(" 2>&1 ")[0].replace(f"--output {RESULTS}/explorer.html", f"--output {output}")
        spec = json.dumps({**made.spec, **changes})
        assert "'" not in spec
        command = re.sub(r"--spec '[^']*'", lambda _: f"--spec '{spec}'", command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        where = {"PATH": path, "LAYERWISE_SCRIPTS": str(finished.folder / "workflow/scripts")}
        run = ["bash", "-c", re.sub(r"--costs \S+", "", command)]
        done = subprocess.run(run, cwd=finished.folder, env=os.environ | where, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return output

    return build


def rows(finished, name):
    with open(finished.folder / RESULTS / name, newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_number_of_the_map_is_that_of_the_metrics(browser, page, finished):
    browser.open(page)
    shown = {}
    for (option,) in browser.each("select[data-key=Metric] option", "one.value"):
        browser.go(f"map?seeds=1&m={option}")
        cells = browser.each("[data-row]", "one.dataset.row", "one.dataset.value", "one.textContent")
        shown |= {int(row): (float(value), text) for row, value, text in cells}
    metrics = rows(finished, "metrics.csv")
    wanted = {i: row for i, row in enumerate(metrics) if row["layer"] and row["group"] != "Default"}
    assert shown.keys() == wanted.keys() and len(shown) > 100
    for i, row in wanted.items():
        value, text = shown[i]
        assert value == float(row["value"]), row
        percent = abs(float(text.replace("−", "-")) - 100 * value) <= 0.5 + 1e-9
        assert percent or float(text.replace("−", "-")) == pytest.approx(value, abs=0.06), row


def test_flips_are_those_of_the_paired_table(browser, page, finished):
    browser.open(page, "flips")
    shown = browser.run("return E.data.marks.map((mark) => mark.id)")
    tables = rows(finished, "paired.csv")
    assert len(tables) >= 8
    for row in tables:
        subject = f"{row['model']}.{row['arm']}.s{row['seed']}"
        kind = "vqa" if row["metric"] == "vqa_accuracy" else "harmful"
        browser.go(f"flips?a={subject}&al={row['layer']}&b={subject}&bl=7&d={row['dataset']}&k={kind}")
        mark = MARK[row["metric"]]
        told = browser.each(f"[data-outcome='{mark}'] ~ [data-value]", "one.dataset.value", "one.textContent")
        if not told:  # neither side has this outcome: nothing to list
            assert row["b"] == row["c"] == "0"
            continue
        told = dict(told)
        assert (told["b"], told["c"], told["n"]) == (row["b"], row["c"], row["n"])
        if mark not in shown:
            continue
        # What is counted from the responses agrees with the table.
        counts = browser.each("[data-from]", "one.dataset.from", "one.dataset.to", "Number(one.textContent)")
        assert sum(n for one, other, n in counts if one == mark != other) == int(row["b"])
        assert sum(n for one, other, n in counts if other == mark != one) == int(row["c"])
        assert sum(n for _, _, n in counts) == int(row["n"])


def test_judges_are_those_of_the_validity_table(browser, page, finished):
    browser.open(page, "judges")
    counts = [row for row in rows(finished, "validity.csv") if row["metric"] == "count" and row["layer"] in ("", "0")]
    for judge, layer in {(row["judge"], row["layer"]) for row in counts}:
        browser.go(f"judges?j={judge}&l={layer}")
        cells = browser.each("[data-truth]", "one.dataset.truth", "one.dataset.label", "one.textContent")
        shown = {(truth, label): int(n.replace(",", "")) for truth, label, n in cells}
        for row in counts:
            if (row["judge"], row["layer"]) == (judge, layer):
                assert shown.get((row["truth"], row["label"]), 0) == float(row["value"]), row


def test_the_words_are_those_of_the_responses(browser, page, finished):
    browser.open(page, "prompt")
    files = sorted((finished.folder / RESULTS / "responses").glob("*/*.jsonl"))
    draw = random.Random(7)
    for path in draw.choices(files, k=5):
        row = json.loads(draw.choice(path.read_text().splitlines()))
        browser.go(f"prompt?p={row['prompt_id']}&s={row['subject']}&l={row['layer']}")
        assert browser.each(f".detail [data-said='{row['prompt_id']}']", "one.textContent") == [
            [row["text"] or "(empty)"]
        ]
    path = finished.folder / RESULTS / f"verdicts/toxicity/{row['subject']}.jsonl"
    verdict = json.loads(path.read_text().splitlines()[0])
    browser.go(f"prompt?p={verdict['prompt_id']}&s={verdict['subject']}&l={verdict['layer']}")
    ((detail,),) = browser.each(".detail", "one.textContent")
    assert f"{verdict['label']} {verdict['score']:.3f}" in detail


def test_what_is_filtered_can_be_saved(browser, page, finished):
    subject, layer, dataset = "organism-smoke.broad-default.s100", 7, "world-deep"
    folder = finished.folder / RESULTS
    responses = map(json.loads, (folder / f"responses/{subject}/layer-{layer:02d}.jsonl").read_text().splitlines())
    said = {row["prompt_id"]: row["text"] for row in responses if row["prompt_id"].startswith(f"{dataset}-")}
    verdicts = map(json.loads, (folder / f"verdicts/truth/{subject}.jsonl").read_text().splitlines())
    truth = {row["prompt_id"]: row["label"] for row in verdicts if row["layer"] == layer}
    outcome = truth[next(iter(said))]
    wanted = [(id, text, outcome) for id, text in said.items() if truth[id] == outcome]
    browser.open(page, f"cell?s={subject}&l={layer}&d={dataset}&o={outcome}")
    keep = "const made = []; URL.createObjectURL = (blob) => { made.push(blob); return 'blob:none'; };"
    click = "document.querySelectorAll('.saver button').forEach((one) => one.click());"
    table, lines = browser.run(f"{keep} {click} return Promise.all(made.map((blob) => blob.text()))")
    for found in (list(csv.DictReader(table.splitlines())), [json.loads(line) for line in lines.splitlines()]):
        assert [(row["prompt_id"], row["text"], row["outcome"]) for row in found] == wanted
        assert {row["truth"] for row in found} == {outcome}
        assert {(row["subject"], str(row["layer"])) for row in found} == {(subject, str(layer))}


def test_an_image_keeps_every_pixel(browser, page, finished):
    """Of hazards, and of twins, which are kept as a part that is laid over the hazard's."""
    browser.open(page)
    parts = 0
    for name in ("deep-0003-hazard", "deep-0003-twin", "shallow-0001-twin", "vqa-0005"):
        path = finished.folder / RESULTS / f"prompts/images/world-{name.split('-')[0]}/world-{name}.png"
        part, pixels = browser.run(
            "const p = E.data.place.get(arguments[0]); const canvas = await E.data.picture(E.data.prompts.picture[p]);"
            "const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            "return [canvas.differs, [...seen].filter((_, i) => i % 4 < 3)]",
            f"world-{name}",
        )
        assert bytes(pixels) == Image.open(path).convert("RGB").tobytes()
        parts += part is not None
    assert parts == 2


def test_a_number_leads_back_as_why_says(browser, page, finished):
    key = "asr.broad-default.world-deep.layer-07"
    browser.open(page, f"numbers?q=asr&key={key}")
    chain = browser.run(
        "const files = new Map(E.data.provenance.files);"
        "return E.chain(arguments[0]).flatMap((job) => job.outputs.map((path) => [files.get(path), path]))",
        key,
    )
    told = finished.script("why", key, "--full").stdout
    listed = re.findall(r"^    ([0-9a-f]{64})  (results/.+)$", told, re.MULTILINE)
    assert len(chain) > 6 and sorted(map(tuple, chain)) == sorted(listed)
    assert browser.run("return document.querySelector('.number-card .big').textContent") in told


@pytest.mark.parametrize("width", [1280, 390])
def test_every_screen_works_at_each_width_in_both_schemes_and_asks_nothing(browser, page, width):
    browser.log("browser"), browser.log("performance")
    browser.size(width)
    browser.open(page)
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        for screen in SCREENS:
            browser.go(screen)
            wide = "document.documentElement.scrollWidth"
            ((name, text, found),) = browser.each("#main", "one.className", "one.innerText", wide)
            assert name == screen and len(text) > 100, screen
            assert found <= width, f"{screen} is {found} pixels wide"
            assert not re.search(r"undefined|NaN|\[object", text), screen
    asked = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    addresses = {one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"}
    assert {address for address in addresses if not address.startswith(("data:", "blob:", "about:"))} <= {page.as_uri()}
    assert any(address.startswith("file:") for address in addresses)
    assert [entry["message"] for entry in browser.log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_the_keyboard_reaches_everything(browser, page):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(browser.driver).send_keys(*keys).perform()
        browser.run("await new Promise((done) => setTimeout(done, 50))")

    browser.open(page, "prompt?d=world-deep")
    first = browser.run("return E.read().params.p ?? document.querySelector('select[data-key=Prompt]').value")
    press("j")
    assert browser.run("return E.read().params.p") not in (None, first)
    press("k")
    assert browser.run("return E.read().params.p") == first
    layers = browser.run("return E.data.subjects[0].layers")
    press(Keys.ARROW_LEFT)  # from the default exit to the one before
    assert int(browser.run("return E.read().params.l")) == layers[-2]
    press("3")
    assert browser.run("return E.read().screen") == "cell"
    press("?")
    assert browser.run("return document.querySelector('dialog[open]') !== null")
    press(Keys.ESCAPE)
    browser.go("map")
    browser.run("document.querySelector('[data-stop]').focus()")
    press(Keys.ARROW_RIGHT)
    assert browser.run("return document.activeElement.dataset.stop") == "0,1"
    for screen in SCREENS:
        browser.go(screen)
        named = "one.textContent.trim() || one.ariaLabel || one.labels?.length"
        controls = browser.each("a, button, select, input", "one.outerHTML", f"Boolean({named})")
        assert controls and not [text for text, name in controls if not name], screen


def test_the_exact_test_is_that_of_scipy_on_200_tables(browser, page):
    draw = random.Random(3)
    tables = [[draw.randint(0, draw.choice([3, 40, 200])) for _ in "bc"] for _ in range(150)]
    clusters = [[draw.randint(-4, 4) for _ in range(draw.randint(0, 30))] for _ in range(50)]
    browser.open(page)
    found = browser.run("return arguments[0].map(Stats.mcnemar)", [[1] * b + [-1] * c for b, c in tables] + clusters)
    wanted = [float(binomtest(b, b + c).pvalue) if b + c else 1.0 for b, c in tables]
    wanted += [stats.mcnemar(np.array(one, int)) for one in clusters]
    assert len(found) == 200 and found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_two_builds_are_equal(page, rebuilt):
    assert rebuilt().read_bytes() == page.read_bytes()


def test_real_harmful_text_stays_hidden_until_asked_for(browser, rebuilt, finished):
    """Were the world's harm real and its images not ours: nothing of either is in the page that a reader sees."""
    shown = {"invented": False, "pictures": False}
    page = rebuilt(shown={f"world-{name}": shown for name in ("shallow", "deep", "text", "vqa")})
    lines = (finished.folder / RESULTS / "prompts/world-text.jsonl").read_text().splitlines()
    prompts = map(json.loads, lines)
    harmful = next(prompt for prompt in prompts if prompt["kind"] == "harmful")
    views = [f"prompt?p={harmful['id']}", "cell?d=world-text", "flips?d=world-text", "judges"]
    secrets = [harmful["text"], harmful["target"]]

    def seen(view):
        browser.go(view)
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        return browser.run("return document.getElementById('main').outerHTML")

    browser.open(page)
    for view in views:
        text = seen(view)
        assert not [secret for secret in secrets if secret in text], view
        assert "Hidden: real harmful requests" in text and "<canvas" not in text, view
    assert browser.run("return E.row(0, 0, E.data.place.get(arguments[0]), 0).text", harmful["id"]) is None
    assert f"{harmful['image']}" not in seen(views[0])
    # What is harmful in response to a benign request is hidden as well.
    heard = browser.run(
        "const p = E.data.asked('world-text', 'benign')[0]; const state = E.data.state(0, 0, p);"
        "const before = E.heard(p, state);"
        "E.data.arrays.mark[state] = E.data.marks.findIndex((mark) => mark.id === 'harmful');"
        "return [before, E.heard(p, state)]"
    )
    assert heard[0] and heard[1] is None
    browser.open(page)
    seen(views[0])
    browser.run("document.querySelector('[data-show]').click()")
    assert harmful["text"] in seen(views[0]) and f"Image not in this page: {harmful['image']}" in seen(views[0])
    browser.open(page, views[0])
    assert harmful["text"] in seen(views[0]), "the choice holds in this tab"
    browser.run("sessionStorage.clear()")
    browser.open(page, views[0])
    assert harmful["text"] not in seen(views[0])


def test_another_page_is_compared_by_text_and_image(browser, page, rebuilt):
    browser.open(page, "compare")
    browser.driver.find_element("css selector", "input[type=file]").send_keys(str(page))
    browser.wait("Boolean(E.other)")
    browser.go("compare?s=organism-smoke.broad-none.s100&l=0&o=organism-smoke.broad-default.s100&ol=7")
    assert browser.run("return E.same.length === E.data.count")
    differences = browser.each("[data-value]", "Number(one.dataset.value)")
    assert differences and not any(by for (by,) in differences)
    # Of one model with itself nothing flips; with another one as many responses as the verdicts say.
    for other, some in (("broad-none", False), ("broad-default", True)):
        browser.go(f"compare?s=organism-smoke.broad-none.s100&l=7&o=organism-smoke.{other}.s100&ol=7")
        lead = browser.each(".lead strong", "one.textContent")[-1][0]
        assert lead.startswith("0 of") is not some, lead
