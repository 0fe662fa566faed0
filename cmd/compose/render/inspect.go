package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/template"
)

// Inspect prints values as `docker inspect` does: without a format as an
// indented JSON array, with "json" one a line, or each by a Go template.
// Templates may use the names of the fields or, where that fails, of the JSON.
func Inspect[T any](w io.Writer, format string, values []T) error {
	switch format {
	case "":
		if values == nil {
			values = []T{}
		}
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "    ")
		if err := enc.Encode(values); err != nil {
			return err
		}
		_, err := out.WriteTo(w)
		return err
	case "json":
		format = "{{json .}}"
	}
	tmpl, err := template.New("").Funcs(functions).Parse(format)
	if err != nil {
		return fmt.Errorf("--format: template parsing error: %w", err)
	}
	for _, v := range values {
		var out bytes.Buffer
		if err := tmpl.Execute(&out, v); err != nil {
			data, jsonErr := json.Marshal(v)
			var raw any
			if jsonErr != nil || json.Unmarshal(data, &raw) != nil {
				return fmt.Errorf("--format: %w", err)
			}
			out.Reset()
			if tmpl.Option("missingkey=error").Execute(&out, raw) != nil {
				return fmt.Errorf("--format: %w", err)
			}
		}
		out.WriteByte('\n')
		if _, err := out.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}
