// Buttons to start and to stop an answer, its progress, and its errors.

import { events } from "./api.js";
import { h } from "./dom.js";

export class Work {
  // `label` stands on the button; `start` is called by it, and by Enter in the form.
  constructor(label) {
    this.go = h("button", { type: "submit" }, label);
    this.halt = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.stop() }, "Stop");
    this.bar = h("progress", { hidden: true, max: 1, "aria-label": "Progress" });
    this.status = h("p", { class: "status", role: "status" });
    this.problem = h("div", { class: "error", role: "alert", hidden: true });
    this.buttons = h("div", { class: "buttons" }, this.go, this.halt);
    this.element = h("div", {}, this.buttons, this.bar, this.status, this.problem);
    this.controller = null;
  }

  get running() { return this.controller !== null; }

  stop() { this.controller?.abort(); }

  fail(message) {
    this.problem.replaceChildren(h("b", {}, "This did not work. "), message);
    this.problem.hidden = false;
  }

  // Runs a view. `handlers` has a function for each event that is not about progress.
  // Resolves to the result, or to null if it failed or was stopped.
  async run(view, body, handlers = {}) {
    this.stop();
    const controller = (this.controller = new AbortController());
    this.problem.hidden = true;
    this.halt.hidden = false;
    this.bar.hidden = false;
    this.bar.removeAttribute("value");
    this.status.textContent = "Working …";
    let result = null;
    try {
      for await (const event of events(view, body, controller.signal)) {
        if (event.event === "progress") this.progress(event);
        else if (event.event === "waiting") this.status.textContent = "Waiting for other answers …";
        else if (event.event === "error") this.fail(event.message);
        else if (event.event === "stopped") this.status.textContent = "Stopped.";
        else if (event.event === "result") result = event;
        else handlers[event.event]?.(event);
      }
      if (this.controller === controller) this.status.textContent = result ? "" : "No answer.";
    } catch (error) {
      if (this.controller === controller) {
        if (error.name === "AbortError") this.status.textContent = "Stopped.";
        else { this.status.textContent = ""; this.fail(error.message.includes("fetch") ? "The studio does not answer: has it ended? Start it again." : error.message); }
      }
    } finally {
      if (this.controller === controller) {
        this.controller = null;
        this.halt.hidden = true;
        this.bar.hidden = true;
        if (!this.problem.hidden) this.status.textContent = "";
      }
    }
    return result;
  }

  progress({ done, total, note }) {
    this.bar.value = total ? done / total : 0;
    this.status.textContent = `${Math.round((100 * done) / Math.max(total, 1))} %${note ? ` · ${Math.round(done).toLocaleString("en")} ${note}` : ""}`;
  }
}

// The code that gives the same answer, folded.
export function snippet({ python, command, note }, ...more) {
  const block = (title, text) => {
    const copy = h("button", { type: "button", class: "quiet", "aria-label": `Copy the ${title}`, onclick: async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    } }, "Copy");
    return h("div", { class: "code" }, h("div", { class: "head" }, h("span", {}, title), copy), h("pre", { tabindex: 0 }, h("code", {}, text)));
  };
  return h("details", { class: "snippet" }, h("summary", {}, "The same in Python and on the command line"),
    note ? h("p", { class: "quiet-text" }, note) : null, more,
    block("Python", python), command ? block("Command line", command) : null);
}
