"""Files: compress by a run's model, and read again."""

__all__ = ["compress_", "decompress_"]

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from torch import Tensor

from .. import files
from ..coding import Codec, LayeredCodec, Report, compress_array, decompress_array, order_of
from ..data import image_folder
from ..diffusion import Diffusion
from ..display import Display
from ..runs import Opened, open_run
from .opened_table import OpenedTable, is_table
from .table_coding import compress_table, decompress_table
from .words import Along, Folder, along, load_array, parse, save_array


@dataclasses.dataclass
class _Compress:
    """Write an array as a file as short as the model's bound says, lossless."""

    run: Folder
    file: Annotated[
        Path | None,
        tyro.conf.Positional,
        tyro.conf.arg(help="A .npy file or a folder of images; default: the run's test data."),
    ] = None
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
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
    if is_table(asked.run):
        report = _compressed_table(asked, path)
    else:
        opened = open_run(asked.run)
        x = _data(asked.file, opened)
        if asked.layers is not None:
            return _compress_in_layers(asked, opened, np.asarray(x), path, display)
        times = along(asked.times, asked.path, opened)
        report = compress_array(_codec(asked, opened.model, times), x, path)
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
        ... if times is None else times,
        block=asked.block,
        together=asked.together,
        workers=asked.workers,
        verify=asked.verify,
    )


def _compressed_table(asked: _Compress, path: Path) -> Report:
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
    """Read the array that a file holds."""

    run: Folder
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="What compress wrote.")]
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    anyway: Annotated[
        bool, tyro.conf.arg(help="Also if a machine wrote it whose arithmetic may differ.")
    ] = False
    workers: Annotated[int | None, tyro.conf.arg(help="Blocks at a time; default: cores.")] = None
    json: bool = False


def decompress_(words: Sequence[str]) -> None:
    """Read what compress wrote, to the last bit: an array as .npy, a table by the ending."""
    asked: _Decompress = parse(_Decompress, "decompress", words)
    display = Display(asked.json)
    if is_table(asked.run):
        return _decompress_table(asked, display)
    opened = open_run(asked.run)
    path = asked.out or Path(asked.file.name.removesuffix(".qs")).with_suffix(".npy")
    if order_of(asked.file) == "layers":
        return _decompress_layers(asked, opened, path, display)
    codec = Codec(opened.model, workers=asked.workers)
    header = decompress_array(codec, asked.file, path, asked.anyway)
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
    save_array(path, found.array)
    exact = (
        "to the last bit" if found.t == 0 else f"the guess at time {found.t}: the file ends there"
    )
    display.say(f"wrote {path}: {found.array.shape}, {exact}")
    display.result(out=str(path), shape=list(found.array.shape), t=found.t)


def _data(file: Path | None, opened: Opened) -> np.ndarray:
    """What is to be written; an array stays on disk until its values are needed."""
    if file is None:
        return np.asarray(opened.experiment.data.test)
    return image_folder(file) if file.is_dir() else load_array(file, mapped=True)
