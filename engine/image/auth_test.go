package image

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestPullWithCredentials pulls from a registry that asks for a password, with
// none, with Docker's config file, and with a credential helper.
func TestPullWithCredentials(t *testing.T) {
	var locked atomic.Bool
	ref := pushed(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if locked.Load() && (user != "ann" || password != "secret") {
				w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	locked.Store(true)
	host, _, _ := strings.Cut(ref, "/")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	helper := fmt.Sprintf(`#!/bin/sh
read host
case $host in
%s) echo '{"Username":"ann","Secret":"secret"}' ;;
*) echo "credentials not found in native keychain"; exit 1 ;;
esac
`, host)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-keys"), []byte(helper), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config string
		denied bool
	}{
		"none":        {"{}", true},
		"wrong":       {fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ann:guess"))), true},
		"config file": {fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ann:secret"))), false},
		"helper":      {fmt.Sprintf(`{"credHelpers":{%q:"keys"}}`, host), false},
		"store":       {`{"credsStore":"keys"}`, false},
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := newStore(t)
		_, err := s.Pull(context.Background(), ref, PullOptions{})
		switch {
		case !c.denied && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.denied && (err == nil || !strings.Contains(err.Error(), "pull access denied for")):
			t.Errorf("%s: %v", name, err)
		}
	}
}
