package orchestrator

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/internal/sparsejson"
)

// networkHash tells one configuration of a network from another.
func networkHash(n types.NetworkConfig) string {
	n.CustomLabels = nil
	return hash(n)
}

// volumeHash tells one configuration of a volume from another.
func volumeHash(v types.VolumeConfig) string {
	v.CustomLabels = nil
	if v.Driver == "" {
		v.Driver = "local"
	}
	return hash(v)
}

func hash(v any) string {
	data, err := sparsejson.Marshal(v)
	if err != nil {
		panic(err) // plain data of ours: it always has a JSON form
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
