"""Examples compressed without loss by the model, beside other formats; and layer by layer."""

__all__ = ["shrink"]

import base64
import io
import lzma
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...coding import Codec, LayeredCodec
from ..asked import Asked
from ..files import read_examples
from ..jobs import Event, Job
from ..looks import Images
from ..snippets import Snippet, command, opening
from ..subjects import Trained
from ..watching import watched

MOST, SHOWN = 256, 12
"""Examples that are compressed, and those whose layers are shown."""

STEPS = 50
FILE = "data.npy"


def shrink(subject: Trained, asked: Asked, job: Job) -> Event:
    """Compresses files or test rows. With `layers`, also as a stream that can be read in part."""
    x, names, note = _examples(subject, asked)
    layers = asked.whole("layers", 0, 0, 50)
    most = subject.model.steps
    steps = asked.whole("times", min(STEPS, most), 2, most) if subject.model.head.jumps else most
    batches = -(-len(x) // 64)
    # Coding visits each step once to write, and reading it back once more.
    model, _ = watched(subject.model, job, 2 * (steps + 1) * batches)
    codec = Codec(model, steps, verify=False)
    file = io.BytesIO()
    report = codec.write(x, file)
    stream = file.getvalue()
    exact = np.array_equal(codec.decompress(stream), x)
    sizes = [*others(x, subject), ("this model", len(stream))]
    job.send("sizes", sizes=sizes)
    facts: dict[str, Any] = {
        "sizes": sizes,
        "exact": bool(exact),
        "count": len(x),
        "names": list(names[:SHOWN]),
        "note": note,
        "bits_per_dim": report.bits_per_dim,
        "net_bits_per_dim": report.net_bits_per_dim,
        "pays_off": report.pays_off,
        "images": subject.look.pack(torch.as_tensor(x[:SHOWN].astype(np.float64))),
    }
    if layers:
        facts["layers"] = _layers(subject, x[:SHOWN], layers, job)
    lines = ["import numpy as np", *opening(subject.word), f'x = np.load("{FILE}")']
    lines.append(f"stream = model.compress(x, {steps})")
    if layers:
        lines += [
            f"layered = qs.LayeredCodec(model, {layers})",
            f"first = layered.compress(x[:{SHOWN}])",
        ]
    options = [("--times", steps), ("--out", "data.qs")]
    line = command("compress", subject.word, FILE, options=options)
    if layers:
        options = [("--layers", layers), ("--out", "layers.qs")]
        line += "\n" + command("compress", subject.word, FILE, options=options)
    where = f"Both read the examples, in {FILE}: save it with the button."
    kept = io.BytesIO()
    np.save(kept, x)
    facts["file"] = base64.b64encode(kept.getvalue()).decode()
    facts["snippet"] = Snippet("\n".join(lines), line, where).facts()
    return facts


def _examples(subject: Trained, asked: Asked) -> tuple[np.ndarray, tuple[str, ...], str]:
    """The examples as whole numbers where the model has levels."""
    count = asked.whole("count", 64, 1, MOST)
    if "files" in asked.fields:
        read = read_examples(subject.look, asked.uploads(), asked.flag("invert"))
        x, names, note = read.x, read.names, read.note
    else:
        rows = np.asarray(subject.run.experiment.data.test)
        order = np.random.default_rng(0).permutation(len(rows))[:count]
        x, names, note = rows[np.sort(order)], tuple(map(str, np.sort(order))), ""
    subject.model.space.check(x)
    levels = subject.model.space.levels
    if levels is not None and len(levels) <= 256:
        x = x.astype(np.uint8)
    return x, names, note


def others(x: np.ndarray, subject: Trained) -> list[tuple[str, int]]:
    """The sizes of x in general formats, in bytes."""
    levels, look = subject.model.space.levels, subject.look
    bits = levels is not None and len(levels) == 2
    found = [("plain", x.size // 8 if bits else x.nbytes)]
    packed = np.packbits(x.astype(bool)).tobytes() if bits else np.ascontiguousarray(x).tobytes()
    found.append(("xz", len(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME))))
    if isinstance(look, Images) and levels is not None and len(levels) <= 256:
        sheet = _sheet(x, look)
        found.append(("PNG, one sheet", len(_png(sheet, bits))))
        if find_spec("imagecodecs") is not None:
            import imagecodecs

            scaled = sheet * 255 if bits else sheet
            found.append(
                (
                    "JPEG XL, one sheet",
                    len(imagecodecs.jpegxl_encode(scaled, lossless=True, effort=7)),
                )
            )
    return found


def _sheet(x: np.ndarray, look: Images) -> np.ndarray:
    """All images below each other, (n * height, width) or with colours last."""
    planes = x.reshape(len(x), look.colours, look.height, look.width).transpose(0, 2, 3, 1)
    sheet = planes.reshape(-1, look.width, look.colours)
    return np.ascontiguousarray(sheet[..., 0] if look.colours == 1 else sheet)


def _png(sheet: np.ndarray, bits: bool) -> bytes:
    image = Image.fromarray(sheet * 255).convert("1") if bits else Image.fromarray(sheet)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _layers(subject: Trained, x: np.ndarray, layers: int, job: Job) -> list[Event]:
    """What a reader sees after each layer of a stream."""
    model, _ = watched(subject.model, job, 2 * layers)
    codec = LayeredCodec(model, layers)
    stream = codec.compress(x)
    found = []
    for each in codec.read(io.BytesIO(stream)):
        shown = torch.as_tensor(each.array.astype(np.float64))
        found.append({"size": each.size, "t": each.t, "images": subject.look.pack(shown)})
    return found
