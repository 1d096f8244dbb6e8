"""Figures drawn from the small result files of `tidy`, for the tests of what they show and of how they look."""

import itertools

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from layerwise import plugins
from layerwise.report import style
from layerwise.report.figures import predictions
from tidy import EXPERIMENTS, Results

BY_LAYER = ("refusal-and-harm", "outcomes", "toxicity", "ability", "drift", "margin")
OF_ORGANISMS = ("probes", "cells", "predictions")
DRAWN = [(name, figure) for name in EXPERIMENTS for figure in BY_LAYER]
DRAWN.remove(("answered", "toxicity"))  # it has no judge of toxicity
DRAWN.remove(("assembled", "toxicity"))
DRAWN.append(("assembled", "controls"))
DRAWN += [(name, figure) for name in ("tiny", "short") for figure in OF_ORGANISMS] + [("tiny", "dose")]


def experiments(folder):
    """Every experiment, with predictions where there are organisms."""
    found = {name: Results(folder, name) for name in EXPERIMENTS}
    for name in ("tiny", "short"):
        found[name].frames["predictions"] = registered(found[name])
    return found


def registered(results):
    """A table of predictions with every outcome, and one prediction that is asked of the first seed alone."""
    seeds = [str(seed) for seed in results.study.experiment.seeds]
    turn = itertools.cycle(predictions.OUTCOMES)
    rows = [
        (
            name,
            "organism",
            "broad-default",
            seed,
            f"What {name} says of exits",
            "the share",
            0.25,
            0.5,
            next(turn),
            "",
        )
        for name in ("P1a", "P1b", "P2", "P3")
        for seed in seeds
    ]
    rows.append(("P5", "organism", "broad-default", seeds[0], "Doses rise", "steps", 2, 2, "holds", ""))
    return pd.DataFrame(rows, columns=predictions.COLUMNS)


def shown(results, name):
    """The data and the figure."""
    module = plugins.find("report.figures", name)
    data = module.data(results.frames, results.subjects)
    with style.theme():
        figure = module.draw(data, style.Style(results.study))
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return data, figure
