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

CONFIGURATION = (
    *(INDEX, CONFIG, SCHEDULER, f"scheduler/{SCHEDULER}"),
    *(f"{part}/{CONFIG}" for part in PARTS),
)
NETWORKS = ("UNet2DModel", "DiTTransformer2DModel")
"""The classes of networks that are read."""

WHOLE_AND_SHARDS = (WEIGHTS, f"{WEIGHTS}.index.json", "diffusion_pytorch_model-*.safetensors")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

UNSUITED = {
    "text_encoder": "it draws images from a text: its law is one of images given a text",
    "image_encoder": "it draws images from another image",
    "low_res_scheduler": "it enlarges images: its law is one of images given a small one",
    "prior": "it draws the embedding of an image",
}
"""Parts of a pipeline that has no law of pixels alone, and why."""

LATENT = {
    "vae": "its law is one of latents of an autoencoder, and not of pixels",
    "vqvae": "its law is one of latents of an autoencoder, and not of pixels",
    "movq": "its law is one of latents of an autoencoder, and not of pixels",
}


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
    stored.scheduler  # noqa: B018 (it must be there before the weights are fetched)
    inside = next((f"{part}/" for part in PARTS if (folder / part).is_dir()), "")
    found = repository.fetch((*CONFIGURATION, *(inside + each for each in WHOLE_AND_SHARDS)))
    if list((found / inside).glob("*.safetensors")):
        return found
    listed = [name for name in repository.files() if name.rpartition("/")[0] == inside.rstrip("/")]
    others = [name for name in listed if name.endswith(".safetensors")]
    pickles = [name for name in listed if name.endswith(".bin")]
    if pickles and not others:
        raise ValueError(refused_pickle(Path(str(repository)) / pickles[0]))
    return repository.fetch((*CONFIGURATION, *others))


@dataclass(frozen=True)
class DiffusersFolder:
    """A folder of a `UNet2DModel` or a `DiTTransformer2DModel` and a scheduler, as
    `save_pretrained` of diffusers writes it.

    Args:
        path: the folder: of a pipeline, with `unet` or `transformer` and `scheduler` in it or their
            files beside each other, as older pipelines have them.

    Raises:
        NotADirectoryError: if it is a file: which folder to give.
        FileNotFoundError: if a file is missing: which.
        ValueError: if the pipeline has no law of pixels (why), or a file is damaged.
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
            self._require_pixels(read_json(self.path / INDEX, "restore a copy"))
        elif not (self.path / CONFIG).is_file():
            raise FileNotFoundError(
                f"{self.path} holds neither {INDEX} nor {CONFIG}: give the folder that "
                "`save_pretrained` of diffusers wrote"
            )

    @property
    def _folder_of_file(self) -> str:
        """What to give in place of a file."""
        inside = self.path.parent
        whole = inside.parent if inside.name in ("unet", "transformer", "scheduler") else inside
        if is_diffusers(whole):
            return repr(str(whole))
        return "the whole folder; for one file of another code see from_improved_diffusion"

    @property
    def network_folder(self) -> Path:
        """The folder of the network's files."""
        found = [self.path / part for part in PARTS if (self.path / part).is_dir()]
        return found[0] if found else self.path

    @property
    def network(self) -> dict[str, Any]:
        """The configuration of the network.

        Raises:
            ValueError: if it is another network than those of :data:`NETWORKS`.
        """
        path = self.network_folder / CONFIG
        config = read_json(path, "restore a copy")
        name = config.get("_class_name")
        if name not in NETWORKS:
            raise ValueError(
                f"{path} is of the class {name}, and from_diffusers reads {' and '.join(NETWORKS)},"
                " the networks of images without a text"
            )
        return config

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

    @property
    def files(self) -> list[Path]:
        """The files of the network's weights, in safetensors.

        Raises:
            FileNotFoundError: if there are none.
            ValueError: if there are pickles only: how to convert them.
        """
        folder = self.network_folder
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
            raise ValueError(refused_pickle(pickles[0]))
        raise FileNotFoundError(f"{folder} holds no {WEIGHTS}: the weights are missing")

    def tensors(self) -> "dict[str, Tensor]":
        """The network's weights by diffusers' present names.

        Raises:
            ValueError: if a file is damaged.
        """
        from .state_dicts import present_names, read_tensors

        tensors: dict[str, Tensor] = {}
        for path in self.files:
            tensors |= read_tensors(path)
        return present_names(tensors)

    def _require_pixels(self, index: dict[str, Any]) -> None:
        name = index.get("_class_name", "a pipeline without a name")
        for parts, instead in (
            (UNSUITED, "from_diffusers reads pipelines of images alone, such as DDPMPipeline"),
            (LATENT, "from_diffusers reads pipelines of pixels, such as DDPMPipeline"),
        ):
            for part, why in parts.items():
                if isinstance(index.get(part), list) and index[part][0] is not None:
                    raise ValueError(f"{self.path} holds {name} with a {part}: {why}. {instead}")
        if not any(part in index for part in PARTS):
            known = ", ".join(key for key in index if not key.startswith("_"))
            raise ValueError(
                f"{self.path} holds {name} without a unet (it has {known or 'nothing'}): "
                f"from_diffusers reads pipelines of {' or '.join(NETWORKS)}, such as DDPMPipeline"
            )


def refused_pickle(path: Path) -> str:
    """Why a pickle is not read, and how to get safetensors."""
    return (
        f"{path} is a pickle, which can run any code when it is read: it is never loaded. Where "
        "you trust it, convert it with diffusers: `UNet2DModel.from_pretrained("
        f"{str(path.parent)!r}, use_safetensors=False).save_pretrained({str(path.parent)!r})` "
        "writes safetensors. On the hub, many repositories have a safetensors file in another "
        "revision or in an open pull request (revision='refs/pr/1')"
    )
