"""The files of a model that diffusers saved: which there are, and what they hold.

Imports nothing heavy: the command line asks :func:`is_diffusers` before it loads PyTorch.
"""

__all__ = ["DiffusersFolder", "fetched", "is_diffusers"]

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.json_files import read_json
from ..hub.repository import Repository

if TYPE_CHECKING:
    from torch import Tensor

INDEX, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PARTS = ("unet", "transformer")
"""The folders of a pipeline that may hold its network."""

CODERS = ("vae", "vqvae")
"""The folders of a pipeline that may hold an autoencoder."""

CONFIGURATION = (
    *(INDEX, CONFIG, SCHEDULER, f"scheduler/{SCHEDULER}"),
    *(f"{part}/{CONFIG}" for part in (*PARTS, *CODERS)),
)
NETWORKS = ("UNet2DModel", "DiTTransformer2DModel", "Transformer2DModel")
"""The classes of networks that are read; the last is an earlier name of the one before it."""

AUTOENCODERS = ("AutoencoderKL", "VQModel")
"""The classes of autoencoders that are read."""

WHOLE_AND_SHARDS = (WEIGHTS, f"{WEIGHTS}.index.json", "diffusion_pytorch_model-*.safetensors")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

UNSUITED = {
    "text_encoder": "it draws images from a text: its law is one of images given a text",
    "image_encoder": "it draws images from another image",
    "low_res_scheduler": "it enlarges images: its law is one of images given a small one",
    "prior": "it draws the embedding of an image",
    "movq": "its decoder needs the latents at every resolution",
}
"""Parts of a pipeline that has no law of images alone, or none that is supported, and why."""


def is_diffusers(folder: str | Path) -> bool:
    """Whether a folder is one that diffusers saved: a pipeline, or a network alone."""
    folder = Path(folder)
    if (folder / INDEX).is_file():
        return True
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stored, dict) and "_class_name" in stored


def fetched(repository: Repository) -> Path:
    """The folder in the hub's cache with a repository's model, in this library's format or in
    diffusers'. Of a pipeline only what is read is fetched, after a look at its configuration.

    Raises:
        FileNotFoundError: see :meth:`Repository.fetch`.
        ValueError: see :meth:`Repository.fetch` and :class:`DiffusersFolder`.
    """
    folder = repository.fetch(CONFIGURATION)
    if not is_diffusers(folder):
        if not (folder / CONFIG).is_file():
            raise ValueError(f"{repository} holds neither {CONFIG} nor {INDEX}: it is no model")
        return repository.fetch()
    stored = DiffusersFolder(folder)
    parts = [stored.network, *filter(None, [stored.autoencoder])]
    for read in (stored.scheduler, *(part.config for part in parts)):
        assert read is not None  # each is there and of a known class before weights are fetched
    inside = {part: "" if part.path == folder else f"{part.path.name}/" for part in parts}
    wanted = [*CONFIGURATION, *(at + each for at in inside.values() for each in WHOLE_AND_SHARDS)]
    found = repository.fetch(wanted)
    lacking = [part for part in parts if not list((found / inside[part]).glob("*.safetensors"))]
    if not lacking:
        return found
    return repository.fetch([*wanted, *_other_weights(repository, lacking, inside)])


def _other_weights(
    repository: Repository, parts: list["Component"], inside: dict["Component", str]
) -> list[str]:
    """The names of files with weights of parts of a pipeline, where they have other names.

    Raises:
        ValueError: if there are pickles only.
    """
    names, found = repository.files(), []
    for part in parts:
        listed = [name for name in names if name.rpartition("/")[0] == inside[part].rstrip("/")]
        others = [name for name in listed if name.endswith(".safetensors")]
        pickles = [name for name in listed if name.endswith(".bin")]
        if pickles and not others:
            raise ValueError(refused_pickle(Path(str(repository)) / pickles[0], part.kind))
        found += others
    return found


@dataclass(frozen=True)
class Component:
    """A part of a pipeline with weights: `config.json` and files in safetensors.

    Args:
        path: the folder.
        known: the classes that are read.
    """

    path: Path
    known: tuple[str, ...]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            ValueError: if it is of another class than those of `known`.
        """
        path = self.path / CONFIG
        config = read_json(path, "restore a copy")
        name = config.get("_class_name")
        if name not in self.known:
            raise ValueError(
                f"{path} is of the class {name}, and from_diffusers reads "
                f"{' and '.join(self.known[:2])} here: parts of models of images without a text"
            )
        return config

    @property
    def kind(self) -> str:
        """The name of its class."""
        return str(self.config["_class_name"])

    @property
    def files(self) -> list[Path]:
        """The files of the weights, in safetensors.

        Raises:
            FileNotFoundError: if there are none.
            ValueError: if there are pickles only: how to convert them.
        """
        folder = self.path
        index = folder / f"{WEIGHTS}.index.json"
        if (folder / WEIGHTS).is_file():
            return [folder / WEIGHTS]
        if index.is_file():
            named = read_json(index, "restore a copy").get("weight_map")
            if not isinstance(named, dict):
                raise ValueError(f"{index} is damaged (it has no weight_map): restore a copy")
            # Of a name only its last part is taken, so that no file elsewhere is read.
            return [folder / Path(str(name)).name for name in sorted(set(named.values()))]
        others = sorted(folder.glob("*.safetensors"))
        if len(others) == 1:  # a variant: diffusion_pytorch_model.fp16.safetensors
            return others
        if len(others) > 1:
            raise ValueError(
                f"{folder} holds {', '.join(each.name for each in others)}, and not {WEIGHTS}: "
                "keep one of them in a folder of its own"
            )
        pickles = [each for pattern in PICKLES for each in sorted(folder.glob(pattern))]
        if pickles:
            raise ValueError(refused_pickle(pickles[0], self.kind))
        raise FileNotFoundError(f"{folder} holds no {WEIGHTS}: the weights are missing")

    def tensors(self) -> "dict[str, Tensor]":
        """The weights by diffusers' present names.

        Raises:
            ValueError: if a file is damaged.
        """
        from .state_dicts import present_names, read_tensors

        tensors: dict[str, Tensor] = {}
        for path in self.files:
            tensors |= read_tensors(path)
        return present_names(tensors)


@dataclass(frozen=True)
class DiffusersFolder:
    """A folder of a `UNet2DModel` or a `DiTTransformer2DModel`, a scheduler and perhaps an
    autoencoder, as `save_pretrained` of diffusers writes it.

    Args:
        path: the folder: of a pipeline, with `unet` or `transformer` and `scheduler` in it or their
            files beside each other, as older pipelines have them.

    Raises:
        NotADirectoryError: if it is a file: which folder to give.
        FileNotFoundError: if a file is missing: which.
        ValueError: if the pipeline has no law of images alone (why), or a file is damaged.
    """

    path: Path

    def __post_init__(self) -> None:
        if self.path.is_file():
            raise NotADirectoryError(
                f"{self.path} is a file, and from_diffusers takes the folder that "
                "`save_pretrained` of diffusers wrote, with the configuration of the network and "
                f"of the scheduler: give {self._folder_of_file}"
            )
        if (self.path / INDEX).is_file():
            self._require_images_alone()
        elif not (self.path / CONFIG).is_file():
            raise FileNotFoundError(
                f"{self.path} holds neither {INDEX} nor {CONFIG}: give the folder that "
                "`save_pretrained` of diffusers wrote"
            )

    @property
    def index(self) -> dict[str, Any]:
        """What `model_index.json` of a pipeline holds; empty for a network alone."""
        path = self.path / INDEX
        return read_json(path, "restore a copy") if path.is_file() else {}

    @property
    def _folder_of_file(self) -> str:
        """What to give in place of a file."""
        inside = self.path.parent
        whole = inside.parent if inside.name in (*PARTS, *CODERS, "scheduler") else inside
        if is_diffusers(whole):
            return repr(str(whole))
        return "the whole folder; for one file of another code see from_improved_diffusion"

    @property
    def network(self) -> Component:
        """The network of the chain."""
        found = [self.path / part for part in PARTS if (self.path / part).is_dir()]
        return Component(found[0] if found else self.path, NETWORKS)

    @property
    def autoencoder(self) -> Component | None:
        """The autoencoder, of whose latents the chain is; None for a chain of pixels.

        Raises:
            FileNotFoundError: if the pipeline names one and it is not there.
        """
        for part in CODERS:
            if self._has(part):
                if not (self.path / part).is_dir():
                    raise FileNotFoundError(
                        f"{self.path} is a pipeline with a {part}, and there is no folder "
                        f"{self.path / part}: restore a copy"
                    )
                return Component(self.path / part, AUTOENCODERS)
        return None

    def _has(self, part: str) -> bool:
        """Whether the pipeline's index names a part."""
        named = self.index.get(part)
        return isinstance(named, list) and bool(named) and named[0] is not None

    @property
    def scheduler(self) -> dict[str, Any]:
        """The configuration of the scheduler.

        Raises:
            FileNotFoundError: if there is none.
        """
        tried = [self.path / "scheduler" / SCHEDULER, self.path / SCHEDULER]
        for path in tried:
            if path.is_file():
                return read_json(path, "restore a copy")
        raise FileNotFoundError(
            f"{self.path} holds no {SCHEDULER}: it says which noise the network was trained on. "
            "Save the scheduler of the training beside the network, as `scheduler.save_pretrained"
            f"({str(self.path / 'scheduler')!r})`, or the whole pipeline"
        )

    def _require_images_alone(self) -> None:
        """ValueError for a pipeline of images that follow from something else."""
        index = self.index
        name = index.get("_class_name", "a pipeline without a name")
        for part, why in UNSUITED.items():
            if self._has(part):
                raise ValueError(
                    f"{self.path} holds {name} with a {part}: {why}. from_diffusers reads "
                    "pipelines of images alone, such as DDPMPipeline, LDMPipeline and DiTPipeline"
                )
        if not any(part in index for part in PARTS):
            known = ", ".join(key for key in index if not key.startswith("_"))
            raise ValueError(
                f"{self.path} holds {name} without a unet (it has {known or 'nothing'}): "
                f"from_diffusers reads pipelines of {' or '.join(NETWORKS[:2])}, such as "
                "DDPMPipeline"
            )


def refused_pickle(path: Path, kind: str) -> str:
    """Why a pickle is not read, and how to get safetensors."""
    folder = str(path.parent)
    return (
        f"{path} is a pickle, which can run any code when it is read: it is never loaded. Where "
        f"you trust it, convert it with diffusers: `{kind}.from_pretrained({folder!r}, "
        f"use_safetensors=False).save_pretrained({folder!r})` "
        "writes safetensors. On the hub, many repositories have a safetensors file in another "
        "revision or in an open pull request (revision='refs/pr/1')"
    )
