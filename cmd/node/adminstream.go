package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"rookery"
)

// Long orders answer with a stream of JSON lines: events while they run, then
// one line that says how it ended. A stream without that line was cut off.
type streamLine struct {
	Event json.RawMessage `json:"event,omitempty"`
	Error *errorBody      `json:"error,omitempty"`
	End   bool            `json:"end,omitempty"`
}

// maxOrder bounds the order itself, in bytes.
const maxOrder = 1 << 20

// stream runs a long order: in is read from the request, fn's events go out as
// they come. The order ends with the operator's connection.
func stream[In any](w http.ResponseWriter, r *http.Request, fn func(ctx context.Context, in In, event func(any) error) error) {
	var in In
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&in); err != nil {
		replyError(w, rookery.E("read order", rookery.KindInvalid, err))
		return
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // else the server's would end the order
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	send := func(l streamLine) error {
		if err := enc.Encode(l); err != nil {
			return err
		}
		return c.Flush()
	}
	err := fn(r.Context(), in, func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return send(streamLine{Event: b})
	})
	if err != nil {
		kind := rookery.KindOf(err)
		if kind == rookery.KindUnknown && r.Context().Err() != nil { // it was cut off, and may be given again
			kind = rookery.KindUnavailable
		}
		send(streamLine{Error: &errorBody{err.Error(), kind}})
		return
	}
	send(streamLine{End: true})
}

// endLong ends the orders that may last when the server closes: it waits for
// all others.
func endLong(ending context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/storage/") {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(ending, cancel)()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// callStream sends a long order and hands its events to fn as they come.
func (c *AdminClient) callStream(ctx context.Context, path string, in any, fn func(json.RawMessage) error) error {
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
		var l streamLine
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
