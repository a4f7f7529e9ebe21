"""The commands on a run: each parses its options, opens the run, and calls one verb."""

__all__ = ["fit_command", "report_command", "verb_command"]

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..opened import Kind, fit, kind_of, kind_of_data, open
from ..recipes.locations import locate

if TYPE_CHECKING:
    from ..opened.model import OpenedModel
    from ..reporting.answer import Answer
    from ..reporting.console import Display

Words = Sequence[str]

VERBS = (
    *("fit", "sample", "score", "complete", "impute", "outliers", "compress", "decompress"),
    *("sandwich", "distill", "grid", "budget", "check", "report"),
)
"""The verbs of an opened model; `cli.verbs` describes the options of each."""


def verb_command(name: str) -> Callable[[Words], None]:
    """The command that opens a run and calls its verb `name`."""

    def run(words: Words) -> None:
        script, asked = _parsed(name, words)
        folder = locate(asked.pop("run"))
        _require(name, f"{folder} is a model of", kind_of(folder), asked)
        display = _display(script)
        if "on" in asked:
            from .at_scale import answer_directory

            answer_directory(name, folder, asked, display)
            return
        _require_one_file(name, asked)
        model = open(folder, asked.pop("device", "auto"), display)
        answer: Answer = getattr(model, name)(**asked)
        display.show(_with_device(answer, model, display))
        if not answer.facts.get("passed", True):
            raise ValueError("some identities do not hold: see the table")

    return run


def fit_command(words: Words) -> None:
    """Fits a model to a table in a file, or to images."""
    script, asked = _parsed("fit", words)
    data = asked.pop("data")
    if "types" in asked:
        asked["types"] = _types(asked["types"])
    wanted = asked.pop("as_", None)
    kind = kind_of_data(data, wanted)
    _require("fit", f"{data} holds", kind, asked)
    display = _display(script)
    display.show(fit(data, wanted, display=display, **asked))


def report_command(words: Words) -> None:
    """Writes the page of one run or of several."""
    script, asked = _parsed("report", words)
    out, folders = asked.pop("out", None), [locate(run) for run in asked.pop("runs", ())]
    if not folders:
        raise ValueError("name at least one run folder")
    for folder in folders:
        _require("report", f"{folder} is a model of", kind_of(folder), asked)
    display = _display(script)
    device = asked.pop("device", "auto")
    models = [open(folder, device, display) for folder in folders]
    sections = [each for model in models for each in model.sections(**asked)]
    display.show(models[0].page(out, sections, [folder.name for folder in folders]))


def _parsed(name: str, words: Words) -> tuple[bool, dict[str, Any]]:
    """Whether `--json` was given, and the other options that were, by the verb's own names."""
    from . import verbs
    from .arguments import given, parse, with_data

    command = getattr(verbs, name.capitalize())
    asked = given(parse(command, name, with_data(command, words)))
    script = asked.pop("json", False)
    if "seed" in asked:
        asked["rng"] = asked.pop("seed")
    return script, asked


def _require(name: str, subject: str, kind: Kind, asked: dict[str, Any]) -> None:
    """Refuses a verb or an option that a kind of model does not have.

    Args:
        name: the verb.
        subject: the beginning of the error message: what is of that kind.
        kind: the kind of model.
        asked: the options that were given.

    Raises:
        ValueError: what the model has instead.
    """
    from . import verbs
    from .arguments import known_options

    described = getattr(verbs, name.capitalize())
    if kind not in described.kinds:
        have = [each for each in VERBS[1:] if kind in getattr(verbs, each.capitalize()).kinds]
        raise ValueError(
            f"{subject} {kind.name}, which has no verb {name!r}; it has {', '.join(have)}"
        )
    known = known_options(described, kind)
    unknown = [_flag(each) for each in asked if each != "rng" and each not in known]
    if "rng" in asked and "seed" not in known:
        unknown.append("--seed")
    if unknown:
        have = [_flag(each) for each, declared in known.items() if not declared.positional]
        raise ValueError(
            f"{subject} {kind.name}, for which {name} has no {', '.join(unknown)}; it has "
            f"{', '.join(have)}"
        )


def _require_one_file(name: str, asked: dict[str, Any]) -> None:
    """Refuses options of a job where one file is answered."""
    own = ("workers",) if name in ("compress", "decompress") else ()
    for option in ("address", "gpus", "workers"):
        if option in asked and option not in own:
            raise ValueError(f"--{option} is for a directory of files: add --on local or --on ray")


def _with_device(answer: "Answer", model: "OpenedModel", display: "Display") -> "Answer":
    """The answer with the name of the device that computed it. It is also printed, unless it is a
    CPU."""
    if model.device.type != "cpu":
        from .._utils.devices import describe_device

        display.say(f"computed on {describe_device(model.device)} ({model.device})")
    return replace(answer, facts={**answer.facts, "device": str(model.device)})


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _types(words: Sequence[str]) -> dict[str, str]:
    """Columns and types of words like sex=binary."""
    for word in words:
        if "=" not in word:
            raise ValueError(f"--types takes words like sex=binary, got {word!r}")
    return dict(word.rsplit("=", 1) for word in words)


def _display(script: bool) -> "Display":
    from ..reporting.console import Display

    return Display(script)
