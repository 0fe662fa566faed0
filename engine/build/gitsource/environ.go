package gitsource

import (
	"os"
	"path/filepath"
	"strings"
)

// protocols are those that a repository may be fetched by.
const protocols = "GIT_ALLOW_PROTOCOL=git:http:https:ssh"

// environ is the environment that the git program runs in.
func (r *Repository) environ() []string {
	if r.src.UserConfig {
		return usersEnviron(os.Environ())
	}
	environ := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.tmp, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "LC_ALL=C",
		protocols, "GIT_SSH_COMMAND=" + r.ssh(),
	}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"} {
		if v, ok := os.LookupEnv(name); ok {
			environ = append(environ, name+"="+v)
		}
	}
	if r.src.SSHSocket != "" {
		environ = append(environ, "SSH_AUTH_SOCK="+r.src.SSHSocket)
	}
	return environ
}

// usersEnviron is the user's environment, without what would lead git to
// another repository or to questions that nobody is there to answer.
func usersEnviron(users []string) []string {
	var environ []string
	set := map[string]bool{}
	for _, kv := range users {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_ALLOW_PROTOCOL", "LC_ALL":
			continue
		}
		set[name] = true
		environ = append(environ, kv)
	}
	environ = append(environ, "LC_ALL=C", protocols)
	if !set["GIT_TERMINAL_PROMPT"] {
		environ = append(environ, "GIT_TERMINAL_PROMPT=0")
	}
	if !set["GIT_SSH"] && !set["GIT_SSH_COMMAND"] {
		environ = append(environ, "GIT_SSH_COMMAND=ssh -o ControlMaster=no -o BatchMode=yes")
	}
	return environ
}

// ssh is the command for the ssh protocol: hosts have to be known.
func (r *Repository) ssh() string {
	command := "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes"
	if r.src.KnownHosts != "" {
		file := filepath.Join(r.tmp, "known_hosts")
		if os.WriteFile(file, []byte(r.src.KnownHosts), 0o600) == nil {
			command += " -o UserKnownHostsFile=" + file
		}
	}
	return command
}
