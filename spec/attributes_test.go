package spec

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// legacy are fields of the loader's types that no file can set any more.
var legacy = []string{"dockerfile", "log_driver", "log_opt", "name", "net", "volume_driver"}

// yamlNames are the keys that a type of the loader's reads, those of the types
// it embeds among them.
func yamlNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(rest, "inline") && f.Anonymous:
			names = append(names, yamlNames(f.Type)...)
		case name != "" && name != "-" && !strings.HasPrefix(name, "#"):
			names = append(names, name)
		}
	}
	return names
}

var code = regexp.MustCompile("`([^`]+)`")

// tableRow is a row of the table in docs/compose-spec.md.
type tableRow struct {
	attributes   []string
	state, shown string
}

func attributeTable(t *testing.T) []tableRow {
	t.Helper()
	data, err := os.ReadFile("../docs/compose-spec.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []tableRow
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		row := tableRow{state: cells[1], shown: cells[2]}
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			row.attributes = append(row.attributes, m[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// TestEveryAttributeIsListed walks the loader's type of a service: no field of
// it may be missing from the table, lest it be ignored in silence.
func TestEveryAttributeIsListed(t *testing.T) {
	states := map[string]string{}
	for _, row := range attributeTable(t) {
		for _, a := range row.attributes {
			if _, twice := states[a]; twice {
				t.Errorf("%s is in the table twice", a)
			}
			states[a] = row.state
		}
	}
	service := yamlNames(reflect.TypeFor[types.ServiceConfig]())
	for _, name := range service {
		if _, listed := states[name]; !listed && !slices.Contains(legacy, name) {
			t.Errorf("docs/compose-spec.md does not say what becomes of services.*.%s", name)
		}
	}
	for name := range states {
		if !slices.Contains(service, name) {
			t.Errorf("docs/compose-spec.md speaks of services.*.%s, which is none of the loader's", name)
		}
	}
	// What an element has below it is named in its row.
	for name, kind := range map[string]reflect.Type{
		"deploy":   reflect.TypeFor[types.DeployConfig](),
		"networks": reflect.TypeFor[types.ServiceNetworkConfig](),
	} {
		for _, field := range yamlNames(kind) {
			if !strings.Contains(states[name], "`"+field) {
				t.Errorf("docs/compose-spec.md does not say what becomes of services.*.%s.%s", name, field)
			}
		}
	}
}

// TestTableNamesTests follows the table to the tests that it names.
func TestTableNamesTests(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the tests of e2e: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(data)
	}
	for _, row := range attributeTable(t) {
		named := code.FindAllStringSubmatch(row.shown, -1)
		if len(named) == 0 {
			t.Errorf("%v: no test is named", row.attributes)
		}
		for _, m := range named {
			name := m[1]
			test, part, isPart := strings.Cut(name, "/")
			var found bool
			switch {
			case !isPart:
				found = strings.Contains(source.String(), "func "+test+"(")
			case test == "" || strings.HasPrefix(test, "Test"): // a case in TestAttributes' table
				found = regexp.MustCompile(`\t"` + part + `": +\{`).MatchString(source.String())
			default:
				_, err := os.Stat("../e2e/scenarios/" + name + ".txtar")
				found = err == nil
			}
			if !found {
				t.Errorf("%v: there is no test %s", row.attributes, name)
			}
		}
	}
}
