"""The verbs that compress a trained run's data, and read them again."""

__all__ = ["CodingVerbs", "coding_answer", "keep_names", "kept_names"]

import abc
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._utils import files
from ..coding import (
    Codec,
    CompressionReport,
    Following,
    LayeredCodec,
    compress_array,
    decompress_array,
    header_in,
)
from ..data.folders import is_image_file
from ..diffusion import Diffusion
from ..reporting.answer import Answer
from .arrays_io import load_array
from .trained import Data, TrainedModel, as_path


class CodingVerbs(TrainedModel, abc.ABC):
    """The verbs compress and decompress of a trained run."""

    def compress(
        self,
        file: Data | None = None,
        *,
        out: Path | None = None,
        times: int | None = None,
        path: int | None = None,
        given: Sequence[str] = (),
        layers: int | None = None,
        block: int = 2048,
        together: int = 64,
        workers: int | None = None,
        verify: bool = True,
        portable: bool = True,
    ) -> Answer:
        """Compresses examples without loss, to about as many bits as the model's bound says.

        Args:
            file: a .npy file, a folder of images, one image file, or an array; by default the run's
                test rows.
            out: where to write; by default the file's name with .qs. The names of a folder's files
                are kept in a second file beside it.
            times: evenly spread time steps of the chain, 50 by default.
            path: instead, the length of a path that :meth:`grid` saved.
            given: y of p(x | y), for a run with a condition, see :func:`.read_given`. The stream
                does not hold it: :meth:`decompress` needs the same.
            layers: the number of layers of a progressive stream, a prefix of which decodes to an
                approximation; by default the stream is not progressive.
            block: the number of examples in a block. Each block is decoded by itself.
            together: the number of examples that the network processes at once.
            workers: the number of blocks that are coded in parallel; by default the number of
                cores.
            verify: decode each block before it is written.
            portable: write a stream that any machine can read. False is faster, but then only a
                machine with the same floating-point arithmetic can read the stream.
        """
        source = as_path(file) if file is not None else None
        target = Path(out or f"{'test.npy' if source is None else source.name}.qs")
        x, names = self._to_compress(file)
        y = self._given(given, len(x), file is None)
        model = self.model.given_each(y, len(x))
        if layers is not None:
            layered = LayeredCodec(model, layers, portable=portable)
            with files.writing(target) as stream:
                size = layered.write(np.asarray(x), stream)
            keep_names(target, names)
            about = f"wrote {target}: {len(x)} examples in {size:,} bytes, in {layers} layers"
            facts = {"out": str(target), "bytes": size, "layers": layers, "examples": len(x)}
            return Answer(facts, [about])
        sizes: dict[str, Any] = {
            "block": block,
            "together": together,
            "workers": workers,
            "verify": verify,
            "portable": portable,
        }
        chain = self._times(times, path)
        if chain is not None:
            sizes["times"] = chain
        with self.display.counting("compress", len(x)) as advance:
            following = Following(self.display.say, advance)
            report = compress_array(Codec(model, **sizes), x, target, following)
        keep_names(target, names)
        return coding_answer(target, report)

    def decompress(
        self,
        file: str | Path,
        *,
        out: Path | None = None,
        given: Sequence[str] = (),
        anyway: bool = False,
        workers: int | None = None,
    ) -> Answer:
        """Reads what :meth:`compress` wrote, exactly as it was.

        Args:
            file: the stream.
            out: where to write: a .npy file, one .png sheet, or a folder of PNG files if it has no
                ending; by default the stream's name with .npy.
            given: the y that :meth:`compress` was given; several classes as a .npy file.
            anyway: read it even if the floating-point arithmetic of its writer may differ from this
                machine's.
            workers: the number of blocks that are decoded in parallel; by default the number of
                cores.
        """
        source = Path(file)
        path = Path(out or Path(source.name.removesuffix(".qs")).with_suffix(".npy"))
        y = self._given(given, None, True)
        model = self.model if y is None else self.model.given(y)
        if header_in(source).order == "layers":
            return self._decompress_layers(model, source, path, anyway)
        codec = Codec(model, workers=workers)
        with (
            self.display.counting("decompress", header_in(source).count) as advance,
            tempfile.TemporaryDirectory() as folder,
        ):
            following = Following(self.display.say, advance)
            array = path if path.suffix == ".npy" else Path(folder) / "array.npy"
            header = decompress_array(codec, source, array, anyway, following, path)
            if array != path:
                self.write(path, load_array(array), kept_names(source))
        shape = [header.count, *header.shape]
        line = f"wrote {path}: {tuple(shape)}, {np.dtype(header.dtype)}"
        return Answer({"out": str(path), "shape": shape, "dtype": header.dtype}, [line])

    def _decompress_layers(
        self, model: Diffusion, source: Path, path: Path, anyway: bool
    ) -> Answer:
        found = LayeredCodec(model).decompress(source.read_bytes(), anyway)
        self.write(path, found.array, kept_names(source))
        exact = (
            "exact" if found.t == 0 else f"the approximation at time {found.t}: the file ends there"
        )
        shape = list(found.array.shape)
        facts = {"out": str(path), "shape": shape, "t": found.t}
        return Answer(facts, [f"wrote {path}: {found.array.shape}, {exact}"], found.array)

    def _to_compress(self, file: Data | None) -> tuple[np.ndarray, tuple[str, ...]]:
        """The examples, and the names of a folder's files, which are empty for an array."""
        if file is None:
            return np.asarray(self.run.experiment.data.test), ()
        source = as_path(file)
        if source is None or not (source.is_dir() or is_image_file(source)):
            return load_array(file), ()
        return self.read(source, exact=True)


def coding_answer(path: Path, report: CompressionReport) -> Answer:
    """The answer of `compress`."""
    facts: dict[str, Any] = {
        "out": str(path),
        "bytes": report.total,
        "bits_per_dim": report.bits_per_dim,
        "net_bits_per_dim": report.net_bits_per_dim,
        "overhead_bytes": report.overhead,
        "pays_off": report.pays_off,
        "blocks": report.blocks,
        "examples": report.examples,
    }
    return Answer(facts, [f"wrote {path}: {report}"], report)


def keep_names(stream: Path, names: tuple[str, ...]) -> None:
    """Saves the names of a folder's files beside a stream, which holds values alone."""
    if names:
        files.write_text(_beside(stream), json.dumps(names) + "\n")
    else:
        _beside(stream).unlink(missing_ok=True)


def kept_names(stream: Path) -> tuple[str, ...]:
    """The names that were saved beside a stream; none if there are none."""
    kept = _beside(stream)
    if not kept.is_file():
        return ()
    try:
        names = json.loads(kept.read_text())
        return tuple(map(str, names if isinstance(names, list) else json.loads("")))
    except ValueError:
        raise ValueError(
            f"{kept} is damaged: delete it, and the files are numbered instead"
        ) from None


def _beside(stream: Path) -> Path:
    return stream.with_name(f"{stream.name}.names.json")
