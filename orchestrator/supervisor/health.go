package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"compose/engine"
	"compose/internal/pidfd"
)

// Docker's defaults for what a healthcheck leaves open.
const (
	defaultInterval      = 30 * time.Second
	defaultCheckTimeout  = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultRetries       = 3
	keptChecks           = 5
	keptOutput           = 4096 // bytes of a check's output
)

// checked says that the container has a healthcheck.
func checked(c *engine.Container) bool {
	h := c.Spec.Health
	return h != nil && len(h.Test) > 1 && h.Test[0] != "NONE"
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

// checkHealth runs the healthcheck again and again as long as the run lasts.
func (c *container) checkHealth(ctx context.Context, r *run, h *engine.Healthcheck) {
	interval := orDefault(h.Interval, defaultInterval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		wait := interval
		if c.starting(r, h) {
			wait = min(interval, orDefault(h.StartInterval, defaultStartInterval))
			if h.StartInterval == 0 && h.StartPeriod == 0 {
				wait = interval
			}
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if c.paused() {
			continue
		}
		entry := c.checkOnce(ctx, h)
		if ctx.Err() != nil {
			return
		}
		c.judge(r, h, entry)
	}
}

// starting says that failures do not count yet.
func (c *container) starting(r *run, h *engine.Healthcheck) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Health != nil && c.state.Health.Status == "starting" && time.Since(r.began) < h.StartPeriod
}

func (c *container) paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Status == engine.Paused
}

// judge draws the conclusion from one check.
func (c *container) judge(r *run, h *engine.Healthcheck, entry engine.HealthLog) {
	retries := h.Retries
	if retries <= 0 {
		retries = defaultRetries
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run != r {
		return
	}
	var before, after string
	err := c.put(func(s *engine.State) {
		next := engine.Health{Status: "starting"}
		if s.Health != nil {
			next = *s.Health
		}
		before = next.Status
		next.Log = append(append([]engine.HealthLog(nil), next.Log...), entry)
		if n := len(next.Log); n > keptChecks {
			next.Log = next.Log[n-keptChecks:]
		}
		switch {
		case entry.ExitCode == 0:
			next.FailingStreak = 0
			next.Status = "healthy"
		case next.Status == "starting" && time.Since(r.began) < h.StartPeriod:
		default:
			if next.FailingStreak++; next.FailingStreak >= retries {
				next.Status = "unhealthy"
			}
		}
		after = next.Status
		s.Health = &next
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: container %s: note its health: %v\n", c.cfg.Spec.Name, err)
	}
	if after != before {
		c.event("health_status: "+after, nil)
	}
}

// checkOnce runs the check's command inside the container.
func (c *container) checkOnce(ctx context.Context, h *engine.Healthcheck) engine.HealthLog {
	entry := engine.HealthLog{Start: time.Now().UTC()}
	finish := func(code int, output string) engine.HealthLog {
		entry.End, entry.ExitCode, entry.Output = time.Now().UTC(), code, output
		return entry
	}
	args := h.Test[1:]
	if h.Test[0] == "CMD-SHELL" {
		args = []string{"/bin/sh", "-c", strings.Join(h.Test[1:], " ")}
	}
	r, w, err := outPipe()
	if err != nil {
		return finish(-1, err.Error())
	}
	p, err := c.s.engine.Exec(ctx, c.id, engine.ExecSpec{Args: args}, engine.Stdio{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		r.Close()
		return finish(-1, err.Error())
	}
	defer p.PIDFD.Close()
	var output strings.Builder
	var reading sync.WaitGroup
	reading.Go(func() {
		_, _ = io.Copy(&output, io.LimitReader(r, keptOutput)) // what it says is welcome, not needed
		_, _ = io.Copy(io.Discard, r)
	})
	timeout := orDefault(h.Timeout, defaultCheckTimeout)
	late := false
	timer := time.AfterFunc(timeout, func() {
		late = true
		_ = unix.PidfdSendSignal(int(p.PIDFD.Fd()), unix.SIGKILL, nil, 0) // it may just have ended
	})
	stop := context.AfterFunc(ctx, func() { _ = unix.PidfdSendSignal(int(p.PIDFD.Fd()), unix.SIGKILL, nil, 0) })
	status, err := pidfd.Wait(p.PIDFD)
	p.Ended(exitCode(status))
	fired := !timer.Stop()
	stop()
	// A process that it left behind may hold the pipe open: its output ends here.
	_ = r.SetReadDeadline(time.Now())
	reading.Wait()
	takeRest(r, &output)
	r.Close()
	switch {
	case fired && late:
		return finish(-1, fmt.Sprintf("Health check exceeded timeout (%s)", timeout)+prefixed(": ", output.String()))
	case err != nil:
		return finish(-1, err.Error())
	}
	return finish(exitCode(status), output.String())
}

// takeRest reads what lies in a pipe by now. A read with a deadline that has
// passed would not look.
func takeRest(r *os.File, output *strings.Builder) {
	conn, err := r.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		buf := make([]byte, keptOutput)
		for output.Len() < keptOutput {
			n, err := unix.Read(int(fd), buf[:keptOutput-output.Len()])
			if n <= 0 || err != nil {
				return // the pipe does not block
			}
			output.Write(buf[:n])
		}
	})
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
