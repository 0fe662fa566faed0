// The name is that of the library whose place this takes: see doc.go.
module github.com/go-viper/mapstructure/v2

go 1.26.8
