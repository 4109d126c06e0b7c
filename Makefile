# `make` prints the targets; `make test` is everything a commit must pass.
.DEFAULT_GOAL := help
SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 60s

.PHONY: help build man test quick lint fuzz bench chaos interop format deps clean

help: ## print the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

build: ## build bin/rookery
	$(GO) build -o bin/rookery ./cmd/rookery

man: build ## write the manual pages into bin/man
	bin/rookery man bin/man

deps: ## install what the tests need (Debian packages, the S3 server)
	@test/install

test: deps ## install what the tests need, then run everything
	@test/run

quick: ## unit tests: no processes, no servers, no simulated clusters
	$(GO) test -short -timeout 5m $$($(GO) list ./... | grep -vE '/test/(abuse|chaos|examples|interop|scenario|upgrade)$$')

lint: ## gofmt, go vet, staticcheck
	@test/lint

fuzz: ## every fuzz target for FUZZTIME (default 60s)
	@test/fuzz $(FUZZTIME)

chaos: ## break three nodes, then five, in every way for CHAOS_TIME (default 30m); ROOKERY_SEED repeats a run
	CHAOS_TIME=$${CHAOS_TIME:-30m} $(GO) test -count=1 -timeout 0 -v -run TestStorm ./test/chaos
	CHAOS_TIME=$${CHAOS_TIME:-30m} CHAOS_NODES=5 $(GO) test -count=1 -timeout 0 -v -run TestStorm ./test/chaos
	ROOKERY_QUEUE=10000 $(GO) test -count=1 -timeout 60m -v -run TestSimQueueInAStorm ./cmd/node
	ROOKERY_SITES=20 $(GO) test -count=1 -timeout 90m -v -run TestSitesAreLostUnderLoad ./test/scenario
	ROOKERY_KILLS=50 $(GO) test -count=1 -timeout 60m -v -run TestFailover ./test/chaos
	ROOKERY_CHAOS=100 $(GO) test -count=1 -timeout 90m -v -run TestKill$$ ./test/chaos
	ROOKERY_CHAOS=30 $(GO) test -count=1 -timeout 90m -v -run TestKillNodes ./test/chaos

interop: deps ## the whole corpus through real clients, slapd and the S3 server; mail with Postfix and Exim; the object store also on MinIO
	@ROOKERY_INTEROP=1 test/run ./test/interop
	@test/minio ./storage/blob/s3 ./storage/pack ./test/quirk ./test/interop

format: ## keep a data directory of today's on-disk format as test/upgrade/testdata/NAME.tar.zst (NAME=2026-11)
	@test -n "$(NAME)" || { echo "say which: make format NAME=2026-11 (year and month)" >&2; exit 1; }
	$(GO) test ./test/upgrade -count=1 -v -run '^TestMake$$' -make '$(NAME)'

bench: build ## measure beside Postfix and Dovecot; prints medians and ratios
	@test/bench/run

clean: ## remove what was built
	rm -rf bin
