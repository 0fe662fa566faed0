package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newContainerPortCommand(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "port CONTAINER [PRIVATE_PORT[/PROTO]]",
		Short: "Show where a container's ports are published",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, c, err := app.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.close()
			want := ""
			if len(args) == 2 {
				if want = args[1]; !strings.Contains(want, "/") {
					want += "/tcp"
				}
			}
			found := false
			for _, p := range c.State.Ports {
				inside := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
				outside := net.JoinHostPort(p.HostIP.String(), strconv.Itoa(int(p.HostPort)))
				switch {
				case !c.Running():
				case want == "":
					fmt.Fprintln(app.Stdout, inside+" -> "+outside)
				case want == inside:
					found = true
					fmt.Fprintln(app.Stdout, outside)
				}
			}
			if want != "" && !found {
				return fmt.Errorf("no public port '%s' published for %s", args[1], args[0])
			}
			return nil
		},
	}
}
