# make        shows the targets
# make demo   builds the binary and brings the example stack up, answering

PREFIX  ?= /usr/local
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export CGO_ENABLED = 0

GO_BUILD = go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help build demo base-images test lint bench clean install

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/compose, one static binary
	$(GO_BUILD) -o bin/compose ./cmd/compose

demo: build ## bring up the example stack, add an employee, read it back (needs root)
	scripts/demo

base-images: build ## make the examples' base images from Debian's packages (needs root)
	scripts/base-images --local

test: build ## run every test, as CI does (needs root)
	scripts/install-packages $(TEST_PACKAGES)
	go vet ./...
	go test -timeout 20m ./...

# What the tests use as peers, tools and the content of containers.
TEST_PACKAGES = busybox-static curl docker-registry iproute2 iptables mmdebstrap nftables skopeo

lint: ## go vet, staticcheck, gofumpt
	go vet ./...
	go tool staticcheck ./...
	@unformatted=$$(go tool gofumpt -l .); [ -z "$$unformatted" ] || { echo "not gofumpt'ed:" $$unformatted; exit 1; }

bench: build ## measure against the kernel floor and the peers that are installed (needs root)
	scripts/install-packages busybox-static
	go run ./bench -compose bin/compose

clean: ## remove what the targets above made here
	rm -rf bin dist

install: build ## install the binary; PREFIX=/usr/local
	install -D -m 0755 bin/compose $(DESTDIR)$(PREFIX)/bin/compose
