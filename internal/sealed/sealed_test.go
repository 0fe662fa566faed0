package sealed

import (
	"os"
	"os/exec"
	"testing"
)

func TestCannotBeWritten(t *testing.T) {
	for name, open := range map[string]func() (*os.File, error){"mount": Exe, "copy": inMemory} {
		f, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if w, err := os.OpenFile(Path(int(f.Fd())), os.O_WRONLY, 0); err == nil {
			// A copy in memory can be opened, but its content is sealed.
			if _, err := w.Write([]byte("x")); err == nil {
				t.Errorf("%s: it can be written", name)
			}
			w.Close()
		}
		run := exec.Command(Path(int(f.Fd())), "-test.list", "^$")
		run.Args[0] = "sealed"
		if out, err := run.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		f.Close()
	}
}
