// Compress: bytes beside other formats, and what a part of the file shows.

import { bytes, check, h, number, numbers, seconds, table, tidy } from "../dom.js";
import { dropArea, filesOf } from "../examples.js";
import { saving } from "../npy.js";
import { Grid, unpack } from "../pictures.js";
import { Work, snippet } from "../work.js";

export const title = () => "Compress";
export const lead = (model) => `${model.kind === "table" ? "Rows" : "Examples"} in as few bytes as the model finds them likely, and back without loss.`;

export function mount(page, model) {
  const work = new Work("Compress test rows");
  const isTable = model.kind === "table";
  const layers = number("Layers", 12, { least: 2, most: 50, hint: "of a file whose beginning shows an approximation" });
  const progressive = check("Also layer by layer", model.layered ?? false);
  const invert = model.look === "images" ? check("Exchange black and white of files", false) : null;
  const count = number("Test rows", 64, { least: 1, most: 256 });
  const times = number("Steps", model.jumps === false ? null : Math.min(50, model.steps ?? 50), { least: 2, most: model.steps ?? 10000, blank: "all" });
  const answer = h("div", {}, h("p", { class: "empty" }, isTable ? "Choose a file with the columns of the table." : "Choose files, or press the button."));
  const run = async (more) => {
    const asked = { run: model.run, ...more };
    if (times.value()) asked.times = times.value();
    if (!isTable) Object.assign(asked, { layers: progressive.value() && model.layered ? layers.value() : 0, count: count.value(), invert: invert?.value() ?? false });
    const found = await work.run("compress", asked, { sizes: (event) => answer.replaceChildren(sizes(event.sizes)) });
    if (!found) return;
    const shown = found.images ? new Layers(model, found, page) : null;
    answer.replaceChildren(...told(found, isTable), shown?.element ?? "", snippet(found.snippet, found.file ? saving("data.npy", () => new Blob([unpack({ data: found.file })])) : null));
    shown?.draw();
  };
  const take = async (files) => {
    const uploads = await filesOf(files, work);
    if (uploads) run({ files: uploads });
  };
  if (isTable || !model.data) work.go.hidden = true;
  const accept = isTable ? ".csv,.tsv,.txt,.parquet,.npy,.npz" : model.look === "images" ? "image/*,.npy" : ".npy";
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); run({}); } },
    dropArea(isTable ? "Choose a file" : "Choose files", isTable ? "CSV, TSV or Parquet, or drop it here" : model.look === "images" ? "Pictures or .npy files, or drop them here" : ".npy files, or drop them here", accept, !isTable, take),
    times, isTable ? "" : [invert, model.data ? count : "", model.layered ? [progressive, layers] : ""].flat(), work.element);
  page.append(h("div", { class: "split" }, form, answer));
}

function sizes(found) {
  const most = Math.max(...found.map(([, size]) => size));
  return h("div", { role: "list", style: { "max-width": "40rem", "margin-bottom": "1.25rem" } }, found.map(([name, size]) =>
    h("div", { class: "bar wide", role: "listitem" }, h("span", {}, name), h("span", { "aria-hidden": "true" }, h("i", { class: name === "this model" ? "" : "plain", style: { width: `${(100 * size) / most}%` } })), h("span", {}, bytes(size)))));
}

function told(found, isTable) {
  const own = found.sizes.at(-1)[1], best = Math.min(...found.sizes.slice(0, -1).map(([, size]) => size));
  return [
    numbers([isTable ? "Rows" : "Examples", tidy(found.count)], ["This model", bytes(own)], [own <= best ? "Less than the next best" : "More than the best", `${Math.abs(100 * (1 - own / best)).toFixed(0)} %`], ["Bits a value", tidy(found.bits_per_dim), found.net_bits_per_dim === undefined ? "" : `${tidy(found.net_bits_per_dim)} without the container`], ["Time", seconds(found.seconds)]),
    sizes(found.sizes),
    found.exact === undefined ? "" : h("p", {}, found.exact ? "The file was read back: every value is the same." : "The file was read back, and values differ: please report this."),
    found.beside ? h("p", { class: "hint" }, `${bytes(found.beside)} of it hold columns that are not modelled.`) : "",
    found.note ? h("p", { class: "note" }, found.note) : "",
    found.pays_off > found.count ? h("p", { class: "note" }, `A file has a header. The model saves bytes from about ${Math.ceil(found.pays_off)} examples on.`) : "",
  ];
}

// What a reader sees of the layered file after so many bytes.
class Layers {
  constructor(model, found, page) {
    this.found = found;
    this.grid = new Grid(model, "Examples");
    this.says = h("p", { class: "quiet-text", role: "status" });
    this.slider = h("input", { type: "range", min: 0, max: (found.layers?.length ?? 1) - 1, value: (found.layers?.length ?? 1) - 1, id: "layers-read", oninput: () => this.draw() });
    const part = found.layers ? [h("h2", {}, "The beginning of a layered file"), h("div", { class: "field", style: { "max-width": "30rem" } }, h("label", { for: "layers-read" }, "Layers that were read"), this.slider), this.says] : [];
    this.element = h("section", {}, part, this.grid.element);
    page.addEventListener("shown", () => this.element.isConnected && this.draw());
  }

  draw() {
    if (!this.found.layers) { this.grid.show(this.found.images); return; }
    const layer = this.found.layers[Number(this.slider.value)], whole = this.found.layers.at(-1).size;
    this.grid.show(layer.images);
    this.says.textContent = `${bytes(layer.size)} of ${bytes(whole)}: ${layer.t === 0 ? "the examples themselves" : `the model's estimate at t = ${layer.t}`}.`;
  }
}
