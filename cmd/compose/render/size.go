package render

import "github.com/docker/go-units"

// Size is a number of bytes as Docker writes it: "72.8MB".
func Size(bytes int64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }
