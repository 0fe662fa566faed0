package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/sys/unix"

	"compose/orchestrator/supervisor/api"
)

// Attach connects streams to a container's: stdin goes in until it ends, the
// output comes back until the container has ended. With tty there is one
// stream of output, stdout. It returns once it is connected; the function it
// returns waits for the end of the output.
func (c *Client) Attach(ctx context.Context, id string, tty bool, stdin io.Reader, stdout, stderr io.Writer) (wait func() error, err error) {
	conn, in, err := c.connect(ctx, id, stdin != nil)
	for try := 0; lost(err) && try < 10 && ctx.Err() == nil; try++ { // it died just now
		conn, in, err = c.connect(ctx, id, stdin != nil)
	}
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	done := make(chan error, 1)
	go func() {
		defer stop()
		defer conn.Close()
		if tty {
			_, err := io.Copy(orDiscard(stdout), in)
			done <- ignoreClosed(err)
			return
		}
		done <- ignoreClosed(demultiplex(in, orDiscard(stdout), orDiscard(stderr)))
	}()
	go func() {
		if stdin != nil {
			_, _ = io.Copy(conn, stdin) // either side may be done first
		}
		if half, ok := conn.(*net.UnixConn); ok {
			_ = half.CloseWrite() // likewise
		}
	}()
	return func() error { return <-done }, nil
}

// connect makes a connection that is a container's streams.
func (c *Client) connect(ctx context.Context, id string, stdin bool) (net.Conn, *bufio.Reader, error) {
	if _, err := c.Info(ctx); err != nil { // starts it if need be
		return nil, nil, err
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	in, err := upgrade(conn, id, stdin)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, in, nil
}

// upgrade turns a connection into the container's streams.
func upgrade(conn net.Conn, id string, stdin bool) (*bufio.Reader, error) {
	path := "/containers/" + url.PathEscape(id) + "/attach"
	if stdin {
		path += "?stdin"
	}
	req, err := http.NewRequest(http.MethodPost, "http://supervisor"+api.Prefix+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 32<<10)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return in, nil
	}
	if err := answered(resp); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the supervisor answered %s", resp.Status)
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// ignoreClosed lets the end of a connection be that of the streams, also where
// the supervisor has died in the middle.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}

// demultiplex parts the frames of a stream.
func demultiplex(in io.Reader, stdout, stderr io.Writer) error {
	var header [8]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		out := stdout
		if header[0] == api.Stderr {
			out = stderr
		}
		if _, err := io.CopyN(out, in, int64(binary.BigEndian.Uint32(header[4:]))); err != nil {
			return err
		}
	}
}
