package spec

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// warned names each field in use that has no effect here, with the reason. The
// files are read again only if there is one.
func warned(p *types.Project, o *cli.ProjectOptions) []Warning {
	var found []Warning
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		reasons := withoutEffect(p.Services[name])
		for _, f := range slices.Sorted(maps.Keys(reasons)) {
			found = append(found, Warning{Field: "services." + name + "." + f, Message: reasons[f]})
		}
	}
	if len(p.Models) > 0 {
		found = append(found, Warning{Field: "models", Message: "there is no model runner on this host; no service can use them"})
	}
	if len(found) == 0 {
		return nil
	}
	files, _ := readFiles(o.ConfigPaths) // they were fine a moment ago
	for i := range found {
		w := &found[i]
		w.File, w.Line, w.Column = files.locate(w.Field)
	}
	return found
}

// withoutEffect are the fields of a service that Docker Compose ignores too:
// they speak of a Swarm.
func withoutEffect(s types.ServiceConfig) map[string]string {
	const swarm = "this is for a Swarm of hosts and has no effect on one"
	out := map[string]string{}
	warn := func(is bool, field string) {
		if is {
			out["deploy."+field] = swarm
		}
	}
	d := s.Deploy
	if d == nil {
		return out
	}
	warn(d.UpdateConfig != nil, "update_config")
	warn(d.RollbackConfig != nil, "rollback_config")
	warn(len(d.Placement.Constraints)+len(d.Placement.Preferences) > 0 || d.Placement.MaxReplicas > 0, "placement")
	warn(d.EndpointMode != "", "endpoint_mode")
	if r := d.RestartPolicy; r != nil {
		warn(r.Delay != nil, "restart_policy.delay")
		warn(r.Window != nil, "restart_policy.window")
	}
	if r := d.Resources.Reservations; r != nil {
		warn(r.NanoCPUs != 0, "resources.reservations.cpus")
		warn(r.Pids != 0, "resources.reservations.pids")
		warn(len(r.GenericResources) > 0, "resources.reservations.generic_resources")
	}
	if l := d.Resources.Limits; l != nil {
		warn(len(l.GenericResources) > 0, "resources.limits.generic_resources")
		warn(len(l.Devices) > 0, "resources.limits.devices")
	}
	return out
}
