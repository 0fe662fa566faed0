package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"compose/engine/build"
)

// maxStdinDockerfile bounds a Dockerfile that is read from standard input, in
// bytes.
const maxStdinDockerfile = 4 << 20

func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxStdinDockerfile+1))
	if err == nil && len(data) > maxStdinDockerfile {
		err = errors.New("the Dockerfile on standard input is too long")
	}
	return data, err
}

// contextFromStdin takes an archive from standard input as the context, or a
// Dockerfile without one.
func (f *buildFlags) contextFromStdin(app *App, dir string) error {
	in := bufio.NewReaderSize(app.Stdin, 1024)
	head, _ := in.Peek(512) // what is shorter is no archive
	if len(head) == 0 {
		return errors.New("failed to read from standard input: nothing is there")
	}
	f.Context = filepath.Join(dir, "context")
	if err := os.Mkdir(f.Context, 0o755); err != nil {
		return err
	}
	if !build.IsArchive(head) {
		text, err := readLimited(in)
		f.Inline = text
		return err
	}
	file, err := os.Create(filepath.Join(dir, "archive"))
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, in); err != nil {
		return fmt.Errorf("read the context from standard input: %w", err)
	}
	f.ContextArchive = file.Name()
	return file.Close()
}
