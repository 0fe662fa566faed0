package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// chapter is where the stack that the README shows is served.
const chapter = "http://127.0.0.1:8787"

type employee struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Hobbies string `json:"hobbies"`
	Role    string `json:"role"`
}

// TestChapterStack runs examples/app_and_database as a student does: up, use
// it, break it, take it down, find the data again, and leave nothing.
func TestChapterStack(t *testing.T) {
	h := newHost(t)
	h.baseImages()
	dir := repo(t, "examples", "app_and_database")

	h.in(dir, "up", "-d").ok()

	page, err := get(chapter + "/")
	if err != nil {
		eventually(t, "the page", func() error { page, err = get(chapter + "/"); return err })
	}
	if !strings.Contains(page, "Personnel listing") {
		t.Errorf("the page does not show its title:\n%s", page)
	}
	eventually(t, "the first list of employees", func() error { _, err := employees(chapter); return err })
	before := listed(t)
	if !slices.Contains(names(before), "Lena Kovačič") {
		t.Errorf("the init script's rows are not there: %v", names(before))
	}
	added := post(t, employee{Name: "Grace <b>Hopper</b>", Hobbies: "Compilers", Role: "Rear admiral"})
	if !slices.Contains(listed(t), added) {
		t.Errorf("%v was added and is not in the list", added)
	}

	t.Run("it answers on every address it publishes", func(t *testing.T) {
		for _, address := range []string{"127.0.0.1", "[::1]", "localhost"} {
			if _, err := employees("http://" + address + ":8787"); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
	})

	t.Run("ps, logs and exec answer", func(t *testing.T) {
		ps := h.in(dir, "ps").ok().stdout
		for _, want := range []string{"NAME", "app_and_database-application-1", "app_and_database-database-1", "0.0.0.0:8787->8787/tcp", "Up "} {
			if !strings.Contains(ps, want) {
				t.Errorf("ps does not show %q:\n%s", want, ps)
			}
		}
		eventually(t, "the logs", func() error {
			logs := h.in(dir, "logs", "--no-color").ok().stdout
			for _, want := range []string{"application-1  | ", "GET /employees", "database-1     | ", "ready for connections"} {
				if !strings.Contains(logs, want) {
					return fmt.Errorf("no %q in\n%s", want, logs)
				}
			}
			return nil
		})
		who := h.in(dir, "exec", "-T", "database", "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; stat -c ' %U' /proc/1").ok().stdout
		if !strings.Contains(who, "mariadbd") || !strings.Contains(who, "mysql") {
			t.Errorf("PID 1 of the database is not mariadbd run by mysql: %s", who)
		}
		rows := h.in(dir, "exec", "-T", "database", "mariadb", "-N", "-uroot", "-pBeReSeMi.DataScience", "data_science",
			"-e", "SELECT COUNT(*) FROM employees").ok().stdout
		if got := strings.TrimSpace(rows); got != fmt.Sprint(len(before)+1) {
			t.Errorf("the table has %s rows, want %d", got, len(before)+1)
		}
	})

	t.Run("a second up does nothing", func(t *testing.T) {
		was := h.in(dir, "ps", "-q").ok().stdout
		h.in(dir, "up", "-d").ok()
		if now := h.in(dir, "ps", "-q").ok().stdout; now != was {
			t.Errorf("containers were made anew: %q, then %q", was, now)
		}
	})

	t.Run("the database comes back by itself when it is killed", func(t *testing.T) {
		// The kernel shields PID 1 from SIGKILL out of its own namespace; SEGV has a handler.
		h.in(dir, "exec", "-T", "database", "sh", "-c", "kill -s SEGV 1; sleep 2; kill -s TERM 1; true")
		eventually(t, "the list after the database was killed", func() error {
			got, err := employees(chapter)
			if err == nil && !slices.Contains(got, added) {
				err = fmt.Errorf("%v is lost", added)
			}
			return err
		})
		eventually(t, "the server is ready at least twice", func() error {
			restarts := h.in(dir, "logs", "--no-color", "database").ok().stdout
			if n := strings.Count(restarts, "ready for connections"); n < 2 {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
	})

	t.Run("data survives down and up", func(t *testing.T) {
		h.in(dir, "down").ok()
		if _, err := get(chapter + "/"); err == nil {
			t.Error("the page still answers after down")
		}
		if left := leftovers(h.root); len(left) > 0 {
			t.Errorf("down left %q", left)
		}
		h.in(dir, "up", "-d").ok()
		eventually(t, "the list after down and up", func() error { _, err := employees(chapter); return err })
		if !slices.Contains(listed(t), added) {
			t.Errorf("%v did not survive down and up", added)
		}
	})

	h.in(dir, "down", "-v").ok()
	if volumes := entries(filepath.Join(h.root, "volumes")); len(volumes) > 0 {
		t.Errorf("down -v left the volumes %q", volumes)
	}
}

// TestChapterAppOnly builds and runs the chapter's first, single-service system.
func TestChapterAppOnly(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.baseImages("debian:bookworm-slim")
	file := filepath.Join(h.project("app", "override.yml", "services:\n  application:\n    ports: !override\n      - \"127.0.0.1::8787\"\n"), "override.yml")
	dir := repo(t, "examples", "app_only")
	with := func(args ...string) result {
		return h.in(dir, append([]string{"-f", "docker-compose.yml", "-f", file}, args...)...)
	}
	with("up", "-d").ok()
	address := strings.TrimSpace(with("port", "application", "8787").ok().stdout)
	eventually(t, "the page", func() error {
		page, err := get("http://" + address + "/")
		if err == nil && !strings.Contains(page, "Personnel listing") {
			err = fmt.Errorf("not the page:\n%s", page)
		}
		return err
	})
	with("down", "--rmi", "all").ok()
	if out := h.compose("image", "ls", "--quiet", "docker-app").ok().stdout; out != "" {
		t.Errorf("down --rmi all left the image %s", out)
	}
}

// baseImages puts the examples' base images into the store, as make base-images does.
func (h *host) baseImages(only ...string) {
	h.t.Helper()
	cmd := exec.Command(repo(h.t, "scripts", "base-images"), append([]string{"--local"}, only...)...)
	cmd.Env = append(os.Environ(), "COMPOSE="+binary, "COMPOSE_ROOT="+h.root, "COMPOSE_PROGRESS=plain")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("make the base images: %v\n%s", err, out)
	}
}

// repo is a path of the project's tree.
func repo(t testing.TB, elem ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{".."}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func employees(base string) ([]employee, error) {
	body, err := get(base + "/employees")
	if err != nil {
		return nil, err
	}
	var list []employee
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		return nil, fmt.Errorf("%w: %s", err, body)
	}
	if len(list) == 0 {
		return nil, errors.New("no employee")
	}
	return list, nil
}

func listed(t *testing.T) []employee {
	t.Helper()
	list, err := employees(chapter)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func names(list []employee) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out
}

func post(t *testing.T, e employee) employee {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.Post(chapter+"/employees", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	answer, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	if reply.StatusCode != http.StatusCreated {
		t.Fatalf("POST /employees: %s: %s", reply.Status, answer)
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		t.Fatal(err)
	}
	return e
}
