// Requests to the server. Every failure is an Error whose message is a sentence for people.

export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const LOST = "The server does not answer. Is it still running?";

async function sentence(response) {
  try {
    return (await response.json()).error || response.statusText;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, LOST);
  }
  if (!response.ok) throw new Problem(response.status, await sentence(response));
  return response;
}

export async function getJson(path) {
  return (await request(path)).json();
}

export function postJson(path, body) {
  return request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

// Exchange a token for the session's cookie.
export function openSession(token) {
  return postJson("/api/session", { token });
}

// Upload a file; XMLHttpRequest because fetch tells no progress of uploads.
export function upload(file, fields, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file, file.name);
    const call = new XMLHttpRequest();
    call.open("POST", "/api/jobs");
    call.responseType = "json";
    call.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    call.onload = () => {
      if (call.status < 300) resolve(call.response);
      else reject(new Problem(call.status, call.response?.error || `The server answered ${call.status}.`));
    };
    call.onerror = () => reject(new Problem(0, "The connection broke during the upload."));
    call.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(form);
  });
}

// Remove a job; also sent while the page is being closed.
export function removeJob(id) {
  return fetch(`/api/jobs/${id}`, { method: "DELETE", keepalive: true, credentials: "same-origin" }).catch(() => {});
}
