// Draws, as they emerge from noise, in one setting or in two side by side.

import { check, choice, h, measured, number, numbers, seconds, words } from "../dom.js";
import { Grid } from "../pictures.js";
import { Work, snippet } from "../work.js";
import * as table from "./sample-table.js";

const NAMES = { ancestral: "Ancestral: the chain itself", ddim: "DDIM", dpm: "DPM-Solver++", unipc: "UniPC", heun: "Heun" };

export const title = () => "Sample";
export const lead = (model) => model.kind === "table" ? "New rows from the model, for all columns at once, or given some of them." : "New examples from the model. They start as noise, and each step takes some of it away. Few steps are fast; all steps are exact.";

export function mount(page, model) {
  if (model.kind === "table") { table.mount(page, model); return; }
  const sides = h("div", { class: "sides" });
  const more = h("button", { type: "button", class: "quiet", onclick: () => toggle() }, "Compare two settings");
  const first = new Side(model, "Draw", {});
  let second = null;
  const toggle = () => {
    if (second) { second.work.stop(); second.element.remove(); second = null; }
    else { second = new Side(model, "Draw", other(model)); sides.append(second.element); }
    for (const each of sides.children) each.classList.toggle("narrow", second !== null);
    more.textContent = second ? "One setting only" : "Compare two settings";
  };
  sides.append(first.element);
  page.append(h("div", { class: "buttons", style: { "margin-bottom": "1.25rem" } }, more), sides);
  page.addEventListener("shown", () => { first.again(); second?.again(); });
  first.draw();
}

// A second setting that is worth a comparison: another stepper, or fewer steps.
function other(model) {
  const stepper = model.steppers.includes("unipc") ? "unipc" : "ancestral";
  return { stepper, steps: model.jumps ? 12 : null };
}

class Side {
  constructor(model, label, { stepper = "ancestral", steps = model.jumps ? Math.min(50, model.steps) : null }) {
    this.model = model;
    this.n = number("Draws", model.look === "points" ? 64 : 16, { least: 1, most: 64 });
    this.stepper = choice("Stepper", model.steppers.map((each) => [each, NAMES[each]]), stepper);
    this.steps = number("Steps", steps, { least: 2, most: model.steps, blank: `all ${model.steps}` });
    this.seed = number("Seed", 0, { least: 0, most: 2147483647 });
    this.quality = check("Measure how likely the model finds them", true);
    this.given = this.guidance = null;
    const condition = [];
    if (model.condition) {
      this.given = model.condition.classes.length
        ? choice("Class", [["", "any"], ...model.condition.classes.map((each) => [each, each])], "")
        : words("Given", "", { hint: model.condition.hint });
      this.guidance = number("Guidance", 0, { least: -1, most: 20, step: 0.5, hint: "0 is none; 1 to 4 are usual" });
      condition.push(h("div", { class: "row" }, this.given, this.guidance));
    }
    this.work = new Work(label);
    this.grid = new Grid(model, "Draws");
    this.facts = h("div");
    this.code = h("div");
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); this.draw(); } },
      this.stepper, h("div", { class: "row" }, this.steps, this.n), condition, this.seed, this.quality, this.work.element);
    this.element = h("div", { class: "side split" }, form, h("div", {}, this.facts, this.grid.element, this.code));
  }

  async draw() {
    const n = this.n.value();
    const asked = { run: this.model.run, n, stepper: this.stepper.value(), steps: this.steps.value(), seed: this.seed.value(), quality: this.quality.value() };
    if (this.given?.value()) Object.assign(asked, { given: this.given.value(), guidance: this.guidance.value() ?? 0 });
    const result = await this.work.run("sample", asked, {
      frame: (event) => this.grid.show(event.images, event.first),
      drawn: (event) => { this.images = event.images; this.grid.show(event.images); this.grid.trim(n); },
    });
    if (!result) return;
    this.images = result.images;
    this.grid.show(result.images);
    this.grid.trim(n);
    const quality = result.bits_per_dim;
    this.facts.replaceChildren(numbers(
      ["Network evaluations", String(result.evaluations), "for each draw"],
      ["Time", seconds(result.seconds)],
      quality && ["Bits a value, by the model", measured(quality.mean, quality.stderr)],
    ));
    this.code.replaceChildren(snippet(result.snippet));
  }

  again() {
    if (this.images) this.grid.show(this.images);
  }
}
