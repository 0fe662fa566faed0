package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/engine/runtime/cgroup"
)

// systemInfo is what `system info` says, in the words of Docker's JSON.
type systemInfo struct {
	ServerVersion     string
	Containers        int
	ContainersRunning int
	ContainersPaused  int
	ContainersStopped int
	Images            int
	Driver            string
	DriverStatus      [][2]string
	LoggingDriver     string
	CgroupDriver      string
	CgroupVersion     string
	Plugins           map[string][]string
	Runtimes          []string
	DefaultRuntime    string
	SecurityOptions   []string
	KernelVersion     string
	OperatingSystem   string
	OSType            string
	Architecture      string
	NCPU              int
	MemTotal          int64
	Name              string
	DockerRootDir     string
	Warnings          []string
}

func newSystemInfoCommand(app *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "info [OPTIONS]",
		Short: "Show what this installation has and can do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			info, err := gatherInfo(cmd.Context(), e)
			if err != nil {
				return err
			}
			if format != "" {
				return render.Inspect(app.Stdout, format, []*systemInfo{info})
			}
			info.print(app.Stdout)
			for _, w := range info.Warnings {
				fmt.Fprintln(app.Stderr, "WARNING: "+w)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	return cmd
}

func gatherInfo(ctx context.Context, e *engine.Engine) (*systemInfo, error) {
	info := &systemInfo{
		ServerVersion: version, Driver: "overlay2", LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: strconv.Itoa(cgroup.Version()),
		DriverStatus:   [][2]string{{"Backing Filesystem", fileSystem(e.Roots().State)}, {"Supports d_type", "true"}},
		Plugins:        map[string][]string{"Volume": {"local"}, "Network": {"bridge", "host", "null"}, "Log": {"json-file", "local", "none"}},
		Runtimes:       []string{"compose"},
		DefaultRuntime: "compose", OSType: runtime.GOOS, Architecture: machine(), NCPU: runtime.NumCPU(), MemTotal: memoryTotal(),
		OperatingSystem: operatingSystem(), DockerRootDir: e.Roots().State,
		SecurityOptions: []string{"name=seccomp,profile=builtin"},
	}
	if engine.AppArmorProfile(&engine.ContainerSpec{}) != "" {
		info.SecurityOptions = append([]string{"name=apparmor"}, info.SecurityOptions...)
	}
	if who, _, err := e.UsernsRemap(); err != nil {
		return nil, err
	} else if who != "" {
		info.SecurityOptions = append(info.SecurityOptions, "name=userns")
	}
	if cgroup.Version() == 2 {
		info.SecurityOptions = append(info.SecurityOptions, "name=cgroupns")
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		info.KernelVersion = unix.ByteSliceToString(uts.Release[:])
	}
	info.Name, _ = os.Hostname() // an empty one says it
	images, err := e.Images().List(ctx)
	if err != nil {
		return nil, err
	}
	info.Images = len(images)
	list, err := e.Containers(ctx, engine.Filter{})
	if err != nil {
		return nil, err
	}
	info.Containers = len(list)
	for _, c := range list {
		state, err := e.State(c.ID)
		if err != nil {
			continue // removed in the meantime
		}
		switch state.Status {
		case engine.Running, engine.Restarting:
			info.ContainersRunning++
		case engine.Paused:
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err == nil && strings.TrimSpace(string(data)) == "0" {
		info.Warnings = append(info.Warnings, "IPv4 forwarding is disabled; it is switched on with the first network")
	}
	return info, nil
}

func (i *systemInfo) print(w io.Writer) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("Containers: %d", i.Containers)
	line(" Running: %d", i.ContainersRunning)
	line(" Paused: %d", i.ContainersPaused)
	line(" Stopped: %d", i.ContainersStopped)
	line("Images: %d", i.Images)
	line("Server Version: %s", i.ServerVersion)
	line("Storage Driver: %s", i.Driver)
	for _, s := range i.DriverStatus {
		line(" %s: %s", s[0], s[1])
	}
	line("Logging Driver: %s", i.LoggingDriver)
	line("Cgroup Driver: %s", i.CgroupDriver)
	line("Cgroup Version: %s", i.CgroupVersion)
	line("Plugins:")
	for _, kind := range []string{"Volume", "Network", "Log"} {
		line(" %s: %s", kind, strings.Join(i.Plugins[kind], " "))
	}
	line("Runtimes: %s", strings.Join(i.Runtimes, " "))
	line("Default Runtime: %s", i.DefaultRuntime)
	line("Security Options:")
	for _, o := range i.SecurityOptions {
		name, rest, _ := strings.Cut(strings.TrimPrefix(o, "name="), ",")
		line(" %s", name)
		if key, value, ok := strings.Cut(rest, "="); ok {
			line("  %s: %s", strings.ToUpper(key[:1])+key[1:], value)
		}
	}
	line("Kernel Version: %s", i.KernelVersion)
	line("Operating System: %s", i.OperatingSystem)
	line("OSType: %s", i.OSType)
	line("Architecture: %s", i.Architecture)
	line("CPUs: %d", i.NCPU)
	line("Total Memory: %s", units.BytesSize(float64(i.MemTotal)))
	line("Name: %s", i.Name)
	line("Docker Root Dir: %s", i.DockerRootDir)
}

// machine is the architecture as uname(1) names it.
func machine() string {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return runtime.GOARCH
	}
	return unix.ByteSliceToString(uts.Machine[:])
}

func memoryTotal() int64 {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

func operatingSystem() string {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return "Linux"
}

// fileSystem names the kind of file system that a directory is on.
func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "extfs", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	}
	if name, ok := names[int64(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("0x%x", st.Type)
}
