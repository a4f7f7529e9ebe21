"""The card of a model: what it is, what it was trained on, and how good it is, from its run."""

__all__ = ["Card"]

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._utils.files import sha256_of


@dataclass(frozen=True)
class Card:
    """What a model's card says beside what its files say.

    Args:
        model: the model, as it prints itself.
        license: the identifier of a licence, "apache-2.0"; None leaves the field to the owner.
        score: lines about a score of test data, with its error and units.
        command: the command that trained the model.
        images: whether the model is one of images.
    """

    model: str
    license: str | None = None
    score: tuple[str, ...] = ()
    command: str | None = None
    images: bool = False

    def text(self, folder: Path, name: str) -> str:
        """The card in Markdown.

        Args:
            folder: of the model's files.
            name: of the model.
        """
        stored = json.loads((folder / "config.json").read_text())
        parts = [
            _front(self.license, self.images),
            f"# {name.split('/')[-1]}",
            "A diffusion model that answers as a probability distribution: it samples, scores, "
            "completes and compresses data. Written by quasistatic.",
            _use(name),
            f"## The model\n\n```\n{self.model}\n```",
            self._score(folder),
            _trained(stored, self.command),
            f"## Files\n\n`model.safetensors` has the SHA-256 "
            f"`{sha256_of(folder / 'model.safetensors')}`.",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _score(self, folder: Path) -> str:
        """The score that was given, and the last validation of the run."""
        lines = list(self.score)
        metrics = folder / "metrics.jsonl"
        records = metrics.read_text().splitlines() if metrics.is_file() else []
        if records:
            latest = json.loads(records[-1])
            known = {k: v for k, v in latest.items() if k.startswith("valid")}
            shown = ", ".join(f"{k.removeprefix('valid_')} {v:.4f}" for k, v in known.items())
            if shown:
                lines.append(f"Validation data at the end of the training: {shown}.")
        if not lines:
            return ""
        return "## Score\n\n" + "\n\n".join(lines)


def _front(license: str | None, images: bool) -> str:
    """The metadata that the hub reads."""
    lines = ["library_name: quasistatic", "tags:", "- diffusion", "- likelihood"]
    if license is not None:
        lines.insert(0, f"license: {license}")
    if images:
        lines.append("pipeline_tag: unconditional-image-generation")
    return "\n".join(["---", *lines, "---"])


def _use(name: str) -> str:
    return f"""## Use

```python
import quasistatic as qs

model = qs.Diffusion.from_pretrained("{name}")
model.sample(16)
model.score(x)
```

```sh
quasistatic score {name} --data x.npy
```"""


def _trained(stored: dict[str, Any], command: str | None) -> str:
    """What a run's configuration says about the training."""
    lines = []
    if command is not None:
        lines.append(f"Command: `{command}`")
    recipe = stored.get("recipe")
    if isinstance(recipe, dict):
        settings = {k: v for k, v in recipe.items() if k not in ("is", "fit")}
        lines.append(f"Recipe: {recipe.get('is')}, with {_listed(settings)}")
    if isinstance(stored.get("fit"), dict):
        settings = {k: v for k, v in stored["fit"].items() if k != "is"}
        lines.append(f"Settings: {_listed(settings)}")
    for kind, data in zip(("training", "validation"), stored.get("data") or (), strict=False):
        if isinstance(data, dict):
            lines.append(f"Data, {kind}: {_listed(data)}")
    return "## Training\n\n" + "\n\n".join(lines) if lines else ""


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value).strip(chr(34))}" for key, value in settings.items())
