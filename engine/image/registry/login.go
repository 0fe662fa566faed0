package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Login asks a registry whether it knows a user by this password.
func (c *Config) Login(ctx context.Context, host, user, password string) error {
	reg, base, err := c.registry(host)
	if err != nil {
		return err
	}
	auth := &authn.Basic{Username: user, Password: password}
	rt, err := transport.NewWithContext(ctx, reg, auth, base, nil)
	if err != nil {
		return loginError(host, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, reg.Scheme()+"://"+reg.RegistryStr()+"/v2/", nil)
	if err != nil {
		return err
	}
	reply, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return loginError(host, err)
	}
	defer reply.Body.Close()
	if err := check(reply, http.StatusOK); err != nil {
		return loginError(host, err)
	}
	return nil
}

func loginError(host string, err error) error {
	return fmt.Errorf("login attempt to https://%s/v2/ failed: %w", host, err)
}
