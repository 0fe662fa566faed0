package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/types"
)

// ConfigHash tells one configuration of a service's containers from another.
// What does not change a container (how many there are, what it depends on,
// how its image comes about) does not count.
func ConfigHash(s types.ServiceConfig) string {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain data of the loader: it always has a JSON form
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
