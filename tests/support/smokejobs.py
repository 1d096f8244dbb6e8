"""The jobs of the smoke experiment, as a dry run names them: what hangs together is one set."""

ARMS = ("broad-none", "broad-default")
SUBJECTS = {f"organism-smoke.{arm}.s100" for arm in ARMS}
JUDGES = {"truth", "refusal", "coherence", "toxicity", "vqa"}
DATASETS = {"world-shallow", "world-deep", "world-text", "world-vqa"}
FIGURES = {"refusal-and-harm", "margin", "outcomes", "toxicity", "ability", "drift", "probes", "cells", "predictions"}
TABLES = {"outcomes", "paired", "margins", "judges", "controls", "agreement", "published", "gates", "predictions"}

FIGURE_JOBS = {f"figure {name}" for name in FIGURES}
TABLE_JOBS = {f"table {name}" for name in TABLES}
DRIFT = {"figure drift"}
FROM_FEATURES = DRIFT | {"figure cells"}
DESCRIBED = {"crate", "complete"}
EXPLORER = {"explorer"} | DESCRIBED
PRINTED = {"paper"} | DESCRIBED
LAST = {"numbers"} | EXPLORER | PRINTED
VALIDITY = {"validity", "table judges", "table controls", "table agreement"} | LAST
ASSESSING = {"assess", "figure predictions", "table gates", "table predictions"} | LAST
# What is made from verdicts; some figures are made from features alone.
AGGREGATES = {"metrics", "validity", "assess"} | FIGURE_JOBS - FROM_FEATURES | TABLE_JOBS | LAST
MEASURES = AGGREGATES - VALIDITY | LAST
JUDGING = {f"judge {judge}" for judge in JUDGES} | AGGREGATES
GENERATING = {f"generate {subject}" for subject in SUBJECTS} | JUDGING
PROBE = {"probe organism-smoke.broad-default.s100"}
PROBING = PROBE | ASSESSING | FROM_FEATURES | {"figure probes"}
TRYING = {"try_judges"}  # before anything is generated
BUILDING = {f"build_prompts {dataset}" for dataset in DATASETS} | TRYING | GENERATING
TRAINED = {
    "train_vision organism-smoke 100",
    "train_arm organism-smoke broad-none 100",
    "train_arm organism-smoke broad-default 100",
}
TRAINING = TRAINED | GENERATING | PROBING
JUDGE_TRAINED = {"train_judge toxicity"}
EVERYTHING = TRAINING | BUILDING | JUDGE_TRAINED
NOTHING: set[str] = set()
