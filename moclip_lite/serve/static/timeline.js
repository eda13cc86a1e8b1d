// The timeline: segments, score curves and motion energy over time; a slider.
import { clock, element, percent, svg } from "./dom.js";

const ROWS = { blocks: 34, scores: 110, energy: 44, axis: 20, gap: 10 };
const LEFT = 34; // for the numbers of the vertical axis

export const STREAMS = { fusion: "Fusion", appearance: "Appearance", motion: "Motion" };

// Class names of colours by label, in the order of appearance.
export function colours(labels) {
  return new Map([...new Set(labels)].map((label, place) => [label, `c${place % 8}`]));
}

export class Timeline {
  // `onSeek` receives seconds.
  constructor(node, onSeek) {
    this.node = node;
    this.onSeek = onSeek;
    new ResizeObserver(() => this.draw()).observe(node);
    node.addEventListener("pointerdown", (event) => this.drag(event));
    node.addEventListener("pointermove", (event) => {
      if (event.buttons & 1 && node.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
  }

  show(content) {
    this.content = content;
    this.width = 0;
    this.node.setAttribute("aria-valuemax", content.duration.toFixed(2));
    this.draw();
  }

  drag(event) {
    if (event.button !== 0 || !this.content) return;
    this.node.setPointerCapture(event.pointerId);
    this.seekTo(event);
  }

  seekTo(event) {
    const box = this.drawing.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / Math.max(1, box.width - LEFT);
    this.onSeek(Math.min(1, Math.max(0, share)) * this.content.duration);
  }

  x(seconds) {
    return LEFT + (seconds / this.content.duration) * (this.width - LEFT);
  }

  draw() {
    if (!this.content) return;
    const style = getComputedStyle(this.node);
    const width = Math.floor(this.node.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
    if (width < 50 || width === this.width) return;
    this.width = width;
    const { windows, energy } = this.content;
    let y = 0;
    const parts = [...this.blocks(y)];
    y += ROWS.blocks + ROWS.gap;
    if (windows.length) {
      parts.push(...this.curves(y));
      y += ROWS.scores + ROWS.gap;
    }
    if (energy.length) {
      parts.push(...this.energyArea(y));
      y += ROWS.energy;
    }
    parts.push(...this.axis(y));
    const height = y + ROWS.axis;
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: y });
    this.handle = svg("circle", { class: "handle", r: 5, cy: y });
    parts.push(this.cursor, this.handle);
    this.drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" }, parts);
    this.node.replaceChildren(this.drawing);
    this.move(this.seconds ?? 0, this.words ?? "");
  }

  *blocks(y) {
    yield svg("rect", { class: "track", x: LEFT, y, width: this.width - LEFT, height: ROWS.blocks, rx: 6 });
    for (const segment of this.content.segments) {
      const left = this.x(segment.start), right = Math.max(left + 2, this.x(segment.end));
      const group = svg("g", { class: `block ${this.content.colours.get(segment.label)}` }, [
        svg("title", {}, [`${segment.label}, ${clock(segment.start, 1)} to ${clock(segment.end, 1)}, ${percent(segment.score)}`]),
        svg("rect", { x: left + 0.5, y, width: right - left - 1, height: ROWS.blocks, rx: 6 }),
      ]);
      const letters = Math.floor((right - left - 14) / 7.2);
      if (letters >= 3) {
        const text = segment.label.length > letters ? `${segment.label.slice(0, letters - 1)}…` : segment.label;
        group.append(svg("text", { x: left + 8, y: y + ROWS.blocks / 2 + 4 }, [text]));
      }
      yield group;
    }
    if (!this.content.segments.length) {
      yield svg("text", { x: LEFT + 8, y: y + ROWS.blocks / 2 + 4 }, ["no segment: no label reaches the threshold"]);
    }
  }

  *curves(y) {
    const { windows, threshold, streams } = this.content;
    const at = (score) => y + (1 - score) * ROWS.scores;
    for (const mark of [0, 0.5, 1]) {
      yield svg("line", { class: "grid", x1: LEFT, x2: this.width, y1: at(mark), y2: at(mark) });
      yield svg("text", { x: LEFT - 6, y: at(mark) + 4, "text-anchor": "end" }, [String(mark)]);
    }
    yield svg("line", { class: "threshold", x1: LEFT, x2: this.width, y1: at(threshold), y2: at(threshold) });
    for (const stream of [...streams].reverse()) {
      const points = windows
        .filter((window) => stream in window.scores)
        .map((window) => `${this.x((window.start + window.end) / 2).toFixed(1)},${at(window.scores[stream]).toFixed(1)}`);
      if (points.length === 1) {
        const [px, py] = points[0].split(",");
        points.push(`${Number(px) + 8},${py}`);
      }
      yield svg("polyline", { class: `curve ${stream}`, points: points.join(" ") });
    }
  }

  *energyArea(y) {
    const { energy } = this.content;
    const top = Math.max(...energy.map(([, value]) => value), 1e-6);
    const base = y + ROWS.energy;
    const points = energy.map(([t, value]) => `${this.x(t).toFixed(1)},${(base - (value / top) * (ROWS.energy - 8)).toFixed(1)}`);
    const [first, last] = [this.x(energy[0][0]), this.x(energy[energy.length - 1][0])];
    yield svg("polygon", { class: "energy", points: `${first},${base} ${points.join(" ")} ${last},${base}` });
    yield svg("line", { class: "grid", x1: LEFT, x2: this.width, y1: base, y2: base });
    yield svg("text", { x: LEFT + 4, y: y + 10 }, ["motion"]);
  }

  *axis(y) {
    const { duration } = this.content;
    const wanted = duration / Math.max(2, (this.width - LEFT) / 90);
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].find((s) => s >= wanted) || 3600;
    for (let t = 0; t <= duration; t += step) {
      const anchor = this.x(t) > this.width - 20 ? "end" : t === 0 ? "start" : "middle";
      yield svg("text", { x: this.x(t), y: y + 16, "text-anchor": anchor }, [clock(t, step < 1 ? 1 : 0)]);
    }
  }

  // Put the cursor to a time; `words` say what is there.
  move(seconds, words) {
    this.seconds = seconds;
    this.words = words;
    if (!this.drawing) return;
    const x = this.x(Math.min(seconds, this.content.duration));
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.handle.setAttribute("cx", x);
    this.node.setAttribute("aria-valuenow", seconds.toFixed(2));
    this.node.setAttribute("aria-valuetext", words);
  }
}

export function legend(node, streams) {
  node.replaceChildren(
    ...streams.map((stream) =>
      element("li", {}, [
        svg("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" }, [
          svg("line", { class: `curve ${stream}`, x1: 1, x2: 27, y1: 5, y2: 5 }),
        ]),
        STREAMS[stream] || stream,
      ]),
    ),
  );
}
