package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// A service with a provider has no containers: a program of somebody else's
// makes what it stands for. It is told "up", "down" and, if it says that it
// can, "stop", and answers with messages of JSON on its standard output.

// RunProvider has a service's provider do something.
type RunProvider struct {
	Service types.ServiceConfig
	Command string // "up", "stop" or "down"
}

func (o RunProvider) String() string {
	return "have provider " + o.Service.Provider.Type + " bring service " + o.Service.Name + " " + o.Command
}

// providerWords are what the user reads of each command.
var providerWords = map[string]words{
	"up":   {begin: "Creating", end: "Created"},
	"stop": {begin: "Stopping", end: "Stopped"},
	"down": {begin: "Removing", end: "Removed"},
}

// providerVariables are what a provider has dependent services know.
type providerVariables struct {
	prefixed map[string]string // under the service's name
	raw      map[string]string
}

// providerMetadata is what a provider may say of itself.
type providerMetadata struct {
	Description string           `json:"description"`
	Up          *providerCommand `json:"up"`
	Down        *providerCommand `json:"down"`
	Stop        *providerCommand `json:"stop"`
}

type providerCommand struct {
	Parameters []struct {
		Name     string `json:"name"`
		Required bool   `json:"required"`
	} `json:"parameters"`
}

// runProvider runs a provider's program to its end.
func (o *operator) runProvider(ctx context.Context, op RunProvider) error {
	path, err := providerPath(op.Service.Provider.Type)
	if err != nil {
		return fmt.Errorf("services.%s.provider: %w", op.Service.Name, err)
	}
	args, err := o.providerArgs(ctx, path, op)
	if err != nil || args == nil {
		return err
	}
	w := providerWords[op.Command]
	o.report.send(op.Service.Name, Working, w.begin, "")
	variables, err := o.talkToProvider(ctx, path, args, op)
	if err != nil {
		o.report.send(op.Service.Name, Failed, "Error", err.Error())
		return fmt.Errorf("service %q: provider %s: %w", op.Service.Name, op.Service.Provider.Type, err)
	}
	o.report.send(op.Service.Name, Done, w.end, "")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.variables == nil {
		o.variables = map[string]providerVariables{}
	}
	o.variables[op.Service.Name] = variables
	return nil
}

// providerPath finds the program: one of docker's plugins, or one in PATH.
func providerPath(kind string) (string, error) {
	if kind == "compose" {
		return "", errors.New("'compose' is not a valid provider type")
	}
	if !strings.Contains(kind, "/") {
		config := os.Getenv("DOCKER_CONFIG")
		if config == "" {
			config = filepath.Join(os.Getenv("HOME"), ".docker")
		}
		for _, dir := range []string{
			filepath.Join(config, "cli-plugins"), "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
			"/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
		} {
			if path, err := exec.LookPath(filepath.Join(dir, "docker-"+kind)); err == nil {
				return path, nil
			}
		}
	}
	path, err := exec.LookPath(kind)
	if err != nil {
		return "", fmt.Errorf("there is no program %s in PATH, nor docker-%s among docker's plugins; install it", kind, kind)
	}
	return path, nil
}

// providerArgs are the program's arguments; nil: it has nothing to do.
func (o *operator) providerArgs(ctx context.Context, path string, op RunProvider) ([]string, error) {
	var meta providerMetadata
	about := exec.CommandContext(ctx, path, "compose", "metadata")
	about.Env = o.project.Environment.Values()
	about.WaitDelay = time.Second
	if out, err := about.Output(); err == nil {
		if json.Unmarshal(out, &meta) != nil {
			meta = providerMetadata{} // one that speaks of other things when asked so
		}
	}
	accepts := map[string]*providerCommand{"up": meta.Up, "down": meta.Down, "stop": meta.Stop}[op.Command]
	if op.Command == "stop" && accepts == nil {
		return nil, nil
	}
	silent := meta.Description == "" && meta.Up == nil && meta.Down == nil
	known := map[string]bool{}
	if accepts != nil {
		for _, p := range accepts.Parameters {
			known[p.Name] = true
			if _, given := op.Service.Provider.Options[p.Name]; p.Required && !given {
				return nil, fmt.Errorf("services.%s.provider.options: required parameter %q is missing from provider %q definition", op.Service.Name, p.Name, op.Service.Provider.Type)
			}
		}
	}
	args := []string{"compose", "--project-name=" + o.name, op.Command}
	options := op.Service.Provider.Options
	for _, key := range slices.Sorted(maps.Keys(options)) {
		for _, value := range options[key] {
			if silent || known[key] {
				args = append(args, "--"+key+"="+value)
			}
		}
	}
	return append(args, op.Service.Name), nil
}

func (o *operator) talkToProvider(ctx context.Context, path string, args []string, op RunProvider) (providerVariables, error) {
	v := providerVariables{prefixed: map[string]string{}, raw: map[string]string{}}
	errs := &limited{rest: maxHookOutput}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = o.project.Environment.Values()
	cmd.Dir = o.project.WorkingDir
	cmd.Stderr = errs
	// What it has started itself ends with it, and what of that still holds its
	// streams when it has ended is not waited for.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return v, err
	}
	if err := cmd.Start(); err != nil {
		return v, err
	}
	told := o.hearProvider(stdout, op.Service.Name, v)
	if told != nil {
		_ = cmd.Cancel() // it may go on for long with what nobody hears
	}
	ended := cmd.Wait()
	if errors.Is(ended, exec.ErrWaitDelay) {
		ended = nil
	}
	if told == nil && ended != nil {
		told = fmt.Errorf("%s: %w: %s", op.Command, ended, strings.TrimSpace(errs.String()))
	}
	return v, told
}

// hearProvider reads messages until there are no more.
func (o *operator) hearProvider(r io.Reader, service string, v providerVariables) error {
	messages := json.NewDecoder(r)
	for {
		var msg struct{ Type, Message string }
		switch err := messages.Decode(&msg); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("what it says is not a message of JSON: %w", err)
		}
		key, value, pair := strings.Cut(msg.Message, "=")
		switch {
		case msg.Type == "error":
			return errors.New(msg.Message)
		case msg.Type == "info":
			first, _, _ := strings.Cut(msg.Message, "\n")
			o.report.send(service, Working, first, "")
		case msg.Type == "debug":
		case msg.Type == "setenv" && pair:
			v.prefixed[key] = value
		case msg.Type == "rawsetenv" && pair:
			v.raw[key] = value
		default:
			return fmt.Errorf("invalid response from plugin: %s: %s", msg.Type, msg.Message)
		}
	}
}

// withProviders adds to a service's environment what the providers that it
// depends on have said.
func (o *operator) withProviders(s types.ServiceConfig) types.ServiceConfig {
	o.mu.Lock()
	defer o.mu.Unlock()
	var env types.MappingWithEquals
	for _, dep := range slices.Sorted(maps.Keys(s.DependsOn)) {
		v, ok := o.variables[dep]
		if !ok {
			continue
		}
		if env == nil {
			if env = maps.Clone(s.Environment); env == nil {
				env = types.MappingWithEquals{}
			}
		}
		for key, value := range v.prefixed {
			env[strings.ToUpper(dep)+"_"+key] = &value
		}
		for key, value := range v.raw {
			if have, ok := env[key]; ok && (have == nil || *have != value) && o.warn != nil {
				o.warn(fmt.Sprintf("provider %q overrides environment variable %q in service %q", dep, key, s.Name))
			}
			env[key] = &value
		}
	}
	if env != nil {
		s.Environment = env
	}
	return s
}

// planProviders has the providers of services do something once the containers
// that may depend on them are done with.
func planProviders(plan *Plan, p *types.Project, command string, services []string, after []*Step) {
	if p == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if s := p.Services[name]; s.Provider != nil && (len(services) == 0 || slices.Contains(services, name)) {
			plan.add(RunProvider{Service: s, Command: command}, "", after...)
		}
	}
}
