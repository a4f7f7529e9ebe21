// Examples on canvases: images, points of a plane, curves.

import { h } from "./dom.js";

export function unpack(images) {
  if (images.bytes) return images.bytes;
  images.bytes = Uint8Array.from(atob(images.data), (c) => c.charCodeAt(0));
  return images.bytes;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const mixed = (a, b, share) => a.map((each, k) => Math.round(each + share * (b[k] - each)));
const parsed = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

// One example of `images` on a canvas. `palette` is "grey", or "heat" for a quantity.
export function paint(canvas, images, index, look, palette = "grey") {
  if (look.look === "images") return pixels(canvas, unpack(images), index, look, palette);
  if (look.look === "curves") return curve(canvas, images.values[index], look);
  return scatter(canvas, images.values, look);
}

function pixels(canvas, data, index, { height, width, colours }, palette) {
  canvas.width = width; canvas.height = height;
  canvas.classList.add("pixels");
  const context = canvas.getContext("2d"), area = context.createImageData(width, height);
  const low = parsed(colour("--card")), high = parsed(colour("--accent"));
  const start = index * width * height * colours;
  for (let k = 0; k < width * height; k++) {
    const at = start + k * colours, share = data[at] / 255;
    const rgb = palette === "heat" ? mixed(low, high, colours === 1 ? share : (data[at] + data[at + 1] + data[at + 2]) / 765)
      : colours === 1 ? [data[at], data[at], data[at]] : [data[at], data[at + 1], data[at + 2]];
    area.data.set([...rgb, 255], 4 * k);
  }
  context.putImageData(area, 0, 0);
}

function prepared(canvas, ratio) {
  const wide = Math.max(canvas.clientWidth, 120), dense = Math.min(devicePixelRatio, 2);
  canvas.width = wide * dense; canvas.height = (wide / ratio) * dense;
  canvas.style.aspectRatio = String(ratio);
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  return [context, wide, wide / ratio];
}

function curve(canvas, values, { low, high }) {
  const [context, wide, tall] = prepared(canvas, 2);
  const least = Math.min(low, ...values), most = Math.max(high, ...values);
  context.strokeStyle = colour("--accent"); context.lineWidth = 1.5;
  context.beginPath();
  values.forEach((value, k) => context.lineTo(2 + (k / Math.max(values.length - 1, 1)) * (wide - 4), tall - 3 - ((value - least) / (most - least || 1)) * (tall - 6)));
  context.stroke();
}

// Points, with a density in squares and arrows where there are some.
export function scatter(canvas, points, { reach }, { density, arrows } = {}) {
  const [context, size] = prepared(canvas, 1);
  const at = (v) => (size * (v + reach)) / (2 * reach), up = (v) => size - at(v);
  if (density) {
    const cells = density.length, most = Math.max(...density.flat()), rgb = parsed(colour("--accent"));
    density.forEach((row, i) => row.forEach((value, j) => {
      context.fillStyle = `rgb(${rgb.join(" ")} / ${(0.55 * value) / (most || 1)})`;
      const [left, right, top, bottom] = [j / cells, (j + 1) / cells, 1 - (i + 1) / cells, 1 - i / cells].map((share) => Math.round(share * size));
      context.fillRect(left, top, right - left, bottom - top);
    }));
  }
  if (arrows) {
    context.strokeStyle = colour("--quiet"); context.lineWidth = 1; context.beginPath();
    for (const [x, y, u, v] of arrows) { context.moveTo(at(x), up(y)); context.lineTo(at(x + u), up(y + v)); }
    context.stroke();
    context.fillStyle = colour("--quiet");
    for (const [x, y, u, v] of arrows) { context.beginPath(); context.arc(at(x), up(y), 1.3, 0, 7); context.fill(); }
  }
  context.fillStyle = colour("--second");
  for (const [x, y] of points) { context.beginPath(); context.arc(at(x), up(y), 1.8, 0, 7); context.fill(); }
}

// A grid of examples that can be drawn again; `choose` makes each of them a button.
export class Grid {
  constructor(look, label, choose) {
    this.look = look; this.label = label; this.choose = choose;
    this.element = h("ul", { class: "grid", "aria-label": label });
    if (look.look === "points") this.element.style.setProperty("--cell", "min(22rem, 100%)");
    else if (look.look === "curves") this.element.style.setProperty("--cell", "9rem");
    this.canvases = [];
  }

  show(images, first = 0) {
    if (this.look.look === "points") return this.plane(images);
    for (let k = 0; k < images.count; k++) paint(this.canvas(first + k), images, k, this.look);
  }

  plane(images) {
    paint(this.canvas(0), images, 0, this.look);
    this.canvases[0].setAttribute("aria-label", `${this.label}: ${images.count} points`);
  }

  canvas(k) {
    while (this.canvases.length <= k) {
      const number = this.canvases.length;
      const canvas = h("canvas", { role: "img", "aria-label": `${this.label}: number ${number + 1}` });
      this.canvases.push(canvas);
      this.element.append(h("li", {}, this.choose ? h("button", { type: "button", "aria-pressed": "false", "aria-label": `Take number ${number + 1}`, onclick: () => { this.press(number); this.choose(number); } }, canvas) : canvas));
    }
    return this.canvases[k];
  }

  press(number) {
    [...this.element.querySelectorAll("button")].forEach((button, k) => button.setAttribute("aria-pressed", String(k === number)));
  }

  trim(count) {
    if (this.look.look === "points") return;
    while (this.canvases.length > count) { this.canvases.pop(); this.element.lastChild.remove(); }
  }
}

export function figure(caption, label, draw) {
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const made = h("figure", {}, canvas, h("figcaption", {}, caption));
  made.draw = draw ? () => draw(canvas) : () => {};
  made.canvas = canvas;
  return made;
}
