package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The files of the course chapter, word for word but for the versions that
// Debian has.
const (
	chapterServer = `from flask import Flask
from flask import json
from flask import request
from flask import Response

app = Flask(__name__)

@app.route('/', methods=['GET'])
def index():     
    content = open("index.html").read()
    return Response(content, mimetype="text/html")

if __name__ == '__main__':    
    app.run(host='0.0.0.0', port=8787)
`
	chapterDockerfile = `# Use an official Ubuntu runtime as a parent image
FROM ubuntu:18.04

# Set the current working directory to /work
WORKDIR /work

# Copy the current directory contents into the container at /work
ADD ./ .

# Install and configure your environment
RUN apt-get update \
    && apt-get install -y python3 python3-pip \
    && pip3 install flask

# Make port 8787 available to the world outside this container (i.e. docker world)
EXPOSE 8787

# Run server.py when the container launches
ENTRYPOINT python3 server.py
`
	chapterOptimized = `FROM ubuntu:18.04

# Install Python
RUN apt-get update && \ 
    apt-get install -y --no-install-recommends python3 python3-virtualenv

# Create virtualenv
ENV VIRTUAL_ENV=/opt/venv
RUN python3 -m virtualenv --python=/usr/bin/python3 $VIRTUAL_ENV
ENV PATH="$VIRTUAL_ENV/bin:$PATH"

# Install dependencies:
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

# Make port 8787 available to the world outside this container (i.e. docker world)
EXPOSE 8787

# Copy the application:
COPY server.py .
COPY index.html .

# Run the application
CMD ["python3", "server.py"]
`
	chapterDatabase = `# Parent image
FROM mysql:5

# Copying all files in curent dir to container
ADD ./ /docker-entrypoint-initdb.d

# Updating permissions for the copied files
RUN /bin/bash -c 'chmod a+rx /docker-entrypoint-initdb.d/*'
`
	// ubuntu stands for the parent image: Debian, with Flask where pip finds
	// it, as no package index but Debian's can be reached.
	ubuntu = `FROM debian:bookworm-slim
RUN echo 'APT::Install-Recommends "false";' >/etc/apt/apt.conf.d/90test \
 && apt-get update && apt-get install -y python3-flask && rm -rf /var/lib/apt/lists/*
RUN printf '[global]\nbreak-system-packages = true\nno-index = true\n' >/etc/pip.conf
ENV VIRTUALENV_SYSTEM_SITE_PACKAGES=true
`
)

// TestChapter runs the commands of the course chapter in their order and
// compares what a student would.
func TestChapter(t *testing.T) {
	t.Parallel() // TestChapterStack, which has the same ports, is over by then
	h := newHost(t)
	h.env = []string{"DOCKER_CONFIG=" + t.TempDir()}
	docker := func(dir string, args ...string) result {
		t.Helper()
		return h.runAs("docker", 5*time.Minute, dir, nil, args...)
	}
	matches := func(what, text, pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s printed\n%s\nwant\n%s", what, text, pattern)
		}
	}

	// Setting up the environment.
	matches("docker info", docker(h.root, "info").ok().stdout, `(?m)^Containers: 0
 Running: 0
 Paused: 0
 Stopped: 0
Images: 0
Server Version: \S+
Storage Driver: overlay2$`)
	registry := startRegistry(t, "")
	h.helloWorld(registry)
	hello := docker(h.root, "run", "hello-world").ok()
	matches("docker run hello-world", hello.stderr, `^Unable to find image 'hello-world:latest' locally
latest: Pulling from library/hello-world
([0-9a-f]{12}): Pulling fs layer
(?:[0-9a-f]{12}: .*\n)*[0-9a-f]{12}: Pull complete
Digest: sha256:[0-9a-f]{64}
Status: Downloaded newer image for hello-world:latest
$`)
	matches("hello-world", hello.stdout, `^\nHello from Docker!\nThis message shows that your installation appears to be working correctly\.\n`)
	if _, err := os.Stat(filepath.Join(h.root, "daemon.json")); err == nil {
		os.Remove(filepath.Join(h.root, "daemon.json")) // nothing else comes from there
	}

	// Basics.
	h.baseImages()
	base := h.project("ubuntu", "Dockerfile", ubuntu)
	docker(base, "build", "-q", "-t", "ubuntu:18.04", ".").ok()
	docker(base, "tag", "mariadb:10.11", "mysql:5").ok()
	list := docker(base, "image", "ls").ok().stdout
	for _, row := range []string{`^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n`, `(?m)^ubuntu +18\.04 +[0-9a-f]{12} +.* ago +\d+(\.\d+)?MB$`, `(?m)^hello-world +latest +[0-9a-f]{12} +.* ago +\S+[kM]B$`} {
		matches("docker image ls", list, row)
	}
	matches("docker container ls --all", docker(base, "container", "ls", "--all").ok().stdout,
		`^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES
[0-9a-f]{12} +hello-world +"/hello" +.* ago +Exited \(0\) .* ago +[a-z]+_[a-z]+\n$`)

	// The application.
	page, err := os.ReadFile(repo(t, "examples", "app_only", "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	app := h.project("app_only", "server.py", chapterServer, "index.html", string(page), "Dockerfile", chapterDockerfile)
	s := h.onScreen(app, 30, 100, "docker", "run", "-it", "ubuntu:18.04", "/bin/bash")
	s.types("echo $((6*7)); exit\n")
	s.shows("42\r\n")
	s.ends(0)
	matches("docker build", docker(app, "build", "-t", "docker-app", ".").ok().stderr, `(?s)#\d+ \[2/4\] WORKDIR /work\n.*#\d+ \[3/4\] ADD ./ \.\n.*#\d+ \[4/4\] RUN apt-get update.*#\d+ naming to \S+/docker-app:latest done`)
	matches("docker image ls", docker(app, "image", "ls").ok().stdout, `(?m)^docker-app +latest +[0-9a-f]{12} +.* ago +\d+MB$`)
	h.serves(app, "docker-app")

	// Volumes.
	docker(app, "volume", "create", "kept").ok()
	matches("docker volume ls", docker(app, "volume", "ls").ok().stdout, `^DRIVER +VOLUME NAME\nlocal +kept\n$`)
	docker(app, "run", "--rm", "-v", "kept:/data", "ubuntu:18.04", "sh", "-c", "echo saved >/data/f").ok()
	docker(app, "run", "--rm", "-v", "kept:/data", "ubuntu:18.04", "cat", "/data/f").ok().says("saved")
	docker(app, "volume", "rm", "kept").ok()
	docker(app, "volume", "--help").ok()

	h.chapterDatabase()
	h.chapterCompose()

	// Image registries.
	secured := startRegistry(t, "auth: {htpasswd: {realm: r, path: "+htpasswd(t, "szitnik", "secret")+"}}\n")
	name := secured + "/szitnik/docker-ds-app"
	docker(app, "tag", "docker-app", name).ok()
	docker(app, "push", name).fails(1, "denied")
	h.runAs("docker", patience, app, strings.NewReader("secret\n"), "login", "-u", "szitnik", "--password-stdin", secured).ok().says("Login Succeeded")
	matches("docker push", docker(app, "push", name).ok().stdout, `^The push refers to repository \[\S+/szitnik/docker-ds-app\]\n(?s:.*)latest: digest: sha256:[0-9a-f]{64} size: \d+\n$`)
	docker(app, "rmi", "-f", "docker-app", name).ok()
	h.serves(app, name)
	docker(app, "logout", secured).ok()

	h.chapterOptimizations(app, string(page))
	docker(app, "container", "prune", "-f").ok()
}

// helloWorld puts an image hello-world where the default registry's are found.
func (h *host) helloWorld(registry string) {
	h.t.Helper()
	dir := h.project("hello", "go.mod", "module hello\n", "main.go", `package main

func main() {
	print()
	_, _ = out.WriteString("\nHello from Docker!\nThis message shows that your installation appears to be working correctly.\n")
}
`, "out.go", "package main\n\nimport \"os\"\n\nvar out = os.Stdout\n")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "hello", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "hello"))
	if err != nil {
		h.t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	if err := w.WriteHeader(&tar.Header{Name: "hello", Mode: 0o755, Size: int64(len(program))}); err != nil {
		h.t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		h.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	other := newHost(h.t) // somebody else's
	ref := registry + "/library/hello-world"
	other.runAs("docker", patience, dir, &image, "import", "-c", `CMD ["/hello"]`, "-", ref).ok()
	other.docker("push", ref).ok()
	mirror := fmt.Sprintf(`{"registry-mirrors": ["http://%s"]}`, registry)
	if err := os.WriteFile(filepath.Join(h.root, "daemon.json"), []byte(mirror), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// serves runs the application as the chapter does, looks at its page, goes
// inside, reads its log and ends it.
func (h *host) serves(dir, name string) {
	h.t.Helper()
	s := h.onScreen(dir, 40, 120, "docker", "run", "-p", "8787:8787", name)
	s.shows(" * Serving Flask app")
	eventually(h.t, "the page of "+name, func() error {
		page, err := get(chapter + "/")
		if err == nil && !strings.Contains(page, "Personnel listing") {
			err = fmt.Errorf("the page says %s", page)
		}
		return err
	})
	ps := h.docker("ps").ok().stdout
	row := regexp.MustCompile(`(?m)^([0-9a-f]{12}) +` + regexp.QuoteMeta(name) + ` +"/bin/sh -c 'python3…" +.* ago +Up .* +0\.0\.0\.0:8787->8787/tcp, \[::\]:8787->8787/tcp +[a-z]+_[a-z]+$`).FindStringSubmatch(ps)
	if row == nil {
		h.t.Fatalf("docker ps printed\n%s", ps)
	}
	inside := h.onScreen(dir, 40, 120, "docker", "exec", "-it", row[1], "/bin/bash")
	inside.types("hostname; pwd; ls; exit\n")
	inside.shows(row[1] + "\r\n")
	inside.shows("/work\r\n")
	inside.shows("server.py")
	inside.ends(0)
	eventually(h.t, "the log of "+name, func() error {
		if log := h.docker("logs", row[1]).ok(); !strings.Contains(log.stdout+log.stderr, `"GET / HTTP/1.1" 200`) {
			return fmt.Errorf("it says %s%s", log.stdout, log.stderr)
		}
		return nil
	})
	h.docker("stop", "-t", "1", row[1]).ok() // Ctrl+C is nothing to a shell that is PID 1
	s.ends(137)
	h.docker("ps", "-q").says("")
}

// chapterDatabase builds and runs the database alone.
func (h *host) chapterDatabase() {
	h.t.Helper()
	rows, err := os.ReadFile(repo(h.t, "examples", "app_and_database", "database", "01-employees.sql"))
	if err != nil {
		h.t.Fatal(err)
	}
	dir := h.project("database", "Dockerfile", chapterDatabase, "01-employees.sql", string(rows))
	h.in(dir, "image", "build", "-t", "docker-db", ".").ok()
	s := h.onScreen(dir, 40, 120, "docker", "run", "-p", "3306:3306", "-e", "MYSQL_ROOT_PASSWORD=BeReSeMi", "docker-db")
	id := ""
	eventually(h.t, "the container of docker-db", func() error {
		if id = strings.TrimSpace(h.docker("ps", "-q").stdout); id == "" {
			return fmt.Errorf("none")
		}
		return nil
	})
	eventually(h.t, "the table in the database", func() error {
		out := h.docker("exec", id, "mariadb", "-h127.0.0.1", "-uroot", "-pBeReSeMi", "-N", "-e", "SELECT COUNT(*) > 1 FROM employees", "data_science")
		if strings.TrimSpace(out.stdout) != "1" {
			return fmt.Errorf("%s%s", out.stdout, out.stderr)
		}
		return nil
	})
	c, err := net.DialTimeout("tcp", "127.0.0.1:3306", patience)
	if err != nil {
		h.t.Fatalf("the database from the host: %v", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	greeting := make([]byte, 5)
	if _, err := c.Read(greeting); err != nil || greeting[4] != 10 { // the protocol's version
		h.t.Errorf("the database greets with %v, %v", greeting, err)
	}
	h.docker("stop", id).ok()
	<-s.ended
}

// chapterCompose brings the stack up in the foreground and in the background.
func (h *host) chapterCompose() {
	h.t.Helper()
	dir := repo(h.t, "examples", "app_and_database")
	compose := func(args ...string) result {
		h.t.Helper()
		return h.runAs("docker-compose", 5*time.Minute, dir, nil, args...)
	}
	compose("build").ok()
	s := h.onScreen(dir, 40, 120, "docker", "compose", "up")
	served := func() error { _, err := employees(chapter); return err }
	eventually(h.t, "the list of employees", served)
	s.types("\x03")
	select {
	case <-s.ended:
	case <-time.After(patience):
		h.t.Fatal("docker compose up goes on after Ctrl+C")
	}
	compose("up", "-d").ok()
	eventually(h.t, "the list of employees", served)
	compose("down").ok()
	if _, err := get(chapter + "/"); err == nil {
		h.t.Error("the page answers after docker-compose down")
	}
	compose("down", "-v").ok()
}

// chapterOptimizations edits the page under both Dockerfiles: the first one
// installs everything again, the second one nothing.
func (h *host) chapterOptimizations(dir, page string) {
	h.t.Helper()
	build := func() string {
		h.t.Helper()
		return h.runAs("docker", 5*time.Minute, dir, nil, "build", "-t", "docker-app", ".").ok().stderr
	}
	edit := func() {
		h.t.Helper()
		page += "<!-- edited -->\n"
		if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	build()
	if again := build(); strings.Count(again, " CACHED\n") != 3 {
		h.t.Errorf("built again without an edit:\n%s", again)
	}
	edit()
	if again := build(); strings.Count(again, " CACHED\n") != 1 || !strings.Contains(again, "Reading package lists...") {
		h.t.Errorf("the first Dockerfile after an edit:\n%s", again)
	}
	version := strings.TrimSpace(h.docker("run", "--rm", "ubuntu:18.04", "python3", "-c", "import flask; print(flask.__version__)").ok().stdout)
	for name, text := range map[string]string{"Dockerfile": chapterOptimized, "requirements.txt": "Flask==" + version + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	build()
	edit()
	again := build()
	if strings.Count(again, " CACHED\n") != 5 || strings.Contains(again, "Reading package lists...") || !regexp.MustCompile(`#(\d+) \[7/7\] COPY index.html \.\n#\d+ DONE`).MatchString(again) {
		h.t.Errorf("the second Dockerfile after an edit:\n%s", again)
	}
	id := strings.TrimSpace(h.docker("run", "-d", "-p", "8787:8787", "docker-app").ok().stdout)
	eventually(h.t, "the edited page", func() error {
		got, err := get(chapter + "/")
		if err == nil && got != page {
			err = fmt.Errorf("the page says %s", got)
		}
		return err
	})
	h.docker("rm", "-f", id).ok()
}
