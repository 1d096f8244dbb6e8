"""What is known about models trained here, by model, arm and seed: metrics by exit layer, probes, the cue's onset."""

from collections.abc import Iterable

import pandas as pd

from layerwise.analysis import results
from layerwise.vocabulary import DEFAULT


class NotTested(Exception):
    """Something that a prediction is about is missing; the text says what."""


class Evidence:
    """Metrics and probes of models trained here, looked up by model, arm and seed (as text)."""

    def __init__(
        self, metrics: pd.DataFrame, probes: pd.DataFrame, subjects: list[dict], cues: dict[str, str | None]
    ) -> None:
        """`cues` has the cue of each data set except controls: deep, shallow, text, none; None outside the world."""
        listed = results.subjects(subjects)
        self.subjects = listed[listed["arm"].ne("") & listed["weights_of"].isna()]
        is_organism = self.subjects["frozen_blocks"].notna()
        self.organisms, self.assembled = self.subjects[is_organism], self.subjects[~is_organism]
        self.cues = cues
        self.metrics = metrics[metrics["layer"].notna() & (metrics["group"] != DEFAULT)]
        self.probes = probes.merge(listed[["name", "model", "seed"]], left_on="subject", right_on="name")

    def at(self, model: str, arm: str, seed: str, metric: str) -> pd.DataFrame:
        """The rows of a metric, on all data sets except controls."""
        rows = self.metrics[self.metrics["dataset"].isin(list(self.cues)) & (self.metrics["metric"] == metric)]
        return rows[(rows["model"] == model) & (rows["arm"] == arm) & (rows["seed"] == seed)]

    def probe(self, model: str, seed: str, probe: str) -> pd.DataFrame:
        """A probe's rows, one per exit layer; all arms of a model and seed share the encoder."""
        rows = self.probes[(self.probes["model"] == model) & (self.probes["seed"] == seed)]
        return rows[rows["probe"] == probe].drop_duplicates("layer")

    def curve(self, model: str, arm: str, seed: str, metric: str, cue: str) -> pd.Series:
        """A metric by exit layer on the data set with a cue. Raises NotTested if a planned exit has no result."""
        layers = self._planned(model, arm, seed)
        dataset = next((dataset for dataset, hidden in self.cues.items() if hidden == cue), None)
        if dataset is None:
            raise NotTested(f"no data set with the {cue} cue is in the experiment")
        rows = self.at(model, arm, seed, metric)
        return self._complete(rows[rows["dataset"] == dataset], metric, layers)

    def first(self, model: str, arm: str, seed: str, metric: str) -> pd.Series:
        """A metric by exit layer on the first data set that has it. Raises NotTested as `curve` does."""
        layers = self._planned(model, arm, seed)
        rows = self.at(model, arm, seed, metric)
        dataset = next((dataset for dataset in self.cues if rows["dataset"].eq(dataset).any()), None)
        return self._complete(rows[rows["dataset"] == dataset], metric, layers)

    def _planned(self, model: str, arm: str, seed: str) -> list[int]:
        who = self.subjects[["model", "arm", "seed"]].eq([model, arm, seed]).all(axis=1)
        if not who.any():
            raise NotTested(f"arm {arm} is not in the experiment")
        return self.subjects.loc[who, "layers"].iloc[0]

    def _complete(self, rows: pd.DataFrame, metric: str, layers: list[int]) -> pd.Series:
        values = rows.set_index("layer")["value"]
        if missing := [layer for layer in layers if layer not in values.index]:
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


def listed_exits(layers: Iterable[int]) -> str:
    """Exit layers in words."""
    return ", ".join(str(layer) for layer in layers)
