# Everything a person or CI does with this project. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROMTOOL ?= promtool
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help env demo up down status clean test test-fast test-properties test-integration test-e2e test-faults test-fuzz fuzz monitoring lint format types imports simulate bench
.PHONY: tamper crash-loop bench-audit
.PHONY: bench-telemetry

help: ## Show this list
	@awk -F':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Xiezhi needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Run: make PYTHON=python3.11 ...")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python has no venv module; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Creating $(VENV) (about 180 MB of wheels the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

##@ Use
env: $(READY) ## Create the environment in .venv
demo: $(READY) ## Real broker, synthetic province, live alerts; checks what was found and stops. Leaves .xiezhi/demo
	@$(BIN)/python -m deploy.demo
up: $(READY) ## Start broker, registry and all services on this machine and stay (Ctrl-C stops all)
	@$(BIN)/xiezhi up
down: $(READY) ## Stop what `make up` started
	@$(BIN)/xiezhi down
status: $(READY) ## What runs, where
	@$(BIN)/xiezhi status
clean: ## Remove the environment, all local data and caches of this folder
	@if [ -x $(BIN)/xiezhi ]; then $(BIN)/xiezhi down >/dev/null 2>&1 || true; fi
	rm -rf $(VENV) .xiezhi .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

##@ Check
test: lint types imports test-fast test-properties test-integration test-e2e test-faults test-fuzz ## Everything that CI runs
test-fast: $(READY) ## Unit and contract suites: no network, no broker, about a minute
	$(PYTEST) -n 3 --dist worksteal tests/unit tests/contract
test-properties: $(READY) ## What holds for every log, schedule and province: stream = oracle, planted = found. No network, a minute
	$(PYTEST) -n 2 --dist worksteal tests/properties
test-integration: $(READY) ## Against a real Kafka and registry
	$(PYTEST) -n 2 --dist loadfile tests/integration
test-e2e: $(READY) ## The demo, the README's commands and third-party data, end to end
	$(PYTEST) tests/e2e
test-faults: $(READY) ## The simulation and real kills under load
	$(PYTEST) -n 2 --dist worksteal tests/faults --ignore=tests/faults/test_kills.py --ignore=tests/faults/test_full_disk.py
	$(PYTEST) tests/faults/test_kills.py tests/faults/test_full_disk.py
monitoring: ## Alert rules over synthetic series, by promtool of a Prometheus: make monitoring PROMTOOL=/path/to/promtool
	@command -v $(PROMTOOL) >/dev/null || { echo "$(PROMTOOL) is not here; it comes with Prometheus (Debian: apt install prometheus)"; exit 1; }
	$(PROMTOOL) check config deploy/monitoring/prometheus.yaml
	$(PROMTOOL) test rules deploy/monitoring/rules.test.yaml
test-fuzz: $(READY) ## Hostile bytes to every reader, for less than a minute
	$(BIN)/python -m tests.fuzz --seconds 40
fuzz: $(READY) ## The same for hours: make fuzz SECONDS=3600 TARGET=avro SEED=1
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),0) $(if $(TARGET),--target $(TARGET))
lint: $(READY) ## ruff: style and banned calls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: $(READY) ## mypy --strict over code and tests
	$(BIN)/mypy .
imports: $(READY) ## Who may import whom
	$(BIN)/lint-imports
format: $(READY) ## Format the code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
crash-loop: $(READY) ## kill -9 of every service and the broker, about every 3 s, under load: make crash-loop KILLS=1000 SEED=1
	$(BIN)/python -m tests.faults.kills --kills $(or $(KILLS),60) $(if $(SEED),--seed $(SEED))
simulate: $(READY) ## The stream in virtual time with everything going wrong: make simulate SEEDS=20000, SEED=7, PROTECTIONS=1
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(PROTECTIONS),--protections,--seeds $(or $(SEEDS),2000)))
tamper: $(READY) ## Random changes to audit evidence, all of which must be found offline: make tamper N=10000
	$(BIN)/python -m tests.faults.tamper --changes $(or $(N),1000)

##@ Measure
bench: $(READY) ## Scenarios S1 to S7 on a real broker, beside Quix, Kafka Streams and stock Faust: make bench ONLY=S2,S5
	$(BIN)/python -m benchmarks.bench --only "$(ONLY)" $(if $(RECORDS),--records $(RECORDS)) $(if $(ROUNDS),--rounds $(ROUNDS))
bench-audit: $(READY) ## The audit log at a million leaves, then its service on a backlog. Needs 0.5 GB of disk
	$(BIN)/python -m benchmarks.audit --leaves $(or $(LEAVES),1000000)
	$(BIN)/python -m benchmarks.audit_service --records $(or $(RECORDS),300000)
bench-telemetry: $(READY) ## What traces cost on the whole path: make bench-telemetry RECORDS=200000 ROUNDS=3
	$(BIN)/python -m benchmarks.telemetry --records $(or $(RECORDS),200000) --rounds $(or $(ROUNDS),3)
