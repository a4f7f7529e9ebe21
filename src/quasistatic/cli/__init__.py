"""The command line: what is trained answers, one verb a question."""

__all__ = ["main"]

import sys
from collections.abc import Callable, Sequence

from .. import __version__
from .._utils.validation import nearest
from ..recipes import RECIPES
from ..recipes.pretrained import pretrained
from .coding import compress_, decompress_
from .diagnostics import budget_, check_, grid_, sandwich_
from .dispatch import fit_, impute_, outliers_
from .inference import complete_, sample_, score_
from .report import cite_, demo_, report_, schedule_
from .training import train_

VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train_,
    "fit": fit_,
    "sample": sample_,
    "score": score_,
    "complete": complete_,
    "compress": compress_,
    "decompress": decompress_,
    "impute": impute_,
    "outliers": outliers_,
    "sandwich": sandwich_,
    "grid": grid_,
    "budget": budget_,
    "check": check_,
    "report": report_,
    "schedule": schedule_,
    "demo": demo_,
    "cite": cite_,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; bad input ends with a message on standard error and exit status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return
    if words[0] == "--version":
        print(__version__)
        return
    verb, rest = words[0], words[1:]
    try:
        if verb not in VERBS:
            raise ValueError(f"there is no command {verb!r}: {nearest(verb, VERBS)}")
        VERBS[verb](rest)
    except KeyboardInterrupt:
        print(f"quasistatic {verb}: stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        print(f"quasistatic {verb}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _overview() -> str:
    lines = ["usage: quasistatic COMMAND ...   (COMMAND --help says more)", ""]
    lines += [f"  {verb:11}{(run.__doc__ or '').splitlines()[0]}" for verb, run in VERBS.items()]
    known = [f"recipes: {', '.join(RECIPES)}", f"pretrained: {', '.join(pretrained())}"]
    return "\n".join([*lines, "", *known])
