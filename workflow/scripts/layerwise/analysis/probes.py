"""Probes, which show what can be read from features, and drift, the distance of features between exit layers.

A probe is fitted on training images and scored on others, with its interval. Probes of a cue are scored by AUC, because
a sum over cells of what each shows by itself reaches 64 % accuracy on the relation of two marks without knowing
anything about it, but no AUC above chance. What they may combine differs:

- `cue_probe` on the mean over an image's cells: a logistic regression. What it reads is *linearly readable*.
- `ridge` on all cells side by side: a ridge regression (least squares on indicators, in closed form), because 1,600
  numbers per image make a logistic regression slow. The item is read this way too, since a mean over 25 cells drowns
  out the one that holds it.
- `cell_probes` on each cell by itself, likewise: where the cue is readable.
- `cue_probe` on `compared`, the differences and products of two cells: not linear. It shows whether the relation of two
  marks can be worked out from features that do not hold it yet.

Shapes: N images, P cells (patches), D width, L layers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from torch import Tensor

from layerwise.analysis import stats
from layerwise.analysis.stats import Interval

LOGISTIC_PENALTY = 1e-4  # on half the squared weights, beside the mean log loss
RIDGE_PENALTY = 0.1  # times the number of training images, on the squared weights of standardised features


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (N, D), shifted and scaled by the training images' mean and standard deviation."""
    mean, scale = train.mean(0), train.std(0) + 1e-6
    return (train - mean) / scale, (test - mean) / scale


def cue_probe(train: np.ndarray, hazard: np.ndarray, test: np.ndarray, test_hazard: np.ndarray) -> Interval[float]:
    """AUC on the test images of a logistic regression from (N, D) features to (N,) bool, with DeLong's interval."""
    train, test = standardised(train.astype(float), test.astype(float))
    sign = np.where(hazard, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (train @ weights[:-1] + weights[-1])
        slope = -sign / (1 + np.exp(np.minimum(margin, 500))) / len(train)
        gradient = np.append(train.T @ slope + LOGISTIC_PENALTY * weights[:-1], slope.sum())
        return np.logaddexp(0, -margin).mean() + LOGISTIC_PENALTY / 2 * (weights[:-1] ** 2).sum(), gradient

    weights = minimize(loss, np.zeros(train.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return stats.auc(test @ weights[:-1], np.asarray(test_hazard, bool))


def compared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What a pairwise probe reads from two cells (N, D): |a − b| and a · b, (N, 2 D)."""
    return np.concatenate([np.abs(first - second), first * second], axis=1)


def ridge(train: np.ndarray, wanted: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predictions (M, C) on test images of a ridge regression from (N, D) features to (N, C) values.

    Single precision: the penalty keeps the system well conditioned.
    """
    train, test = standardised(train, test)
    wanted = wanted.astype(train.dtype)
    gram = train.T @ train
    gram.flat[:: len(gram) + 1] += RIDGE_PENALTY * len(train)
    weights = cho_solve(cho_factor(gram, overwrite_a=True, check_finite=False), train.T @ (wanted - wanted.mean(0)))
    return test @ weights + wanted.mean(0)


def accuracy(predicted: np.ndarray, label: np.ndarray) -> Interval[float]:
    """The share of predictions (M, classes) whose largest is that of the label, with Wilson's interval."""
    return Interval(*map(float, stats.wilson((predicted.argmax(1) == label).mean(), len(label))))


def cell_probes(
    train: np.ndarray, hazard: np.ndarray, test: np.ndarray, test_hazard: np.ndarray
) -> list[Interval[float]]:
    """AUC on the test images of a ridge regression on each cell alone, from (N, P, D) features, cells in order."""
    train, test = standardised(train, test)
    sign = np.where(hazard, 1, -1).astype(train.dtype)
    by_cell = train.transpose(1, 2, 0)
    gram = by_cell @ by_cell.transpose(0, 2, 1) + RIDGE_PENALTY * len(train) * np.eye(
        by_cell.shape[1], dtype=train.dtype
    )
    weights = np.linalg.solve(gram, by_cell @ (sign - sign.mean())[:, None])[..., 0]
    scores = np.einsum("npd,pd->np", test, weights)
    return [stats.auc(column, np.asarray(test_hazard, bool)) for column in scores.T]


def drift(features: Mapping[int, Sequence[Tensor]], default: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each layer's features lie from the default layer's, image by image: two arrays (N, L), layers ascending.

    `features` has one (tokens, width) tensor per image at each layer. The first array is the cosine of each token with
    the same token at the default layer, averaged over tokens; the second is the ratio of the norms of all tokens.
    """
    cosines, ratios = [], []
    for layer in sorted(features):
        pairs = [(a.float(), b.float()) for a, b in zip(features[layer], features[default], strict=True)]
        cosines.append([torch.cosine_similarity(a, b, dim=-1).mean().item() for a, b in pairs])
        ratios.append([(a.norm() / b.norm()).item() for a, b in pairs])
    return np.array(cosines).T, np.array(ratios).T


def mean_over_images(values: np.ndarray) -> list[Interval[float]]:
    """Each column's mean over the rows (images) of (N, L) values, bootstrapped over images.

    A column that is equal in all images (the default layer compared with itself) is known exactly. Of a single image
    there are no limits (NaN): it says nothing of others.
    """
    if len(values) == 1:
        return [Interval(float(value), np.nan, np.nan) for value in values[0]]
    resampled = stats.bootstrap_means(values, np.ones_like(values))
    means = map(float, values.mean(0))
    return [
        stats.percentile_interval(mean, column) or Interval(mean, mean, mean)
        for mean, column in zip(means, resampled.T, strict=True)
    ]
