.DEFAULT_GOAL := help
.PHONY: help setup venv run check test test-unit coverage test-parts test-containers browser test-browser pictures test-e2e bench openapi architecture walks image release-check format clean

# One target at a time: each is a script with an order of its own.
.NOTPARALLEL:

PY := .venv/bin
# A module's tests share what they start, and the slowest module begins (tests/conftest.py).
BY_MODULE := --dist loadscope --no-loadscope-reorder

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

setup: ## install everything: .venv, host tools, a Docker engine, the image of the bridge
	@scripts/setup.sh

venv:
	@scripts/setup.sh --venv-only

run: setup ## start the bot (settings: environment or .env)
	@$(PY)/threadsmith run

check: venv ## format, lint, types, import rules and coverage; needs no engine
	$(PY)/ruff format --check .
	$(PY)/ruff check .
	$(PY)/mypy
	$(PY)/lint-imports
	@$(MAKE) --no-print-directory coverage

test: setup test-unit test-parts test-containers test-browser ## every test, in these four stages

test-unit: venv ## the unit tests: pure code, some seconds
	$(PY)/pytest tests/unit -n 2

coverage: venv ## how much of the pure packages the unit tests cover; fails when it falls
	$(PY)/pytest tests/unit -n 2 --cov -q --durations=0 --durations-min=60

test-parts: venv ## the tests with real parts; needs no engine
	$(PY)/pytest tests --ignore=tests/unit --ignore=tests/browser -m "not docker" -n 2 $(BY_MODULE)

test-containers: setup ## the tests with containers; they mostly wait, so three run side by side
	$(PY)/pytest tests --ignore=tests/unit --ignore=tests/browser -m docker -n 3 $(BY_MODULE)

browser: ## install the browser that the browser tests drive
	@scripts/setup.sh --browser

test-browser: setup browser ## the playground's page in a real browser
	$(PY)/pytest tests/browser

pictures: setup browser ## take the pictures of the page that docs/ shows
	@$(PY)/python -m tests.browser.pictures

test-e2e: setup ## the end-to-end tests only
	$(PY)/pytest tests/e2e

bench: setup ## run the benchmarks
	@$(PY)/python -m benchmarks

openapi: venv ## describe the bridge's routes anew, in docs/openapi.json
	$(PY)/python -m bridge.http.openapi >docs/openapi.json.new
	@mv docs/openapi.json.new docs/openapi.json

architecture: venv ## draw the layers anew, in docs/architecture.md, from the import contracts
	@$(PY)/python scripts/architecture.py

walks: venv ## count the files that take part in nine walks of docs/architecture.md
	@$(PY)/python scripts/walks.py

image: ## build the image of the bridge and try it
	@scripts/engine.sh ensure
	@scripts/build-image.sh
	@scripts/try-image.sh

release-check: venv ## build sdist and wheel, install and try them in an empty environment
	@scripts/release-check.sh

format: venv ## format the code and fix what the linter can
	$(PY)/ruff format .
	$(PY)/ruff check --fix .

clean: ## remove .venv and every cache (images and data stay)
	rm -rf .venv .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
