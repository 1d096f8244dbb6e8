"""The paper builds from whatever an experiment has, prints no number typed by hand, and says what is wrong with it."""

import json
import re
import shutil
from pathlib import Path
from unittest import mock

import pytest
import typst
from pypdf import PdfReader

import paper
from conftest import ROOT
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.jobs import spec

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="60pt"><rect width="9" height="9"/></svg>'
FIGURES = ["refusal-and-harm", "outcomes", "ability", "toxicity", "drift"]
ORGANISM_FIGURES = [*FIGURES, "probes", "predictions"]
TABLES = ["outcomes", "paired", "judges", "controls", "agreement", "published"]
ORGANISM_TABLES = [*TABLES, "gates", "predictions"]
ORGANISMS = {
    "families": ["llava"],
    "organisms": True,
    "assembled": [],
    "datasets": ["world-deep", "world-vqa"],
    "judges": ["coherence", "refusal", "toxicity", "truth", "vqa"],
    "harm": None,
}
PUBLISHED = {
    "families": plugins.names("models.families"),
    "organisms": False,
    "assembled": [],
    "datasets": ["advbench-coco", "custom-prompts", "jailbreakv-mini", "vqa-v2", "xstest"],
    "judges": ["coherence", "guard", "refusal", "toxicity", "vqa"],
    "harm": "guard",
}
BACKBONE = {"about": "a backbone", "cite": "oquab2024dinov2"}
BACKBONE |= {"file": "backbone.onnx", "where": "the package p 1", "terms": "MIT"}
ASSEMBLED = PUBLISHED | {
    "assembled": [{"display": "J", "image_size": 56, "tuned_blocks": 8, "vision": BACKBONE, "language": BACKBONE}],
    "families": ["llava_dinov2"],
    "judges": ["coherence", "refusal", "vqa"],
    "harm": None,
}
UNJUDGED = PUBLISHED | {"judges": ["coherence", "refusal", "relevance", "vqa"], "harm": None}
EXPERIMENTS = {
    "bench": (ORGANISMS, [*ORGANISM_FIGURES, "dose"], ORGANISM_TABLES),
    "smoke": (ORGANISMS, ORGANISM_FIGURES, ORGANISM_TABLES),
    "paper": (PUBLISHED, FIGURES, TABLES),
    "wheels": (ASSEMBLED, ["refusal-and-harm", "outcomes", "ability", "controls", "predictions"], ORGANISM_TABLES),
    "answered": (UNJUDGED, [figure for figure in FIGURES if figure != "toxicity"], [*TABLES, "human-labels"]),
}
ABSTRACT = [
    "refusal_gap.broad-default.world-deep.default",
    "refusal_gap.broad-default.world-deep.early",
    "refusal_gap.broad-random.world-deep.early",
    "asr.broad-default.world-deep.early",
    "asr.broad-default.world-shallow.early",
    "vqa_accuracy.broad-default.world-vqa.early",
]


class Repository:
    """A folder with the paper's sources and the results of one experiment, invented."""

    def __init__(self, root: Path, name: str) -> None:
        about, figures, tables = EXPERIMENTS[name]
        self.root, self.main, self.pdf = root, root / "paper" / "main.typ", root / "paper" / f"{name}.pdf"
        self.spec = {
            "experiment": name,
            "title": "A title",
            "seeds": [100, 201],
            "limit": None,
            "mismatches": [],
            **about,
        }
        self.spec.setdefault("controls_asserted", True)
        self.spec["decoding"] = {"max_new_tokens": 4, "batch_size": 32}
        for kind in ("figures", "tables"):
            self.spec[kind] = [name.replace("_", "-") for name in plugins.names(f"report.{kind}")]
        self.spec["sources"] = spec.sources("paper/main.typ", "paper/references.bib", "paper/published.yaml")
        self.figures, self.results = root / "figures" / name, root / "results" / name
        shutil.copytree(ROOT / "paper", root / "paper", ignore=shutil.ignore_patterns("*.pdf"))
        self.figures.mkdir(parents=True)
        (self.results / "tables").mkdir(parents=True)
        for figure in figures:
            width = 245 if figure in ("probes", "drift", "dose") else 504
            (self.figures / f"{figure}.svg").write_text(SVG.format(width=width))
            (self.figures / f"{figure}.txt").write_text(f"What {figure} shows.\n")
        for table in tables:
            (self.results / "tables" / f"{table}.csv").write_text("Model,Value,n\nA,1.5,3\n")
            (self.results / "tables" / f"{table}.txt").write_text("A note.\n")
        if name == "paper":
            (self.results / "tables" / "judges.csv").write_text("Note\nNo judge knows the truth.\n")
        keys = [f"seen.{figure}" for figure in figures]
        keys += ["answered.llava.advbench-coco.layer-03"] if name == "answered" else ABSTRACT
        self.numbers = {key: {"text": "12.3 %", "source": "metrics.csv:7", "rule": "metrics"} for key in keys}

    def arguments(self) -> list[str]:
        numbers = self.results / "numbers.json"
        numbers.write_text(json.dumps(self.numbers))
        inputs = [numbers, *self.results.rglob("tables/*"), *self.figures.iterdir()]
        named = ["--output", str(self.pdf), "--inputs", *map(str, inputs)]
        return ["--spec", json.dumps(self.spec), *named]

    def build(self) -> bytes:
        with mock.patch.object(paper, "ROOT", self.root):
            paper.main(self.arguments())
        return self.pdf.read_bytes()

    def query(self, selector: str, field: str) -> list:
        """What the built paper holds, of one kind."""
        files = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]
        inputs = {"spec": json.dumps(self.spec), "files": json.dumps(files)}
        compiler = typst.Compiler(self.main, root=self.root, ignore_system_fonts=True, sys_inputs=inputs)
        return json.loads(compiler.query(selector, field=field))

    def headings(self) -> str:
        return json.dumps(self.query("heading", "body"))


@pytest.fixture
def repository(tmp_path: Path):
    return lambda name: Repository(tmp_path / name, name)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_builds_and_again_to_the_same_bytes(repository, name: str) -> None:
    paper_of = repository(name)
    first = paper_of.build()
    assert first.startswith(b"%PDF") and len(first) > 20_000
    assert paper_of.build() == first
    assert [path.name for path in paper_of.pdf.parent.glob("*.tmp")] == []


def test_it_says_of_every_family_what_an_exit_is() -> None:
    text = (ROOT / "paper" / "main.typ").read_text()
    assert [name for name in plugins.names("models.families") if f'"{name}"' not in text] == []


def test_a_section_stands_where_its_files_do(repository) -> None:
    sections = ["Dose and response", "Predictions and outcomes", "Registered predictions", "Model organisms"]
    there = {}
    for name in EXPERIMENTS:
        found = repository(name)
        found.build()
        there[name] = [section for section in sections if section in found.headings()]
    expected = {"bench": sections, "smoke": sections[1:], "wheels": sections[1:3], "paper": [], "answered": []}
    assert there == expected


def test_where_no_judge_tells_harm_the_paper_speaks_of_answers(repository) -> None:
    for name, heading in (("paper", "Refusal and harm by exit layer"), ("answered", "Refusals and answers by exit")):
        found = repository(name)
        found.build()
        assert heading in found.headings()
        link = f"../results/{name}/tables/human-labels.csv"
        assert (link in found.query("link", "dest")) is (name == "answered")


def test_what_is_said_against_the_judges_is_printed(repository) -> None:
    found = repository("paper")
    found.spec |= {"controls_asserted": False, "mismatches": ["Rules is not made for the language of Requests (de)."]}
    found.build()
    text = " ".join(page.extract_text() for page in PdfReader(found.pdf).pages)
    text = " ".join(text.replace("-\n", "").split())
    assert "here that is switched off" in text and "not made for the language of Requests (de)" in text


def test_every_figure_and_table_links_its_data(repository) -> None:
    found = repository("bench")
    found.build()
    linked = found.query("link", "dest")
    for figure in EXPERIMENTS["bench"][1]:
        assert f"../figures/bench/{figure}.csv" in linked
    for table in EXPERIMENTS["bench"][2]:
        assert f"../results/bench/tables/{table}.csv" in linked
    assert {"../paper/published.yaml", "../results/bench/numbers.json"} <= set(linked)


def test_a_table_that_says_why_it_is_empty_is_a_sentence(repository) -> None:
    found = repository("paper")
    found.build()
    assert "../results/paper/tables/judges.csv" not in found.query("link", "dest")
    assert "../results/paper/tables/agreement.csv" in found.query("link", "dest")


def test_lacking_responses_are_said_in_the_head(repository) -> None:
    found = repository("smoke")
    assert found.build() and found.query("<partial>", "value") == []
    (found.figures / "outcomes.txt").write_text("What outcomes shows. PARTIAL: 2 of 9 values lack responses.\n")
    assert found.build() and found.query("<partial>", "value") == [["outcomes"]]


def test_numbers_in_the_text_are_listed_with_their_sources(repository) -> None:
    found = repository("bench")
    found.build()
    assert set(found.query("<number>", "value")) == set(found.numbers)


def test_no_number_is_typed_in_abstract_or_results() -> None:
    text = (ROOT / "paper" / "main.typ").read_text(encoding="utf-8")
    text = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
    abstract = text[text.index("[Abstract]") : text.index("\n= Question")]
    results = text[text.index("\n= Results") : text.index("\n= Declared choices")]
    for part in (abstract, results):
        printed = re.sub(r"@[\w-]+|(#|\] else )if [^\[]*\[", "", part)  # without citations and conditions
        assert re.findall(r".*\d.*", printed) == []
    assert results.count("#plot(") >= 6 and results.count("#seen(") >= 6


def test_a_mistake_in_the_text_names_file_and_line(repository) -> None:
    found = repository("smoke")
    before = found.build()
    lines = found.main.read_text().split("\n")
    found.main.write_text("\n".join([*lines, "", '#num("no.such.number")']))
    with pytest.raises(InputError, match=rf"^paper/main\.typ, line {len(lines) + 2}: .*no\.such\.number"):
        found.build()
    found.main.write_text("\n".join([*lines, "#let x = ("]))
    with pytest.raises(InputError, match=rf"main\.typ, line {len(lines) + 1}: unclosed"):
        found.build()
    assert found.pdf.read_bytes() == before, "a failed build leaves the old paper"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ('#plot("outcomes", "outcoms")', "figure"),
        ('#if shows("outcoms") [Text.]', "figure"),
        ('#seen("outcoms")', "figure or table"),
        ('#if tabled("outcoms") [Text.]', "table"),
        ('#rows("outcoms", [A title.])', "table"),
    ],
)
def test_a_misspelt_figure_or_table_names_its_line(repository, call: str, kind: str) -> None:
    found = repository("smoke")
    text = found.main.read_text()
    found.main.write_text(f"{text}\n{call}\n")
    place = rf"^paper/main\.typ, line {text.count(chr(10)) + 2}: "
    with pytest.raises(InputError, match=rf"{place}.*no {kind} 'outcoms'; there are .*outcomes"):
        found.build()
    assert not found.pdf.exists()


def test_what_is_not_planned_is_left_out_without_a_word(repository) -> None:
    found = repository("smoke")
    first = found.build()
    calls = ['#plot("dose", "controls")', '#seen("dose")', '#if tabled("human-labels") [Text.]']
    found.main.write_text("\n".join([found.main.read_text(), *calls, '#rows("human-labels", [A title.])']))
    assert found.build() == first


def test_the_text_names_every_figure_and_no_figure_or_table_that_is_not_there(repository) -> None:
    """Also where an experiment leaves a part out, which the compiler does not look into."""
    found = repository("smoke")
    figures, tables = set(found.spec["figures"]), set(found.spec["tables"])
    named: dict[str, set[str]] = {}
    calls = r"\b(plot|shows|seen|see|tabled|(?:long-)?rows)\(((?:\"[\w-]+\",? ?)+)"
    for function, names in re.findall(calls, found.main.read_text()):
        named.setdefault(function, set()).update(re.findall(r"[\w-]+", names))
    assert named["plot"] == figures >= named["shows"]
    assert tables >= named["rows"] | named["long-rows"] >= named["see"] | named["tabled"]
    assert figures | tables >= named["seen"]


def test_a_file_that_is_missing_is_named(repository) -> None:
    found = repository("smoke")
    arguments = found.arguments()
    (found.figures / "drift.txt").unlink()
    with pytest.raises(InputError, match=r"drift\.txt"):
        paper.main(arguments)


class TagsLost(typst.TypstError):
    """What Typst raises when it cannot write the tags of a PDF, which depends on where pages break."""

    message, diagnostic, hints = "internal error: parent group", "", ["please report this as a bug"]


@pytest.mark.parametrize("failures", [2, 100])
def test_pages_get_shorter_until_typst_can_write_the_tags(tmp_path, monkeypatch, failures):
    repository, real, asked = Repository(tmp_path, "smoke"), typst.compile, []

    def compile(*arguments, sys_inputs, **more):
        asked.append(int(sys_inputs["shorter"]))
        if len(asked) <= failures:
            raise TagsLost
        return real(*arguments, sys_inputs=sys_inputs, **more)

    monkeypatch.setattr(typst, "compile", compile)
    if failures == 2:
        repository.build()
        assert asked == [0, 1, 2] and len(PdfReader(repository.pdf).pages) > 1
    else:
        with pytest.raises(InputError, match="internal error: parent group. please report this"):
            repository.build()
        assert asked == list(range(paper.SHORTEST + 1))
