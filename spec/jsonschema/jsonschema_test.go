package jsonschema

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

func compile(t *testing.T, schema string) *Schema {
	t.Helper()
	document, err := UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := NewCompiler()
	if err := c.AddResource("test", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leaves lists the failures that have no causes, with where they are.
func leaves(e *ValidationError) []string {
	if len(e.Causes) == 0 {
		words := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		return []string{strings.TrimSpace(strings.Join(e.InstanceLocation, ".") + " " + words)}
	}
	var all []string
	for _, c := range e.Causes {
		all = append(all, leaves(c)...)
	}
	return all
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ schema, data, want string }{
		{`{"type": "string"}`, `"x"`, ""},
		{`{"type": "string"}`, `1`, "got number, want string"},
		{`{"type": ["string", "null"]}`, `null`, ""},
		{`{"type": ["string", "null"]}`, `true`, "got boolean, want string or null"},
		{`{"type": "integer"}`, `3`, ""},
		{`{"type": "integer"}`, `3.5`, "got number, want integer"},
		{`{"type": "number"}`, `3.5`, ""},
		{`{"type": "array"}`, `{}`, "got object, want array"},
		{`{"enum": ["a", 1, null]}`, `1`, ""},
		{`{"enum": ["a", 1]}`, `"b"`, "value must be one of 'a', 1"},
		{`{"enum": ["it's"]}`, `"b"`, `value must be 'it\'s'`},
		{`{"pattern": "^a+$"}`, `"aa"`, ""},
		{`{"pattern": "^a+$"}`, `"ab"`, "'ab' does not match pattern '^a+$'"},
		{`{"minimum": 2, "maximum": 3.5}`, `3.5`, ""},
		{`{"minimum": 2}`, `1`, "minimum: got 1, want 2"},
		{`{"maximum": 2}`, `2.5`, "maximum: got 2.5, want 2"},
		{`{"minimum": 2}`, `"1"`, ""},
		{`{"required": ["a", "b"]}`, `{"a": 1}`, "missing property 'b'"},
		{`{"required": ["a", "b"]}`, `{}`, "missing properties 'a', 'b'"},
		{`{"uniqueItems": true}`, `["a", 1, {"a": [1]}, "1"]`, ""},
		{`{"uniqueItems": true}`, `["a", "b", "a"]`, "items at 0 and 2 are equal"},
		{`{"uniqueItems": true}`, `[1, {"a": [1]}, {"a": [1]}]`, "items at 1 and 2 are equal"},
		{`{"items": {"type": "string"}}`, `["a", 1, 2]`, "1 got number, want string; 2 got number, want string"},
		{`{"items": {"items": false}}`, `[[], [1]]`, "1.0 false schema"},
		{`{"properties": {"a": {"type": "string"}}}`, `{"a": 1, "b": 2}`, "a got number, want string"},
		{`{"properties": {"a": true}, "additionalProperties": false}`, `{"c": 1, "a": 1, "b": 2}`, "additional properties 'b', 'c' not allowed"},
		{`{"patternProperties": {"^x-": {}}, "additionalProperties": {"type": "string"}}`, `{"x-a": 1, "b": 2}`, "b got number, want string"},
		{`{"patternProperties": {"a": {"type": "string"}}, "additionalProperties": false}`, `{"ab": 1}`, "ab got number, want string"},
		{`{"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}`, `1`, "got number, want string"},
		{`{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}}`, `1`, "got number, want string"},
		{`{"properties": {"a": {"$ref": "#"}}, "additionalProperties": false}`, `{"a": {"a": {"b": 1}}}`, "a.a additional properties 'b' not allowed"},
		{`{"allOf": [{"type": "string"}, {"pattern": "a"}]}`, `"b"`, "'b' does not match pattern 'a'"},
		{`{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `null`, ""},
		{`{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `1`, "got number, want string; got number, want null"},
		{`{"oneOf": [{"type": "string"}, {"type": "number"}]}`, `1`, ""},
		{`{"oneOf": [{"type": "integer"}, {"type": "null"}, {"type": "number"}]}`, `1`, "oneOf failed, subschemas 0, 2 matched"},
		{`{"oneOf": [{"type": "string"}, {"type": "null"}]}`, `1`, "got number, want string; got number, want null"},
		{`{"type": "object", "required": ["a"], "properties": {"b": false}}`, `{"b": 1}`, "missing property 'a'; b false schema"},
		// What another schema for the same object speaks for is evaluated.
		{`{"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}`, `{"a": 1, "b": 1}`, ""},
		{`{"allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}`, `{"a": 1, "c": 1}`, "c false schema"},
		{`{"allOf": [{"$ref": "#/$defs/d"}], "unevaluatedProperties": false, "$defs": {"d": {"patternProperties": {"^x-": {}}}}}`, `{"x-a": 1}`, ""},
		{`{"oneOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {}}, "required": ["b"]}], "unevaluatedProperties": false}`, `{"a": "x"}`, ""},
		{`{"anyOf": [{"properties": {"a": {"type": "string"}}}, {"type": "object"}], "unevaluatedProperties": {"type": "null"}}`, `{"a": 1}`, "a got number, want null"},
		{`{"properties": {"n": {"unevaluatedProperties": false}}}`, `{"n": {"a": 1}}`, "n.a false schema"},
		// As it stands in a schema: white space, escapes, and what is no keyword.
		{"{ \"title\" : \"a \\\" } ] \" ,\n\t\"default\" : [ { } , -1.5e3 ] , \"type\":\"string\"\r\n}", `1`, "got number, want string"},
		{`{"format": "duration"}`, `"never"`, ""},
	} {
		var data any
		if err := json.Unmarshal([]byte(c.data), &data); err != nil {
			t.Fatal(err)
		}
		s := compile(t, c.schema)
		for range 2 { // what was read the first time is used the second
			err := s.Validate(data)
			got := ""
			var failure *ValidationError
			if errors.As(err, &failure) {
				got = strings.Join(leaves(failure), "; ")
			} else if err != nil {
				t.Errorf("%s: %v", c.schema, err)
			}
			if got != c.want {
				t.Errorf("%s with %s: %q, want %q", c.schema, c.data, got, c.want)
			}
		}
		if err := s.Check(); err != nil {
			t.Errorf("check %s: %v", c.schema, err)
		}
	}
}

// TestRefuse has schemas that say what this package does not know: what they
// ask for may not go unchecked.
func TestRefuse(t *testing.T) {
	for schema, want := range map[string]string{
		`{"minLength": 2}`:                               `the keyword "minLength" is not supported`,
		`{"items": {"not": {}}}`:                         `the keyword "not" is not supported`,
		`{"$ref": "other.json"}`:                         "leads out of the document",
		`{"$ref": "#/$defs/none", "$defs": {"some":{}}}`: "leads to nothing",
		`{"pattern": "("}`:                               "missing closing",
		`{"type": "string"`:                              "not JSON",
		`{"type" "string"}`:                              "not JSON",
		`{"type": "string" "x": 1}`:                      "not JSON",
		`{"items": {"type": }}`:                          "not JSON",
	} {
		s := compile(t, schema)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check %s: %v, want %s", schema, err, want)
		}
		err := s.Validate([]any{"x"})
		if failure := (*ValidationError)(nil); err == nil || errors.As(err, &failure) || !strings.Contains(err.Error(), want) {
			t.Errorf("validate with %s: %v, want %s", schema, err, want)
		}
	}
	c := NewCompiler()
	if err := c.AddResource("x", map[string]any{}); err == nil {
		t.Error("a document of another kind is taken")
	}
	if _, err := c.Compile("x"); err == nil {
		t.Error("a document that is not there is compiled")
	}
}

// TestContent: a schema that is a string, as compose-go's is, is not copied to
// be read, nor passed over again for each value in it.
func TestContent(t *testing.T) {
	schema := `{"properties": {"a": {"properties": {"b": {"type": "string", "title": "} \" ]"}}}}, "x": [` + strings.Repeat(`{"a": [{}]}, `, 9000) + `1]}`
	if n := testing.AllocsPerRun(1, func() {
		var all content
		if _, err := all.WriteString(schema); err != nil || string(all) != schema {
			t.Error("it is not the string")
		}
	}); n > 1 {
		t.Errorf("%v allocations to take a string", n)
	}
	d := newDocument(schema)
	parts, err := d.whole().members()
	if err != nil || len(parts) != 2 || !strings.HasSuffix(parts["x"].String(), " 1]") || parts["properties"].String() != schema[15:strings.Index(schema, `, "x"`)] {
		t.Errorf("%v, %d parts", err, len(parts))
	}
	if len(d.spans) != 6+3*9000 || d.spans[0].to != len(schema) {
		t.Errorf("%d objects and arrays, of which the first ends at %d", len(d.spans), d.spans[0].to)
	}
}
