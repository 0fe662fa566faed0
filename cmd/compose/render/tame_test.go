package render

import "testing"

// TestAttackTerminalEscapes: what a container writes to its log must not act on
// the terminal of the one who reads it.
func TestAttackTerminalEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext, süß ✓\n":                           "plain\ttext, süß ✓\n",
		"\x1b[1;31mred\x1b[0m\n":                         "\x1b[1;31mred\x1b[0m\x1b[0m\n",
		"\x1b[38:5:1mopen\n":                             "\x1b[38:5:1mopen\x1b[0m\n",
		"\x1b[2J\x1b[Hgone\n":                            "^[[2J^[[Hgone\n",
		"\x1b]0;title\x07\n":                             "^[]0;title^G\n",
		"\x1b]52;c;ZXZpbA==\x07":                         "^[]52;c;ZXZpbA==^G",
		"\x1b[6n\x1b[c\x1bP+q\x1b\\\n":                   "^[[6n^[[c^[P+q^[\\\n",
		"real\rfake-1  | trust me\n":                     "real^Mfake-1  | trust me\n",
		"of a terminal\r\n":                              "of a terminal\r\n",
		"back\b\b\b\b\x7f\x00\n":                         "back^H^H^H^H^?^@\n",
		"\u009b2J\u009d0;x\u009c\n":                      "\ufffd2J\ufffd0;x\ufffd\n",
		"not UTF-8: \xff\xfe\n":                          "not UTF-8: \ufffd\ufffd\n",
		"\x1b[" + "1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m\n": "^[[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m\n",
		"\x1b[31": "^[[31",
	} {
		if got := Tame(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
