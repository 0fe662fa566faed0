package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/internal/roots"
	"compose/internal/statefile"
)

func newSystemResumeCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "Start what restart policies ask for after the host was started anew",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			list, err := e.Containers(cmd.Context(), engine.Filter{})
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			return s.Resume(cmd.Context(), list)
		},
	}
}

// unitDir is where an administrator's units are.
const unitDir = "/etc/systemd/system"

// unit is the one that resumes an installation. What it starts must not end
// with it: the containers are looked after by processes of their own.
func unit(binary string, r roots.Roots) string {
	quote := strings.NewReplacer("%", "%%", `\`, `\\`, `"`, `\"`, "$", "$$").Replace
	return `[Unit]
Description=Containers of ` + strings.ReplaceAll(r.State, "%", "%%") + `
After=network-online.target local-fs.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
Delegate=yes
ExecStart="` + quote(binary) + `" --root "` + quote(r.State) + `" --run-root "` + quote(r.Run) + `" --progress plain system resume

[Install]
WantedBy=multi-user.target
`
}

// unitName is that of the installation's unit.
func unitName(r roots.Roots) string {
	if r.State == roots.DefaultState {
		return "compose-resume.service"
	}
	return "compose-resume-" + r.Tag() + ".service"
}

func newSystemEnableCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "enable",
		Short: "Have systemd resume this installation when the host starts",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			if err := needsSystemd("enable"); err != nil {
				return err
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			if err := statefile.Write(filepath.Join(unitDir, unitName(r)), []byte(unit(binary, r)), 0o644); err != nil {
				return err
			}
			return systemctl([]string{"daemon-reload"}, []string{"enable", unitName(r)})
		},
	}
}

func newSystemDisableCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "disable",
		Short: "Undo enable",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := app.roots()
			if err != nil {
				return err
			}
			if err := needsSystemd("disable"); err != nil {
				return err
			}
			path := filepath.Join(unitDir, unitName(r))
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return errors.New("it is not enabled")
			}
			if err := systemctl([]string{"disable", unitName(r)}); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			return systemctl([]string{"daemon-reload"})
		},
	}
}

// needsSystemd says that the host is run by systemd, as sd_booted(3) does.
func needsSystemd(verb string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return fmt.Errorf("system %s: this host is not run by systemd: have what starts it call \"compose system resume\"", verb)
	}
	return nil
}

func systemctl(calls ...[]string) error {
	for _, args := range calls {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
