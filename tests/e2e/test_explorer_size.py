"""The explorer at the size of the default experiment: within its limit, on screen in a second, and quick to answer.

Prompts and images are those of the experiment; responses and margins are drawn at random, which compresses worse than
what models say.
"""

import json
import random
from pathlib import Path

import pytest

import browser as browsers
import explorer
import metrics
import number
from layerwise import plugins, records
from layerwise.jobs import specs
from layerwise.paths import Run
from layerwise.records import Response, Verdict
from layerwise.study import loading
from layerwise.world import language

pytest.importorskip("selenium", reason="selenium is not installed: run make")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not browsers.installed(), reason=browsers.MISSING)]

WORDS = [language.REFUSAL, *sorted(language.WELL_FORMED), *(f"sure {word}" for word in language.ITEMS)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The folder of an invented run of `bench`, with its explorer."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make(Run("bench"))
    return folder


def make(run):
    study, draw = loading.load(run.config), random.Random(5)
    every = specs.Specs(study)
    spec = json.loads(every.explorer())
    prompts = []
    for id, dataset in study.datasets.items():
        path = Path(run.prompts(id))
        builder = plugins.find("prompts.builders", dataset.builder)
        built = builder.build(json.loads(every.build_prompts(id)), {}, path.parent)
        records.write(path, built)
        prompts += built
    # A judge says the same of the same words, as judges do.
    said = {
        (id, text): (draw.choice(judge["labels"]), round(draw.random(), 6) if id in ("toxicity", "guard") else None)
        for id, judge in spec["judges"].items()
        for text in WORDS
    }
    for subject in study.subjects:
        verdicts = {id: [] for id in study.judges}
        for layer, path in zip(subject.layers, run.responses(subject.name, subject.layers), strict=True):
            about = [(one.id, subject.name, layer) for one in prompts]
            texts = draw.choices(WORDS, k=len(prompts))
            margins = [draw.gauss(0, 5) for _ in prompts]
            rows = (
                Response("", *of, text, 3, "stop", margin)
                for of, text, margin in zip(about, texts, margins, strict=True)
            )
            records.write(Path(path), rows)
            for id in study.judges:
                verdicts[id] += [
                    Verdict("", *of, id, *said[id, text])
                    for of, one, text in zip(about, prompts, texts, strict=True)
                    if (one.kind == "vqa") == (id == "vqa")
                ]
        for id, rows in verdicts.items():
            records.write(Path(run.verdicts(id, subject.name)), rows)
    files = {
        "--prompts": sorted(Path(run.results).glob("prompts/*.jsonl")),
        "--verdicts": sorted(Path(run.results).glob("verdicts/*/*.jsonl")),
    }
    given = [word for option, paths in files.items() for word in (option, *map(str, paths))]
    shared = ["--spec", every.aggregate("metrics")]
    tables = [run.frame("metrics"), run.frame("paired")]
    made = ["--output", tables[0], "--paired", tables[1], "--margins", run.frame("margins")]
    metrics.main([*shared, *given, *made])
    number.main([*shared, "--inputs", *tables, "--output", run.numbers])
    cells = sorted(map(str, Path(run.results).glob("responses/*/*.jsonl")))
    rest = ["--experiment", "bench", "--responses", *cells, "--results", *tables, "--numbers", run.numbers]
    explorer.main(["--spec", json.dumps(spec), *given, *rest, "--output", run.explorer])


def test_it_is_small_and_quick(bench):
    page = bench / Run("bench").explorer
    assert page.stat().st_size <= 8_000_000
    browser = browsers.Browser()
    try:
        browser.open(page)
        assert browser.run("return E.front.about.left_out.length") == 0
        assert browser.run("return E.painted_at") < 1000
        for view in ("map?seeds=1", "prompt", "cell", "flips", "flips?k=twins", "judges", "numbers?q=asr", "map"):
            browser.go(view)
            times = [browser.run("await E.draw(); return E.took") for _ in range(3)]
            assert min(times) < 100, f"{view}: {times} ms"
        assert not [entry for entry in browser.log("browser") if entry["level"] == "SEVERE"]
    finally:
        browser.quit()


def test_a_smaller_limit_leaves_words_out_and_says_so(bench, monkeypatch):
    """At half the size every outcome is still there."""
    monkeypatch.chdir(bench)
    run = Run("bench")
    spec = json.loads(specs.Specs(loading.load(run.config)).explorer()) | {"megabytes": 3}
    subject = spec["subjects"][0]["name"]
    spec["subjects"] = spec["subjects"][:1]
    files = {name: sorted(map(str, Path(run.results).glob(pattern))) for name, pattern in (
        ("--prompts", "prompts/*.jsonl"), ("--responses", f"responses/{subject}/*.jsonl"),
        ("--verdicts", f"verdicts/*/{subject}.jsonl"), ("--results", "metrics.csv"),
    )}  # fmt: skip
    given = [word for option, paths in files.items() for word in (option, *paths)]
    page = bench / "small.html"
    shared = ["--spec", json.dumps(spec), "--experiment", "bench", "--numbers", run.numbers]
    explorer.main([*shared, *given, "--output", str(page)])
    assert 2_000_000 < page.stat().st_size <= 3_000_000
    browser = browsers.Browser()
    try:
        browser.open(page)
        ((said,),) = browser.each("#foot", "one.textContent")
        assert "words and images of" in said
        counts = browser.run(
            "const states = [...E.data.arrays.cells].map((cell) => cell - 1);"
            "const bare = states.filter((state) => E.data.text(state) === null);"
            "return [states.every((state) => state >= 0), bare.length, states.length]"
        )
        assert counts[0] and 0 < counts[1] < counts[2]
        left_out = "E.data.prompts.id[E.data.prompts.picture.findIndex((one) => one === null)]"
        browser.go(f"prompt?p={browser.run(f'return {left_out}')}")
        assert "words left out of this page" in browser.each("#main", "one.textContent")[0][0]
    finally:
        browser.quit()
