// Charts in SVG: lines with errors, histograms of one or two samples, bars.

import { tidy } from "./dom.js";

// On a phone a chart is drawn narrower, so that its text stays as large.
const WIDE = Math.max(320, Math.min(520, document.documentElement.clientWidth - 32));
const LEFT = 52, RIGHT = 10, TOP = 10, BOTTOM = 34;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Places of marks on an axis: round numbers, and whole ones on an axis of a few whole numbers.
function ticks(low, high, count = 5) {
  const raw = (high - low) / count || 1, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * size).find((each) => each >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return found;
}

function frame(label, { x, y, xName, yName, tall = 220 }) {
  const bottom = tall - BOTTOM;
  const px = (value) => LEFT + ((value - x[0]) / (x[1] - x[0] || 1)) * (WIDE - LEFT - RIGHT);
  const py = (value) => bottom - ((value - y[0]) / (y[1] - y[0] || 1)) * (bottom - TOP);
  const plot = svg("svg", { class: "plot", viewBox: `0 0 ${WIDE} ${tall}`, role: "img", "aria-label": label });
  for (const value of ticks(...y, 4)) plot.append(svg("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: py(value), y2: py(value) }), svg("text", { x: LEFT - 6, y: py(value) + 4, "text-anchor": "end" }, tidy(value)));
  for (const value of ticks(...x)) plot.append(svg("text", { x: px(value), y: bottom + 15, "text-anchor": "middle" }, tidy(value)));
  plot.append(svg("text", { x: (LEFT + WIDE - RIGHT) / 2, y: tall - 4, "text-anchor": "middle" }, xName));
  if (yName) plot.append(svg("text", { x: 12, y: (TOP + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + bottom) / 2})` }, yName));
  return { plot, px, py, bottom };
}

const ends = (values) => {
  const low = Math.min(...values), high = Math.max(...values), pad = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - pad, high + pad];
};

// Series: [{ points: [[x, y, error?], ...], kind: "a" | "b", dots? }]
export function lines(label, series, { xName, yName, zero = false, x: range, tall }) {
  const all = series.flatMap((each) => each.points);
  const y = ends(all.flatMap(([, value, error = 0]) => [value - error, value + error]).concat(zero ? [0] : []));
  const { plot, px, py } = frame(label, { x: range ?? [Math.min(...all.map(([v]) => v)), Math.max(...all.map(([v]) => v))], y: zero ? [Math.min(0, y[0]) && y[0], y[1]] : y, xName, yName, tall });
  for (const { points, kind = "a", dots } of series) {
    plot.append(svg("polyline", { class: kind, points: points.map(([a, b]) => `${px(a)},${py(b)}`).join(" ") }));
    for (const [a, b, error] of points) {
      if (error) plot.append(svg("line", { class: kind, x1: px(a), x2: px(a), y1: py(b - error), y2: py(b + error), "stroke-dasharray": "none" }));
      if (dots) plot.append(svg("circle", { class: `dot-${kind}`, cx: px(a), cy: py(b), r: 3 }));
    }
  }
  return plot;
}

// Heights of bars between edges, one sample or two.
export function bars(label, samples, { xName, yName = "share", marks = [], tall }) {
  const edges = samples[0].edges, most = Math.max(...samples.flatMap((each) => each.heights), 1e-9);
  const x = [Math.min(edges[0], ...samples.map((s) => s.edges[0])), Math.max(...samples.map((s) => s.edges.at(-1)))];
  const { plot, px, py, bottom } = frame(label, { x, y: [0, most * 1.08], xName, yName, tall });
  samples.forEach(({ heights, edges: own, kind = "a" }) => heights.forEach((height, k) => {
    if (height) plot.append(svg("rect", { class: `fill-${kind}`, x: px(own[k]) + 0.5, width: Math.max(px(own[k + 1]) - px(own[k]) - 1, 1), y: py(height), height: bottom - py(height) }));
  }));
  for (const { at, kind = "a", text } of marks) plot.append(svg("line", { class: kind, x1: px(at), x2: px(at), y1: TOP, y2: bottom }), svg("text", { x: px(at) + 5, y: TOP + 10 }, text ?? ""));
  return plot;
}

export function histogram(values, low, high, count = 24) {
  const heights = new Array(count).fill(0), edges = Array.from({ length: count + 1 }, (_, k) => low + (k * (high - low)) / count);
  for (const value of values) heights[Math.max(0, Math.min(count - 1, Math.floor(((value - low) / (high - low || 1)) * count)))] += 1 / values.length;
  return { heights, edges };
}
