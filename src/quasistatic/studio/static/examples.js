// The choice of an example: a draw, a test row, or a file. It tells `take` its values and names.

import { MOST_BYTES, packed } from "./api.js";
import { check, h } from "./dom.js";
import { Grid, unpack } from "./pictures.js";
import { Work } from "./work.js";

// The values of example `index`, flat, in the order of the model's data.
export function valuesOf(found, index, model) {
  if (found.values) return found.values[index];
  const { width, height, colours, levels } = model, count = width * height * colours;
  const data = unpack(found.images).slice(index * count, (index + 1) * count);
  const values = new Array(count);
  for (let k = 0; k < width * height; k++)
    for (let c = 0; c < colours; c++) values[c * width * height + k] = Math.round((data[k * colours + c] / 255) * (levels - 1));
  return values;
}

// Values as an example that `paint` draws.
export function imagesOf(values, model) {
  if (model.look !== "images") return { count: 1, values: [values] };
  const { width, height, colours, low, high } = model, pixels = width * height;
  const bytes = new Uint8Array(pixels * colours);
  for (let k = 0; k < pixels; k++)
    for (let c = 0; c < colours; c++) bytes[k * colours + c] = Math.max(0, Math.min(255, Math.round((255 * ((values[c * pixels + k] ?? low) - low)) / (high - low))));
  return { count: 1, bytes };
}

export function dropArea(label, hint, accept, several, take) {
  const input = h("input", { type: "file", accept, multiple: several, onchange: () => { take([...input.files]); input.value = ""; } });
  const area = h("label", { class: "drop" }, input, h("b", {}, label), h("span", { class: "hint" }, hint));
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]])
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.toggle("over", over);
      if (name === "drop") take([...event.dataTransfer.files]);
    });
  area.input = input;
  return area;
}

export async function filesOf(files, work) {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > MOST_BYTES) {
    work.fail(`These files hold ${Math.round(total / 2 ** 20)} MiB, and the page takes ${MOST_BYTES / 2 ** 20} MiB at once: use the command line for large files.`);
    return null;
  }
  return Promise.all(files.map(packed));
}

export class Examples {
  constructor(model, take, { blank = false } = {}) {
    this.model = model; this.take = take;
    this.work = new Work("New draws");
    this.work.go.className = "quiet";
    this.grid = new Grid(model, "Examples to choose from", (k) => this.chosen(k));
    if (model.look !== "points") this.grid.element.style.setProperty("--cell", model.look === "curves" ? "8rem" : "2.9rem");
    this.invert = model.look === "images" ? check("Exchange black and white of a file", false) : null;
    this.seed = 0;
    this.work.go.type = "button";
    this.work.go.onclick = () => this.load("draws", ++this.seed);
    const others = [this.work.go];
    if (model.data) others.push(h("button", { type: "button", class: "quiet", onclick: () => this.load("test", ++this.seed) }, "Test rows"));
    if (blank) others.push(h("button", { type: "button", class: "quiet", onclick: () => { this.grid.press(-1); take(new Array(model.shape.reduce((a, b) => a * b, 1)).fill(model.low), "blank"); } }, "Blank"));
    others.push(this.work.halt);
    this.work.buttons.replaceChildren(...others);
    this.note = h("p", { class: "hint" });
    const hint = model.look === "images" ? "A picture, or a .npy file" : `A .npy file of shape (${model.shape.join(", ")})`;
    this.element = h("div", { class: "field examples" }, h("h2", {}, "Example"), this.grid.element, this.work.element,
      dropArea("Choose a file", `${hint}, or drop it here`, model.look === "images" ? "image/*,.npy" : ".npy", false, (files) => this.file(files)),
      this.invert, this.note);
  }

  async load(source, seed = 0) {
    const found = await this.work.run("examples", { run: this.model.run, source, seed, count: 12 });
    if (found) this.show(found, source === "test" ? "test row" : "draw");
  }

  async file(files) {
    const uploads = await filesOf(files.slice(0, 1), this.work);
    if (!uploads) return;
    const found = await this.work.run("read", { run: this.model.run, files: uploads, invert: this.invert?.value() ?? false });
    if (!found) return;
    this.show(found, uploads[0].name);
    this.note.textContent = found.note;
  }

  show(found, name) {
    this.found = found; this.name = name; this.note.textContent = "";
    if (this.model.look === "points") this.grid.show({ count: found.images.count, values: found.images.values });
    else { this.grid.show(found.images); this.grid.trim(found.images.count); }
    this.chosen(0);
    this.grid.press(0);
  }

  chosen(k) {
    const index = this.model.look === "points" ? Math.floor(Math.random() * this.found.images.count) : k;
    this.take(valuesOf(this.found, index, this.model), `${this.name}${this.found.images.count > 1 ? ` ${index + 1}` : ""}`);
  }

  again() {
    if (this.found) this.grid.show(this.found.images);
  }
}
