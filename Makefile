# Everything a person runs. Each target sets up what it needs, once (tools/setup.sh).

CARGO ?= cargo
PYTHON := .venv/bin/python
export SAGEMAKER_SUPPRESS_V2_WARNING := 1

.PHONY: help demo test test-rust test-sdk check accuracy bench bench-families bench-hosting bench-training bench-transform image golden fuzz native setup

help: ## what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '%-15s %s\n' "$$name" "$$text"; \
	done

setup: ## Debian packages, .venv and XGBoost's library; every other target calls what it needs of it
	@tools/setup.sh system python native

native: ## XGBoost's library, for clary-train
	@tools/setup.sh native

demo: setup ## train on real data, deploy two variants with boto3, shift them under load, transform a batch
	$(CARGO) build --release --package server --package trainer --package loadtest
	$(PYTHON) tools/demo.py

test: test-rust test-sdk ## everything that proves the project

# The programs first: end-to-end tests start them.
test-rust: setup ## the Rust tests
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --no-fail-fast

test-sdk: setup ## boto3, the SageMaker SDK and XGBoost itself against the real programs
	$(CARGO) build --workspace --bins
	$(PYTHON) -m pytest -q tests/sdk

check: ## formatting, lints, documentation, licences (where cargo-deny is installed)
	@tools/setup.sh system
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny check; \
	else \
		echo 'cargo-deny is not installed: licences and advisories were NOT checked (cargo install --locked cargo-deny)'; \
	fi

bench: ## codecs, prediction and end to end
	@tools/setup.sh system
	$(CARGO) bench --workspace --benches

bench-hosting: setup ## what `clary up` costs beside `clary serve`, open and signed
	$(CARGO) build --release --package server --package loadtest
	$(PYTHON) tools/bench_hosting.py

accuracy: setup ## every algorithm's accuracy beside the reference implementation's, as one table
	$(CARGO) build --release --package server --package trainer --bins
	CLARY_PROGRAMS=$(CURDIR)/target/release $(PYTHON) tests/accuracy --write

bench-families: setup ## what one row costs over HTTP, by algorithm, beside a bare hyper echo
	$(CARGO) build --release --package server --package trainer --package loadtest --bins
	$(CARGO) build --release --package tests --example echo
	$(PYTHON) tools/bench_families.py

bench-training: setup ## training time and memory beside XGBoost's Python and scikit-learn
	$(CARGO) build --release --package trainer
	$(PYTHON) tools/bench_training.py

bench-transform: setup ## what batch transform costs beside its stages, and beside Python
	$(CARGO) build --release --package server --bin clary --example transform_stages
	$(PYTHON) tools/bench_transform.py

image: setup ## build the container image and check it
	@tools/setup.sh image
	tools/image.sh

# Each version of XGBoost gets a virtual environment, kept beside the native libraries.
golden: setup ## write the golden models of tests/golden anew, with twelve XGBoost versions
	$(PYTHON) tests/golden/xgboost/generate.py --venvs "$${CLARY_NATIVE:-$$HOME/.cache/clary}/golden"

fuzz: ## run every fuzz target, SECONDS_EACH seconds each (needs cargo-fuzz)
	@tools/setup.sh system
	tools/fuzz.sh
