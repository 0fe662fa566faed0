package forward

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var origin = Container{
	ID: strings.Repeat("ab", 32), Name: "shop-web-1", ImageID: "sha256:" + strings.Repeat("cd", 32), ImageName: "nginx",
	Labels: map[string]string{"org.tier": "gold"}, Env: []string{"STAGE=test", "OTHER=x"},
}

func listen(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return path, func() string {
		t.Helper()
		buf := make([]byte, 64<<10)
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestSyslog(t *testing.T) {
	for format, want := range map[string]string{
		"":             `^<30>\w{3} [ \d]\d \d\d:\d\d:\d\d web/abababababab\[\d+\]: hello world$`,
		"rfc3164":      `^<30>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ web/abababababab\[\d+\]: hello world$`,
		"rfc5424":      `^<30>1 \d{4}-\d\d-\d\dT\S+ \S+ web/abababababab \d+ web/abababababab - hello world$`,
		"rfc5424micro": `^<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\S+ \S+ web/abababababab \d+ web/abababababab - hello world$`,
	} {
		path, next := listen(t)
		f, err := Open("syslog", map[string]string{"syslog-address": "unixgram://" + path, "syslog-format": format, "tag": "web/{{.ID}}"}, origin, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		f.Write("stdout", []byte("hello "))
		f.Write("stderr", []byte("oops\r\n\nrest"))
		f.Write("stdout", []byte("world\n"))
		if got := next(); !strings.HasPrefix(got, "<27>") || !strings.HasSuffix(got, "oops") {
			t.Errorf("%s: stderr: %q", format, got)
		}
		if got := next(); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q, want %s", format, got, want)
		}
		f.Close()
		if got := next(); !strings.HasSuffix(got, "rest") {
			t.Errorf("%s: the line that had not ended: %q", format, got)
		}
	}
	for _, options := range []map[string]string{
		{"syslog-address": "/dev/log"},
		{"syslog-address": "tcp+tls://x"},
		{"syslog-format": "x"},
		{"syslog-facility": "x"},
		{"tag": "{{"},
		{"syslog-address": "unixgram:///nowhere"},
	} {
		if _, err := Open("syslog", options, origin, nil); err == nil {
			t.Errorf("%v: no error", options)
		}
	}
}

func TestJournal(t *testing.T) {
	path, next := listen(t)
	s, err := openJournal(path, map[string]string{"labels": "org.tier,none", "env": "STAGE"}, origin, "tag")
	if err != nil {
		t.Fatal(err)
	}
	f := &Forward{service: s, warn: func(err error) { t.Error(err) }, rest: map[string][]byte{}}
	f.Write("stderr", []byte("oh no\n"))
	want := "MESSAGE=oh no\nPRIORITY=3\nCONTAINER_ID=abababababab\nCONTAINER_ID_FULL=" + origin.ID +
		"\nCONTAINER_NAME=shop-web-1\nCONTAINER_TAG=tag\nIMAGE_NAME=nginx\nSYSLOG_IDENTIFIER=tag\nORG_TIER=gold\nSTAGE=test\n"
	if got := next(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f.Close()
	if _, err := openJournal("/nowhere", nil, origin, ""); err == nil {
		t.Error("no error without a journal")
	}
}
