// A file of rows: how likely they are, what the columns cost, and the strangest with reasons.

import { h, measured, numbers, seconds, table, tidy } from "../dom.js";
import { dropArea, filesOf } from "../examples.js";
import { bars, histogram } from "../plots.js";
import { Work, snippet } from "../work.js";

export function mount(page, model) {
  const work = new Work("Score");
  work.go.hidden = true;
  const answer = h("div", {}, h("p", { class: "empty" }, "Choose a file with the columns of the table."));
  const take = async (files) => {
    const uploads = await filesOf(files.slice(0, 1), work);
    if (!uploads) return;
    const found = await work.run("score", { run: model.run, files: uploads });
    if (found) answer.replaceChildren(...told(found));
  };
  page.append(h("div", { class: "split" },
    h("div", {}, dropArea("Choose a file", "CSV, TSV, Parquet or NPY, or drop it here", ".csv,.tsv,.txt,.parquet,.npy,.npz", false, take), work.element,
      h("p", { class: "hint" }, `It needs the columns ${model.columns.map((each) => each.name).join(", ")}.`)), answer));
}

function told(found) {
  const low = Math.min(...found.values), high = Math.max(...found.values), costs = Object.entries(found.columns);
  const parts = [
    numbers(["Rows", tidy(found.rows)], ["log p of a row, mean", measured(found.nats, found.stderr), "nats"], ["Bits a value", tidy(found.bits_per_dim, 4)],
      found.strange !== null && ["Strange rows", String(found.strange), `at level ${found.level}`], ["Time", seconds(found.seconds)]),
    found.impossible ? h("p", { class: "note" }, `${found.impossible} rows hold a value that the model does not know: their probability is 0.`) : "",
    found.of < found.rows ? h("p", { class: "note" }, `The first ${found.of} rows are scored here; the command line scores all.`) : "",
  ];
  const figures = [];
  if (found.values.length > 1) figures.push(h("figure", {}, bars("log p of the rows", [histogram(found.values, low, high)], { xName: "log p, nats" }), h("figcaption", {}, "log p of the rows")));
  if (costs.length) {
    const most = Math.max(...costs.map(([, each]) => each), 1e-9);
    figures.push(h("figure", {}, h("div", { role: "list" }, costs.map(([name, bits]) => h("div", { class: "bar", role: "listitem" }, h("span", {}, name), h("span", { "aria-hidden": "true" }, h("i", { style: { width: `${Math.max(0, (100 * bits) / most)}%` } })), h("span", {}, `${tidy(bits)}`)))),
      h("figcaption", {}, "Bits of each column given the others, mean over the rows")));
  }
  parts.push(h("div", { class: "figures large" }, figures));
  parts.push(h("h2", {}, found.strange === null ? "The least likely rows" : "The strangest rows"),
    table("Strange rows", ["row", "p-value", "log p", "why"], found.listed.map((each) => [each.row, each.p_value === null ? "" : tidy(each.p_value, 2), tidy(each.log_prob, 4), each.why])));
  parts.push(snippet(found.snippet));
  return parts;
}
