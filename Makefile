# Two commands do everything, each with its own set-up:  make run   and   make test
# A fresh machine needs only Python 3.11, make and git.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
TESTS   = integrations/tests
# Each kind's tests are beside it, in kinds/; those about all of them are in tests/.
CONNECTORS = integrations/connectors
# The example's tests are beside what they test.
EXAMPLES = tasks/tests tenants/tests
UNIT    = $(TESTS)/unit $(CONNECTORS)/kinds app/tests/unit
INTEGRATION = $(TESTS)/integration app/tests/integration $(EXAMPLES)
# Pages and programs: a lane of its own, so that two cores have something to do.
PAGES   = $(EXAMPLES) $(TESTS)/integration/console $(TESTS)/integration/test_jobs.py $(wildcard $(addprefix $(TESTS)/integration/,test_admin*.py test_api*.py))
# Where tests marked "integration" are: collecting all the others takes longer than starting the lane.
ON_SERVICES = $(INTEGRATION) $(CONNECTORS)/tests/test_lanes.py
# Of these the way back, hosts with models of their own, and most of what starts workers: a lane of its own, too.
BACK    = $(TESTS)/integration/host $(TESTS)/integration/capture $(wildcard $(addprefix $(TESTS)/integration/test_,inbound*.py pull*.py push*.py workers.py hint_of*.py trouble*.py))
FAST    = not slow and not crash and not browser and not n8n
LANES   = -m integrations.tests.lanes

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Empty: not set, whatever the shell says. Otherwise each process that a test starts compiles all it imports.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run demo-data pictures console-load bench bench-quick test test-unit test-embedded test-console test-services test-services-back check check-style check-imports check-types check-django model test-slow test-slow-embedded test-slow-services test-connectors test-sandbox test-crash test-browser test-long wheel docs format clean

run: $(STAMP)
	@exec $(BIN)/python -m app.demo

# A week of traffic into the database of `make run`, which does it by itself; ARGS="--database URL" fills another one.
demo-data: $(STAMP)
	@exec $(BIN)/python -m app.demo.data $(ARGS)

# The fast suite. What depends on database or broker runs on PostgreSQL, Redis and RabbitMQ where they answer, the rest on the
# embedded default; where they do not answer, all of it does. With REQUIRE_SERVICES=1 a missing one is a failure.
# One after the other: make test-unit test-embedded test-console test-services test-services-back
test: $(STAMP)
	@echo "Five lanes side by side; each tells when it is through (some minutes) …"
	@$(MAKE) --no-print-directory --jobs=5 --output-sync=target test-unit test-embedded test-console test-services test-services-back

test-unit: $(STAMP)
	$(BIN)/python -m pytest $(UNIT) -q

test-embedded: $(STAMP)
	$(BIN)/python $(LANES) embedded $(filter-out $(PAGES),$(INTEGRATION)) -q $(addprefix --ignore=,$(PAGES)) -m "$(FAST)"

# Console, admin and API, on a database file of their own.
test-console: $(STAMP)
	TEST_DATABASE=$(CURDIR)/.local/test-console.sqlite3 $(BIN)/python $(LANES) embedded $(PAGES) -q -m "$(FAST)"

test-services: $(STAMP)
	$(BIN)/python $(LANES) services $(ON_SERVICES) -q $(addprefix --ignore=,$(BACK)) -m "integration and not portable and $(FAST)"

test-services-back: $(STAMP)
	$(BIN)/python $(LANES) beside $(BACK) -q -m "integration and not portable and $(FAST)"

# Each part is also a hook of .pre-commit-config.yaml.
check: check-style check-imports check-types check-django

check-style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-imports: $(STAMP)
	$(BIN)/lint-imports

check-types: $(STAMP)
	$(BIN)/mypy

check-django: $(STAMP)
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check
	$(BIN)/python manage.py event_catalogue docs/events.json --check

# What a project of its own installs (docs/use-it-in-your-project.md): `integrations` alone.
wheel: $(STAMP)
	$(BIN)/python -m pip wheel -q --no-deps --wheel-dir dist .
	@ls dist/*.whl

# The pages of docs/ as a site that needs no network: .local/site/index.html. A link that leads nowhere is an error.
docs: $(STAMP)
	$(BIN)/python -m pip install -q --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "Open .local/site/index.html"

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What README and docs show of the console, from the running demo.
pictures: $(STAMP)
	$(BIN)/python -m pip install -q --group browser
	$(BIN)/python -m app.demo.pictures $(ARGS)

# Every page of the console on a million deliveries: the database is made by `python -m app.bench.scale URL`.
console-load: $(STAMP)
	$(BIN)/python -m app.bench.console $(DATABASE) $(ARGS)

# The formal model of the lane (docs/model). Needs spin and cc; says so where they are missing.
model: $(STAMP)
	$(BIN)/python docs/model/run.py

# Longer suites.
test-slow: $(STAMP)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-slow-embedded test-slow-services

# And what `make test` tried on services alone.
test-slow-embedded: $(STAMP)
	$(BIN)/python -m pytest $(INTEGRATION) -q -m "slow or (integration and not portable and $(FAST))"

test-slow-services: $(STAMP)
	$(BIN)/python $(LANES) services $(ON_SERVICES) -q -m "slow or (integration and portable and $(FAST))"

test-connectors: $(STAMP)
	$(BIN)/python -m pytest $(CONNECTORS) -q

# Providers' own sandboxes, where SANDBOX_<KIND>_<FIELD> are set; says whom it skipped.
test-sandbox: $(STAMP)
	$(BIN)/python -m pytest $(TESTS)/sandbox -q -m sandbox

test-crash: $(STAMP)
	$(BIN)/python $(LANES) services $(TESTS)/crash -q -m crash

test-browser: $(STAMP)
	$(BIN)/python -m pip install -q --group browser
	$(BIN)/python -m pytest $(TESTS)/browser -q -m browser

# What all lanes of `make test` and `make test-connectors` reach, the processes that tests start included.
coverage: $(STAMP)
	rm -rf .local/coverage && mkdir -p .local/coverage
	$(BIN)/python -m coverage run -m pytest $(UNIT) -q
	$(BIN)/python -m coverage run -m pytest $(INTEGRATION) -q -m "$(FAST)"
	$(BIN)/python -m coverage run $(LANES) services $(ON_SERVICES) -q -m "integration and not portable and $(FAST)"
	$(BIN)/python -m coverage run -m pytest $(CONNECTORS) -q
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --format=total
	$(BIN)/python -m coverage report > .local/coverage/report.txt
	@echo "What nothing reaches: .local/coverage/report.txt"

test-long: test-slow test-connectors test-crash test-browser

# Ours, peers and limits in one run (docs/performance.md). Peers are installed beside the project, never into it.
BENCH = .venv-bench

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m app.bench run --scale full $(ARGS)

bench-quick: $(BENCH)/.installed
	$(BENCH)/bin/python -m app.bench run --scale quick $(ARGS)

$(BENCH)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -q --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install -q -r requirements.txt --group bench
	@touch $@

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -r requirements.txt --group dev
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
