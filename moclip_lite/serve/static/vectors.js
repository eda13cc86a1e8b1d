// Motion vectors: chunks of binary data, and how they are drawn. Format: serve/child/vectors.py.
import { request } from "./api.js";

const KEPT = 6; // chunks in memory
const ARROW = 3; // arrows are drawn at three times their length
const MIN_CELL = 13; // CSS pixels between arrows
const MIN_LENGTH = 0.25; // pixels per frame

export const KINDS = ["I, no vectors", "P", "B", "not readable"];

function parse(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0) !== 0x4d435631) throw new Error("not a chunk of motion vectors");
  const columns = view.getUint16(4, true), rows = view.getUint16(6, true);
  const first = view.getUint32(8, true), count = view.getUint32(12, true);
  const unit = view.getFloat32(16, true);
  const times = new Float64Array(count);
  for (let i = 0; i < count; i++) times[i] = view.getFloat64(20 + 8 * i, true);
  const kinds = new Uint8Array(buffer, 20 + 8 * count, count);
  const steps = new Int8Array(buffer, 20 + 9 * count, count * rows * columns * 2);
  return { columns, rows, first, count, unit, times, kinds, steps };
}

// The last index whose value is at most `value`; -1 if none.
function lastAtMost(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class Vectors {
  constructor(jobId, summary, onLoad) {
    this.base = `/api/jobs/${jobId}/vectors/`;
    this.summary = summary;
    this.onLoad = onLoad;
    this.chunks = new Map();
  }

  chunkAt(seconds) {
    return Math.max(0, lastAtMost(this.summary.chunk_starts, seconds + 1e-4));
  }

  load(number) {
    if (number < 0 || number >= this.summary.chunks || this.chunks.has(number)) return;
    this.chunks.set(number, null);
    request(this.base + number)
      .then((response) => response.arrayBuffer())
      .then((buffer) => {
        this.chunks.set(number, parse(buffer));
        for (const old of this.chunks.keys()) {
          if (this.chunks.size <= KEPT) break;
          if (Math.abs(old - number) > 1) this.chunks.delete(old);
        }
        this.onLoad();
      })
      .catch(() => this.chunks.delete(number));
  }

  // The picture shown at a time: its chunk, place in it, number, time; null while it loads.
  at(seconds) {
    const number = this.chunkAt(seconds);
    this.load(number);
    this.load(number + 1);
    const chunk = this.chunks.get(number);
    if (!chunk) return null;
    const place = Math.max(0, lastAtMost(chunk.times, seconds + 1e-4));
    return { chunk, place, number: chunk.first + place, seconds: chunk.times[place], kind: chunk.kinds[place] };
  }

  // Time of the picture `step` pictures from the one at `seconds`.
  neighbour(seconds, step) {
    const picture = this.at(seconds);
    if (!picture) return null;
    const { chunk, place } = picture;
    if (place + step >= 0 && place + step < chunk.count) return chunk.times[place + step];
    const other = this.chunks.get(this.chunkAt(chunk.times[0]) + Math.sign(step));
    if (!other) {
      this.load(this.chunkAt(chunk.times[0]) + Math.sign(step));
      return null;
    }
    return step > 0 ? other.times[0] : other.times[other.count - 1];
  }

  // The field of a picture; keyframes have none, that of the picture before is shown faintly.
  field(picture) {
    const { chunk } = picture;
    let { place } = picture;
    if (chunk.kinds[place] === 0 && place > 0) place -= 1;
    const size = chunk.rows * chunk.columns * 2;
    return { steps: chunk.steps.subarray(place * size, (place + 1) * size), held: place !== picture.place };
  }

  // Mean length in pixels per frame.
  energy(picture) {
    const { steps } = this.field(picture);
    let sum = 0;
    for (let i = 0; i < steps.length; i += 2) sum += Math.hypot(steps[i], steps[i + 1]);
    return (sum * picture.chunk.unit) / (steps.length / 2);
  }
}

function hue(x, y) {
  return ((Math.atan2(y, x) * 180) / Math.PI + 360) % 360;
}

// Draw a picture's vectors: `style` is arrows, colour, both or off.
export function draw(canvas, vectors, picture, width, style) {
  const ratio = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, w, h);
  if (!picture || style === "off") return;
  const { steps, held } = vectors.field(picture);
  context.globalAlpha = held ? 0.45 : 1;
  if (style !== "arrows") drawColour(context, picture.chunk, steps, w, h);
  if (style !== "colour") drawArrows(context, picture.chunk, steps, w, h, ratio, w / width);
  context.globalAlpha = 1;
}

function drawColour(context, chunk, steps, w, h) {
  const { columns, rows, unit } = chunk;
  const small = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  let top = 2;
  for (let i = 0; i < steps.length; i += 2) top = Math.max(top, Math.hypot(steps[i], steps[i + 1]) * unit);
  for (let cell = 0; cell < rows * columns; cell++) {
    const x = steps[2 * cell] * unit, y = steps[2 * cell + 1] * unit;
    const [r, g, b] = rgb(hue(x, y));
    image.data.set([r, g, b, 190 * Math.min(1, Math.hypot(x, y) / top)], 4 * cell);
  }
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, w, h);
}

function rgb(degrees) {
  const part = (shift) => {
    const k = (shift + degrees / 60) % 6;
    return Math.round(255 * (1 - Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}

function drawArrows(context, chunk, steps, w, h, ratio, scale) {
  const { columns, rows, unit } = chunk;
  const join = Math.max(1, Math.round((MIN_CELL * ratio) / (w / columns)));
  context.lineCap = "round";
  for (let row = 0; row < rows; row += join) {
    for (let column = 0; column < columns; column += join) {
      let x = 0, y = 0, cells = 0;
      for (let r = row; r < Math.min(row + join, rows); r++) {
        for (let c = column; c < Math.min(column + join, columns); c++) {
          const i = 2 * (r * columns + c);
          x += steps[i];
          y += steps[i + 1];
          cells += 1;
        }
      }
      x = (x * unit) / cells;
      y = (y * unit) / cells;
      if (Math.hypot(x, y) < MIN_LENGTH) continue;
      const centre = [(Math.min(column + join, columns) + column) / 2, (Math.min(row + join, rows) + row) / 2];
      arrow(context, (centre[0] * w) / columns, (centre[1] * h) / rows, x, y, scale, ratio);
    }
  }
}

function arrow(context, x, y, dx, dy, scale, ratio) {
  const reach = Math.min(ARROW * scale * Math.hypot(dx, dy), 60 * ratio);
  const angle = Math.atan2(dy, dx), head = Math.min(6 * ratio, 3 * ratio + reach * 0.2);
  const [ex, ey] = [x + reach * Math.cos(angle), y + reach * Math.sin(angle)];
  const path = new Path2D();
  path.moveTo(x, y);
  path.lineTo(ex, ey);
  path.moveTo(ex - head * Math.cos(angle - 0.5), ey - head * Math.sin(angle - 0.5));
  path.lineTo(ex, ey);
  path.lineTo(ex - head * Math.cos(angle + 0.5), ey - head * Math.sin(angle + 0.5));
  context.strokeStyle = "rgba(0, 0, 0, 0.75)";
  context.lineWidth = 3.2 * ratio;
  context.stroke(path);
  context.strokeStyle = `hsl(${hue(dx, dy)} 100% 70%)`;
  context.lineWidth = 1.6 * ratio;
  context.stroke(path);
}
