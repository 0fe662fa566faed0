package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"compose/engine"
	"compose/engine/image"
)

// deliverTo carries out one --output.
func deliverTo(ctx context.Context, app *App, e *engine.Engine, img *image.Image, text string, tags []string) error {
	o := pairs(strings.Split(text, ","))
	if !strings.Contains(text, "=") { // only a place
		if o = map[string]string{"type": "local", "dest": text}; text == "-" {
			o["type"] = "tar"
		}
	}
	dest := o["dest"]
	switch o["type"] {
	case "registry", "image":
		if o["type"] == "image" && o["push"] != "true" {
			return nil // it is here already
		}
		if o["name"] != "" {
			if err := e.Images().Tag(ctx, img.ID, o["name"]); err != nil {
				return err
			}
			tags = append(slices.Clone(tags), o["name"])
		}
		if len(tags) == 0 {
			return errors.New("tag is needed when pushing to registry: name the image with --tag")
		}
		for _, tag := range tags {
			if _, err := e.Images().Push(ctx, tag, image.PushOptions{}); err != nil {
				return err
			}
		}
		return nil
	case "docker":
		if dest != "" {
			return errors.New("--output: type=docker with dest is not supported; use image save")
		}
		return nil // it is here already
	case "local":
		if dest == "" {
			return errors.New("--output: dest is required for local exporter")
		}
		r, w := io.Pipe()
		go func() { w.CloseWithError(e.ExportImage(ctx, img, w)) }()
		return untar(r, dest)
	case "tar":
		return writeTo(app, dest, func(w io.Writer) error { return e.ExportImage(ctx, img, w) })
	}
	return fmt.Errorf("--output: type %q is not supported; use local, tar, docker, image or registry", o["type"])
}

// writeTo writes a file, which is there in whole or not at all; "-" and ""
// are standard output. What is no regular file, such as a pipe or /dev/null,
// is written to as it is.
func writeTo(app *App, path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(app.Stdout)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if err := write(f); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".compose-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// untar writes the files of an archive of our own making below a directory,
// without their owners; a link in it leads nowhere else.
func untar(r io.Reader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := untarOne(root, h, tr); err != nil {
			return fmt.Errorf("write %s: %w", h.Name, err)
		}
	}
}

func untarOne(root *os.Root, h *tar.Header, data io.Reader) error {
	name, mode := filepath.Clean(h.Name), os.FileMode(h.Mode)&0o777
	switch h.Typeflag {
	case tar.TypeDir:
		err := root.Mkdir(name, mode)
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
		return err
	case tar.TypeSymlink:
		_ = root.Remove(name) // it may be new
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		_ = root.Remove(name) // likewise
		return root.Link(filepath.Clean(h.Linkname), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, data); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	}
	return nil // devices are of no use in a directory of the host
}

// writeBuildMetadata writes what was built as buildx does.
func writeBuildMetadata(path string, img *image.Image, tags []string) error {
	data, err := json.MarshalIndent(map[string]any{
		"containerimage.config.digest": img.ID,
		"containerimage.digest":        img.ID,
		"image.name":                   strings.Join(tags, ","),
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
