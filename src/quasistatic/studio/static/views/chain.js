// The chain: a slider over t, forward and back side by side.

import { h, number, tidy } from "../dom.js";
import { Examples, imagesOf } from "../examples.js";
import { figure, paint, scatter } from "../pictures.js";
import { Work, snippet } from "../work.js";

export const title = () => "The chain";
export const lead = (model) => model.look === "points"
  ? "Forward, noise is added to the data until nothing is left of them. Back, the model removes it. A line at a dot shows which way a point there moves."
  : "Forward, noise is added to an example until nothing is left of it. At each t, the model estimates the example from what it sees. Back, it removes the noise step by step.";

export function mount(page, model) {
  new Chain(page, model);
}

class Chain {
  constructor(page, model) {
    this.model = model; this.values = null; this.found = null;
    this.seed = number("Seed", 0, { least: 0, most: 2147483647 });
    this.work = new Work("Walk the chain");
    this.slider = h("input", { type: "range", min: 0, max: 32, value: 16, id: "chain-t", oninput: () => this.show() });
    this.play = h("button", { type: "button", class: "quiet", onclick: () => this.toggle() }, "Play");
    this.says = h("output", { for: "chain-t", class: "quiet-text" });
    const part = (caption, label) => figure(caption, label);
    const plane = model.look === "points";
    this.figures = plane
      ? { forward: part("Forward: data with noise", "Forward"), back: part("Back: the model removes it; blue is the density", "Back") }
      : { data: part("Data", "The data"), forward: part("Forward: x_t", "Forward"), estimate: part("Estimate of x_0 from it", "Estimate, forward"), deviation: part("Uncertainty of the estimate", "Uncertainty, forward"),
        back: part("Back: x_t", "Back"), backEstimate: part("Estimate of x_0 from it", "Estimate, back"), backDeviation: part("Uncertainty of the estimate", "Uncertainty, back"), drawn: part("Where the way back ends", "The draw") };
    const group = (name, ...parts) => h("section", {}, h("h2", {}, name), h("div", { class: "figures" }, parts));
    const f = this.figures;
    this.shown = h("div", { hidden: true },
      h("div", { class: "buttons", style: { "flex-wrap": "nowrap" } }, this.play, h("label", { for: "chain-t" }, "t"), this.slider), this.says,
      plane ? h("section", {}, h("div", { class: "figures large" }, f.forward, f.back))
        : [group("Forward", f.data, f.forward, f.estimate, f.deviation), group("Back", f.back, f.backEstimate, f.backDeviation, f.drawn)]);
    this.code = h("div");
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.run(); } }, this.seed, this.work.element);
    if (plane) {
      page.append(h("div", { class: "split" }, form, h("div", {}, this.shown, this.code)));
      this.run();
    } else {
      this.examples = new Examples(model, (values) => { this.values = values; this.run(); });
      page.append(h("div", { class: "split" }, h("div", {}, this.examples.element, h("section", {}, form)), h("div", {}, this.shown, this.code)));
      this.examples.load("draws");
    }
    page.addEventListener("shown", () => { this.examples?.again(); this.show(); });
  }

  async run() {
    const asked = { run: this.model.run, seed: this.seed.value() };
    if (this.model.look !== "points") asked.values = this.values;
    const found = await this.work.run("chain", asked);
    if (!found) return;
    this.found = found;
    this.slider.max = found.times.length - 1;
    this.shown.hidden = false;
    this.code.replaceChildren(snippet(found.snippet));
    this.show();
  }

  show() {
    const { found, model, figures: f } = this;
    if (!found) return;
    const k = Number(this.slider.value), forward = found.forward[k], back = found.backward[k];
    const log = found.log_snr[k];
    this.says.textContent = `t = ${found.times[k]} of ${model.steps}. ${log === null ? "No noise." : Number.isFinite(log) ? `Signal over noise: ${tidy(Math.exp(log / 2))}.` : ""}`;
    this.slider.setAttribute("aria-valuetext", this.says.textContent);
    if (model.look === "points") {
      scatter(f.forward.canvas, forward.x.values, model, { arrows: forward.arrows });
      scatter(f.back.canvas, back.x.values.slice(0, 200), model, { density: back.density, arrows: back.arrows });
      return;
    }
    const put = (where, images, palette) => { where.hidden = !images; if (images) paint(where.canvas, images, 0, model, palette); };
    put(f.data, found.data);
    put(f.forward, forward.x);
    put(f.estimate, forward.estimate ?? found.data);
    put(f.deviation, forward.deviation ?? blank(model), "heat");
    put(f.back, back.x);
    put(f.backEstimate, back.estimate ?? found.backward[0].x);
    put(f.backDeviation, back.deviation ?? blank(model), "heat");
    put(f.drawn, found.backward[0].x);
  }

  toggle() {
    if (this.timer) { clearInterval(this.timer); this.timer = null; this.play.textContent = "Play"; return; }
    this.play.textContent = "Pause";
    if (this.slider.value === "0") this.slider.value = this.slider.max;
    this.timer = setInterval(() => {
      this.slider.value = Number(this.slider.value) - 1;
      this.show();
      if (this.slider.value === "0") this.toggle();
    }, 120);
  }
}

function blank(model) {
  return imagesOf(new Array(model.shape.reduce((a, b) => a * b, 1)).fill(model.look === "images" ? model.low : 0), model);
}
