# Rebuilds every number and plot of an experiment: snakemake --cores all [--config experiment=paper]
# Rules are in workflow/rules, one file per topic; the scripts they run are in workflow/scripts.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
# Beside this file, which may be that of a module: `workflow.basedir` is the main workflow's.
SCRIPTS = Path(str(workflow.current_basedir), "workflow", "scripts")
if not SCRIPTS.is_dir():
    sys.exit(
        f"error: this Snakefile needs the folder `workflow` beside it, and {workflow.current_basedir} has none on this "
        "disk: clone the repository, and name the Snakefile of the clone."
    )
sys.path.insert(0, str(SCRIPTS))
# Rules name their scripts by this variable: with a path in their commands, moving the folder would rerun everything.
# Their `python` is the one that runs Snakemake, here and on a cluster's node; a conda environment takes precedence.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
os.environ.update(LAYERWISE_SCRIPTS=str(SCRIPTS), PATH=PATH)

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.jobs import failures, spec, specs
from layerwise.paths import receipt, receipt_log
from layerwise.study import chosen, lessons, loading
from layerwise.study.arms import seed_of
from layerwise.study.facts import facts

try:
    # Files given with --configfile concern only the main workflow.
    RUN = chosen.chosen(config, workflow.overwrite_configfiles if workflow.modifier.is_main_snakefile() else ())
    STUDY = loading.load(RUN.config)
except InputError as error:
    sys.exit(f"error: {error}")

SPECS = specs.Specs(STUDY)
SUBJECTS = {subject.name: subject for subject in STUDY.subjects}
ORGANISMS = {id for id, model in STUDY.models.items() if model.organism}


# A failed cell does not fail its job, or it would block the rest. If a run ends with an error, the next one retries it.
onerror:
    failures.try_again(Path(RUN.results))


wildcard_constraints:
    id="|".join(map(re.escape, STUDY.models)),
    seed=r"\d+(a\d+)?",
    dataset="|".join(map(re.escape, STUDY.datasets | STUDY.training_data)),
    judge="|".join(map(re.escape, STUDY.rewards | STUDY.judges)),
    subject="|".join(map(re.escape, SUBJECTS)),


include: "workflow/rules/common.smk"
include: "workflow/rules/assets.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/prompts.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"


rule all:
    """Everything: figures, tables, numbers and the paper of the chosen experiment."""
    default_target: True
    input:
        rules.complete.input,
        rules.complete.output,
        # Every file that results/README.md promises is requested, so a lost one is made again. Weights are not: they
        # may be removed to save space once everything is made.
        [*PROMPTS, *VERDICTS, *CONTROLS],
        files({name for names in (*FIGURE_INPUTS.values(), *TABLE_INPUTS.values()) for name in names}),
        rules.numbers.output,
        expand(rules.table.output, table=TABLE_INPUTS),
        expand(rules.figure.output, figure=FIGURE_INPUTS),
