# Targets document themselves: the text after ## is what `make help` prints.
#
# Tools are pinned here and built once into bin/, each under a name that holds its version, so that a
# changed pin builds the new one. bin/ stands last on PATH: a `temporal` that is installed already wins.

TEMPORAL_CLI_VERSION    := v1.5.1
TEMPORAL_SERVER_VERSION := v1.29.1
TEMPORAL_UI_VERSION     := v2.42.1
COMPOSE_VERSION         := v2.40.3
CRANE_VERSION           := v0.20.6
CYCLONEDX_VERSION       := v1.10.0
GOLANGCI_LINT_VERSION   := v2.15.0
OAPI_CODEGEN_VERSION    := v2.8.2
WORKFLOWCHECK_VERSION   := v0.6.0

GO        ?= go
BIN       := $(CURDIR)/bin
GOLANGCI  := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
WFCHECK   := bin/workflowcheck-$(WORKFLOWCHECK_VERSION)
SERVER    := bin/temporal-server-$(TEMPORAL_SERVER_VERSION)
SQLTOOL   := bin/temporal-sql-tool-$(TEMPORAL_SERVER_VERSION)
SCHEMA    := bin/temporal-schema-$(TEMPORAL_SERVER_VERSION)
UI        := bin/temporal-ui-$(TEMPORAL_UI_VERSION)
# Docker's own compose, or one that is built here where there is none.
COMPOSE   := $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo $(BIN)/docker-compose-$(COMPOSE_VERSION))
COMPOSE_BUILT := $(filter $(BIN)/%,$(COMPOSE))
# What the image says of itself.
IMAGE     := GRAPNEL_VERSION=$$(git describe --tags --always --dirty 2>/dev/null) GRAPNEL_COMMIT=$$(git rev-parse HEAD 2>/dev/null) \
             GRAPNEL_DATE=$$(git log -1 --format=%cI 2>/dev/null)
FUZZTIME  ?= 60s
CHAOS     ?= 2m
BENCH     ?=
TESTFLAGS ?=

export PATH := $(PATH):$(BIN)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build grapnel temporal temporal-server test check vet tidy lint fmt workflowcheck unit fuzz bench chaos preset histories openapi up down image manifests e2e-cluster cluster-scale cluster-images cluster-parts dist clean

help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

# The example has a secret that everyone knows, so it listens on loopback only.
run: build ## Build what is missing, then run everything in one process with the example grapnel.yaml
	GRAPNEL_LISTEN=$${GRAPNEL_LISTEN:-127.0.0.1:8080} bin/grapnel up

build: grapnel temporal ## Leave bin/grapnel, and bin/temporal when none is on PATH

grapnel:
	$(GO) build -trimpath -o bin/grapnel ./cmd/grapnel

temporal:
	@if command -v temporal >/dev/null 2>&1; then exit 0; fi; \
	echo "==> building the Temporal CLI $(TEMPORAL_CLI_VERSION) into bin/: about five minutes, once"; \
	GOBIN="$(BIN)" $(GO) install github.com/temporalio/cli/cmd/temporal@$(TEMPORAL_CLI_VERSION)

test: temporal vet tidy lint workflowcheck ## Prove everything: vet, go.mod, lint, determinism, all tests under the race detector
	@echo "==> go test -race (unit, replayed histories, and end to end on a real Temporal server)"
	$(GO) test -race -timeout 15m $(TESTFLAGS) ./...

check: vet lint unit ## The fast part of test: vet, lint, and the tests that need no Temporal server

vet:
	@echo "==> go vet"
	$(GO) vet ./...

tidy:
	@echo "==> go mod tidy -diff"
	$(GO) mod tidy -diff

lint: $(GOLANGCI) ## Lint and check the formatting
	@echo "==> golangci-lint"
	$(GOLANGCI) run ./...

fmt: $(GOLANGCI) ## Rewrite the files that are not formatted
	$(GOLANGCI) fmt ./...

workflowcheck: $(WFCHECK)
	@echo "==> workflowcheck (no time, randomness or map order in workflow code)"
	$(WFCHECK) -config .workflowcheck.yaml ./...

unit:
	@echo "==> go test -short"
	$(GO) test -short $(TESTFLAGS) ./...

fuzz: ## Fuzz every target for FUZZTIME (60s) each
	@set -e; for pkg in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' "$$pkg"); \
		for target in $$(printf '%s\n' "$$listed" | sed -n '/^Fuzz/p'); do \
			echo "==> $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime "$(FUZZTIME)" "$$pkg"; \
		done; \
	done

bench: build ## Measure what an event costs, as ratios; BENCH takes flags of `grapnel bench`
	bin/grapnel bench $(BENCH)

# One package after the other, or nothing is shown until both are over.
chaos: temporal ## Kill processes and step clocks for CHAOS (2m) in each test, and check that nothing is lost; reports in bin/chaos
	@test -x $(SERVER) -a -x $(SQLTOOL) -a -d $(SCHEMA) || \
	echo "==> no Temporal on PostgreSQL will be killed: 'make temporal-server' builds one (PostgreSQL is Debian's package postgresql)"
	CHAOS_DURATION=$(CHAOS) CHAOS_REPORT=$(BIN)/chaos \
	CHAOS_SERVER=$(CURDIR)/$(SERVER) CHAOS_SQL_TOOL=$(CURDIR)/$(SQLTOOL) CHAOS_SCHEMA=$(CURDIR)/$(SCHEMA) \
		$(GO) test -count=1 -p 1 -timeout 2h -v -run 'Kill|Chaos|Clock|Power' $(TESTFLAGS) ./internal/spool ./internal/chaos

temporal-server: $(SERVER) $(SQLTOOL) $(SCHEMA) ## Build the Temporal server that chaos kills on PostgreSQL: about four minutes, once

preset: ## Add the skeleton of a preset, NAME, and hold it to what every preset is held to
	@test -n "$(NAME)" || { echo "usage: make preset NAME=acme"; exit 2; }
	@test ! -e internal/provider/presets/$(NAME).yaml || { echo "internal/provider/presets/$(NAME).yaml is there already"; exit 2; }
	sed 's/NAME/$(NAME)/' internal/provider/testdata/skeleton.yaml >internal/provider/presets/$(NAME).yaml
	GRAPNEL_UPDATE_GOLDEN=1 $(GO) test ./internal/provider -run 'TestTheDocumentationListsThePresets|/^$(NAME)$$'
	@echo "Now write internal/provider/presets/$(NAME).yaml by the sender's own documentation, and add its test vectors to internal/provider/testdata."

histories: temporal ## Record the histories of shapes of run that are new, against a real Temporal server
	$(GO) test -count=1 $(TESTFLAGS) ./internal/e2e -args -record

openapi: ## Write docs/openapi.json from the code of the REST API, and from it the client of the tests
	GRAPNEL_UPDATE_GOLDEN=1 $(GO) test -count=1 ./internal/app -run TheOpenAPIDocument
	$(GO) run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$(OAPI_CODEGEN_VERSION) -config internal/admin/admintest/oapi-codegen.yaml docs/openapi.json

up: $(COMPOSE_BUILT) ## Start the whole cluster of docker-compose.yml and wait until it is healthy; MONITORING=1 with Prometheus
	@deploy/compose/secrets.sh
	$(IMAGE) $(COMPOSE) $(if $(MONITORING),--profile monitoring) up --build --detach --wait

down: $(COMPOSE_BUILT) ## Stop that cluster; its volumes stay
	$(COMPOSE) --profile monitoring down

image: $(COMPOSE_BUILT) ## Build the container image grapnel:local; with PLATFORM=linux/arm64 grapnel:local-arm64
	@deploy/compose/secrets.sh
	$(if $(PLATFORM),GRAPNEL_IMAGE=grapnel:local-$(notdir $(PLATFORM)) DOCKER_DEFAULT_PLATFORM=$(PLATFORM)) $(IMAGE) $(COMPOSE) build setup

# A module of its own, whose dependencies are not ours.
manifests: ## Hold deploy/kubernetes to the types of Kubernetes' own API, as kustomize builds it
	@cd deploy/kubernetes/check && if ! $(GO) mod download; then \
		echo "==> SKIPPED: the types of Kubernetes' API can't be downloaded, so deploy/kubernetes was not checked" >&2; exit 0; fi; \
	$(GO) test ./...

# What can't be had here (an engine, images, time) is said and skipped: internal/e2e/cluster/run.sh.
e2e-cluster: ## Run docker-compose.yml for real and break it, where a Docker engine answers; CLUSTER_RUN=Day runs fewer tests, CLUSTER_FAULT=60s holds each fault longer
	@COMPOSE="$(COMPOSE)" GO="$(GO)" internal/e2e/cluster/run.sh $(if $(CLUSTER_RUN),-test.run '$(CLUSTER_RUN)')

cluster-scale: ## Put the same load on the cluster in several sizes, of CLUSTER_SCALE events (2000) each; the figures go to bin/scale.txt
	@COMPOSE="$(COMPOSE)" GO="$(GO)" CLUSTER_SCALE=$${CLUSTER_SCALE:-2000} internal/e2e/cluster/run.sh -test.run '^TestScale$$'

# Makes or pulls the images that docker-compose.yml and the Dockerfile name. One that is there stays.
cluster-images: temporal $(COMPOSE_BUILT)
	internal/e2e/cluster/images/build.sh bin/cluster

# What images are made of where they can't be pulled.
cluster-parts: temporal $(SERVER) $(SQLTOOL) $(SCHEMA) $(UI)
	@mkdir -p bin/cluster && rm -rf bin/cluster/temporal-schema
	@cp "$$(command -v temporal)" bin/cluster/temporal
	@cp $(SERVER) bin/cluster/temporal-server
	@cp $(SQLTOOL) bin/cluster/temporal-sql-tool
	@cp $(UI) bin/cluster/ui-server
	@cp -r $(SCHEMA) bin/cluster/temporal-schema

dist: ## Make a release in dist/: archives for linux and darwin, and the image; PLATFORMS names fewer, as linux/amd64
	deploy/dist.sh $(PLATFORMS)

clean: ## Remove what the build made, tools included
	rm -rf bin dist

$(GOLANGCI):
	@echo "==> building golangci-lint $(GOLANGCI_LINT_VERSION) into bin/: about two minutes, once"
	GOBIN="$(BIN)" $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv bin/golangci-lint $@

$(WFCHECK):
	@echo "==> building workflowcheck $(WORKFLOWCHECK_VERSION) into bin/"
	GOBIN="$(BIN)" $(GO) install go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK_VERSION)
	@mv bin/workflowcheck $@

$(SERVER):
	@echo "==> building the Temporal server $(TEMPORAL_SERVER_VERSION) into bin/: some minutes, once"
	GOBIN="$(BIN)" $(GO) install go.temporal.io/server/cmd/server@$(TEMPORAL_SERVER_VERSION)
	@mv bin/server $@

$(SQLTOOL):
	@echo "==> building temporal-sql-tool $(TEMPORAL_SERVER_VERSION) into bin/"
	GOBIN="$(BIN)" $(GO) install go.temporal.io/server/cmd/tools/sql@$(TEMPORAL_SERVER_VERSION)
	@mv bin/sql $@

$(UI):
	@echo "==> building Temporal's Web UI $(TEMPORAL_UI_VERSION) into bin/"
	GOBIN="$(BIN)" CGO_ENABLED=0 $(GO) install github.com/temporalio/ui-server/v2/cmd/server@$(TEMPORAL_UI_VERSION)
	@mv bin/server $@

# It can't be installed from outside: its go.mod replaces modules.
$(BIN)/docker-compose-$(COMPOSE_VERSION):
	@echo "==> building docker compose $(COMPOSE_VERSION) into bin/: some minutes, once"
	@rm -rf bin/compose-src && \
	dir=$$(cd / && $(GO) mod download -json github.com/docker/compose/v2@$(COMPOSE_VERSION) | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p') && \
	cp -r "$$dir" bin/compose-src && chmod -R u+w bin/compose-src && \
	(cd bin/compose-src && CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $@ ./cmd) && rm -rf bin/compose-src

# Asked for from outside of this module, which does not depend on the server.
$(SCHEMA):
	@rm -rf $@.part && mkdir -p $@.part
	@dir=$$(cd / && $(GO) mod download -json go.temporal.io/server@$(TEMPORAL_SERVER_VERSION) | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p') && \
	cp -r "$$dir/schema/postgresql/v12/temporal" "$$dir/schema/postgresql/v12/visibility" $@.part && \
	chmod -R u+w $@.part && mv $@.part $@
