# The verbs of this project. `make run` and `make test` are all that a newcomer needs: they install what is missing by
# rustup, cargo, pip and npm, into the project's own ignored folders.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

WASM_TARGET := wasm32-unknown-unknown
TOOLS := .tools
VENV := .venv
WEB := gateway/web
CARGO_DENY := 0.20.2
# Installs Debian packages, as root or by sudo.
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
apt = { $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); }
PYTEST := $(VENV)/bin/python -m pytest -q -p no:cacheprovider

.PHONY: help pages run test unit topology e2e lint chaos autobahn bench latency recovery peers fmt binaries wasm-target clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: wasm-target pages ## Build and start everything; prints the page's URL when it is ready
	cargo build --release --locked -p ovation-cli
	exec target/release/ovation run $(ARGS)

test: unit topology e2e ## Run every test

unit: wasm-target pages ## Run the Rust tests, and those of the pages' logic
	cd $(WEB) && npm test --silent
	cargo test --workspace --locked

topology: binaries ## Run the tests that the topology files bring
	for file in topology.yaml examples/*/topology.yaml; do target/debug/ovation topology test "$$file"; done

e2e: binaries $(VENV)/ready $(TOOLS)/bin/promtool ## Run the end-to-end tests: real broker, clients and browser
	$(PYTEST) e2e

lint: wasm-target pages $(TOOLS)/bin/cargo-deny ## Check format, clippy, docs, the house, licences and sources
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	./.ci/house
	cd $(WEB) && npm run --silent check
	$(TOOLS)/bin/cargo-deny --all-features check --hide-inclusion-graph licenses bans sources

chaos: binaries $(VENV)/ready ## Break everything under load for minutes, then check every number (ARGS="--seed 7")
	$(VENV)/bin/python -m chaos $(ARGS)

autobahn: ## Check the WebSocket against RFC 6455 by Autobahn's test suite; skipped where there is no Python 2.7
	cargo build -p ovation-gateway --example echo --locked
	python3 e2e/autobahn.py $(ARGS)

bench: pages wasm-target $(VENV)/ready ## Measure everything, in minutes; writes bench/results/bench.json and its table (ARGS="--against FILE")
	$(VENV)/bin/python bench/run.py $(ARGS)

recovery: $(VENV)/ready ## Measure how soon an engine is live again that has a million reactions to catch up with (release build)
	$(VENV)/bin/python bench/restart_cost.py $(ARGS)

peers: ## Count the same reactions with Spark, Pathway and Bytewax, and print the ratio (release build)
	command -v java >/dev/null || $(call apt,openjdk-17-jre-headless)
	python3 bench/peers/run.py $(ARGS)

latency: $(VENV)/ready ## Measure tap to screen on what `make run` started
	$(VENV)/bin/python bench/tap_to_screen.py $(ARGS)

fmt: ## Format the code
	cargo fmt --all

binaries: wasm-target pages
	cargo build --workspace --bins --tests --locked # the same units as the Rust tests: nothing is compiled twice

pages: $(WEB)/dist/react.html ## Build the pages

$(WEB)/dist/react.html: $(WEB)/node_modules/.ready $(shell find gateway/web -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print)
	cd $(WEB) && npm run --silent build
	touch $@

$(WEB)/node_modules/.ready: $(WEB)/package-lock.json
	command -v npm >/dev/null || $(call apt,nodejs npm)
	cd $(WEB) && npm ci --no-audit --no-fund --silent
	touch $@

wasm-target:
	@test -d "$$(rustc --print target-libdir --target $(WASM_TARGET) 2>/dev/null)" || rustup target add $(WASM_TARGET)

$(TOOLS)/bin/cargo-deny:
	cargo install cargo-deny --version $(CARGO_DENY) --locked --root $(TOOLS) --quiet --debug # looks at a few hundred crates, and is built sooner

# The browser is Debian's: Playwright's own download is not needed.
$(VENV)/ready: e2e/requirements.txt
	python3 -c 'import venv, ensurepip' 2>/dev/null || $(call apt,python3-venv)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r e2e/requirements.txt
	command -v chromium >/dev/null || $(call apt,chromium fonts-noto-color-emoji)
	command -v slowhttptest >/dev/null || $(call apt,slowhttptest)
	touch $@

# Taken out of Debian's package, which would also start a Prometheus if it were installed.
$(TOOLS)/bin/promtool:
	mkdir -p $(@D)
	dir="$$(mktemp -d)" && trap 'rm -r "$$dir"' EXIT && chmod 755 "$$dir" && cd "$$dir" \
		&& { apt-get download -qq prometheus || { $(SUDO) apt-get update -qq && apt-get download -qq prometheus; }; } \
		&& dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool && cp promtool $(CURDIR)/$@

clean: ## Remove what was built and installed here (not the data folder)
	rm -rf target $(TOOLS) $(VENV) $(WEB)/node_modules $(WEB)/dist e2e/out
