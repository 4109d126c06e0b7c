package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"rookery"
)

// Client talks to a running node's administration socket.
type Client struct {
	path string
	http http.Client
}

// New makes a client of the socket at path; it connects when used.
func New(path string) *Client {
	c := &Client{path: path}
	c.http.Timeout = 20 * time.Second
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return c
}

// Patient gives the node more time for an answer.
func (c *Client) Patient(most time.Duration) *Client {
	c.http.Timeout = most
	return c
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	const op = "ask the node"
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return rookery.E(op, rookery.KindInvalid, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// unreached words why no answer came.
func (c *Client) unreached(ctx context.Context, err error) error {
	const op = "ask the node"
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return rookery.E(op, rookery.KindUnavailable,
			errors.New("the node did not answer in time; whether the change took place shows in: rookery status"))
	}
	return rookery.E(op, rookery.KindUnavailable,
		fmt.Errorf("%w; is a node running on this data directory? name it with -data DIR or -socket PATH", err))
}

// refused reads what the node said instead of doing it.
func refused(resp *http.Response) error {
	const op = "ask the node"
	var e ErrorBody
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		return rookery.E(op, rookery.KindUnknown, fmt.Errorf("status %s", resp.Status))
	}
	return rookery.E(op, e.Kind, errors.New(e.Error))
}

// callStream sends a long order and hands its events to fn as they come.
func (c *Client) callStream(ctx context.Context, path string, in any, fn func(json.RawMessage) error) error {
	const op = "ask the node"
	b, err := json.Marshal(in)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node"+path, bytes.NewReader(b))
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	long := http.Client{Transport: c.http.Transport} // without the time-out of short orders
	resp, err := long.Do(req)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	for dec := json.NewDecoder(resp.Body); ; {
		var l StreamLine
		if err := dec.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the node's answer was cut off: %w", errors.Join(ctx.Err(), err)))
		}
		switch {
		case l.End:
			return nil
		case l.Error != nil:
			return rookery.E(op, l.Error.Kind, errors.New(l.Error.Error))
		}
		if err := fn(l.Event); err != nil {
			return err
		}
	}
}
