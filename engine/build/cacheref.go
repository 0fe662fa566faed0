package build

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// CacheRef is a place outside of this host's own cache that builds take
// results from or leave them at.
type CacheRef struct {
	Ref         string // an image reference, in a registry
	Dir         string // the directory of an OCI image layout, instead
	Tag         string // of the layout's manifest
	Max         bool   // leave the files of every step there, not only the result's
	IgnoreError bool   // a failure to leave anything there is only told
}

func (r CacheRef) String() string {
	if r.Dir != "" {
		return r.Dir
	}
	return r.Ref
}

func (r CacheRef) kind() string {
	if r.Dir != "" {
		return "client directory"
	}
	return "registry"
}

// ParseCacheRef reads BuildKit's notation: "type=registry,ref=NAME",
// "type=local,src=DIR" or "type=local,dest=DIR", or only a name. to says that
// it is about leaving results.
func ParseCacheRef(text string, to bool) (CacheRef, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return CacheRef{}, fmt.Errorf("%q: %w", text, err)
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "=") {
		return CacheRef{Ref: fields[0]}, nil
	}
	r, kind := CacheRef{Tag: "latest"}, ""
	directory := "src"
	if to {
		directory = "dest"
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "type":
			kind = value
		case name == "ref":
			r.Ref = value
		case name == directory:
			r.Dir = value
		case name == "tag":
			r.Tag = value
		case to && name == "mode" && (value == "min" || value == "max"):
			r.Max = value == "max"
		case to && name == "ignore-error":
			r.IgnoreError, err = strconv.ParseBool(value)
		case to && (name == "oci-mediatypes" || name == "image-manifest") && value == "true":
			// There is no other form.
		case to && name == "compression" && value == "gzip":
		default:
			return CacheRef{}, fmt.Errorf("%q: %s is not supported", text, f)
		}
		if err != nil {
			return CacheRef{}, fmt.Errorf("%q: %s must be true or false", text, name)
		}
	}
	switch {
	case kind != "registry" && kind != "local":
		return CacheRef{}, fmt.Errorf("%q: caches of type %q are not supported, use registry or local", text, kind)
	case kind == "registry" && (r.Ref == "" || r.Dir != ""):
		return CacheRef{}, fmt.Errorf("%q: a cache in a registry needs ref=NAME", text)
	case kind == "local" && (r.Dir == "" || r.Ref != ""):
		return CacheRef{}, fmt.Errorf("%q: a local cache needs %s=DIRECTORY", text, directory)
	}
	return r, nil
}
