#!/usr/bin/env bash
# make.sh SPECS PYTHON CACHE: packs in .gpu what a bare GPU machine lacks; `make gpu-kit` calls it.
# SPECS: the kernels that a rehearsal listed. PYTHON: the machine's version, with its Triton, setuptools and
# pybind11, without torch. CACHE: Triton's cache, at the path where the machine will have it.
set -euo pipefail
here=$(dirname "$0"); specs=$1; python=$2; cache=$3
most=$((16 << 20)) # bytes; what such a machine lets one bring along, with room for the sources
work=build/gpu-kit
rm -rf .gpu "$work"
mkdir -p .gpu/wheels "$work"

"$python" -m pip download --quiet --no-deps --only-binary :all: --constraint constraints.txt --dest .gpu/wheels \
  rich Pygments markdown-it-py mdurl setuptools==83.0.0
cp "$here/run.sh" "$here/hash-sources" .gpu/
cp "$specs" .gpu/specs.txt
"$here/hash-sources" . >.gpu/SOURCES

"$python" setup.py -q build_ext --build-lib "$work/native" --build-temp "$work/objects"
find "$work/native" -name '*.so' -exec strip {} +
tar cJf .gpu/native.tar.xz -C "$work/native" .

# A launcher names the driver's library, and needs nothing of it until it runs.
echo | gcc -xc -shared -Wl,-soname,libcuda.so.1 -o "$work/libcuda.so.1" -
make --no-print-directory links >/dev/null
rm -rf "$cache"
PYTHONPATH=build/typing TRITON_CACHE_DIR=$cache TRITON_LIBCUDA_PATH=$PWD/$work \
  "$python" -P "$here/fill_cache.py" "$specs" "$(nproc)"
find "$cache" -name '*.so' -exec strip {} +
# A hit needs no more than these.
(cd "$cache" && find . -name '*.cubin' -o -name '*.json' -o -name '*.so') |
  tar cJf .gpu/cache.tar.xz -C "$cache" --files-from -

size=$(du -sb .gpu | cut -f1)
echo ".gpu: $size bytes, $(wc -l <"$specs") kernels"
((size <= most)) || { echo ".gpu: expected at most $most bytes, got $size" >&2; exit 1; }
