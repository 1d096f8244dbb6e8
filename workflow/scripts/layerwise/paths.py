"""Every path of a run, defined once: where the project lies, and where a run puts its files.

A run writes into Snakemake's working directory, so its paths are relative. Names in them may be wildcards, such as
"{subject}".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from layerwise.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[1]
ROOT = SCRIPTS.parents[1]
ENVIRONMENTS = ROOT / "envs"
SNAKEFILE = ROOT / "Snakefile"
REFERENCE = ROOT / "results" / "reference"
# The explorer's text, style and programs, below ROOT.
PAGE = "workflow/scripts/layerwise/explorer/page"
# The pattern for names of configuration files, without their suffix.
ID = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Run:
    """The paths of one experiment's run. Raises InputError for an invalid experiment name."""

    experiment: str

    def __post_init__(self) -> None:
        name = self.experiment
        if not isinstance(name, str) or not ID.fullmatch(name) or name.endswith((".yaml", ".yml")):
            stem = Path(str(name)).stem
            instead = stem if ID.fullmatch(stem) and _folder(stem) else "smoke"
            raise InputError(
                f"{name!r} is not the name of an experiment: give the name of its file in config/, without the folder "
                f"and without .yaml, such as {instead}."
            )

    @property
    def config(self) -> Path:
        """The experiment's file: in `config` of the working directory if it is there, otherwise in the project's."""
        return (_folder(self.experiment) or ROOT / "config") / f"{self.experiment}.yaml"

    @property
    def results(self) -> str:
        return f"results/{self.experiment}"

    @property
    def paper(self) -> str:
        return f"paper/{self.experiment}.pdf"

    @property
    def numbers(self) -> str:
        return f"{self.results}/numbers.json"

    @property
    def explorer(self) -> str:
        return f"{self.results}/explorer.html"

    @property
    def crate(self) -> str:
        return f"{self.results}/ro-crate-metadata.json"

    @property
    def complete(self) -> str:
        return f"{self.results}/complete.txt"

    def log(self, name: str) -> str:
        """The log of a job; `name` is the rule, or rule/job."""
        return f"logs/{self.experiment}/{name}.log"

    def prompts(self, dataset: str) -> str:
        return f"{self.results}/prompts/{dataset}.jsonl"

    def weights(self, model: str) -> str:
        """The weights of a model trained or assembled here; its other files lie beside them."""
        return f"{self.results}/models/{model}/model.safetensors"

    def own_answers(self, id: str, dataset: str) -> str:
        """What the language model of an assembled model answers by itself, without an image."""
        return f"{self.results}/training/{id}.own/{dataset}.jsonl"

    def curve(self, model: str) -> str:
        """The training curve of a model."""
        return f"{self.results}/training/{model}.csv"

    def checkpoint(self, judge: str) -> str:
        """The checksums of a judge trained here; its files lie beside them."""
        return f"{self.results}/judges/{judge}/SHA256SUMS"

    def responses(self, subject: str, layers: Iterable[int]) -> list[str]:
        """The response files of a subject, one per exit layer."""
        return [f"{self.results}/responses/{subject}/layer-{layer:02d}.jsonl" for layer in layers]

    def verdicts(self, judge: str, subject: str) -> str:
        return f"{self.results}/verdicts/{judge}/{subject}.jsonl"

    def controls(self, judge: str, suffix: str = "") -> str:
        return f"{self.results}/controls/{judge}{suffix}.jsonl"

    @property
    def deciding(self) -> str:
        """The controls that judges which decide the outcome are tried on before anything is generated."""
        return f"{self.results}/controls/deciding.jsonl"

    def probes(self, subject: str) -> str:
        return f"{self.results}/probes/{subject}.csv"

    def frame(self, name: str) -> str:
        """One machine-readable table of results: metrics, paired, validity, …"""
        return f"{self.results}/{name}.csv"

    def table(self, name: str, kind: str = "csv") -> str:
        """One table for readers; its `kind` is csv, tex or txt."""
        return f"{self.results}/tables/{name}.{kind}"

    def figure(self, name: str, kind: str = "pdf") -> str:
        """One figure; its `kind` is pdf, svg, png, csv or txt."""
        return f"figures/{self.experiment}/{name}.{kind}"

    def holds(self, path: str) -> bool:
        """Whether a path belongs to this run, and not to another experiment."""
        return path == self.paper or path.startswith((f"{self.results}/", f"figures/{self.experiment}/"))


def receipt(asset: str) -> str:
    """The receipt of a download, which all experiments share."""
    return f"results/assets/{asset}.json"


def receipt_log(asset: str) -> str:
    return f"logs/assets/{asset}.log"


def status(responses: Path) -> Path:
    """The status file, which says that making a response file failed, and why."""
    return responses.with_name(f"{responses.stem}.status.json")


def _folder(experiment: str) -> Path | None:
    """The folder that holds an experiment's file: the working directory's or the project's."""
    folders = (Path("config"), ROOT / "config")
    return next((folder for folder in folders if (folder / f"{experiment}.yaml").exists()), None)
