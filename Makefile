# berth's commands. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE   ?= berth.dev/berth:$(VERSION)

# The commit, which the image names.
REVISION ?= $(shell git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)

# The older Kubernetes that the end-to-end tests can run on, each a module in e2e/controlplane.
MINORS := $(notdir $(wildcard e2e/controlplane/1.*))

# Every Go module of this repository, and those of them with Go code.
MODULES      := . e2e/controlplane $(addprefix e2e/controlplane/,$(MINORS)) e2e/certmanager tools tools/golangci-lint tools/image
CODE_MODULES := . e2e/controlplane e2e/certmanager tools/image

# What `make generate` writes.
GENERATED := api/v1alpha1/zz_generated.deepcopy.go deploy/chart/crds deploy/berth.yaml deploy/kustomize/berth.yaml

# Built once into Go's build cache, at the versions of their go.mod.
tool          = go tool -modfile=$(CURDIR)/tools/go.mod
golangci-lint = go tool -modfile=$(CURDIR)/tools/golangci-lint/go.mod golangci-lint

# The race detector needs a C compiler: without one the tests run all the same.
race = $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && echo -race)

# The tests that count bytes: with the race detector sync.Pool drops what it is given, so each allocates many times more.
measured = LittleMemory|FloodOfLargeReviews

# The test that has the machine to itself: an attack on a busy machine shows how busy the machine is.
attack = BerthIn256MiB

# Half of the tests of reliability, which wait more than they work: they have a cluster of their own beside the others.
installing = WhileHelmInstalls|CommandsOfInstall|WithCertManager|FirstStarts|BerthHasTheRights|InstallationThatFails|UpgradeFromThePrevious|EnforceWaits

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Show berth on a real control plane of its own. ARGS=--exit ends after the tour.
	go build -o bin/tour ./e2e/tour
	@exec bin/tour $(ARGS) # go run would answer Ctrl-C with an error of its own

.PHONY: test
test: lint unit test-image e2e ## Run every check: lint, unit tests, the image, end-to-end tests.

.PHONY: unit
unit: ## Run the unit tests and fuzz seeds, and envtest on the real API server.
	assets=$$(go run -C e2e/controlplane .); \
	KUBEBUILDER_ASSETS=$$assets go test $(race) -skip '$(measured)' $$(go list ./... | grep -v /e2e); \
	KUBEBUILDER_ASSETS=$$assets go test -run '$(measured)' ./audit ./cluster ./cmd/berth ./placement ./webhook
	go test -C e2e/controlplane ./...

.PHONY: test-image
test-image: ## Build the image in every way, push and pull it; with buildah and skopeo, by them too.
	go test -C tools/image -count=1 -timeout 20m -v ./...

.PHONY: e2e
e2e: ## Run the end-to-end tests on a real control plane.
	go test -count=1 -timeout 40m -skip '$(attack)|$(installing)' ./e2e/... & others=$$!; \
	go test -count=1 -timeout 40m -run '$(installing)' ./e2e/reliability && status=0 || status=$$?; \
	wait $$others && exit $$status
	go test -count=1 -timeout 20m -run '$(attack)' ./e2e/reliability

# Which tests make skew runs.
RUN ?= .

.PHONY: skew
skew: ## Run the end-to-end tests but reliability on older Kubernetes; MINORS=1.32 for one of them.
	mkdir -p bin
	for minor in $(MINORS); do \
		echo "Kubernetes $$minor, all that the tests say is in bin/skew-$$minor.txt"; \
		BERTH_KUBERNETES=$$minor go test -count=1 -v -timeout 40m -run '$(RUN)' ./e2e 2>&1 | \
			tee bin/skew-$$minor.txt | grep -E -A1 '^(--- (FAIL|SKIP)|ok|FAIL|panic|Kubernetes)'; \
		echo "$$minor: $$(grep -c '^--- PASS' bin/skew-$$minor.txt) passed, $$(grep -c '^--- SKIP' bin/skew-$$minor.txt) skipped"; \
	done

.PHONY: soak
soak: ## Run the tests of restarts, outages and floods at full length: about two hours.
	BERTH_SOAK=1 go test -count=1 -v -timeout 6h ./e2e/reliability

.PHONY: lint
lint: ## Check the style of the Go code, and the chart.
	for module in $(CODE_MODULES); do (cd $$module && $(golangci-lint) run --config $(CURDIR)/.golangci.yml); done
	$(tool) helm lint --strict --quiet deploy/chart

.PHONY: fmt
fmt: ## Format the Go code.
	for module in $(CODE_MODULES); do (cd $$module && $(golangci-lint) fmt --config $(CURDIR)/.golangci.yml); done

.PHONY: generate
generate: ## Write anew what is generated: deepcopy, the CRD, deploy/berth.yaml.
	$(tool) controller-gen object crd paths=./api/... output:crd:dir=deploy/chart/crds
	{ cat deploy/berth.head.yaml; $(tool) helm template berth deploy/chart --namespace berth-system --include-crds; } > deploy/berth.yaml
	cp deploy/berth.yaml deploy/kustomize/berth.yaml

.PHONY: verify
verify: generate ## Fail when what is committed is not what `make generate` and `go mod tidy` write.
	@if [ -n "$$(git status --porcelain -- $(GENERATED))" ]; then \
		git --no-pager diff -- $(GENERATED); git status --short -- $(GENERATED); \
		echo 'generated files differ from what is committed: commit them' >&2; exit 1; \
	fi
	for module in $(MODULES); do go -C $$module mod tidy -diff; done

# Which benchmarks run, how often each (benchstat wants 6 or more), and where to.
BENCH ?= .
COUNT ?= 6
OUT   ?= bin/bench.txt

.PHONY: bench
bench: ## Run the benchmarks; compare two files with: make benchstat OLD=… NEW=…
	mkdir -p $(dir $(OUT))
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $$(go list ./... | grep -v /e2e) | tee $(OUT)

NEW ?= $(OUT)

.PHONY: benchstat
benchstat: ## Compare two outputs of make bench, OLD and NEW.
	$(tool) benchstat $(OLD) $(NEW)

# The same bytes wherever it is built. The Dockerfile says the same.
go-build = CGO_ENABLED=0 GOWORK=off GOAMD64=v1 GOARM64=v8.0 GOFIPS140=off \
	go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

BINARY ?= bin/berth

.PHONY: build
build: ## Build the static binary bin/berth.
	$(go-build) -o $(BINARY) ./cmd/berth

PLATFORMS ?= linux/amd64 linux/arm64

image-tool = go run -C tools/image .

.PHONY: image
image: ## Build the container image: bin/image (OCI layout), bin/image-*.tar (for docker load).
	for platform in $(PLATFORMS); do \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(go-build) -o bin/$$platform/berth ./cmd/berth; \
	done
	$(image-tool) build -layout $(CURDIR)/bin/image -image '$(IMAGE)' -version '$(VERSION)' -revision '$(REVISION)' \
		$(foreach platform,$(PLATFORMS),$(platform)=$(CURDIR)/bin/$(platform)/berth)

.PHONY: push
push: image ## Build the container image and push it to a registry: make push IMAGE=registry/repository:tag
	$(image-tool) push $(CURDIR)/bin/image '$(IMAGE)'
