# make        shows the targets
# make demo   builds the binary and brings the example stack up, answering

PREFIX  ?= /usr/local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export CGO_ENABLED = 0

# The heap begins where it always did. That its place is drawn by lot is against
# what C code can do to it, of which there is none; package entry maps its first
# part ahead.
export GOEXPERIMENT = norandomizedheapbase64

# After the first: what go.mod puts in the place of libraries.
PACKAGES = ./... github.com/distribution/reference/... github.com/go-viper/mapstructure/v2/... github.com/opencontainers/go-digest/... github.com/santhosh-tekuri/jsonschema/v6/...

# -E: some of what a process does need not wait for the Go runtime, see package entry.
GO_BUILD = go build -trimpath -ldflags '-s -w -E compose/internal/entry.entry -X main.version=$(VERSION) -X compose/engine/oci.Version=$(VERSION)'

.PHONY: help build demo base-images test chaos soak oci-peers lint config-compare bench clean install

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/compose, one static binary
	$(GO_BUILD) -o bin/.linked ./cmd/compose
	scripts/place bin/.linked bin/compose

demo: build ## bring up the example stack, add an employee, read it back (needs root)
	scripts/demo

base-images: build ## make the examples' base images from Debian's packages (needs root)
	scripts/base-images --local

test: build ## run every test, as CI does (needs root)
	scripts/install-packages $(TEST_PACKAGES)
	go vet $(PACKAGES)
	go test -timeout 20m $(PACKAGES)

chaos: ## kill processes of ours N times (1000), or with WALK=1 at each fault point, and look what becomes of it; SEED=... (needs root)
	scripts/install-packages busybox-static nftables
	go test -count=1 -timeout 0 -run '^$(if $(WALK),TestWalk,TestChaos)$$' -v ./e2e/chaos -args $(if $(WALK),-walk,-kills $(or $(N),1000) -seed $(or $(SEED),0))

soak: ## N (1000) projects up and down, 200 containers at once, a flood of lines: what grows, what gets lost (needs root)
	scripts/install-packages busybox-static nftables
	go test -count=1 -timeout 0 -run 'TestSoak|TestFlood' -v ./e2e -args -soak-cycles $(or $(N),1000) -soak-containers 200 -soak-lines 6000000

oci-peers: build ## have containerd and podman run containers with "compose oci" (needs root)
	scripts/install-packages busybox-static containerd podman
	scripts/oci-peers

# What the tests use as peers, tools and the content of containers.
TEST_PACKAGES = busybox-static bzip2 curl docker-registry git iproute2 iptables mmdebstrap nftables runc skopeo systemd xz-utils zstd

lint: ## go vet, staticcheck, gofumpt, govulncheck
	go vet $(PACKAGES)
	go tool staticcheck $(PACKAGES)
	@unformatted=$$(go tool gofumpt -l .); [ -z "$$unformatted" ] || { echo "not gofumpt'ed:" $$unformatted; exit 1; }
	@# It ends with 3 for a vulnerability, and with 1 where its database is out of reach.
	@go tool govulncheck ./cmd/compose; code=$$?; [ $$code -ne 3 ] || exit 1; [ $$code -eq 0 ] || echo "govulncheck was left out"

config-compare: build ## compare config with PEER=docker-compose on the Compose files below DIR
	go run ./scripts/config-compare -compose bin/compose -peer "$(PEER)" "$(DIR)" $(FLAGS)

bench: build ## measure against the kernel floor and the peers that are installed (needs root)
	scripts/install-packages busybox-static dnsperf docker-registry iperf3 mmdebstrap skopeo
	go run ./bench -compose bin/compose -layer "$$(scripts/bench-layer)" -json dist/bench.json

clean: ## remove what the targets above made here
	rm -rf bin dist

install: build ## install the binary; PREFIX=/usr/local, DOCKER_ALIAS=1 also as docker and docker-compose
	install -d $(DESTDIR)$(PREFIX)/bin
	scripts/place bin/compose $(DESTDIR)$(PREFIX)/bin/compose
ifeq ($(DOCKER_ALIAS),1)
	scripts/docker-alias $(DESTDIR)$(PREFIX)/bin
endif
