// Arrays as .npy files, for the snippets.

import { h } from "./dom.js";

// One example of `shape` as an array (1, *shape) of float64; null becomes NaN.
export function npy(values, shape) {
  const dims = [1, ...shape].join(", ");
  let header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${dims},), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const buffer = new ArrayBuffer(10 + header.length + 8 * values.length), view = new DataView(buffer);
  [0x93, 78, 85, 77, 80, 89, 1, 0].forEach((byte, k) => view.setUint8(k, byte));
  view.setUint16(8, header.length, true);
  for (let k = 0; k < header.length; k++) view.setUint8(10 + k, header.charCodeAt(k));
  values.forEach((value, k) => view.setFloat64(10 + header.length + 8 * k, value ?? NaN, true));
  return new Blob([buffer]);
}

// A button that saves a file. `make` gives its content when it is pressed.
export function saving(name, make) {
  return h("p", {}, h("button", { type: "button", class: "quiet", onclick: () => {
    const address = URL.createObjectURL(make());
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  } }, `Save ${name}`));
}
