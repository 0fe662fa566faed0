// Package changes changes an image's configuration as instructions of a
// Dockerfile would.
package changes

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"compose/internal/lateinit"
)

// Apply carries out the Dockerfile instructions that touch nothing but
// the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER,
// VOLUME and WORKDIR.
func Apply(config *ocispec.Image, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	lateinit.Run(lateinit.Builds)
	for _, line := range lines {
		parsed, err := parser.Parse(bytes.NewReader([]byte(line)))
		if err != nil {
			return fmt.Errorf("change %q: %w", line, err)
		}
		for _, node := range parsed.AST.Children {
			command, err := instructions.ParseCommand(node)
			if err != nil {
				return fmt.Errorf("change %q: %w", line, err)
			}
			if err := apply(&config.Config, command); err != nil {
				return fmt.Errorf("change %q: %w", line, err)
			}
		}
	}
	return nil
}

func apply(c *ocispec.ImageConfig, command instructions.Command) error {
	shell := func(l instructions.ShellDependantCmdLine) []string {
		if l.PrependShell {
			return []string{"/bin/sh", "-c", strings.Join(l.CmdLine, " ")}
		}
		return l.CmdLine
	}
	switch cmd := command.(type) {
	case *instructions.CmdCommand:
		c.Cmd = shell(cmd.ShellDependantCmdLine)
	case *instructions.EntrypointCommand:
		c.Entrypoint = shell(cmd.ShellDependantCmdLine)
	case *instructions.EnvCommand:
		for _, kv := range cmd.Env {
			c.Env = append(c.Env, kv.Key+"="+kv.Value)
		}
	case *instructions.ExposeCommand:
		for _, p := range cmd.Ports {
			if !strings.Contains(p, "/") {
				p += "/tcp"
			}
			if c.ExposedPorts == nil {
				c.ExposedPorts = map[string]struct{}{}
			}
			c.ExposedPorts[p] = struct{}{}
		}
	case *instructions.LabelCommand:
		for _, kv := range cmd.Labels {
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[kv.Key] = kv.Value
		}
	case *instructions.StopSignalCommand:
		c.StopSignal = cmd.Signal
	case *instructions.UserCommand:
		c.User = cmd.User
	case *instructions.VolumeCommand:
		for _, v := range cmd.Volumes {
			if c.Volumes == nil {
				c.Volumes = map[string]struct{}{}
			}
			c.Volumes[v] = struct{}{}
		}
	case *instructions.WorkdirCommand:
		c.WorkingDir = cmd.Path
	default:
		return fmt.Errorf("%s cannot be used here", strings.ToUpper(command.Name()))
	}
	return nil
}
