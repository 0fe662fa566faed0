package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// base is the transport below authentication: the host's own certificates,
// and no plain HTTP where it is not allowed.
func (c *Config) base(host string) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxIdleConnsPerHost = 8
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.isInsecure(host)}
	for _, dir := range c.CertDirs {
		if err := addCertificates(t.TLSClientConfig, filepath.Join(dir, host)); err != nil {
			return nil, err
		}
	}
	return &guard{inner: t, host: host, config: c}, nil
}

// addCertificates takes what Docker's certs.d/<host> holds: authorities in
// *.crt, and a pair of *.cert and *.key to show to the registry.
func addCertificates(conf *tls.Config, dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case ".crt":
			pem, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if conf.RootCAs == nil {
				if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
					conf.RootCAs = x509.NewCertPool()
				}
			}
			if !conf.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%s holds no certificate in PEM form", path)
			}
		case ".cert":
			pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
			if err != nil {
				return fmt.Errorf("the registry's client certificate: %w", err)
			}
			conf.Certificates = append(conf.Certificates, pair)
		}
	}
	return nil
}

// guard refuses requests that would tell a secret, or take a registry's word,
// in the clear.
type guard struct {
	inner  http.RoundTripper
	host   string
	config *Config
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.config.isPlain(r.URL.Host) && (r.URL.Host == g.host || r.Header.Get("Authorization") != "") {
		return nil, fmt.Errorf("plain HTTP to %s is refused: list it under insecure-registries in %s if that is meant", r.URL.Host, g.config.Path)
	}
	return g.inner.RoundTrip(r)
}
