"""The commands that are no verb of a run: convert, push, schedule, demo, cite."""

__all__ = [
    "Cite",
    "Convert",
    "Demo",
    "Push",
    "Schedule",
    "cite",
    "convert",
    "demo",
    "push",
    "schedule",
]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .arguments import Range, option, parse
from .verbs import shared


@dataclass
class Convert:
    """Convert a model that diffusers saved to a run folder.

    Every command also opens such a folder itself. Weights must be safetensors: a pickle can run any
    code when it is read, and is refused with the way to convert it."""

    source: Path = option(
        "A folder that diffusers saved, of a UNet2DModel or a DiTTransformer2DModel, a scheduler "
        "and perhaps an autoencoder.",
        "required",
        "FOLDER",
        positional=True,
    )
    out: Path | None = option(
        "The run folder to write.", "runs/ and the name of the source", "FOLDER", "-o"
    )
    size: int | tuple[int, int] | None = option(
        "Height and width of the images in pixels; one number for a square.",
        "those of the network's configuration",
        "INT [INT]",
    )
    decoder_data: Path | None = option(
        "Images, as a .npy file: the scale of the autoencoder's decoder is measured on them, so "
        "that images have a density. For a model of latents.",
        "none; the run then only samples",
        "FILE",
    )
    decoder_scale: float | None = option(
        "That scale itself, in units in which images reach from -1 to 1.",
        "none",
        "FLOAT",
        within=shared.POSITIVE,
    )
    encoder_scale: float | None = option(
        "The standard deviation of latents about the output of a VQModel's encoder.",
        "none",
        "FLOAT",
        within=shared.POSITIVE,
    )
    json: bool = shared.json()


def convert(words: Sequence[str]) -> None:
    """Converts a model that diffusers saved to a run folder."""
    asked = parse(Convert, "convert", words)
    from ..checkpoints import from_diffusers, measure_decoder
    from ..opened.arrays_io import load_array
    from ..reporting.answer import Answer
    from ..reporting.console import Display

    if asked.decoder_data is not None and asked.decoder_scale is not None:
        raise ValueError("give --decoder-data or --decoder-scale: both set the same scale")
    out = asked.out or Path("runs") / asked.source.resolve().name
    if (out / "config.json").exists():
        raise ValueError(f"{out} holds a model already: give another folder by --out")
    model = from_diffusers(
        asked.source,
        size=asked.size,
        decoder_scale=asked.decoder_scale,
        encoder_scale=asked.encoder_scale,
    )
    if asked.decoder_data is not None:
        model = measure_decoder(model, load_array(asked.decoder_data))
    model.save(out)
    facts = {"run": str(out), "model": model.describe()}
    Display(asked.json).show(Answer(facts, [f"wrote {out}:", repr(model)]))


@dataclass
class Push:
    """Upload a model of arrays or images to the Hugging Face hub, with a card.

    Log in first by `hf auth login`. Anybody then gives USER/MODEL in place of a run, as in
    `quasistatic score USER/MODEL`."""

    run: Path = shared.folder()
    repo: str = option(
        "The repository, created if there is none; USER/MODEL@BRANCH writes to a branch.",
        "required",
        "USER/MODEL",
        positional=True,
    )
    license: str | None = option(
        "Identifier of the licence, as apache-2.0, for the card.", "none", "NAME"
    )
    trained_by: str | None = option(
        "The command that trained the model, for the card.", "none", "TEXT"
    )
    rows: int = option(
        "Test rows of the run that are scored for the card; 0 for no score.",
        100,
        "INT",
        value=100,
        within=Range(0),
    )
    private: bool = option("Create the repository as a private one.", False)
    seed: int = option("Seed of the score.", 0, "INT", value=0)
    json: bool = shared.json()


def push(words: Sequence[str]) -> None:
    """Uploads a model with a card to the hub."""
    asked = parse(Push, "push", words)
    from ..hub import Repository
    from ..opened import TABLE, kind_of
    from ..recipes.locations import locate

    if Repository.parse(asked.repo) is None:
        raise ValueError(f"a repository is named as user/model, got {asked.repo!r}")
    folder = locate(asked.run)
    if kind_of(folder) is TABLE or (folder / "estimator.json").is_file():
        raise ValueError(
            f"{folder} is a model of a table, whose files name its columns and classes: where they "
            f"may be public, upload the folder by `hf upload {asked.repo} {folder}`; commands open "
            "it by that name"
        )
    from ..checkpoints import is_diffusers
    from ..recipes.runs import open_run
    from ..reporting.answer import Answer
    from ..reporting.console import Display

    display, opened = Display(asked.json), open_run(folder)
    facts: dict[str, object] = {"repository": asked.repo}
    score = None
    if opened.recipe is not None and asked.rows:
        found = opened.experiment
        given = None if found.given is None else found.given.test[: asked.rows]
        score = opened.model.score(found.data.test[: asked.rows], rng=asked.seed, given=given)
        facts["bits_per_dim"] = float(score.bits_per_dim.mean())
        display.say(str(score))
    url = opened.model.push_to_hub(
        asked.repo,
        run=None if is_diffusers(folder) else folder,
        score=score,
        license=asked.license,
        command=asked.trained_by,
        private=asked.private,
    )
    facts["commit"] = url
    display.show(Answer(facts, [f"uploaded {folder} as {asked.repo}: {url}"]))


@dataclass
class Schedule:
    """Compare noise schedules: alpha_bar, log-SNR, and the information that each step loses.

    Numbers after a colon are the schedule's parameters: linear:1e-4,0.02 or linear_log_snr:7,-7."""

    names: tuple[str, ...] = option(
        "Schedules to compare.",
        "linear cosine quadratic",
        "NAME [NAME ...]",
        value=("linear", "cosine", "quadratic"),
        positional=True,
    )
    steps: int = option("T, the number of time steps.", 1000, "INT", value=1000)
    law: Literal["normal", "bit", "levels"] = option(
        "Distribution of x_0: N(0, 1), a fair bit, or uniform on 256 levels.",
        "normal",
        "normal|bit|levels",
        value="normal",
    )
    out: Path | None = option("The PNG file to draw them into.", None, "PATH", "-o")
    json: bool = shared.json()


def schedule(words: Sequence[str]) -> None:
    """Compares noise schedules."""
    asked = parse(Schedule, "schedule", words)
    from ..diagnostics import schedule_comparison as comparison
    from ..diagnostics.mutual_information import Erasure
    from ..reporting.answer import Answer, TextTable
    from ..reporting.console import Display

    law = comparison.LAWS[asked.law]
    compared = [Erasure(name, comparison.read(name, asked.steps), law) for name in asked.names]
    shown: list[object] = [TextTable(each.name, *comparison.places(each)) for each in compared]
    shown.append(TextTable(f"T = {asked.steps}; {law.about}", *comparison.totals(compared)))
    if len(compared) > 1:
        shown.append(comparison.in_short(compared))
    if asked.out is not None:
        from ..reporting.figures import schedule_comparison
        from ..reporting.html import save_figure

        save_figure(schedule_comparison(compared), asked.out)
        shown.append(f"wrote {asked.out}")
    picture = None if asked.out is None else str(asked.out)
    facts = {"law": law.about, "schedules": comparison.facts(compared), "picture": picture}
    Display(asked.json).show(Answer(facts, shown))


@dataclass
class Demo:
    """Train digits, heartbeat and swiss roll, score and complete test rows, write report.html."""

    out: Path = option("The folder to write.", "runs/demo", "FOLDER", "-o", value=Path("runs/demo"))
    json: bool = shared.json()


def demo(words: Sequence[str]) -> None:
    """Trains three small recipes and writes one page about them, in some minutes."""
    asked = parse(Demo, "demo", words)
    from ..reporting.console import Display
    from .demo import demo as run_demo

    display = Display(asked.json)
    display.result(**run_demo(asked.out, display))


@dataclass
class Cite:
    """List the papers that docstrings cite, by their keys."""

    key: str | None = option("Key of one paper.", "all papers", "KEY", positional=True)
    bibtex: bool = option("Print BibTeX entries.", False)


def cite(words: Sequence[str]) -> None:
    """Lists the papers that docstrings cite."""
    asked = parse(Cite, "cite", words)
    from .._utils.references import PAPERS
    from .._utils.references import cite as cited

    papers = list(PAPERS.values()) if asked.key is None else [cited(asked.key)]
    for paper in papers:
        print(paper.bibtex() if asked.bibtex else f"{paper.key}: {paper.text()}")
