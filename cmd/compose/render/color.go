package render

import "fmt"

// The colours of terminals, as ANSI parameters.
const (
	red    = "31;1"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

func paint(color, s string) string {
	if color == "" {
		return s
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", color, s)
}

// watchColor is the colour of what is said of watched files.
const watchColor = "92"

// rainbow is the order in which logs take their colours.
var rainbow = []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}
