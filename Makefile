# `make help` lists the targets. What they do is in build/*.sh.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := k6
.PHONY: help smoke test lint fuzz bench image release clean

# What goes into ./k6: the Go sources and the files that they embed. The folders are there so that a deleted file counts.
rooms := extension js load-test examples
sources := $(wildcard *.go docs/*.md docs/*.json) build/bench/README.md index.d.ts jsconfig.json $(shell find $(rooms) \
	\( -name testdata -o -name node_modules \) -prune -o \
	\( -type d -o -type f ! -name '*_test.go' \) -print)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

k6: $(sources) go.mod go.sum build/k6.sh build/env.sh build/version.sh build/tools/go.mod ## Build ./k6 with this extension in it (default)
	@build/k6.sh $@

smoke: k6 ## Run the three scenarios at laptop scale against the stand-in
	./k6 x verity smoke

test: k6 ## Run the tests with the race detector, and say what was skipped
	@build/test.sh

lint: ## Check format, go.mod, vet, golangci-lint and xk6 lint
	@build/lint.sh

fuzz: ## Run each fuzz target for FUZZTIME (default 5s)
	@build/fuzz.sh

bench: k6 ## Measure this extension against JavaScript, k6/websockets and plain Go, side by side
	@build/bench.sh

image: ## Build the image xk6-verity with docker, buildah or podman; FLAGS are those of the build
	@build/image.sh $(FLAGS)

release: ## Make archives for Linux, macOS, Windows and FreeBSD, with checksums, in dist/
	@build/release.sh dist

clean: ## Remove what was built
	rm -rf k6 dist extension/socketio/testdata/oracle/node_modules
