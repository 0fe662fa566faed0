package forward

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
)

// journalSocket is where systemd's journal listens for its native protocol.
const journalSocket = "/run/systemd/journal/socket"

// journal sends entries to systemd's journal, with Docker's fields.
type journal struct {
	path   string
	conn   *net.UnixConn
	fields []byte
}

func openJournal(path string, options map[string]string, c Container, tag string) (*journal, error) {
	j := &journal{path: path}
	var b bytes.Buffer
	for _, f := range []struct{ name, value string }{
		{"CONTAINER_ID", c.ID[:min(12, len(c.ID))]},
		{"CONTAINER_ID_FULL", c.ID},
		{"CONTAINER_NAME", c.Name},
		{"CONTAINER_TAG", tag},
		{"IMAGE_NAME", c.ImageName},
		{"SYSLOG_IDENTIFIER", tag},
	} {
		field(&b, f.name, []byte(f.value))
	}
	for _, key := range list(options["labels"]) {
		if v, ok := c.Labels[key]; ok {
			field(&b, fieldName(key), []byte(v))
		}
	}
	for _, key := range list(options["env"]) {
		for _, e := range c.Env {
			if k, v, _ := strings.Cut(e, "="); k == key {
				field(&b, fieldName(key), []byte(v))
			}
		}
	}
	j.fields = b.Bytes()
	return j, j.dial()
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// fieldName makes a name that the journal accepts.
func fieldName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	return strings.TrimLeft(name, "_")
}

// field writes one field; a value with a line break has its length in front.
func field(b *bytes.Buffer, name string, value []byte) {
	if name == "" {
		return
	}
	b.WriteString(name)
	if bytes.IndexByte(value, '\n') < 0 {
		b.WriteByte('=')
	} else {
		b.WriteByte('\n')
		_ = binary.Write(b, binary.LittleEndian, uint64(len(value))) // a buffer takes everything
	}
	b.Write(value)
	b.WriteByte('\n')
}

func (j *journal) dial() error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("journald is not enabled on this host: %w", err)
	}
	j.conn = c
	return nil
}

func (j *journal) send(stream string, line []byte) error {
	priority := "6"
	if stream == "stderr" {
		priority = "3"
	}
	var b bytes.Buffer
	field(&b, "MESSAGE", line)
	field(&b, "PRIORITY", []byte(priority))
	b.Write(j.fields)
	if j.conn != nil {
		if _, err := j.conn.Write(b.Bytes()); err == nil {
			return nil
		}
		j.conn.Close()
		j.conn = nil
	}
	if err := j.dial(); err != nil { // it may have been started anew
		return err
	}
	_, err := j.conn.Write(b.Bytes())
	return err
}

func (j *journal) close() {
	if j.conn != nil {
		j.conn.Close()
	}
}
