# `make` prints the targets; `make test` is everything a commit must pass.
.DEFAULT_GOAL := help
SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 60s

.PHONY: help build test lint fuzz bench chaos interop deps clean

help: ## print the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

build: ## build bin/rookery
	$(GO) build -o bin/rookery ./cmd/rookery

deps: ## install what the tests need (Debian packages, the S3 server)
	@test/install

test: deps ## install what the tests need, then run everything
	@test/run

lint: ## gofmt, go vet, staticcheck
	@test/lint

fuzz: ## every fuzz target for FUZZTIME (default 60s)
	@test/fuzz $(FUZZTIME)

chaos: ## kill -9 at random moments under load: one node 100 times, nodes of three 30 times
	ROOKERY_CHAOS=100 $(GO) test -count=1 -timeout 90m -v -run TestKill$$ ./test/chaos
	ROOKERY_CHAOS=30 $(GO) test -count=1 -timeout 90m -v -run TestKillNodes ./test/chaos

interop: deps ## the whole corpus through real clients, slapd and the S3 server
	@test/run ./test/interop

bench: build ## measure beside Postfix and Dovecot; prints medians and ratios
	@test/bench/run

clean: ## remove what was built
	rm -rf bin
