"""Decide whether each model trained here is able, and whether each registered prediction holds.

Reads the metrics and the probes; writes `gates.csv` and `predictions.csv`, which have only a header if the experiment
studies published models.
"""

from pathlib import Path

import pandas as pd

from layerwise.analysis import results
from layerwise.analysis.evidence import Evidence
from layerwise.analysis.gates import gates
from layerwise.analysis.predictions import predictions
from layerwise.files import atomic
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--metrics", type=Path, required=True, help="metrics.csv")
    options.add_argument(
        "--probes", type=Path, nargs="*", default=[], help="probes/<subject>.csv of all probed subjects"
    )
    options.add_argument("--gates", type=Path, required=True, help="the ability gates, CSV")
    options.add_argument("--predictions", type=Path, required=True, help="the predictions with their outcomes, CSV")
    given = options.parse_args(argv)
    spec = given.spec

    found = results.read([given.metrics, *given.probes])
    nothing = pd.DataFrame(columns=["subject", "layer", "probe", "metric", "value", "low", "high", "n"])
    probes = found.get("probes", nothing)
    evidence = Evidence(found["metrics"], probes, spec["subjects"], spec["cues"])
    tried = gates(evidence, spec["gates"], spec["aligned"])
    outcomes = predictions(evidence, tried, spec["gates"]["asserted"])
    for path, table in ((given.gates, tried), (given.predictions, outcomes)):
        with atomic(path) as stream:
            table.to_csv(stream, index=False, float_format="%.8g")


if __name__ == "__main__":
    program.run(main)
