"""The description of a run as RO-Crate: valid by the validator of its profile, whole, and the same bytes each time."""

import importlib.resources
import io
import json
import subprocess
import sys

import pytest
import urllib3
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from rocrate.rocrate import ROCrate
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate

from conftest import ROOT
from history import record

EXPERIMENT = "results/x"
FILES = {
    f"{EXPERIMENT}/prompts/deep.jsonl": "{}\n",
    f"{EXPERIMENT}/metrics.csv": "value\n1\n",
    "figures/x/lines.pdf": "%PDF",
    "paper/x.pdf": "%PDF",
    "paper/main.typ": "text",
}
CONTEXT = "https://w3id.org/ro/crate/1.1/context"


class Shelf(HTTPAdapter):
    """Serves the JSON-LD context that lies in the library, in place of the one on the network.

    It is of RO-Crate 1.3, which has all terms of 1.1; the terms of Bioschemas have since got another address.
    """

    def send(self, request, **_):
        text = (importlib.resources.files("rocrate") / "data" / "ro-crate.jsonld").read_text(encoding="utf-8")
        body = io.BytesIO(text.replace("https://bioschemas.org/terms/", "https://bioschemas.org/").encode())
        headers = {"Content-Type": "application/ld+json"}
        return self.build_response(request, urllib3.HTTPResponse(body, headers, status=200, preload_content=False))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A store of what the validator would fetch."""
    path = tmp_path_factory.mktemp("contexts") / "cache"
    with CachedSession(str(path), expire_after=-1) as session:
        session.mount("https://", Shelf())
        session.get(CONTEXT)
    return path


@pytest.fixture
def run(tmp_path):
    """A small run: prompts, metrics, a figure, a paper."""
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "workflow/scripts").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    prompts, metrics, figure, paper, text = FILES
    for rule, inputs, output in (
        ("build_prompts", [], prompts),
        ("metrics", [prompts], metrics),
        ("figure", [metrics], figure),
        ("paper", [figure, text], paper),
    ):
        record(tmp_path, rule, inputs, [output])
        (tmp_path / f"workflow/scripts/{rule}.py").touch()
    return tmp_path


def write(run):
    """Write the crate of a run; returns its text."""
    output = run / EXPERIMENT / "ro-crate-metadata.json"
    program = ROOT / "workflow/scripts/crate.py"
    options = ["--spec", '{"title": "A run", "experiment": "x"}', "--citation", str(ROOT / "CITATION.cff")]
    made = ["--made", "paper/x.pdf", "figures/x/lines.pdf", "--output", str(output.relative_to(run))]
    done = subprocess.run([sys.executable, program, *options, *made], cwd=run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output.read_text()


def faults(folder, cache, severity=Severity.REQUIRED):
    """What the validator of Workflow Run Crate finds wrong."""
    settings = ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier="workflow-run-crate",
        requirement_severity=severity,
        offline=True,
        cache_path=str(cache),
    )
    return [issue.message for issue in validate(settings).get_issues()]


def test_the_crate_is_valid(run, cache):
    write(run)
    assert faults(run / EXPERIMENT, cache) == []


@pytest.mark.parametrize("lost", ["license", "mainEntity"])
def test_the_validator_sees_what_is_lost(run, cache, lost):
    crate = json.loads(write(run))
    root = next(entity for entity in crate["@graph"] if entity["@id"] == "./")
    del root[lost]
    (run / EXPERIMENT / "ro-crate-metadata.json").write_text(json.dumps(crate))
    assert faults(run / EXPERIMENT, cache)


def test_every_file_is_there_with_its_checksum_and_its_job(run):
    write(run)
    crate = ROCrate(run / EXPERIMENT)
    made = {f"../../{path}" if not path.startswith(EXPERIMENT) else path[len(EXPERIMENT) + 1 :] for path in FILES}
    for id in made:
        assert len(crate.get(id)["sha256"]) == 64
    (used,) = {entity.id for entity in [crate.get("metrics.csv")["prov:wasGeneratedBy"]["prov:used"]]}
    assert used == "prompts/deep.jsonl"
    assert crate.get("#run")["endTime"] == "1970-01-01T00:00:02+00:00"


def test_the_same_run_gives_the_same_bytes_and_no_path_of_the_machine(run):
    text = write(run)
    assert write(run) == text
    assert str(run) not in text and str(ROOT) not in text and sys.prefix not in text


def test_a_result_without_records_is_refused(tmp_path, run):
    for path in (run / ".snakemake/metadata").iterdir():
        path.unlink()
    with pytest.raises(AssertionError, match="no record of how figures/x/lines.pdf was made"):
        write(run)
