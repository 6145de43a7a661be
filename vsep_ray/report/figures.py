"""Matplotlib figures for the tracker and the report; every axis has its unit."""

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vsep_ray.evaluation.likelihood import Discrimination, gate
from vsep_ray.evaluation.scores import Score
from vsep_ray.nn.normal import LOG_2PI
from vsep_ray.report.labels import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

PANELS = 4
"""This number of panels stands side by side, since more cannot be read in MLflow's column."""
BOX = 5
"""From this number of values on, a box plot says more than dots."""
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
"""Where a legend hides no curve."""
UPRIGHT = 8
"""Letters of a name that have room below an axis, beside others."""


def cross_likelihood_figure(result: Discrimination, minimum: float) -> "Figure":
    """Draws the matrix of mean log densities at each noise level, and the accuracy over noise levels.

    Rows are clips and probes, columns priors. Colours compare within a row: the best prior of a row is
    brightest and framed, so a working set of priors shows a framed diagonal. ``minimum`` is the accuracy that
    the gate asks for at the best level, in [0, 1]; who fails is named, as by `gate`.
    """
    figure, (*axes, last) = _panels(len(result.noise_stds) + 1, 4, 4)
    for axis, sigma, matrix in zip(axes, result.noise_stds, result.matrix.numpy(), strict=True):
        _matrix(axis, matrix, result, f"sigma = {sigma:g}")
    for source, accuracy in result.accuracy.items():
        last.semilogx(result.noise_stds, accuracy, marker="o", label=label(source))
    last.axhline(1 / len(result.sources), color="grey", linestyle=":", label="chance")
    if len(result.sources) > 1:
        _gate(last, result, minimum)
    last.set(xlabel="noise level sigma", ylabel="accuracy per crop", ylim=(0, 1.02))
    last.legend(fontsize="x-small", **BESIDE)
    return figure


def noise_response_figure(result: Discrimination) -> "Figure":
    """Draws how each prior answers to noise: the negative log density of all clips and probes over the noise
    level, a panel per prior. The unit is nats per sample above the noise's own entropy.

    Its own clips should lie lowest, and reach 0 where the noise drowns them.
    """
    sigmas, count = np.array(result.noise_stds), len(result.sources)
    entropy = np.log(sigmas) + 0.5 * (1 + LOG_2PI)
    figure, axes = _panels(count, 3.2, 3.2)
    for i, (axis, source) in enumerate(zip(axes, result.sources, strict=True)):
        for row, name in enumerate(result.clips):
            above = -result.matrix[:, row, i].numpy() - entropy
            style = ":" if row >= count else "-"
            axis.plot(sigmas, above, style, linewidth=2.5 if row == i else 1, label=label(name))
        axis.set(xscale="log", yscale="symlog", title=f"prior {label(source)}", xlabel="noise level sigma")
    axes[0].set(ylabel="nats per sample above the noise's entropy")
    axes[0].legend(fontsize="x-small")
    return figure


def samples_figure(samples: np.ndarray, sample_rate: int) -> "Figure":
    """Draws spectrograms side by side, in dB. Shape: (N, T), units of the waveform, at ``sample_rate`` Hz."""
    figure, axes = _panels(len(samples), 3.2, 3)
    n_fft = min(256, samples.shape[-1] // 2)
    for axis, x in zip(axes, samples, strict=True):
        quiet = 1e-9 * np.random.default_rng(0).standard_normal(len(x))  # silence has no logarithm
        axis.specgram(x + quiet, NFFT=n_fft, noverlap=n_fft * 3 // 4, Fs=sample_rate, vmin=-120, vmax=-20)
        axis.set(xlabel="time (s)")
    axes[0].set(ylabel="frequency (Hz)")
    return figure


def uncertainty_figure(
    predicted: np.ndarray, actual: np.ndarray, frame_seconds: float, sources: Sequence[str]
) -> "Figure":
    """Draws a posterior's standard deviation beside the error of its mean, per source over time.

    Shape: (K, N) each, units of the waveform, a column every ``frame_seconds``.
    """
    figure, axes = _panels(len(sources), 8, 1.8, columns=1)
    times = frame_seconds * np.arange(predicted.shape[1])
    for k, (axis, source) in enumerate(zip(axes, sources, strict=True)):
        axis.semilogy(times, actual[k] + 1e-6, color="C1", label="error (RMS)")
        axis.semilogy(times, predicted[k] + 1e-6, color="C0", label="posterior std (RMS)")
        axis.set(ylabel=f"{label(source)}\n(full scale = 1)")
    axes[-1].set(xlabel="time (s)")
    axes[0].legend(fontsize="small", ncols=2)
    return figure


def sweep_figure(rows: Sequence[Mapping[str, Any]], x: str, y: str, metric: str) -> "Figure":
    """Draws the mean of ``metric`` over all other axes as a grid over two search dimensions. The values stand
    in the order in which the rows have them.
    """
    xs, ys = (list(dict.fromkeys(str(r[name]) for r in rows)) for name in (x, y))  # a value may be a list
    table = np.full((len(ys), len(xs)), np.nan)
    for j, i in np.ndindex(*table.shape):
        here = [r[metric] for r in rows if (str(r[x]), str(r[y])) == (xs[i], ys[j])]
        table[j, i] = np.mean([value for value in here if np.isfinite(value)] or np.nan)
    figure, (axis,) = _panels(1, 1.4 * len(xs) + 2, 1.1 * len(ys) + 1.5)
    image = axis.imshow(table, aspect="auto")
    figure.colorbar(image, label=label(metric))
    for (j, i), value in np.ndenumerate(table):
        axis.text(i, j, f"{value:.2f}", ha="center", va="center", color=_ink(image, value))
    _ticks(axis, xs)
    axis.set_yticks(range(len(ys)), [label(value) for value in ys])
    axis.set(xlabel=label(x), ylabel=label(y))
    return figure


def dependence_figure(rows: Sequence[Mapping[str, Any]], metric: str) -> "Figure":
    """Draws a metric over the values of each axis, mean and deviation over seeds, in a panel per axis. The
    rows are those of `vsep_ray.evaluation.sweeps.dependence`.
    """
    names = list(dict.fromkeys(r["axis"] for r in rows))
    figure, axes = _panels(len(names), 3.4, 3)
    for panel, name in zip(axes, names, strict=True):
        here = [r for r in rows if r["axis"] == name and r["mean"][metric] is not None]
        means, deviations = ([r[k][metric] or 0.0 for r in here] for k in ("mean", "deviation"))
        panel.errorbar(range(len(here)), means, deviations, marker="o", capsize=4)
        _ticks(panel, [str(r["value"]) for r in here])
        panel.set(xlabel=label(name))
    axes[0].set(ylabel=label(metric))
    return figure


def score_figure(scores: Sequence[Score]) -> "Figure":
    """Draws the SI-SDR per source and method: a box plot of five songs or more, a dot for each of fewer;
    silent references are left out.
    """
    sources, methods = (list(dict.fromkeys(getattr(s, of) for s in scores)) for of in ("source", "method"))
    figure, (axis,) = _panels(1, 1.5 + 1.4 * len(sources), 4)
    for (m, method), (k, source) in itertools.product(enumerate(methods), enumerate(sources)):
        values = [s.si_sdr_db for s in scores if (s.source, s.method) == (source, method)]
        place = k + 0.8 * ((m + 0.5) / len(methods) - 0.5)
        _spread(axis, [v for v in values if not math.isnan(v)], place, 0.6 / len(methods), f"C{m}")
    for m, method in enumerate(methods):
        axis.scatter([], [], marker="s", color=f"C{m}", alpha=0.6, label=label(method))
    _ticks(axis, sources)
    axis.set(ylabel="SI-SDR (dB)", xlim=(-0.5, max(1, len(sources)) - 0.5))
    axis.grid(axis="y", alpha=0.3)
    if methods:
        axis.legend(fontsize="small", **BESIDE)
    return figure


def _spread(axis: "Axes", values: Sequence[float], place: float, width: float, color: str) -> None:
    if len(values) < BOX:
        axis.plot([place] * len(values), values, "o", color=color, alpha=0.8)
        return
    found = axis.boxplot(
        [values], positions=[place], widths=width, patch_artist=True, manage_ticks=False, sym="."
    )
    found["boxes"][0].set(facecolor=color, alpha=0.6)


def _gate(axis: "Axes", result: Discrimination, minimum: float) -> None:
    """Draws what the gate asks for and where, and says who fails."""
    level = result.best_level()
    failed = ", ".join(label(source) for source in gate(result, minimum))
    axis.axhline(minimum, color="black", linestyle="--", linewidth=1, label=f"gate: {minimum:g}")
    axis.axvline(result.noise_stds[level], color="black", linewidth=6, alpha=0.12, label="judged here")
    said = textwrap.fill(f"fail the gate: {failed}" if failed else "all pass the gate", 40)
    axis.set_title(said, fontsize=9)


def _panels(count: int, width: float, height: float, columns: int = PANELS) -> "tuple[Figure, list[Axes]]":
    """Returns a figure and its panels, row by row; each has this size in inches."""
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _matrix(axis: "Axes", values: np.ndarray, result: Discrimination, title: str) -> None:
    from matplotlib.patches import Rectangle

    relative = values - values.max(1, keepdims=True)
    darkest = min(-0.1, float(np.percentile(relative, 10)))
    image = axis.imshow(relative, cmap="viridis", aspect="auto", vmin=darkest, vmax=0)
    for (row, column), value in np.ndenumerate(values):
        ink = _ink(image, relative[row, column])
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        if value == values[row].max():
            corner = (column - 0.5, row - 0.5)
            axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="red", linewidth=2))
    _ticks(axis, result.sources, fontsize=8)
    axis.set_yticks(range(len(result.clips)), [label(name) for name in result.clips], fontsize=8)
    axis.set(xlabel="prior", ylabel="clips")
    axis.set_title(f"{title}\nnats per sample\nframed: the best prior of a row", fontsize=9)


def _ticks(axis: "Axes", names: Sequence[str], **style: Any) -> None:
    """Writes names below an axis, aslant if they would run into each other."""
    shown = [label(name) for name in names]
    if max(map(len, shown), default=0) > UPRIGHT:
        style |= {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(shown)), shown, **style)


def _ink(image: "AxesImage", value: float) -> str:
    """Returns the colour in which a number can be read on the cell of ``value``: viridis ends in a bright
    yellow.
    """
    low, high = image.get_clim()
    return "black" if value > low + 0.6 * (high - low) else "white"
