// The name is that of the library whose place this takes: see doc.go.
module github.com/distribution/reference

go 1.26.8

require github.com/opencontainers/go-digest v1.0.0
