// A run while it trains: its curves as they come, and draws from its newest weights.

import { check, h, measured, number, numbers, table, tidy } from "../dom.js";
import { Grid } from "../pictures.js";
import { lines } from "../plots.js";
import { Work, snippet } from "../work.js";

export const title = () => "Train";
export const lead = (model) => model.kind === "training"
  ? "This run is not finished. Its curves and its draws follow it, and the other views open when it is done."
  : "The curves of the training: the bound on training batches, and on held-out rows; and draws from the weights that it kept.";

export function mount(page, model) {
  const work = new Work("Follow again"), answer = h("div"), samples = new Samples(model);
  const run = async () => {
    const records = [];
    let steps = null;
    const show = () => answer.replaceChildren(...told(records, steps));
    show();
    const found = await work.run("train", { run: model.run }, {
      begin: (event) => { steps = event.steps; if (!event.done) work.status.textContent = "Following the run …"; },
      records: (event) => { records.push(...event.records); show(); work.status.textContent = "Following the run …"; },
      weights: (event) => samples.come(event.step),
    });
    if (found) { show(); answer.append(found.done && model.kind === "training" ? h("p", { class: "note" }, "The run is done: open the studio again, or choose the run again, to draw from it.") : "", snippet(found.snippet)); }
  };
  page.append(h("form", { onsubmit: (event) => { event.preventDefault(); run(); } }, work.element), h("section", {}, answer), samples.element);
  page.addEventListener("shown", () => samples.again());
  run();
}

const KEPT = 6;  // earlier draws that stay on the page

// Draws from the newest weights, on demand or whenever the run saves new ones. The noise is the
// same each time, so that one sees the same draws improve.
class Samples {
  constructor(model) {
    this.model = model;
    this.n = number("Draws", 16, { least: 1, most: 256 });
    this.steps = number("Steps", null, { least: 2, hint: "empty: 50, or all that the chain needs", blank: "50" });
    this.seed = number("Seed", 0, { least: 0, most: 2147483647 });
    this.follow = check("Draw again whenever the run saves its weights", model.kind === "training");
    this.work = new Work("Draw from the newest weights");
    this.newest = h("div", { style: { "margin-bottom": "1.25rem" } });
    this.earlier = h("div", { class: "figures" });
    this.code = h("div");
    this.shown = [];  // what was drawn, newest first
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.draw(); } },
      h("div", { class: "row" }, this.n, this.seed), this.steps, model.kind === "training" ? this.follow : "", this.work.element);
    this.element = h("section", {}, h("h2", {}, "Draws"), h("div", { class: "split" }, form, h("div", {}, this.newest, this.earlier, this.code)));
  }

  // New weights were saved at a step.
  come(step) {
    this.step = step;
    if (this.model.kind === "training" && this.follow.value() && !this.work.running) this.draw();
  }

  async draw() {
    const found = await this.work.run("peek", { run: this.model.run, n: this.n.value(), steps: this.steps.value(), seed: this.seed.value() });
    if (!found) return;
    this.shown = [found, ...this.shown.filter((each) => each.step !== found.step)].slice(0, KEPT + 1);
    this.again();
    this.code.replaceChildren(snippet(found.snippet));
    if (this.step > found.step) this.come(this.step);
  }

  again() {
    const [newest, ...earlier] = this.shown;
    if (!newest) return;
    const drawn = ({ look, images, step }, small) => {
      const grid = new Grid(look, `Draws at step ${step}`);
      if (small) grid.element.style.setProperty("--cell", look.look === "images" ? "1.8rem" : "9rem");
      return [h("div", {}, h("h3", {}, `At step ${step}`), grid.element), () => grid.show(images)];
    };
    const made = [drawn(newest, false), ...earlier.map((each) => drawn(each, true))];
    this.newest.replaceChildren(made[0][0]);
    this.earlier.replaceChildren(...made.slice(1).map(([element]) => element));
    for (const [, paint] of made) paint();
  }
}

function told(records, steps) {
  const series = (key, error) => records.filter((each) => Number.isFinite(each[key])).map((each) => [each.step, each[key], error ? each[error] : undefined]);
  const train = series("bits_per_dim"), valid = series("valid_bits_per_dim", "valid_bits_per_dim_stderr");
  if (!train.length && !valid.length) return [h("p", { class: "empty" }, "No record yet.")];
  const best = valid.length ? valid.reduce((a, b) => (b[1] < a[1] ? b : a)) : null, last = records.at(-1).step;
  return [
    numbers(["Step", String(last), steps ? `of ${steps}` : ""], best && ["Best held-out, bits a value", best[2] ? measured(best[1], best[2]) : tidy(best[1], 4), `at step ${best[0]}`], valid.length > 0 && ["Latest held-out", tidy(valid.at(-1)[1], 4)]),
    h("figure", { style: { "max-width": "46rem" } },
      lines("Bits a value over the steps of the training", [{ points: train, kind: "b" }, { points: valid, kind: "a", dots: true }].filter((each) => each.points.length), { xName: "step", yName: "bits a value", x: [0, Math.max(steps ?? 0, last)], tall: 260 }),
      h("ul", { class: "key" }, valid.length ? h("li", {}, h("i"), "held-out rows") : "", h("li", { class: "b" }, h("i"), "training batches"))),
    h("details", {}, h("summary", {}, "The numbers"), table("Records", ["step", "training", "held-out"], records.slice(-200).map((each) => [each.step, tidy(each.bits_per_dim ?? null, 4), tidy(each.valid_bits_per_dim ?? null, 4)]))),
  ];
}
