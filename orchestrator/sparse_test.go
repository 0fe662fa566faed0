package orchestrator

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/internal/sparsejson"
	"compose/netbridge"
)

// fill sets all that is below v and can be set, to a certain depth.
func fill(v reflect.Value, depth int) {
	if depth == 0 || !v.CanSet() || v.Type() == reflect.TypeFor[types.SSHConfig]() { // which has no JSON form
		return
	}
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes([]byte(`{"a":["<"]}`))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(0.7)
	case reflect.String:
		v.SetString("<seven>")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth-1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth-1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth-1)
		fill(value, depth-1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth-1)
		}
	}
}

// TestSparseJSONOfRecords: what is hashed and what is on disk is what
// encoding/json makes of it, whichever fields are set.
func TestSparseJSONOfRecords(t *testing.T) {
	for _, zero := range []any{
		types.ServiceConfig{}, types.NetworkConfig{}, types.VolumeConfig{}, engine.Container{}, engine.State{}, netbridge.Network{},
	} {
		for depth := range 10 {
			record := reflect.New(reflect.TypeOf(zero))
			fill(record.Elem(), depth)
			for _, v := range []any{record.Interface(), record.Elem().Interface()} {
				want, err := json.Marshal(v)
				if err != nil {
					t.Fatalf("%T: %v", zero, err)
				}
				have, err := sparsejson.Marshal(v)
				if err != nil || string(have) != string(want) {
					t.Fatalf("%T: %v, have %s\nwant %s", zero, err, have, want)
				}
			}
			text, _ := json.Marshal(record.Interface())
			have, want := reflect.New(record.Type().Elem()), reflect.New(record.Type().Elem())
			if err := json.Unmarshal(text, want.Interface()); err != nil {
				continue // it is written only
			}
			if err := sparsejson.Unmarshal(text, have.Interface()); err != nil || !reflect.DeepEqual(have.Interface(), want.Interface()) {
				t.Fatalf("%T from %s: %v, have %+v\nwant %+v", zero, text, err, have, want)
			}
		}
	}
}
