# Every command of this repository. `make run` and `make test` install what is missing by themselves.
# The logic is in scripts/; this file only names it.
.DEFAULT_GOAL := help
.PHONY: help run test test-agents sim build ui lint fmt check bench bench-peers serve clean hooks setup icons deny
MAKEFLAGS += --no-print-directory

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and open the window (without a display: serve and print the login link).
	@scripts/run.sh auto $(ARGS)

serve: ## Install what is missing, build, and serve the UI on loopback without a window (ARGS="--listen 127.0.0.1:7070").
	@scripts/run.sh serve $(ARGS)

test: ## Install what is missing and run every test: unit, property, integration, UI, real window, browser.
	@scripts/test.sh

test-agents: ## Install real agents (goose, Codex, OpenCode) and let them drive whole missions; `make test` does it with the first two.
	@scripts/test.sh agents

sim: ## Simulate the orchestrator with crashes at any step (SEEDS=100000 FROM=0), or one seed with its trace (SEED=7).
	@SEED=$(SEED) SEEDS=$(SEEDS) FROM=$(FROM) STEPS=$(STEPS) scripts/sim.sh

check: ## Check quickly that everything compiles and the repository keeps its own rules.
	@scripts/need.sh build
	@scripts/ui.sh build
	@cargo check --workspace --all-targets
	@scripts/tidy.sh

lint: ## Check formatting, lints and types as CI does.
	@scripts/lint.sh

fmt: ## Format Rust and the UI.
	@cargo fmt --all
	@scripts/ui.sh deps
	@npm --prefix ui run --silent format

build: ## Build the optimised programs into target/release.
	@scripts/need.sh build
	@scripts/ui.sh build
	@cargo build --release --bins -p hivekeeper-desktop -p cli -p shim

ui: ## Build the UI into ui/dist.
	@scripts/ui.sh build

bench: ## Measure: the ledger, missions, starts, and memory of the real programs (docs/benchmarks.md).
	@scripts/need.sh test
	@scripts/ui.sh build
	@cargo build --release --bins --workspace
	@scripts/with-display.sh cargo bench --workspace --exclude hivekeeper-desktop --bench '*' -- $(ARGS)

bench-peers: ## Measure the life of a mission beside Celery with Redis and Prefect's server, in turns.
	@scripts/need.sh serve
	@benches/peers/run.sh

deny: ## Check the dependencies' licences, sources and known vulnerabilities.
	@scripts/deny.sh

setup: ## Install what building and testing need, set up the git hooks, and list what was found.
	@scripts/setup.sh

hooks: ## Let git check formatting and the repository's rules before each commit.
	@git config core.hooksPath .githooks

icons: ## Render the icons from their SVG sources.
	@scripts/icons.sh

clean: ## Remove everything that was built.
	@cargo clean
	@rm -rf ui/dist ui/node_modules ui/test-results ui/playwright-report gen
