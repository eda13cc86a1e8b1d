// The player: a video, or a clock of its own where the browser can't show one. Times are those of the timeline.

export class Player {
  // `onTime` is called whenever the position or the state changes, `onProblem` with a sentence if playing fails.
  constructor(video, onTime, onProblem) {
    this.video = video;
    this.onTime = onTime;
    this.onProblem = onProblem;
    this.offset = 0;
    this.duration = 0;
    this.position = 0;
    this.hasVideo = false;
    this.loop = this.loop.bind(this);
    // "timeupdate" too: a page that is not drawn, such as a hidden tab, has no animation frames.
    for (const name of ["play", "pause", "seeked", "timeupdate", "ended", "loadeddata"]) {
      video.addEventListener(name, () => {
        if (this.hasVideo) this.changed();
      });
    }
    requestAnimationFrame(this.loop);
  }

  // Load a source, or none. Returns whether the browser shows its pictures.
  async load(source, offset, duration) {
    this.unload();
    this.offset = offset;
    this.duration = duration;
    this.hasVideo = source !== null && (await shows(this.video, source));
    if (!this.hasVideo) this.video.removeAttribute("src");
    this.changed();
    return this.hasVideo;
  }

  unload() {
    this.hasVideo = false;
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    this.position = 0;
  }

  get seconds() {
    if (!this.hasVideo) return this.position;
    return Math.min(Math.max(0, this.video.currentTime - this.offset), this.duration); // sound may last longer
  }

  get playing() {
    return this.hasVideo && !this.video.paused && !this.video.ended;
  }

  seek(seconds) {
    const time = Math.min(Math.max(0, seconds), this.duration);
    this.position = time;
    if (this.hasVideo) this.video.currentTime = Math.max(0, time + this.offset);
    this.changed();
  }

  toggle() {
    if (!this.hasVideo) return;
    if (this.playing) this.video.pause();
    else this.video.play().catch((error) => this.failed(error));
  }

  // A pause before the first picture ends play() with AbortError: nothing to tell.
  failed(error) {
    if (error.name !== "AbortError") this.onProblem(`The browser can’t play this video: ${error.message}`);
  }

  loop() {
    if (this.playing) this.changed();
    requestAnimationFrame(this.loop);
  }

  changed() {
    this.onTime(this.seconds);
  }
}

// Whether the browser shows the pictures of a source: its first one must decode.
export function shows(video, source, limit = 8000) {
  return new Promise((resolve) => {
    const finish = (answer) => {
      clearTimeout(timer);
      video.removeEventListener("loadeddata", loaded);
      video.removeEventListener("error", failed);
      resolve(answer);
    };
    const loaded = () => finish(video.videoWidth > 0);
    const failed = () => finish(false);
    const timer = setTimeout(failed, limit);
    video.addEventListener("loadeddata", loaded);
    video.addEventListener("error", failed);
    video.muted = true;
    video.preload = "auto";
    video.src = source;
    video.load();
  });
}
