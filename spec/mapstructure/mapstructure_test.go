package mapstructure

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type limits struct {
	CPUs  float32 `yaml:"cpus,omitempty"`
	Pids  int64   `yaml:"pids,omitempty"`
	Umask *uint32 `yaml:"umask,omitempty"`
}

type seconds int

func (s *seconds) parse(text string) (err error) {
	_, err = fmt.Sscanf(text, "%ds", s)
	return err
}

type words []string

type service struct {
	Image   string            `yaml:"image,omitempty"`
	Command words             `yaml:"command,omitempty"`
	Init    *bool             `yaml:"init,omitempty"`
	Grace   *seconds          `yaml:"grace,omitempty"`
	Labels  map[string]string `yaml:"labels"`
	Ports   []port            `yaml:"ports"`
	Secret  string            `yaml:"-"`
	limits  `yaml:",inline"`
	Extra   map[string]any `yaml:"#extra,inline"`
}

type port struct {
	Target    uint32 `yaml:"target,omitempty"`
	Published string `yaml:"published,omitempty"`
	Mode      string
	private   string
}

type project struct {
	Services map[string]service  `yaml:"services"`
	Volumes  map[string]*port    `yaml:"volumes"`
	Jobs     []map[string]string `yaml:"jobs"`
}

// hooks are as the loader has them: a type parses texts for itself, a text is
// split, and a number is written as a text.
var hooks = ComposeDecodeHookFunc(
	func(from, to reflect.Value) (any, error) {
		if to.CanAddr() {
			switch p := to.Addr().Interface().(type) {
			case *seconds:
				return *p, p.parse(from.String())
			case *words:
				if text, ok := from.Interface().(string); ok {
					*p = strings.Fields(text)
					return *p, nil
				}
			}
		}
		return from.Interface(), nil
	},
	func(from, to reflect.Type, data any) (any, error) {
		if from.Kind() == reflect.Int && to.Kind() == reflect.String {
			return fmt.Sprint(data), nil
		}
		return data, nil
	},
)

func decodeInto(t *testing.T, data any) (project, error) {
	t.Helper()
	var p project
	d, err := NewDecoder(&DecoderConfig{Result: &p, TagName: "yaml", Squash: true, DecodeHook: hooks, Metadata: &Metadata{}})
	if err != nil {
		t.Fatal(err)
	}
	return p, d.Decode(data)
}

func TestDecode(t *testing.T) {
	type object = map[string]any
	p, err := decodeInto(t, object{
		"services": object{
			"web": object{
				"image": "nginx", "command": "sleep 10", "init": false, "cpus": 2, "pids": 3.0, "umask": 18,
				"labels": object{"a": 1, "b": "c"}, "GRACE": "7s", "unknown": 1, "-": "secret", "private": "x",
				"ports":  []any{object{"target": 80, "published": 8080, "mode": "host"}, nil},
				"#extra": object{"x-any": []any{1}},
			},
			"none": nil,
		},
		"volumes": object{"data": nil, "more": object{}},
		"jobs":    []any{object{"a": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	no, umask, grace := false, uint32(18), seconds(7)
	want := project{
		Services: map[string]service{
			"web": {
				Image: "nginx", Command: words{"sleep", "10"}, Init: &no, Grace: &grace,
				Labels: map[string]string{"a": "1", "b": "c"},
				Ports:  []port{{Target: 80, Published: "8080", Mode: "host"}, {}},
				limits: limits{CPUs: 2, Pids: 3, Umask: &umask},
				Extra:  object{"x-any": []any{1}},
			},
			"none": {},
		},
		Volumes: map[string]*port{"data": nil, "more": {}},
		Jobs:    []map[string]string{{"a": "b"}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("\n%+v, want\n%+v", p, want)
	}
}

// A name that is written exactly goes before one in other letter case.
func TestLetterCase(t *testing.T) {
	var p port
	if err := Decode(map[string]any{"Target": 1, "target": 2, "MODE": "a", "Mode": "b"}, &p); err != nil || p.Target != 1 || p.Mode != "b" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestErrors(t *testing.T) {
	type object = map[string]any
	_, err := decodeInto(t, object{
		"services": object{"web": object{
			"image": true, "grace": "soon", "cpus": "many", "umask": -1, "labels": "a=b",
			"ports": []any{object{"target": object{}}, "80"}, "command": 5,
		}},
		"volumes": []any{},
	})
	want := `decoding failed due to the following error(s):

'services[web].image' expected type 'string', got unconvertible type 'bool'
'services[web].command' source data must be an array or slice, got int
'services[web].grace' expected integer
'services[web].labels' expected type 'map[string]string', got unconvertible type 'string'
'services[web].ports[0].target' expected type 'uint32', got unconvertible type 'map[string]interface {}'
'services[web].ports[1]' expected a map or struct, got "string"
'services[web].cpus' expected type 'float32', got unconvertible type 'string'
'services[web].umask' cannot parse value as 'uint32': -1 overflows uint
'volumes' expected type 'map[string]*mapstructure.port', got unconvertible type '[]interface {}'`
	if err == nil || err.Error() != want {
		t.Errorf("\n%v\nwant\n%s", err, want)
	}
	if _, err := decodeInto(t, []any{}); err == nil || err.Error() != `'' expected a map or struct, got "slice"` {
		t.Errorf("the whole: %v", err)
	}
}

func TestHookError(t *testing.T) {
	broken := errors.New("broken")
	var p port
	d, err := NewDecoder(&DecoderConfig{Result: &p, DecodeHook: func(_, to reflect.Value) (any, error) { return nil, broken }})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(map[string]any{}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := NewDecoder(&DecoderConfig{Result: p}); err == nil {
		t.Error("a result that cannot be set was taken")
	}
	if _, err := NewDecoder(&DecoderConfig{Result: &p, DecodeHook: func() {}}); err == nil {
		t.Error("a hook of no known form was taken")
	}
}

// What is in an interface says which type the data is to have.
func TestDynamic(t *testing.T) {
	var target any = port{}
	if err := Decode(map[string]any{"target": 5}, &target); err != nil || target != (port{Target: 5}) {
		t.Errorf("%+v, %v", target, err)
	}
	target = nil
	if err := Decode(5, &target); err != nil || target != 5 {
		t.Errorf("%+v, %v", target, err)
	}
}

func TestFromStruct(t *testing.T) {
	got := map[string]any{"there": true}
	d, err := NewDecoder(&DecoderConfig{Result: &got, TagName: "yaml"})
	if err != nil {
		t.Fatal(err)
	}
	type volume struct {
		Port  *port
		None  *port    `yaml:"none,omitempty"`
		Limit limits   `yaml:"limit,omitempty"`
		Names []string `yaml:"names"`
	}
	if err := d.Decode(volume{Port: &port{Target: 80, private: "x"}, Limit: limits{Pids: 1}}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"there": true,
		"Port":  map[string]any{"target": uint32(80), "Mode": ""},
		"limit": map[string]any{"pids": int64(1)},
		"names": []string(nil),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var texts map[string]string
	if err := Decode(port{}, &texts); err == nil {
		t.Error("a number was put into a map of texts")
	}
}
