package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"rookery"
)

func TestLongOrders(t *testing.T) {
	type order struct{ Fail bool }
	a := &adminServer{logger: slog.New(slog.DiscardHandler), orders: []func(*http.ServeMux){func(mux *http.ServeMux) {
		mux.HandleFunc("POST /v1/storage/try", func(w http.ResponseWriter, r *http.Request) {
			stream(w, r, func(ctx context.Context, o order, event func(any) error) error {
				for i := range 3 {
					if err := event(i); err != nil {
						return err
					}
				}
				if o.Fail {
					return rookery.E("try", rookery.KindConflict, errors.New("it cannot be"))
				}
				return nil
			})
		})
		mux.HandleFunc("POST /v1/storage/wait", func(w http.ResponseWriter, r *http.Request) {
			stream(w, r, func(ctx context.Context, _ order, event func(any) error) error {
				event("begun")
				<-ctx.Done()
				return rookery.E("wait", rookery.KindUnknown, ctx.Err()) // as what is asked of a group says when it is cut off
			})
		})
		mux.HandleFunc("POST /v1/storage/cut", func(w http.ResponseWriter, r *http.Request) {
			stream(w, r, func(_ context.Context, _ order, event func(any) error) error {
				event("begun")
				panic(http.ErrAbortHandler)
			})
		})
	}}}
	path := filepath.Join(t.TempDir(), "s")
	if err := a.serve(t.Context(), systemNetwork{}, path); err != nil {
		t.Fatal(err)
	}
	c := NewAdminClient(path)
	run := func(name string, o order, fn func()) (events int, err error) {
		err = c.callStream(t.Context(), "/v1/storage/"+name, o, func(json.RawMessage) error {
			if events++; fn != nil {
				fn()
			}
			return nil
		})
		return events, err
	}
	if n, err := run("try", order{}, nil); n != 3 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	if n, err := run("try", order{Fail: true}, nil); n != 3 || !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("an order that fails: %d events, %v", n, err)
	}
	if _, err := run("cut", order{}, nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an answer that was cut off: %v", err)
	}
	if _, err := run("none", order{}, nil); err == nil {
		t.Error("an order that does not exist succeeds")
	}
	// An order under way ends with the server, which does not wait for it.
	closed := make(chan error, 1)
	_, err := run("wait", order{}, func() { go func() { closed <- a.close(t.Context()) }() })
	if !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an order when the node stops: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}
