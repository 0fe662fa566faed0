package main

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newContainerUpdateCommand(app *App) *cobra.Command {
	f := &containerFlags{swappiness: -1}
	cmd := &cobra.Command{
		Use:   "update [OPTIONS] CONTAINER [CONTAINER...]",
		Short: "Change limits and the restart policy of containers, also of those that run",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().NFlag() == 0 {
				return errors.New("you must provide one or more flags when using this command")
			}
			s := types.ServiceConfig{Restart: f.restart}
			if err := f.fillLimits(&s); err != nil {
				return err
			}
			u, err := orchestrator.NewUpdate(s)
			if err != nil {
				return err
			}
			u.Resources.CpusetMems, u.Resources.BlkioWeight = f.cpusetMems, f.blkioWeight
			return app.eachContainer(cmd.Context(), args, func(ctx context.Context, s *session, c *orchestrator.Container) error {
				return supervise(ctx, s, c, func(sup orchestrator.Supervisor) error { return sup.Update(ctx, c.ID, u) })
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.memory, "memory", "m", "", "Memory limit, as 512m")
	fl.StringVar(&f.memorySwap, "memory-swap", "", "Limit of memory and swap together, -1: no limit")
	fl.StringVar(&f.memoryReservation, "memory-reservation", "", "Soft memory limit")
	fl.StringVar(&f.cpus, "cpus", "", "Number of CPUs, as 1.5")
	fl.Int64VarP(&f.cpuShares, "cpu-shares", "c", 0, "Relative weight of CPU time")
	fl.Int64Var(&f.cpuPeriod, "cpu-period", 0, "CFS period in microseconds")
	fl.Int64Var(&f.cpuQuota, "cpu-quota", 0, "CFS quota in microseconds")
	fl.Int64Var(&f.cpuRTPeriod, "cpu-rt-period", 0, "Real-time period in microseconds")
	fl.Int64Var(&f.cpuRTRuntime, "cpu-rt-runtime", 0, "Real-time runtime in microseconds")
	fl.StringVar(&f.cpuset, "cpuset-cpus", "", "CPUs that may be used, as 0-2,4")
	fl.StringVar(&f.cpusetMems, "cpuset-mems", "", "Memory nodes that may be used")
	fl.Int64Var(&f.pidsLimit, "pids-limit", 0, "Limit of processes, -1: none")
	fl.Uint16Var(&f.blkioWeight, "blkio-weight", 0, "Relative weight of block IO, 10 to 1000")
	fl.StringVar(&f.restart, "restart", "", "When to restart: no, on-failure[:N], always or unless-stopped")
	return cmd
}
