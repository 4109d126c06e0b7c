package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
)

func TestLongOrders(t *testing.T) {
	a := &Server{o: Options{Logger: slog.New(slog.DiscardHandler)}}
	mux := newRoutes(nil, a.o.Logger)
	mux.reads("POST /v1/storage/sweep", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(ctx context.Context, o adminapi.SweepOrder, event func(any) error) error {
			for range 3 {
				if err := event(struct{}{}); err != nil {
					return err
				}
			}
			if o.Delete {
				return rookery.E("try", rookery.KindConflict, errors.New("it cannot be"))
			}
			return nil
		})
	})
	mux.reads("POST /v1/storage/check", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(ctx context.Context, _ struct{}, event func(any) error) error {
			event(struct{}{})
			<-ctx.Done()
			return rookery.E("wait", rookery.KindUnknown, ctx.Err()) // as what is asked of a group says when it is cut off
		})
	})
	mux.reads("POST /v1/storage/rebuild-index", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(_ context.Context, _ struct{}, event func(any) error) error {
			event(struct{}{})
			panic(http.ErrAbortHandler)
		})
	})
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	a.serve(t.Context(), ln, mux)
	c := adminapi.New(path)
	sweep := func(fail bool) (events int, err error) {
		err = c.SweepStorage(t.Context(), adminapi.SweepOrder{Delete: fail}, func(adminapi.SweepEvent) error { events++; return nil })
		return events, err
	}
	if n, err := sweep(false); n != 3 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	if n, err := sweep(true); n != 3 || !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("an order that fails: %d events, %v", n, err)
	}
	if err := c.RebuildIndex(t.Context(), adminapi.RebuildOrder{},
		func(adminapi.RebuildEvent) error { return nil }); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an answer that was cut off: %v", err)
	}
	if _, err := c.Holds(t.Context()); err == nil {
		t.Error("an order that does not exist succeeds")
	}
	// An order under way ends with the server, which does not wait for it.
	closed := make(chan error, 1)
	err = c.CheckStorage(t.Context(), adminapi.CheckOrder{}, func(adminapi.CheckEvent) error {
		go func() { closed <- a.Close(t.Context()) }()
		return nil
	})
	if !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("an order when the node stops: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}
