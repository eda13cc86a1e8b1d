// The page: choose a video, wait, look at the result.
import { Problem, getJson, openSession, postJson, removeJob, request, upload } from "./api.js";
import { bytes, minutes } from "./dom.js";
import { shows } from "./player.js";
import { Result } from "./result.js";

const byId = (id) => document.getElementById(id);
const views = ["token-view", "start-view", "work-view", "result-view"].map(byId);
const result = new Result();
const state = { about: null, job: null, url: null, abort: null, run: 0 };

const ALL = 1000; // labels per stream: the scores at the cursor are of any label
const STAGES = {
  upload: "Uploading",
  waiting: "Waiting for other videos",
  read: "Reading the file",
  predict: "Classifying the whole video",
  timeline: "Labelling moments",
  vectors: "Collecting motion vectors",
  preview: "Making a preview that this browser can play",
};

function show(name) {
  for (const view of views) view.hidden = view.id !== name;
}

function say(text) {
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

function fail(error) {
  byId("error").hidden = false;
  byId("error-text").textContent = error.message;
  byId("error").scrollIntoView({ block: "nearest" });
  say("");
}

function clearError() {
  byId("error").hidden = true;
  byId("error-text").textContent = "";
}

async function begin() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname);
    await openSession(token).catch(fail);
  }
  try {
    state.about = await getJson("/api/about");
  } catch (error) {
    if (error.status === 401) {
      show("token-view");
      byId("token").focus();
    } else {
      fail(error);
    }
    return;
  }
  describe(state.about);
  show("start-view");
}

function describe(about) {
  byId("model").textContent = `Model ${about.model}, ${about.labels.length} labels`;
  byId("model").hidden = false;
  byId("limits").textContent =
    `Up to ${bytes(about.max_upload)} and ${minutes(about.max_length)}. The server removes the file once it is analysed.`;
  byId("labels").textContent = about.labels.join(", ");
  byId("path-form").hidden = !about.root;
  if (about.root) listPaths("");
}

async function listPaths(folder) {
  try {
    const { paths, more } = await getJson(`/api/files?folder=${encodeURIComponent(folder)}`);
    byId("paths").replaceChildren(...paths.map((path) => new Option(path)));
    byId("more-paths").textContent =
      `Only the first ${paths.length} names of ${folder || "the root folder"} are offered; type any other.`;
    byId("more-paths").hidden = !more;
  } catch {
    byId("paths").replaceChildren();
    byId("more-paths").hidden = true;
  }
}

function progress(stage, done, total, detail) {
  byId("stage").textContent = STAGES[stage] || stage;
  const bar = byId("progress");
  if (total > 0) bar.value = Math.min(1, done / total);
  else bar.removeAttribute("value");
  byId("detail").textContent = detail || (total > 0 ? `${Math.floor((100 * done) / total)} %` : "");
  const quarter = total > 0 ? Math.floor((4 * done) / total) * 25 : 0;
  say(`${byId("stage").textContent}${quarter ? `, ${quarter} percent` : ""}`);
}

function startWork(name) {
  state.run += 1;
  state.abort = new AbortController();
  clearError();
  document.title = `${name}, moclip`;
  byId("work-title").textContent = name;
  byId("result-name").title = name; // the answer holds a bounded part of it
  show("work-view");
  byId("work-title").focus();
  return state.run;
}

async function discard() {
  if (state.abort) state.abort.abort();
  if (state.job) removeJob(state.job.id);
  result.close();
  if (state.url) URL.revokeObjectURL(state.url);
  state.job = state.url = state.abort = null;
}

function toStart() {
  state.run += 1;
  discard();
  document.title = "moclip";
  say("");
  show("start-view");
  byId("file").value = "";
  byId("file").focus();
}

async function analyseFile(file) {
  if (!state.about) return;
  clearError();
  if (file.size > state.about.max_upload) {
    fail(new Problem(413, `${file.name} has ${bytes(file.size)}; this server takes up to ${bytes(state.about.max_upload)}.`));
    return;
  }
  await discard();
  const run = startWork(file.name);
  const url = URL.createObjectURL(file);
  state.url = url;
  await follow(run, async () => {
    progress("read", 0, 0);
    const plays = await shows(document.createElement("video"), url);
    if (run !== state.run) throw new DOMException("cancelled", "AbortError");
    const fields = { preview: plays ? "no" : "yes", top_k: ALL };
    const onProgress = (done, total) => {
      if (run === state.run) progress("upload", done, total, `${bytes(done)} of ${bytes(total)}`);
    };
    return { job: await upload(file, fields, onProgress, state.abort.signal), local: plays ? url : null };
  });
}

async function analysePath(path) {
  clearError();
  await discard();
  const run = startWork(path);
  await follow(run, async () => ({ job: await (await postJson("/api/jobs", { path, top_k: ALL })).json(), local: null }));
}

// Submit, wait for the end and show the result; errors lead back to the start.
async function follow(run, submit) {
  try {
    const { job, local } = await submit();
    if (run !== state.run) {
      removeJob(job.id);
      return;
    }
    state.job = job;
    await finished(run);
    if (run !== state.run) return;
    const answer = await getJson(`/api/jobs/${job.id}/result`);
    if (run !== state.run) return;
    show("result-view");
    say("");
    await result.show(state.job, answer, local);
    byId("result-title").focus();
  } catch (error) {
    if (run !== state.run || error.name === "AbortError") return;
    toStart();
    fail(error);
  }
}

async function finished(run) {
  for (;;) {
    const { id } = state.job;
    state.job = await getJson(`/api/jobs/${id}`);
    if (run !== state.run || state.job.state === "done") return;
    if (state.job.state === "failed" || state.job.state === "cancelled") {
      throw new Problem(422, state.job.error || "The analysis was ended.");
    }
    if (state.job.state === "waiting") progress("waiting", 0, 0, `${state.job.position} before this one`);
    else progress(state.job.stage || "read", state.job.done, state.job.total);
    await new Promise((resolve) => setTimeout(resolve, 400));
    if (run !== state.run) return;
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) analyseFile(event.target.files[0]);
});
byId("path-form").addEventListener("submit", (event) => {
  event.preventDefault();
  analysePath(byId("path").value.trim());
});
byId("path").addEventListener("input", (event) => {
  const folder = event.target.value.slice(0, event.target.value.lastIndexOf("/") + 1);
  if (folder !== event.target.dataset.folder) {
    event.target.dataset.folder = folder;
    listPaths(folder);
  }
});
byId("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  clearError();
  try {
    await openSession(byId("token").value.trim());
    await begin();
    byId("file").focus();
  } catch (error) {
    fail(error);
  }
});
byId("cancel").addEventListener("click", () => {
  toStart();
  say("Cancelled");
});
byId("again").addEventListener("click", toStart);

let depth = 0;
const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragenter", (event) => {
  if (!hasFiles(event)) return;
  depth += 1;
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  if (!depth) byId("drop").classList.remove("over");
});
document.addEventListener("dragover", (event) => {
  if (hasFiles(event)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  byId("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) analyseFile(file);
});

// The result is kept as long as the page asks for it, and removed with the page. A page that the browser
// keeps for its way back has lost its result too: it starts anew.
setInterval(() => {
  if (state.job?.state === "done" && !document.hidden) request(`/api/jobs/${state.job.id}`).catch(() => {});
}, 60_000);
addEventListener("pagehide", () => {
  if (state.job) removeJob(state.job.id);
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

begin();
