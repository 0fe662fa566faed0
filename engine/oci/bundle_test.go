package oci

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestDecode(t *testing.T) {
	text := `{"ociVersion":"1.0.2","hostname":"box","process":{"args":["a","b"],"user":{"uid":7}},"mounts":[{"destination":"/x"}],
		"hooks":null,"annotations":{"Linux":"x"},"vm":{"image":{"path":"p","format":"raw"}},"unknown":{"linux":1},
		"linux":{"namespaces":[{"type":"pid"}],"resources":{"pids":{"limit":3}},"seccomp":null,"maskedPaths":["/m"],"cgroupsPath":"/c"}}`
	want, have := &specs.Spec{}, &specs.Spec{}
	if err := json.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if err := decode([]byte(text), have); err != nil || !reflect.DeepEqual(have, want) {
		t.Errorf("decode: %v\nhave %+v\nwant %+v", err, have, want)
	}
	for text, want := range map[string]string{
		`{"linux":{"seccomp":[]}}`:     "linux: seccomp: json: cannot unmarshal array",
		`{"Linux":{}}`:                 `"Linux" has to be written "linux"`,
		`{"linux":{"maskedpaths":[]}}`: `"maskedpaths" has to be written "maskedPaths"`,
		`[]`:                           "json: cannot unmarshal array",
		`{"root":{}} x`:                "invalid character",
	} {
		if err := decode([]byte(text), &specs.Spec{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
