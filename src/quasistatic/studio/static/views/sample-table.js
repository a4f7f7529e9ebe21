// Rows from a table's model, if asked given some columns.

import { h, measured, number, numbers, seconds, table, words } from "../dom.js";
import { Work, snippet } from "../work.js";

export function mount(page, model) {
  const n = number("Rows", 20, { least: 1, most: 1000 });
  const seed = number("Seed", 0, { least: 0, most: 2147483647 });
  const fields = model.columns.filter((each) => each.kind !== "constant").map((column) => {
    const made = words(column.name, "", { blank: "any", list: column.classes.slice(0, 100) });
    made.column = column.name;
    return made;
  });
  const work = new Work("Draw rows");
  const answer = h("div");
  const run = async () => {
    const given = Object.fromEntries(fields.filter((each) => each.value()).map((each) => [each.column, each.value()]));
    const found = await work.run("sample", { run: model.run, n: n.value(), seed: seed.value(), given });
    if (!found) return;
    answer.replaceChildren(
      numbers(["Rows", String(found.rows.length)], found.log_evidence !== null && ["log p of what is given", measured(found.log_evidence), "nats"], ["Time", seconds(found.seconds)]),
      table("Drawn rows", found.header, found.rows), snippet(found.snippet));
  };
  page.append(h("div", { class: "split" },
    h("form", { onsubmit: (event) => { event.preventDefault(); run(); } }, h("div", { class: "row" }, n, seed),
      h("fieldset", {}, h("legend", {}, "Given"), h("span", { class: "hint" }, "A value, several as a,b, or an interval as 18..30"), fields), work.element), answer));
  run();
}
