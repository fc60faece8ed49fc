# MindScope. `make help` lists the targets; README.md says what they are for.

SHELL := /bin/bash
GO ?= go
GOLANGCI := $(GO) tool -modfile=tools/go.mod golangci-lint
MODULES := . sdk examples
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The race detector needs a C compiler; without one the tests still run.
RACE := $(shell command -v gcc >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

.PHONY: demo
demo: build ## start the server and a team of agents, and show two of their tasks; BUS=amqp: as processes over RabbitMQ
	@cd examples && $(GO) run ./demo --mindscope ../bin/mindscope --bus $(or $(BUS),memory)

.PHONY: build
build: ## build bin/mindscope
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/mindscope ./cmd/mindscope

.PHONY: test
test: build node ## run all tests of all modules, the real binary included
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && $(GO) test $(RACE) -timeout 15m ./...) || exit 1; done

.PHONY: e2e
e2e: build node ## run only the black box tests against bin/mindscope
	$(GO) test -count=1 -timeout 15m ./test/...

.PHONY: fault
fault: build ## kill the server, take its disk away and damage its folder, and count what is lost: bench/fault.json
	MINDSCOPE_FAULT=full $(GO) test -tags longfault -count=1 -v -timeout 30m ./test/fault
	@$(GO) run ./test/benchreport table fault

# The black box tests send with the OpenTelemetry SDK for Node.
.PHONY: node
node: test/node/node_modules/.package-lock.json examples/node/node_modules/.package-lock.json
examples/node/node_modules/.package-lock.json: examples/node/package-lock.json
	cd examples/node && npm ci --no-audit --no-fund --loglevel=error
test/node/node_modules/.package-lock.json: test/node/package-lock.json
	cd test/node && npm ci --no-audit --no-fund --loglevel=error

.PHONY: lint
lint: ## check style, layers and that generated files are current
	@for m in $(MODULES); do echo "== lint $$m"; \
	  (cd $$m && $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done
	@$(GO) test ./internal/arch
	@$(MAKE) --no-print-directory generate
	@changed=$$(git status --porcelain -- internal/conv sdk/conv docs deploy); if [ -n "$$changed" ]; then \
	  echo "generated files are not current: commit what 'make generate' changed"; echo "$$changed"; exit 1; fi

.PHONY: fmt
fmt: ## format the code
	@for m in $(MODULES); do (cd $$m && $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint fmt --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: generate
generate: ## write what is generated: names from conv/registry.yaml, the API's description, docs, dashboards
	@$(GO) run ./conv
	@$(GO) run ./docs
	@$(GO) run ./deploy
	@$(GO) run ./test/benchreport doc

.PHONY: dashboards
dashboards: ## write deploy/grafana and deploy/prometheus from the program's own descriptions
	@$(GO) run ./deploy

# Each bench-NAME writes bench/NAME.json; bench/NAME.yaml says what the figures mean and must reach.
.PHONY: bench bench-server bench-bus bench-sdk bench-store bench-enrich bench-grafana bench-dashboards bench-live bench-metrics
bench: ## measure, and write docs/performance.md (SIZE=small for a quick look)
	@$(MAKE) --no-print-directory -k bench-server bench-bus bench-sdk bench-store bench-enrich bench-grafana bench-dashboards bench-live bench-metrics; \
	  measured=$$?; $(GO) run ./test/benchreport doc && cat docs/performance.md && exit $$measured
bench-server: build
	$(GO) run ./test/benchreport server -bin bin/mindscope -o bench/server.json
bench-metrics: build
	cd test/prometheus/stock && $(GO) build -o $(CURDIR)/bin/prometheus github.com/prometheus/prometheus/cmd/prometheus
	$(GO) run ./test/benchreport metrics -bin bin/mindscope -stock bin/prometheus -o bench/metrics.json
bench-live: build
	$(GO) run ./test/benchreport live -bin bin/mindscope -o bench/live.json
bench-bus: build
	$(GO) run ./test/benchreport bus -bin bin/mindscope -o bench/bus.json
bench-enrich:
	$(GO) run ./test/benchreport enrich -o bench/enrich.json
bench-sdk:
	cd sdk && $(GO) run ./internal/benchreport -o ../bench/sdk.json
bench-store:
	CGO_ENABLED=0 $(GO) build -o bin/bench-store ./test/bench/store
	bin/bench-store -size $(or $(SIZE),full) -out bench/store.json
	@$(GO) run ./test/benchreport table store
bench-grafana:
	CGO_ENABLED=0 $(GO) build -o bin/bench-grafana ./test/bench/grafana
	bin/bench-grafana -size $(or $(SIZE),full) -out bench/grafana.json

bench-dashboards: build
	$(GO) build -o bin/bench-dashboards ./test/bench/dashboards
	bin/bench-dashboards -days $(if $(filter small,$(SIZE)),8,30) -out bench/dashboards.json

.PHONY: prices
prices: ## take the newest prices of models from the npm registry (PRICES_VERSION=x.y.z for another version)
	node internal/enrich/cost/data/refresh.mjs $(PRICES_VERSION)
	$(GO) test ./internal/enrich/cost

.PHONY: check
check: lint test ## what CI runs
