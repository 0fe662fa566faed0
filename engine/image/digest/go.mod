// The name is that of the library whose place this takes: see doc.go.
module github.com/opencontainers/go-digest

go 1.26.8
