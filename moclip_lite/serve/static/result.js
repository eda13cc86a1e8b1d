// The result: player, timeline, scores at the cursor, segments, downloads.
import { breakable, clock, element, percent } from "./dom.js";
import { Player } from "./player.js";
import { STREAMS, Timeline, colours, legend } from "./timeline.js";
import { KINDS, Vectors, draw } from "./vectors.js";

const byId = (id) => document.getElementById(id);
const STEPS = { ArrowLeft: -1, ArrowRight: 1 }; // seconds
const SLIDER_STEPS = { ...STEPS, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 }; // elsewhere they scroll the page
const ROUNDED = 2e-3; // seconds by which times of an answer may differ
const SHOWN = 5; // labels of the whole video, per stream
const COLUMNS = [["Start", null], ["End", "number"], ["Label", null], ["Score", "number"]];
const KIND_NAMES = { csv: "CSV", json: "JSON", vtt: "WebVTT" };

export class Result {
  constructor() {
    this.player = new Player(byId("video"), (seconds) => this.update(seconds), (words) => this.note(words));
    this.timeline = new Timeline(byId("timeline"), (seconds) => this.player.seek(seconds));
    this.answer = null;
    new ResizeObserver(() => this.redraw()).observe(byId("screen"));
    byId("play").addEventListener("click", () => this.player.toggle());
    byId("canvas").addEventListener("click", () => this.player.toggle());
    byId("back").addEventListener("click", () => this.step(-1));
    byId("forward").addEventListener("click", () => this.step(1));
    byId("vectors").addEventListener("change", () => this.redraw());
    byId("speed").addEventListener("change", (event) => {
      byId("video").playbackRate = Number(event.target.value);
    });
    byId("sound").addEventListener("click", () => {
      const on = byId("video").muted;
      byId("video").muted = !on;
      byId("sound").setAttribute("aria-pressed", String(on));
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async show(job, answer, local) {
    this.answer = answer;
    const { video, vectors, timeline } = answer;
    const end = video.start + video.duration;
    this.content = {
      duration: Math.max(end, 0.01),
      labelled: timeline ? timeline.start + timeline.duration : 0, // its end
      segments: timeline?.segments ?? [],
      windows: timeline?.windows ?? [],
      threshold: timeline?.threshold ?? 0,
      energy: vectors?.energy ?? [],
      streams: Object.keys(STREAMS).filter((stream) => stream in answer.streams),
    };
    this.content.colours = colours(this.content.segments.map((segment) => segment.label));
    this.vectors = vectors ? new Vectors(job.id, vectors, () => this.redraw()) : null;
    byId("screen").style.setProperty("--ratio", video.width / video.height);
    byId("result-name").textContent = answer.path;
    byId("result-title").textContent = headline(answer);
    legend(byId("legend"), this.content.windows.length ? this.content.streams : []);
    this.buildScores();
    this.buildSegments();
    this.buildWhole();
    this.buildDownloads(job);
    this.timeline.show(this.content);
    const source = local ?? job.links.video ?? null;
    const shown = await this.player.load(source, video.preview ? video.preview_offset : 0, end);
    byId("video").playbackRate = Number(byId("speed").value);
    byId("sound").hidden = !shown || video.preview;
    byId("play").disabled = !shown;
    this.buildNotes(shown);
    this.player.seek(0);
  }

  close() {
    this.answer = null;
    this.player.unload();
  }

  step(pictures) {
    this.player.video.pause();
    const target = this.vectors?.neighbour(this.player.seconds, pictures);
    const fallback = this.player.seconds + pictures / (this.answer?.video.fps || 25);
    this.player.seek(target === null || target === undefined ? fallback : target + 1e-4);
  }

  // Keys of the result, wherever the focus is in it or nowhere, but for those that the focused element uses.
  key(event) {
    const { key, target } = event;
    if (!this.answer || event.altKey || event.ctrlKey || event.metaKey) return;
    if ((target !== document.body && !byId("main").contains(target)) || target.matches("select, input")) return;
    const steps = target === byId("timeline") ? SLIDER_STEPS : STEPS;
    const scrolls = target.matches(".scroll");
    if (key in steps) this.player.seek(this.player.seconds + steps[key]);
    else if (key === "Home" && !scrolls) this.player.seek(0);
    else if (key === "End" && !scrolls) this.player.seek(this.content.duration);
    else if (key === " " && !target.matches("button, a, .scroll")) this.player.toggle();
    else if (key === ",") this.step(-1);
    else if (key === ".") this.step(1);
    else return;
    event.preventDefault();
  }

  windowAt(seconds) {
    let best = null;
    for (const window of this.content.windows) {
      const distance = Math.abs((window.start + window.end) / 2 - seconds);
      if (!best || distance < best.distance) best = { window, distance };
    }
    return best?.window ?? null;
  }

  // The segment at a time; the one that reaches the end of the timeline includes it.
  segmentAt(seconds) {
    const { segments, labelled } = this.content;
    const at = seconds + 1e-4; // as for pictures
    return segments.find((one) => one.start <= at && (at < one.end || one.end > labelled - ROUNDED));
  }

  update(seconds) {
    if (!this.answer) return;
    const segment = this.segmentAt(seconds);
    const label = segment ? `${segment.label}, ${percent(segment.score)}` : "no label";
    const words = `${clock(seconds)} of ${clock(this.content.duration)}`;
    this.timeline.move(seconds, `${words}, ${label}`);
    byId("clock").textContent = `${clock(seconds, 1)} / ${clock(this.content.duration, 1)}`;
    byId("play").textContent = this.player.playing ? "Pause" : "Play";
    this.updateNow(seconds, segment);
    this.redraw();
  }

  updateNow(seconds, segment) {
    byId("now-time").textContent = clock(seconds, 2);
    const window = this.windowAt(seconds);
    const scores = window ? window.scores : this.wholeScores();
    byId("now-label").replaceChildren(...breakable(window ? window.label : this.answer.predictions[0].label));
    byId("now-sure").textContent = window ? this.aboutWindow(window, segment) : "";
    for (const [stream, row] of this.scoreRows) {
      const share = scores[stream];
      row.bar.style.width = `${100 * (share ?? 0)}%`;
      row.value.textContent = share === undefined ? "none" : percent(share);
    }
    for (const { row, segment: one } of this.segmentRows) {
      if (one === segment) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  // How a window's best label relates to the segments.
  aboutWindow(window, segment) {
    if (segment) return segment.label === window.label ? "" : `in the segment ${segment.label}`;
    if (window.score < this.content.threshold) return "below the threshold of a segment";
    return "no segment: too little motion, or shorter than a segment";
  }

  wholeScores() {
    const label = this.answer.predictions[0].label;
    return Object.fromEntries(
      Object.entries(this.answer.streams).map(([stream, ranking]) => [
        stream,
        ranking.find((one) => one.label === label)?.score,
      ]),
    );
  }

  redraw() {
    if (!this.answer) return;
    const picture = this.vectors?.at(this.player.seconds) ?? null;
    draw(byId("canvas"), this.vectors, picture, this.answer.video.width, byId("vectors").value);
    byId("now-picture").textContent = picture ? `${picture.number}, ${KINDS[picture.kind]}` : "…";
    byId("now-motion").textContent = picture ? `${this.vectors.energy(picture).toFixed(2)} px per frame` : "…";
  }

  buildScores() {
    this.scoreRows = new Map();
    const rows = this.content.streams.map((stream) => {
      const bar = element("i"), value = element("td");
      this.scoreRows.set(stream, { bar, value });
      const meter = element("div", { class: `meter ${stream}` }, [bar]);
      const name = element("th", { scope: "row" }, [STREAMS[stream]]);
      return element("tr", {}, [name, element("td", { "aria-hidden": "true" }, [meter]), value]);
    });
    const caption = element("caption", { class: "visually-hidden" }, ["Score of this label by stream"]);
    byId("now-scores").replaceChildren(element("table", { class: "scores" }, [caption, element("tbody", {}, rows)]));
  }

  buildSegments() {
    this.segmentRows = this.content.segments.map((segment) => {
      const start = clock(segment.start, 1);
      const seek = () => this.player.seek(segment.start);
      const words = `Go to ${start}, ${segment.label}`;
      const jump = element("button", { type: "button", "aria-label": words, click: seek }, [start]);
      const colour = this.content.colours.get(segment.label);
      const swatch = element("span", { class: `swatch ${colour}`, "aria-hidden": "true" });
      const cells = [[jump], [clock(segment.end, 1)], [swatch, ...breakable(segment.label)], [percent(segment.score)]];
      const row = element("tr", {}, cells.map((cell, place) => element("td", { class: COLUMNS[place][1] }, cell)));
      return { row, segment };
    });
    if (!this.segmentRows.length) {
      byId("segments").replaceChildren(element("p", { class: "quiet" }, ["No segment: no label reaches the threshold."]));
      return;
    }
    const head = COLUMNS.map(([name, kind]) => element("th", { scope: "col", class: kind }, [name]));
    const table = element("table", { class: "table" }, [
      element("thead", {}, [element("tr", {}, head)]),
      element("tbody", {}, this.segmentRows.map(({ row }) => row)),
    ]);
    const tabindex = this.segmentRows.length > 8 ? 0 : null; // what scrolls can be reached by keyboard
    const box = { class: "scroll", tabindex, role: "group", "aria-labelledby": "segments-title" };
    byId("segments").replaceChildren(element("div", box, [table]));
  }

  buildWhole() {
    const lists = this.content.streams.map((stream) => {
      const items = this.answer.streams[stream].slice(0, SHOWN).map((one) =>
        element("li", {}, [element("span", {}, breakable(one.label)), element("span", { class: "quiet" }, [percent(one.score)])]),
      );
      return element("div", {}, [element("h3", { class: stream }, [STREAMS[stream]]), element("ol", {}, items)]);
    });
    byId("whole").replaceChildren(...lists);
  }

  buildDownloads(job) {
    const kinds = Object.keys(KIND_NAMES).filter((kind) => job.links[kind]);
    byId("downloads").parentElement.hidden = !kinds.length;
    byId("downloads").replaceChildren(
      ...kinds.map((kind) => {
        const link = { class: "button", href: job.links[kind], download: "" };
        return element("li", {}, [element("a", link, [KIND_NAMES[kind]])]);
      }),
    );
  }

  note(words) {
    if ([...byId("notes").children].some((one) => one.textContent === words)) return;
    byId("notes-view").hidden = false;
    byId("notes").prepend(element("li", {}, [words]));
  }

  buildNotes(shown) {
    const { video, vectors, notes } = this.answer;
    const all = [...notes];
    if (video.preview) all.unshift("This browser can’t play the file itself: a small copy without sound is shown.");
    if (!shown) all.unshift("The pictures can’t be shown here; the timeline and the vectors can.");
    if (vectors && !vectors.has_motion) all.unshift("This video has no motion vectors: every picture is coded on its own.");
    byId("notes-view").hidden = !all.length;
    byId("notes").replaceChildren(...all.map((note) => element("li", {}, [note])));
  }
}

// One sentence for the whole video.
function headline(answer) {
  const labels = [...new Set((answer.timeline?.segments ?? []).map((segment) => segment.label))];
  if (labels.length > 1) {
    const shown = labels.slice(0, 3).join(", ");
    return labels.length > 3 ? `${shown} and ${labels.length - 3} more` : shown;
  }
  const [best] = answer.predictions;
  return labels.length ? labels[0] : `${best.label}, ${percent(best.score)}`;
}
