// Complete: hide values, by painting over them, and see what they may be.

import { h, measured, number, numbers, seconds, choice, words, tidy } from "../dom.js";
import { Examples, imagesOf } from "../examples.js";
import { npy, saving } from "../npy.js";
import { Grid, colour, figure, paint } from "../pictures.js";
import { Work, snippet } from "../work.js";
import * as table from "./complete-table.js";

export const title = () => "Complete";
export const lead = (model) => model.kind === "table"
  ? "Leave fields of a row empty. The model gives the distribution of each empty field, given the others."
  : "Paint over what is hidden. The model draws what may be there, given the rest, and says how likely the rest is.";

export function mount(page, model) {
  if (model.kind === "table") table.mount(page, model);
  else new Completion(page, model);
}

class Completion {
  constructor(page, model) {
    this.model = model;
    this.values = null; this.hidden = null;
    this.canvas = h("canvas", { class: "painter", tabindex: 0, role: "application", "aria-label": "The example. Paint with the pointer, or move with the arrow keys and press space." });
    this.says = h("p", { class: "hint", role: "status" });
    this.tool = "hide"; this.cursor = null;
    const tool = (name, text) => h("button", { type: "button", class: "quiet", "aria-pressed": String(name === "hide"), "data-tool": name, onclick: () => this.use(name) }, text);
    this.tools = h("div", { class: "buttons", role: "group", "aria-label": "What the pointer does" }, tool("hide", "Hide"), tool("show", "Show"), model.look === "images" ? [tool("light", "Paint light"), tool("dark", "Paint dark")] : null);
    this.size = number("Brush", Math.max(1, Math.round((model.width ?? 8) / 14)), { least: 1, most: 16 });
    const quick = (text, rule) => h("button", { type: "button", class: "quiet", onclick: () => this.hideWhere(rule) }, text);
    this.quick = h("div", { class: "buttons", role: "group", "aria-label": "Hide a part" }, quick("Right half", (i, j) => j >= 0.5), quick("Lower half", (i) => i >= 0.5), quick("Nothing", () => false));
    this.draws = number("Draws", 8, { least: 1, most: 64 });
    this.particles = number("Particles", 32, { least: 1, most: 1024 });
    this.repeats = number("Repeats", 2, { least: 1, most: 16 });
    this.times = number("Steps", model.jumps ? Math.min(50, model.steps) : null, { least: 2, most: model.steps, blank: `all ${model.steps}` });
    this.noise = number("Noise of the known values", 0, { least: 0, most: 1000, step: "any", hint: "standard deviation, in the units of the data" });
    this.seed = number("Seed", 0, { least: 0, most: 2147483647 });
    this.given = !model.condition ? null : model.condition.classes.length ? choice("Class", [["", "any"], ...model.condition.classes.map((each) => [each, each])], "") : words("Given", "", { hint: model.condition.hint });
    this.work = new Work("Complete");
    this.examples = new Examples(model, (values) => this.take(values), { blank: model.look === "images" });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.complete(); } },
      h("div", { class: "row" }, this.draws, this.particles), h("div", { class: "row" }, this.times, this.repeats), h("div", { class: "row" }, this.seed, this.given), this.noise, this.work.element);
    this.answer = h("div", {}, h("p", { class: "empty" }, "Hide a part of the example, then press Complete."));
    page.append(h("div", { class: "split woven" },
      h("div", {}, h("section", { class: "first" }, this.examples.element), h("section", { class: "third" }, h("h2", {}, "Settings"), form)),
      h("div", {}, h("section", { class: "second" }, h("h2", {}, "Hide or paint"), h("div", { class: "buttons", style: { "margin-bottom": ".6rem" } }, this.tools, this.quick), this.canvas, this.says, h("div", { style: { "max-width": "7rem" } }, this.size)),
        h("section", { class: "fourth" }, this.answer))));
    this.listen();
    page.addEventListener("shown", () => this.again());
    this.examples.load("draws");
  }

  get rows() { return this.model.look === "images" ? this.model.height : 1; }
  get columns() { return this.model.look === "images" ? this.model.width : this.values.length; }

  use(name) {
    this.tool = name;
    for (const button of this.tools.children) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  }

  take(values) {
    const begin = this.values === null;
    this.values = [...values];
    this.hidden ??= new Array(this.rows * this.columns).fill(false);
    if (begin) this.hideWhere((i, j) => j >= 0.5);
    this.show();
  }

  hideWhere(rule) {
    if (!this.values) return;
    this.hidden = Array.from({ length: this.rows * this.columns }, (_, k) => rule(Math.floor(k / this.columns) / this.rows, (k % this.columns) / this.columns));
    this.show();
  }

  // Changes the pixels around a place.
  touch(row, column) {
    const reach = (this.size.value() ?? 1) / 2, { low, high } = this.model;
    for (let i = 0; i < this.rows; i++) for (let j = 0; j < this.columns; j++) {
      if (Math.max(this.rows === 1 ? 0 : Math.abs(i - row), Math.abs(j - column)) > reach - 0.5 + 1e-9) continue;
      const k = i * this.columns + j;
      if (this.tool === "hide") this.hidden[k] = true;
      else this.hidden[k] = false;
      if (this.tool === "light" || this.tool === "dark")
        for (let c = 0; c < (this.model.colours ?? 1); c++) this.values[c * this.rows * this.columns + k] = this.tool === "light" ? high : low;
    }
    this.show();
  }

  listen() {
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [Math.floor(((event.clientY - box.top) / box.height) * this.rows), Math.floor(((event.clientX - box.left) / box.width) * this.columns)];
    };
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.drawing = true; this.cursor = null; this.touch(...place(event)); });
    this.canvas.addEventListener("pointermove", (event) => { if (this.drawing) for (const each of event.getCoalescedEvents?.() ?? [event]) this.touch(...place(each)); });
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => { this.drawing = false; });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      this.cursor ??= [Math.floor(this.rows / 2), Math.floor(this.columns / 2)];
      if (step) this.cursor = [Math.max(0, Math.min(this.rows - 1, this.cursor[0] + step[0])), Math.max(0, Math.min(this.columns - 1, this.cursor[1] + step[1]))];
      else if (event.key === " ") this.touch(...this.cursor);
      else return;
      event.preventDefault();
      this.show();
    });
  }

  show() {
    const context = this.canvas.getContext("2d"), scale = this.model.look === "images" ? Math.max(1, Math.floor(448 / this.columns)) : Math.max(2, Math.floor(720 / this.columns));
    if (this.model.look === "images") {
      const small = document.createElement("canvas");
      paint(small, imagesOf(this.values, this.model), 0, this.model);
      this.canvas.width = this.columns * scale; this.canvas.height = this.rows * scale;
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    } else {
      this.canvas.width = this.columns * scale; this.canvas.height = 220;
      const { low, high } = this.model, least = Math.min(low, ...this.values), most = Math.max(high, ...this.values);
      context.fillStyle = colour("--accent");
      this.values.forEach((value, j) => { const y = 215 - (210 * (value - least)) / (most - least || 1); context.fillRect(j * scale, y - 1.5, Math.max(scale - 1, 1), 3); });
    }
    const tall = this.canvas.height / this.rows;
    context.fillStyle = "#a9cfe6";
    this.hidden.forEach((each, k) => { if (each) context.fillRect((k % this.columns) * scale, Math.floor(k / this.columns) * tall, scale, tall); });
    if (this.cursor) { context.strokeStyle = "#d55e00"; context.lineWidth = 3; context.strokeRect(this.cursor[1] * scale + 1, this.cursor[0] * tall + 1, scale - 2, tall - 2); }
    const count = this.hidden.filter(Boolean).length;
    this.says.textContent = `${count} of ${this.hidden.length} ${this.model.look === "images" ? "pixels" : "values"} hidden.`;
  }

  // The example with null where a value is hidden.
  holed() {
    const places = this.hidden.length;
    return this.values.map((value, k) => (this.hidden[k % places] ? null : value));
  }

  async complete() {
    if (!this.values) return;
    const values = this.holed();
    const asked = { run: this.model.run, values, draws: this.draws.value(), particles: this.particles.value(), repeats: this.repeats.value(), times: this.times.value(), noise: this.noise.value(), seed: this.seed.value() };
    if (this.given?.value()) asked.given = this.given.value();
    const found = await this.work.run("complete", asked);
    if (found) this.tell(found, values);
  }

  tell(found, values) {
    const { model } = this;
    const known = figure("Known", "The known values", (canvas) => this.paintKnown(canvas, values));
    const mean = figure("Mean of the draws", "The mean of the draws", (canvas) => paint(canvas, found.mean, 0, model));
    const spread = figure(`Standard deviation, at most ${tidy(found.largest)}`, "The standard deviation of the draws", (canvas) => paint(canvas, found.deviation, 0, model, "heat"));
    const grid = new Grid(model, "Completed copies");
    this.answer.replaceChildren(
      numbers(["log p of the known values", `${measured(found.log_evidence, found.evidence_stderr)}`, "nats"],
        ["Effective sample size", `${Math.round(100 * found.effective)} %`, `of ${found.particles} particles`],
        ["Different ancestors", String(found.ancestors)], ["Time", seconds(found.seconds)]),
      found.ancestors < 3 ? h("p", { class: "note" }, "Few particles survived: the draws are nearly one draw. Give more particles, or more steps.") : "",
      h("h2", {}, "Draws"), grid.element, h("section", {}, h("div", { class: "figures" }, known, mean, spread)),
      snippet(found.snippet, saving("x.npy", () => npy(values, model.shape))));
    this.redraw = () => { grid.show(found.draws); grid.trim(found.draws.count); for (const each of [known, mean, spread]) each.draw(); };
    this.redraw();
  }

  // The known values; what is hidden has the colour that it has above.
  paintKnown(canvas, values) {
    const { model } = this;
    paint(canvas, imagesOf(values.map((each) => each ?? model.low), model), 0, model);
    if (model.look !== "images") return;
    const context = canvas.getContext("2d");
    context.fillStyle = "#a9cfe6";
    for (let k = 0; k < this.rows * this.columns; k++) if (values[k] === null) context.fillRect(k % this.columns, Math.floor(k / this.columns), 1, 1);
  }

  again() {
    this.examples.again();
    if (this.values) this.show();
    this.redraw?.();
  }
}
