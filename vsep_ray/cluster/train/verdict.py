"""What is said of priors that are trained: how well they know their own source, and who passes the gate."""

from collections.abc import Mapping
from typing import Any

from vsep_ray.cluster.runtime import talk
from vsep_ray.evaluation.likelihood import Discrimination, gate
from vsep_ray.presets import TrainPriorsConfig


def closing(config: TrainPriorsConfig, figures: Mapping[str, Any]) -> list[talk.Line]:
    """Returns what is said of the priors at the end of the job: the gate, and who failed it."""
    found = figures["discrimination"]
    shares = ", ".join(f"{s} {100 * max(v.values()):.0f} %" for s, v in found["accuracy"].items())
    failed = ", ".join(found["failed_gate"])
    verdict = f"these do not, and a longer training may mend it: {failed}" if failed else "all pass"
    target = figures["priors"]
    return [
        ("", f"clips that their own prior finds likeliest: {shares}"),
        ("gate", f"{100 * config.gate:.0f} % and the likeliest on average; {verdict}"),
        ("priors", target),
        ("next", talk.command("train_separator", config, "--regime", "A", "--priors", target)),
    ]


def figures_of(
    config: TrainPriorsConfig, result: Discrimination, last: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """Returns the figures of the JSON line that compare the priors.

    Args:
        config: the job's.
        result: what the priors say of each other's clips.
        last: source -> the last validation of its training.
    """
    level = result.best_level()
    bits = result.bits_per_sample()[level]

    def by_level(rows: Mapping[str, tuple[float, ...]]) -> dict[str, dict[str, float]]:
        return {
            s: {f"{sigma:g}": round(v, 4) for sigma, v in zip(result.noise_stds, row, strict=True)}
            for s, row in rows.items()
        }

    return {
        "bits_per_sample": {s: round(bits[i, i].item(), 4) for i, s in enumerate(result.sources)},
        "noise_std": result.noise_stds[level],
        "steps": {s: int(v["step"]) for s, v in last.items()},
        "train_seconds": {s: round(v["train_seconds"], 1) for s, v in last.items()},
        "samples": {s: {k: v[k] for k in v if k.startswith("sample_")} for s, v in last.items()},
        "nats_above_noise": by_level(result.above_noise()),
        "discrimination": {
            "accuracy": by_level(result.accuracy),
            "auc": {s: round(row[level], 4) for s, row in result.auc.items()},
            "failed_gate": gate(result, config.gate) if len(result.sources) > 1 else [],
            "impossible": result.impossible(),
        },
    }
