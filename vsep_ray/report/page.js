// All sounds of a track are decoded once and started at the same instant of one audio clock; solo and mute
// only turn gains, so that switching between reference and estimate never loses the place.

const SHORT = 2, STEP = 5, SHORT_STEP = 0.5; // seconds
let context, current;

const decode = async uri => {
  const bytes = Uint8Array.from(atob(uri.slice(uri.indexOf(',') + 1)), letter => letter.charCodeAt(0));
  return context.decodeAudioData(bytes.buffer);
};

const placeIn = (element, event) => {
  const { left, width } = element.getBoundingClientRect();
  return (event.clientX - left) / width;
};

class Track {
  playing = false;
  offset = 0; // where it stands, or stood when it began to play
  begun = 0; // by the audio clock
  turn = 0; // counts starts and stops: a start that waits for its sounds may be called off

  constructor(section) {
    const find = name => section.querySelector('.' + name);
    [this.play, this.time, this.seek, this.loop] = ['play', 'time', 'seek', 'loop'].map(find);
    this.section = section;
    this.length = Number(section.dataset.seconds);
    this.sounds = [...section.querySelectorAll('.sound')].map(row => this.sound(row));
    this.play.onclick = () => this.toggle();
    this.seek.oninput = () => this.go(Number(this.seek.value));
    this.loop.onchange = () => this.go(this.position());
    section.addEventListener('pointerdown', () => this.take());
    section.addEventListener('focusin', () => this.take());
    section.addEventListener('mousedown', event => { // else the space bar would press the button once more
      if (event.target.closest('button')) event.preventDefault();
    });
    this.switch();
    this.show();
  }

  sound(row) {
    const sound = { row, solo: false, mute: row.dataset.on !== '1', uri: row.querySelector('audio').src };
    for (const kind of ['solo', 'mute'])
      row.querySelector('.' + kind).onclick = () => { sound[kind] = !sound[kind]; this.switch(); };
    const picture = row.querySelector('.picture');
    picture.onclick = event => this.go(placeIn(picture, event) * this.length);
    return sound;
  }

  take() {
    current?.section.classList.remove('current');
    current = this;
    this.section.classList.add('current');
  }

  position() {
    const at = this.offset + (this.playing ? Math.max(0, context.currentTime - this.begun) : 0);
    return this.loop.checked ? at % this.length : Math.min(at, this.length);
  }

  toggle() {
    if (this.play.classList.contains('playing')) this.stop();
    else return this.start();
  }

  async start() {
    const turn = ++this.turn;
    for (const track of tracks) if (track !== this) track.stop();
    this.state(true);
    context ??= new AudioContext();
    await context.resume();
    await this.load();
    if (turn !== this.turn) return;
    if (this.offset >= this.length - 0.01) this.offset = 0;
    this.begun = context.currentTime + 0.05;
    for (const sound of this.sounds) {
      sound.source = new AudioBufferSourceNode(context, { buffer: sound.buffer, loop: this.loop.checked });
      sound.source.connect(sound.gain);
      sound.source.start(this.begun, this.offset);
    }
    this.playing = true;
    this.draw();
  }

  async load() {
    for (const sound of this.sounds) {
      sound.buffer ??= await decode(sound.uri);
      if (sound.gain) continue;
      sound.gain = new GainNode(context, { gain: 0 });
      sound.gain.connect(context.destination);
    }
    this.length = Math.max(...this.sounds.map(sound => sound.buffer.duration));
    this.seek.max = this.length;
    this.switch();
  }

  stop() {
    this.turn++;
    this.offset = this.position();
    if (this.playing) for (const sound of this.sounds) sound.source.stop();
    this.playing = false;
    this.state(false);
    this.show();
  }

  go(seconds) {
    const on = this.play.classList.contains('playing');
    if (on) this.stop();
    this.offset = Math.max(0, Math.min(seconds, this.length));
    this.show();
    if (on) this.start();
  }

  state(on) {
    this.play.classList.toggle('playing', on);
    this.play.setAttribute('aria-label', on ? 'Pause' : 'Play');
  }

  // What is heard of one layer (the mixture, the references, one method's estimates) adds up to a song: two
  // layers at once are halved, or they would clip.
  switch() {
    const soloed = this.sounds.some(sound => sound.solo);
    const heard = this.sounds.filter(sound => soloed ? sound.solo : !sound.mute);
    const layers = new Set(heard.map(sound => sound.row.dataset.layer)).size;
    for (const sound of this.sounds) {
      const on = heard.includes(sound);
      sound.gain?.gain.setTargetAtTime(on ? 1 / layers : 0, context.currentTime, 0.005);
      sound.row.classList.toggle('muted', !on);
      for (const kind of ['solo', 'mute'])
        sound.row.querySelector('.' + kind).setAttribute('aria-pressed', sound[kind]);
    }
  }

  solo(number) { // 0: all sounds; a number once more: as before
    const chosen = this.sounds[number - 1];
    if (number && !chosen) return;
    const on = number > 0 && !chosen.solo;
    for (const sound of this.sounds) {
      sound.solo = on && sound === chosen;
      if (!number) sound.mute = false;
    }
    this.switch();
  }

  draw() {
    if (!this.playing) return;
    if (!this.loop.checked && this.position() >= this.length) {
      this.stop();
      this.offset = 0;
    }
    this.show();
    requestAnimationFrame(() => this.draw());
  }

  show() {
    const at = this.position(), text = `${this.clock(at)} / ${this.clock(this.length)}`;
    this.section.style.setProperty('--at', at / this.length);
    this.seek.value = at;
    if (text === this.time.textContent) return;
    this.time.textContent = text;
    this.seek.setAttribute('aria-valuetext', text);
  }

  clock(seconds) {
    if (this.length < SHORT) return seconds.toFixed(2);
    return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  }

  key(name) {
    const step = this.length < SHORT ? SHORT_STEP : STEP;
    if (name === ' ') this.toggle();
    else if (name === 'ArrowLeft') this.go(this.position() - step);
    else if (name === 'ArrowRight') this.go(this.position() + step);
    else this.solo(Number(name));
  }
}

const tracks = [...document.querySelectorAll('.track')].map(section => new Track(section));

// Keys that the element in focus needs for itself.
const taken = (element, key) =>
  element.closest('audio, input:not(.seek, .loop), textarea, select, [contenteditable]') ||
  key === ' ' && element.closest('button, summary, a, .loop') ||
  key.startsWith('Arrow') && element.closest('.scroll');

document.addEventListener('keydown', event => {
  const { key, target } = event;
  if (!/^([0-9 ]|ArrowLeft|ArrowRight)$/.test(key) || taken(target, key)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  // Until a track was used, the space bar and the arrows scroll the page, as everywhere.
  const track = current ?? (/[0-9]/.test(key) ? tracks[0] : undefined);
  if (!track) return;
  event.preventDefault();
  track.take();
  track.key(key);
});

// Of a plain player, too, a click on the picture is a place to hear.
for (const figure of document.querySelectorAll('figure')) {
  const [picture, audio] = ['.picture', 'audio'].map(name => figure.querySelector(name));
  picture.onclick = event => {
    audio.currentTime = placeIn(picture, event) * audio.duration;
    audio.play();
  };
}

// Of plain players, one is heard at a time.
document.addEventListener('play', event => {
  for (const audio of document.querySelectorAll('audio')) if (audio !== event.target) audio.pause();
}, true);

// A browser that cannot decode the sounds may still play them.
window.addEventListener('unhandledrejection', () => document.documentElement.classList.remove('scripted'));
