package render

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// pieces are what was written, one by one.
type pieces []string

func (p *pieces) Write(data []byte) (int, error) {
	*p = append(*p, string(data))
	return len(data), nil
}

// TestRowsTogether writes a table in one piece, and what there is of one whose
// last row fails.
func TestRowsTogether(t *testing.T) {
	rows := make([]*ContainerRow, 9)
	for i := range rows {
		rows[i] = &ContainerRow{Name: fmt.Sprint("web-", i), Service: "web"}
	}
	for _, format := range []string{"", "json", "{{.Name}} {{.Service}}"} {
		var written pieces
		if err := Containers(&written, format, rows); err != nil || len(written) != 1 || !strings.Contains(written[0], "web-8") {
			t.Errorf("%q: %q, %v", format, written, err)
		}
	}
	var written pieces
	err := Containers(&written, `{{.Name}}{{if eq .Name "web-8"}}{{index .Networks 9}}{{end}}`, rows)
	if err == nil || !strings.Contains(strings.Join(written, ""), "web-7") {
		t.Errorf("%q, %v", written, err)
	}
	if err := Containers(full{}, "", rows); !errors.Is(err, errFull) {
		t.Errorf("onto a full disk: %v", err)
	}
}

var errFull = errors.New("no room")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
