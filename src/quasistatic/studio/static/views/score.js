// Score: how likely an example is, where its bits are, and whether it is strange.

import { choice, h, measured, number, numbers, seconds, table as rows, tidy, words } from "../dom.js";
import { Examples, dropArea, filesOf, imagesOf } from "../examples.js";
import { npy, saving } from "../npy.js";
import { Grid, figure, paint } from "../pictures.js";
import { bars, histogram, lines } from "../plots.js";
import { Work, snippet } from "../work.js";
import * as table from "./score-table.js";

export const title = () => "Score";
export const lead = (model) => model.kind === "table"
  ? "How likely each row of a file is, which columns cost most, and which rows are strange."
  : "How many bits an example costs, where they are, and whether it is unlike ordinary examples. Fewer bits are more likely.";

export function mount(page, model) {
  if (model.kind === "table") table.mount(page, model);
  else new Scoring(page, model);
}

class Scoring {
  constructor(page, model) {
    this.model = model; this.values = null;
    this.examples = new Examples(model, (values, name) => { this.values = values; this.name = name; this.example.draw(); });
    this.example = figure("", "The example", (canvas) => this.values && model.look !== "points" && paint(canvas, imagesOf(this.values, model), 0, model));
    this.example.style.maxWidth = model.look === "images" ? "9rem" : "22rem";
    this.evaluations = number("Evaluations", Math.min(64, model.steps), { least: 2, most: model.steps, hint: "more give a smaller error" });
    this.seed = number("Seed", 0, { least: 0, most: 2147483647 });
    this.given = !model.condition ? null : model.condition.classes.length ? choice("Class", [["", "any"], ...model.condition.classes.map((each) => [each, each])], "") : words("Given", "", { hint: model.condition.hint });
    this.work = new Work("Score");
    this.judging = new Work("Is it strange?");
    this.answer = h("div", {}, h("p", { class: "empty" }, "Choose an example, then press Score."));
    this.verdict = h("div");
    const several = dropArea("Score several files", "Pictures or .npy files at once", "image/*,.npy", true, (files) => this.files(files));
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.score(); } }, h("div", { class: "row" }, this.evaluations, this.seed), this.given, this.work.element);
    const judge = h("form", { onsubmit: (event) => { event.preventDefault(); this.judge(); } }, h("p", { class: "hint" }, "Compares the coarse shape of the example with ordinary test rows. The first time, these are measured."), this.judging.element);
    page.append(h("div", { class: "split" },
      h("div", {}, this.examples.element, h("section", {}, form), h("section", {}, several)),
      h("div", {}, h("section", {}, this.answer), model.data ? h("section", {}, h("h2", {}, "Anomaly"), judge, this.verdict) : "", new Ends(model, page).element)));
    page.addEventListener("shown", () => { this.examples.again(); this.redraw?.(); });
    this.examples.load("draws");
  }

  asked() {
    const asked = { run: this.model.run, evaluations: this.evaluations.value(), seed: this.seed.value() };
    if (this.given?.value()) asked.given = this.given.value();
    return asked;
  }

  async score() {
    if (!this.values) return;
    const values = this.values;
    const found = await this.work.run("score", { ...this.asked(), values });
    if (found) this.tell(found, saving("x.npy", () => npy(values, this.model.shape)));
  }

  async files(files) {
    const uploads = await filesOf(files, this.work);
    if (!uploads) return;
    const found = await this.work.run("score", { ...this.asked(), files: uploads, invert: this.examples.invert?.value() ?? false });
    if (found) this.tell(found, null);
  }

  tell(found, save) {
    const { model } = this, { places } = found, count = found.bits_per_dim.length;
    const time = lines("Bits by time", [{ points: places.by_time.map((bits, k) => [(places.times[k] + places.times[k + 1]) / 2, bits]), dots: true }], { xName: `t, from data (0) to noise (${model.steps})`, yName: "bits", zero: true });
    const parts = [
      numbers([count > 1 ? `Bits a value, mean of ${count}` : "Bits a value", measured(found.mean, found.mean_noise)],
        ["log p, at least", measured(found.nats, found.nats_noise), count > 1 ? "nats, mean" : "nats"], ["Time", seconds(found.seconds)]),
      found.note ? h("p", { class: "note" }, found.note) : "",
    ];
    this.redraw = null;
    if (places.by_value) {
      const picture = figure("The example", "The example", (canvas) => paint(canvas, found.images, 0, model));
      const map = figure(`Bits of each ${model.look === "images" ? "pixel" : "value"}, at most ${tidy(places.largest)}`, "Bits of each value", (canvas) => paint(canvas, places.by_value, 0, model.look === "curves" ? { ...model, low: 0, high: 1 } : model, "heat"));
      if (model.look !== "points") {
        parts.push(h("h2", {}, count > 1 ? "Where the bits of the first are" : "Where the bits are"), h("div", { class: "figures" }, picture, map));
        this.redraw = () => { picture.draw(); map.draw(); };
      }
    }
    parts.push(h("figure", { style: { "max-width": "36rem" } }, time, h("figcaption", {}, "Bits that each part of the chain carries: details at the left, coarse shapes at the right.")));
    if (count > 1) parts.push(rows("Scores of the files", ["example", "bits a value"], found.names.map((name, k) => [name, measured(found.bits_per_dim[k], found.noise[k])])));
    parts.push(snippet(found.snippet, save));
    this.answer.replaceChildren(...parts);
    this.redraw?.();
  }

  async judge() {
    if (!this.values) return;
    const values = this.values;
    const found = await this.judging.run("anomaly", { run: this.model.run, values });
    if (!found) return;
    const low = found.p_value <= 0.05;
    this.verdict.replaceChildren(
      numbers(["p-value", tidy(found.p_value, 2), `by ${found.ordinary} ordinary examples`], ["Excess", tidy(found.excess), "nats"]),
      h("p", {}, low ? "The example is unlike ordinary ones." : "The example is like ordinary ones.", ` A share of ${tidy(found.p_value, 2)} of ordinary examples is as strange or stranger.`),
      snippet(found.snippet, saving("x.npy", () => npy(values, this.model.shape))));
  }
}

// The work from both ends.
class Ends {
  constructor(model, page) {
    this.model = model;
    const n = number("Draws", 16, { least: 2, most: 128 }), paths = number("Paths of each", 8, { least: 1, most: 64 });
    const times = number("Steps", model.jumps ? Math.min(50, model.steps) : null, { least: 2, most: model.steps, blank: `all ${model.steps}` });
    const seed = number("Seed", 0, { least: 0, most: 2147483647 });
    const work = new Work("Measure both ends"), answer = h("div");
    const run = async () => {
      const found = await work.run("sandwich", { run: model.run, n: n.value(), paths: paths.value(), times: times.value(), seed: seed.value() });
      if (found) answer.replaceChildren(...this.told(found));
    };
    this.element = h("details", {}, h("summary", {}, "How far can the bound be from the truth?"),
      h("p", { class: "quiet-text" }, "For draws of the model, log p is estimated from below by paths from the data to noise, and from above by the path from noise by which each was drawn."),
      h("form", { onsubmit: (event) => { event.preventDefault(); run(); }, style: { "max-width": "34rem" } }, h("div", { class: "row" }, n, paths), h("div", { class: "row" }, times, seed), work.element), answer);
  }

  told(found) {
    const all = [...found.forward, ...found.reverse], low = Math.min(...all), high = Math.max(...all);
    const plot = bars("Weights of paths from both ends", [{ ...histogram(found.forward, low, high), kind: "a" }, { ...histogram(found.reverse, low, high), kind: "b" }], { xName: "log weight less log p, nats", marks: [{ at: 0, text: "log p" }] });
    return [
      numbers(["log p, from below", tidy(found.lower, 5), "nats"], ["from above", tidy(found.upper, 5), "nats"], ["Gap", measured(found.gap, found.gap_stderr), "nats"], ["Bits a value", `${tidy(found.upper_bits)} to ${tidy(found.lower_bits)}`]),
      h("figure", { style: { "max-width": "36rem" } }, plot, h("ul", { class: "key" }, h("li", {}, h("i"), "from data to noise"), h("li", { class: "b" }, h("i"), "from noise to data")),
        h("figcaption", {}, "The two histograms cross at log p: there, a weight is as probable from one end as from the other.")),
      snippet(found.snippet),
    ];
  }
}
