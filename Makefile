# make demo shows the product on a real cluster, make test proves it. Both
# start the embedded cluster of test/cluster, or use the one that
# OKTETO_TEST_CONTEXT names; no other cluster is ever touched.

GO            ?= go
VERSION       := $(shell cat agent/config/VERSION)
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME      ?= 30s

# The agent must run in any image: no libc, no debug information.
STATIC := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w"

# Random runs of the sync engine; SEED comes from the environment.
SOAK := $(GO) test -count=1 -v -run '^(TestConvergence|TestKilledAnywhere)$$'

E2E := $(GO) test -count=1 -timeout 60m -tags e2e
# Tests of the cluster that no other may run beside.
ALONE := ^(TestContainerRuntimeKilledWhileSyncing|TestFaultsAlone)$$

.PHONY: build
build: ## compile the plugin and the agent into bin/
	$(STATIC) -o bin/kubectl-okteto ./cmd/kubectl-okteto
	$(STATIC) -o bin/agent ./cmd/agent

.PHONY: image
image: build ## build the agent image with BuildKit and push it: make image IMAGE=<name>
	@test -n "$(IMAGE)" || { echo "name the image: make image IMAGE=registry.example.com/okteto-agent:$(VERSION)" >&2; exit 1; }
	images/agent/push "$(IMAGE)"

.PHONY: demo
demo: build ## show `kubectl okteto up` live
	test/with-cluster $(GO) run ./test/demo $(if $(INTERACTIVE),--interactive)

.PHONY: test
test: ## every test: unit, in-process, interop, cluster
	test/packages
	$(GO) vet ./...
	$(GO) test -race -timeout 5m ./...
	if [ "$$CI" = true ]; then test/fuzz 30s; fi
	RUNS=10000 KILLS=400 $(SOAK) -timeout 10m ./test/convergence
	$(MAKE) e2e

.PHONY: soak
soak: ## a million random runs of the sync engine: RUNS=, KILLS=, SEED=
	RUNS=$(or $(RUNS),1000000) KILLS=$(or $(KILLS),20000) $(SOAK) -timeout 0 ./test/convergence

.PHONY: e2e
e2e: build ## the tests that need a cluster
	test/lifecycle
	test/with-cluster sh -ec "$(E2E) -skip '$(ALONE)' ./plugin/workload ./test/e2e; $(E2E) -run '$(ALONE)' ./test/e2e"

.PHONY: faults
faults: build ## inflict every fault, write the table of docs/reliability.md: make faults [ONLY=<regexp of faults>]
	test/packages
	FAULTS=$(CURDIR)/docs/reliability.md test/with-cluster $(E2E) -v -parallel 1 -run '^TestFaults(Alone)?$$/($(ONLY))' ./test/e2e

.PHONY: bench
bench: build ## measure, print a table, write bench.json: make bench [ONLY=<regexp of keys>]
	test/packages bench
	test/with-cluster $(GO) run ./test/bench -o bench.json -only '$(ONLY)'

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME, one on each processor
	test/fuzz $(FUZZTIME)

.PHONY: lint
lint: ## vet, formatting, golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	$(GO) run $(GOLANGCI_LINT) run ./...

.PHONY: clean
clean: ## remove what was built; the cluster's cache stays
	rm -rf bin bench.json

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
