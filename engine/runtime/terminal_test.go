package runtime

import (
	"io"
	"os"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func onTerminal(t *testing.T, cfg Config, typed string) string {
	t.Helper()
	cfg.Spec.Process.Terminal = true
	cfg.Spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 111}
	c := running(t, cfg)
	if _, err := c.Console.Write([]byte(typed)); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(c.Console) // EIO at the end of the last process
	return string(text)
}

func TestTerminal(t *testing.T) {
	for _, user := range []string{"", "web"} {
		cfg := sh(t, "tty; stty size; ls -l /dev/console | cut -c1; echo again > /dev/tty; echo $(ls /proc/self/fd); echo got $(cat)")
		cfg.Spec.Process.User.Username = user
		text := onTerminal(t, cfg, "typed\n\x04")
		for _, want := range []string{"/dev/pts/0\r\n", "33 111\r\n", "c\r\n", "again\r\n", "0 1 2 3\r\n", "got typed\r\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("user %q: the terminal does not show %q: %q", user, want, text)
			}
		}
	}
}

// TestTerminalWithInit: below the init the program is in the terminal's
// foreground, may read from it and gets its Ctrl+C.
func TestTerminalWithInit(t *testing.T) {
	cfg := sh(t, "trap 'echo interrupted; exit 5' INT; read x; echo got $x; read y")
	cfg.Init = true
	cfg.Spec.Process.Terminal = true
	c := running(t, cfg)
	if _, err := c.Console.Write([]byte("word\n")); err != nil {
		t.Fatal(err)
	}
	buf, text := make([]byte, 256), ""
	for !strings.Contains(text, "got word") {
		n, err := c.Console.Read(buf)
		if err != nil {
			t.Fatalf("the terminal ended with %v after %q", err, text)
		}
		text += string(buf[:n])
	}
	if _, err := c.Console.Write([]byte("\x03")); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(c.Console)
	if !strings.Contains(string(rest), "interrupted") {
		t.Errorf("after Ctrl+C: %q", rest)
	}
	if status, err := Reap(c.PID); err != nil || status.ExitStatus() != 5 {
		t.Errorf("ended with %d (%v)", status.ExitStatus(), err)
	}
}

func TestExecOnATerminal(t *testing.T) {
	cfg := newConfig(t, "sleep", "1000")
	c := running(t, cfg)
	p := *cfg.Spec.Process
	p.Terminal, p.Args = true, []string{"sh", "-c", "tty; echo typed $(cat)"}
	x, err := Exec(ExecTarget{PID: c.PID, PIDFD: c.PIDFD, CgroupPath: cfg.CgroupPath}, &p, cfg.Spec.Linux.Seccomp, nil, [3]*os.File{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.PIDFD.Close()
	defer x.Console.Close()
	if _, err := x.Console.Write([]byte("word\n\x04")); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(x.Console)
	if _, err := Reap(x.PID); err != nil || !strings.Contains(string(text), "/dev/pts/0\r\n") || !strings.Contains(string(text), "typed word\r\n") {
		t.Errorf("the terminal shows %q (%v)", text, err)
	}
}
