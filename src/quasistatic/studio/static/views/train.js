// The curves of a run, as they come.

import { h, measured, numbers, table, tidy } from "../dom.js";
import { lines } from "../plots.js";
import { Work, snippet } from "../work.js";

export const title = () => "Train";
export const lead = (model) => model.kind === "training"
  ? "This run is not finished. Its curves follow it, and the other views open when it is done."
  : "The curves of the training: the bound on training batches, and on held-out rows.";

export function mount(page, model) {
  const work = new Work("Follow again"), answer = h("div");
  const run = async () => {
    const records = [];
    let steps = null;
    const show = () => answer.replaceChildren(...told(records, steps));
    const found = await work.run("train", { run: model.run }, {
      begin: (event) => { steps = event.steps; if (!event.done) work.status.textContent = "Following the run …"; },
      records: (event) => { records.push(...event.records); show(); work.status.textContent = "Following the run …"; },
    });
    if (found) { show(); answer.append(found.done && model.kind === "training" ? h("p", { class: "note" }, "The run is done: open the studio again, or choose the run again, to draw from it.") : "", snippet(found.snippet)); }
  };
  page.append(h("form", { onsubmit: (event) => { event.preventDefault(); run(); } }, work.element), h("section", {}, answer));
  run();
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
