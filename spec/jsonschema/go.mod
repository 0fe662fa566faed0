// The name is that of the library whose place this takes: see doc.go.
module github.com/santhosh-tekuri/jsonschema/v6

go 1.26.8

require golang.org/x/text v0.43.0
