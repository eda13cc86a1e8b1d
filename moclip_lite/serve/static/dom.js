// Small helpers: elements and words. Text is always text, never markup.

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function element(tag, attributes = {}, children = []) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, children = []) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// A label that may break behind its underscores.
export function breakable(label) {
  return label.split(/(?<=_)/).flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part]));
}

export function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const total = Math.round(Math.max(0, seconds) * scale);
  const whole = Math.floor(total / scale);
  const rest = digits ? `.${String(total % scale).padStart(digits, "0")}` : "";
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const tail = `${String(whole % 60).padStart(2, "0")}${rest}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export function percent(share) {
  return `${(100 * share).toFixed(share >= 0.0995 ? 0 : 1)} %`;
}

export function bytes(size) {
  for (const [unit, scale] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (size >= scale) return `${(size / scale).toFixed(size >= 10 * scale ? 0 : 1).replace(/\.0$/, "")} ${unit}`;
  }
  return `${size} bytes`;
}

export function minutes(seconds) {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} minutes`;
}
