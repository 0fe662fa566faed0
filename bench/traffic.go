package main

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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// trafficFile is a stack with a public load tool's server, a client beside it,
// one on another network, and one that writes a million lines. The tools are
// the host's own.
const trafficFile = `services:
  server: &tool
    image: busybox
    command: /usr/bin/iperf3 -s
    volumes: ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"]
    tmpfs: /tmp
    ports: ["15201:5201"]
  client:
    <<: *tool
    command: sleep 1000000
    ports: []
  far:
    <<: *tool
    command: sleep 1000000
    ports: []
    networks: [far]
  writer:
    image: busybox
    command: seq 1000000
    profiles: [logs]
networks:
  far: {}
`

// lines is how many bytes seq writes.
const lines = 6888896

var trafficRows = []rateRow{
	{Work: "container to container", Unit: "Gbit/s"},
	{Work: "  round trip", Unit: "us", Lower: true},
	{Work: "published port, from the host's loopback", Unit: "Gbit/s"},
	{Work: "  round trip", Unit: "us", Lower: true},
	{Work: "published port, from another namespace", Unit: "Gbit/s"},
	{Work: "  round trip", Unit: "us", Lower: true},
	{Work: "DNS, names of containers", Unit: "queries/s"},
	{Work: "1 million lines through a container", Unit: "MB/s"},
	{Work: "logs -f of them", Unit: "MB/s"},
}

// benchTraffic measures what goes through networks and logs. BENCH_HOST is put
// in front of what runs on the host of the peers, where their engine lives in a
// network namespace of its own.
func benchTraffic(o options, dir string, r *report) error {
	for _, tool := range []string{"iperf3", "dnsperf"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("install %s: %w", tool, err)
		}
	}
	ours, err := newCompose(o.binary, dir)
	if err != nil {
		return err
	}
	tools := findPeers(dir)
	tools["compose"] = ours
	found := map[string][][]float64{}
	for range o.runs {
		for _, name := range slices.Sorted(maps.Keys(tools)) {
			var host []string
			if name != "compose" {
				host = strings.Fields(os.Getenv("BENCH_HOST"))
			}
			figures, err := traffic(tools[name], filepath.Join(tools[name].dir, "traffic"), host)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			found[name] = append(found[name], figures)
		}
	}
	for i, row := range trafficRows {
		row.Peers = map[string]float64{}
		for name, runs := range found {
			var figures []float64
			for _, run := range runs {
				figures = append(figures, run[i])
			}
			slices.Sort(figures)
			if m := figures[len(figures)/2]; name == "compose" {
				row.Median = m
			} else {
				row.Peers[name] = m
			}
		}
		r.Rates = append(r.Rates, row)
	}
	return nil
}

// traffic measures the rows of one tool, in their order.
func traffic(c *compose, dir string, host []string) (figures []float64, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(trafficFile), 0o644); err != nil {
		return nil, err
	}
	defer func() {
		_, _, downErr := c.in(dir, "--profile", "logs", "down", "-t", "0")
		err = errors.Join(err, downErr)
	}()
	if _, _, err := c.in(dir, "up", "-d", "server", "client", "far"); err != nil {
		return nil, err
	}
	inside := func(service string) func(args ...string) (string, error) {
		return func(args ...string) (string, error) {
			out, _, err := c.in(dir, append([]string{"exec", "-T", service}, args...)...)
			return out, err
		}
	}
	onHost := func(args ...string) (string, error) {
		argv := append(slices.Clone(host), args...)
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
		}
		return string(out), err
	}
	route, err := inside("far")("ip", "route")
	if err != nil {
		return nil, err
	}
	gateway := regexp.MustCompile(`default via (\S+)`).FindStringSubmatch(route)
	if gateway == nil {
		return nil, fmt.Errorf("no default route in %q", route)
	}
	for _, way := range []struct {
		run           func(args ...string) (string, error)
		address, port string
	}{{inside("client"), "server", "5201"}, {onHost, "127.0.0.1", "15201"}, {inside("far"), gateway[1], "15201"}} {
		rate, _, err := iperf(way.run, way.address, way.port, "-t", "2")
		if err != nil {
			return nil, err
		}
		// Little enough that nothing queues.
		_, trip, err := iperf(way.run, way.address, way.port, "-t", "1", "-b", "1M")
		if err != nil {
			return nil, err
		}
		figures = append(figures, rate/1e9, trip)
	}
	dns, err := inside("client")("/bin/sh", "-c", "for n in server client; do echo $n A; done >/tmp/names; exec /usr/bin/dnsperf -s 127.0.0.11 -d /tmp/names -l 2")
	if err != nil {
		return nil, err
	}
	queries := regexp.MustCompile(`Queries per second:\s+([0-9.]+)`).FindStringSubmatch(dns)
	if queries == nil {
		return nil, fmt.Errorf("dnsperf says no rate: %s", dns)
	}
	qps, err := strconv.ParseFloat(queries[1], 64)
	if err != nil {
		return nil, err
	}
	figures = append(figures, qps)

	start := time.Now()
	if _, _, err := c.in(dir, "up", "-d", "writer"); err != nil {
		return nil, err
	}
	if _, _, err := c.in(dir, "wait", "writer"); err != nil && !strings.Contains(err.Error(), "no containers") {
		return nil, err
	}
	wrote := time.Since(start)
	read, err := c.follow(dir, lines, "logs", "-f", "--no-log-prefix", "--no-color", "writer")
	if err != nil {
		return nil, err
	}
	return append(figures, lines/1e6/wrote.Seconds(), lines/1e6/read.Seconds()), nil
}

// follow says how long a command takes to print so many bytes. It is ended
// then: some go on for as long as any container of the project runs.
func (c *compose) follow(dir string, bytes int64, args ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	argv := append(slices.Clone(c.argv), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, c.env
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	n, _ := io.CopyN(io.Discard, out, bytes)
	took := time.Since(start)
	cancel()
	_ = cmd.Wait()
	if n < bytes {
		return 0, fmt.Errorf("%s: of %d bytes it printed %d", strings.Join(argv, " "), bytes, n)
	}
	return took, nil
}

// iperf returns bits a second, and the mean round trip in microseconds.
func iperf(run func(args ...string) (string, error), address, port string, args ...string) (rate, trip float64, err error) {
	text, err := run(append([]string{"/usr/bin/iperf3", "-c", address, "-p", port, "-J"}, args...)...)
	if err != nil {
		return 0, 0, err
	}
	var result struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
			Streams []struct {
				Sender struct {
					Trip float64 `json:"mean_rtt"`
				} `json:"sender"`
			} `json:"streams"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return 0, 0, fmt.Errorf("%w in\n%s", err, text)
	}
	if len(result.End.Streams) == 0 {
		return 0, 0, fmt.Errorf("iperf3 says nothing:\n%s", text)
	}
	return result.End.Received.Rate, result.End.Streams[0].Sender.Trip, nil
}
