package sparsejson

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type word string

type inner struct {
	A string `json:"a,omitempty"`
	B *inner `json:"b,omitempty"`
	C []int  `json:"c"`
}

type embedded struct {
	E map[string]inner `json:"e,omitempty"`
	F *int             `json:"f"`
}

// asText has its form by a method of its own, of the pointer.
type asText struct{ s string }

func (t *asText) MarshalText() ([]byte, error) { return []byte("text:" + t.s), nil }

func (t *asText) UnmarshalText(b []byte) error {
	t.s = strings.TrimPrefix(string(b), "text:")
	return nil
}

type outer struct {
	embedded
	Named inner          `json:"named"`
	List  []inner        `json:"list"`
	Bytes []byte         `json:"bytes"`
	Words []string       `json:"words"`
	Map   map[word]*int8 `json:"map"`
	Odd   map[int]string `json:"odd,omitempty"`
	Small uint8          `json:"small"`
	Never string         `json:"-"`
	//lint:ignore SA5008 encoding/json takes it for a name
	Dash   string          `json:"-,"`
	Plain  string          // by the name of the field
	Time   time.Time       `json:"time,omitzero"`
	Addr   netip.Addr      `json:"addr,omitzero"`
	Text   asText          `json:"text"`
	Raw    json.RawMessage `json:"raw,omitempty"`
	Ptr    **inner         `json:"ptr"`
	Any    any             `json:"any,omitempty"`
	Flag   bool            `json:"flag,omitempty"`
	Number float32         `json:"<number>,omitempty"`
	//lint:ignore U1000 JSON has none of it
	hidden int
}

func examples() []outer {
	seven, deep := 7, &inner{A: "deep", B: &inner{C: []int{}}}
	return []outer{
		{},
		{
			embedded: embedded{E: map[string]inner{"k": {A: `<&> " \ ` + "\u2028"}}, F: &seven},
			Named:    inner{A: "a", B: &inner{B: &inner{}}, C: []int{1, 2}}, Dash: "dash",
			Bytes: []byte("b"), Words: []string{"", "\xff", "ü", "\x7f\n"}, Map: map[word]*int8{"z": nil, "a<": new(int8)}, Odd: map[int]string{2: "x"}, Small: 255, List: []inner{{}, {A: "b"}}, Plain: "}]{[\",: \\",
			Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Addr: netip.MustParseAddr("fd00::1"), Text: asText{"x"},
			Raw: json.RawMessage(`{"x":[1,"}"]}`), Ptr: &deep, Any: []any{"y", 1.5, nil}, Flag: true, Number: 0.25,
		},
	}
}

func TestMarshalIsJSONs(t *testing.T) {
	for _, example := range examples() {
		for _, v := range []any{example, &example, (*outer)(nil), nil, 5, []outer{example}} {
			have, err := Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := json.Marshal(v); err != nil || string(have) != string(want) {
				t.Errorf("have %s\nwant %s (%v)", have, want, err)
			}
		}
	}
}

func TestUnmarshalIsJSONs(t *testing.T) {
	texts := []string{
		`null`, `{}`, "\n{ \"Plain\" :\t\"x\" , \"flag\":true,\"unknown\":[{}]\n}\n", `{"Plain":"a","Plain":"b"}`,
		`{"ptr":{"b":{"a":"x"},"c":null},"f":null,"list":null,"named":null,"time":null}`, `{"\u0050lain":"\"\\","raw": [ 1 , 2 ] }`,
		``, `{`, `[]`, `5`, `{"flag":1}`, `{"named":[]}`, `{"named":{"b":5}}`, `{} x`, `{"Plain":"x"`, `{"addr":"nonsense"}`,
		`{"PLAIN":"x","FLAG":true,"NAMED":{"A":"y"}}`, `{"small":256}`, `{"small":-1}`, `{"small":1.5}`, `{"small":1e1}`, `{"words":["a",null,"\u00fc"]}`, `{"words":[1]}`, `{"words":"x"}`,
		`{"map":{"z":5,"new":-128,"null":null}}`, `{"map":{"z":128}}`, `{"map":[]}`, `{"odd":{"2":"y","3":""}}`, `{"odd":{"x":"y"}}`,
		`{"bytes":"Yg=="}`, `{"bytes":"?"}`, "{\"Plain\":\"\xff\"}", `{"flag":null,"map":null,"small":null,"words":null,"Plain":null}`,
		`{"list":[]}`, `{"list":[ {"a":"x"} ,{"b":{}} ]}`, `{"list":[5]}`, `{"list":{}}`,
	}
	for _, example := range examples() {
		text, err := json.MarshalIndent(example, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		for _, into := range examples() { // what is there stays where the text says nothing
			into.List, into.Words = nil, nil
			have, want := into, into
			errHave, errWant := Unmarshal([]byte(text), &have), json.Unmarshal([]byte(text), &want)
			if (errHave == nil) != (errWant == nil) {
				t.Errorf("%s: %v, want %v", text, errHave, errWant)
			}
			if errWant == nil && !reflect.DeepEqual(have, want) {
				t.Errorf("%s: have %+v\nwant %+v", text, have, want)
			}
		}
	}
}

func TestStringOptionIsRefused(t *testing.T) {
	var v struct {
		N int `json:"n,string"`
	}
	if _, err := Marshal(v); err == nil {
		t.Error("written")
	}
	if err := Unmarshal([]byte(`{"n":"1"}`), &v); err == nil {
		t.Error("read")
	}
}
