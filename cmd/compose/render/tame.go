package render

import (
	"strings"
	"unicode/utf8"
)

// Tame makes the line of a container fit for a terminal: colours and the like
// are kept, and ended with the line, but what would move the cursor, change
// the title, answer in the user's place or hide other lines is shown as text.
// The log itself, and output that goes elsewhere, have it as it was written.
func Tame(line string) string {
	if !wild(line) {
		return line
	}
	var out strings.Builder
	body, end := strings.TrimSuffix(line, "\n"), ""
	if len(body) < len(line) {
		end = "\n"
	}
	if b, ok := strings.CutSuffix(body, "\r"); ok { // of a container's own terminal
		body, end = b, "\r"+end
	}
	painted := false
	for len(body) > 0 {
		if n := colour(body); n > 0 {
			out.WriteString(body[:n])
			body, painted = body[n:], true
			continue
		}
		r, n := utf8.DecodeRuneInString(body)
		switch {
		case r == '\t' || r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) && (r != utf8.RuneError || n > 1):
			out.WriteString(body[:n])
		case n == 1 && r < 0x80:
			out.WriteByte('^')
			out.WriteByte(body[0] ^ 0x40)
		default:
			out.WriteRune(utf8.RuneError)
		}
		body = body[n:]
	}
	if painted {
		out.WriteString("\x1b[0m")
	}
	return out.String() + end
}

// wild says whether there is anything but text in the line.
func wild(line string) bool {
	for i := 0; i < len(line); i++ {
		if c := line[i]; c < 0x20 && c != '\t' && c != '\n' || c >= 0x7f && c < 0xa0 {
			return true
		}
	}
	return !utf8.ValidString(line)
}

// colour is the length of the sequence "select graphic rendition" that s
// begins with, or 0.
func colour(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s) && i < 32; i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}
