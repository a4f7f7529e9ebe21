// The frame of the studio: which run and which view are shown. The address keeps both.

import { ask } from "./api.js";
import { h } from "./dom.js";
import * as chain from "./views/chain.js";
import * as complete from "./views/complete.js";
import * as compress from "./views/compress.js";
import * as sample from "./views/sample.js";
import * as score from "./views/score.js";
import * as train from "./views/train.js";

const VIEWS = { sample, complete, score, chain, compress, train };

const main = document.getElementById("main");
const chooser = document.getElementById("run");
const nav = document.getElementById("views");
const facts = new Map();  // of each run
const pages = new Map();  // the element of each run and view, so that answers stay

function asked() {
  const parts = new URLSearchParams(location.hash.slice(1));
  return { run: parts.get("run"), view: parts.get("view") };
}

function address(run, view) {
  return `#${new URLSearchParams({ run, view })}`;
}

// The end of a long path, which is what tells one run from another.
function short(run) {
  return run.length > 26 && /[\\/]/.test(run) ? `…/${run.split(/[\\/]/).filter(Boolean).slice(-2).join("/")}` : run;
}

async function about(run) {
  if (!facts.has(run)) facts.set(run, await ask(`run?name=${encodeURIComponent(run)}`));
  return facts.get(run);
}

async function show() {
  const { run: wanted, view: named } = asked();
  const run = [...chooser.options].some((each) => each.value === wanted) ? wanted : chooser.value;
  chooser.value = run;
  let model;
  try {
    model = await about(run);
  } catch (error) {
    nav.replaceChildren();
    main.replaceChildren(h("h1", {}, run), h("div", { class: "error", role: "alert" }, h("b", {}, "This run cannot be opened. "), error.message));
    return;
  }
  const known = Object.keys(VIEWS).filter((each) => model.views.includes(each));
  const view = known.includes(named) ? named : known[0];
  nav.replaceChildren(h("ul", {}, known.map((each) => h("li", {}, h("a", { href: address(run, each), "aria-current": each === view ? "page" : null }, VIEWS[each].title(model))))));
  const here = nav.querySelector("[aria-current]"), list = nav.firstChild;
  if (here) list.scrollLeft = here.offsetLeft - (list.clientWidth - here.offsetWidth) / 2;
  const key = `${run}\n${view}`;
  if (!pages.has(key)) {
    const page = h("div", { class: "page" }, h("h1", {}, VIEWS[view].title(model)), h("p", { class: "lead" }, VIEWS[view].lead(model)));
    pages.set(key, page);
    main.replaceChildren(page);
    VIEWS[view].mount(page, model);
  } else {
    main.replaceChildren(pages.get(key));
  }
  document.title = `${VIEWS[view].title(model)} · ${run} · quasistatic studio`;
  pages.get(key).dispatchEvent(new Event("shown"));
}

function paintAgain() {
  main.querySelector(".page")?.dispatchEvent(new Event("shown"));
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  paintAgain();
}

async function begin() {
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;
  document.getElementById("theme").addEventListener("click", theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAgain);
  try {
    const { runs } = await ask("runs");
    chooser.replaceChildren(...runs.map((each) => h("option", { value: each }, short(each))));
  } catch (error) {
    main.replaceChildren(h("div", { class: "error", role: "alert" }, error.message));
    return;
  }
  chooser.addEventListener("change", () => { location.hash = address(chooser.value, asked().view ?? ""); });
  addEventListener("hashchange", show);
  await show();
}

begin();
