package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"
)

// legacyBuildFlags are those of the builder before BuildKit, which BuildKit
// takes and leaves without effect.
var legacyBuildFlags = []string{
	"compress", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems", "disable-content-trust", "isolation", "memory", "memory-swap", "security-opt", "squash",
}

func registerLegacyBuildFlags(fl *pflag.FlagSet) {
	for _, name := range legacyBuildFlags {
		short := map[string]string{"cpu-shares": "c", "memory": "m"}[name]
		switch name {
		case "compress", "disable-content-trust", "squash":
			fl.Bool(name, false, "")
		case "security-opt":
			fl.StringArray(name, nil, "")
		default:
			fl.StringP(name, short, "", "")
		}
		_ = fl.MarkHidden(name) // the flag exists
	}
}

// warnLegacyBuildFlags names those in use.
func warnLegacyBuildFlags(w io.Writer, fl *pflag.FlagSet) {
	fl.Visit(func(f *pflag.Flag) {
		if slices.Contains(legacyBuildFlags, f.Name) {
			fmt.Fprintf(w, "WARNING: --%s is a flag of the builder before BuildKit and has no effect\n", f.Name)
		}
	})
}
