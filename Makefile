# The first run builds Kubernetes, etcd, ACME servers and Traefik from their pinned sources and keeps them in
# the user's cache directory (CERTWRIGHT_CACHE): some 30 minutes on two cores. Later runs find them there. `make demo` builds a
# few of them. As root on Debian, `make test` installs packages that are missing; with INSTALL=0 it names them, and fails.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The whole workspace is always built together, or cargo builds shared dependencies twice with other features. For the same
# reason, what is tested always has the feature for traces; what is released has it not.
BUILD := --workspace --features certwright/otlp
CLUSTER := $(TARGET)/debug/cluster
PROGRAMS := $(TARGET)/debug/programs
# Integration tests mostly wait, so that more of them run at a time than there are cores.
TEST_THREADS ?= 4

CACHE := $(or $(CERTWRIGHT_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/certwright)
DENY_VERSION := 0.20.2
DENY := $(CACHE)/cargo/cargo-deny-$(DENY_VERSION)
MDBOOK_VERSION := 0.5.4
MDBOOK := $(CACHE)/cargo/mdbook-$(MDBOOK_VERSION)
CYCLONEDX_VERSION := 0.5.9
CYCLONEDX := $(CACHE)/cargo/cargo-cyclonedx-$(CYCLONEDX_VERSION)
MUTANTS_VERSION := 27.1.0
MUTANTS := $(CACHE)/cargo/cargo-mutants-$(MUTANTS_VERSION)

# `make image IMAGE_PROFILE=quick` leaves out all optimization; ARCH="amd64 arm64" makes one image for both.
IMAGE_PROFILE ?= release
HOST_TARGET := $(shell rustc --print host-tuple)
HOST_ARCH := $(subst aarch64,arm64,$(subst x86_64,amd64,$(firstword $(subst -, ,$(HOST_TARGET)))))
ARCH ?= $(HOST_ARCH)
target-amd64 := x86_64-unknown-linux-gnu
target-arm64 := aarch64-unknown-linux-gnu
# Debian's C compilers for other machines than this one.
compiler-amd64 := x86_64-linux-gnu-gcc
compiler-arm64 := aarch64-linux-gnu-gcc
# What the images are made from. tests/it/image.rs reads this line, too.
IMAGE_INPUTS := Cargo.lock Cargo.toml LICENSE Makefile crates deploy/base/rbac.yaml deploy/certificate-signing-requests/rbac.yaml docs/troubleshooting-*.md image src webhooks
VERSION := $(shell sed -n '/^version = /{ s/.*"\(.*\)"/\1/p; q }' Cargo.toml)
IMAGES := $(TARGET)/image

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The API server and its like collect garbage less often than they would, which saves a sixth of their processor time.
test shard bench bench-scale: export GOGC := 300

.PHONY: test
test: packages checks tools ## Check and test everything, on a real control plane
	$(MAKE) image IMAGE_PROFILE=quick
	$(CARGO) test $(BUILD) --no-run
	$(MAKE) units
	$(CLUSTER) exec -- $(INTEGRATION) --test-threads $(TEST_THREADS)

.PHONY: units
units: need-cargo ## Run the unit tests, and nothing else
	$(CARGO) test $(BUILD) --lib --bins

INTEGRATION := $(CARGO) test --offline $(BUILD) --no-fail-fast --test '*' --

# Each test is in one of the parts, as its name decides.
.PHONY: shard
shard: tools ## Run the part SHARD of the integration tests, such as 2/4, and nothing else
	$(MAKE) image IMAGE_PROFILE=quick
	$(CARGO) test $(BUILD) --no-run
	names=$$($(INTEGRATION) --list --format terse | $(CLUSTER) shard $(SHARD)) && \
	$(CLUSTER) exec -- $(INTEGRATION) --test-threads $(TEST_THREADS) --exact $$names

# Not part of `make test`: it needs Rust's library for arm64, which only rustup has, and builds everything once more.
.PHONY: test-arm64
test-arm64: tools ## Build the images for both kinds of processor, and issue a certificate with the one for arm64, emulated
	@command -v qemu-aarch64 >/dev/null || \
		{ echo "qemu-aarch64 is missing: it emulates arm64. On Debian, get it by \`apt-get install qemu-user\`" >&2; exit 1; }
	$(MAKE) image IMAGE_PROFILE=quick ARCH="amd64 arm64"
	$(CARGO) test $(BUILD) --no-run --test it
	$(CLUSTER) exec -- $(CARGO) test --offline $(BUILD) --test it -- arm64:: --ignored --nocapture

.PHONY: checks
checks: need-cargo deny docs workflows ## Check formatting, lints, dependencies, and that the book and the API documentation build
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(BUILD) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(BUILD) --no-deps

.PHONY: deny
deny: need-cargo $(DENY)/bin/cargo-deny ## Check what the dependencies are: licences, bans, sources
	$(DENY)/bin/cargo-deny --all-features check bans licenses sources

$(DENY)/bin/cargo-deny:
	@echo "Building cargo-deny $(DENY_VERSION), once: some 4 minutes on two cores"
	$(CARGO) install --quiet --locked --root $(DENY) --version $(DENY_VERSION) cargo-deny

# In the cache by their pins, like the tools of the tests.
LINT := $(CACHE)/lint/$(shell cat tests/lint/* | sha256sum | cut -c1-12)

.PHONY: workflows
workflows: $(LINT)/actionlint $(LINT)/python/installed ## Check the workflows, the forms, and what updates dependencies
	$(LINT)/actionlint -shellcheck $(LINT)/python/bin/shellcheck -pyflakes=
	$(LINT)/python/bin/zizmor --offline --no-progress --quiet .github
	$(LINT)/python/bin/shellcheck --external-sources .ci/run release/check release/krew release/notes
	$(LINT)/python/bin/check-jsonschema --builtin-schema vendor.renovate renovate.json
	$(LINT)/python/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml \
		.github/ISSUE_TEMPLATE/feature.yml
	$(LINT)/python/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

$(LINT)/actionlint:
	cd tests/lint && CGO_ENABLED=0 go build -trimpath -o $(abspath $@) github.com/rhysd/actionlint/cmd/actionlint

$(LINT)/govulncheck:
	cd tests/lint && CGO_ENABLED=0 go build -trimpath -o $(abspath $@) golang.org/x/vuln/cmd/govulncheck

$(LINT)/python/installed:
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement tests/lint/requirements.txt
	touch $@

# Not part of `make test`: it downloads the databases, and a new entry must not fail what did not change.
.PHONY: advisories
advisories: need-cargo $(DENY)/bin/cargo-deny $(LINT)/govulncheck ## Look up known vulnerabilities of what is built, and of the tests' tools
	$(DENY)/bin/cargo-deny --all-features check advisories
	for module in tests/cluster/tools/*/go.mod; do \
		$(LINT)/govulncheck -C $$(dirname $$module) -scan module || exit 1; \
	done

# mdBook tells what is wrong with a page by a warning and ends well; here that is an error. tests/it/book.rs follows the links.
.PHONY: docs
docs: need-cargo $(MDBOOK)/bin/mdbook ## Build the user guide, from docs/
	@said=$$($(MDBOOK)/bin/mdbook build --dest-dir $(abspath $(TARGET))/book 2>&1) || { echo "$$said" >&2; exit 1; }; \
	if echo "$$said" | grep -E 'WARN|ERROR' >&2; then exit 1; fi
	@echo "The book is in $(TARGET)/book/index.html"

$(MDBOOK)/bin/mdbook:
	@echo "Building mdBook $(MDBOOK_VERSION), once: some 2 minutes on two cores"
	$(CARGO) install --quiet --locked --root $(MDBOOK) --version $(MDBOOK_VERSION) --no-default-features --features search mdbook

# A test compares the hash at the end of each drawing with its source.
.PHONY: drawings
drawings: ## Draw docs/images anew, from docs/drawings
	@for source in $(filter-out %/style.d2,$(wildcard docs/drawings/*.d2)); do \
		drawing=docs/images/$$(basename $$source .d2).svg; \
		go -C tests/cluster/tools/d2 tool d2 --scale 0.75 $(CURDIR)/$$source $(CURDIR)/$$drawing || exit 1; \
		printf '<!-- %s -->\n' $$(cat docs/drawings/style.d2 $$source | sha256sum | cut -d ' ' -f 1) >> $$drawing; \
		chmod 644 $$drawing; \
	done

# Each of them fills a cluster of its own.
.PHONY: pictures
pictures: tools ## Take the pictures of the command line and of `certwright ui` in docs/images anew
	$(CARGO) test $(BUILD) --no-run
	for test in ui::pictures command_pictures; do \
		CERTWRIGHT_WRITE_DOCS=1 $(CLUSTER) exec -- $(CARGO) test --offline $(BUILD) --test it -- $$test:: || exit 1; \
	done

.PHONY: packages
packages: need-cargo ## Install the packages of Debian that the tests need; INSTALL=0 only names them
	$(CARGO) build --quiet $(BUILD) --bin programs
	$(PROGRAMS) packages

.PHONY: tools
tools: need-cargo ## Build what the tests need: Kubernetes, etcd, ACME servers, Traefik
	$(CARGO) build $(BUILD) --bin cluster
	$(CLUSTER) tools

# Linked statically, since there is nothing else in the image, so that nothing that the tests are built of can be used for it; and
# free of this machine's paths, since they would change it. What it depends on is built once for a Cargo.lock and a compiler.
IMAGE_BUILD = $(CACHE)/image/$(shell { rustc --version --verbose; cat Cargo.lock; } | sha256sum | cut -c1-12)

# Archives for other processors than this machine's have them in their names: certwright-0.1.0-oci-amd64-arm64.tar.
IMAGE_OTHERS := $(filter-out $(HOST_ARCH),$(ARCH))
empty :=
IMAGE_SUFFIX := $(if $(IMAGE_OTHERS),-$(subst $(empty) $(empty),-,$(strip $(ARCH))))

.PHONY: image
image: need-cargo $(IMAGE_OTHERS:%=need-%) $(CYCLONEDX)/bin/cargo-cyclonedx ## Write the images, OCI archives, without Docker
	RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo" \
		$(CARGO) build --target-dir $(IMAGE_BUILD) --profile $(IMAGE_PROFILE) --locked \
		$(foreach arch,$(ARCH),--target $(target-$(arch))) \
		$(foreach arch,$(IMAGE_OTHERS),--config 'target.$(target-$(arch)).linker="$(compiler-$(arch))"') \
		--package certwright --bin certwright --package certwright-dns --bin certwright-dns
	@touch $(IMAGE_BUILD)
	@# What was built for another Cargo.lock or compiler, and not used for a week.
	find $(CACHE)/image -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -r {} +
	$(CARGO) build $(BUILD) --bins
	mkdir -p $(IMAGES)
	for platform in $(foreach arch,$(ARCH),$(arch):$(target-$(arch))); do \
		$(of-last-commit) $(CYCLONEDX)/bin/cargo-cyclonedx cyclonedx --quiet --format json --target $${platform#*:} \
			--override-filename certwright-sbom && \
		for bill in .:certwright webhooks/dns:certwright-dns; do \
			sed 's|$(CURDIR)|/certwright|g' $${bill%:*}/certwright-sbom.json \
				> $(IMAGES)/$${bill#*:}-$(VERSION)-$${platform%:*}.cdx.json || exit 1; \
		done || exit 1; \
	done
	rm -f certwright-sbom.json */certwright-sbom.json */*/certwright-sbom.json
	for program in certwright certwright-dns; do \
		$(of-last-commit) $(TARGET)/debug/certwright-image write $$program --version $(VERSION) \
			--output $(IMAGES)/$$program-$(VERSION)-oci$(IMAGE_SUFFIX).tar --revision "$(image-revision)" \
			$(foreach arch,$(ARCH),--program $(IMAGE_BUILD)/$(target-$(arch))/$(IMAGE_PROFILE)/$$program \
				--sbom $(IMAGES)/$$program-$(VERSION)-$(arch).cdx.json) || exit 1; \
	done

# The command line for people's own machines: the operator's program, as in the image, or one that was built for macOS.
CLI_PROGRAM ?= $(IMAGE_BUILD)/$(target-$(ARCH))/$(IMAGE_PROFILE)/certwright
CLI_OS ?= linux

.PHONY: archive
archive: need-cargo ## Write CLI_PROGRAM, built before by `make image ARCH=…`, as an archive for CLI_OS and ARCH
	mkdir -p $(IMAGES)
	$(of-last-commit) $(CARGO) run --quiet --package certwright-image -- archive --program $(CLI_PROGRAM) \
		--output $(IMAGES)/certwright-v$(VERSION)-$(CLI_OS)-$(ARCH).tar.gz

.PHONY: need-amd64 need-arm64
need-amd64 need-arm64: need-%:
	@command -v $(compiler-$*) >/dev/null || \
		{ echo "$(compiler-$*) is missing: it builds AWS-LC for $*. On Debian, get it by" \
		"\`apt-get install $(subst _,-,gcc-$(compiler-$*:-gcc=)) libc6-dev-$*-cross\`" >&2; exit 1; }
	@test -d "$$(rustc --print target-libdir --target $(target-$*))" || rustup target add $(target-$*)

# The commit, and whether what the images are made from has been changed since.
image-revision = $$(git rev-parse HEAD)$$(test -z "$$(git status --porcelain -- $(IMAGE_INPUTS))" || echo -dirty)

# The time that everything in the images has.
of-last-commit = SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)

$(CYCLONEDX)/bin/cargo-cyclonedx:
	@echo "Building cargo-cyclonedx $(CYCLONEDX_VERSION), once: some 2 minutes on two cores"
	$(CARGO) install --quiet --locked --root $(CYCLONEDX) --version $(CYCLONEDX_VERSION) cargo-cyclonedx

# Go builds the programs of the cluster while cargo builds the rest, in a profile of its own and without traces, which is faster.
DEMO_BUILD := --quiet --profile demo --package certwright --package certwright-cluster --package certwright-programs

.PHONY: demo
demo: need-cargo ## Issue a certificate in a new cluster, and keep it running; ONCE=1 ends it; DEMO=cluster uses yours
ifeq ($(DEMO),cluster)
	@deploy/quickstart/try
else
	@$(MAKE) --no-print-directory demo-build
	@$(TARGET)/demo/cluster demo
endif

.PHONY: recording
recording: need-cargo demo-build ## Write the picture of the demo in the README anew
	$(TARGET)/demo/cluster demo --recording docs/demo.svg

.PHONY: dashboard
dashboard: need-cargo demo-build ## Draw the Grafana dashboard anew for the docs, from two minutes of an operator's metrics
	$(TARGET)/demo/cluster dashboard docs/dashboard.svg

.PHONY: demo-build demo-programs demo-binaries
demo-build:
	@echo "Building what is missing: the first time some 8 minutes on two cores, later nothing"
	@$(CARGO) build $(DEMO_BUILD) --bin programs
	@$(MAKE) --no-print-directory --jobs 2 demo-programs demo-binaries
demo-programs:
	@$(TARGET)/demo/programs demo
demo-binaries:
	@$(CARGO) build $(DEMO_BUILD) --bin certwright --bin cluster

.PHONY: bench
bench: need-cargo ## Measure the operator under load, RUNS times (3); SCENARIOS selects some
	$(CARGO) build --workspace --bins --release
	$(TARGET)/release/cluster bench

.PHONY: bench-scale
bench-scale: need-cargo ## Measure it with N Certificates at rest and ISSUE issued at once: some 30 minutes for N=100000
	$(CARGO) build --workspace --bins --release
	$(TARGET)/release/cluster bench-scale

# libFuzzer wants no more than the compiler's own coverage pass, which stable Rust has. An explicit target keeps its flags away
# from what runs at build time; the profile is dev's, so that this is not built twice.
FUZZ_SECONDS ?= 60
FUZZ_TARGET ?= $(notdir $(wildcard fuzz/corpora/*))
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares

.PHONY: fuzz
fuzz: need-cargo ## Fuzz what reads from outside: FUZZ_SECONDS for each target, or FUZZ_TARGET alone
	RUSTFLAGS="$(FUZZ_FLAGS)" CARGO_PROFILE_DEV_OPT_LEVEL=1 \
		$(CARGO) build --package certwright-fuzz --features libfuzzer --target $(HOST_TARGET)
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run $(abspath $(TARGET))/$(HOST_TARGET)/debug/certwright-fuzz \
		$(abspath $(TARGET))/fuzz $(FUZZ_TARGET)

# What survives shows a test that is missing, or a reason that is missing in .cargo/mutants.toml.
MUTANTS_MINUTES ?= 30
FILE ?=

.PHONY: mutants
mutants: need-cargo $(MUTANTS)/bin/cargo-mutants ## Test the tests of crates/core: break it, for MUTANTS_MINUTES, or everywhere in FILE
	MUTANTS_MINUTES=$(MUTANTS_MINUTES) MUTANTS_SEED=$(MUTANTS_SEED) \
		tests/mutants/run $(MUTANTS)/bin/cargo-mutants $(abspath $(TARGET))/mutants $(FILE)

$(MUTANTS)/bin/cargo-mutants:
	@echo "Building cargo-mutants $(MUTANTS_VERSION), once: some 2 minutes on two cores"
	$(CARGO) install --quiet --locked --root $(MUTANTS) --version $(MUTANTS_VERSION) cargo-mutants

.PHONY: crds
crds: need-cargo ## Write crds/ anew from crates/api
	$(CARGO) run --quiet --bin certwright -- crds | awk -v RS='---\n' \
		'match($$0, /  name: [a-z]+/) { printf "%s", $$0 > ("crds/" substr($$0, RSTART + 8, RLENGTH - 8) ".yaml") }'

.PHONY: reference
reference: need-cargo ## Write docs/api-reference.md, the tables of docs/troubleshooting.md and docs/troubleshooting-ca.md, docs/cert-manager-fields.md and docs/dns-providers.md anew
	CERTWRIGHT_WRITE_DOCS=1 $(CARGO) test $(BUILD) --test it -- reference:: migrate_fields::the_documentation
	CERTWRIGHT_WRITE_DOCS=1 $(CARGO) test $(BUILD) --test documentation

.PHONY: features
features: tools ## Write the table of docs/ca-features.md anew, from what CAs do
	$(CARGO) build $(BUILD) --bins
	$(CARGO) test $(BUILD) --no-run --test it
	CERTWRIGHT_WRITE_DOCS=1 $(CLUSTER) exec -- $(CARGO) test --offline $(BUILD) --test it lifecycle::

.PHONY: chart
chart: tools ## Write anew what is made from the Helm chart: renderings, the table of values
	$(CARGO) test $(BUILD) --no-run --test it
	CERTWRIGHT_WRITE_DOCS=1 $(CLUSTER) exec -- $(CARGO) test --offline $(BUILD) --test it -- chart:: chart_dns:: alerts::by_default

.PHONY: clean
clean: ## Remove what cargo built; built tools stay in the cache
	$(CARGO) clean

.PHONY: need-cargo
need-cargo:
	@command -v $(firstword $(CARGO)) >/dev/null || \
		{ echo "cargo is missing: it builds Certwright. Get it from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "A C compiler (cc) is missing: it builds the cryptographic library. Run \`apt-get install \
	gcc libc6-dev\` on Debian or Ubuntu, \`dnf install gcc\` on Fedora, \`pacman -S gcc\` on Arch Linux, or \`apk add gcc musl-dev\` on Alpine" >&2; exit 1; }
