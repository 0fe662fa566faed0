package spec

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// unsupported warns of each field in use that has no effect here yet. The
// files are read again only if there is one.
func unsupported(p *types.Project, o *cli.ProjectOptions) []Warning {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, f := range unsupportedInService(p.Services[name]) {
			found = append(found, "services."+name+"."+f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		n := p.Networks[name]
		for _, f := range used(map[string]bool{
			"driver":      n.Driver != "" && n.Driver != "bridge",
			"enable_ipv4": n.EnableIPv4 != nil && !*n.EnableIPv4,
			"ipam.driver": n.Ipam.Driver != "" && n.Ipam.Driver != "default",
		}) {
			found = append(found, "networks."+name+"."+f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		if d := p.Volumes[name].Driver; d != "" && d != "local" {
			found = append(found, "volumes."+name+".driver")
		}
	}
	if len(p.Models) > 0 {
		found = append(found, "models")
	}
	if len(found) == 0 {
		return nil
	}
	files, _ := readFiles(o.ConfigPaths) // they were fine a moment ago
	warnings := make([]Warning, len(found))
	for i, f := range found {
		w := Warning{Field: f, Message: "this is not supported yet and has no effect"}
		w.File, w.Line, w.Column = files.locate(f)
		warnings[i] = w
	}
	return warnings
}

// used are the names that are true, sorted.
func used(fields map[string]bool) []string {
	var out []string
	for name, set := range fields {
		if set {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func unsupportedInService(s types.ServiceConfig) []string {
	fields := map[string]bool{
		"annotations":        len(s.Annotations) > 0,
		"cpu_count":          s.CPUCount != 0,
		"cpu_percent":        s.CPUPercent != 0,
		"credential_spec":    s.CredentialSpec != nil,
		"develop":            s.Develop != nil,
		"external_links":     len(s.ExternalLinks) > 0,
		"gpus":               len(s.Gpus) > 0,
		"isolation":          s.Isolation != "",
		"models":             len(s.Models) > 0,
		"post_start":         len(s.PostStart) > 0,
		"pre_start":          len(s.PreStart) > 0,
		"pre_stop":           len(s.PreStop) > 0,
		"provider":           s.Provider != nil,
		"pull_refresh_after": s.PullRefreshAfter != "",
		"runtime":            s.Runtime != "" && s.Runtime != "runc",
		"storage_opt":        len(s.StorageOpt) > 0,
		"umask":              s.Umask != nil,
		"use_api_socket":     s.UseAPISocket,
		"volume_driver":      s.VolumeDriver != "" && s.VolumeDriver != "local",
	}
	if s.Logging != nil {
		switch s.Logging.Driver {
		case "", "json-file", "local", "none":
		default:
			fields["logging.driver"] = true
		}
	}
	if b := s.BlkioConfig; b != nil {
		fields["blkio_config.weight_device"] = len(b.WeightDevice) > 0
		fields["blkio_config.device_read_bps"] = len(b.DeviceReadBps) > 0
		fields["blkio_config.device_read_iops"] = len(b.DeviceReadIOps) > 0
		fields["blkio_config.device_write_bps"] = len(b.DeviceWriteBps) > 0
		fields["blkio_config.device_write_iops"] = len(b.DeviceWriteIOps) > 0
	}
	if b := s.Build; b != nil {
		fields["build.cache_from"] = len(b.CacheFrom) > 0
		fields["build.cache_to"] = len(b.CacheTo) > 0
		fields["build.entitlements"] = len(b.Entitlements) > 0
	}
	if d := s.Deploy; d != nil {
		fields["deploy.mode"] = d.Mode != "" && d.Mode != "replicated"
		if r := d.Resources.Reservations; r != nil {
			fields["deploy.resources.reservations.devices"] = len(r.Devices) > 0
		}
	}
	for name, n := range s.Networks {
		if n == nil {
			continue
		}
		fields["networks."+name+".link_local_ips"] = len(n.LinkLocalIPs) > 0
		fields["networks."+name+".driver_opts"] = len(n.DriverOpts) > 0
		fields["networks."+name+".interface_name"] = n.InterfaceName != ""
	}
	for _, link := range s.Links {
		if target, alias, ok := strings.Cut(link, ":"); ok && alias != target {
			fields["links"] = true
		}
	}
	return used(fields)
}
