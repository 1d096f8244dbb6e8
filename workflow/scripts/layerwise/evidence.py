"""What is known of the organisms, by model, arm and seed: metrics by exit layer, probes, the onset of the cue."""

import pandas as pd

from layerwise import frames as results


class NotTested(Exception):
    """What a prediction speaks of is not there; the text says what."""


class Evidence:
    """Metrics and probes of the organisms, looked up by model, arm and seed (as text)."""

    def __init__(
        self, metrics: pd.DataFrame, probes: pd.DataFrame, subjects: list[dict], cues: dict[str, str | None]
    ) -> None:
        """`cues` has the cue of each data set: deep, shallow, text or none; None for one of the real world."""
        listed = results.subjects(subjects)
        self.subjects = listed[listed["arm"] != ""]
        self.cues = {dataset: cue for dataset, cue in cues.items() if cue}
        self.metrics = metrics[metrics["layer"].notna() & (metrics["group"] != "Default")]
        self.probes = probes.merge(listed[["name", "model", "seed"]], left_on="subject", right_on="name")

    def at(self, model: str, arm: str, seed: str, metric: str) -> pd.DataFrame:
        """The rows of a metric, on the synthetic world's data sets."""
        rows = self.metrics[self.metrics["dataset"].isin(list(self.cues)) & (self.metrics["metric"] == metric)]
        return rows[(rows["model"] == model) & (rows["arm"] == arm) & (rows["seed"] == seed)]

    def probe(self, model: str, seed: str, probe: str) -> pd.DataFrame:
        """A probe's rows, one an exit layer: the encoder is the same in all arms of one model and seed."""
        rows = self.probes[(self.probes["model"] == model) & (self.probes["seed"] == seed)]
        return rows[rows["probe"] == probe].drop_duplicates("layer")

    def curve(self, model: str, arm: str, seed: str, metric: str, cue: str) -> pd.Series:
        """A metric by exit layer on the data set of a cue. Raises NotTested where a planned exit has no result."""
        dataset = next((dataset for dataset, hidden in self.cues.items() if hidden == cue), None)
        who = self.subjects[["model", "arm", "seed"]].eq([model, arm, seed]).all(axis=1)
        if not who.any():
            raise NotTested(f"arm {arm} is not in the experiment")
        if dataset is None:
            raise NotTested(f"no data set with the {cue} cue is in the experiment")
        rows = self.at(model, arm, seed, metric)
        values = rows[rows["dataset"] == dataset].set_index("layer")["value"]
        if missing := [layer for layer in self.subjects.loc[who, "layers"].iloc[0] if layer not in values.index]:
            raise NotTested(f"{metric} has no result at exit {listed_exits(missing)}")
        return values.sort_index()

    def onset(self, model: str, seed: str) -> int:
        """The first exit layer whose deep-cue probe has an AUC of 0.75."""
        rows = self.probe(model, seed, "deep")
        if rows.empty:
            raise NotTested("the deep cue was not probed")
        onset = results.first_exit(rows, results.ONSET)
        if onset is None:
            raise NotTested("the deep cue is readable at no exit")
        return onset

    def below_onset(self, model: str, arm: str, seed: str, metric: str) -> pd.Series:
        """A metric on the deep cue at the exit layers below the onset."""
        onset = self.onset(model, seed)
        values = self.curve(model, arm, seed, metric, "deep")
        if (below := values[values.index < onset]).empty:
            raise NotTested(f"no exit lies below the onset ({onset})")
        return below

    def default_layer(self, model: str) -> int:
        return int(self.subjects.loc[self.subjects["model"] == model, "default_layer"].iloc[0])


def listed_exits(layers: object) -> str:
    """Exit layers in words."""
    return ", ".join(str(layer) for layer in layers)
