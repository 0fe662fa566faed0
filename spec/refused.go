package spec

import (
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"compose/internal/ociruntime"
)

// refused lists the fields that a container cannot be given here, each with
// the reason. The files are read again only if there is one.
func refused(p *types.Project, o *cli.ProjectOptions) []Refusal {
	var found []Refusal
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		reasons := RefusedFields(p.Services[name])
		for _, f := range slices.Sorted(maps.Keys(reasons)) {
			found = append(found, Refusal{Service: name, Warning: Warning{Field: "services." + name + "." + f, Message: reasons[f]}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		if d := p.Volumes[name].Driver; d != "" && d != "local" {
			found = append(found, Refusal{Warning: Warning{Field: "volumes." + name + ".driver", Message: "there are no volume drivers but local: " + d + " cannot be used; leave it out, or mount the storage on the host and bind it"}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		reasons := refusedInNetwork(p.Networks[name])
		for _, f := range slices.Sorted(maps.Keys(reasons)) {
			found = append(found, Refusal{Warning: Warning{Field: "networks." + name + "." + f, Message: reasons[f]}})
		}
	}
	if len(found) == 0 {
		return nil
	}
	files, _ := readFiles(o.ConfigPaths) // they were fine a moment ago
	for i := range found {
		w := &found[i].Warning
		w.File, w.Line, w.Column = files.locate(w.Field)
	}
	return found
}

// Refusal is a field that keeps a service (or, without one, every service)
// from being run.
type Refusal struct {
	Warning
	Service string
}

func refusedInNetwork(n types.NetworkConfig) map[string]string {
	out := map[string]string{}
	if n.External {
		return out
	}
	switch n.Driver {
	case "", "bridge", "host", "none", "null", "macvlan":
	case "overlay":
		out["driver"] = "overlay networks join the hosts of a Swarm, and this is one host; use bridge"
	default:
		out["driver"] = "there is no network driver " + n.Driver + "; use bridge, macvlan, host or none"
	}
	if d := n.Ipam.Driver; d != "" && d != "default" {
		out["ipam.driver"] = "there is no address management but the default one: " + d + " cannot be used; leave it out"
	}
	return out
}

// RefusedFields are the fields of a service that no container can be given
// here, by their names in the file, each with the reason.
func RefusedFields(s types.ServiceConfig) map[string]string {
	out := map[string]string{}
	refuse := func(is bool, field, reason string) {
		if is {
			out[field] = reason
		}
	}
	const windows = "this is for Windows containers; leave it out"
	refuse(s.CPUCount != 0, "cpu_count", windows+", cpus limits the processors")
	refuse(s.CPUPercent != 0, "cpu_percent", windows+", cpus limits the processors")
	refuse(s.CredentialSpec != nil, "credential_spec", windows)
	refuse(s.Isolation != "" && s.Isolation != "default", "isolation", windows)
	refuse(s.UseAPISocket, "use_api_socket", "there is no engine with an API socket to hand into the container")
	refuse(len(s.StorageOpt) > 0, "storage_opt", "the overlay storage has no per-container quotas; leave it out")
	refuse(s.VolumeDriver != "" && s.VolumeDriver != "local", "volume_driver", "there are no volume drivers but local")
	if _, err := ociruntime.Find(s.Runtime); err != nil {
		refuse(true, "runtime", err.Error())
	}
	const gpu = "could not select a device driver with capabilities [[gpu]]: hand the devices in with devices"
	refuse(len(s.Gpus) > 0, "gpus", gpu)
	if s.Deploy != nil && s.Deploy.Resources.Reservations != nil {
		cdi := func(d types.DeviceRequest) bool { return d.Driver == "cdi" && len(d.IDs) > 0 }
		others := slices.DeleteFunc(slices.Clone(s.Deploy.Resources.Reservations.Devices), cdi)
		refuse(len(others) > 0, "deploy.resources.reservations.devices", gpu)
	}
	refuse(len(s.Models) > 0, "models", "there is no model runner on this host")
	if s.Logging != nil {
		switch d := s.Logging.Driver; d {
		case "", "json-file", "local", "none", "syslog", "journald":
		default:
			refuse(true, "logging.driver", "there is no logging driver "+d+"; use json-file, local, syslog, journald or none")
		}
	}
	for i, v := range s.Volumes {
		refuse(v.Type == types.VolumeTypeNamedPipe, "volumes["+strconv.Itoa(i)+"].type", windows)
		refuse(v.Type == types.VolumeTypeCluster, "volumes["+strconv.Itoa(i)+"].type", "cluster volumes are Swarm's; use a volume or a bind mount")
	}
	return out
}
