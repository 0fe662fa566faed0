package forward

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// facilities are RFC 5424's, by number.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "security", "console", "solaris-cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

const (
	severityError = 3
	severityInfo  = 6
)

// syslog speaks the syslog protocol: to the host's own socket in its
// traditional form, to others in that of RFC 3164 or RFC 5424.
type syslog struct {
	network, address string
	format           string // "" is the local socket's
	facility         int
	tag              string
	hostname         string
	conn             net.Conn
}

func openSyslog(options map[string]string, tag string) (*syslog, error) {
	s := &syslog{tag: tag, facility: slices.Index(facilities, "daemon"), format: options["syslog-format"]}
	switch s.format {
	case "", "rfc3164", "rfc5424", "rfc5424micro":
	default:
		return nil, fmt.Errorf("invalid syslog-format: %s", s.format)
	}
	if f := options["syslog-facility"]; f != "" {
		s.facility = slices.Index(facilities, f)
		if n, err := strconv.Atoi(f); err == nil && n >= 0 && n < len(facilities) {
			s.facility = n
		}
		if s.facility < 0 {
			return nil, fmt.Errorf("invalid syslog-facility: %s", f)
		}
	}
	var err error
	if s.network, s.address, err = syslogAddress(options["syslog-address"]); err != nil {
		return nil, err
	}
	if s.hostname, err = os.Hostname(); err != nil {
		return nil, err
	}
	return s, s.dial()
}

func syslogAddress(text string) (network, address string, err error) {
	if text == "" {
		return "unixgram", "/dev/log", nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case !ok:
		return "", "", fmt.Errorf("syslog-address should be in form proto://address, got %v", text)
	case scheme == "unix" || scheme == "unixgram":
		return scheme, rest, nil
	case scheme == "udp" || scheme == "tcp":
		if _, _, err := net.SplitHostPort(rest); err != nil {
			rest = net.JoinHostPort(rest, "514")
		}
		return scheme, rest, nil
	}
	return "", "", fmt.Errorf("syslog-address: %s is not supported; use udp, tcp, unix or unixgram", scheme)
}

func (s *syslog) dial() error {
	c, err := net.DialTimeout(s.network, s.address, 5*time.Second)
	if err != nil {
		return err
	}
	s.conn = c
	return nil
}

func (s *syslog) send(stream string, line []byte) error {
	severity := severityInfo
	if stream == "stderr" {
		severity = severityError
	}
	message := s.message(s.facility*8+severity, time.Now(), line)
	if s.conn != nil {
		if _, err := s.conn.Write(message); err == nil {
			return nil
		}
		s.conn.Close()
		s.conn = nil
	}
	// The service may have been started anew.
	if err := s.dial(); err != nil {
		return err
	}
	_, err := s.conn.Write(message)
	return err
}

func (s *syslog) message(priority int, at time.Time, line []byte) []byte {
	var head string
	pid := os.Getpid()
	switch s.format {
	case "rfc5424", "rfc5424micro":
		stamp := time.RFC3339
		if s.format == "rfc5424micro" {
			stamp = "2006-01-02T15:04:05.000000Z07:00"
		}
		head = fmt.Sprintf("<%d>1 %s %s %s %d %s - ", priority, at.Format(stamp), s.hostname, s.tag, pid, s.tag)
	case "rfc3164":
		head = fmt.Sprintf("<%d>%s %s %s[%d]: ", priority, at.Format(time.Stamp), s.hostname, s.tag, pid)
	default:
		head = fmt.Sprintf("<%d>%s %s[%d]: ", priority, at.Format(time.Stamp), s.tag, pid)
	}
	message := append([]byte(head), line...)
	if s.network == "tcp" || s.network == "unix" {
		message = append(message, '\n')
	}
	return message
}

func (s *syslog) close() {
	if s.conn != nil {
		s.conn.Close()
	}
}
