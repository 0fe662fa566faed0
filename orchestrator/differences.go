package orchestrator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/netbridge"
	"compose/spec"
)

const (
	// mostDifferences is how many changes a reason names.
	mostDifferences = 4
	// mostText is how much of a value a reason shows, in bytes.
	mostText = 60
)

// origin is what a container of a service is made of, as far as a change of it
// asks for another container. It is kept with the container, so that a later
// plan can say what changed.
func origin(s types.ServiceConfig) json.RawMessage {
	s.Develop = nil // it is in the hash, but changes no container
	return spec.ContainerConfig(s)
}

// configurationChanged says which attributes of a service a container was
// made with have other values now.
func configurationChanged(c *Container, s types.ServiceConfig) string {
	return reasonOf(differences(decoded(c.Spec.Origin), decoded(origin(s))))
}

// networkChanged says the same of a network.
func networkChanged(have *netbridge.Network, want netbridge.NetworkConfig) string {
	form := func(driver string, internal, attachable, v6, noV4 bool, options map[string]string, subnets []netbridge.Subnet, filled bool) any {
		if driver == "" {
			driver = "bridge"
		}
		var pools []any
		for i, s := range subnets {
			if s.Auto {
				continue
			}
			p := map[string]any{"subnet": s.Prefix.String()}
			// One that was left out has been filled in.
			if s.Gateway.IsValid() && (!filled || i < len(want.Subnets) && want.Subnets[i].Gateway.IsValid()) {
				p["gateway"] = s.Gateway.String()
			}
			if s.Range.IsValid() {
				p["ip_range"] = s.Range.String()
			}
			for name, a := range s.Aux {
				p["aux_addresses."+name] = a.String()
			}
			pools = append(pools, p)
		}
		return map[string]any{
			"driver": driver, "internal": internal, "attachable": attachable, "enable_ipv6": v6, "enable_ipv4": !noV4,
			"driver_opts": options, "ipam.config": pools,
		}
	}
	data := func(v any) any {
		text, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return decoded(text)
	}
	return reasonOf(differences(
		data(form(have.Driver, have.Internal, have.Attachable, have.EnableIPv6, have.NoIPv4, have.Options, have.Subnets, true)),
		data(form(want.Driver, want.Internal, want.Attachable, want.EnableIPv6, want.NoIPv4, want.Options, want.Subnets, false))))
}

// reasonOf joins differences to a reason.
func reasonOf(list []string) string {
	if len(list) == 0 {
		return "its configuration changed"
	}
	if n := len(list); n > mostDifferences {
		list = append(list[:mostDifferences:mostDifferences], fmt.Sprintf("and %d more", n-mostDifferences))
	}
	return strings.Join(list, ", ")
}

func decoded(data []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil // an older version has kept nothing to compare with
	}
	return v
}

// differences lists what is not the same in two values, each by its path.
func differences(before, after any) []string {
	if before == nil {
		return nil
	}
	var out []string
	compare("", before, after, &out)
	return out
}

func compare(path string, before, after any, out *[]string) {
	b, wasMap := before.(map[string]any)
	a, isMap := after.(map[string]any)
	if (wasMap || before == nil) && (isMap || after == nil) {
		keys := map[string]any{}
		maps.Copy(keys, b)
		maps.Copy(keys, a)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			compare(strings.TrimPrefix(path+"."+key, "."), b[key], a[key], out)
		}
		return
	}
	if b, ok := before.([]any); ok {
		if a, ok := after.([]any); ok && len(a) == len(b) && hasObjects(a) {
			for i := range b {
				compare(fmt.Sprintf("%s[%d]", path, i), b[i], a[i], out)
			}
			return
		}
	}
	switch {
	case isNothing(before) && isNothing(after) || reflect.DeepEqual(before, after):
	case isNothing(before):
		*out = append(*out, path+" added "+shown(after))
	case isNothing(after):
		*out = append(*out, path+" removed "+shown(before))
	default:
		*out = append(*out, path+" changed "+shown(before)+" -> "+shown(after))
	}
}

// hasObjects says whether a list is of things with attributes of their own.
func hasObjects(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool { _, ok := v.(map[string]any); return ok })
}

func isNothing(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return (r.Kind() == reflect.Map || r.Kind() == reflect.Slice) && r.Len() == 0
}

// shown is a value in a reason: a word as it is, anything else as JSON.
func shown(v any) string {
	text, isText := v.(string)
	if !isText || text == "" || strings.ContainsAny(text, " \t\n,()") {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if e.Encode(v) == nil {
			text = strings.TrimSpace(b.String())
		}
	}
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "..."
	}
	return text
}
