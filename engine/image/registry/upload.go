package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
)

// HasBlob says whether the repository has a blob, and its size in bytes.
func (c *Client) HasBlob(ctx context.Context, d digest.Digest) (has bool, size int64, err error) {
	err = Retry(ctx, func() error {
		reply, err := c.do(ctx, http.MethodHead, c.url("/blobs/%s", d), nil, nil, 0)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if err := check(reply, http.StatusOK, http.StatusNotFound); err != nil {
			return err
		}
		has, size = reply.StatusCode == http.StatusOK, reply.ContentLength
		return nil
	})
	return has, size, err
}

// Mount asks the registry to take a blob from another of its repositories. If
// it will not, that is no error.
func (c *Client) Mount(ctx context.Context, d digest.Digest, from string) (mounted bool, err error) {
	err = Retry(ctx, func() error {
		query := url.Values{"mount": {d.String()}, "from": {from}}
		reply, err := c.do(ctx, http.MethodPost, c.url("/blobs/uploads/?%s", query.Encode()), nil, http.NoBody, 0)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		switch reply.StatusCode {
		case http.StatusCreated:
			mounted = true
			return nil
		case http.StatusAccepted:
			c.abandon(ctx, reply) // the registry has begun an upload instead
			return nil
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
			return nil // the other repository is not ours to see
		}
		return check(reply, http.StatusCreated)
	})
	return mounted, err
}

// abandon ends an upload that is not wanted. A registry drops it by itself too.
func (c *Client) abandon(ctx context.Context, reply *http.Response) {
	location, err := reply.Location()
	if err != nil {
		return
	}
	if reply, err := c.do(ctx, http.MethodDelete, location.String(), nil, nil, 0); err == nil {
		reply.Body.Close()
	}
}

// Upload sends a blob. open is called for each attempt.
func (c *Client) Upload(ctx context.Context, d digest.Digest, size int64, open func() (io.ReadCloser, error)) error {
	return Retry(ctx, func() error {
		location, err := c.begin(ctx)
		if err != nil {
			return err
		}
		body, err := open()
		if err != nil {
			return err
		}
		defer body.Close()
		header := http.Header{"Content-Type": {"application/octet-stream"}}
		// One request in the place of the two that a chunked upload takes would
		// do, but not every registry knows it.
		reply, err := c.do(ctx, http.MethodPatch, location, header, body, size)
		if err != nil {
			return err
		}
		err = uploadError(reply, check(reply, http.StatusAccepted, http.StatusNoContent, http.StatusCreated))
		reply.Body.Close()
		if err != nil {
			return err
		}
		next, err := reply.Location()
		if err != nil {
			return fmt.Errorf("the registry does not say where the upload goes on: %w", err)
		}
		query := next.Query()
		query.Set("digest", d.String())
		next.RawQuery = query.Encode()
		if reply, err = c.do(ctx, http.MethodPut, next.String(), header, http.NoBody, 0); err != nil {
			return err
		}
		defer reply.Body.Close()
		return uploadError(reply, check(reply, http.StatusCreated, http.StatusNoContent))
	})
}

// uploadError begins anew where the registry has lost the upload.
func uploadError(reply *http.Response, err error) error {
	if err != nil && (reply.StatusCode == http.StatusNotFound || reply.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
		return &TemporaryError{Err: err}
	}
	return err
}

func (c *Client) begin(ctx context.Context) (string, error) {
	reply, err := c.do(ctx, http.MethodPost, c.url("/blobs/uploads/"), nil, http.NoBody, 0)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	if err := check(reply, http.StatusAccepted); err != nil {
		return "", err
	}
	location, err := reply.Location()
	if err != nil {
		return "", fmt.Errorf("the registry does not say where to upload: %w", err)
	}
	return location.String(), nil
}
