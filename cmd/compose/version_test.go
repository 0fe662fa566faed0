package main

import "testing"

func TestVersion(t *testing.T) {
	before := version
	t.Cleanup(func() { version = before })
	version = "v1.2.3"
	for args, want := range map[string]string{
		"":                "compose version v1.2.3\n",
		"--short":         "1.2.3\n",
		"--format=json":   "{\"version\":\"v1.2.3\"}\n",
		"--format=pretty": "compose version v1.2.3\n",
	} {
		command := []string{"version"}
		if args != "" {
			command = append(command, args)
		}
		if got, stderr, code := runInProcess(t, command); code != 0 || got != want {
			t.Errorf("version %s: %d %q %s", args, code, got, stderr)
		}
	}
	if _, _, code := runInProcess(t, []string{"version", "--format=xml"}); code != 1 {
		t.Errorf("an unknown format: exit status %d", code)
	}
}
