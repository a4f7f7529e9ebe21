// A form with empty fields: the distribution of each empty one, while the others are typed.

import { choice, h, measured, number, numbers, seconds, tidy, words } from "../dom.js";
import { saving } from "../npy.js";
import { bars } from "../plots.js";
import { Work, snippet } from "../work.js";

export function mount(page, model) {
  const fields = model.columns.map((column) => {
    const made = column.classes.length && column.classes.length <= 40
      ? choice(column.name, [["", "(empty)"], ...column.classes.map((each) => [each, each])], "")
      : words(column.name, "", { blank: "(empty)", hint: column.range ? `known: ${column.range}` : undefined });
    made.column = column.name;
    return made;
  });
  const seed = number("Seed", 0, { least: 0, most: 2147483647 });
  const work = new Work("Fill the empty fields");
  const answer = h("div", {}, h("p", { class: "empty" }, "Fill in what is known. The answer follows while you type."));
  let timer = null;
  const run = async () => {
    clearTimeout(timer);
    const cells = Object.fromEntries(fields.map((each) => [each.column, each.value()]));
    const found = await work.run("complete", { run: model.run, cells, seed: seed.value() });
    if (found) answer.replaceChildren(...told(found));
  };
  const later = () => { clearTimeout(timer); timer = setTimeout(run, 350); };
  const draw = h("button", { type: "button", class: "quiet", onclick: async () => {
    const found = await work.run("sample", { run: model.run, n: 1, seed: Math.floor(Math.random() * 1e9) });
    if (!found) return;
    fields.forEach((each, k) => { each.control.value = found.rows[0][found.header.indexOf(each.column)] ?? ""; if (k === fields.length - 1) each.control.value = ""; });
    run();
  } }, "Start from a drawn row");
  const clear = h("button", { type: "button", class: "quiet", onclick: () => { for (const each of fields) each.control.value = ""; run(); } }, "Empty all");
  const form = h("form", { oninput: later, onsubmit: (event) => { event.preventDefault(); run(); } },
    h("div", { class: "buttons" }, draw, clear), fields, seed, work.element);
  page.append(h("div", { class: "split" }, form, answer));
  run();
}

function told(found) {
  const plots = found.columns.map((column) => {
    const interval = column.low !== null ? `90 % between ${tidy(column.low)} and ${tidy(column.high)}` : "";
    return h("figure", {}, h("h2", {}, column.name),
      numbers([column.shares ? "Most likely" : "Filled with", column.filled, interval]),
      column.shares ? shares(column) : bars(`Distribution of ${column.name}: ${column.ends.join(", ")}`, [column], { xName: column.name, tall: 160 }));
  });
  return [
    numbers(found.log_evidence !== null && ["log p of the known fields", measured(found.log_evidence), "nats"], ["Time", seconds(found.seconds)]),
    h("div", { class: "figures large" }, plots),
    snippet(found.snippet, saving("row.csv", () => new Blob([found.file]))),
  ];
}

function shares(column) {
  return h("div", { role: "list" }, column.shares.map(([name, share]) =>
    h("div", { class: "bar", role: "listitem" }, h("span", {}, name), h("span", { "aria-hidden": "true" }, h("i", { style: { width: `${100 * share}%` } })), h("span", {}, `${(100 * share).toFixed(1)} %`))));
}
