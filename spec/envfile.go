package spec

import (
	"fmt"
	"io"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/docker/cli/pkg/kvfile"
)

// An env_file of the format "raw" is read as `docker run --env-file` reads it:
// a value is what stands behind the equal sign, to the letter.
func init() {
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
}
