"""Style and script of the listening page."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2a7de1; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space:
nowrap; }
th:first-child, td:first-child, td.text { text-align: left; }
tr.model td { font-weight: 600; background: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0; overflow-wrap:
anywhere; } .scroll { overflow-x: auto; }
.track { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; margin: 1rem 0; }
.transport { display: flex; gap: .7rem; align-items: center; margin: .4rem 0; }
.transport input[type=range] { flex: 1; accent-color: var(--accent); }
.sound { display: grid; grid-template-columns: 9rem 7rem 1fr 16rem; gap: .7rem; align-items: center; padding:
.15rem 0; } .sound img { width: 100%; height: 3rem; image-rendering: pixelated; border-radius: .25rem; }
.sound audio { width: 16rem; height: 2rem; }
button { font: inherit; border: 1px solid var(--line); border-radius: .3rem; background: none; color: inherit;
cursor: pointer; } button[aria-pressed=true] { background: var(--accent); color: white; }
.muted { opacity: .45; }
.pictures, .crops { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill,
minmax(min(100%, 16rem), 1fr)); }
.pictures img { width: 100%; } figure { margin: 0; min-width: 0; border: 1px solid var(--line); border-radius:
.5rem; padding: .5rem; } figcaption { overflow-wrap: anywhere; line-height: 1.3; } figure img { width: 100%;
height: 4rem; } figure audio { width: 100%; height: 2rem; }
.words :is(th, td):not(:last-child) { text-align: left; }
@media (max-width: 50rem) { .sound { grid-template-columns: 1fr 1fr; } .sound audio { width: 100%; }
th, td { padding: .25rem .4rem; } }
"""

# All sounds of a track are decoded once and started at the same instant of one audio clock; solo and mute
# only turn gains, so that switching between reference and estimate never loses the place. Without a script
# the plain players still work.
SCRIPT = """
let context;
const decode = async (uri) => {
  const text = atob(uri.slice(uri.indexOf(',') + 1));
  return context.decodeAudioData(Uint8Array.from(text, c => c.charCodeAt(0)).buffer);
};
for (const track of document.querySelectorAll('.track')) {
  const sounds = [...track.querySelectorAll('.sound')]
    .map(row => ({ row, solo: false, mute: row.dataset.on !== '1' }));
  const [play, seek, loop] = ['.play', '.seek', '.loop'].map(name => track.querySelector(name));
  let begun = 0, offset = 0, playing = false, length = 0;
  const position = () => {
    const t = offset + (playing ? context.currentTime - begun : 0);
    return loop.checked && length ? t % length : t;
  };
  const gains = () => {
    const soloed = sounds.some(s => s.solo);
    for (const s of sounds) {
      const on = soloed ? s.solo : !s.mute;
      if (s.gain) s.gain.gain.value = on ? 1 : 0;
      s.row.classList.toggle('muted', !on);
      for (const kind of ['solo', 'mute']) s.row.querySelector('.' + kind).setAttribute('aria-pressed',
      s[kind]);
    }
  };
  const stop = () => {
    if (!playing) return;
    offset = Math.min(position(), length); playing = false; play.textContent = 'Play';
    for (const s of sounds) { s.source.onended = null; s.source.stop(); }
  };
  const start = async () => {
    context = context || new AudioContext();
    await context.resume();
    for (const s of sounds) s.buffer = s.buffer || await decode(s.row.querySelector('audio').src);
    length = Math.max(...sounds.map(s => s.buffer.duration));
    if (offset >= length - 0.01) offset = 0;
    begun = context.currentTime + 0.05; playing = true; play.textContent = 'Pause';
    for (const s of sounds) {
      s.gain = context.createGain(); s.gain.connect(context.destination);
      s.source = context.createBufferSource(); s.source.buffer = s.buffer; s.source.loop = loop.checked;
      s.source.connect(s.gain); s.source.start(begun, offset);
    }
    sounds[0].source.onended = () => { stop(); offset = 0; };
    gains();
  };
  play.onclick = () => playing ? stop() : start();
  seek.oninput = () => { const was = playing; stop(); offset = seek.value * length; if (was) start(); };
  loop.onchange = () => { if (playing) { stop(); start(); } };
  for (const s of sounds)
    for (const kind of ['solo', 'mute'])
      s.row.querySelector('.' + kind).onclick = () => { s[kind] = !s[kind]; gains(); };
  setInterval(() => { if (playing && length) seek.value = position() / length; }, 100);
  gains();
}
"""
