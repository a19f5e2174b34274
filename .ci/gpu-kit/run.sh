#!/usr/bin/env bash
# Checks and times every kernel on a bare GPU machine: bash .gpu/run.sh [OPTION...], in the repository's root.
# It needs Python 3.12, torch 2.11, Triton 3.6 and pytest there, and no network. Options are those of
# `twinsae bench gpu`. Results go to $OUT. The working tree stays as it is. All ends within $SECONDS_IN_ALL.
set -euo pipefail
kit=$(cd "$(dirname "$0")" && pwd)
work=/tmp/twinsae
limit=${SECONDS_IN_ALL:-570}
export OUT=${OUT:-/tmp/twinsae-out} TRITON_CACHE_DIR=${TRITON_CACHE_DIR:-/tmp/twinsae-triton}
export PYTHONPATH=$work/site PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=PASSIVE
python=${PYTHON:-python3}

unpack() { "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' "$@"; }

rm -rf $work
mkdir -p $work/src $work/site/twinsae "$OUT" "$TRITON_CACHE_DIR"
cp -r bench cli common kernels matching sae tests pyproject.toml setup.py README.md LICENSE $work/src/
for wheel in "$kit"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" $work/site; done
unpack "$kit/cache.tar.xz" "$TRITON_CACHE_DIR"

extensions() { "$python" -c 'import twinsae.kernels._native, twinsae.matching._native, twinsae.matching.assignment._native'; }
for room in bench cli common kernels matching sae; do ln -s $work/src/$room $work/site/twinsae/$room; done
find $work/src -name '_native*.so' -delete
unpack "$kit/native.tar.xz" $work/native
cp -r $work/native/twinsae/. $work/src/
if [[ $("$kit/hash-sources" $work/src) != $(<"$kit/SOURCES") ]] || ! extensions; then
  echo "The extensions of the kit are not those of these sources and this Python. They are built here."
  (cd $work/src && timeout 150 "$python" setup.py -q build_ext --build-lib $work/built --build-temp $work/objects)
  cp -r $work/built/twinsae/. $work/src/
  extensions
fi

cd $work/src
# Kernels whose sources have changed since the kit was made are compiled now, many at a time.
timeout 90 "$python" -m twinsae.kernels.specs "$kit/specs.txt" "${JOBS:-14}" || echo "not all kernels were compiled"
minutes=$(awk "BEGIN { print ($limit - $SECONDS) / 60 }")
exec "$python" -m twinsae.cli.main bench gpu --out "$OUT" --minutes "$minutes" "$@"
