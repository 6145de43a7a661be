#!/usr/bin/env bash
# Fills the ignored folder .gpu with what `tests/gpu/run.sh train` needs on a machine without a network.
#
#   tests/gpu/carry.sh --clips MANIFEST --songs LIST --valid LIST --font FILE.sf3 --config TRAIN.json [--start PARCEL]
#
# MANIFEST is that of --dataset manifest, with a column split; what it does not train on stays here. The lists
# are those of --dataset midi. TRAIN.json is what `jobs/train_separator.py ... --dry-run` prints; its length
# is that of training, its crop weights those of MIDI, band and clips. PARCEL is what an earlier stage brought
# back. PYTHON_VERSION is that of the other machine. Here it needs pip, ldd, and Debian's libfluidsynth3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
while [ $# -gt 0 ]; do
  case "$1" in
    --clips) clips="$2" ;; --songs) songs="$2" ;; --valid) valid="$2" ;; --font) font="$2" ;;
    --config) config="$2" ;; --start) start="$2" ;; *) echo "unknown: $1" >&2; exit 2 ;;
  esac
  shift 2
done
rm -rf .gpu
mkdir -p .gpu/wheels .gpu/scratch/lib .gpu/scratch/fonts .gpu/scratch/music/lists

python -m pip download -q --no-deps --only-binary=:all: --implementation cp -d .gpu/wheels \
  --python-version "${PYTHON_VERSION:-3.12}" --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
  --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 --platform any \
  soundfile cffi pycparser soxr mido pyfluidsynth pyloudnorm numpy-audio-limiter python-stretch

# FluidSynth and all that it is linked to, but for what belongs to the system's own C library and compiler
library="$(ldconfig -p | awk '/libfluidsynth\.so\.3 .*x86-64/ {print $NF; exit}')"
needed="$(ldd "$library" | awk '/=> \// {print $3}' |
  grep -Ev '/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so')"
cp -L "$library" $needed .gpu/scratch/lib
# pyfluidsynth looks for this name in $HOMEBREW_PREFIX/lib where the system knows of no FluidSynth
ln -s libfluidsynth.so.3 .gpu/scratch/lib/libfluidsynth.dylib
cp -L "$font" .gpu/scratch/fonts

pack_songs() {  # paths of a list are relative to its folder, or to the one above
  local folder; folder="$(dirname "$1")"
  [ -e "$folder/$(head -1 "$1")" ] || folder="$folder/.."
  cp "$1" ".gpu/scratch/music/lists/$2.txt"
  tar -C "$folder" -cf - -T "$1" | tar -C .gpu/scratch/music -xf -
}
pack_songs "$songs" train
pack_songs "$valid" valid
tar -C .gpu/scratch -cJf .gpu/files.tar.xz lib fonts music
rm -r .gpu/scratch

PYTHONPATH="$PWD:$PWD/tests" python -m gpu.clips "$clips" .gpu/clips
cp "$config" .gpu/train.json
[ -z "${start-}" ] || cp -r "$start" .gpu/start
du -sh .gpu .gpu/*
