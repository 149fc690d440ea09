# emrbridge. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BUILD := .build
BIN := bin
GO ?= go
export GOFLAGS := -buildvcs=false
export EMRBRIDGE_BUILD_DIR := $(CURDIR)/$(BUILD)
CORPUS ?= ../shared/corpus
FUZZTIME ?= 60s
OUT ?= out/demo

# Packages whose tests start a real Fabric network; they run one at a time.
FABRIC := ./devnet/... ./chainclient/... ./integration/...
# Packages with goroutines of their own: cheap enough for the race detector.
RACE := ./internal/... ./guard/... ./bridge/... ./patientindex/... ./adapters/hl7/mllp/... ./adapters/hl7/forward/... ./adapters/hl7/dropfolder/... ./adapters/fhir/rest/... ./adapters/fhir/subscription/... ./adapters/cda/hip/... ./gateway/... ./keystore/... ./recordstore/... ./research/... ./ferry/...

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build emrbridge and the contract into bin/
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./cmd/emrbridge ./cmd/emrchaincode

.PHONY: demo
demo: build ## run the main job on a real Fabric network; INPUT=path for your own HL7 files, KEEP=1 leaves it running
	$(BIN)/emrbridge demo --out $(OUT) $(if $(INPUT),--input $(INPUT)) $(if $(KEEP),--keep)

.PHONY: deps
deps: ## install what the tests need besides Go (Debian)
	@deploy/ci/deps.sh

.PHONY: test
test: deps build lint unit race integration ## everything: lint, unit, race, integration on real components

.PHONY: unit
unit: ## tests that need no Fabric network
	$(GO) test $$($(GO) list ./... | grep -vE '/(devnet|chainclient|integration)(/|$$)')

.PHONY: integration
integration: build ## tests on a real Fabric network
	$(GO) test -p 1 -timeout 20m $(FABRIC)

.PHONY: race
race: ## the race detector on the packages with goroutines
	$(GO) test -race -short $(RACE)

.PHONY: lint
lint: $(BUILD)/tools/golangci-lint ## vet and lint
	$(BUILD)/tools/golangci-lint run ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "run gofmt -w on:"; gofmt -l $$(git ls-files '*.go'); exit 1; }

$(BUILD)/tools/golangci-lint: internal/tools/go.mod
	@echo "building the linter (a few minutes, once)"
	@mkdir -p $(BUILD)/tools
	cd internal/tools && GOBIN=$(CURDIR)/$(BUILD)/tools $(GO) install tool
	@touch $@

.PHONY: corpus
corpus: build ## try the outside test data in CORPUS
	CORPUS=$(abspath $(CORPUS)) $(GO) test -count=1 -tags corpus -run Corpus ./adapters/... ./smcrypto/... ./patientindex/... ./desensitize/...

.PHONY: fuzz
fuzz: ## fuzz every parser and format for FUZZTIME each
	@deploy/ci/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## benchmarks, side by side in one run; figures in out/bench
	$(BIN)/emrbridge bench --out out/bench

.PHONY: packages
packages: ## what each package is for, in a line
	@$(GO) list -f '{{.ImportPath}}: {{.Doc}}' ./... | sed 's#^github.com/emrbridge/emrbridge/##'

.PHONY: devnet
devnet: build ## start the development network
	$(BIN)/emrbridge devnet up

.PHONY: verify-generated
verify-generated: ## go.mod and generated files are as they should be
	$(GO) mod tidy -diff
	cd devnet/fabric && $(GO) mod tidy -diff

.PHONY: clean
clean: ## remove what was built (Fabric binaries stay in .build)
	rm -rf $(BIN) out
