"""Files: compress by a run's model, and read again."""

__all__ = ["compress_", "decompress_"]

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from torch import Tensor

from .._utils import files
from ..coding import (
    Codec,
    CompressionReport,
    LayeredCodec,
    compress_array,
    decompress_array,
    order_of,
)
from ..diffusion import Diffusion
from ..recipes.runs import Opened, open_run
from ..reporting.console import Display
from .arguments import Along, Folder, Out, along, load_array, parse
from .image_files import given, write_drawn
from .opened_table import OpenedTable, is_table
from .table_coding import compress_table, decompress_table


@dataclasses.dataclass
class _Compress:
    """Write an array as a file as short as the model's bound says, lossless. The names of a
    folder's files are kept in a file beside it."""

    run: Folder
    file: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(help="A .npy file or a folder of images; default: the run's test data."),
    ] = None
    out: Out = None
    times: Annotated[int | None, tyro.conf.arg(help="Even steps of the chain; default: 50.")] = None
    path: Along = None
    layers: Annotated[
        int | None,
        tyro.conf.arg(help="So many, from rough to exact: a file whose beginning can be read."),
    ] = None
    block: Annotated[int, tyro.conf.arg(help="Examples that are read by themselves.")] = 2048
    together: Annotated[int, tyro.conf.arg(help="Examples that the network sees at once.")] = 64
    workers: Annotated[int | None, tyro.conf.arg(help="Blocks at a time; default: cores.")] = None
    verify: Annotated[bool, tyro.conf.arg(help="Read each block before it is written.")] = True
    json: bool = False


def compress_(words: Sequence[str]) -> None:
    """Write an array as a file as short as the bound says, lossless."""
    asked: _Compress = parse(_Compress, "compress", words)
    display = Display(asked.json)
    name = "test.npy" if asked.file is None else asked.file.name
    path = asked.out or Path(f"{name}.qs")
    names: tuple[str, ...] = ()
    if is_table(asked.run):
        report = _compressed_table(asked, path)
    else:
        opened = open_run(asked.run)
        x, names = _data(asked.file, opened)
        if asked.layers is not None:
            _compress_in_layers(asked, opened, np.asarray(x), path, display)
            return _keep_names(path, names)
        times = along(asked.times, asked.path, opened)
        report = compress_array(_codec(asked, opened.model, times), x, path)
    _keep_names(path, names)
    display.say(f"wrote {path}: {report}")
    display.result(
        out=str(path),
        bytes=report.total,
        bits_per_dim=report.bits_per_dim,
        net_bits_per_dim=report.net_bits_per_dim,
        overhead_bytes=report.overhead,
        pays_off=report.pays_off,
        blocks=report.blocks,
        examples=report.examples,
    )


def _codec(asked: _Compress, model: Diffusion, times: int | Tensor | None) -> Codec:
    return Codec(
        model,
        times,
        block=asked.block,
        together=asked.together,
        workers=asked.workers,
        verify=asked.verify,
    )


def _compressed_table(asked: _Compress, path: Path) -> CompressionReport:
    if asked.file is None or asked.layers is not None or asked.path is not None:
        raise ValueError("a fitted table takes a table in a file, and neither --layers nor --path")
    table = OpenedTable.open(asked.run)
    codec = _codec(asked, table.density.model_, asked.times)
    return compress_table(table, codec, asked.file, path)


def _compress_in_layers(
    asked: _Compress, opened: Opened, x: np.ndarray, path: Path, display: Display
) -> None:
    codec = LayeredCodec(opened.model, asked.layers)
    with files.writing(path) as file:
        size = codec.write(x, file)
    display.say(f"wrote {path}: {len(x)} examples in {size:,} bytes, in {asked.layers} layers")
    display.result(out=str(path), bytes=size, layers=asked.layers, examples=len(x))


@dataclasses.dataclass
class _Decompress:
    """Read what a file holds: as an array; or as a folder of PNG files, if --out has no ending."""

    run: Folder
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="What compress wrote.")]
    out: Out = None
    anyway: Annotated[
        bool, tyro.conf.arg(help="Also if a machine wrote it whose arithmetic may differ.")
    ] = False
    workers: Annotated[int | None, tyro.conf.arg(help="Blocks at a time; default: cores.")] = None
    json: bool = False


def decompress_(words: Sequence[str]) -> None:
    """Read what compress wrote, to the last bit: as .npy, a table by the ending, or images as a
    folder."""
    asked: _Decompress = parse(_Decompress, "decompress", words)
    display = Display(asked.json)
    if is_table(asked.run):
        return _decompress_table(asked, display)
    opened = open_run(asked.run)
    path = asked.out or Path(asked.file.name.removesuffix(".qs")).with_suffix(".npy")
    if order_of(asked.file) == "layers":
        return _decompress_layers(asked, opened, path, display)
    codec = Codec(opened.model, workers=asked.workers)
    if path.suffix:
        header = decompress_array(codec, asked.file, path, asked.anyway)
    else:
        with tempfile.TemporaryDirectory() as room:
            array = Path(room) / "images.npy"
            header = decompress_array(codec, asked.file, array, asked.anyway)
            write_drawn(path, load_array(array, mapped=True), opened, _names(asked.file))
    shape = [header.count, *header.shape]
    display.say(f"wrote {path}: {tuple(shape)}, {np.dtype(header.dtype)}")
    display.result(out=str(path), shape=shape, dtype=header.dtype)


def _decompress_table(asked: _Decompress, display: Display) -> None:
    table = OpenedTable.open(asked.run)
    path = asked.out or Path(asked.file.name.removesuffix(".qs"))
    codec = Codec(table.density.model_, workers=asked.workers)
    header = decompress_table(table, codec, asked.file, path, asked.anyway)
    display.say(f"wrote {path}: {header.count} rows of {len(table.types)} columns")
    display.result(out=str(path), shape=[header.count, len(table.types)])


def _decompress_layers(asked: _Decompress, opened: Opened, path: Path, display: Display) -> None:
    found = LayeredCodec(opened.model).decompress(asked.file.read_bytes(), asked.anyway)
    write_drawn(path, found.array, opened, _names(asked.file))
    exact = (
        "to the last bit" if found.t == 0 else f"the guess at time {found.t}: the file ends there"
    )
    display.say(f"wrote {path}: {found.array.shape}, {exact}")
    display.result(out=str(path), shape=list(found.array.shape), t=found.t)


def _data(file: Path | None, opened: Opened) -> tuple[np.ndarray, tuple[str, ...]]:
    """What is to be written, and the names of its files, if it is a folder; an array stays on disk
    until its values are needed."""
    if file is None:
        return np.asarray(opened.experiment.data.test), ()
    if file.is_dir():
        images = given(file, opened, exact=True)
        return images.array, images.names
    return load_array(file, mapped=True), ()


def _beside(stream: Path) -> Path:
    """Where the names of a stream's files are kept: it holds values alone."""
    return stream.with_name(f"{stream.name}.names.json")


def _keep_names(stream: Path, names: tuple[str, ...]) -> None:
    if names:
        files.write_text(_beside(stream), json.dumps(names) + "\n")
    else:
        _beside(stream).unlink(missing_ok=True)


def _names(stream: Path) -> tuple[str, ...]:
    """The names that were kept; none where there are none, and files are numbered."""
    kept = _beside(stream)
    try:
        return tuple(map(str, json.loads(kept.read_text()))) if kept.is_file() else ()
    except ValueError:
        raise ValueError(f"{kept} is damaged: delete it, and files are numbered") from None
