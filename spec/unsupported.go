package spec

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// unsupportedFields are the attributes of a service that are understood but
// not carried out yet. Each says whether a service uses it. An attribute that
// becomes supported is taken off this list.
var unsupportedFields = map[string]func(types.ServiceConfig) bool{
	"credential_spec": func(s types.ServiceConfig) bool { return s.CredentialSpec != nil },
	"develop":         func(s types.ServiceConfig) bool { return s.Develop != nil },
	"external_links":  func(s types.ServiceConfig) bool { return len(s.ExternalLinks) > 0 },
	"gpus":            func(s types.ServiceConfig) bool { return len(s.Gpus) > 0 },
	"links":           func(s types.ServiceConfig) bool { return len(s.Links) > 0 },
	"models":          func(s types.ServiceConfig) bool { return len(s.Models) > 0 },
	"post_start":      func(s types.ServiceConfig) bool { return len(s.PostStart) > 0 },
	"pre_stop":        func(s types.ServiceConfig) bool { return len(s.PreStop) > 0 },
	"provider":        func(s types.ServiceConfig) bool { return s.Provider != nil },
	"runtime":         func(s types.ServiceConfig) bool { return s.Runtime != "" },
	"storage_opt":     func(s types.ServiceConfig) bool { return len(s.StorageOpt) > 0 },
	"use_api_socket":  func(s types.ServiceConfig) bool { return s.UseAPISocket },
	"build.cache_from": func(s types.ServiceConfig) bool {
		return s.Build != nil && len(s.Build.CacheFrom) > 0
	},
	"build.cache_to": func(s types.ServiceConfig) bool { return s.Build != nil && len(s.Build.CacheTo) > 0 },
	"build.entitlements": func(s types.ServiceConfig) bool {
		return s.Build != nil && len(s.Build.Entitlements) > 0
	},
	"deploy.update_config": func(s types.ServiceConfig) bool { return s.Deploy != nil && s.Deploy.UpdateConfig != nil },
}

// unsupported warns of each such attribute that a service uses.
func unsupported(p *types.Project, files []string) []Warning {
	var list []Warning
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, field := range slices.Sorted(maps.Keys(unsupportedFields)) {
			if !unsupportedFields[field](p.Services[name]) {
				continue
			}
			e := &FileError{Field: "services." + name + "." + field, Message: "not supported yet, ignored"}
			e.at(files, splitField(e.Field))
			list = append(list, Warning{File: e.File, Line: e.Line, Column: e.Column, Field: e.Field, Message: e.Error()})
		}
	}
	return list
}
