# The verbs of this repository. `make help` lists them.

HOST := $(shell rustc -vV | sed -n 's/^host: //p')
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
LAB := $(TARGET_DIR)/$(HOST)/lab/lab
# Images hold one static binary and nothing else; with --target the flag spares build scripts and macros.
STATIC := CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUSTFLAGS="-C target-feature=+crt-static"
# What the line below builds; another folder may be given.
LAB_BIN_DIR ?= $(abspath $(TARGET_DIR))/$(HOST)/lab
export LAB_BIN_DIR
CARGO_LAB := $(STATIC) cargo build --locked --workspace --bins --profile lab --target $(HOST)
# Part of a scenario's name: make e2e FILTER=lease
FILTER ?=

.PHONY: help build test lint demo e2e oldest bench images deps docs generate clean lab need-root

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

build: ## Build every binary, optimised, into target/release
	cargo build --locked --release --workspace --bins

test: need-root ## All tests: crates first, then the scenarios on a real control plane and node (root)
	@if cargo nextest --version >/dev/null 2>&1; then \
	    cargo nextest run --locked --workspace --cargo-profile ci && cargo test --locked --workspace --profile ci --doc; \
	else \
	    echo "cargo-nextest is not installed, running the tests with cargo test"; \
	    cargo test --locked --workspace --profile ci; \
	fi
	@$(MAKE) --no-print-directory e2e

lint: ## Formatting, clippy with warnings as errors, licences and advisories of dependencies
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	else echo "SKIPPED: cargo-deny is not installed, so deny.toml was not checked (cargo install cargo-deny)"; fi

demo: need-root lab ## Watch a volume's first and last day on a real cluster (root; builds the cluster once)
	@$(LAB) demo

e2e: need-root lab ## Only the scenarios on a real control plane and node; FILTER=part-of-a-name (root)
	@$(LAB) test $(FILTER)

oldest: need-root lab ## The scenarios without a node on the oldest Kubernetes that can be built (root; builds it once)
	@$(LAB) --oldest --control-plane-only test $(FILTER)

bench: need-root lab ## Measure memory, latency and API calls; BASELINE_BIN_DIR=dir compares (root)
	@$(LAB) bench

images: lab ## Write the image archives of all binaries to target/images
	@$(LAB) images $(TARGET_DIR)/images

deps: ## Install the Debian packages that the lab needs, if any is missing (root)
	@missing=$$(grep -v '^#' e2e/packages.txt | while read -r program package reason; do \
	    PATH="$$PATH:/usr/sbin:/sbin" command -v "$$program" >/dev/null 2>&1 || echo "$$package"; done | sort -u); \
	if [ -z "$$missing" ]; then echo "all packages that the lab needs are installed"; \
	elif [ "$$(id -u)" != 0 ]; then echo "run as root: apt-get install -y" $$missing >&2; exit 1; \
	else apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; fi
	@command -v go >/dev/null || { echo "Go 1.26 or newer is needed to build the cluster: https://go.dev/dl" >&2; exit 1; }

docs: ## API documentation of all crates into target/doc
	cargo doc --locked --workspace --no-deps --document-private-items

generate: ## Write the generated code anew (the tests fail when it is stale)
	cargo run --locked --package csi-client --example generate
	cargo run --locked --package snapshot-api --example generate

clean: ## Remove build results and what killed labs left (the cache of cluster programs stays)
	@if [ -x $(LAB) ] && [ "$$(id -u)" = 0 ]; then $(LAB) clean; fi
	cargo clean

lab:
	@echo "building the lab and our binaries (minutes the first time)"
	@$(CARGO_LAB)

need-root:
	@[ "$$(id -u)" = 0 ] || { echo "this needs root: a real kubelet makes namespaces, mounts and loop devices (try sudo)" >&2; exit 1; }
