"""Writes docs/site/chain.html, a slider over the time of a diffusion chain, which needs no server:

python docs/chain.py

The data are a swiss roll whose law is known, and the exact estimates stand in place of a network.
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

import quasistatic as qs
from quasistatic.diagnostics.oracles import SwissRollOracle
from quasistatic.model import Model
from quasistatic.sampling import Ancestral, Multistep
from quasistatic.sampling.steppers import State

TARGET = Path(__file__).resolve().parent / "site"
POINTS, FRAMES, STEPS, REACH, ARROWS = 320, 41, 400, 2.6, 13


def rounded(x: Tensor) -> list:
    """Nested lists of whole numbers, a hundredth of the units of x each."""
    return (100 * x).round().int().tolist()


def frames() -> dict[str, list]:
    """The points of both processes and the arrows of the flow at each time that is shown."""
    torch.set_default_dtype(torch.float64)
    rng = torch.Generator().manual_seed(0)
    law, kernel = SwissRollOracle(0.1), qs.GaussianKernel(qs.schedules.linear_log_snr(STEPS, 9, -7))
    model = Model(**law.parts(kernel)).double()
    times = torch.linspace(1, STEPS, FRAMES - 1).round().long()
    x_0 = law.sample(POINTS, rng)
    x_0 = x_0[x_0.norm(dim=1).argsort()]  # the colour follows the roll
    noise = torch.randn(x_0.shape, generator=rng)
    forward = [x_0]
    for t in times:
        at = t.expand(POINTS)
        forward.append(kernel.signal(at, x_0) * x_0 + kernel.noise(at, x_0) * noise)
    backward = {STEPS: torch.randn(x_0.shape, generator=rng)}
    walk = Ancestral().walk(model, State(backward[STEPS], STEPS), range(1, STEPS + 1), rng)
    backward |= {state.t: state.x for state in walk}
    line = torch.linspace(-REACH, REACH, ARROWS) * 0.92
    grid = torch.cartesian_prod(line, line)
    flow = Multistep(1, corrected=False)
    arrows = [grid * 0]
    for t, s in zip(times.tolist(), [0, *times.tolist()], strict=False):
        found = next(x.x for x in flow.walk(model, State(grid, t), [s] if s else []) if x.t == s)
        step = found - grid
        arrows.append(step * (0.3 / step.norm(dim=1, keepdim=True).clamp(min=0.3)))
    half = 0.5 * kernel.schedule.log_snr[times]
    return {
        "t": [0, *times.tolist()],
        "ratio": [None, *(round(math.exp(h), 3) for h in half.tolist())],
        "forward": [rounded(x) for x in forward],
        "backward": [rounded(backward[t]) for t in (0, *times.tolist())],
        "grid": rounded(grid),
        "arrows": [rounded(x) for x in arrows],
    }


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The chain of a diffusion model</title>
<style>
  body { font: 15px/1.4 system-ui, sans-serif; margin: 0.6rem; color: #222; background: #fff; }
  main { display: flex; flex-wrap: wrap; gap: 0.6rem; }
  figure { flex: 1 1 260px; margin: 0; max-width: 460px; }
  canvas { width: 100%; aspect-ratio: 1; border: 1px solid #bbb; }
  figcaption { font-weight: 600; }
  form { display: flex; gap: 0.6rem; align-items: center; margin: 0 0 0.5rem; }
  input[type=range] { flex: 1; min-width: 0; }
  button { font: inherit; padding: 0.25rem 0.8rem; }
  @media (prefers-color-scheme: dark) { body { color: #ddd; background: #1e2129; } }
</style>
<form onsubmit="return false">
  <button id="play" type="button">Play</button>
  <input id="time" type="range" min="0" max="LAST" value="START" aria-label="time t">
</form>
<p id="says" aria-live="polite"></p>
<main>
  <figure><figcaption>Forward: noise is added to data</figcaption>
    <canvas id="forward"></canvas></figure>
  <figure><figcaption>Backward: the model removes it</figcaption>
    <canvas id="backward"></canvas></figure>
</main>
<script>
const data = DATA, reach = REACH;
const slider = document.getElementById("time"), says = document.getElementById("says");
const play = document.getElementById("play");
function draw(name, points, arrows) {
  const canvas = document.getElementById(name), size = canvas.clientWidth * devicePixelRatio;
  canvas.width = canvas.height = size;
  const c = canvas.getContext("2d"), at = v => size * (v / 100 + reach) / (2 * reach);
  if (arrows) {
    c.strokeStyle = "#9aa0a6"; c.lineWidth = size / 450; c.beginPath();
    data.grid.forEach(([x, y], i) => {
      const [u, v] = arrows[i];
      c.moveTo(at(x), size - at(y)); c.lineTo(at(x + u), size - at(y + v));
    });
    c.stroke();
  }
  points.forEach(([x, y], i) => {
    c.fillStyle = `hsl(${280 * i / points.length} 75% 48%)`;
    c.beginPath(); c.arc(at(x), size - at(y), size / 130, 0, 7); c.fill();
  });
}
function show() {
  const k = +slider.value, ratio = data.ratio[k];
  draw("forward", data.forward[k]);
  draw("backward", data.backward[k], data.arrows[k]);
  says.textContent = `t = ${data.t[k]} of STEPS. ` + (k === 0 ? "There is no noise." :
    `Signal / noise = ${ratio}. The lines show where a point moves next on average.`);
}
let timer = null;
play.onclick = () => {
  if (timer) { clearInterval(timer); timer = null; play.textContent = "Play"; return; }
  play.textContent = "Stop";
  if (+slider.value === 0) slider.value = slider.max;
  timer = setInterval(() => {
    slider.value = +slider.value - 1; show();
    if (+slider.value === 0) play.onclick();
  }, 120);
};
slider.oninput = show; window.onresize = show; show();
</script>
</html>
"""


def main() -> None:
    text = PAGE.replace("DATA", json.dumps(frames(), separators=(",", ":")))
    text = (
        text.replace("REACH", str(REACH))
        .replace("LAST", str(FRAMES - 1))
        .replace("START", str(FRAMES // 2))
    )
    TARGET.mkdir(exist_ok=True)
    (TARGET / "chain.html").write_text(text.replace("STEPS", str(STEPS)), "utf-8")


if __name__ == "__main__":
    main()
