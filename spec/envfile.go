package spec

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/docker/cli/pkg/kvfile"

	"compose/internal/lateinit"
)

// Begin has what reads Compose files ready. It is called before anything of
// compose-go is used: by what is here, and by others for themselves.
var Begin = sync.OnceFunc(func() {
	lateinit.Open(lateinit.Files)
	// An env_file of the format "raw" is read as `docker run --env-file` reads it:
	// a value is what stands behind the equal sign, to the letter.
	dotenv.RegisterFormat("raw", func(r io.Reader, file string, vars map[string]string, lookup func(string) (string, bool)) error {
		lines, err := kvfile.ParseFromReader(r, lookup)
		if err != nil {
			return fmt.Errorf("env_file %s: %w", file, err)
		}
		for _, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			vars[key] = value
		}
		return nil
	})
})
