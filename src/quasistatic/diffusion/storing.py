"""A model as two files: `config.json` and `model.safetensors`."""

__all__ = ["Storing", "read_config"]

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from .._utils import files, serialization
from .._utils.allocation import Misfit, require_weights
from .._utils.naming import as_path
from .._utils.serialization import FORMAT
from ..model import Model
from ..networks.earlier_classes import converted_description, converted_tensors
from .registry import KNOWN


class Storing(Model):
    """Saves and loads a model, and builds one from its description."""

    def save(self, folder: str | Path, **facts: Any) -> None:
        """Writes `config.json` and `model.safetensors` to a folder, whole or not at all."""
        folder = Path(folder)
        files.save_tensors(folder / "model.safetensors", self.state_dict(), facts)
        text = json.dumps({"format": FORMAT, "model": self.describe()}, indent=2)
        files.write_text(folder / "config.json", text + "\n")

    @classmethod
    def build(cls, description: dict[str, Any], network: nn.Module | None = None) -> Self:
        """The model that :meth:`describe` described, with new weights; a network of your own
        class has to be given."""
        description = converted_description(description)
        kinds = ("space", "kernel", "head") + (() if network is not None else ("network",))
        kinds += ("condition",) * ("condition" in description)
        missing = [name for name in kinds if name not in description]
        if missing:
            raise ValueError(f"the description of a model lacks {', '.join(missing)}")
        parts: dict[str, Any] = {
            name: serialization.build(description[name], KNOWN) for name in kinds
        }
        return cls(**{"network": network, **parts})

    @classmethod
    def load(cls, folder: str | Path, network: nn.Module | None = None) -> Self:
        """Loads the model from a folder that :meth:`save` or a training run wrote.

        Args:
            folder: the folder.
            network: an instance of your own network class, whose weights are then loaded; None
                for the networks of this library.

        Returns:
            The model, in evaluation mode.

        Raises:
            TypeError: if `folder` is no path.
            FileNotFoundError: if the folder or one of its two files is missing.
            ValueError: if they are damaged, from another version, or do not fit together; or if
                weights are NaN.
        """
        folder = as_path("folder", folder)
        stored = read_config(folder)
        tensors, _ = files.load_tensors(folder / "model.safetensors")
        _require_numbers(tensors, folder / "model.safetensors")
        tensors = converted_tensors(stored["model"], tensors)
        if network is None:
            _require_known_network(folder, stored["model"])
        try:
            if network is None:
                _require_weights(converted_description(stored["model"]), tensors)
            model = cls.build(stored["model"], network)
            model.load_state_dict(tensors)
        except (RuntimeError, Misfit) as error:
            raise ValueError(
                f"the weights in {folder} do not fit its config.json: {error}"
            ) from None
        return model.eval()

    def resized(self, shape: int | tuple[int, ...]) -> Self:
        """This model for examples of another shape, with its weights: what a convolutional
        network learned of small textures holds for large ones.

        Raises:
            TypeError: if the network or the space has parts of their own for each place.
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        description = self.describe()
        try:
            space = self.space.resized(sizes)
            description["space"] = serialization.describe(space)
            resized: Callable[..., nn.Module] | None = getattr(self.network, "resized", None)
            if resized is not None:
                network = resized(space.state)
            else:
                description["network"] |= {"shape": list(space.state)}
                network = serialization.build(description["network"], KNOWN)
                network.load_state_dict(self.network.state_dict())
            model = type(self).build(description, network)
            if model.space.module is not None and self.space.module is not None:
                model.space.module.load_state_dict(self.space.module.state_dict())
            model.course.load_state_dict(self.course.state_dict())
        except (RuntimeError, ValueError) as error:
            raise TypeError(
                f"the model cannot be moved to data of shape {tuple(sizes)}: {error}"
            ) from None
        return model.to(self.blank(1)).train(self.training)


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder, checked for its version."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "model_index.json").is_file():
        raise ValueError(
            f"{folder} was saved by diffusers: open it by from_diffusers({str(folder)!r})"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no config.json: it is not a run, or was cut short")
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
        version = stored["format"]
        stored["model"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): restore it or train again") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} has format {version}, and this version of quasistatic reads {FORMAT}: "
            "use the version that wrote it, or train again"
        )
    return stored


def _require_numbers(tensors: dict[str, Tensor], path: Path) -> None:
    """Refuses weights that are NaN: every answer of the model would be NaN too."""
    for name, tensor in tensors.items():
        unknown = int(tensor.isnan().sum())
        if unknown:
            raise ValueError(
                f"{path} holds NaN in {unknown} of {tensor.numel()} values of {name}: the training "
                "diverged, or the file was made by other means; train again, or restore a copy"
            )


def _require_weights(description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Compares the network that is described with its tensors, before it takes memory."""
    if "network" not in description or "space" not in description:
        return  # `Diffusion.build` names what is missing
    state = serialization.build(description["space"], KNOWN).state
    start = "network."
    weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    require_weights(lambda: serialization.build(description["network"], KNOWN), weights, state)


def _require_known_network(folder: Path, description: dict[str, Any]) -> None:
    """ValueError if the network in a folder is of a user's own class, which has to be passed."""
    stored = converted_description(description).get("network")
    name = stored.get("is") if isinstance(stored, dict) else None
    if isinstance(name, str) and name not in KNOWN:
        assert isinstance(stored, dict)  # as it has a name
        given = ", ".join(f"{key}={value!r}" for key, value in stored.items() if key != "is")
        instance = f"{name}({given or '...'})"
        raise ValueError(
            f"the network in {folder} is of the class {name}, which is not one of quasistatic's: "
            f"pass an instance of it, as load(folder, network={instance:.200}), or make the class "
            f"known before, as register({name}) does for a dataclass. Commands and the studio open "
            "only networks that quasistatic has"
        )
