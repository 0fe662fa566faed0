package render

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// Columns are the titles of a table's columns by the name of the field.
type Columns map[string]string

// containerColumns are the titles of `ps`.
var containerColumns = Columns{
	"ID": "CONTAINER ID", "Name": "NAME", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND",
	"Service": "SERVICE", "RunningFor": "CREATED", "CreatedAt": "CREATED AT", "Status": "STATUS",
	"State": "STATE", "Ports": "PORTS", "Project": "PROJECT", "Health": "HEALTH", "ExitCode": "EXIT CODE",
	"Labels": "LABELS", "Mounts": "MOUNTS", "Networks": "NETWORKS", "LocalVolumes": "LOCAL VOLUMES", "Size": "SIZE",
}

const containerTable = "table {{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}"

// Containers prints the rows of `ps` as --format asks: "" or "table", "json",
// "table TEMPLATE" or TEMPLATE.
func Containers(w io.Writer, format string, rows []*ContainerRow) error {
	if format == "" || format == "table" {
		format = containerTable
	}
	return Rows(w, format, containerColumns, rows)
}

// Rows prints values by a format: "json" is an object a line, a template with
// "table " before it aligns its columns below their titles.
func Rows[T any](w io.Writer, format string, columns Columns, rows []T) error {
	// What aligns the columns writes each cell, and its padding, on its own.
	together := bufio.NewWriter(w)
	err := writeRows(together, format, columns, rows)
	return cmp.Or(err, together.Flush())
}

func writeRows[T any](w io.Writer, format string, columns Columns, rows []T) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	text, isTable := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	tmpl, err := template.New("").Funcs(functions).Parse(text)
	if err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	out := w
	if isTable {
		tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
		defer tw.Flush()
		out = tw
		if err := tmpl.Execute(out, header(columns)); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		fmt.Fprintln(out)
	}
	for _, r := range rows {
		if err := tmpl.Execute(out, r); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		fmt.Fprintln(out)
	}
	return nil
}

// JSONArray prints values as one JSON array.
func JSONArray[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	return json.NewEncoder(w).Encode(rows)
}

// header is what a template finds in the place of a row for the first line.
type header map[string]string

// Label is the title of a column made by {{.Label "name"}}.
func (header) Label(name string) string { return strings.ToUpper(name) }

var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		var out strings.Builder
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSuffix(out.String(), "\n"), err
	},
	"join":  strings.Join,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"split": strings.Split,
	"title": func(s string) string {
		if s == "" {
			return s
		}
		return strings.ToUpper(s[:1]) + s[1:]
	},
	"truncate": func(s string, n int) string { return ellipsis(s, max(n, 1)) },
	"pad": func(s string, before, after int) string {
		return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
	},
	"println": fmt.Sprintln,
}
