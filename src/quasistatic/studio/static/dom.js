// Small helpers that make elements.

let count = 0;

// h("p", { class: "lead" }, "text", element, ...)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

// A labelled control. `field.control` is the control.
export function field(label, control, hint) {
  const id = control.id || `c${++count}`;
  control.id = id;
  const parts = [h("label", { for: id }, label), control];
  if (hint) {
    control.setAttribute("aria-describedby", `${id}-hint`);
    parts.push(h("span", { class: "hint", id: `${id}-hint` }, hint));
  }
  const made = h("div", { class: "field" }, parts);
  made.control = control;
  return made;
}

export function number(label, value, { least, most, step = 1, hint, blank } = {}) {
  const input = h("input", { type: "number", inputmode: step === 1 ? "numeric" : "decimal", value: value ?? "", min: least, max: most, step, placeholder: blank, required: blank === undefined });
  const made = field(label, input, hint);
  made.value = () => (input.value === "" ? null : Number(input.value));
  return made;
}

export function choice(label, options, value, hint) {
  const select = h("select", {}, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  const made = field(label, select, hint);
  made.value = () => select.value;
  return made;
}

export function words(label, value, { hint, blank, list } = {}) {
  const input = h("input", { type: "text", value, placeholder: blank, autocomplete: "off", spellcheck: "false" });
  const made = field(label, input, hint);
  if (list) {
    input.setAttribute("list", `${input.id}-list`);
    made.append(h("datalist", { id: `${input.id}-list` }, list.map((each) => h("option", { value: each }))));
  }
  made.value = () => input.value.trim();
  return made;
}

export function check(label, on, hint) {
  const input = h("input", { type: "checkbox", checked: on });
  const made = h("div", { class: "field" }, h("label", { class: "check" }, input, label));
  if (hint) made.append(h("span", { class: "hint" }, hint));
  made.control = input;
  made.value = () => input.checked;
  return made;
}

// Numbers that a reader should see first: [[name, value, detail], ...]
export function numbers(...rows) {
  return h("dl", { class: "numbers" }, rows.filter(Boolean).map(([name, value, detail]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value, detail ? h("small", {}, ` ${detail}`) : null))));
}

export function table(caption, header, rows) {
  const numeric = header.map((_, k) => rows.length > 0 && rows.every((row) => row[k] === "" || typeof row[k] === "number" || /^[-−]?[\d.,]+( ?± ?[\d.,]+)?( %)?$/.test(row[k])));
  const cell = (tag, value, k) => h(tag, { class: numeric[k] ? "number" : null, scope: tag === "th" ? "col" : null }, typeof value === "number" ? tidy(value) : value ?? "");
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, header.map((each, k) => cell("th", each, k)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((each, k) => cell("td", each, k)))))));
}

// A number to three significant digits, with a proper minus.
export function tidy(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return (Math.abs(value) < 1e4 ? String(value) : value.toLocaleString("en")).replace("-", "−");
  const size = Math.abs(value);
  const text = size >= 1e5 || (size < 1e-3 && size > 0) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(Math.max(digits, Math.floor(Math.log10(size)) + 1))));
  return text.replace("-", "−");
}

// A value with its error, at the digits that the error leaves: 1.658 ± 0.012
export function measured(value, error) {
  if (value === null || value === undefined) return "–";
  if (!error) return tidy(value, 4);
  const places = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(places)} ± ${error.toFixed(places)}`.replace("-", "−");
}

export function bytes(count) {
  return `${count.toLocaleString("en")} B`;
}

export function seconds(value) {
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}
