"""How likely an example is, where its bits are, and whether it is unlike ordinary examples."""

__all__ = ["judge", "score"]

import dataclasses
import math

import numpy as np
import torch

from ...diagnostics.anomalies import AnomalyDetector
from ...diagnostics.bit_map import BitMap, bit_map
from ...diffusion import Diffusion
from ...likelihood import Score
from ...opened.given import read_given
from ..asked import Asked
from ..files import read_examples
from ..jobs import Event, Job
from ..snippets import Snippet, command, opening
from ..subjects import Trained
from ..watching import watched
from .complete import FILE

PARTS = 16
"""Parts of the chain in the picture over time."""

BANDS, DRAWS = 6, 4
"""Bands of log-SNR of a detector of anomalies, and evaluations in each."""


def score(subject: Trained, asked: Asked, job: Job) -> Event:
    """Scores one example given as values, or all examples of some files."""
    seed, given = asked.whole("seed", 0, 0, 2**31 - 1), asked.text("given")
    x, names, note, file = _examples(subject, asked)
    most = subject.model.steps
    evaluations = asked.whole("evaluations", min(64, most), 2, most)
    y = read_given(subject.model.condition, [given], len(x)) if given else None
    batches = math.ceil(len(x) / subject.model.chunk_size)
    watching, _ = watched(subject.model, job, 2 * evaluations * batches)
    model: Diffusion = watching
    found = model.score(x, evaluations, rng=seed, given=y)
    job.send("score", **_score_facts(found))
    places = bit_map(model.given_each(y, len(x)), x, _terms(model, evaluations), PARTS, rng=seed)
    snippet = _snippet(subject, file, evaluations, seed, given)
    return _score_facts(found) | {
        "names": list(names),
        "note": note,
        "images": subject.look.pack(torch.as_tensor(x)),
        "places": _places(subject, places),
        "snippet": snippet.facts(),
    }


def judge(subject: Trained, asked: Asked, job: Job) -> Event:
    """The p-value of one example: how many ordinary examples are as strange."""
    x = asked.values("values", subject.look.shape)
    count = asked.whole("ordinary", 120, 20, 5000)
    if count not in subject.detectors:
        model, _ = watched(subject.model, job, BANDS * DRAWS * 2)
        data = subject.run.experiment.data
        reference, calibration = (_some(rows, count) for rows in (data.valid, data.test))
        batches = sum(math.ceil(len(each) / model.chunk_size) for each in (reference, calibration))
        model, _ = watched(subject.model, job, BANDS * DRAWS * batches)
        found = AnomalyDetector.fit(model, reference, calibration, bands=BANDS, draws=DRAWS)
        subject.detectors[count] = dataclasses.replace(found, model=subject.model)
    judged = subject.detectors[count].score(x)
    lines = ["import numpy as np", *opening(subject.word)]
    lines += [
        "",
        "def some(rows):",
        f"    order = np.random.default_rng(0).permutation(len(rows))[:{count}]",
        "    return np.asarray(rows)[np.sort(order)]",
        "",
        f"data = qs.open({subject.word!r}).run.experiment.data",
        "detector = qs.AnomalyDetector.fit(",
        f"    model, some(data.valid), some(data.test), bands={BANDS}, draws={DRAWS}",
        ")",
        f'found = detector.score(np.load("{FILE}"))',
    ]
    note = f"The code reads the example that you see, in {FILE}. `quasistatic outliers` measures "
    note += "all held-out images and not some of them."
    return {
        "p_value": judged.p_values.item(),
        "excess": judged.scores.item(),
        "bands": judged.bands[0].tolist(),
        "band_p_values": judged.band_p_values[0].tolist(),
        "log_snr": judged.log_snr.tolist(),
        "ordinary": judged.calibrated_on,
        "snippet": Snippet("\n".join(lines), note=note).facts(),
    }


def _some(rows: object, count: int) -> np.ndarray:
    """Some rows, the same each time."""
    order = np.random.default_rng(0).permutation(len(np.asarray(rows)))[:count]
    return np.asarray(rows)[np.sort(order)]


def _examples(subject: Trained, asked: Asked) -> tuple[np.ndarray, tuple[str, ...], str, str]:
    """The examples, their names, what was converted, and the file that a snippet reads."""
    if "files" in asked.fields:
        read = read_examples(subject.look, asked.uploads(), asked.flag("invert"))
        return read.x, read.names, read.note, FILE
    x = asked.values("values", subject.look.shape)
    if np.isnan(x).any() and not subject.model.space.holes:
        raise ValueError("a value is missing: this model scores whole examples only")
    return x, ("the example",), "", FILE


def _terms(model: Diffusion, evaluations: int) -> int:
    """Evaluations of the map, which has one term less where the space fixes the last step."""
    return min(evaluations, model.steps - (not model.space.learns_last_step))


def _score_facts(found: Score) -> Event:
    bits = math.log(2)
    count = len(found.null)
    mean = found.bits_per_dim.double().mean().item()
    error = found.mean_noise / found.dims / bits
    spread = found.stderr(found.bits_per_dim) if count > 1 else None
    return {
        "bits_per_dim": found.bits_per_dim.tolist(),
        "noise": found.noise_per_dim.tolist(),
        "mean": mean,
        "mean_noise": error,
        "spread": spread,
        "nats": found.nats.double().mean().item(),
        "nats_noise": found.mean_noise,
        "terms": {name: value.double().mean().item() / bits for name, value in found.terms.items()},
        "evaluations": found.evaluations,
        "about": found.about,
    }


def _places(subject: Trained, places: BitMap) -> Event:
    """Bits by pixel, as pictures from white to full colour, and bits by time."""
    bits = math.log(2)
    by_value = (places.by_value / bits).double()
    facts: Event = {
        "times": places.times.tolist(),
        "by_time": (places.by_time.double().mean(0) / bits).tolist(),
        "log_snr": places.log_snr.tolist(),
    }
    if tuple(by_value.shape[1:]) == subject.look.shape:
        largest = max(by_value.max().item(), 1e-12)
        facts["largest"] = largest
        facts["by_value"] = subject.look.shares(by_value / largest)
    return facts


def _snippet(subject: Trained, file: str, evaluations: int, seed: int, given: str) -> Snippet:
    lines = ["import numpy as np", *opening(subject.word), f'x = np.load("{file}")']
    more = f", given={given!r}" if given else ""
    lines.append(f"score = model.score(x, {evaluations}, rng={seed}{more})")
    options: list[tuple[str, object]] = [("--data", file), ("--evaluations", evaluations)]
    options += [("--given", given or None), ("--seed", seed), ("--out", "scores.csv")]
    note = f"Both read the examples that you see, in {file}: save it with the button."
    return Snippet("\n".join(lines), command("score", subject.word, options=options), note)
